"""Run clang-tidy on the native engine, by ``.clang-tidy``; nothing is compiled.

Usage: python -m tools.clang_tidy     (in an environment with the extra lint)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "tidy"
SCRIPTS = sysconfig.get_path("scripts")


def main() -> None:
    os.environ["PATH"] = SCRIPTS + os.pathsep + os.environ["PATH"]
    options = [
        "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON",
        "-DUNDER20K_WIDE=ON",
        f"-DPython_EXECUTABLE={sys.executable}",
    ]
    _run(["cmake", "-S", str(ROOT / "native"), "-B", str(BUILD), "-G", "Ninja", *options])
    database = BUILD / "compile_commands.json"
    commands = json.loads(database.read_text("utf-8"))
    own = [command for command in commands if Path(command["file"]).is_relative_to(ROOT / "native")]
    # The kernels are compiled once per instruction set: the first one, the baseline, stands for all.
    first = {command["file"]: command for command in reversed(own)}
    database.write_text(json.dumps(list(first.values())), "utf-8")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        failed = sum(pool.map(_check, first))
    if failed:
        sys.exit(f"clang-tidy: {failed} of {len(first)} files have findings")
    print(f"clang-tidy: {len(first)} files, no findings")


def _check(file: str) -> bool:
    """Check one file, print what is found, and return whether anything is."""
    found = subprocess.run(
        ["clang-tidy", "-p", str(BUILD), "--quiet", file], capture_output=True, text=True, cwd=ROOT
    )
    if found.returncode:
        print(found.stdout, found.stderr, sep="", end="", flush=True)
    return found.returncode != 0


def _run(command: list[str]) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if ended.returncode:
        sys.exit(f"{command[0]} failed:\n{ended.stdout}{ended.stderr}")


if __name__ == "__main__":
    main()
