"""Long names made short: a recipe's name and its changed settings; labels that tell entries apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from under20k.formatting import shortened
from under20k.report.words import plural
from under20k.runs.leaderboard import Entry

SETTING = re.compile(r"\+(?=[a-z][a-z_]*=)")  # between two of a changed recipe's settings
SEED = re.compile(r", seed \d+$")
LONGEST = 24  # characters of a label's name
LONGEST_SUFFIX = 22


def split_name(name: str) -> tuple[str, list[str]]:
    """Return a recipe's name without its changed settings, and these: ``minimal``, ``["epochs=2"]``."""
    first, *settings = SETTING.split(name)
    return (first, settings) if first else (name, [])


def labels(entries: Sequence[Entry]) -> list[str]:
    """Return a short label for each entry, no two the same.

    It is the name of the recipe or record; where several share that, with what tells them apart: settings,
    the folder that they lie in, the number of seeds, or else a number.
    """
    bases = [_base(entry) for entry in entries]
    made = list(bases)
    for base in dict.fromkeys(bases):
        of_base = [index for index, other in enumerate(bases) if other == base]
        if len(of_base) > 1:
            suffixes = _suffixes([entries[index] for index in of_base])
            for index, suffix in zip(of_base, suffixes, strict=True):
                made[index] = f"{base} ({suffix})" if suffix else base
    return _numbered(made)


def _base(entry: Entry) -> str:
    """Return ``minimal``, ``minimal + epochs=2`` or ``minimal + 3 settings``; of a run, with its seed."""
    seed = SEED.search(entry.name) if entry.kind == "run" else None
    name, settings = _parts(entry)
    base = shortened(name, LONGEST)
    if len(settings) == 1 and len(settings[0]) <= LONGEST:
        base += f" + {settings[0]}"
    elif settings:
        base += f" + {plural(len(settings), 'setting')}"
    return base + (seed.group() if seed else "")


def _parts(entry: Entry) -> tuple[str, list[str]]:
    return split_name(SEED.sub("", entry.name) if entry.kind == "run" else entry.name)


def _suffixes(entries: Sequence[Entry]) -> list[str]:
    """Return what tells entries of one base name apart: the first thing that does, or all together."""
    settings = [set(_parts(entry)[1]) for entry in entries]
    common = set.intersection(*settings)

    def own_settings(entry: Entry) -> str:
        return ", ".join(setting for setting in _parts(entry)[1] if setting not in common)

    def folder(entry: Entry) -> str:
        return Path(entry.path).absolute().parent.name

    def seeds(entry: Entry) -> str:
        return plural(entry.validation.n, "seed")

    def kind(entry: Entry) -> str:
        return entry.kind

    tellers: list[Callable[[Entry], str]] = [own_settings, kind, folder, seeds]
    shown = [[shortened(tell(entry), LONGEST_SUFFIX) for entry in entries] for tell in tellers]
    for texts in shown:
        if len(set(texts)) == len(texts):
            return texts
    return [
        ", ".join(part for part in parts if part)
        for parts in zip(*(texts for texts in shown[1:] if len(set(texts)) > 1), strict=True)
    ] or [""] * len(entries)


def _numbered(texts: Sequence[str]) -> list[str]:
    """Return the texts, each that occurs several times with a number."""
    often, seen = Counter(texts), Counter[str]()
    made = []
    for text in texts:
        seen[text] += 1
        made.append(f"{text} #{seen[text]}" if often[text] > 1 else text)
    return made
