"""The letters of pictures, and a Matplotlib that says nothing."""

import os
import subprocess
import sys
import warnings

import pytest

from under20k.report import fonts
from under20k.report.figures import LIGHT, default_style, new_figure, png
from under20k.report.fonts import TYPEFACE, drawable, families, font_manager

DRAW = """
from under20k.report.figures import LIGHT, default_style, new_figure, png
with default_style(LIGHT, "手書き"):
    figure = new_figure(2, 1)
    figure.text(0, 0, "text", fontweight="bold")
png(figure)
"""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("minimal", "minimal"),
        ("$x_{$ <b>", "$x_{$ <b>"),
        ("Größe → 99.4 ± 0.1 %", "Größe → 99.4 ± 0.1 %"),
        ("two\nlines\tand  spaces ", "two lines and spaces"),
        ("a\x00b\x1bc\udcffd", "a?b?c?d"),
        ("", ""),
    ],
)
def test_what_the_typeface_has_is_drawn(text, shown):
    assert drawable(text) == shown


def test_a_letter_that_no_font_has_is_a_question_mark(monkeypatch):
    monkeypatch.setattr(fonts, "_family_with", lambda code: TYPEFACE if code < 128 else None)
    assert drawable("手書き-1") == "???-1"
    assert (
        drawable("e\u0301\u200d\ufe0fx") == "ex"
    )  # an accent, a joiner and a variation: signs of their neighbours


def test_a_letter_of_another_installed_font_is_drawn_with_it():
    code = next(
        code
        for name in ("STIXGeneral", "DejaVu Sans Mono", "DejaVu Serif")
        for code in sorted(fonts._characters(name) - fonts._characters(TYPEFACE))
        if code > 0x2000
    )
    letter = chr(code)
    assert drawable(letter) == letter
    first, second = families(f"abc{letter}")
    assert first == TYPEFACE
    assert code in fonts._characters(second)
    with default_style(LIGHT, letter):
        figure = new_figure(1, 1)
        figure.text(0.5, 0.5, letter)
        blank = new_figure(1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert png(figure) != png(blank)


def test_the_font_of_boxes_is_never_used():
    names = {font.name for font in font_manager.fontManager.ttflist}
    assert not any(
        name.startswith(fonts.UNFIT) for name in families("".join(map(chr, range(0x4E00, 0x4E20))))
    )
    assert TYPEFACE in names


@pytest.mark.parametrize("home", ["empty", "unwritable", "none"])
def test_matplotlib_is_silent_on_its_first_run(home, tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MPL", "XDG"))}
    environment.pop("HOME", None)
    if home == "empty":
        environment["HOME"] = str(tmp_path)
    elif home == "unwritable":
        (tmp_path / "file").write_text("", encoding="utf-8")
        environment["HOME"] = str(tmp_path / "file")
    done = subprocess.run(
        [sys.executable, "-c", DRAW], env=environment, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
