"""HTML for a notebook's cell: escaped, aligned, with a picture for a dark page."""

import re

from under20k.report.document import Picture
from under20k.report.html import bar_html, headline, picture_html, table_html
from under20k.report.tables import Table


def test_a_table_is_aligned_and_escaped():
    html = table_html(Table(("Name", "n"), (("<b>&", "1"),), caption="<i>", notes=("a < b",)))
    assert "<b>" not in html
    assert "<i>" not in html
    assert "&lt;b&gt;&amp;" in html
    cells = re.findall(r"<t[hd] style=\"text-align:(\w+)[^>]*>(.*?)</t[hd]>", html)
    assert cells == [("left", "Name"), ("right", "n"), ("left", "&lt;b&gt;&amp;"), ("right", "1")]


def test_colours_are_the_pages_own():
    html = table_html(
        Table(("Name", "Result"), (("a", "✓ passed"), ("b", "✗ failed")), marked=frozenset({1}))
    )
    assert set(re.findall(r"(?:background|(?<![-\w])color):([^;\"]+)", html)) == {
        "none",
        "rgba(255,196,0,.15)",
        "#2a9157",
        "#dd4b3e",
    }


def test_a_sign_is_coloured_and_its_sentence_is_not():
    sentence = "98.17% validation accuracy at the last of 2 epochs"
    assert headline("run", f"✗ {sentence}").endswith(f'<span style="color:#dd4b3e">✗</span> {sentence}</div>')


def test_a_dark_picture_shows_on_dark_pages_only():
    assert "<style>" not in picture_html(Picture("a.png", b"light", "words"))
    html = picture_html(Picture("a.png", b"light", "words", b"dark"))
    light, dark = re.findall(r"<img [^>]*>", html)
    assert 'alt="words"' in light
    assert "display:none" not in light
    assert "display:none" in dark
    assert '[data-jp-theme-light="false"] .under20k-dark { display: inline !important }' in html


def test_a_bar_stays_within_its_box():
    assert "width:42.0%" in bar_html(0.42, "")
    assert "width:100.0%" in bar_html(1.2, "")
    assert "width:0.0%" in bar_html(-1.0, "")
