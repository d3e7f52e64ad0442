"""Write the generated parts of README.md and the pages in docs/, or with --check only say whether they hold.

Usage: python -m tools.readme [--check]

A generated part stands between ``<!-- name -->`` and ``<!-- /name -->``; docs/benchmark.md is all generated.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.tables import page, speed
from tools.cluster_cost import measured_section
from under20k.checking.check import check
from under20k.cli.main import VERBS
from under20k.files import read_text, write_text
from under20k.recipe.named import RECIPES
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import initial_weights
from under20k.report.bench import in_points, points_interval
from under20k.report.pages import filled
from under20k.report.records import records_markdown
from under20k.report.reproduction.page import write_reproduction
from under20k.report.reproduction.target import Standing, target_table, target_text
from under20k.report.tables import Table
from under20k.report.words import NOTHING, p_text
from under20k.runs.bench.bench import Bench
from under20k.runs.bench.significance import Difference
from under20k.runs.bench.statistics import Sample, Summary
from under20k.runs.leaderboard import bench_in
from under20k.runs.metrics import EpochMetrics, metrics_lines
from under20k.runs.records.record import read_records
from under20k.runs.run import Run, run_path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
CLUSTER_PAGE = ROOT / "docs" / "cluster.md"
NATIVE_PAGE = ROOT / "docs" / "native-engine.md"
RESULTS = ROOT / "docs" / "reproduction" / "results.json"
REPORT = RESULTS.with_name("report.md")
TORCH_RESULTS = ROOT / "docs" / "reproduction" / "results-torch.json"
BENCHMARK = ROOT / "docs" / "benchmark.json"
BENCHMARK_PAGE = ROOT / "docs" / "benchmark.md"
RECORDS = ROOT / "records"
BF16 = ROOT / "docs" / "bf16"
FP32 = {
    "regularized": RECORDS / "reference" / "2026-11-26-regularized",
    "minimal": RECORDS / "reference" / "2026-11-26-minimal",
    "regularized-plus": RECORDS / "accurate" / "2026-11-26-regularized-plus",
    "minimal-plus": BF16 / "minimal-plus-fp32",
    "minimal-augmented": BF16 / "minimal-augmented-fp32",
}
"""A bench or record in fp32 for each bench in bf16, ``docs/bf16/RECIPE``, over the same seeds."""


def result_table(results: Mapping[str, Any]) -> str:
    """Each recipe's validation accuracy over the seeds, and whether it reaches the target."""
    standings = [
        Standing(
            Recipe.from_dict(of_recipe["recipe"]),
            Summary.of(
                [[epoch["validation_accuracy"] for epoch in run["epochs"]] for run in of_recipe["runs"]]
            ),
        )
        for of_recipe in results["recipes"].values()
    ]
    return f"{target_table(standings).markdown()}\n\n{target_text(standings)}"


def provenance(results: Mapping[str, Any]) -> str:
    """The command that made the results, and on what."""
    runs = [run for of_recipe in results["recipes"].values() for run in of_recipe["runs"]]
    environments = [run["environment"] for run in runs]
    processors = ", ".join(sorted({environment["processor"] for environment in environments}))
    engines = ", ".join(
        sorted(
            {
                " ".join(filter(None, (e["engine"], e.get("instruction_set"), e["precision"])))
                for e in environments
            }
        )
    )
    seeds = sorted({run["seed"] for run in runs})
    return (
        f"Mean ± sd over seeds {seeds[0]}–{seeds[-1]}, all of them, by `{results['command']}` "
        f"({processors}; {engines}); [the full report](docs/reproduction/report.md)."
    )


def verbs() -> str:
    """The command line's verbs."""
    rows = tuple((f"under20k {verb}", text) for verb, text in VERBS.items())
    return Table(("Command", "What it does"), rows, align="ll").markdown()


def last_accuracies(of_recipe: Mapping[str, Any]) -> list[float]:
    """Validation accuracy at the last epoch, seed by seed."""
    return [run["epochs"][-1]["validation_accuracy"] for run in of_recipe["runs"]]


def engines(native: Mapping[str, Any], torch: Mapping[str, Any]) -> str:
    """Last-epoch validation accuracy by both engines, and their difference, paired by seed."""
    rows = []
    for name, other in torch["recipes"].items():
        of_recipe = native["recipes"][name]
        assert [run["seed"] for run in of_recipe["runs"]] == [run["seed"] for run in other["runs"]]
        ours, theirs = last_accuracies(of_recipe), last_accuracies(other)
        difference = Difference.of(ours, theirs).sample
        rows.append(
            (
                name,
                str(difference.n),
                str(Sample.of(ours)),
                str(Sample.of(theirs)),
                f"{in_points(difference.mean, sign=True)} ± {in_points(difference.standard_error)}",
            )
        )
    header = ("Recipe", "Seeds", "native", "torch", "Difference ± standard error, points")
    return Table(header, tuple(rows)).markdown()


