"""One request in the process of its model: read the weights, load the model, judge it, report."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from torch import nn

from under20k.checking.judgement import Judgement
from under20k.checking.ownership import PACKAGE, Ownership
from under20k.checking.rules.judge import judge_model
from under20k.checking.sandbox import process_limits
from under20k.checking.sandbox.audit_hook import AuditHook
from under20k.checking.sandbox.cpu_only import CpuOnly
from under20k.checking.sandbox.explain_error import Explainer
from under20k.checking.sandbox.import_packages import is_local
from under20k.checking.sandbox.load_model import Loader
from under20k.checking.sandbox.messages import LOADED, Request, write_all
from under20k.checking.sandbox.scratch_home import move_home

if TYPE_CHECKING:
    from under20k.data import Split

DEFECT = "a defect of under20k, not of the model: "
ROOMS = ("convert", "graph", "rules", "source")
ANALYSIS = tuple(os.path.join(PACKAGE, "checking", room, "") for room in ROOMS)
"""Code of ours that follows the model and does not call it."""
_exit = os._exit  # a model may replace the other


def judge_request(request: Request, out: int, hook: AuditHook, scratch: Path, imported: set[str]) -> NoReturn:
    """Judge the model of one request, report, and end the process.

    Args:
        request: the model and its limits.
        out: descriptor that the report goes to.
        hook: audit hook of this process.
        scratch: folder below which the model may write.
        imported: top-level names of packages imported for this and earlier models.
    """
    with contextlib.suppress(OSError):  # then it is where this process began
        os.chdir(request.current)
    weights = _read_weights(request, out)
    folders = module_folders(request)
    _prepare(request, folders, scratch, imported)
    ownership = Ownership(map(str, folders), (place for place, _ in request.pieces))
    explain = Explainer(ownership, folders, hook)
    loader = Loader(
        request.path,
        request.name,
        request.pieces,
        request.package,
        request.arguments,
        request.missing,
        explain,
    )
    hook.model(
        ownership,
        map(str, folders),
        str(scratch),
        lambda what: _report(out, Judgement(error=f"ended: {what}"[:500]).to_json()),
    )
    devices = CpuOnly(explain.running_line)
    stage = Stage(out)
    try:
        with devices:
            if request.seeds is not None:
                made = _prepared(request, loader, ownership, scratch, stage)
                _report(out, {**made, "notes": [*made["notes"], *filter(None, [devices.note()])]})
            try:
                model = loader.load(request.whole, request.loading_limit_s, request.reason)
            finally:
                stage.loaded(stage.doing)
            stage.doing = "on images of 1×28×28: "
            judgement = judge_model(model, request.profile, request.losses)
            if weights is not None:
                stage.doing = "with the weights: "
                judgement = _with_accuracy(judgement, model, weights, request)
    except BaseException as error:  # the model's own code runs here: SystemExit and all
        try:
            problem = explain.why_broken(error, DEFECT if _is_defect(error) else stage.doing)
        except BaseException:  # raised by the exception's own methods
            problem = f"{stage.doing}{type(error).__name__}"
        judgement = Judgement(error=problem)
        # The notes need not repeat the error.
        loader.notes = [note for note in loader.notes if problem.partition(" (")[0] not in note]
    notes = (*loader.notes, devices.note(), *judgement.notes)
    _report(out, replace(judgement, notes=tuple(filter(None, notes))).to_json())


def module_folders(request: Request) -> list[Path]:
    """Return where the student's own modules are looked up, first to last.

    They are the root, the folders up to the submission's, the current one, and that of the file.
    """
    folders = (request.root, *request.folders, request.current, os.path.dirname(request.path))
    return [Path(folder) for folder in dict.fromkeys(map(os.path.abspath, folders))]


def _read_weights(request: Request, out: int) -> tuple[object, Split, Split] | None:
    """Read the weights and the splits of a request for accuracy, before the limits, by our own code alone."""
    if not request.weights:
        return None
    from under20k.checking.weights.accuracy import splits
    from under20k.checking.weights.weights_file import WeightsError, load_weights

    try:
        return (load_weights(Path(request.weights)), *splits(request.split))
    except Exception as error:  # a damaged file: whatever its loader raises
        text = " ".join(str(error).split())[:500]
        write_all(out, LOADED)  # the model's code is not at fault: no second try
        of_weights = isinstance(error, WeightsError)
        judgement = Judgement(weights_error=text) if of_weights else Judgement(error=f"no weights: {text}")
        _report(out, judgement.to_json())


def _with_accuracy(
    judgement: Judgement, model: nn.Module, weights: tuple[object, Split, Split], request: Request
) -> Judgement:
    from under20k.checking.weights.accuracy import measure
    from under20k.checking.weights.weights_file import WeightsError

    try:
        state, train, measured = weights
        return replace(judgement, accuracy=measure(model, state, train, measured, request.normalisation))
    except WeightsError as error:
        return Judgement(weights_error=str(error))


def _prepare(request: Request, folders: Sequence[Path], scratch: Path, imported: set[str]) -> None:
    """Set up modules, paths, home and limits as the model's code is to find them."""
    # A package of the name of a local module may have been imported for another model.
    for name in [n for n in sys.modules if n.partition(".")[0] in imported and is_local(n, folders)]:
        del sys.modules[name]
    beside = os.path.dirname(request.path)  # for a dotted name, the folder of loose files
    sys.path[:0] = [str(folder) for folder in folders if str(folder) != beside or beside == request.root]
    sys.path.append(beside)
    sys.argv = [request.path]
    move_home(scratch)
    with contextlib.suppress(ImportError):  # Windows
        process_limits.limit(request.memory_limit_bytes)


def _is_defect(error: BaseException) -> bool:
    """Return whether the error was raised by our analysis, not by the model or by a call that it makes."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return False
    # If torch refuses a call of the model, the innermost frame is that of our function mode.
    return frames[-1].filename.startswith(ANALYSIS) and frames[-1].name != "__torch_function__"


class Stage:
    """How far a request has come."""

    def __init__(self, out: int) -> None:
        self.doing = ""
        """What is being done, for an error that does not explain itself."""
        self._out, self._loaded = out, False

    def loaded(self, doing: str) -> None:
        """Report, the first time, that the source has run; note what is done next."""
        self.doing = doing
        if not self._loaded:
            self._loaded = True
            write_all(self._out, LOADED)


def _prepared(
    request: Request, loader: Loader, ownership: Ownership, scratch: Path, stage: Stage
) -> dict[str, Any]:
    """Return what a training takes of the model; its initial weights go to ``scratch``."""
    from under20k.checking.sandbox.train_request import prepared

    try:
        return prepared(request, loader, ownership, scratch, stage.loaded)
    finally:
        stage.loaded(stage.doing)


def _report(out: int, row: dict[str, Any]) -> NoReturn:
    write_all(out, json.dumps(row).encode() + b"\n")
    _exit(0)
