"""Run a benchmark from the command line."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence

from under20k.cli.console import any_text
from under20k.errors import UserError


def run_command(
    module: str,
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace, str], None],
    argv: Sequence[str] | None,
) -> int:
    """Measure, and return the exit code.

    Args:
        module: what ``python -m`` runs.
        parser: of its options.
        run: measures; it takes the options and the whole command. It may raise UserError.
        argv: the words of the command, by default this process's.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    with any_text():
        try:
            run(parser.parse_args(words), f"python -m {module} {shlex.join(words)}".rstrip())
        except UserError as error:
            print(f"{module}: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
    return 0
