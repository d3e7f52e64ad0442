"""Print the script that completes verbs, options, choices, recipes, runs and files in a shell.

  bash  ~/.local/share/bash-completion/completions/under20k
  zsh   ~/.zfunc/_under20k, with this in ~/.zshrc:
        fpath=(~/.zfunc $fpath); autoload -Uz compinit; compinit
  fish  ~/.config/fish/completions/under20k.fish

Write it there, into a folder that exists, and open another shell:

  under20k completion fish > ~/.config/fish/completions/under20k.fish
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from under20k.cli.usage import Parser

SHELLS = ("bash", "zsh", "fish")
KINDS = {
    "RUN": ("run",),
    "BENCH": ("bench",),
    "RECORD": ("record",),
    "PATH": ("run", "bench", "record"),
    "RUN|BENCH|RECORD": ("run", "bench", "record"),
}
"""What the folders hold that an argument takes, by its metavar."""
MARKS = {
    "run": "runs/*/environment.json",
    "bench": "benches/*/bench.json",
    "record": "records/*/*/record.json",
}
"""The file that makes a folder a run, a bench or a record, where they lie by default."""
DEVICES = ("auto", "cpu", "cuda", "mps")
Completer = Callable[..., Iterable[str]]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k completion``."""
    parser.add_argument("shell", choices=SHELLS, help="your shell; echo $SHELL prints it")


def run(arguments: argparse.Namespace) -> int:
    """Print the script; return the exit code."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(["under20k"], shell=arguments.shell))
    return 0


def answer(verbs: Mapping[str, str]) -> None:
    """Tell the shell the candidates for the line that it has put into the environment, and exit."""
    import argcomplete

    parser = line_parser(verbs, os.environ.get("COMP_LINE", ""))
    argcomplete.autocomplete(parser, always_complete_options=False)  # only after a "-"


def line_parser(verbs: Mapping[str, str], line: str) -> argparse.ArgumentParser:
    """Return the parser of a command line, with the options of its verb alone, which is quick."""
    parser = Parser(prog="under20k")
    parser.add_argument("--version", action="store_true", help="show the version and the engine, and exit")
    below = parser.add_subparsers(dest="verb")
    typed = line.split()[1:2]
    for verb, text in verbs.items():
        of_verb = below.add_parser(verb, help=text, allow_abbrev=False)
        if [verb] == typed:
            importlib.import_module(f"under20k.cli.{verb}").configure(of_verb)
            for action in actions(of_verb):
                if (completer := completer_of(action)) is not None:
                    action.completer = completer  # type: ignore[attr-defined]
    return parser


def actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments of a parser, and of its subparsers."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from actions(below)


def completer_of(action: argparse.Action) -> Completer | None:
    """Return what completes an argument's value; None for its choices, and for files."""
    if action.choices is not None or action.nargs == 0:
        return None
    metavar = str(action.metavar or "")
    if metavar == "RECIPE":
        return lambda prefix, **_: [*recipes(), *files(prefix, "json")]
    if metavar == "RECIPE|TARGET":
        return lambda prefix, **_: [*recipes(), *files(prefix, "json", "py", "ipynb")]
    if metavar == "RUN|TARGET":
        return lambda prefix, **_: [*folders("run"), *files(prefix, "py", "ipynb")]
    if metavar == "TARGET":
        return lambda prefix, **_: [*recipes(), *folders("run"), *files(prefix)]
    if metavar.startswith("NAME|"):
        return lambda prefix, **_: [*profiles(), *files(prefix, "toml")]
    if metavar == "MODEL":
        return lambda prefix, **_: [*pretrained(), *folders("run", "record"), *files(prefix, "py", "ipynb")]
    if metavar == "RUN|BENCH|RECORD":  # or what a bench is of
        return lambda prefix, **_: [*folders(*KINDS[metavar]), *files(prefix, "py", "ipynb")]
    if metavar in KINDS:
        return lambda prefix, **_: [*folders(*KINDS[metavar]), *files(prefix, "/")]
    if action.dest == "device":
        return lambda **_: DEVICES
    if action.dest == "track":
        return lambda **_: tracks()
    return None if action.type is Path else lambda **_: ()


def recipes() -> list[str]:
    """Return the recipes' names."""
    from under20k.recipe.named import RECIPES

    return list(RECIPES)


def pretrained() -> list[str]:
    """Return the names of the pretrained models."""
    from under20k.deploy.card import names

    return names()


def files(prefix: str, *suffixes: str) -> list[str]:
    """Return the paths that begin with ``prefix``: folders, and files with one of the suffixes, if any."""
    from argcomplete.completers import FilesCompleter

    return list(FilesCompleter(allowednames=suffixes)(prefix))


def folders(*kinds: str) -> list[str]:
    """Return the folders of these kinds in ./runs, ./benches and ./records."""
    return [str(path.parent) for kind in kinds for path in sorted(Path().glob(MARKS[kind]))]


def profiles() -> tuple[str, ...]:
    """Return the names of the profiles."""
    from under20k.checking.profiles import NAMES

    return NAMES


def tracks() -> list[str]:
    """Return the names of the tracks of records."""
    from under20k.runs.records.rules import TRACKS

    return list(TRACKS)
