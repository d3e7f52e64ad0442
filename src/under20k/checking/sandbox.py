"""A stranger's code in a process of its own, with limits. A guard against accidents and pranks, no jail."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from under20k.checking.profiles import Profile
from under20k.checking.reports import report
from under20k.checking.target import Target, parse
from under20k.checking.worker import REPORT_LIMIT_BYTES
from under20k.errors import UserError

TIME_LIMIT_S = 60.0
MEMORY_LIMIT_BYTES = 4 * 2**30
START_LIMIT_S = 600.0
"""For importing torch, on a machine however busy."""
GRACE_S = 60.0
"""For the process that keeps the time to say so."""
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "MPLBACKEND": "Agg",
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
    weights: Path | None = None
    """Whose accuracy is measured too, on ``split``; MNIST has to be at hand."""
    split: str = "validation"

    def request(self, target: Target) -> dict[str, Any]:
        """What the process that judges is told."""
        return {
            "path": str(target.path.absolute()),
            "root": str(target.root),
            "package": target.package,
            "pieces": target.pieces,
            "is_notebook": target.is_notebook,
            "name": target.name,
            "losses": target.losses,
            "arguments": self.arguments,
            "profile": asdict(self.profile),
            "time_limit_s": self.time_limit_s,
            "memory_limit_bytes": self.memory_limit_bytes,
            "weights": str(self.weights) if self.weights else None,
            "split": self.split,
        }


def judge_apart(target: Target, sandbox: Sandbox) -> dict[str, Any]:
    """What ``judge_model`` gives for the target, or ``{"error": why}``; never longer than the time limit."""
    with contextlib.closing(_Server()) as server:
        return server.judge(sandbox.request(target))


def judge_all(
    texts: Sequence[str], sandbox: Sandbox, jobs: int
) -> Generator[tuple[str, dict[str, Any]], None, None]:
    """Each target's result, in their order, ``jobs`` at a time; a broken one is an ``error``."""
    servers: SimpleQueue[_Server] = SimpleQueue()
    started = [_Server() for _ in range(min(jobs, len(texts)))]
    for server in started:
        servers.put(server)

    def one(text: str) -> tuple[str, dict[str, Any]]:
        try:
            target = parse(text)
        except UserError as error:
            return text, {"error": str(error)}
        except Exception as error:  # whatever a file holds, the others are judged
            return text, {"error": f"cannot be parsed: {type(error).__name__}: {error}"}
        server = servers.get()
        try:
            if server.stopped:
                return text, {"error": "not judged"}
            return text, server.judge(sandbox.request(target))
        finally:
            servers.put(server)

    try:
        with ThreadPoolExecutor(len(started)) as pool:
            try:
                yield from pool.map(one, texts)
            except BaseException:  # Ctrl-C: the pool would wait for the models
                for server in started:
                    server.stop()
                raise
    finally:
        for server in started:
            server.close()


class _Server:
    """A process that has imported torch and forks for each model. Where a model ends it, another starts."""

    def __init__(self) -> None:
        self.stopped = False
        self.start()

    def start(self) -> None:
        self.ready, self.left = False, b""
        self.read, write = os.pipe()
        self.process = subprocess.Popen(
            # -P, lest a random.py of the current folder run before there are limits.
            [sys.executable, "-P", "-m", "under20k.checking.worker", str(write)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # what a model prints is no part of the report
            stderr=subprocess.DEVNULL,
            pass_fds=(write,),
            start_new_session=True,
            env=os.environ | SETTINGS,
        )
        os.close(write)

    def judge(self, request: dict[str, Any]) -> dict[str, Any]:
        """The result of one request. The process keeps the time; where it cannot any more, this does."""
        assert self.process.stdin is not None
        if not self.ready and self._line(START_LIMIT_S) is None:
            return {"error": "the process that runs models does not start; is torch installed?"}
        self.ready = True
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        line = self._line(request["time_limit_s"] + GRACE_S)
        try:
            answer = json.loads(line or "")
            return _result(answer["text"], answer["ended"], answer["code"], request["time_limit_s"])
        except (ValueError, RecursionError):
            if not self.stopped:
                self.close()
                self.start()
            return {"error": "ended: it stopped the process that runs models"}

    def _line(self, limit_s: float) -> bytes | None:
        """The next line that the process writes, or None if it ends or the time does."""
        deadline = time.monotonic() + limit_s
        while b"\n" not in self.left:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([self.read], [], [], left_s)[0]:
                return None
            part = os.read(self.read, 1 << 16)
            if not part or len(self.left) > 8 * REPORT_LIMIT_BYTES:  # JSON makes a byte six at most
                return None
            self.left += part
        line, _, self.left = self.left.partition(b"\n")
        return line

    def stop(self) -> None:
        """End it for good, from any thread: one that waits for its answer gets an error."""
        self.stopped = True
        self._kill()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End it, and the model that it may be running."""
        self._kill()
        self.process.wait()
        os.close(self.read)
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()


def _result(text: str, ended: bool, code: int, time_limit_s: float) -> dict[str, Any]:
    if not ended:
        return {"error": f"ended after the time limit of {time_limit_s:g} s"}
    try:
        result = json.loads(text)
    except (ValueError, RecursionError):
        return {"error": f"its process ended without a report (exit code {code})"}
    return report(result) or {"error": "its process gave no report"}
