"""Colour appears on a terminal alone, and NO_COLOR turns it off."""

import io

import pytest

from under20k.interactive.style import GREEN, coloured, has_colour, styled


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def test_a_terminal_has_colour_and_a_pipe_has_none():
    assert styled("met", GREEN, Terminal()) == "\x1b[32mmet\x1b[0m"
    assert styled("met", GREEN, io.StringIO()) == "met"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_the_user_can_turn_it_off(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert styled("met", GREEN, Terminal()) == "met"


def test_an_empty_no_color_does_not_count(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "")
    assert has_colour(Terminal())


def test_a_closed_or_missing_stream_has_no_colour():
    closed = io.StringIO()
    closed.close()
    assert not has_colour(closed)
    assert not has_colour(None)


def test_verdicts_are_coloured_with_their_word():
    text = "✓ passed and ✗ failed, ✓ 99.47%"
    expected = "\x1b[32m✓ passed\x1b[0m and \x1b[31m✗ failed\x1b[0m, \x1b[32m✓\x1b[0m 99.47%"
    assert coloured(text, Terminal()) == expected
    assert coloured(text, io.StringIO()) == text
