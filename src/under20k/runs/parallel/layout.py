"""How trainings share the cores of this machine: one on all of them, or several at once.

Which is faster depends on the processor: several networks fight for its caches, one network does some work on
one core only. For the native engine, whose bits do not depend on the number of threads, it is measured once
and remembered in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import heapq
import multiprocessing
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import numpy as np

from under20k.data.cache import cache_folder
from under20k.engine import isa, machine
from under20k.engine.base import Compute
from under20k.engine.select import choose, create, least_bytes
from under20k.errors import UserError, in_words
from under20k.files import read_json, write_json
from under20k.recipe.limits import TRAIN_IMAGES
from under20k.recipe.plan import epoch_plan
from under20k.recipe.recipe import Recipe
from under20k.runs.parallel.task import Task
from under20k.runs.provenance import native_build, processor

FORMAT = 1
MAX_KEPT = 200  # measurements in the file
BUDGET_S = 1.5  # for a measurement
BUDGET_FRACTION = 0.02  # of the time of all trainings that it may take
MACS_PER_S = 5e10  # to estimate that time
IDLE = 0.9  # fraction of the cores' time that a measurement has to get, or other work is in its way
IMAGES = 1024  # of a measured epoch, or two batches; a fifth as many are evaluated


@dataclass(frozen=True)
class Layout:
    """How many trainings run at a time, each on how many threads."""

    jobs: int
    threads: int
    where: str
    """In words: ``2 at a time``."""
    processes: bool = True
    """Whether each is a process of its own; if not, they run in this one."""


@dataclass(frozen=True)
class Speeds:
    """Seconds to train the same images."""

    one_s: float
    """A network alone, on all cores."""
    several_s: float
    """Several networks at once, which share the cores, each on the same number of images."""
    reliable: bool = True
    """Whether they were measured for long enough, on an idle machine: only then are they remembered."""


Measure = Callable[[Recipe, Compute, int, int, float], Speeds]


def measure(recipe: Recipe, compute: Compute, jobs: int, cores: int, budget_s: float = BUDGET_S) -> Speeds:
    """Time a recipe's epochs on a few images, in both layouts in turns.

    Args:
        recipe: what to train, without its teachers and drawn digits.
        compute: the native engine's precision.
        jobs: networks at once in the second layout.
        cores: shared by them.
        budget_s: seconds to take, though at least two rounds.

    Raises:
        UserError: where memory does not suffice.
    """
    # With a learning rate of 0 the weights stay as they are, however often the same images come.
    recipe = replace(recipe, distillation=None, drawn_share=0.0, learning_rate=0.0)
    count = max(IMAGES, 2 * recipe.batch_size)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 28, 28), np.uint8)
    labels = random.integers(0, 10, count, np.uint8)

    # Any weights do for a model of the user's, whose constructor is not at hand.
    tensors = recipe.own.tensors() if recipe.own else {}
    weights = {name: np.full(shape, 0.01, np.float32) for name, shape in tensors.items()} or None

    def network(seed: int, threads: int) -> Callable[[], None]:
        engine = create(recipe, seed, replace(compute, threads=threads), weights=weights)

        def epoch() -> None:
            engine.train_epoch(images, labels, epoch_plan(recipe, seed, 1, count), lambda done: None)
            engine.logits(images[: count // 5])

        return epoch

    layouts = [network(0, cores)], [network(seed, cores // jobs) for seed in range(jobs)]
    times: tuple[list[float], list[float]] = [], []
    computed_s = 0.0  # CPU time in the second layout, which keeps all cores busy
    with ThreadPoolExecutor(jobs) as pool:  # the engine computes without Python's lock
        begun = perf_counter()
        while len(times[1]) < 2 or perf_counter() - begun < budget_s:
            for networks, seconds in zip(layouts, times, strict=True):
                started, computed_before_s = perf_counter(), process_time()
                for running in [pool.submit(epoch) for epoch in networks]:
                    running.result()
                seconds.append(perf_counter() - started)
            computed_s += process_time() - computed_before_s
    idle = computed_s / (sum(times[1]) * jobs * (cores // jobs)) >= IDLE
    one_s, several_s = (median(seconds[1:]) for seconds in times)  # the first round warms up
    return Speeds(one_s, several_s, reliable=idle and budget_s >= BUDGET_S)


def local_layout(
    tasks: Sequence[Task], compute: Compute, jobs: int | None, measure: Measure = measure
) -> Layout:
    """Choose how tasks share the cores and the memory of this machine.

    Args:
        tasks: the trainings.
        compute: of all of them; a number of threads that it names is kept.
        jobs: how many to train at a time, if not None.
        measure: times both layouts where neither number is given.
    """
    engine, cores = choose(compute).engine, machine.cores().amount
    if why := why_in_this_process() or why_not_sent(tasks):
        threads = compute.threads or (cores if engine == "native" else 1)
        return Layout(1, threads, f"one after the other in this process: {why}", processes=False)
    job_bytes = max(least_bytes(engine, task.recipe) for task in tasks)
    if jobs is not None:
        jobs = min(jobs, len(tasks))
        threads = compute.threads or (max(1, cores // jobs) if engine == "native" else 1)
        return Layout(jobs, threads, f"{jobs} at a time")
    fitting, limit = fitting_jobs(len(tasks), compute.threads or 1, job_bytes)
    several = Layout(fitting, compute.threads or 1, f"{fitting} at a time{f' ({limit})' if limit else ''}")
    if compute.threads is not None or engine != "native" or cores == 1:
        return several
    several = replace(several, threads=cores // fitting)
    one = Layout(1, cores, f"1 at a time on {cores} threads")
    if fitting == 1:
        return one
    heaviest = max(tasks, key=lambda task: macs(task.recipe)).recipe
    amounts = [macs(task.recipe) for task in tasks]
    budget_s = min(BUDGET_S, BUDGET_FRACTION * sum(amounts) / MACS_PER_S)
    try:
        speeds = remembered(heaviest, compute, (fitting, cores), measure, budget_s)
    except UserError:  # too little memory, as the trainings will say
        return several
    one_s = sum(amounts) * speeds.one_s
    several_s = makespan(amounts, fitting) * speeds.several_s
    if one_s < several_s:
        why = f"measured {several_s / one_s:.2f} times as fast as {fitting} at a time"
        return replace(one, where=f"{one.where}, {why}")
    why = f"measured {one_s / several_s:.2f} times as fast as 1 at a time on {cores} threads"
    return replace(several, where=f"{several.where}, {why}")


def why_in_this_process() -> str:
    """Return why no processes can be started here; empty where they can."""
    if multiprocessing.current_process().daemon:
        return "it is a daemonic process of multiprocessing, which may start no others"
    return ""


def why_not_sent(tasks: Sequence[Task]) -> str:
    """Return why a task cannot be sent to another process; empty where all can."""
    for task in tasks:
        if task.start and task.start.source:
            try:
                pickle.dumps(task.start.source)
            except Exception as error:  # whatever pickling it raises
                return f"what makes {task.recipe.name} cannot be sent to others ({in_words(error)})"
    return ""


def fitting_jobs(tasks: int, threads: int, job_bytes: int) -> tuple[int, str]:
    """Return how many of the tasks to run at a time, and what keeps it below what the machine's own cores and
    memory hold, if anything does.

    Args:
        tasks: how many there are.
        threads: of each task.
        job_bytes: memory of each task.
    """
    available, memory = machine.cores(), machine.memory()
    jobs, limit = available.amount // threads, available.limit
    if memory is not None and memory.amount // job_bytes < jobs:
        jobs = memory.amount // job_bytes
        limit = f"{machine.size_text(memory.amount)} of memory{f', {memory.limit}' if memory.limit else ''}"
    return (tasks, "") if tasks <= jobs else (max(1, jobs), limit)


def macs(recipe: Recipe) -> float:
    """Return about the multiplications of a training, whose backward pass takes two for each of the forward
    pass.
    """
    return 3.0 * recipe.architecture.macs * recipe.epochs * TRAIN_IMAGES


def makespan(amounts: Sequence[float], jobs: int) -> float:
    """Return when the last of several amounts of work is done, each taken by the first of ``jobs`` workers to
    be free.
    """
    busy_until = [0.0] * jobs
    for amount in amounts:
        heapq.heapreplace(busy_until, busy_until[0] + amount)
    return max(busy_until)


def remembered(
    recipe: Recipe, compute: Compute, shared: tuple[int, int], measure: Measure, budget_s: float
) -> Speeds:
    """Return the speeds in the cache file, or measure them and add them; a damaged file is replaced.

    Args:
        recipe: as for ``measure``.
        compute: likewise.
        shared: ``measure``'s jobs and cores.
        measure: measures what is not in the file.
        budget_s: seconds that it may take.
    """
    precision = choose(compute).precision
    settings = (
        processor(),
        native_build(),
        isa.instruction_set(precision),
        precision,
        recipe.flat()["architecture"],
        str(recipe.batch_size),
    )
    key = f"{hashlib.sha256(repr(settings).encode()).hexdigest()[:16]}-{shared[0]}-{shared[1]}"
    path = cache_file()
    known = read_answers(path) if path else {}
    if key in known:
        return known[key]
    speeds = measure(recipe, compute, *shared, budget_s)
    if path and speeds.reliable:
        seconds = {name: [each.one_s, each.several_s] for name, each in {**known, key: speeds}.items()}
        with suppress(UserError, OSError):  # it is measured again then
            write_json(path, {"format": FORMAT, "seconds": dict(list(seconds.items())[-MAX_KEPT:])})
    return speeds


def cache_file() -> Path | None:
    """Return the file of earlier measurements; None if this user has no home folder."""
    try:
        return cache_folder().with_name("layouts.json")
    except UserError:
        return None


def read_answers(path: Path) -> dict[str, Speeds]:
    """Return the speeds in a cache file; none where it is missing or damaged."""
    try:
        found = read_json(path)
        if found["format"] != FORMAT:
            return {}
        answers = {str(key): Speeds(float(pair[0]), float(pair[1])) for key, pair in found["seconds"].items()}
    except (UserError, OSError, ValueError, TypeError, KeyError, IndexError, AttributeError):
        return {}
    return {key: speeds for key, speeds in answers.items() if min(speeds.one_s, speeds.several_s) > 0}
