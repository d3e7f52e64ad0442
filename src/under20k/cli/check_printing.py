"""How ``under20k check`` prints what it found, and writes the files that are asked for."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterable
from typing import Any

from under20k.checking import formats
from under20k.checking.profiles import Profile
from under20k.checking.source.submissions import Found, Model
from under20k.errors import UserError
from under20k.files import write_text
from under20k.report.check import folder_text, model_text
from under20k.report.tables import wrapped
from under20k.report.words import plural

Results = list[tuple[str, dict[str, Any]]]
DETAILED = 3
"""So many models of a folder are shown in full."""


def show_models(arguments: argparse.Namespace, results: Results, profile: Profile) -> int:
    """Print the models of one target, write the files that are asked for; the exit code."""
    results = _limited(results, profile)
    _write(arguments, results)
    if arguments.json:
        rows = _rows(results)
        print(json.dumps({"results": rows} if arguments.all else rows[0], indent=2))
    else:
        if arguments.all:  # the others are here
            results = [(text, {**result, "others": []}) for text, result in results]
        texts = [model_text(*each, _width(), layers=arguments.layers) for each in results]
        print("\n\n".join(texts))
    return _exit_code(results)


def show_folder(arguments: argparse.Namespace, found: Found, results: Results, profile: Profile) -> int:
    """Print the submissions of a folder, write the files that are asked for; the exit code."""
    results = _limited(results, profile)
    tally = "; ".join([formats.tally(results), *_left_out(found)])
    _write(arguments, results, heading(found), tally)
    if arguments.json:
        facts = {
            "folder": str(found.folder),
            "is_project": found.is_project,
            "why": found.why,
            "tally": tally,
            "without_model": found.without_model,
            "without_code": found.without_code,
        }
        print(json.dumps({**facts, "results": _rows(results)}, indent=2))
    else:
        print(_folder_report(arguments, found, tally, results))
    return _exit_code(formats.deciding(results))


def show_code(models: Iterable[Model]) -> int:
    """Print what would run of each model, then refuse."""
    for model in models:
        if model.target is None:
            print(f"{model.text}: broken, {model.error}")
            continue
        target = model.target
        lines = sum(len(source.splitlines()) for _, source in target.pieces)
        print(f"{model.text}: would run {target.path}, {lines} lines, and call {target.name}")
        print("".join(f"  {line}\n" for line in target.summary()), end="")
    raise UserError("nothing was run; read the code, then give --trust to run it")


def heading(found: Found) -> str:
    """What the folder was taken for, and how to say otherwise."""
    what = "one submission" if found.is_project else plural(len(found.submissions), "submission")
    if not found.why:
        return f"{found.folder}: {what}"
    other = (
        "--class judges its subfolders and files one by one"
        if found.is_project
        else "--project judges it as one"
    )
    return f"{found.folder}: {what} ({found.why}; {other})"


def _left_out(found: Found) -> list[str]:
    """What was no submission's model."""
    parts = []
    if found.without_model:
        parts.append(f"{plural(len(found.without_model), 'file')} without a model left out")
    if found.without_code:
        names = ", ".join(found.without_code[:5]) + ", …" * (len(found.without_code) > 5)
        parts.append(f"{plural(len(found.without_code), 'folder')} without code: {names}")
    return parts


def _folder_report(arguments: argparse.Namespace, found: Found, tally: str, results: Results) -> str:
    """The table of a folder and, of a few models or of a project's own, all that is known of them."""
    width = _width()
    parts = ["\n".join(wrapped(heading(found), width))]
    if len(results) > 1:
        parts.append(folder_text(results, width))
    shown = [each for each in results if formats.word(each[1]) != "no model"]
    if len(shown) > DETAILED:
        shown = formats.deciding(shown) if found.is_project else []
    parts += [model_text(*each, width, layers=arguments.layers) for each in shown]
    if len(results) > len(shown):
        tally += "; the verdicts on one model: under20k check FILE:NAME --trust"
    return "\n\n".join([*parts, "\n".join(wrapped(tally, width))])


def _limited(results: Results, profile: Profile) -> Results:
    """With the limits, which what is claimed is held against."""
    return [(text, {**result, "limits": profile.limits}) for text, result in results]


def _rows(results: formats.Results) -> list[dict[str, Any]]:
    return [{"target": text, "result": formats.word(result), **result} for text, result in results]


def _exit_code(results: formats.Results) -> int:
    return int(any(formats.word(result) in ("failed", "broken") for _, result in results))


def _width() -> int | None:
    """The terminal's, or None where the text goes to a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _write(
    arguments: argparse.Namespace, results: formats.Results, heading: str = "", tally: str = ""
) -> None:
    writers: dict[str, Callable[[formats.Results], str]] = {
        "junit": formats.junit,
        "markdown": lambda results: formats.markdown(results, heading, tally),
        "csv": formats.comma_separated,
        "badge": formats.badge,
    }
    for option, make in writers.items():
        if path := getattr(arguments, option):
            write_text(path, make(results))
