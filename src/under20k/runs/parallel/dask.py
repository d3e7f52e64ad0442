"""The backend of a Dask cluster.

A plugin checks every worker, also those that join later. One with the same version and numerics of under20k,
the engine and MNIST declares a resource that the trainings require, so others get none. Workers report
through Dask's events; a run comes back as its files.
"""

from __future__ import annotations

import gc
import pickle
import socket
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import Any

from under20k.engine.base import NUMERICS, Compute
from under20k.engine.select import choose
from under20k.errors import UserError
from under20k.files import remove, write_bytes
from under20k.runs.distillation import remove_teachers
from under20k.runs.events import EpochDone, Event, Finished, Note, OnEvent, Started, Step
from under20k.runs.parallel.reuse import finished
from under20k.runs.parallel.task import BackendLost, Task, perform
from under20k.runs.places import Places
from under20k.runs.provenance import command
from under20k.runs.run import FILES, Run, lock
from under20k.runs.snapshots import remove_snapshots

REACH_S = 5  # for a port to take a connection
CONNECT_S = 60  # for a scheduler, which may be busy, to answer there
CLOSE_S = 10
LOOK_S = 1.0  # between two polls of the workers


class DaskWorkers:
    """A ``Backend`` of the workers of a cluster. They share no folder with this process: a run comes back as
    its files.
    """

    def __init__(self, client: Any, executor: Any, topic: str, address: str) -> None:
        from distributed.scheduler import KilledWorker

        self.executor = executor
        self.where = f"on the workers of {address}"
        # Dask retries a task of a lost worker three times before it raises KilledWorker.
        self.retryable: tuple[type[BaseException], ...] = (KilledWorker,)
        self._client, self.topic, self._address = client, topic, address
        self._messages: SimpleQueue[Any] = SimpleQueue()
        self._fit: set[str] = set()
        self._unfit: dict[str, str] = {}
        self._waiting = False
        self._looked = 0.0
        client.subscribe_topic(topic, lambda message: self._messages.put(message[1]))

    @property
    def fit(self) -> int:
        """The number of workers that can train, as of the last call of ``events``."""
        return len(self._fit)

    def submit(self, task: Task) -> Future[dict[str, bytes]]:
        """Train a task when a worker is free."""
        future: Future[dict[str, bytes]] = self.executor.submit(perform_away, task, self.topic, command())
        return future

    def events(self) -> list[Event]:
        """Return what has happened since the last call.

        Raises BackendLost where the scheduler is gone, UserError where every worker was refused.
        """
        if self._client.status not in ("running", "connecting"):
            raise self._lost()
        events: list[Event] = []
        for _ in range(self._messages.qsize()):
            message = self._messages.get()
            if isinstance(message, bytes):
                events.append(pickle.loads(message))  # noqa: S301 - Dask unpickles results from the same workers
            else:
                events.append(self._judged(*message))
        if monotonic() - self._looked >= LOOK_S:
            self._looked = monotonic()
            events += map(Note, self._look())
        return events

    def collect(self, task: Task, future: Future[dict[str, bytes]]) -> Run:
        """Put the files of a run that a worker has trained into the task's folder."""
        if future.cancelled():  # by Dask, when it loses the scheduler
            raise self._lost()
        adopt(task, future.result())
        return Run.open(task.path)

    def _lost(self) -> BackendLost:
        return BackendLost(f"the scheduler at {self._address} is gone")

    def _look(self) -> Iterator[str]:
        """Yield notes on lost workers."""
        from under20k.runs.parallel import dask_worker

        try:
            present = set(self._client.scheduler_info(n_workers=-1)["workers"])
            self._client.run_on_scheduler(dask_worker.wake, self.topic)
        except OSError:  # the client has not noticed yet
            raise self._lost() from None
        for gone in self._fit - present:
            yield f"worker {gone} is gone; its trainings go to others"
        self._fit &= present
        refused = {address: why for address, why in self._unfit.items() if address in present}
        if not self._fit and present and refused.keys() == present:
            reasons = "; ".join(f"{address}: {why}" for address, why in refused.items())
            raise UserError(f"no worker of {self._address} fits: {reasons}")
        if not self._fit and not present and not self._waiting:
            yield f"{self._address} has no worker; waiting for one"
        self._waiting = not self._fit

    def _judged(self, address: str, reason: str | None) -> Note:
        if reason is None:
            self._fit.add(address)
            return Note(f"worker {address} joins")
        self._unfit[address] = reason
        return Note(f"worker {address} is refused: {reason}")


