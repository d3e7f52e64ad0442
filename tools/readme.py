"""Write the generated parts of README.md and the pages in docs/, or with --check only report stale ones.

Usage: python -m tools.readme [--check | --pictures]

A generated part is enclosed in ``<!-- name -->`` and ``<!-- /name -->``. docs/benchmark.md and
docs/reproduction/report.md are generated completely. The pictures in docs/ are drawn again if
a page of theirs changed, or with --pictures; --check leaves them, since their bytes depend on Matplotlib.
All figures come from results/ and records/.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from html import escape
from pathlib import Path

from benchmarks.reading.tables import tables
from benchmarks.seconds_figure import alternative, seconds_figure
from benchmarks.tables import page, speed
from tools.cluster_cost import measured_section
from tools.cortex_m4 import cortex_m4_section
from tools.exports import proofs_section, short_section
from under20k.checking.check import check
from under20k.cli.main import VERBS
from under20k.files import read_json, read_text, write_bytes, write_text
from under20k.recipe.named import RECIPES
from under20k.report.figures import Figure, Theme, themed
from under20k.report.leaderboard_figure import leaderboard_figure
from under20k.report.pages import Pairs, engines_part, filled, precisions_part, results_part
from under20k.report.records import records_markdown
from under20k.report.reproduction.page import reproduction
from under20k.report.tables import Table
from under20k.runs.bench.bench import Bench
from under20k.runs.bench.reproduce import REPRODUCED
from under20k.runs.bench.run_bench import bench_path
from under20k.runs.leaderboard import bench_in, compare
from under20k.runs.records.folders import read_records

ROOT = Path(__file__).parent.parent
README, DOCS, RECORDS, RESULTS = (ROOT / name for name in ("README.md", "docs", "records", "results"))
REPORT = DOCS / "reproduction" / "report.md"
BENCHMARK_PAGE = DOCS / "benchmark.md"
PICTURES = DOCS / "records.png", DOCS / "records-dark.png"
SECONDS = DOCS / "seconds.png", DOCS / "seconds-dark.png"
TEN, TWENTY = range(10), range(20)
FP32 = {
    "regularized": RECORDS / "reference" / "2026-11-26-regularized",
    "minimal": RECORDS / "reference" / "2026-11-26-minimal",
    "regularized-plus": RECORDS / "accurate" / "2026-11-26-regularized-plus",
    "minimal-plus": bench_path(RESULTS / "fp32", "minimal-plus", TWENTY),
    "minimal-augmented": bench_path(RESULTS / "fp32", "minimal-augmented", TWENTY),
}
"""A bench or record in fp32 for each bench in bf16, over the same seeds."""


def reproduced() -> list[Bench]:
    """Return the benches of ``make reproduction``, *minimal-plus* last."""
    return [Bench.open(bench_path(RESULTS / "reproduction", recipe.name, TEN)) for recipe in REPRODUCED]


def both_engines() -> Pairs:
    """Return each recipe trained by the native engine and, where ``results/`` has that, by torch."""
    torch = RESULTS / "reproduction-torch"
    return {
        bench.recipe.name: (bench, Bench.open(folder))
        for bench in reproduced()
        if (folder := bench_path(torch, bench.recipe.name, TEN)).is_dir()
    }


def both_precisions() -> Pairs:
    """Return each recipe trained in bf16, and the same in fp32."""
    return {
        name: (Bench.open(bench_path(RESULTS / "bf16", name, TWENTY)), bench_in(fp32))
        for name, fp32 in FP32.items()
    }


def checked(pairs: Pairs) -> Pairs:
    """Return ``pairs``. Raises ValueError unless each is of one recipe, today's, and the same seeds."""
    for name, (ours, theirs) in pairs.items():
        if [seed.seed for seed in ours.seeds] != [seed.seed for seed in theirs.seeds]:
            raise ValueError(f"{name}: the two benches are not of the same seeds")
        if not ours.recipe == theirs.recipe == RECIPES[name]:
            raise ValueError(f"{name}: a bench is of another recipe")
    return pairs


