"""The process that runs one stranger's model: ``python -m under20k.checking.worker FD``, request on stdin."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
CLONE_NEWNET, CLONE_NEWUSER = 0x40000000, 0x10000000
REPORT_LIMIT_BYTES = 16 * 2**20
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FORBIDDEN = {
    **dict.fromkeys(
        ("socket.connect", "socket.bind", "socket.getaddrinfo", "urllib.Request"), "use the network"
    ),
    **dict.fromkeys(("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"), "start a process"),
    **dict.fromkeys(("os.fork", "os.forkpty", "os.spawn"), "start a process"),
    **dict.fromkeys(("os.remove", "os.rename", "os.rmdir", "shutil.rmtree", "os.mkdir"), "change files"),
    **dict.fromkeys(("os.kill", "os.killpg", "signal.pthread_kill"), "signal a process"),
}


def main() -> None:
    """Judge the model of the request and write one JSON object to the descriptor."""
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    _without_network()
    if sys.argv[2:] == ["serve"]:
        serve(descriptor)
    else:
        judge(json.load(sys.stdin), descriptor)


def serve(descriptor: int) -> None:
    """Judge a request a line, each in a fork of this process: so torch is imported once for many models."""
    import under20k.checking.judge  # noqa: F401 (what the forks are to find imported)

    for line in sys.stdin:
        request = json.loads(line)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.setsid()
            with contextlib.suppress(OSError, AttributeError):  # Linux: it ends with this process
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.close(descriptor)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the next requests are not the model's to read
            judge(request, write)
        os.close(write)
        text, limit_s = b"", float(request["time_limit_s"])
        deadline, ended = time.monotonic() + limit_s, False
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
        result = {"ended": ended, "code": os.waitstatus_to_exitcode(status), "text": text.decode("latin-1")}
        _send(descriptor, result)


def judge(request: dict[str, Any], descriptor: int) -> NoReturn:
    """Judge the model of one request, report, and end the process."""
    import torch

    from under20k.checking.judge import judge_model
    from under20k.checking.profiles import Profile

    torch.set_num_threads(1)
    weights = None
    if request["weights"]:
        # Read before the limits, by our own code alone.
        from pathlib import Path

        from under20k.checking.accuracy import load_weights, measure
        from under20k.data import load

        try:
            weights, mnist = load_weights(Path(request["weights"])), load()
        except Exception as error:  # a damaged file: whatever its loader raises
            _report(descriptor, {"error": f"the weights cannot be read: {_reason(error)}"})
    _limit(request["memory_limit_bytes"])
    _watch(descriptor)
    try:
        model = _load(request)
        if not isinstance(model, torch.nn.Module):
            raise TypeError(f"{request['name']} gives {type(model).__name__}, not a torch.nn.Module")
        result = judge_model(model, Profile(**request["profile"]), request["losses"])
        if weights is not None:
            result["accuracy"] = measure(model, weights, mnist.train, mnist.validation)
    except BaseException as error:  # the model's own code runs here: SystemExit and all
        _report(descriptor, {"error": _reason(error)})
    _report(descriptor, result)


def _load(request: dict[str, Any]) -> Any:
    """The class, factory or instance that the request names, called where it can be."""
    import types

    from torch import nn

    path = request["path"]
    sys.path.insert(0, os.path.dirname(path))
    sys.path.insert(1, os.getcwd())
    module = types.ModuleType("under20k_target")
    module.__file__ = path
    sys.modules[module.__name__] = module
    exec(compile(request["code"], path, "exec"), module.__dict__)
    found = getattr(module, request["name"])
    if isinstance(found, nn.Module):
        return found
    return found(**request["arguments"])


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())[:500]
    if isinstance(error, MemoryError) or "can't allocate memory" in text:
        return f"ran out of the memory allowed: {text or type(error).__name__}"
    if isinstance(error, SystemExit):
        return f"calls exit ({text or 0})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _report(descriptor: int, result: dict[str, Any]) -> NoReturn:
    _send(descriptor, result)
    os._exit(0)


def _send(descriptor: int, result: dict[str, Any]) -> None:
    data = json.dumps(result).encode() + b"\n"
    while data:
        data = data[os.write(descriptor, data) :]


def _without_network() -> None:
    """A network namespace with nothing in it, where the system lets an ordinary process have one."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWNET)


def _limit(memory_bytes: int) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _watch(descriptor: int) -> None:
    """End the process, with the reason, at what no model needs. An audit hook cannot be taken out again."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        what = FORBIDDEN.get(event)
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
            what = None if str(arguments[0]) == os.devnull else f"write the file {arguments[0]}"
        if what:
            _report(descriptor, {"error": f"ended: it tried to {what}"[:500]})

    sys.addaudithook(hook)


if __name__ == "__main__":
    main()