def perform_away(task: Task, topic: str, command_line: str) -> dict[str, bytes]:
    """Perform a task on a worker of a cluster, log its events under ``topic``, and return the run's files."""
    from distributed import get_worker

    worker = get_worker()

    def log(event: Event) -> None:
        # Steps would burden the scheduler, the bottleneck of many workers.
        if not isinstance(event, Step):
            worker.log_event(topic, pickle.dumps(event))

    return train_away(task, log, command_line)


def train_away(task: Task, on_event: OnEvent, command_line: str) -> dict[str, bytes]:
    """Train a task in a temporary folder, and return the run's files.

    Args:
        task: the training; its events name the task's own folder.
        on_event: called with them.
        command_line: recorded in the run.
    """

    def pass_on(event: Event) -> None:
        if isinstance(event, Started | Step | EpochDone | Finished):
            event = replace(event, run=task.path)
        on_event(event)

    with tempfile.TemporaryDirectory(prefix="under20k-") as scratch:
        places = Places(scratch, data=task.places.data)
        away = replace(task, places=places, existing="refuse")
        perform(away, pass_on, command_line)
        return {name: path.read_bytes() for name in FILES if (path := away.path / name).is_file()}


def adopt(task: Task, files: Mapping[str, bytes]) -> None:
    """Write the files of a run trained elsewhere into the task's folder; a finished run there is kept."""
    with lock(task.path):
        if task.existing != "replace" and finished(task):
            return
        remove_teachers(task.path)  # of an earlier attempt here; the run's own stayed on the worker
        # As in Run.create, the model is removed first; it is written after all that belongs to training.
        for name in reversed(FILES):
            remove(task.path / name)
        remove_snapshots(task.path)
        if task.start:
            task.start.write(task.path)
        for name in FILES:
            if name in files:
                write_bytes(task.path / name, files[name])


def reach(address: str) -> None:
    """Raise OSError unless something answers at the address: Dask would wait forever."""
    from distributed.comm import get_address_host_port, parse_address

    scheme = parse_address(address)[0]
    if scheme not in ("tcp", "tls"):
        return
    with socket.create_connection(get_address_host_port(address), timeout=REACH_S) as connection:
        connection.settimeout(CONNECT_S)
        if scheme == "tcp" and not connection.recv(1):  # a scheduler speaks first
            raise ConnectionResetError


@contextmanager
def dask_backend(address: str, compute: Compute, data_dir: Path | None) -> Iterator[DaskWorkers]:
    """Give the block the workers of a cluster.

    Args:
        address: of the Dask scheduler.
        compute: what a worker needs; ``threads`` are those of one training.
        data_dir: the folder of MNIST on the workers.

    Raises:
        UserError: where the scheduler, or Dask, is missing.
    """
    try:
        import cloudpickle
        from distributed import Client
    except ImportError as error:
        raise UserError(
            f"a cluster needs Dask ({error}); install it with: pip install 'under20k[cluster]'"
        ) from None
    from under20k.runs.parallel import dask_worker

    # By value, so that a worker with another under20k, or none, can report that.
    cloudpickle.register_pickle_by_value(dask_worker)
    try:
        reach(address)
        # A forgotten client closes when it is collected; during the start of the next one it would hang.
        gc.collect()
        client = Client(address, timeout=CONNECT_S, set_as_default=False, name="under20k")
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"no Dask scheduler answers at {address!r} ({type(error).__name__}); start one with 'dask "
            "scheduler', see docs/cluster.md"
        ) from None
    name = f"under20k-{uuid.uuid4().hex}"
    choice = choose(compute)
    wanted = {
        "version": metadata.version("under20k"),
        "numerics": NUMERICS,
        "engine": choice.engine,
        "device": compute.device,
        "precision": choice.precision,
        "data_dir": None if data_dir is None else str(data_dir),
    }
    executor = client.get_executor(pure=False, resources={name: 1})
    try:
        # The scheduler unpickles the tasks.
        if reason := client.run_on_scheduler(dask_worker.other, wanted):
            raise UserError(f"the scheduler at {address}: {reason}")
        backend = DaskWorkers(client, executor, name, address)
        client.register_plugin(dask_worker.fitness(name, compute.threads or 1, wanted), name=name)
        yield backend
    finally:
        with suppress(Exception):  # a scheduler that is gone needs no cleaning up
            if client.status == "running":
                executor.shutdown(wait=False)
                client.unregister_worker_plugin(name)
        with suppress(Exception):
            client.close(timeout=CLOSE_S)
        cloudpickle.unregister_pickle_by_value(dask_worker)
