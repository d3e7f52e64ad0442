"""Check whether a worker of a cluster can train. Sent by value: it may have another under20k, or none."""

from __future__ import annotations

from typing import Any


def fitness(name: str, threads: int, wanted: dict[str, Any]) -> Any:
    """Return a Dask worker plugin with which a fit worker declares the resource ``name``.

    Each worker logs ``[address, reason]`` under the topic ``name``; it is refused unless the reason is None.

    Args:
        name: of the resource and the topic.
        threads: for each unit of the resource.
        wanted: what ``unfit`` checks.
    """
    import asyncio

    from distributed.diagnostics.plugin import WorkerPlugin

    class Fitness(WorkerPlugin):  # type: ignore[misc]
        async def setup(self, worker: Any) -> None:
            # In a thread, since it may download MNIST.
            try:
                reason = await asyncio.get_running_loop().run_in_executor(None, unfit, wanted)
            except Exception as error:  # of its installation; unreported, nobody would know
                reason = f"{type(error).__name__}: {error}"
            if reason is None:
                units = max(1, worker.state.nthreads // threads)
                await worker.set_resources(**{name: units})
            worker.log_event(name, [worker.address, reason])

        async def teardown(self, worker: Any) -> None:
            if name in worker.state.total_resources:
                await worker.set_resources(**{name: 0})

    return Fitness()


def wake(name: str, dask_scheduler: Any) -> None:
    """Assign, on the scheduler, the tasks that wait for a worker with the resource ``name``.

    Dask does so when a worker joins, which is before the plugin has declared its resource, and never again:
    if the first fit worker came after the tasks, they would wait for ever.
    """
    for worker in list(dask_scheduler.running):
        if dask_scheduler.unrunnable and worker.resources.get(name):
            tasks = dask_scheduler.bulk_schedule_unrunnable_after_adding_worker(worker)
            dask_scheduler.transitions(tasks, f"{name}-fit")


def other(wanted: dict[str, Any]) -> str | None:
    """Return how this process's under20k differs from the one wanted; None if it does not."""
    try:
        import under20k
    except ImportError:
        return f"under20k is not installed; install {wanted['version']}"
    version = under20k.__version__
    if version != wanted["version"]:
        return f"worker has under20k {version}; the client has {wanted['version']}"
    try:
        from under20k.engine.base import NUMERICS
    except ImportError as error:
        return f"worker runs different sources of under20k {version}: {error}"
    if wanted["numerics"] != NUMERICS:
        return f"worker has numerics {NUMERICS}; the client has {wanted['numerics']}"
    return None


def unfit(wanted: dict[str, Any]) -> str | None:
    """Return why this process cannot train what is wanted; None if it can."""
    if (reason := other(wanted)) is not None:
        return reason
    from pathlib import Path

    from under20k.data import load
    from under20k.engine.base import Compute
    from under20k.engine.select import choose, torch_device
    from under20k.errors import UserError

    try:
        choose(Compute(wanted["engine"], wanted["device"], wanted["precision"]))
        if wanted["engine"] == "torch":
            torch_device(wanted["device"])
        load(None if wanted["data_dir"] is None else Path(wanted["data_dir"]))
    except UserError as error:
        return str(error)
    return None
