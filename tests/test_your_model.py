"""docs/your-model.md shows what its commands print."""

import contextlib
import io
import re
import sys
from xml.etree import ElementTree

import pytest

from tests.support import transcripts
from tests.support.transcripts import (
    BADGE,
    PAGE,
    alike,
    assert_holds,
    bench_folder,
    blocks,
    executed,
    renewed,
)

TEXT = PAGE.read_text(encoding="utf-8")


def test_a_page_is_made_of_what_its_commands_print(tmp_path):
    page = (
        "```python a.py\nx = 1\n```\n\n```console\n$ under20k recipes --nonsense\nold\n$ under20k -h\n```\n"
    )
    said = executed(page, tmp_path)
    assert (tmp_path / "a.py").read_text() == "x = 1\n"
    assert [each.command for each in said] == ["under20k recipes --nonsense", "under20k -h"]
    assert (said[0].shown, said[0].printed) == (["old"], [])
    assert said[1].printed[0].startswith("usage: under20k")
    again = executed(renewed(page, said), tmp_path)
    assert [each.shown for each in again] == [each.printed for each in again]
    with pytest.raises(AssertionError, match="nonsense"):
        assert_holds(said[0])


def test_measured_numbers_are_not_compared_and_others_are():
    assert alike("Seconds per training   5.4 ± 0.2") == alike("Seconds per training  15.25 ± 1.0")
    assert alike("✓ 99.46%  validation") == alike("✓ 99.41%  validation")
    assert alike("Images/s, training  37,521 ± 100") == alike("Images/s, training  7,000 ± 9")
    assert alike("✓ 14,116  parameters") != alike("✓ 14,117  parameters")
    assert alike("misses 1 of 9 requirements") != alike("misses 2 of 9 requirements")
    shown = transcripts.Said("x", ["mean 99.40%"], ["mean 99.10%"])
    with pytest.raises(AssertionError):
        assert_holds(shown)


def test_the_story_ends_in_a_model_that_passes():
    checks = [shown for _, _, commands in blocks(TEXT) for command, shown in commands if " check " in command]
    assert "✗ failed" in checks[0][0]
    assert "✓ passed" in checks[-1][0]


@pytest.mark.slow
def test_the_page_shows_what_its_commands_print(tmp_path, mnist, monkeypatch):
    for said in executed(TEXT, tmp_path):
        assert_holds(said)
    made = tmp_path / bench_folder(TEXT) / BADGE.name
    made, shown = (ElementTree.parse(path).getroot() for path in (made, BADGE))
    assert [*map(alike, made.itertext())] == [*map(alike, shown.itertext())]

    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "your-model.md", "exec"), {})
    assert printed.getvalue() == "1.00 in all over 10 digits\n"
    sys.modules.pop("model")
