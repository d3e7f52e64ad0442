"""Many trainings at once, on processes of this machine or a cluster's workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from under20k.engine.select import choose, torch_device
from under20k.errors import UserError, unforeseen
from under20k.runs.events import EpochDone, Failed, Finished, Note, OnEvent, Scheduled, Started, Step, ignore
from under20k.runs.parallel.layout import local_layout
from under20k.runs.parallel.local import local_backend
from under20k.runs.parallel.processes import DiedInStart
from under20k.runs.parallel.reuse import Differing, differences, finished, fitting, trained_elsewhere
from under20k.runs.parallel.task import Backend, BackendLost, Task
from under20k.runs.provenance import local_identity, portable_identity
from under20k.runs.run import InUse, Run
from under20k.runs.train import finished_event

POLL_S = 0.1
LOOK_S = 1.0  # between two checks of a run that another process trains
ATTEMPTS = 2  # at a training whose worker dies

Expect = Callable[[Task], Mapping[str, Any]]
"""Returns the identity (``provenance.local_identity``) of a training by a task."""


@dataclass(frozen=True)
class Failure:
    """A training that failed for good, and why."""

    task: Task
    reason: str

    def __str__(self) -> str:
        return f"{self.task.label}: {self.reason}"


@dataclass(frozen=True)
class Outcome:
    """The outcome of many trainings."""

    runs: Mapping[Path, Run]
    """The finished ones, by their folder, in the order of the tasks."""
    failures: Sequence[Failure]

    def raise_first(self) -> None:
        """Raise UserError with the first failure, if any."""
        if self.failures:
            raise UserError(f"{self.failures[0]}; finished runs are kept; run the command again to continue")


def train_all(
    tasks: Sequence[Task],
    *,
    differing: Differing = "reuse",
    jobs: int | None = None,
    cluster: str | None = None,
    on_event: OnEvent = ignore,
) -> Outcome:
    """Train every task; one that fails is reported, and the others are kept.

    Finished runs are reused, unfinished ones resumed. A training whose worker dies is retried once; one that
    another process is at is left for last, and reused if that finishes it.

    Args:
        tasks: the trainings.
        differing: what to do with runs that another engine or other numerics trained.
        jobs: trainings in parallel on this machine; by default what is measured to be fastest.
        cluster: the address of a Dask scheduler, whose workers train instead.
        on_event: called, from the calling thread, with every event.

    Raises:
        UserError: for arguments with which no training can start, and for runs that ``differing`` refuses.
    """
    for task in tasks:
        if task.recipe.distillation:
            task.recipe.distillation.seeds(task.seed)  # raises where there are none for it
    for compute in {task.compute for task in tasks}:
        if choose(compute).engine == "torch" and compute.device != "auto" and cluster is None:
            torch_device(compute.device)
    identity_of = local_identity if cluster is None else portable_identity

    def expect(task: Task) -> Mapping[str, Any]:
        # On torch, whose bits depend on the number of threads, it is one unless another is given.
        compute = replace(task.compute, threads=task.compute.threads or 1)
        return identity_of(compute)

    runs: dict[Path, Run] = {}
    missing = []
    for task in tasks:
        task = fitting(task, expect(task), differing)
        if run := None if task.existing == "replace" else finished(task):
            runs[task.path] = run
            otherwise = differences(run, expect(task)) if differing == "reuse" else ""
            on_event(finished_event(run, reused=True, differing=otherwise))
        else:
            missing.append(task)
    failures: list[Failure] = []
    if missing:
        missing, backend_here = _placed(missing, jobs, cluster)
        with backend_here as backend:
            recipes = {task.path: task.recipe for task in missing}
            on_event(Scheduled(recipes, missing[0].compute, backend.where))
            failures = _Schedule(missing, backend, differing, expect, on_event).run()
        lost = {failure.task.path for failure in failures}
        runs |= {task.path: Run.open(task.path) for task in missing if task.path not in lost}
    return Outcome({task.path: runs[task.path] for task in tasks if task.path in runs}, failures)


def _placed(
    tasks: Sequence[Task], jobs: int | None, cluster: str | None
) -> tuple[list[Task], AbstractContextManager[Backend]]:
    """Return the tasks with the number of threads that each trains on, and their backend."""
    # Some may need torch; processes have room for its trainings wherever those are.
    compute = next((task.compute for task in tasks if task.compute.engine == "torch"), tasks[0].compute)
    if cluster is None:
        layout = local_layout(tasks, compute, jobs)
        threads, backend = layout.threads, local_backend(layout)
    else:
        from under20k.runs.parallel.dask import dask_backend  # an extra, which not everyone has

        threads = compute.threads or 1
        backend = dask_backend(cluster, compute, tasks[0].places.data)
    placed = [
        task if task.compute.threads else replace(task, compute=replace(task.compute, threads=threads))
        for task in tasks
    ]
    return placed, backend


class _Schedule:
    """The remaining trainings, and the attempts so far."""

    def __init__(
        self,
        tasks: Sequence[Task],
        backend: Backend,
        differing: Differing,
        expect: Expect,
        on_event: OnEvent,
    ) -> None:
        self.backend, self.differing, self.expect, self.on_event = backend, differing, expect, on_event
        self.left = {task.path: task for task in tasks}
        self.attempts = dict.fromkeys(self.left, 0)
        self.elsewhere: dict[Path, float] = {}
        """When to check again on the runs that other processes train."""
        self.ended: SimpleQueue[tuple[Task, Future[Any]]] = SimpleQueue()
        self.failures: list[Failure] = []

    def run(self) -> list[Failure]:
        """Train all tasks; return those that failed."""
        for task in list(self.left.values()):
            self._submit(task)
        while self.left:
            ended = self._wait()
            # A local worker's events come before its future is done; a cluster's may come late, or never.
            for event in self.backend.events():
                if not isinstance(event, Started | Step | EpochDone | Finished) or event.run in self.left:
                    self.on_event(event)
            self._look_elsewhere()
            for task, future in ended:
                self._settle(task, future)
        return self.failures

    def _submit(self, task: Task) -> None:
        self.attempts[task.path] += 1
        future = self.backend.submit(task)
        future.add_done_callback(lambda future: self.ended.put((task, future)))

    def _wait(self) -> list[tuple[Task, Future[Any]]]:
        """Return the trainings that have ended, after a moment at the latest."""
        try:
            ended = [self.ended.get(timeout=POLL_S)]
            while not self.ended.empty():
                ended.append(self.ended.get())
        except Empty:
            return []
        return ended

    def _settle(self, task: Task, future: Future[Any]) -> None:
        """Take the run of a training that has ended, try it again, or give it up."""
        try:
            run = self.backend.collect(task, future)
        except InUse:
            self.attempts[task.path] -= 1
            self.elsewhere[task.path] = monotonic() + LOOK_S
            self.on_event(Note(f"{task.label} is trained by another process: left for last"))
        except self.backend.retryable as error:
            if self.attempts[task.path] < ATTEMPTS:
                self.on_event(Failed(task.path, "worker process died", retry=True))
                self._submit(task)
            elif isinstance(error, DiedInStart):
                self._fail(task, str(error))
            else:
                self._fail(task, "worker process died twice (out of memory?)")
        except BackendLost:  # the same for every task
            raise
        except UserError as error:
            self._fail(task, str(error))
        except Exception as error:  # of one seed: the others are kept
            self._fail(task, unforeseen(error))
        else:
            self._take(task, run)

    def _look_elsewhere(self) -> None:
        """Reuse runs that other processes have finished, and train those that they left unfinished."""
        for path in [path for path, due in self.elsewhere.items() if monotonic() >= due]:
            task = self.left[path]
            try:
                run = trained_elsewhere(task, self.expect(task), self.differing)
            except InUse:
                self.elsewhere[path] = monotonic() + LOOK_S
                continue
            except UserError as error:
                self._fail(task, str(error))
            else:
                if run is None:
                    self._submit(task)
                else:
                    self._take(task, run)
            del self.elsewhere[path]

    def _take(self, task: Task, run: Run) -> None:
        del self.left[task.path]
        self.on_event(finished_event(run))

    def _fail(self, task: Task, reason: str) -> None:
        del self.left[task.path]
        self.failures.append(Failure(task, reason))
        self.on_event(Failed(task.path, reason))
