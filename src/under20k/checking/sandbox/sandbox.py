"""A student's code in a process of its own, with limits. ``docs/check.md`` says what holds where."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import site
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from under20k.checking.profiles import Profile
from under20k.checking.sandbox.answers import report
from under20k.checking.sandbox.worker import FORKS, REPORT_LIMIT_BYTES, homes, keep_fonts
from under20k.checking.source.target import NoModel, Target, parse
from under20k.errors import UserError

TIME_LIMIT_S = 60.0
LOADING_LIMIT_S = 20.0
"""For a source to run whole, before its definitions are tried; at most a third of the time limit."""
MEMORY_LIMIT_BYTES = 4 * 2**30
START_LIMIT_S = 600.0
"""For importing torch, on a machine however busy."""
GRACE_S = 60.0
"""For the process that keeps the time to say so."""
LINE_LIMIT_BYTES = 8 * REPORT_LIMIT_BYTES
"""JSON makes a byte of a report six at most."""
STOPPED = {"error": "ended: it stopped the process that runs models"}
# -P, lest a random.py of the current folder run before there are limits.
WORKER = (sys.executable, "-P", "-m", "under20k.checking.sandbox.worker")
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUTF8": "1",
    "MPLBACKEND": "Agg",
    # The same verdict on every machine.
    "CUDA_VISIBLE_DEVICES": "",
    "HIP_VISIBLE_DEVICES": "",
    # Compiled code hides what it computes: run as it is written.
    "TORCHDYNAMO_DISABLE": "1",
    "PYTORCH_JIT": "0",
}


@dataclass(frozen=True)
class Sandbox:
    """What holds for every model judged."""

    profile: Profile
    time_limit_s: float = TIME_LIMIT_S
    memory_limit_bytes: int = MEMORY_LIMIT_BYTES
    arguments: dict[str, object] = field(default_factory=dict)
    only_where_taken: bool = False
    """Whether a constructor without a parameter of an argument's name goes without it, as in a folder."""
    weights: Path | None = None
    """Whose accuracy is measured too, on ``split``; MNIST has to be at hand."""
    split: str = "validation"
    jail: str = "auto"
    """What keeps files from being written, one of ``jail.MECHANISMS``."""
    normalisation: tuple[float, float] | None = None
    """Mean and standard deviation of what the weights were trained on; found where they are not given."""

    def request(self, target: Target) -> dict[str, Any]:
        """What the process that judges is told."""
        taken = (*target.constructor.required, *target.constructor.optional)
        given = {k: v for k, v in self.arguments.items() if not self.only_where_taken or k in taken}
        return {
            "path": str(target.path.absolute()),
            "root": str(target.root),
            "folders": target.folders,
            "package": target.package,
            "pieces": target.pieces,
            "name": target.name,
            "missing": target.missing_arguments(self.arguments),
            "losses": target.losses,
            "whole": not target.is_notebook,
            "reason": "",
            "preload": True,
            "arguments": given,
            "profile": asdict(self.profile),
            "time_limit_s": self.time_limit_s,
            "loading_limit_s": min(LOADING_LIMIT_S, self.time_limit_s / 3),
            "memory_limit_bytes": self.memory_limit_bytes,
            "weights": str(self.weights) if self.weights else None,
            "split": self.split,
            "jail": self.jail,
            "normalisation": self.normalisation,
        }


def judge_apart(target: Target, sandbox: Sandbox) -> dict[str, Any]:
    """What is found of the target, in the form that ``reports.report`` checks; two tries at most."""
    with contextlib.closing(_Server(sandbox)) as server:
        return _judge(server, target, sandbox)


def judge_all(
    targets: Sequence[str | Target], sandbox: Sandbox, jobs: int
) -> Generator[tuple[str, dict[str, Any]], None, None]:
    """Each target's text and result, in their order, ``jobs`` at a time.

    What cannot be parsed is an ``error``, a file without a model a ``no_model``.
    """
    servers: SimpleQueue[_Server] = SimpleQueue()
    started = [_Server(sandbox) for _ in range(min(jobs, len(targets)))]
    for server in started:
        servers.put(server)

    def one(target: str | Target) -> tuple[str, dict[str, Any]]:
        text = target if isinstance(target, str) else target.text
        try:
            target = parse(target) if isinstance(target, str) else target
        except NoModel as error:
            return text, {"no_model": str(error)}
        except UserError as error:
            return text, {"error": str(error)}
        except Exception as error:  # whatever a file holds, the others are judged
            return text, {"error": f"cannot be parsed: {type(error).__name__}: {error}"}
        server = servers.get()
        try:
            return text, {"error": "not judged"} if server.stopped else _judge(server, target, sandbox)
        finally:
            servers.put(server)

    try:
        with ThreadPoolExecutor(max(1, len(started))) as pool:
            try:
                yield from pool.map(one, targets)
            except BaseException:  # Ctrl-C: the pool would wait for the models
                for server in started:
                    server.stop()
                raise
    finally:
        for server in started:
            with contextlib.suppress(OSError):
                server.close()


def _judge(server: _Server, target: Target, sandbox: Sandbox) -> dict[str, Any]:
    """Judge a source as a whole; where its process does not get through it, by its definitions."""
    request = sandbox.request(target)
    answer = server.ask(request)
    if (
        answer == STOPPED
    ):  # perhaps a package did that when it was imported: let the model's own process do so
        answer = server.ask(request | {"preload": False})
    if request["whole"] and "error" not in answer and not answer["loaded"]:
        answer = server.ask(request | {"whole": False, "reason": _why_not_whole(answer, request)})
    result = _result(answer, sandbox.time_limit_s)
    own = {"model": target.name, "others": list(target.others), "calls": list(target.calls)}
    return (
        result
        | own
        | {
            "claimed": target.claims.to_dict(),
            "notes": [*target.notes, *result.get("notes", ())],
        }
    )


