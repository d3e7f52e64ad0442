"""Check a recipe, a run or any PyTorch model against the requirements of the brief, with evidence.

A model is file.py:Name, package.module:Name or file.ipynb:Name: a class, a factory or an instance. A folder
is checked file by file. A model's code is only parsed, and what would run is shown, unless --trust is given;
then it runs in a process of its own, with limits on time and memory.

Exit code 0 if every requirement is met, 1 if one is missed or a model is broken, 2 for bad usage or input.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from under20k.checking import output
from under20k.checking.findings import Finding, missed
from under20k.checking.profiles import NAMES, Profile, load_profile
from under20k.checking.sandbox import TIME_LIMIT_S, Sandbox, judge_all, judge_apart
from under20k.checking.target import SUFFIXES, argument, parse, submissions
from under20k.cli.options import recipe_argument
from under20k.errors import UserError
from under20k.files import write_text
from under20k.machine import cores
from under20k.report.tables import Table
from under20k.report.verdicts import verdicts_table

LAYERS = (
    *("Layer", "Type", "Output", "Parameters", "MACs", "Field", "Jump"),
    *("BatchNorm", "Activation", "Source"),
)
TIME_LIMIT_MOST_S = 1_000_000
Judgements = list[tuple[str, dict[str, Any]]]
"""Target and what was found, as in ``output``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k check``."""
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="a recipe's name, a recipe.json, a run folder, file.py:Name, package.module:Name,"
        " file.ipynb:Name, or a folder of submissions",
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.add_argument(
        "--profile",
        default="brief",
        metavar="NAME|FILE.toml",
        help=f"limits and levels of the rules: {', '.join(NAMES)}, or a file (default: %(default)s)",
    )
    parser.add_argument("--max-parameters", type=int, metavar="N", help="at most N parameters")
    parser.add_argument("--min-receptive-field", type=int, metavar="N", help="at least N pixels a side")
    parser.add_argument("--max-epochs", type=int, metavar="N", help="at most N epochs, of a recipe or a run")
    for option, text in (
        ("junit", "JUnit XML"),
        ("markdown", "Markdown"),
        ("csv", "CSV"),
        ("badge", "SVG badge"),
    ):
        parser.add_argument(f"--{option}", type=Path, metavar="FILE", help=f"write {text} there as well")
    model = parser.add_argument_group("models", "for what is no recipe and no run")
    model.add_argument("--trust", action="store_true", help="run the model's code")
    model.add_argument(
        "--arg", action="append", default=[], metavar="KEY=VALUE", help="a constructor's argument, repeatable"
    )
    model.add_argument(
        "--time-limit", type=float, default=TIME_LIMIT_S, metavar="S", help="seconds (default: %(default)g)"
    )
    model.add_argument("--jobs", type=int, metavar="N", help="submissions at a time (default: CPUs)")
    model.add_argument(
        "--accuracy",
        type=Path,
        metavar="WEIGHTS",
        help="evaluate these weights (.safetensors, or .pth by torch's weights-only loader) on validation",
    )
    model.add_argument("--test", action="store_true", help="with --accuracy: on the test images instead")


def run(arguments: argparse.Namespace) -> int:
    """Do what the options say; returns the exit code. Raises UserError."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a model's text, a file's name may hold what it cannot
        sys.stdout.reconfigure(errors="backslashreplace")
    _check_limits(arguments)
    target = arguments.target
    profile = load_profile(arguments.profile).with_limits(
        parameters=_more(arguments.max_parameters),
        receptive_field=arguments.min_receptive_field,
        epochs=_more(arguments.max_epochs),
    )
    folder = False
    if _is_model(target):
        folder = Path(target).is_dir()
        texts = [str(path) for path in submissions(Path(target))] if folder else [target]
        if not arguments.trust:
            return _show(texts)
        results = _class(arguments, texts, profile) if folder else [(target, _model(arguments, profile))]
    else:
        if arguments.arg or arguments.accuracy or arguments.test:
            raise UserError("--arg and --accuracy are for a model's file, not for a recipe or a run")
        from under20k.api import judged

        found = recipe_argument(target) if target.endswith(".json") else target
        results = [(target, judged(found, profile))]
    _write(arguments, results)
    if arguments.json:
        rows = [{"target": text, "result": output.word(result), **result} for text, result in results]
        print(json.dumps({"results": rows} if folder else rows[0], indent=2))
    elif folder:
        print(_class_table(results).text())
    else:
        _print(*results[0])
    return 0 if all(output.word(result) == "passed" for _, result in results) else 1


def _more(most: int | None) -> int | None:
    """The limit that is the first not allowed, for the largest number that is."""
    return None if most is None else most + 1


def _check_limits(arguments: argparse.Namespace) -> None:
    for option in ("max_parameters", "min_receptive_field", "max_epochs"):
        value = getattr(arguments, option)
        if value is not None and value < 1:
            raise UserError(f"--{option.replace('_', '-')} is {value}; give 1 or more")