def verbs() -> str:
    """Return the command line's verbs as a table."""
    rows = tuple((f"under20k {verb}", text) for verb, text in VERBS.items())
    return Table(("Command", "What it does"), rows, align="ll").markdown()


def picture_part() -> str:
    """Return README's picture, for a light page and for a dark one."""
    light, dark = (path.relative_to(ROOT).as_posix() for path in SECONDS)
    text = escape(alternative(reproduced()[-1], read_json(RESULTS / "benchmark.json")))
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" width="720" alt="{text}"></picture>'
    )


def generated() -> dict[Path, dict[str, str]]:
    """Return every generated part by its name, for each page."""
    return {
        README: {
            "picture": picture_part(),
            "results": results_part(reproduced(), REPORT.relative_to(ROOT).as_posix()),
            "exports": short_section(),
        },
        DOCS / "usage.md": {"verbs": verbs()},
        RECORDS / "README.md": {"records": records_markdown(read_records(RECORDS))},
        DOCS / "native-engine.md": {
            "speed": speed(read_json(RESULTS / "benchmark.json")),
            "engines": engines_part(checked(both_engines())),
            "precisions": precisions_part(checked(both_precisions())),
        },
        DOCS / "cluster.md": {"cost": measured_section()},
        DOCS / "reading.md": {"reading": tables(read_json(RESULTS / "reading.json")).rstrip("\n")},
        DOCS / "export.md": {"proofs": proofs_section()},
        DOCS / "export-c.md": {"cortex-m4": cortex_m4_section()},
    }


def reproduction_report(benches: list[Bench]) -> str:
    """Return docs/reproduction/report.md, its recipes checked again."""
    verdicts = {bench.recipe.name: check(bench.recipe) for bench in benches}
    return reproduction(benches, verdicts, benches[0].command, drawn=False).markdown()


def pages() -> dict[Path, tuple[str, str]]:
    """Return each page as it is and as it should be."""
    made = {
        BENCHMARK_PAGE: page(read_json(RESULTS / "benchmark.json")),
        REPORT: reproduction_report(reproduced()),
    }
    found = {path: (read_text(path) if path.exists() else "", text) for path, text in made.items()}
    for path, parts in generated().items():
        before = read_text(path)
        found[path] = before, filled(before, parts)
    return found


def main(arguments: list[str]) -> int:
    """Write the pages, or check them; return the exit code."""
    stale = {path: after for path, (before, after) in pages().items() if before != after}
    if "--check" in arguments:
        if stale:
            print(f"stale: {', '.join(path.name for path in stale)}; run make readme")
        return 1 if stale else 0
    for path, text in stale.items():
        write_text(path, text)
    drawn = "--pictures" in arguments
    if drawn or RECORDS / "README.md" in stale or not all(map(Path.exists, PICTURES)):
        draw_records()
    if drawn or README in stale or not all(map(Path.exists, SECONDS)):
        benchmark = read_json(RESULTS / "benchmark.json")
        write_pair(SECONDS, lambda theme: seconds_figure(reproduced()[-1], benchmark, theme))
    if drawn or REPORT in stale:
        reproduction(reproduced(), {}, "").write_pictures(REPORT.parent)
    return 0


def draw_records() -> None:
    """Draw the picture of the records, for a light page and for a dark one."""
    entries = compare([RECORDS / record.folder for record in read_records(RECORDS)])
    write_pair(PICTURES, lambda theme: leaderboard_figure(entries, theme=theme))


def write_pair(paths: tuple[Path, Path], draw: Callable[[Theme], Figure]) -> None:
    """Write a picture for a light page and for a dark one."""
    for path, png in zip(paths, themed(draw), strict=True):
        write_bytes(path, png)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
