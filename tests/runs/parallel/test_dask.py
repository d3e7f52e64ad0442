"""``--cluster``: a real scheduler and worker processes over TCP, some of them killed, some unfit."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from distributed import Client

import under20k.runs.parallel.dask
from tests.support.command import same_weights
from tests.support.dask_cluster import TINY, Cluster, freeze_a_busy_worker, wait_for
from tests.support.own_files import CHANGES, MODEL, write_model
from under20k.checking.training.load import load_model
from under20k.data import Mnist
from under20k.engine.base import NUMERICS, Compute
from under20k.engine.select import choose
from under20k.errors import UserError
from under20k.runs.bench.run_bench import bench
from under20k.runs.events import Event, Note, Started, ignore
from under20k.runs.parallel.dask import dask_backend
from under20k.runs.places import Places
from under20k.runs.records.rerun import TIMES
from under20k.runs.run import Run

pytestmark = pytest.mark.slow

ENDLESS = replace(TINY, epochs=1000, name="endless")


@pytest.fixture
def cluster(tmp_path: Path, mnist: Mnist) -> Iterator[Cluster]:
    (tmp_path / "cluster").mkdir()
    cluster = Cluster(tmp_path / "cluster")
    yield cluster
    cluster.close()


@pytest.fixture
def client(cluster: Cluster) -> Iterator[Client]:
    """A client of the test's own."""
    client = Client(cluster.address, timeout=under20k.runs.parallel.dask.CONNECT_S, set_as_default=False)
    yield client
    client.close()


class Log:
    """Keeps the notes, and calls back for each and when the first training starts."""

    def __init__(self, on_first_start: Callable[[], None] = lambda: None, on_note=lambda text: None) -> None:
        self.started: list[str] = []
        self.notes: list[str] = []
        self._on_first_start, self._on_note = on_first_start, on_note

    def __call__(self, event: Event) -> None:
        match event:
            case Started(run=run):
                self.started.append(run.name)
                if len(self.started) == 1:
                    self._on_first_start()
            case Note(text=text):
                self.notes.append(text)
                self._on_note(text)


def result(run: Run) -> tuple:
    """What a training has led to, to the bit, its times aside."""
    figures = [{k: v for k, v in asdict(epoch).items() if k not in TIMES} for epoch in run.metrics()]
    return figures, {name: value.view(np.uint32).tolist() for name, value in run.weights().items()}


def bench_away(cluster, seeds, folder, on_event=ignore, recipe=TINY):
    """A bench on the cluster, its runs in ``folder / "away"``."""
    return bench(
        recipe,
        seeds,
        cluster=cluster.address,
        places=Places(folder / "away", folder / "benches"),
        on_event=on_event,
    )


def test_a_worker_killed_in_mid_run_loses_nothing(cluster, client, tmp_path):
    for _ in range(3):
        cluster.add_worker()
    cluster.wait_for_workers(client, 3)
    pids = client.run(os.getpid)

    def kill() -> None:
        _, pid = freeze_a_busy_worker(client, pids)
        os.kill(pid, signal.SIGKILL)

    log = Log(on_first_start=kill)
    away = bench_away(cluster, range(4), tmp_path, log)
    assert sum(worker.poll() is not None for worker in cluster.workers) == 1
    assert away.bench.failures == ()
    assert [seed.seed for seed in away.bench.seeds] == [0, 1, 2, 3]
    assert any("joins" in text for text in log.notes)

    here = bench(TINY, range(4), jobs=2, places=Places(tmp_path / "here", tmp_path / "benches-here"))
    assert here.bench.last == away.bench.last
    for seed in range(4):
        one, other = (Run.open(tmp_path / where / f"tiny-{seed}") for where in ("away", "here"))
        assert result(one) == result(other)
        assert one.environment["engine"] == choose().engine
        assert {path.name for path in one.path.iterdir()} == {path.name for path in other.path.iterdir()}

    # What is there is not trained again: no worker is left to do so.
    for worker in cluster.workers:
        worker.kill()
    again = bench_away(cluster, range(4), tmp_path)
    assert again.bench.last == away.bench.last


UNFIT = {
    "another version": (
        "import sys, types; other = types.ModuleType('under20k'); other.__version__ = '9.9.9'\n"
        "sys.modules['under20k'] = other",
        "worker has under20k 9.9.9; the client has ",
    ),
    "none": ("import sys; sys.modules['under20k'] = None", "under20k is not installed; install "),
    "other numerics": (
        "import under20k.engine.base; under20k.engine.base.NUMERICS = 0",
        f"worker has numerics 0; the client has {NUMERICS}",
    ),
    "none yet": (
        "import under20k.engine.base; del under20k.engine.base.NUMERICS",
        ": cannot import name 'NUMERICS'",
    ),
    "no engine": (
        "import under20k.engine.isa as isa; isa.unavailable = lambda: 'it is not built'",
        "it is not built",
    ),
}


