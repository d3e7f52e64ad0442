"""Measure what a training costs on a Dask cluster beside the training itself, for docs/cluster.md.

``python -m tools.cluster_cost`` starts a scheduler and workers as processes that talk over TCP on loopback,
and measures through the same pool that ``under20k bench --cluster`` uses: the time of a training, the size of
what comes back, and, with many tasks that only give back so much, what a task costs scheduler and client. It
writes results/cluster-cost.json; ``make readme`` makes the page's section of it. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from under20k.cli.options import recipe_argument
from under20k.data import load
from under20k.engine.base import Compute
from under20k.engine.machine import cores
from under20k.files import read_json, write_json
from under20k.recipe.recipe import Recipe
from under20k.report.tables import Table
from under20k.report.words import plural
from under20k.runs.parallel.dask import adopt, dask_backend, perform_away
from under20k.runs.parallel.task import Task
from under20k.runs.places import Places
from under20k.runs.provenance import command, processor

JSON = Path(__file__).parent.parent / "results" / "cluster-cost.json"
TRAININGS = 10_000
"""Of which the page says what they cost."""
PATIENCE_S = 300
PART = 200  # tasks at a time, so that no result waits for others to be taken


def main(arguments: list[str] | None = None) -> int:
    """Measure, and write the JSON; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.cluster_cost", description=__doc__)
    parser.add_argument("--recipe", default="minimal", help="what is trained (default: %(default)s)")
    parser.add_argument(
        "--seeds", type=int, default=4, help="trainings that are timed (default: %(default)s)"
    )
    parser.add_argument(
        "--tasks", type=int, default=2000, help="tasks that do nothing (default: %(default)s)"
    )
    parser.add_argument("--workers", type=int, default=cores().amount, help="default: as many as cores")
    parser.add_argument("--output", type=Path, default=JSON, help="default: results/cluster-cost.json")
    given = parser.parse_args(arguments)
    write_json(given.output, measure(recipe_argument(given.recipe), given.seeds, given.tasks, given.workers))
    print(section(read_json(given.output)))
    return 0


def measure(recipe: Recipe, seeds: int, tasks: int, workers: int) -> dict[str, Any]:
    """Plain values: seconds of a training, bytes of its result, and seconds of a task by who spends them."""
    import distributed

    busy = os.getloadavg()[0]
    load()
    with (
        tempfile.TemporaryDirectory(prefix="under20k-") as name,
        started(Path(name), workers) as address,
        dask_backend(address, Compute(threads=1), None) as backend,
        distributed.Client(address) as client,
    ):

        def all_joined() -> bool:  # a task that is submitted before waits for someone to ask for the news
            backend.events()
            return backend.fit == workers

        until(all_joined)
        places = Places(Path(name) / "runs")
        work = [Task(recipe, seed, places, Compute(threads=1)) for seed in range(seeds)]
        futures = [backend.executor.submit(timed_training, task, backend.topic) for task in work]
        trained = [future.result() for future in futures]
        engine = json.loads(trained[0][1]["environment.json"])["engine"]
        size_bytes = [sum(map(len, files.values())) for _, files in trained]
        started_s = time.perf_counter()
        for task, (_, files) in zip(work, trained, strict=True):
            adopt(task, files)
        adopting_s = (time.perf_counter() - started_s) / seeds
        empty, loaded = (
            tasks_by_hand(backend.executor, client, tasks, size) for size in (0, round(fmean(size_bytes)))
        )
    return {
        "command": command(),
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": busy,
        "workers": workers,
        "distributed": distributed.__version__,
        "recipe": recipe.name,
        "engine": engine,
        "trainings": seeds,
        "training_s": fmean(seconds for seconds, _ in trained),
        "result_bytes": fmean(size_bytes),
        "adopting_s": adopting_s,
        "tasks": tasks,
        "empty_task": empty,
        "task_with_result": loaded,
    }


def timed_training(task: Task, topic: str) -> tuple[float, dict[str, bytes]]:
    """A training as a worker does it, and the seconds that it takes."""
    started_s = time.perf_counter()
    files = perform_away(task, topic, "measured")
    return time.perf_counter() - started_s, files


def tasks_by_hand(executor: Any, client: Any, count: int, size_bytes: int) -> dict[str, float]:
    """Return seconds per task, wall and CPU of scheduler and client, for tasks that return ``size_bytes``."""
    list(executor.map(bytes, [size_bytes] * PART))  # warm
    before = time.perf_counter(), time.process_time(), client.run_on_scheduler(time.process_time)
    for first in range(0, count, PART):
        futures = [executor.submit(bytes, size_bytes) for _ in range(min(PART, count - first))]
        for future in futures:
            future.result()
    after = time.perf_counter(), time.process_time(), client.run_on_scheduler(time.process_time)
    wall_s, client_s, scheduler_s = ((b - a) / count for a, b in zip(before, after, strict=True))
    return {"wall_s": wall_s, "scheduler_cpu_s": scheduler_s, "client_cpu_s": client_s}


