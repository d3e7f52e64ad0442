"""Whether a worker of a cluster can train. Sent to it by value: it may have another under20k, or none."""

from __future__ import annotations

from typing import Any


def fitness(name: str, threads: int, wanted: dict[str, Any]) -> Any:
    """A Dask worker plugin that has a fit worker declare the resource ``name``, one for so many threads.

    Each worker logs its address under the topic ``name``, and why it is refused or None.
    """
    import asyncio

    from distributed.diagnostics.plugin import WorkerPlugin

    class Fitness(WorkerPlugin):  # type: ignore[misc]
        async def setup(self, worker: Any) -> None:
            # In a thread, for it may fetch MNIST.
            try:
                reason = await asyncio.get_running_loop().run_in_executor(None, unfit, wanted)
            except Exception as error:  # whatever its installation does; unheard, nobody would know of it
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
    """On the scheduler: hand out the tasks that have waited for a worker with the resource ``name``.

    Dask looks for them when a worker joins, which is before the plugin has declared what the worker is fit
    for, and never again: where the first fit worker came after the tasks, they would wait for good.
    """
    for worker in list(dask_scheduler.running):
        if dask_scheduler.unrunnable and worker.resources.get(name):
            tasks = dask_scheduler.bulk_schedule_unrunnable_after_adding_worker(worker)
            dask_scheduler.transitions(tasks, f"{name}-fit")


def other(wanted: dict[str, Any]) -> str | None:
    """Why this process has another under20k than is wanted, or None where it has the same."""
    try:
        import under20k
    except ImportError:
        return f"under20k is not installed; install {wanted['version']}"
    version = under20k.__version__
    if version != wanted["version"]:
        return f"under20k {version}, but {wanted['version']} asks"
    try:
        from under20k.engine.base import NUMERICS
    except ImportError as error:
        return f"under20k {version} of other code: {error}"
    if wanted["numerics"] != NUMERICS:
        return f"under20k of numerics {NUMERICS}, but {wanted['numerics']} asks"
    return None


def unfit(wanted: dict[str, Any]) -> str | None:
    """Why this process cannot train what is wanted, or None where it can."""
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
