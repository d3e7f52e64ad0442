"""Print what an extra of pyproject.toml requires, a line each, for pip.

Usage: python tools/requirements.py EXTRA

Installing the package with an extra would build the native engine once more; its requirements alone do not.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def main() -> None:
    extras = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    print(*extras[sys.argv[1]], sep="\n")


if __name__ == "__main__":
    main()
