"""Write the generated parts of README.md, or with --check only say whether they hold.

A generated part stands between ``<!-- name -->`` and ``<!-- /name -->``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from under20k.cli.main import VERBS
from under20k.files import read_text, write_text
from under20k.recipe import Recipe
from under20k.report.specification import SPECIFIED
from under20k.report.tables import Table
from under20k.statistics import TARGET_ACCURACY, Summary, percent

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "docs" / "reproduction" / "results.json"


def result_table(results: Mapping[str, Any]) -> str:
    """Each model's validation accuracy over the seeds, beside what the specification reports."""
    target = percent(TARGET_ACCURACY)
    rows = []
    for name, of_recipe in results["recipes"].items():
        recipe = Recipe.from_dict(of_recipe["recipe"])
        summary = Summary.of(
            [[epoch["validation_accuracy"] for epoch in run["epochs"]] for run in of_recipe["runs"]]
        )
        rows.append(
            (
                f"**{name}**",
                f"{recipe.architecture.parameters:,}",
                str(recipe.epochs),
                str(summary.last),
                f"{summary.reached_at_last} of {summary.n}",
                f"{summary.reached_at_any} of {summary.n}",
                percent(SPECIFIED[name].last_validation),
            )
        )
    header = (
        "Model",
        "Parameters",
        "Epochs",
        "Validation accuracy, last epoch",
        f"Seeds ≥ {target}, last epoch",
        "at any epoch",
        "Specification reports",
    )
    return Table(header, tuple(rows)).markdown()


def provenance(results: Mapping[str, Any]) -> str:
    """The command that made the results, and on what."""
    runs = [run for of_recipe in results["recipes"].values() for run in of_recipe["runs"]]
    environments = [run["environment"] for run in runs]
    processors = ", ".join(sorted({environment["processor"] for environment in environments}))
    torch = ", ".join(sorted({environment["packages"]["torch"] for environment in environments}))
    seeds = sorted({run["seed"] for run in runs})
    return (
        f"Mean ± sd over seeds {seeds[0]}–{seeds[-1]}, all of them, by `{results['command']}` "
        f"({processors}, torch {torch}); [the full report](docs/reproduction/report.md)."
    )


def verbs() -> str:
    """The command line's verbs."""
    rows = tuple((f"`under20k {verb}`", text) for verb, text in VERBS.items())
    return Table(("Command", "What it does"), rows, align="ll").markdown()


def generated() -> dict[str, str]:
    """Every generated part by its name."""
    results = json.loads(read_text(RESULTS))
    return {"results": f"{result_table(results)}\n\n{provenance(results)}", "verbs": verbs()}


def filled(text: str, parts: Mapping[str, str]) -> str:
    """``text`` with its generated parts replaced. Raises ValueError unless each is there once."""
    for name, part in parts.items():
        block = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)", re.DOTALL)
        text, count = block.subn(lambda match, part=part: match[1] + part + match[2], text)
        if count != 1:
            raise ValueError(f"README.md has {count} parts {name!r}")
    return text


def main(arguments: list[str]) -> int:
    """Write README.md, or check it; returns the exit code."""
    before = read_text(README)
    after = filled(before, generated())
    if "--check" in arguments:
        print("README.md holds" if before == after else "README.md is stale: run make readme")
        return int(before != after)
    write_text(README, after)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
