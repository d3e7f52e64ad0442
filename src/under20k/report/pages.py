"""Generated parts of Markdown pages, each between ``<!-- name -->`` and ``<!-- /name -->``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain

from under20k.formatting import percent
from under20k.report.bench import in_points, points_interval
from under20k.report.reproduction.assignment import SPECIFIED
from under20k.report.tables import Table
from under20k.report.words import NOTHING, P_DIFFERENCE, TARGET, p_text, ranges
from under20k.runs.bench.bench import Bench
from under20k.runs.bench.significance import Difference

Pairs = Mapping[str, tuple[Bench, Bench]]
"""Two benches of the same seeds, by the name of their recipe."""


def has_part(text: str, name: str) -> bool:
    """Return whether a page has a part of that name."""
    return f"<!-- {name} -->" in text


def filled(text: str, parts: Mapping[str, str]) -> str:
    """Return ``text`` with its generated parts replaced. Raises ValueError unless each is there once."""
    for name, part in parts.items():
        block = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        found = list(block.finditer(text))
        if len(found) != 1:
            raise ValueError(f"the page has {len(found)} parts {name!r}")
        (place,) = found
        text = f"{text[: place.start()]}{place[1]}{part}\n{place[2]}{text[place.end() :]}"
    return text


def results_part(benches: Sequence[Bench], report: str) -> str:
    """Return README's table: every bench beside the assignment's own figure, and how they were trained.

    Args:
        benches: Of one command.
        report: Link to the full report.
    """
    rows = [
        (
            bench.recipe.name,
            f"{bench.recipe.architecture.parameters:,}",
            str(bench.summary.last),
            f"{bench.summary.reached_at_last} of {bench.summary.n}",
            percent(SPECIFIED[bench.recipe.name].last_validation)
            if bench.recipe.name in SPECIFIED
            else NOTHING,
        )
        for bench in benches
    ]
    header = ("Network", "Parameters", "Validation accuracy", f"Seeds ≥ {TARGET}", "Assignment's one seed")
    environments = [seed.environment for bench in benches for seed in bench.seeds]
    processors = sorted({environment["processor"] for environment in environments})
    engines = sorted(
        {
            " ".join(filter(None, (e["engine"], e.get("instruction_set"), e["precision"])))
            for e in environments
        }
    )
    seeds = {seed.seed for bench in benches for seed in bench.seeds}
    provenance = (
        f"Mean ± sd over seeds {ranges(list(seeds))} at the last epoch, by `{benches[0].command}` "
        f"({', '.join(processors)}; {', '.join(engines)}). The [full report]({report}) has curves, intervals "
        "and p-values."
    )
    return f"{Table(header, tuple(rows)).markdown()}\n\n{provenance}"


def engines_part(pairs: Pairs) -> str:
    """Return last-epoch validation accuracy by the native engine and by torch, paired by seed."""
    rows = []
    for name, (native, torch) in pairs.items():
        difference = native.versus(torch).sample
        rows.append(
            (
                name,
                str(difference.n),
                str(native.summary.last),
                str(torch.summary.last),
                f"{in_points(difference.mean, sign=True)} ± {in_points(difference.standard_error)}",
            )
        )
    header = ("Recipe", "Seeds", "native", "torch", "Difference ± standard error, points")
    return Table(header, tuple(rows)).markdown()


def precisions_part(pairs: Pairs) -> str:
    """Return last-epoch validation accuracy in bf16 and in fp32, paired by seed, and of all pairs."""
    rows = [
        (
            name,
            str(len(bf16.seeds)),
            str(fp32.summary.last),
            str(bf16.summary.last),
            *_cells(bf16.versus(fp32)),
        )
        for name, (bf16, fp32) in pairs.items()
    ]
    ours, theirs = (
        list(chain.from_iterable(bench.last for bench in side)) for side in zip(*pairs.values(), strict=True)
    )
    every = Difference.of(ours, theirs)
    rows.append(("all of them", str(len(ours)), NOTHING, NOTHING, *_cells(every)))
    header = ("Recipe", "Seeds", "fp32", "bf16, emulated", "Difference, points", "95% interval", P_DIFFERENCE)
    return Table(header, tuple(rows)).markdown()


def _cells(difference: Difference) -> tuple[str, str, str]:
    """Return the mean in percentage points, its interval and the t-test's p-value."""
    mean = in_points(difference.sample.mean, sign=True)
    return mean, points_interval(difference), p_text(difference.t_test_p)
