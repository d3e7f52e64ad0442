"""The process that runs models: ``python -m under20k.checking.sandbox.worker SCRATCH JAIL``.

Requests come on stdin, a line each. It imports torch once, and what the sources import, and forks
for each model. It writes one JSON object a line to stdout: the first when it is ready, then one for each
request. Where nothing can fork (Windows), it judges one model itself and ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from under20k.checking import FOLDER
from under20k.checking.sandbox import jail, process_limits
from under20k.checking.sandbox.audit_hook import Watch, tell_of_native_code

HOMES = ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
CACHES = (
    "MPLCONFIGDIR",
    "TORCH_HOME",
    "TORCHINDUCTOR_CACHE_DIR",
    "TRITON_CACHE_DIR",
    "NUMBA_CACHE_DIR",
    "HF_HOME",
)
_exit = os._exit  # a model may replace the other
FORKS = hasattr(os, "fork")
REPORT_LIMIT_BYTES = 16 * 2**20
SCRATCH_LIMIT_BYTES = 256 * 2**20
LOADED = b'{"loaded": true}\n'
"""What a model's process writes once its code has run; the report follows."""
LOADING_GRACE_S = 2
ENDING_S = 1.0
DEFECT = "a defect of under20k, not of the model: "


def main() -> None:
    """Judge the models of the requests."""
    scratch, mechanism = Path(sys.argv[1]), sys.argv[2]
    out = os.dup(1)  # what a model prints is no part of the report
    os.set_inheritable(out, False)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    jail.without_network()
    mechanism = jail.read_only(scratch, mechanism)
    process_limits.adopt_orphans()
    watch = Watch(str(scratch))
    import torch

    import under20k.checking.rules.judge  # noqa: F401 (what the forks are to find imported)
    from under20k.checking.sandbox.import_packages import preload

    torch.set_num_threads(1)
    tell_of_native_code()
    _send(out, {"ready": True, "jail": mechanism})
    preloaded: set[str] = set()
    for line in sys.stdin:
        request = json.loads(line)
        if request["preload"]:
            watch.imports()
            preloaded |= preload((source for _, source in request["pieces"]), _folders(request))
            watch.off()
        if not FORKS:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            judge(request, out, watch, scratch, preloaded)
        _send(out, serve(request, out, watch, scratch, preloaded))


def serve(
    request: dict[str, Any], out: int, watch: Watch, scratch: Path, preloaded: set[str]
) -> dict[str, Any]:
    """Judge one model in a fork, which ends with all that it has started."""
    own = Path(tempfile.mkdtemp(dir=scratch))
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        process_limits.end_with_parent()
        if request["jail"] != "none":
            jail.alone()
        os.close(out)
        os.close(read)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the next requests are not the model's to read
        judge(request, write, watch, own, preloaded)
    os.close(write)
    text, ended, full = b"", False, False
    began = time.monotonic()
    loading_s = float(request["loading_limit_s"]) + LOADING_GRACE_S if request["whole"] else float("inf")
    while not ended and not full and len(text) < REPORT_LIMIT_BYTES:
        limit_s = min(float(request["time_limit_s"]), loading_s if LOADED not in text else float("inf"))
        left_s = began + limit_s - time.monotonic()
        if left_s <= 0:
            break
        if not select.select([read], [], [], min(left_s, 0.5))[0]:
            full = _size_bytes(scratch) > SCRATCH_LIMIT_BYTES
            continue
        part = os.read(read, 1 << 16)
        text, ended = text + part, not part
    os.close(read)
    patience = time.monotonic() + (ENDING_S if ended else 0)
    done, status = os.waitpid(child, os.WNOHANG)
    while not done and time.monotonic() < patience:  # it closed its report: what it has to do now is to end
        time.sleep(0.005)
        done, status = os.waitpid(child, os.WNOHANG)
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if kill is os.killpg or not done:
                kill(child, signal.SIGKILL)
    if not done:
        _, status = os.waitpid(child, 0)
    process_limits.end_children()
    with contextlib.suppress(RecursionError):
        shutil.rmtree(own, ignore_errors=True)
    loaded, _, report = text.rpartition(LOADED)
    return {
        "loaded": bool(loaded or text.startswith(LOADED)),
        "ended": ended,
        "full": full,
        "code": os.waitstatus_to_exitcode(status),
        "text": report.decode("latin-1"),
    }