@contextlib.contextmanager
def started(folder: Path, workers: int) -> Iterator[str]:
    """Run a scheduler and ``workers`` workers during the block; yield the scheduler's address."""
    dask, file = [sys.executable, "-m", "dask"], folder / "scheduler.json"
    common = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file)]
    own = ["--nworkers", "1", "--nthreads", "1", "--local-directory", str(folder)]
    processes = []
    with (folder / "log").open("w") as log:
        try:
            processes.append(
                subprocess.Popen([*dask, "scheduler", "--port", "0", *common], stdout=log, stderr=log)
            )
            until(lambda: file.exists() and bool(file.read_text().strip()))
            for _ in range(workers):
                processes.append(subprocess.Popen([*dask, "worker", *own, *common], stdout=log, stderr=log))
            yield read_json(file)["address"]
        finally:
            for process in reversed(processes):
                process.terminate()
            for process in processes:
                process.wait()


def until(condition: Any) -> None:
    """Wait until the condition is true. Raises TimeoutError if it does not become true in time."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the cluster did not start")
        time.sleep(0.1)


def measured_section(path: Path = JSON) -> str:
    """Return the page's section, or how to measure it if there is no measurement."""
    if not path.exists():
        return "Not measured yet: `python -m tools.cluster_cost` does it."
    return section(read_json(path))


def section(measured: Mapping[str, Any]) -> str:
    """Return the cost of ``TRAININGS`` trainings, and which process becomes the bottleneck."""
    training_s, size = measured["training_s"], measured["result_bytes"]
    loaded = measured["task_with_result"]
    scheduler_s = loaded["scheduler_cpu_s"]
    client_s = loaded["client_cpu_s"] + measured["adopting_s"]
    rows = [
        ("a training, on one thread of a worker", f"{training_s:,.1f} s", hours(training_s)),
        ("its result, the files of a run", f"{size / 1e3:,.0f} kB", f"{size * TRAININGS / 1e9:,.1f} GB"),
        ("the scheduler's CPU time", f"{1000 * scheduler_s:.2f} ms", hours(scheduler_s)),
        ("of which for a task without a result", *each(measured["empty_task"]["scheduler_cpu_s"])),
        ("the client's CPU time", f"{1000 * loaded['client_cpu_s']:.2f} ms", hours(loaded["client_cpu_s"])),
        (
            "the client's writing of the run folder",
            f"{1000 * measured['adopting_s']:.1f} ms",
            hours(measured["adopting_s"]),
        ),
    ]
    table = Table(("What", "Each", f"{TRAININGS:,}"), tuple(rows)).markdown()
    limits = {
        "the client": training_s / client_s,
        "the scheduler": training_s / scheduler_s,
    }
    first, second = sorted(limits, key=lambda who: limits[who])
    overhead = (scheduler_s + client_s) / training_s
    measured_by = (
        f"`{measured['recipe']}` by the {measured['engine']} engine, "
        f"{plural(measured['trainings'], 'training')}, and {measured['tasks']:,} tasks that only return a "
        f"result of that size, on {plural(measured['workers'], 'worker')} over TCP on loopback; "
        f"{measured['processor']}, {plural(measured['cores'], 'core')}, distributed "
        f"{measured['distributed']}, {measured['date']}.{busy_text(measured)} "
        "`python -m tools.cluster_cost` measures it."
    )
    return (
        f"{table}\n\n{measured_by}\n\n"
        f"So {TRAININGS:,} trainings take {hours(training_s)} of core time, and scheduler and client add "
        f"{100 * overhead:.2g}%. More workers help as long as both keep up: {first} is saturated at about "
        f"{limits[first]:,.0f} workers, {second} at about {limits[second]:,.0f}. Beyond that, use several "
        "clusters, each with its own seeds. Not counted: the list of workers, which the client requests once "
        "a second and which grows with their number."
    )


def busy_text(measured: Mapping[str, Any]) -> str:
    """Return a caveat if other work ran on the machine."""
    if measured["load"] < measured["cores"] / 2:
        return ""
    return f" Other work ran at the same time (a load of {measured['load']:.0f}), so times are too long."


def each(seconds: float) -> tuple[str, str]:
    """Return a task's cost in ms, and the cost of all tasks."""
    return f"{1000 * seconds:.2f} ms", hours(seconds)


def hours(seconds: float) -> str:
    """Return the total over all trainings of ``seconds`` each: ``12 s``, ``3.4 min``, ``208 h``."""
    total_s = seconds * TRAININGS
    if total_s < 120:
        return f"{total_s:.0f} s"
    return f"{total_s / 60:.1f} min" if total_s < 7200 else f"{total_s / 3600:,.0f} h"


if __name__ == "__main__":
    sys.exit(main())
