"""Print the results of ``under20k check`` and write the files that were asked for."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from under20k.checking.results import Result, deciding, tally
from under20k.checking.source.submissions import Found, Model
from under20k.errors import UserError
from under20k.files import write_text
from under20k.interactive.terminal import INDENT, say, terminal_width
from under20k.report.check import folder_text, model_text
from under20k.report.check_formats import badge, comma_separated, junit, markdown
from under20k.report.text_lines import wrapped
from under20k.report.words import plural

DETAILED = 3
"""Up to this many models of a folder are shown in full."""


def show_models(arguments: argparse.Namespace, results: Sequence[Result]) -> int:
    """Print the models of one target and write the files asked for; return the exit code."""
    _write(arguments, results)
    if arguments.json:
        rows = [result.to_json() for result in results]
        print(json.dumps({"results": rows} if arguments.all else rows[0], indent=2))
    else:
        if arguments.all:  # the others have texts of their own
            results = [replace(result, judgement=replace(result.judgement, others=())) for result in results]
        width = terminal_width()
        say("\n\n".join(model_text(result, width, layers=arguments.layers) for result in results))
    return _exit_code(results)


def show_folder(arguments: argparse.Namespace, found: Found, results: Sequence[Result]) -> int:
    """Print the submissions of a folder and write the files asked for; return the exit code."""
    summary = "; ".join([tally(results), *_left_out(found)])
    _write(arguments, results, heading(found), summary)
    if arguments.json:
        facts = {
            "folder": str(found.folder),
            "is_project": found.is_project,
            "why": found.why,
            "tally": summary,
            "without_model": found.without_model,
            "without_code": found.without_code,
        }
        print(json.dumps({**facts, "results": [result.to_json() for result in results]}, indent=2))
    else:
        say(_folder_report(arguments, found, summary, results))
    return _exit_code(deciding(results))


def show_code(models: Iterable[Model]) -> int:
    """Print the statements that would run for each model, then refuse to run them."""
    for model in models:
        if model.target is None:
            say(f"{model.text}: broken, {model.error}")
            continue
        target = model.target
        lines = sum(len(source.splitlines()) for _, source in target.pieces)
        say(f"{model.text}: would run {target.path}, {lines} lines, and call {target.name}")
        for line in target.summary():
            say(f"  {line}", indent="    ")
    raise UserError("nothing was run; read the code, then give --trust to run it")


def heading(found: Found) -> str:
    """Return how the folder was interpreted, and the option that overrides it."""
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
    parts = []
    if found.without_model:
        parts.append(f"{plural(len(found.without_model), 'file')} without a model left out")
    if found.without_code:
        names = ", ".join(found.without_code[:5]) + ", …" * (len(found.without_code) > 5)
        parts.append(f"{plural(len(found.without_code), 'folder')} without code: {names}")
    return parts


def _folder_report(
    arguments: argparse.Namespace, found: Found, summary: str, results: Sequence[Result]
) -> str:
    """Return the tally and the table of a folder, and the details of a few models or of a project's own."""
    width = terminal_width()
    parts = ["\n".join(wrapped(heading(found), width) + wrapped(summary, width, INDENT))]
    if len(results) > 1:
        parts.append(folder_text(results, width))
    shown = [result for result in results if result.judgement.word != "no model"]
    if len(shown) > DETAILED:
        shown = deciding(shown) if found.is_project else []
    parts += [model_text(result, width, layers=arguments.layers) for result in shown]
    if len(results) > len(shown):
        parts.append("\n".join(wrapped("the verdicts on one model: under20k check FILE:NAME --trust", width)))
    return "\n\n".join(parts)


def _exit_code(results: Sequence[Result]) -> int:
    return int(any(result.judgement.word in ("failed", "broken") for result in results))


def _write(
    arguments: argparse.Namespace, results: Sequence[Result], heading: str = "", summary: str = ""
) -> None:
    writers: dict[str, Callable[[Sequence[Result]], str]] = {
        "junit": junit,
        "markdown": lambda results: markdown(results, heading, summary),
        "csv": comma_separated,
        "badge": badge,
    }
    for option, make in writers.items():
        if path := getattr(arguments, option):
            write_text(path, make(results))
