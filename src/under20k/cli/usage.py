"""Bad usage in the user's own words: unknown options, and values that are none."""

from __future__ import annotations

import argparse
import itertools
import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from under20k.errors import UserError, nearest
from under20k.recipe.customary import suggestion


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises UserError for bad usage and refuses empty paths."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.register("type", Path, named_path)
        self.register("type", int, whole_number)
        self.register("type", float, number)

    def error(self, message: str) -> NoReturn:
        if found := re.fullmatch(r"argument (.+?): invalid choice: ('.*') \(choose from (.*)\)", message):
            name, value, choices = found.groups()
            known = [choice.strip("'") for choice in choices.split(", ")]
            close = nearest(value.strip("'"), known)
            meant = f"; {close}" if close.startswith("did") else ""
            raise UserError(f"{option_of(name)} is {value}; expected one of {', '.join(known)}{meant}")
        if found := re.fullmatch(r"argument (.+?): ('.*'; expected .*)", message, re.DOTALL):
            raise UserError(f"{option_of(found[1])} is {found[2]}")
        raise UserError(f"{message.removeprefix('argument ')}; see '{self.prog} --help'")


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Wraps the paragraphs of a description at the terminal's width; indented lines stay as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(
            textwrap.indent(paragraph, indent)
            if "\n  " in f"\n{paragraph}"
            else textwrap.fill(
                paragraph, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
            )
            for paragraph in text.strip("\n").split("\n\n")
        )


def option_of(name: str) -> str:
    """Return argparse's name of an argument as one option: ``--quiet`` of ``-q/--quiet``."""
    return "the command" if name.startswith("{") else name.rpartition("/")[2]


def named_path(text: str) -> Path:
    """Return a path. Raises ArgumentTypeError for an empty one, which would be the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; name a file or folder")
    return Path(text)


def whole_number(text: str) -> int:
    """Return an option's whole number. Raises ArgumentTypeError for another text."""
    try:
        return int(text)
    except ValueError:  # also for thousands of digits
        raise argparse.ArgumentTypeError(f"{text!r:.80}; expected a whole number") from None


def number(text: str) -> float:
    """Return an option's number. Raises ArgumentTypeError for another text."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r:.80}; expected a number") from None


def check_options(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Raise UserError for the first word of a command line that is an option which ``parser`` lacks.

    The error suggests an option that there is.
    """
    known = set(options(parser))
    for word in itertools.takewhile(lambda word: word != "--", words):
        if re.fullmatch("--[a-z0-9-]+=--", word):  # argparse reads it as no value, or as a list
            raise UserError(f"{word} gives no value; see '{parser.prog} --help'")
        found = re.fullmatch(r"(--?[A-Za-z][^=\s]*)(=.*)?", word, re.DOTALL)
        if not found or found[1] in known or (word[1] != "-" and word[:2] in known):
            continue
        there = {option[2:].replace("-", "_") for option in known if re.match("--(?!no-)", option)}
        close = suggestion(found[1].lstrip("-").replace("-", "_"), there, option_text)
        close = close or f"see '{parser.prog} --help'"
        raise UserError(f"there is no option {found[1]}; {close}")


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the options of a parser, and of its subparsers."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from options(below)


def option_text(name: str) -> str:
    """Return ``--batch-size`` for ``batch_size``."""
    return f"--{name.replace('_', '-')}"


def as_typed(message: str, words: Sequence[str]) -> str:
    """Return an error's message with the option that was typed in place of Python's name of the value.

    ``batch_size: 0; expected …`` becomes ``--batch-size is 0; expected …`` where the words have that option.
    """
    found = re.fullmatch(r"([a-z][a-z0-9_]*): (.*)", message, re.DOTALL)
    if not found:
        return message
    option = option_text(found[1])
    typed = {word.partition("=")[0] for word in words}
    return f"{option} is {found[2]}" if typed & {option, f"--no-{option[2:]}"} else message
