"""Print the lowest versions that pyproject.toml allows, a line each, as constraints for pip.

Usage: python tools/lowest.py

PyTorch is left to constraints.txt: on Linux, its oldest release is on PyPI with CUDA only, several gigabytes.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
LEFT_OUT = {"torch"}


def main() -> None:
    for requirement in tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]:
        found = re.match(r"([A-Za-z0-9_.-]+)\s*>=\s*([0-9.]+)", requirement)
        if found is None:
            raise SystemExit(f"{PROJECT.name}: {requirement!r} has no lower bound")
        if found[1] not in LEFT_OUT:
            print(f"{found[1]}=={found[2]}{requirement[found.end() :]}")


if __name__ == "__main__":
    main()
