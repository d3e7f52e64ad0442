"""A Dask scheduler and workers as processes of their own, over TCP on loopback."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from under20k.recipe.named import MINIMAL

TINY = replace(
    MINIMAL.with_changes(architecture="1p,4pd0.1|l", batch_size=1000, epochs=2, average_decay=0.5),
    name="tiny",
)

PATIENCE_S = 300  # of a machine whose cores are busy; what is waited for takes seconds

BOTH = ["--no-dashboard", "--host", "127.0.0.1"]


def wait_for(condition: Callable[[], Any]) -> Any:
    """What the condition gives once it is true. Fails where that never comes."""
    deadline = monotonic() + PATIENCE_S
    while not (met := condition()):
        assert monotonic() < deadline, "it never came true"
        sleep(0.05)
    return met


class Cluster:
    """A scheduler, and workers that are added one by one; everything is killed at the end."""

    def __init__(self, folder: Path, before: str = "") -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.workers: list[subprocess.Popen[bytes]] = []
        options = ["--port", "0", "--scheduler-file", str(self.file)]
        self.scheduler = self._start("scheduler", before, *BOTH, *options)
        try:
            self.address = wait_for(self._address)
        except BaseException:
            self.close()
            raise

    def add_worker(self, before: str = "", **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker of one thread in which the Python code ``before`` runs first."""
        options = ["--nworkers", "1", "--nthreads", "1", "--no-nanny", "--scheduler-file", str(self.file)]
        folder = ["--local-directory", str(self.folder / f"worker-{len(self.workers)}")]
        self.workers.append(self._start("worker", before, *BOTH, *options, *folder, **environment))
        return self.workers[-1]

    def wait_for_workers(self, client: Any, count: int) -> None:
        """Until so many have joined the scheduler."""
        wait_for(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == count)

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
        for process in (*self.workers, self.scheduler):
            process.wait()

    def _start(self, what: str, before: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        code = f"{before}\nimport sys\nfrom dask.__main__ import main\nsys.argv[0] = 'dask'\nmain()"
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", code, what, *arguments],
                cwd=self.folder,
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
            )

    def _address(self) -> str | None:
        assert self.scheduler.poll() is None, (self.folder / "log").read_text()
        try:
            return json.loads(self.file.read_text())["address"]
        except (OSError, ValueError):  # not there yet, or not whole
            return None


def freeze_a_busy_worker(client: Any, pids: Mapping[str, int]) -> tuple[str, int]:
    """Stop the process of a worker that is at a task, and make sure that it still is; which one it is."""

    def frozen() -> tuple[str, int] | None:
        for address, tasks in client.processing().items():
            if not tasks:
                continue
            os.kill(pids[address], signal.SIGSTOP)
            # Stopped, it ends no task: one that the scheduler still counts on now is lost with it.
            sleep(0.5)
            if client.processing().get(address):
                return address, pids[address]
            os.kill(pids[address], signal.SIGCONT)
        return None

    found: tuple[str, int] = wait_for(frozen)
    return found
