"""The process that runs models, as its parent sees it: started, asked, and started again where it ends."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import site
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

from under20k.checking.sandbox.messages import FORKS, LOADED, REPORT_LIMIT_BYTES, Answer, Request
from under20k.checking.sandbox.scratch_home import font_lists, homes, keep_fonts

START_LIMIT_S = 600.0
"""For importing torch, on a machine however busy."""
GRACE_S = 60.0
"""For the process that keeps the time to report that it is over."""
LINE_LIMIT_BYTES = 2 * REPORT_LIMIT_BYTES
# -P: no module of the current folder, such as a random.py, may run before there are limits.
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


class Unanswered(Exception):
    """The process that runs models gave no answer."""


class Stopped(Unanswered):
    """A model stopped the process that runs models."""

    def __init__(self) -> None:
        super().__init__("ended: it stopped the process that runs models")


class Server:
    """A process that has imported torch and forks for each model. If a model ends it, another starts."""

    def __init__(self, jail: str, *, reads_mnist: bool, data_dir: Path | None = None) -> None:
        self.stopped = False
        self._jail, self._reads_mnist, self._data_dir = jail, reads_mnist, data_dir
        self._scratch = tempfile.TemporaryDirectory(prefix="under20k-check-", ignore_cleanup_errors=True)
        self._start()

    def _start(self) -> None:
        scratch = os.path.realpath(self._scratch.name)
        self._ready, self._lines = False, queue.SimpleQueue[bytes]()
        self._process = subprocess.Popen(
            [*WORKER, scratch, self._jail],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=_environment(scratch, self._reads_mnist, self._data_dir),
        )
        assert self._process.stdout is not None
        threading.Thread(target=_read, args=(self._process.stdout, self._lines), daemon=True).start()

    def ask(self, request: Request) -> Answer:
        """Return the answer to one request. Raises Unanswered."""
        if self.stopped:  # by a signal, before a second try
            raise Stopped
        assert self._process.stdin is not None
        if not self._ready and not self._line(START_LIMIT_S):
            raise Unanswered("the process that runs models does not start; is torch installed?")
        self._ready = True
        with contextlib.suppress(BrokenPipeError, OSError):
            self._process.stdin.write(request.line())
            self._process.stdin.flush()
        return self._answer_of_fork(request) if FORKS else self._answer_of_process(request)

    def _answer_of_fork(self, request: Request) -> Answer:
        """Read an answer. The process keeps the time; this does if it no longer can."""
        limit_s = request.time_limit_s + GRACE_S
        line = self._line(limit_s)
        try:
            return Answer.read(line, self._line(limit_s) if line else b"")
        except (ValueError, TypeError, RecursionError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.2)
            self._restart()
            raise Stopped from None

    def _answer_of_process(self, request: Request) -> Answer:
        """Read the report where nothing forks: the process itself judges the model, and ends."""
        began = time.monotonic()
        line = self._line(request.loading_limit_s if request.whole else request.time_limit_s)
        loaded = line == LOADED
        if loaded:
            line = self._line(began + request.time_limit_s - time.monotonic())
        if not line:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.2)
        code = self._process.returncode
        self._restart()
        if line:
            return Answer(loaded=True, ended=True, full=False, code=0, report=line)
        return Answer(loaded=loaded, ended=code is not None, full=False, code=code, report=b"")

    def _line(self, limit_s: float) -> bytes:
        """Return the next line of the process, empty if it ends or the time does."""
        try:
            return self._lines.get(timeout=max(0.0, limit_s))
        except queue.Empty:
            return b""

    def _restart(self) -> None:
        if not self.stopped:
            self._end()
            self._start()

    @property
    def scratch(self) -> Path:
        """The folder in which models may write."""
        return Path(self._scratch.name)

    def stop(self) -> None:
        """End the process for good, from any thread: one that waits for its answer gets an error."""
        self.stopped = True
        self._kill()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def _end(self) -> None:
        self._kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError, OSError):
                    stream.close()

    def close(self) -> None:
        """End the process, and the model that it may be running."""
        self._end()
        with contextlib.suppress(RecursionError):  # deeply nested folders, made past Python
            self._scratch.cleanup()


def _read(stream: IO[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    """Put each line into the queue, and an empty one at the end."""
    with contextlib.suppress(ValueError, OSError):  # closed meanwhile
        while line := stream.readline(LINE_LIMIT_BYTES):
            lines.put(line)
    lines.put(b"")


def _environment(scratch: str, reads_mnist: bool, data_dir: Path | None) -> dict[str, str]:
    """Return the environment of the process, in which caches and temporary files go to ``scratch``."""
    environment = os.environ | SETTINGS | homes(scratch)
    # The user's own packages, and MNIST, stay where they are.
    environment["PYTHONUSERBASE"] = site.getuserbase()
    if reads_mnist:
        from under20k.data.cache import VARIABLE, cache_folder, given_folder

        environment[VARIABLE] = str(given_folder(data_dir) or cache_folder())
    keep_fonts(font_lists(), environment["MPLCONFIGDIR"])
    return environment
