"""Print the requirements of a dependency group of pyproject.toml (PEP 735), one per line, for pip.

Usage: python tools/requirements.py GROUP

For pip before 25.1, which has no ``--group``: a new virtual environment may hold an older one.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def main(arguments: Sequence[str]) -> None:
    groups = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["dependency-groups"]
    if len(arguments) != 1 or arguments[0] not in groups:
        raise SystemExit(f"usage: python tools/requirements.py GROUP, one of {', '.join(groups)}")
    print(*dict.fromkeys(requirements(groups, arguments[0])), sep="\n")


def requirements(groups: Mapping[str, Sequence[Any]], name: str) -> Iterator[str]:
    """Yield the requirements of a group, with those of the groups that it includes."""
    for item in groups[name]:
        if isinstance(item, str):
            yield item
        else:
            yield from requirements(groups, item["include-group"])


if __name__ == "__main__":
    main(sys.argv[1:])
