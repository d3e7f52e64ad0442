"""The quick suite in other surroundings than its authors': ``python -m tools.variants [NAME ...]``.

Each variant runs the tests that its surroundings concern, so that all of them together take minutes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOUBLE = ROOT / "tests" / "windows" / "double"
CGROUPS = Path("/sys/fs/cgroup")

FILES = ["tests/test_files.py", "tests/runs/test_run.py", "tests/runs/test_run_damage.py"]
PORTABLE = [
    *("tests/recipe", "tests/engine/test_evaluation.py", "tests/engine/test_machine.py", *FILES),
    *("tests/engine/test_rotation.py", "tests/runs/test_locks.py", "tests/runs/test_loop.py"),
    *(
        "tests/runs/test_provenance.py",
        "tests/windows",
        "tests/cli/test_help.py",
        "tests/cli/test_recipes.py",
    ),
    *("tests/report/test_tables.py", "tests/runs/bench/test_statistics.py", "tests/report/test_curves.py"),
]
PRINTING = [
    *("tests/cli/test_recipes.py", "tests/cli/test_evaluate.py", "tests/cli/test_train.py"),
    *("tests/cli/test_compare.py", "tests/cli/test_data.py"),
]
DRAWING = [
    "tests/report/test_curves.py",
    "tests/report/test_run.py",
    "tests/report/test_evaluation.py",
]


@dataclass(frozen=True)
class Variant:
    """Surroundings, and the tests to run there."""

    what: str
    tests: Sequence[str]
    variables: dict[str, str | None] = field(default_factory=dict)
    """To set in the environment; None for what is to be absent."""
    within: Callable[[], AbstractContextManager[object]] = nullcontext
    """Entered in the process that becomes the test's."""
    on_disk: bool = False
    """Whether the tests' folders are to lie on the disk of the Windows double."""


@contextmanager
def one_core() -> Iterator[None]:
    """A quota of one core for this process and what it starts; its affinity where it may make no cgroup."""
    group = CGROUPS / f"under20k-variants-{os.getpid()}"
    v1 = CGROUPS / "cpu" / group.name
    for folder, limits in (
        (group, {"cpu.max": "100000 100000"}),
        (v1, {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "100000"}),
    ):
        try:
            if folder == v1 or (CGROUPS / "cgroup.controllers").exists():
                folder.mkdir()
                for name, value in limits.items():
                    (folder / name).write_text(value)
                (folder / "cgroup.procs").write_text(str(os.getpid()))
                print(f"quota of one core by {folder}", flush=True)
                yield
                return
        except OSError:
            continue
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
        print("no cgroup can be made here: one core by affinity instead", flush=True)
    yield


VARIANTS = {
    "portable": Variant("this system as it is: what needs no POSIX, as on Windows and macOS", PORTABLE),
    "cp1252": Variant(
        "output redirected on Windows", [*PRINTING, "tests/cli/test_help.py"], {"PYTHONIOENCODING": "cp1252"}
    ),
    "jupyter": Variant(
        "a !command of Jupyter or Colab, in an environment without its package",
        [*DRAWING, "tests/cli/test_evaluate.py", "tests/cli/test_programs.py"],
        {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    ),
    "homeless": Variant(
        "a service without a home folder",
        ["tests/cli/test_help.py", "tests/cli/test_recipes.py", "tests/data/test_fetch.py"],
        {"HOME": None},
    ),
    "one-core": Variant(
        "a container with a quota of one core",
        ["tests/engine/test_select.py", "tests/cli/test_train.py", "tests/runs/bench/test_run_bench.py"],
        within=one_core,
    ),
    "windows": Variant(
        "Windows, by the double in tests/windows",
        [*FILES, "tests/recipe/test_recipe_json.py", "tests/cli/test_evaluate.py", "tests/windows"],
        {"PYTHONIOENCODING": "cp1252", "PYTHONPATH": str(DOUBLE)},
        on_disk=True,
    ),
}


def run(variant: Variant, arguments: Sequence[str]) -> int:
    """Run a variant's tests; pytest's exit code."""
    environment = {**os.environ, **{name: value for name, value in variant.variables.items() if value}}
    for name, value in variant.variables.items():
        if value is None:
            environment.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="under20k-variant-", ignore_cleanup_errors=True) as folder:
        options = ["-q", "-m", "not slow", "-p", "no:cacheprovider"]
        if variant.on_disk:
            environment["UNDER20K_WINDOWS_DISK"] = folder
            options.append(f"--basetemp={folder}/t")
        command = [sys.executable, "-m", "pytest", *options, *variant.tests, *arguments]
        with variant.within():
            return subprocess.run(command, cwd=ROOT, env=environment).returncode


def main(argv: Sequence[str] | None = None) -> int:
    """Run the variants named, by default all but ``portable``; 1 if a test failed in any."""
    parser = argparse.ArgumentParser(prog="python -m tools.variants", description=__doc__)
    known = ", ".join(VARIANTS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {known}; default: all but the first")
    parser.add_argument("--pytest", nargs=argparse.REMAINDER, default=[], help="further arguments of pytest")
    arguments = parser.parse_args(argv)
    if unknown := [name for name in arguments.names if name not in VARIANTS]:
        parser.error(f"there is no variant {unknown[0]!r}; known: {', '.join(VARIANTS)}")
    results = {}
    for name in arguments.names or [name for name in VARIANTS if name != "portable"]:
        print(f"== {name}: {VARIANTS[name].what}", flush=True)
        started = time.monotonic()
        # In a process of its own: what a variant does to the process, it does to itself.
        if len(arguments.names) == 1:
            results[name] = run(VARIANTS[name], arguments.pytest), 0.0
        else:
            command = [sys.executable, "-m", "tools.variants", name, "--pytest", *arguments.pytest]
            code = subprocess.run(command, cwd=ROOT).returncode
            results[name] = code, time.monotonic() - started
    if len(results) > 1:
        for name, (code, seconds) in results.items():
            print(f"{name:<10} {'passed' if code == 0 else 'FAILED'}  {seconds:5.0f} s")
    return int(any(code for code, _ in results.values()))


if __name__ == "__main__":
    sys.exit(main())
