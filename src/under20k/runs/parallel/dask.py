"""Trainings on the workers of a Dask cluster, through its executor of ``concurrent.futures``.

A plugin tries every worker, also one that joins later: where under20k is of this code, the engine is to be
had and MNIST is at hand, the worker declares a resource, which the trainings ask for. So a worker that does
not fit gets none. What a worker tells comes as Dask's events; a run comes back as its files.
"""

from __future__ import annotations

import gc
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import Any

from under20k.engine.select import choose
from under20k.errors import UserError
from under20k.runs.parallel.pool import Message
from under20k.runs.provenance import code_digest

REACH_S = 5  # for a port to take a connection
CONNECT_S = 60  # for a scheduler, which may be busy, to answer there
CLOSE_S = 10
LOOK_S = 1.0  # between two looks at who is there


class DaskWorkers:
    """A ``pool.Pool`` of the workers of a cluster."""

    away = True

    def __init__(self, client: Any, executor: Any, topic: str, address: str) -> None:
        from distributed.scheduler import KilledWorker

        self.executor = executor
        self.where = f"on the workers of {address}"
        # Dask itself tries a task of a lost worker elsewhere, three times; KilledWorker is its giving up.
        self.crash: tuple[type[BaseException], ...] = (KilledWorker,)
        self._client, self._topic, self._address = client, topic, address
        self._events: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        self._news: list[str] = []
        self._fit: set[str] = set()
        self._unfit: dict[str, str] = {}
        self._waiting = False
        self._looked = 0.0
        client.subscribe_topic(topic, lambda event: self._events.put(tuple(event[1])))

    @property
    def fit(self) -> int:
        """How many workers can train, as far as ``heard`` and ``news`` know."""
        return len(self._fit)

    @property
    def tell(self) -> Callable[[Message], None]:
        return Voice(self._topic)

    def heard(self) -> list[Message]:
        messages = []
        while not self._events.empty():
            kind, *values = self._events.get()
            if kind == "on_worker":
                self._judged(*values)
            else:
                messages.append((kind, *values))
        return messages

    def news(self) -> list[str]:
        """Who came and went. Raises UserError where the scheduler is gone, or every worker was refused."""
        if self._client.status not in ("running", "connecting"):
            raise self.lost()
        told, self._news = self._news, []
        if monotonic() - self._looked >= LOOK_S:
            self._looked = monotonic()
            told += self._look()
        return told

    def lost(self) -> UserError:
        return UserError(
            f"the scheduler at {self._address} is gone; what is done is kept: call again to go on"
        )

    def _look(self) -> list[str]:
        news = []
        from under20k.runs.parallel import dask_worker

        try:
            present = set(self._client.scheduler_info(n_workers=-1)["workers"])
            self._client.run_on_scheduler(dask_worker.wake, self._topic)
        except OSError:  # it went before the client has noticed
            raise self.lost() from None
        for gone in self._fit - present:
            news.append(f"worker {gone} is gone; its trainings go to others")
        self._fit &= present
        refused = {address: why for address, why in self._unfit.items() if address in present}
        if not self._fit and present and refused.keys() == present:
            reasons = "; ".join(f"{address}: {why}" for address, why in refused.items())
            raise UserError(f"no worker of {self._address} fits: {reasons}")
        if not self._fit and not present and not self._waiting:
            news.append(f"{self._address} has no worker; waiting for one")
        self._waiting = not self._fit
        return news

    def _judged(self, address: str, reason: str | None) -> None:
        if reason is None:
            self._fit.add(address)
            self._news.append(f"worker {address} joins")
        else:
            self._unfit[address] = reason
            self._news.append(f"worker {address} is refused: {reason}")


class Voice:
    """What a task on a worker tells by; it travels with the task."""

    def __init__(self, topic: str) -> None:
        self.topic = topic

    def __call__(self, message: Message) -> None:
        # A step is not worth the scheduler's time: of many workers, it is the one that is short of it.
        if message[0] != "on_step":
            from distributed import get_worker

            get_worker().log_event(self.topic, list(message))


def reach(address: str) -> None:
    """Raise OSError where nothing listens, or nothing speaks, for which Dask would wait without end."""
    from distributed.comm import get_address_host_port, parse_address

    scheme = parse_address(address)[0]
    if scheme not in ("tcp", "tls"):
        return
    with socket.create_connection(get_address_host_port(address), timeout=REACH_S) as connection:
        connection.settimeout(CONNECT_S)
        if scheme == "tcp" and not connection.recv(1):  # Dask's scheduler is the first to speak
            raise ConnectionResetError


@contextmanager
def dask_workers(
    address: str, engine: str, device: str, threads: int, data_dir: Path | None, precision: str = "auto"
) -> Iterator[DaskWorkers]:
    """The workers of the scheduler at ``address``. Raises UserError where it, or Dask, is missing."""
    try:
        import cloudpickle
        from distributed import Client
    except ImportError as error:
        raise UserError(
            f"a cluster needs Dask ({error}); install it with: pip install 'under20k[cluster]'"
        ) from None
    from under20k.runs.parallel import dask_worker

    # By value, so that a worker with another under20k, or none, can say so.
    cloudpickle.register_pickle_by_value(dask_worker)
    try:
        reach(address)
        # A client left behind closes when it is collected; within the next one's start it waits for ever.
        gc.collect()
        client = Client(address, timeout=CONNECT_S, set_as_default=False, name="under20k")
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"no Dask scheduler answers at {address!r} ({type(error).__name__}); start one with 'dask "
            "scheduler', see docs/cluster.md"
        ) from None
    name = f"under20k-{uuid.uuid4().hex}"
    choice = choose(engine, device, precision)
    wanted = {
        "version": metadata.version("under20k"),
        "code": code_digest(),
        "engine": choice.engine,
        "device": device,
        "precision": choice.precision,
        "data_dir": None if data_dir is None else str(data_dir),
    }
    executor = client.get_executor(pure=False, resources={name: 1})
    try:
        # It takes the trainings apart, to hand them on.
        if reason := client.run_on_scheduler(dask_worker.other, wanted):
            raise UserError(f"the scheduler at {address}: {reason}")
        pool = DaskWorkers(client, executor, name, address)
        client.register_plugin(dask_worker.fitness(name, threads, wanted), name=name)
        yield pool
    finally:
        with suppress(Exception):  # a scheduler that is gone has nothing left to tidy up
            if client.status == "running":
                executor.shutdown(wait=False)
                client.unregister_worker_plugin(name)
        with suppress(Exception):
            client.close(timeout=CLOSE_S)
        cloudpickle.unregister_pickle_by_value(dask_worker)
