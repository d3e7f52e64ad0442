"""Check a recipe or a run against the requirements of the brief, with the evidence found in the network.

Exit code 1 if a requirement is missed.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from under20k.cli.options import recipe_argument


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k check``."""
    parser.add_argument(
        "target", metavar="RECIPE|RUN", help="a recipe's name, a recipe.json, or a run folder"
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Do what the options say; returns the exit code. Raises UserError."""
    from under20k.api import check
    from under20k.report.verdicts import missed, verdicts_table

    target = arguments.target
    verdicts = check(recipe_argument(target) if target.endswith(".json") else target)
    passed = all(verdict.passed for verdict in verdicts)
    if arguments.json:
        rows = [asdict(verdict) for verdict in verdicts]
        print(json.dumps({"target": target, "passed": passed, "verdicts": rows}, indent=2))
    else:
        print(verdicts_table(verdicts, target).text())
        rules = missed(verdicts)
        print(f"\nmisses: {', '.join(rules)}" if rules else "\nmeets every requirement")
    return 0 if passed else 1
