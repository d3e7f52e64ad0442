"""The process that runs models: ``python -m under20k.checking.worker FD``, a request a line on stdin.

It imports torch once and forks for each model. It writes one JSON object a line to the descriptor: the first
when it is ready, then one a request.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
import traceback
import types
from pathlib import Path
from typing import Any, NoReturn

from under20k.checking import guard
from under20k.checking.findings import ModelError

_exit = os._exit  # a model may replace the other
REPORT_LIMIT_BYTES = 16 * 2**20
MODULE = "under20k_target"
PLOTTING = ("matplotlib", "pylab", "seaborn")
FUTURE: int = annotations.compiler_flag
"""The flag of code under ``from __future__ import annotations``."""
DEFECT = "a defect of under20k, not of the model: "


def main() -> None:
    """Judge the models of the requests."""
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    guard.without_network()
    guard.adopt_orphans()
    import under20k.checking.judge  # noqa: F401 (what the forks are to find imported)

    guard.tell_of_native_code()
    _send(descriptor, {"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        if any(word in source for _, source in request["pieces"] for word in PLOTTING):
            # It makes folders and files of its own when it is imported, which no model may.
            with contextlib.suppress(Exception):
                import matplotlib.pyplot  # noqa: F401
        _send(descriptor, serve(request, descriptor))


def serve(request: dict[str, Any], descriptor: int) -> dict[str, Any]:
    """Judge one model in a fork, which ends with all that it has started."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        guard.end_with_parent()
        os.close(descriptor)
        os.close(read)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the next requests are not the model's to read
        judge(request, write)
    os.close(write)
    text, deadline, ended = b"", time.monotonic() + float(request["time_limit_s"]), False
    while not ended and len(text) < REPORT_LIMIT_BYTES:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([read], [], [], left)[0]:
            break
        part = os.read(read, 1 << 16)
        text, ended = text + part, not part
    os.close(read)
    if ended:  # it closed its report: what it has to do now is to end
        time.sleep(0.01)
    done, status = os.waitpid(child, os.WNOHANG)
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if kill is os.killpg or not done:
                kill(child, signal.SIGKILL)
    if not done:
        _, status = os.waitpid(child, 0)
    guard.end_children()
    return {"ended": ended, "code": os.waitstatus_to_exitcode(status), "text": text.decode("latin-1")}


def judge(request: dict[str, Any], descriptor: int) -> NoReturn:
    """Judge the model of one request, report, and end the process."""
    import torch

    from under20k.checking.judge import judge_model
    from under20k.checking.profiles import Profile

    torch.set_num_threads(1)
    weights = None
    if request["weights"]:
        # Read before the limits, by our own code alone.
        from under20k.checking.accuracy import load_weights, measure, splits

        try:
            weights, (guessing, measured) = load_weights(Path(request["weights"])), splits(request["split"])
        except Exception as error:  # a damaged file: whatever its loader raises
            _report(descriptor, {"error": f"the weights cannot be read: {_reason(error)}"})
    sys.path[:0] = [request["root"], os.getcwd()]
    sys.path.append(os.path.dirname(request["path"]))  # a dotted name's may be the folder of loose files
    sys.argv = [request["path"]]
    with contextlib.suppress(ImportError):  # Windows
        guard.limit(request["memory_limit_bytes"])
    guard.watch(lambda what: _report(descriptor, {"error": f"ended: {what}"[:500]}))
    doing = ""
    try:
        model, note = _load(request)
        if not isinstance(model, torch.nn.Module):
            raise TypeError(f"{request['name']} gives {type(model).__name__}, not a torch.nn.Module")
        doing = "on images of 1×28×28: "
        result = judge_model(model, Profile(**request["profile"]), request["losses"])
        if weights is not None:
            doing = "with the weights: "
            result["accuracy"] = measure(model, weights, guessing, measured)
        result["note"] = note
    except BaseException as error:  # the model's own code runs here: SystemExit and all
        _report(descriptor, {"error": _reason(error, doing, request)})
    _report(descriptor, result)


def _load(request: dict[str, Any]) -> tuple[Any, str]:
    """The class, factory or instance that the request names, called where it can be; and a note on how."""
    from torch import nn

    from under20k.checking.notebook import definitions, needed

    module = types.ModuleType(MODULE)
    module.__file__ = request["path"]
    module.__package__ = request["package"]
    sys.modules[MODULE] = module
    name, pieces = request["name"], request["pieces"]
    note, flags = "", 0
    # Of a notebook, the name's own assignment; what changes it later is training, or looks like it.
    wanted = needed((source for _, source in pieces), name)
    made = f"of the statements only those ran that make {', '.join(sorted(wanted))}" if wanted else ""

    def execute(code: Any, place: str) -> int:
        compiled: types.CodeType = compile(code, place, "exec", flags, dont_inherit=True)
        exec(compiled, module.__dict__)
        # In a notebook it holds from its cell on.
        return flags | compiled.co_flags & FUTURE

    for place, source in pieces:
        if request["is_notebook"]:
            note = made
            flags = execute(definitions(source, wanted), place)
            continue
        try:
            execute(source, place)
        except ModuleNotFoundError as error:
            # Often of what only the training needs.
            note = "; ".join(filter(None, (f"only its definitions ran: {error}", made)))
            execute(definitions(source, wanted), place)
    if not hasattr(module, name):
        raise ModelError(f"what runs of it makes no {name!r}")
    found = getattr(module, name)
    if isinstance(found, nn.Module):
        return found, note
    return found(**request["arguments"]), note


def _reason(error: BaseException, doing: str = "", request: dict[str, Any] | None = None) -> str:
    text = " ".join(str(error).split())[:500]
    if isinstance(error, MemoryError) or "allocate memory" in text:
        return f"ran out of the memory allowed: {text or type(error).__name__}"
    if isinstance(error, SystemExit):
        return f"calls exit ({text or 0})"
    if isinstance(error, ModelError):
        return text
    at = _line(error, request) if request else ""
    doing = DEFECT if _is_own(error) else doing
    return doing + (f"{type(error).__name__}: {text}" if text else type(error).__name__) + at


def _is_own(error: BaseException) -> bool:
    """Whether the error came up in what follows the model, not in the model."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return False
    last, here = frames[-1], os.path.dirname(__file__)
    # Of the model's calls, that function is the last frame when torch refuses one.
    followed = os.path.basename(last.filename) in ("trace.py", "geometry.py", "counts.py", "judge.py")
    return os.path.dirname(last.filename) == here and followed and last.name != "__torch_function__"


def _line(error: BaseException, request: dict[str, Any]) -> str:
    """Where in the target's own code an error came up."""
    places = [place for place, _ in request["pieces"]]
    lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in places]
    return f" ({os.path.basename(lines[-1].filename)}:{lines[-1].lineno})" if lines else ""


def _report(descriptor: int, result: dict[str, Any]) -> NoReturn:
    _send(descriptor, result)
    _exit(0)


def _send(descriptor: int, result: dict[str, Any]) -> None:
    data = json.dumps(result).encode() + b"\n"
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    main()
