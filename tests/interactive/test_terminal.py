"""The width of a terminal, and lines printed in it; a pipe gets them whole."""

import io
import os
import sys

import pytest

from under20k.interactive.terminal import say, terminal_width

LINE = "minimal, seed 0: 14,116 parameters, 8 epochs; native engine, fp32, cpu, 2 threads → runs/minimal-0"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("COLUMNS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def test_a_pipe_has_no_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    closed = io.StringIO()
    closed.close()
    assert terminal_width(io.StringIO()) is terminal_width(closed) is None
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert terminal_width() is None


@pytest.mark.parametrize(("columns", "width"), [("66", 66), ("0", 80), ("", 80), ("wide", 80), ("5", 40)])
def test_columns_are_read_as_shutil_does(monkeypatch, columns, width):
    monkeypatch.setenv("COLUMNS", columns)
    assert terminal_width(Terminal()) == width


@pytest.mark.skipif(sys.platform == "win32", reason="no terminal of this kind")
@pytest.mark.parametrize(("columns", "width"), [(72, 72), (0, 80), (20, 40)])
def test_the_width_is_that_of_the_stream_asked_for(columns, width):
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, columns))
    with open(theirs, "w") as stream:
        assert terminal_width(stream) == width
    os.close(ours)


def test_lines_are_wrapped_on_a_terminal_alone(capsys):
    say(f"{LINE}\nshort")
    assert capsys.readouterr().out == f"{LINE}\nshort\n"
    terminal = Terminal()
    say(f"{LINE}\nshort", terminal, indent="    ")
    first, second, last = terminal.getvalue().splitlines()
    assert max(map(len, (first, second))) <= 80
    assert f"{first} {second.strip()}" == LINE
    assert second.startswith("    ")
    assert last == "short"


def test_verdicts_are_coloured_after_the_layout():
    terminal = Terminal()
    text = "✓ passed " + "x" * 60 + " ✗ failed"
    say(text, terminal)
    assert terminal.getvalue() == (
        f"\x1b[32m✓ passed\x1b[0m {'x' * 60} \x1b[31m✗ failed\x1b[0m\n"  # 78 columns, on one line
    )
