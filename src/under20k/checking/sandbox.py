"""A stranger's code in a process of its own, with limits. A guard against accidents and pranks, no jail."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from under20k.checking.profiles import Profile
from under20k.checking.target import Target, parse
from under20k.errors import UserError

TIME_LIMIT_S = 60.0
MEMORY_LIMIT_BYTES = 4 * 2**30
REPORT_LIMIT_BYTES = 16 * 2**20


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
    request = {
        "path": str(target.path.absolute()),
        "code": target.code,
        "name": target.name,
        "losses": target.losses,
        "arguments": arguments,
        "profile": {"name": profile.name, "limits": profile.limits, "levels": profile.levels},
        "weights": str(weights) if weights else None,
        "memory_limit_bytes": memory_limit_bytes,
    }
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "under20k.checking.worker", str(write)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,  # what a model prints is no part of the report
        stderr=subprocess.DEVNULL,
        pass_fds=(write,),
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    os.close(write)
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
    if timed_out:
        return {"error": f"ended after the time limit of {time_limit_s:g} s"}
    try:
        result = json.loads(text)
    except ValueError:
        return {"error": f"its process ended without a report (exit code {process.returncode})"}
    return result if isinstance(result, dict) else {"error": "its process gave no report"}


def judge_all(
    texts: Sequence[str], profile: Profile, jobs: int, **limits: Any
) -> Iterable[tuple[str, dict[str, Any]]]:
    """Each target's result, in their order, ``jobs`` at a time; a broken one is an ``error``."""

    def one(text: str) -> tuple[str, dict[str, Any]]:
        try:
            return text, judge_apart(parse(text), profile, {}, **limits)
        except UserError as error:
            return text, {"error": str(error)}

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(one, texts)


def _read(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as pipe:
        return pipe.read(REPORT_LIMIT_BYTES)
