"""The specification's result: train both of its models, as it does and better; check, compare and report.

Four recipes: regularized and minimal as the specification has them, and regularized-plus and minimal-plus,
the same architectures in the same epochs. What is printed says which reach 99.40% and which do not.

Runs that are finished are reused and stopped ones go on, so the same command again costs little. Of a
reused run that another engine or other numerics have trained, it says so.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from under20k.cli.options import (
    add_data_dir,
    add_engine,
    add_jobs,
    add_runs_dir,
    compute_argument,
    jobs_argument,
    places_argument,
)
from under20k.errors import shown


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k reproduce``."""
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="train seeds 0 to N−1 (default: %(default)s)"
    )
    add_jobs(parser)
    add_runs_dir(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        default=Path("report"),
        help="where the report goes (default: %(default)s)",
    )
    add_engine(parser, "1 a training, of which several run at a time")
    add_data_dir(parser)
    parser.add_argument("--json", action="store_true", help="print every figure as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Do what the options say; returns the exit code. Raises UserError."""
    jobs, compute = jobs_argument(arguments), compute_argument(arguments)

    from under20k.checking.findings import missed, unmet_advice
    from under20k.cli.progress import Display
    from under20k.files import read_text
    from under20k.report.reproduction.page import reproduction_text
    from under20k.report.reproduction.reproduce import reproduce

    with Display("trainings") as display:
        try:
            reproduction = reproduce(
                arguments.seeds,
                compute=compute,
                places=places_argument(arguments),
                report_dir=arguments.output,
                jobs=jobs,
                on_event=display,
            )
        except KeyboardInterrupt:
            display.line("stopped; the same command goes on after the last whole epochs")
            raise
    if arguments.json:
        print(read_text(arguments.output / "results.json"), end="")
        return 0
    print(reproduction_text(reproduction.runs))
    for name, verdicts in reproduction.verdicts.items():
        count = f"{sum(finding.passed for finding in verdicts)} of {len(verdicts)} requirements met"
        rules, advice = missed(verdicts), unmet_advice(verdicts)
        count += f"; missed: {', '.join(rules)}" if rules else ""
        count += f"; advised and not met: {', '.join(advice)}" if advice else ""
        print(f"{name}: {count}")
    print(f"report: {shown(str(reproduction.report.absolute()))}")
    return 0