def _is_model(target: str) -> bool:
    if ":" in target or target.endswith((".py", ".ipynb")):
        return True
    from under20k.run import FILES

    folder = Path(target)
    if not folder.is_dir() or (folder / "recipe.json").exists():
        return False
    # A damaged run is still one, to be told what is missing; a class may keep a report.md too.
    of_run = any((folder / name).exists() for name in FILES)
    return not of_run or any(path.suffix in SUFFIXES for path in folder.rglob("*"))


def _class(arguments: argparse.Namespace, texts: list[str], profile: Profile) -> Judgements:
    if arguments.arg or arguments.accuracy or arguments.test:
        raise UserError("--arg and --accuracy are for one model, not for a folder")
    jobs = cores().amount if arguments.jobs is None else arguments.jobs
    if jobs < 1:
        raise UserError(f"--jobs is {jobs}; give 1 or more")
    results: Judgements = []
    with contextlib.closing(judge_all(texts, Sandbox(profile, _time_limit_s(arguments)), jobs)) as judged:
        for text, result in judged:
            results.append((text, result))
            print(f"{len(results)}/{len(texts)} {text}: {output.word(result)}", file=sys.stderr)
    return results


def _model(arguments: argparse.Namespace, profile: Profile) -> dict[str, Any]:
    given = dict(argument(text) for text in arguments.arg)
    if weights := arguments.accuracy:
        if not weights.is_file():
            raise UserError(f"--accuracy: {weights} is not a file")
        from under20k.data import load, load_test

        load()  # the model's process has no network
        if arguments.test:
            load_test()
    elif arguments.test:
        raise UserError("--test says what --accuracy measures; name the weights with it")
    sandbox = Sandbox(
        profile,
        _time_limit_s(arguments),
        arguments=given,
        weights=weights,
        split="test" if arguments.test else "validation",
    )
    return judge_apart(parse(arguments.target), sandbox)


def _time_limit_s(arguments: argparse.Namespace) -> float:
    limit_s: float = arguments.time_limit
    if not 0 < limit_s <= TIME_LIMIT_MOST_S:
        raise UserError(f"--time-limit is {limit_s:g}; give seconds above 0, at most {TIME_LIMIT_MOST_S:,}")
    return limit_s


def _show(texts: list[str]) -> int:
    for text in texts:
        try:
            target = parse(text)
        except UserError as error:
            if len(texts) == 1:
                raise
            print(f"{text}: broken, {error}")
            continue
        lines = sum(len(source.splitlines()) for _, source in target.pieces)
        print(f"{text}: would run {target.path}, {lines} lines, and call {target.name}")
        print("".join(f"  {line}\n" for line in target.summary()), end="")
    raise UserError("nothing was run; read the code, then give --trust to run it")


def _write(arguments: argparse.Namespace, results: Judgements) -> None:
    writers: dict[str, Callable[[output.Results], str]] = {
        "junit": output.junit,
        "markdown": output.markdown,
        "csv": output.comma_separated,
        "badge": output.badge,
    }
    for option, make in writers.items():
        if path := getattr(arguments, option):
            write_text(path, make(results))


def _print(target: str, result: dict[str, Any]) -> None:
    if "error" in result:
        print(f"{target}: broken: {result['error']}")
        return
    layers = tuple(
        (
            row["name"],
            row["type"],
            "×".join(map(str, row["shape"])),
            f"{row['parameters']:,}",
            f"{row['macs']:,}",
            str(row["receptive_field"]),
            f"{row['jump']:g}",
            {True: "yes", False: "no", None: ""}[row["batch_norm_after"]],
            row["activation"] or "",
            row["source"],
        )
        for row in result["layers"]
    )
    if note := result.get("note"):
        print(f"{target}: {note}\n")
    print(Table(LAYERS, layers, caption=target, align="lllrrrrlll").text())
    findings = [Finding(**finding) for finding in result["findings"]]
    print("\n" + verdicts_table(findings).text())
    if measured := result.get("accuracy"):
        print(
            f"\naccuracy: {measured['accuracy']:.2%} ({measured['correct']:,} of {measured['images']:,}"
            f" {measured['split']} images), with inputs {measured['normalisation']},"
            " which fits the train images best"
        )
    rules = missed(findings)
    print(f"\nmisses: {', '.join(rules)}" if rules else "\nmeets every requirement")


def _class_table(results: Judgements) -> Table:
    rows = []
    for text, result in results:
        count = f"{result['parameters']:,}" if "parameters" in result else ""
        rules = missed(Finding(**finding) for finding in result.get("findings", ()))
        rows.append((text, output.word(result), count, result.get("error") or ", ".join(rules)))
    return Table(
        ("Submission", "Result", "Parameters", "Missed, or why broken"), tuple(rows), caption="", align="llrl"
    )