@pytest.mark.skipif(choose().engine != "native", reason="the native engine is not built here")
def test_workers_that_do_not_fit_get_nothing(cluster, client, tmp_path):
    fit = cluster.add_worker()
    for before, _ in UNFIT.values():
        cluster.add_worker(before)
    (tmp_path / "file").touch()
    cluster.add_worker(UNDER20K_DATA_DIR=str(tmp_path / "file"))  # no MNIST there
    cluster.wait_for_workers(client, 2 + len(UNFIT))
    with dask_backend(cluster.address, Compute("native", threads=1), None) as backend:
        notes: list[str] = []

        def judged() -> bool:
            notes.extend(note.text for note in backend.events())
            return len([text for text in notes if "joins" in text or "refused" in text]) == 2 + len(UNFIT)

        wait_for(judged)
        for _, words in UNFIT.values():
            assert len([text for text in notes if words in text]) == 1, notes
        assert len([text for text in notes if str(tmp_path / "file") in text]) == 1, notes
        assert len([text for text in notes if "joins" in text]) == 1
        asked = [backend.executor.submit(os.getpid) for _ in range(12)]
        assert {future.result(timeout=300) for future in asked} == {fit.pid}


def test_the_error_says_why_no_worker_fits(cluster, client, tmp_path):
    cluster.add_worker(UNFIT["other numerics"][0])
    cluster.wait_for_workers(client, 1)
    with pytest.raises(UserError, match=r"no worker of .* fits: .* has numerics 0; the client has "):
        bench(TINY, range(1), cluster=cluster.address, places=Places(tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


def test_a_worker_may_come_later(cluster, tmp_path):
    def come(text: str) -> None:
        if "has no worker; waiting for one" in text:
            cluster.add_worker()

    done = bench_away(cluster, range(1), tmp_path, Log(on_note=come))
    assert len(cluster.workers) == 1
    assert len(done.bench.seeds) == 1


def test_a_scheduler_that_goes_away(cluster, tmp_path):
    cluster.add_worker()
    with pytest.raises(UserError, match="is gone; finished runs are kept; run the command again"):
        bench(
            ENDLESS,
            range(2),
            cluster=cluster.address,
            places=Places(tmp_path / "runs"),
            on_event=Log(on_first_start=cluster.scheduler.kill),
        )


def test_a_scheduler_without_under20k(tmp_path, mnist):
    (tmp_path / "cluster").mkdir()
    cluster = Cluster(tmp_path / "cluster", UNFIT["none"][0])
    try:
        with pytest.raises(UserError, match=r"the scheduler at .*: under20k is not installed; install "):
            bench(TINY, range(1), cluster=cluster.address, places=Places(tmp_path / "runs"))
    finally:
        cluster.close()


def test_where_nobody_answers(tmp_path, monkeypatch):
    with socket.socket() as bound:  # which does not listen
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(UserError, match=f"no Dask scheduler answers at 'tcp://127.0.0.1:{port}'"):
            bench(TINY, range(1), cluster=f"tcp://127.0.0.1:{port}", places=Places(tmp_path / "runs"))
    for nonsense in ("nonsense", "tcp://", "http://127.0.0.1:1"):
        with pytest.raises(UserError, match="no Dask scheduler answers"):
            bench(TINY, range(1), cluster=nonsense, places=Places(tmp_path / "runs"))
    monkeypatch.setattr(under20k.runs.parallel.dask, "CONNECT_S", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(UserError, match="no Dask scheduler answers"):
            bench(
                TINY,
                range(1),
                cluster=f"127.0.0.1:{silent.getsockname()[1]}",
                places=Places(tmp_path / "runs"),
            )
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["Tiny", "Fourier"])
def test_a_model_of_the_users_travels_with_its_graph_or_its_source(cluster, tmp_path, name):
    cluster.add_worker()
    path = write_model(tmp_path / "own")
    training = load_model(f"{path}:{name}", [0, 3]).training().with_changes(**CHANGES)
    path.unlink()
    away = bench_away(cluster, [0, 3], tmp_path, recipe=training)
    assert away.bench.failures == ()
    here = bench(training, [0, 3], jobs=2, places=Places(tmp_path / "here", tmp_path / "benches-here"))
    assert here.bench.last == away.bench.last
    for seed in (0, 3):
        one, other = (tmp_path / where / f"{training.recipe.name}-{seed}" for where in ("away", "here"))
        assert same_weights(one, other)
        assert (one / "model" / "model.py").read_text(encoding="utf-8") == MODEL
