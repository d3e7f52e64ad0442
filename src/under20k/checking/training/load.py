"""Load a model from its source for a training; this process runs none of its code, and imports no torch."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from under20k.checking.profiles import load_profile
from under20k.checking.sandbox.messages import Answer, initial_file
from under20k.checking.sandbox.sandbox import Sandbox, answered, judgement_of
from under20k.checking.sandbox.server import Server, Unanswered
from under20k.checking.source.target import Target, parse
from under20k.checking.training.kept_source import KeptSource
from under20k.errors import InvalidValue, UserError
from under20k.files import read_bytes
from under20k.recipe.named import MINIMAL
from under20k.recipe.own_model import OwnModel
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors
from under20k.runs.own_start import OwnStart, OwnTraining
from under20k.runs.tensors import read_tensors

TIME_LIMIT_S = 120.0
"""For a model to be made, run, converted and proved."""
AT_ONCE_BYTES = 2**26
"""Of the initial weights that one process makes."""


@dataclass(frozen=True)
class Loaded:
    """A model with its initial weights by seed, and remarks on how its source was read and run."""

    model: OwnModel
    initial: Mapping[int, Tensors] = field(repr=False)
    files: Mapping[str, bytes] = field(repr=False)
    source: KeptSource | None
    notes: tuple[str, ...]

    def training(self, like: Recipe = MINIMAL) -> OwnTraining:
        """Return the training of this model by a recipe's settings."""
        return OwnTraining(own_recipe(self.model, like), self.start)

    def start(self, seed: int) -> OwnStart:
        """Return what the training with ``seed``, one of those asked for, starts from."""
        return OwnStart(self.initial[seed], self.files, self.source)


def own_recipe(model: OwnModel, like: Recipe = MINIMAL) -> Recipe:
    """Return the recipe that trains a model by the settings of another recipe, named after the model."""
    name = model.name + "".join(f"+{key}={value}" for key, value in model.arguments)
    name += "" if like.name == MINIMAL.name else f"+{like.name}"
    return replace(like, name=name, architecture=model)


def load_model(text: str, seeds: Sequence[int], arguments: Mapping[str, object] | None = None) -> Loaded:
    """Run a model's code in a process of its own and return what a training takes of it.

    Args:
        text: the target: ``file.py:Name``, ``package.module:Name``, a notebook.
        seeds: to make initial weights for.
        arguments: of the constructor.

    Raises:
        UserError: there is no such model, or it cannot be trained on MNIST.
    """
    target = parse(text)
    sandbox = Sandbox(load_profile("brief"), TIME_LIMIT_S, arguments=dict(arguments or {}))
    with contextlib.closing(sandbox.server()) as server:
        first, *others = seeds
        report, initial = _asked(server, sandbox, target, [first])
        model = _model(report, target)
        size_bytes = 4 * sum(math.prod(shape) for shape in model.tensors().values())
        count = max(1, AT_ONCE_BYTES // max(1, size_bytes))
        for at in range(0, len(others), count):
            initial |= _asked(server, sandbox, target, others[at : at + count])[1]
    if len(seeds) > 1 and _all_equal(initial[seed] for seed in seeds[:2]):
        report["notes"].append(f"{target.name} has the same initial weights for every seed")
    files, path = _files(report, target)
    model = replace(model, target=text, sha256=code_sha256(target, files, path))
    source = KeptSource(
        path,
        files,
        target.pieces,
        target.name,
        dict(model.arguments),
        target.package,
        model.layout,
        whole=bool(report["whole"]) and not target.is_notebook,
    )
    return Loaded(model, initial, files, source, (*target.notes, *report["notes"]))


def code_sha256(target: Target, files: Mapping[str, bytes], path: str) -> str:
    """Return the digest of a model's code, as hexadecimal digits.

    Args:
        target: the model, with its source.
        files: the source and the modules that it imports, by path.
        path: of the source among them.
    """
    code = [source for _, source in target.pieces]
    modules = [f"{name}\n{files[name].decode(errors='replace')}" for name in sorted(files) if name != path]
    return hashlib.sha256("\n".join([*code, *modules]).encode(errors="replace")).hexdigest()


def _asked(
    server: Server, sandbox: Sandbox, target: Target, seeds: Sequence[int]
) -> tuple[dict[str, Any], dict[int, Tensors]]:
    """Return the report on a model and its initial weights for some seeds. Raises UserError."""
    try:
        answer = answered(server, sandbox.training_request(target, seeds))
    except Unanswered as error:
        raise UserError(f"{target.text}: {error}") from None
    report = _report(answer, target, sandbox.time_limit_s)
    initial = {}
    for seed in seeds:
        path = server.scratch / initial_file(seed)
        initial[seed] = read_tensors(path, ())[0]
        path.unlink()
    return report, initial


def _report(answer: Answer, target: Target, time_limit_s: float) -> dict[str, Any]:
    """Return what the model's process reports; its code may have written anything. Raises UserError."""
    with contextlib.suppress(ValueError, RecursionError):
        report = json.loads(answer.report)
        if answer.ended and isinstance(report, dict) and "model" in report:
            notes, modules = report.get("notes"), report.get("modules")
            if _texts(notes) and isinstance(modules, dict) and _texts([*modules.values()]):
                return report
    judgement = judgement_of(answer, time_limit_s)
    raise UserError(f"{_named(target)}: {judgement.error or 'its process gave no report'}")


def _texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _named(target: Target) -> str:
    return target.text if target.text.endswith(f":{target.name}") else f"{target.text}:{target.name}"


def _model(report: Mapping[str, Any], target: Target) -> OwnModel:
    try:
        return OwnModel.from_dict(report["model"])
    except InvalidValue as error:
        raise UserError(f"{_named(target)}: its process gave no valid report: {error}") from error


def _files(report: Mapping[str, Any], target: Target) -> tuple[dict[str, bytes], str]:
    """Return the source and its modules by path below the folder of imports, and the source's own path."""
    parents = [part for part in target.package.split(".") if part]
    path = "/".join([*parents, target.path.name])
    files = {path: read_bytes(target.path)}
    for name, file in report["modules"].items():
        module = Path(file)
        below = name.split(".") if all(part.isidentifier() for part in name.split(".")) else []
        if not below or module.suffix != ".py" or not module.is_file():
            continue
        parts = [*below, "__init__.py"] if module.name == "__init__.py" else [*below[:-1], f"{below[-1]}.py"]
        files.setdefault("/".join(parts), read_bytes(module))
    return files, path


def _all_equal(weights: Iterator[Tensors]) -> bool:
    first, *others = weights
    return all((other[name] == value).all() for other in others for name, value in first.items())