def judge(
    request: dict[str, Any], descriptor: int, watch: Watch, scratch: Path, preloaded: set[str]
) -> NoReturn:
    """Judge the model of one request, report, and end the process."""

    from under20k.checking.profiles import Profile
    from under20k.checking.rules.judge import judge_model
    from under20k.checking.sandbox.cpu_only import OnCpu
    from under20k.checking.sandbox.import_packages import is_local
    from under20k.checking.sandbox.load_model import Loader

    weights = None
    if request["weights"]:
        # Read before the limits, by our own code alone.
        from under20k.checking.accuracy.measure import WeightsError, load_weights, measure, splits

        try:
            weights, (guessing, measured) = load_weights(Path(request["weights"])), splits(request["split"])
        except Exception as error:  # a damaged file: whatever its loader raises
            text = " ".join(str(error).split())[:500]
            _write(descriptor, LOADED)  # nothing of the model's code is at fault: no second try
            of_weights = isinstance(error, WeightsError)
            _report(descriptor, {"weights_error": text} if of_weights else {"error": f"no weights: {text}"})
    folders = _folders(request)
    # A package of the name of a local module may have been imported for another model.
    for name in [n for n in sys.modules if n.partition(".")[0] in preloaded and is_local(n, folders)]:
        del sys.modules[name]
    beside = os.path.dirname(request["path"])  # of a dotted name's, the folder of loose files
    sys.path[:0] = [str(folder) for folder in folders if str(folder) != beside or beside == request["root"]]
    sys.path.append(beside)
    sys.argv = [request["path"]]
    _live_in(scratch)
    with contextlib.suppress(ImportError):  # Windows
        process_limits.limit(request["memory_limit_bytes"])
    loader = Loader(
        request["path"],
        request["name"],
        request["pieces"],
        request["package"],
        folders,
        request["arguments"],
        request["missing"],
        watch,
    )
    devices = OnCpu(lambda: _running(loader))
    watch.model(
        map(str, folders),
        (place for place, _ in request["pieces"]),
        str(scratch),
        lambda what: _report(descriptor, {"error": f"ended: {what}"[:500]}),
    )
    doing, result = "", {}
    try:
        with devices:
            try:
                model = loader.load(request["whole"], float(request["loading_limit_s"]), request["reason"])
            finally:
                _write(descriptor, LOADED)
            doing = "on images of 1×28×28: "
            result = judge_model(model, Profile(**request["profile"]), request["losses"])
            if weights is not None:
                doing = "with the weights: "
                try:
                    given = request["normalisation"]
                    result["accuracy"] = measure(model, weights, guessing, measured, given)
                except WeightsError as error:
                    _report(descriptor, {"weights_error": str(error)})
    except BaseException as error:  # the model's own code runs here: SystemExit and all
        try:
            problem = loader.problem(error, DEFECT if _is_own(error) else doing)
        except BaseException:  # of an exception's own making
            problem = f"{doing}{type(error).__name__}"
        result = {"error": problem}
        # What the error says is not said again.
        loader.notes = [note for note in loader.notes if problem.partition(" (")[0] not in note]
    notes = [*loader.notes, devices.note(), *result.get("notes", ())]
    _report(descriptor, result | {"notes": [note for note in notes if note]})


def _folders(request: dict[str, Any]) -> list[Path]:
    """Where the student's own modules are looked up: the root, the folders up to the submission's, the
    current one, that of the file.
    """
    folders = (request["root"], *request["folders"], os.getcwd(), os.path.dirname(request["path"]))
    return [Path(folder) for folder in dict.fromkeys(map(os.path.abspath, folders))]


def homes(scratch: str) -> dict[str, str]:
    """The variables that make a folder the one for temporary files, caches, and the user's home."""
    return dict.fromkeys(HOMES, scratch) | {name: os.path.join(scratch, name.lower()) for name in CACHES}


def keep_fonts(paths: Iterable[Path], folder: str) -> None:
    """Put matplotlib's lists of fonts into its folder: making one takes it seconds."""
    for path in paths:
        with contextlib.suppress(OSError, shutil.SameFileError):
            os.makedirs(folder, exist_ok=True)
            shutil.copy(path, folder)


def _live_in(scratch: Path) -> None:
    """Give the model that scratch folder, with the fonts of the one before."""
    fonts = list(Path(os.environ.get("MPLCONFIGDIR", scratch)).glob("fontlist-*.json"))
    os.environ |= homes(str(scratch))
    tempfile.tempdir = str(scratch)
    keep_fonts(fonts, os.environ["MPLCONFIGDIR"])


def _size_bytes(folder: Path) -> int:
    total = 0
    with contextlib.suppress(OSError, RecursionError):
        for path in folder.rglob("*"):
            total += path.lstat().st_size
    return total


def _running(loader: Any) -> str:
    """The line of the student's code that runs now."""
    for frame in reversed(traceback.extract_stack()):
        if loader.is_own(frame.filename):
            return f"{os.path.basename(frame.filename)}:{frame.lineno}"
    return ""


def _is_own(error: BaseException) -> bool:
    """Whether the error came up in what follows the model, not in the model."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return False
    last = frames[-1]
    # Of the model's calls, that function is the last frame when torch refuses one.
    followed = os.path.basename(last.filename) not in (
        "worker.py",
        "audit_hook.py",
        "load_model.py",
        "measure.py",
    )
    return last.filename.startswith(FOLDER + os.sep) and followed and last.name != "__torch_function__"


def _report(descriptor: int, result: dict[str, Any]) -> NoReturn:
    _send(descriptor, result)
    _exit(0)


def _send(descriptor: int, result: dict[str, Any]) -> None:
    _write(descriptor, json.dumps(result).encode() + b"\n")


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    main()