class _Server:
    """A process that has imported torch and forks for each model. Where a model ends it, another starts."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.stopped = False
        self.sandbox = sandbox
        self.scratch = tempfile.TemporaryDirectory(prefix="under20k-check-", ignore_cleanup_errors=True)
        self._start()

    def _start(self) -> None:
        scratch = os.path.realpath(self.scratch.name)
        self.ready, self.lines = False, queue.SimpleQueue[bytes]()
        self.process = subprocess.Popen(
            [*WORKER, scratch, self.sandbox.jail],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=_environment(scratch, self.sandbox.weights is not None),
        )
        threading.Thread(target=self._read, args=(self.process.stdout, self.lines), daemon=True).start()

    @staticmethod
    def _read(stream: Any, lines: queue.SimpleQueue[bytes]) -> None:
        """Put each line into the queue, and an empty one at the end."""
        with contextlib.suppress(ValueError, OSError):  # closed meanwhile
            while line := stream.readline(LINE_LIMIT_BYTES):
                lines.put(line)
        lines.put(b"")

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request. The process keeps the time; where it cannot any more, this does."""
        if self.stopped:  # by a signal, before a second try: there will be no answer
            return STOPPED
        assert self.process.stdin is not None
        if not self.ready and not self._line(START_LIMIT_S):
            return {"error": "the process that runs models does not start; is torch installed?"}
        self.ready = True
        with contextlib.suppress(BrokenPipeError, OSError):
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        loaded, began = False, time.monotonic()
        while line := self._line(began + _limit_s(request, loaded) - time.monotonic()):
            try:
                answer = json.loads(line)
                if answer == {"loaded": True}:  # no fork in between: the process itself judges, and ends
                    loaded = True
                    continue
                if "text" not in answer:
                    answer = {"loaded": True, "ended": True, "full": False, "code": 0, "text": line.decode()}
                    self._restart()
                return dict(answer)
            except (ValueError, RecursionError, TypeError):
                break
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(0.2)
        code = self.process.returncode
        self._restart()
        if FORKS:
            return STOPPED
        return {"loaded": loaded, "ended": code is not None, "full": False, "code": code, "text": ""}

    def _line(self, limit_s: float) -> bytes:
        """The next line that the process writes, empty if it ends or the time does."""
        try:
            return self.lines.get(timeout=max(0.0, limit_s))
        except queue.Empty:
            return b""

    def _restart(self) -> None:
        if not self.stopped:
            self._end()
            self._start()

    def stop(self) -> None:
        """End it for good, from any thread: one that waits for its answer gets an error."""
        self.stopped = True
        self._kill()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()

    def _end(self) -> None:
        self._kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError, OSError):
                    stream.close()

    def close(self) -> None:
        """End it, and the model that it may be running."""
        self._end()
        with contextlib.suppress(RecursionError):  # folders in folders, made past Python
            self.scratch.cleanup()


def _limit_s(request: dict[str, Any], loaded: bool) -> float:
    """How long to wait for an answer. A process that forks keeps the model's time itself."""
    if FORKS:
        return float(request["time_limit_s"]) + GRACE_S
    return float(request["loading_limit_s" if request["whole"] and not loaded else "time_limit_s"])


def _environment(scratch: str, reads_mnist: bool) -> dict[str, str]:
    """The environment of the process, in which caches and temporary files go to ``scratch``."""
    environment = os.environ | SETTINGS | homes(scratch)
    # What the user has installed for themselves, and MNIST, stay where they are.
    environment["PYTHONUSERBASE"] = site.getuserbase()
    if reads_mnist:
        from under20k.data.cache import VARIABLE, cache_folder, given_folder

        environment[VARIABLE] = str(given_folder() or cache_folder())
    keep_fonts(_font_lists(), environment["MPLCONFIGDIR"])
    return environment


def _font_lists() -> list[Path]:
    """What matplotlib keeps of this machine's fonts, for this user."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    folders = [Path(os.environ["MPLCONFIGDIR"])] if os.environ.get("MPLCONFIGDIR") else []
    folders += [home / "matplotlib", Path(os.path.expanduser("~/.matplotlib"))]
    with contextlib.suppress(OSError):
        for folder in folders:
            if found := list(folder.glob("fontlist-*.json")):
                return found
    return []


def _why_not_whole(answer: dict[str, Any], request: dict[str, Any]) -> str:
    """Why a process did not get through its source."""
    name = Path(request["path"]).name
    with contextlib.suppress(ValueError, TypeError, AttributeError, RecursionError):
        error = json.loads(answer["text"]).get("error", "")
        if error.startswith("ended: it "):
            return f"{name} {error.removeprefix('ended: it ')}"
    if answer["full"]:
        return f"{name} writes without end when it is run"
    if not answer["ended"]:
        return f"{name} still ran after {request['loading_limit_s']:g} s"
    return f"{name} ends its process when it is run (exit code {answer['code']})"


def _result(answer: dict[str, Any], time_limit_s: float) -> dict[str, Any]:
    if "error" in answer:
        return answer
    if answer["full"]:
        return {"error": "ended: it fills the disk"}
    if not answer["ended"]:
        return {"error": f"ended after the time limit of {time_limit_s:g} s"}
    try:
        result = json.loads(answer["text"])
    except (ValueError, RecursionError):
        return {"error": f"its process ended without a report (exit code {answer['code']})"}
    return report(result) or {"error": "its process gave no report"}
