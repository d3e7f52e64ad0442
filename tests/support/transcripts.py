"""Pages whose commands are executed: their files, what each command prints, and the page made anew.

In a page, a block ``python NAME`` is the file of that name from there on, and a block ``console`` holds
commands after ``$ ``, each with what it prints on stdout; progress, on stderr, is left out.

``python -m tests.support.transcripts --write`` writes the outputs and the badge of docs/your-model.md again.
"""

import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.terminal import on_terminal, shown_lines

PAGE = ROOT / "docs" / "your-model.md"
BADGE = PAGE.parent / "your-model" / "badge.svg"
"""That of the page's bench."""
WIDTH = 100
BLOCK = re.compile(r"^```(python|console)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
POINTS = 0.25
"""By how much accuracies differ where the processor rounds differently, in percentage points."""

# What differs between machines: measured times, and all that follows from rounding.
_ACCURACY = re.compile(r"\b(9\d\.\d+)(?=%| ± [\d.]+ %|–9\d\.\d+%)")
_MEASURED = re.compile(
    r"Images/s, training( \d[\d,]*( ± [\d.,]+)?)+|Seeds to detect \S+ points \S+|[✓✗] (?=\d+\.)|"
    r"reached|missed|no difference shown|a difference|[<≥] |\d[\d,]*(\.\d+)? ± [\d.,]+( %)?|"
    r"[+-]?\d+\.\d+(–\d+\.\d+)?%?|\d+–\d+%|\d+ of \d+(?! requirements)"
)


@dataclass(frozen=True)
class Said:
    """A command of a page, the lines that stand below it there, and those that it has printed."""

    command: str
    shown: list[str]
    printed: list[str]


def blocks(page: str) -> Iterator[tuple[str, str, list[tuple[str, list[str]]]]]:
    """The page's files and consoles: name, text, and the commands with the lines below them."""
    for kind, name, text in BLOCK.findall(page):
        if kind == "python" and name:
            yield name, text, []
        elif kind == "console":
            commands = [part.splitlines() for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]]
            yield "", text, [(command, shown) for command, *shown in commands]


def executed(page: str, folder: Path) -> list[Said]:
    """Write the files of a page and run its commands in ``folder``, in their order."""
    done = []
    for name, text, commands in blocks(page):
        if name:
            (folder / name).write_text(text, encoding="utf-8")
        for command, shown in commands:
            word, *arguments = shlex.split(command)
            assert word == "under20k", command
            _, sent = on_terminal(WIDTH, *arguments, folder=folder, streams=("stdout",), NO_COLOR="1")
            done.append(Said(command, shown, [line.rstrip() for line in shown_lines(sent)][:-1]))
    return done


def renewed(page: str, said: list[Said]) -> str:
    """The page with what its commands have printed."""
    left = iter(said)

    def block(found: re.Match[str]) -> str:
        if found[1] != "console":
            return found[0]
        commands = [next(left) for _ in re.findall(r"^\$ ", found[3], re.MULTILINE)]
        lines = [line for each in commands for line in (f"$ {each.command}", *each.printed)]
        return "\n".join(["```console", *lines, "```"])

    return BLOCK.sub(block, page)


def bench_folder(page: str) -> str:
    """The bench folder that a page's badge links to."""
    (folder,) = re.findall(r"\]\((benches/[^)]*)/bench\.md\)", page)
    return folder


def alike(line: str) -> str:
    """A line without what differs between machines."""
    return _MEASURED.sub("", re.sub(r"[ ─]+", " ", line)).replace("  ", " ").strip()


def unwrapped(lines: list[str]) -> list[str]:
    """Lines without their breaks, which follow from the numbers; sorted, since tables are by numbers."""
    return sorted(map(alike, re.sub(r"\n +", " ", "\n".join(lines)).split("\n")))


def assert_holds(said: Said) -> None:
    """Compare what a page shows of a command with what that prints, accuracies within ``POINTS``."""
    assert unwrapped(said.printed) == unwrapped(said.shown), said.command
    shown, printed = (
        [float(value) for line in lines for value in _ACCURACY.findall(line)]
        for lines in (said.shown, said.printed)
    )
    assert printed == pytest.approx(shown, abs=POINTS), said.command


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    before = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        PAGE.write_text(renewed(before, executed(before, Path(scratch))), encoding="utf-8")
        BADGE.write_bytes((Path(scratch) / bench_folder(before) / BADGE.name).read_bytes())
