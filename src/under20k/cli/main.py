"""The ``under20k`` command: import the verb's file alone, run it, turn errors into exit codes.

Exit codes: 0 done, 1 a check that failed, 2 bad usage or input, 130, 143 and 129 ended by Ctrl-C, SIGTERM
and a hang-up.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata

from under20k import __version__
from under20k.cli.console import any_text
from under20k.cli.signals import Signals
from under20k.cli.streams import give_up_stdout, unfailing_stderr
from under20k.cli.usage import HelpFormatter, Parser, as_typed, check_options
from under20k.errors import UserError, in_words, nearest, shown

# A verb is the module under20k.cli.<verb> with configure(parser) and run(arguments) -> exit code.
VERBS = {
    "reproduce": "train, check, compare and report the models of the assignment",
    "train": "train a recipe with one seed, into a run folder",
    "bench": "train a recipe over many seeds, with statistics; compare two recipes",
    "evaluate": "evaluate a run or your own model: accuracy, confusions, errors",
    "predict": "read the digits of pictures: single ones, or pages of them",
    "draw": "draw digits on a page in the browser, and see networks think",
    "compare": "print a leaderboard of runs, benches and records",
    "export": "export a trained model to other formats, each with its proof",
    "report": "regenerate the pages and pictures of runs, benches and records",
    "records": "print the records, verify them, or submit a bench as one",
    "check": "check a recipe, a run or any PyTorch model against the assignment",
    "recipes": "list the recipes, or show one's layers and settings",
    "data": "download, verify and locate MNIST; draw a contact sheet",
    "completion": "print the script that completes commands in bash, zsh or fish",
}

ONE_LINE_LIMIT = 2000  # characters of an error message; more would bury the cause


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (default: ``sys.argv[1:]``) and return its exit code."""
    if argv is None and "_ARGCOMPLETE" in os.environ:  # a shell asks what may follow
        from under20k.cli.completion import answer

        answer(VERBS)
    signals = Signals(own=argv is None)
    with any_text():
        try:
            with signals.heard(), unfailing_stderr():
                return run(list(sys.argv[1:] if argv is None else argv))
        except KeyboardInterrupt as error:
            return signals.end(error)


def run(argv: Sequence[str]) -> int:
    """Run a command line, and return its exit code; signals propagate."""
    try:
        try:
            code = dispatch(argv)
        except (UserError, SystemExit):  # argparse raises the latter after printing help
            sys.stdout.flush()
            raise
        sys.stdout.flush()
        return code
    except UserError as error:
        return fail(str(error))
    except BrokenPipeError:
        # The reader of stdout (head, less) has exited: nobody is left to report to.
        give_up_stdout()
        return 0
    except OSError as error:  # such as a full disk
        give_up_stdout()
        return fail(in_words(error))


def dispatch(argv: Sequence[str]) -> int:
    """Run the verb that the first word of ``argv`` names."""
    # This parser only prints the verbs as help; each verb declares its options in its own file.
    top = Parser(
        prog="under20k",
        description="Train, prove and ship MNIST digit classifiers with fewer than 20,000 parameters.",
        epilog=overview(),
        add_help=False,
        formatter_class=HelpFormatter,
        usage="under20k VERB [OPTION ...]",
    )
    top.add_argument("-h", "--help", action="help", help="show this help and exit")
    top.add_argument("--version", action="store_true", help="show the version and the engine, and exit")
    if not argv:
        top.print_help()
        return 2
    verb, *rest = argv
    if verb.startswith("-"):
        if verb in ("-q", "--quiet") and (named := next((word for word in rest if word in VERBS), "")):
            raise UserError(f"{verb} goes after the verb: under20k {named} {verb}")
        check_options(top, argv)
        if top.parse_args(argv).version:
            print(version_text())
        return 0
    if verb not in VERBS:
        raise UserError(f"there is no verb {verb!r}; {nearest(verb, VERBS)}")
    module = importlib.import_module(f"under20k.cli.{verb}")
    parser = verb_parser(verb)
    check_options(parser, rest)
    arguments = parsed(parser, rest)
    try:
        code: int = module.run(arguments)
    except UserError as error:
        raise UserError(as_typed(str(error), rest)) from error
    return code


def parsed(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """Return the arguments; several files may stand before and after options.

    argparse's own way for that is second choice: it knows no commands within a verb, and errs after ``--``.
    """
    arguments, rest = parser.parse_known_args(words)
    if not rest:
        return arguments
    if any(isinstance(value, list) for value in vars(arguments).values()):
        with suppress(TypeError):  # the verb has commands
            return parser.parse_intermixed_args(words)
    return parser.parse_args(words)


def verb_parser(verb: str) -> Parser:
    """Return the parser of a verb's options."""
    module = importlib.import_module(f"under20k.cli.{verb}")
    parser = Parser(
        prog=f"under20k {verb}",
        description=module.__doc__,
        allow_abbrev=False,
        formatter_class=HelpFormatter,
    )
    module.configure(parser)
    return parser


def version_text() -> str:
    """Return ``under20k 0.1.0 (native engine, avx512; torch 2.13.0)``, without importing torch."""
    from under20k.engine import isa

    if missing := isa.unavailable():
        engine = f"torch engine: {missing}"
    else:
        engine = f"native engine, {isa.instruction_set()}"
    try:
        torch = f"torch {metadata.version('torch')}"
    except metadata.PackageNotFoundError:
        torch = "no torch"
    return f"under20k {__version__} ({engine}; {torch})"


def overview() -> str:
    """Return the list of verbs shown by ``under20k --help``."""
    indent = 2 + max(map(len, VERBS)) + 2
    # As wide as argparse makes the rest of the help.
    width = max(shutil.get_terminal_size().columns - 2, indent + 20)
    lines = ["verbs:"]
    for verb, text in VERBS.items():
        start = f"  {verb}".ljust(indent)
        lines += textwrap.wrap(text, width, initial_indent=start, subsequent_indent=" " * indent)
    return "\n".join([*lines, "", "'under20k VERB --help' shows a verb's options."])


def fail(message: str) -> int:
    """Print ``message`` on stderr, one line but for a terminal's width; return the exit code of bad input."""
    from under20k.interactive.terminal import say

    line = shown(" ".join(message.split()))
    say(f"under20k: {line[:ONE_LINE_LIMIT]}", sys.stderr)
    return 2
