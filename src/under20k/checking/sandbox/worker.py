"""The process that runs models: ``python -m under20k.checking.sandbox.worker SCRATCH JAIL``.

It reads requests from stdin, a line each, imports torch and the packages of the sources once, and forks for
each model. It writes to stdout: a line when it is ready, then an answer (``messages``) to each request. Where
nothing can fork (Windows), it judges one model itself and ends.
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
from pathlib import Path

from under20k.checking.sandbox import jail, process_limits
from under20k.checking.sandbox.audit_hook import AuditHook
from under20k.checking.sandbox.messages import (
    FORKS,
    LOADED,
    REPORT_LIMIT_BYTES,
    Answer,
    Request,
    initial_file,
    write_all,
)

SCRATCH_LIMIT_BYTES = 256 * 2**20
LOADING_GRACE_S = 2
ENDING_S = 1.0
"""For a process to end once it has closed its report."""


def main() -> None:
    """Judge the models of the requests."""
    scratch, mechanism = Path(sys.argv[1]), sys.argv[2]
    out = os.dup(1)  # what a model prints is not part of the report
    os.set_inheritable(out, False)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    jail.without_network()
    mechanism = jail.read_only(scratch, mechanism)
    process_limits.adopt_orphans()
    hook = AuditHook(str(scratch))
    import torch

    # Imported here for the forks to find.
    from under20k.checking.sandbox.import_packages import import_packages
    from under20k.checking.sandbox.judge_request import judge_request, module_folders
    from under20k.checking.sandbox.native_calls import audit_native_calls

    torch.set_num_threads(1)
    audit_native_calls()
    write_all(out, json.dumps({"ready": True, "jail": mechanism}).encode() + b"\n")
    imported: set[str] = set()
    for line in sys.stdin:
        request = Request.read(line)
        if request.preload:
            hook.imports()
            imported |= import_packages((source for _, source in request.pieces), module_folders(request))
            hook.off()
        if not FORKS:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            judge_request(request, out, hook, scratch, imported)
        write_all(out, serve(request, out, hook, scratch, imported).lines())


def serve(request: Request, out: int, hook: AuditHook, scratch: Path, imported: set[str]) -> Answer:
    """Judge one model in a fork, which ends with everything that it has started.

    Args:
        request: the model and its limits.
        out: descriptor of this process's answers, closed in the fork.
        hook: audit hook of this process.
        scratch: folder below which the fork gets one of its own.
        imported: top-level names of packages imported for this and earlier models.
    """
    from under20k.checking.sandbox.judge_request import judge_request

    own = Path(tempfile.mkdtemp(dir=scratch))
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        process_limits.end_with_parent()
        if request.jail != "none":
            jail.alone()
        os.close(out)
        os.close(read)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the next requests are not the model's to read
        judge_request(request, write, hook, own, imported)
    os.close(write)
    text, ended, full = _report(read, request, scratch)
    os.close(read)
    status = _end(child, ENDING_S if ended else 0)
    process_limits.end_children()
    for seed in request.seeds or ():
        with contextlib.suppress(OSError):
            os.replace(own / initial_file(seed), scratch / initial_file(seed))
    with contextlib.suppress(RecursionError):
        shutil.rmtree(own, ignore_errors=True)
    before, _, report = text.rpartition(LOADED)
    loaded = bool(before or text.startswith(LOADED))
    return Answer(loaded, ended, full, os.waitstatus_to_exitcode(status), report)


def _report(read: int, request: Request, scratch: Path) -> tuple[bytes, bool, bool]:
    """Read what a fork writes, until it closes the pipe, its time is over or it fills the scratch folder.

    Returns the text, whether the pipe was closed, and whether the folder is full.
    """
    text, ended, full = b"", False, False
    began = time.monotonic()
    loading_s = request.loading_limit_s + LOADING_GRACE_S if request.whole else float("inf")
    while not ended and not full and len(text) < REPORT_LIMIT_BYTES:
        limit_s = request.time_limit_s if LOADED in text else min(request.time_limit_s, loading_s)
        left_s = began + limit_s - time.monotonic()
        if left_s <= 0:
            break
        if not select.select([read], [], [], min(left_s, 0.5))[0]:
            full = _size_bytes(scratch) > SCRATCH_LIMIT_BYTES
            continue
        part = os.read(read, 1 << 16)
        text, ended = text + part, not part
    return text, ended, full


def _end(child: int, patience_s: float) -> int:
    """End a fork, after ``patience_s`` by force, and its process group; return its wait status."""
    deadline = time.monotonic() + patience_s
    done, status = os.waitpid(child, os.WNOHANG)
    while not done and time.monotonic() < deadline:
        time.sleep(0.005)
        done, status = os.waitpid(child, os.WNOHANG)
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if kill is os.killpg or not done:
                kill(child, signal.SIGKILL)
    if not done:
        _, status = os.waitpid(child, 0)
    return status


def _size_bytes(folder: Path) -> int:
    total = 0
    with contextlib.suppress(OSError, RecursionError):
        for path in folder.rglob("*"):
            total += path.lstat().st_size
    return total


if __name__ == "__main__":
    main()