def in_both_precisions() -> dict[str, tuple[Bench, Bench]]:
    """Each recipe's seeds in bf16, and the same in fp32."""
    benches = {name: (bench_in(BF16 / name), bench_in(fp32)) for name, fp32 in FP32.items()}
    for name, (bf16, fp32) in benches.items():
        assert [seed.seed for seed in bf16.seeds] == [seed.seed for seed in fp32.seeds], name
        assert bf16.recipe == fp32.recipe == RECIPES[name]
    return benches


def precisions(benches: Mapping[str, tuple[Bench, Bench]]) -> str:
    """Last-epoch validation accuracy in fp32 and in bf16, and their difference, paired by seed."""

    def difference(pairs: Sequence[tuple[float, float]]) -> tuple[str, ...]:
        found = Difference.of(*zip(*pairs, strict=True))
        return in_points(found.sample.mean, sign=True), points_interval(found), p_text(found.t_test_p)

    pairs = {name: list(zip(bf16.last, fp32.last, strict=True)) for name, (bf16, fp32) in benches.items()}
    every = [pair for of_recipe in pairs.values() for pair in of_recipe]
    rows = []
    for name, (bf16, fp32) in benches.items():
        samples = [bench.statistics.summary.last for bench in (fp32, bf16)]
        rows.append((name, str(len(pairs[name])), *map(str, samples), *difference(pairs[name])))
    rows.append(("all of them", str(len(every)), NOTHING, NOTHING, *difference(every)))
    header = ("Recipe", "Seeds", "fp32", "bf16, emulated", "Difference, points", "95% interval", "p")
    return Table(header, tuple(rows)).markdown()


def generated() -> dict[Path, dict[str, str]]:
    """Every generated part by its name, for each page."""
    results, torch, benchmark = (json.loads(read_text(path)) for path in (RESULTS, TORCH_RESULTS, BENCHMARK))
    return {
        README: {
            "results": f"{result_table(results)}\n\n{provenance(results)}",
            "verbs": verbs(),
            "speed": speed(benchmark),
            "records": records_markdown(read_records(RECORDS)),
        },
        NATIVE_PAGE: {"engines": engines(results, torch), "precisions": precisions(in_both_precisions())},
        CLUSTER_PAGE: {"cost": measured_section()},
    }


def reproduction_report(results: Mapping[str, Any]) -> str:
    """docs/reproduction/report.md: the report of the runs whose figures these are, checked anew."""
    runs: dict[str, list[Run]] = {}
    with TemporaryDirectory() as folder:
        for name, of_recipe in results["recipes"].items():
            for one in of_recipe["runs"]:
                environment = {key: value for key, value in one["environment"].items() if key != "seed"}
                run = Run.create(
                    run_path(Path(folder), name, one["seed"]), RECIPES[name], one["seed"], environment
                )
                metrics = [EpochMetrics(**epoch) for epoch in one["epochs"]]
                write_text(run.path / "metrics.jsonl", metrics_lines(metrics))
                run.save_model(
                    initial_weights(run.recipe.architecture, 0), metrics
                )  # of which nothing is told
                runs.setdefault(name, []).append(run)
        verdicts = {name: check(RECIPES[name]) for name in runs}
        page = write_reproduction(runs, verdicts, Path(folder) / "report", results["command"])
        return read_text(page.with_suffix(".md"))


def pages() -> dict[Path, tuple[str, str]]:
    """Each page as it is and as it should be."""
    own = read_text(BENCHMARK_PAGE) if BENCHMARK_PAGE.exists() else ""
    found = {BENCHMARK_PAGE: (own, page(json.loads(read_text(BENCHMARK))))}
    report = reproduction_report(json.loads(read_text(RESULTS)))
    found[REPORT] = read_text(REPORT), report
    for path, parts in generated().items():
        before = read_text(path)
        found[path] = before, filled(before, parts)
    return found


def main(arguments: list[str]) -> int:
    """Write the pages, or check them; returns the exit code."""
    stale = []
    for path, (before, after) in pages().items():
        if before != after:
            stale.append(path.name)
            if "--check" not in arguments:
                write_text(path, after)
    if stale and "--check" in arguments:
        print(f"stale: {', '.join(stale)}; run make readme")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
