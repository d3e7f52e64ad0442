"""A stranger's code in a process of its own, with limits. A guard against accidents and pranks, no jail."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from under20k.checking.profiles import Profile
from under20k.checking.target import Target, parse
from under20k.checking.worker import REPORT_LIMIT_BYTES
from under20k.errors import UserError

TIME_LIMIT_S = 60.0
MEMORY_LIMIT_BYTES = 4 * 2**30


def judge_apart(
    target: Target,
    profile: Profile,
    arguments: dict[str, object],
    time_limit_s: float = TIME_LIMIT_S,
    memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
    weights: Path | None = None,
) -> dict[str, Any]:
    """What ``judge_model`` gives for the target, or ``{"error": why}``; never longer than the time limit.

    With ``weights``, their validation accuracy too; MNIST has to be at hand.
    """
    request = _request(target, profile, arguments, time_limit_s, memory_limit_bytes, weights)
    read, write = os.pipe()
    process = _start(write)
    with ThreadPoolExecutor(1) as pool:
        report = pool.submit(_read, read)
        timed_out = False
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(request).encode())
                process.stdin.close()
            process.wait(time_limit_s)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            # The whole session: what the model has started ends too.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        text = report.result()
    return _result(text, timed_out, time_limit_s, process.returncode)


def judge_all(
    texts: Sequence[str],
    profile: Profile,
    jobs: int,
    time_limit_s: float = TIME_LIMIT_S,
    memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
) -> Iterator[tuple[str, dict[str, Any]]]:
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
        server = servers.get()
        try:
            return text, server.judge(
                _request(target, profile, {}, time_limit_s, memory_limit_bytes, None), time_limit_s
            )
        finally:
            servers.put(server)

    try:
        with ThreadPoolExecutor(len(started)) as pool:
            yield from pool.map(one, texts)
    finally:
        for server in started:
            server.close()


class _Server:
    """A process that has imported torch and forks for each model."""

    def __init__(self) -> None:
        self.read, write = os.pipe()
        self.process = _start(write, "serve")
        self.answers = os.fdopen(self.read, "rb")

    def judge(self, request: dict[str, Any], time_limit_s: float) -> dict[str, Any]:
        """The result of one request; the server keeps the time."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        try:
            answer = json.loads(self.answers.readline())
        except ValueError:
            return {"error": "the process that runs models has ended"}
        return _result(answer["text"], not answer["ended"], time_limit_s, answer["code"])

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.answers.close()
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()


def _request(
    target: Target,
    profile: Profile,
    arguments: dict[str, object],
    time_limit_s: float,
    memory_limit_bytes: int,
    weights: Path | None,
) -> dict[str, Any]:
    return {
        "path": str(target.path.absolute()),
        "code": target.code,
        "name": target.name,
        "losses": target.losses,
        "arguments": arguments,
        "profile": asdict(profile),
        "time_limit_s": time_limit_s,
        "weights": str(weights) if weights else None,
        "memory_limit_bytes": memory_limit_bytes,
    }


def _start(write: int, *mode: str) -> subprocess.Popen[bytes]:
    """The worker, that writes to ``write``, which is closed here."""
    process = subprocess.Popen(
        [sys.executable, "-m", "under20k.checking.worker", str(write), *mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,  # what a model prints is no part of the report
        stderr=subprocess.DEVNULL,
        pass_fds=(write,),
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    os.close(write)
    return process


def _result(text: bytes | str, timed_out: bool, time_limit_s: float, code: int) -> dict[str, Any]:
    if timed_out:
        return {"error": f"ended after the time limit of {time_limit_s:g} s"}
    try:
        result = json.loads(text)
    except ValueError:
        return {"error": f"its process ended without a report (exit code {code})"}
    return result if isinstance(result, dict) else {"error": "its process gave no report"}


def _read(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as pipe:
        return pipe.read(REPORT_LIMIT_BYTES)
