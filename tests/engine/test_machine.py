"""What a process may use of the machine: in made-up cgroup trees of each kind, and in a real one."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from under20k.engine import machine
from under20k.engine.base import Compute
from under20k.engine.select import check_training_memory, create
from under20k.errors import UserError
from under20k.interactive.progress import Display
from under20k.recipe.named import MINIMAL
from under20k.runs.events import EpochDone, Event
from under20k.runs.parallel.layout import fitting_jobs
from under20k.runs.places import Places
from under20k.runs.train import train

MIB = 2**20
V2 = "29 23 0:26 {root} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1_CPU = "32 31 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct"
V1_MEMORY = "35 31 0:32 {root} /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory"


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 64 cores and 256 GiB."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 256 * 2**30 // 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    monkeypatch.setattr(machine, "_process_limits", lambda: iter(()))


def tree(root: Path, cgroup: str, mounts: list[str], files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    (root / "proc/self/mountinfo").write_text("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + "\n".join(mounts))
    for name, text in files.items():
        (root / "sys/fs/cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "sys/fs/cgroup" / name).write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("100000 100000", 1),
        ("150000 100000", 1),
        ("200000 100000", 2),
        ("250000 100000", 2),
        ("20000 100000", 1),  # a fifth of a CPU
        ("1000000 500000", 2),
        ("6400000 100000", 64),
        ("12800000 100000", 64),  # more than there are
        ("max 100000", 64),
        ("max", 64),
        ("", 64),
        ("nonsense", 64),
        ("100000", 64),  # without its period
        ("100000 0", 64),
    ],
)
def test_the_quota_of_version_2(quota, cores, tmp_path):
    root = tree(tmp_path, "0::/\n", [V2.format(root="/")], {"cpu.max": quota})
    assert machine.cores(root).amount == cores
    assert bool(machine.cores(root).limit) == (cores < 64)


def test_the_minimum_of_nested_groups_counts(tmp_path):
    files = {
        "kubepods/cpu.max": "300000 100000",
        "kubepods/memory.max": str(600 * MIB),
        "kubepods/pod/cpu.max": "max 100000",
        "kubepods/pod/memory.max": "max",
        "kubepods/pod/box/cpu.max": "800000 100000",
        "kubepods/pod/box/memory.max": str(900 * MIB),
    }
    root = tree(tmp_path, "0::/kubepods/pod/box\n", [V2.format(root="/")], files)
    assert machine.cores(root) == machine.Available(3, "cgroup quota of 3 CPUs")
    assert machine.memory(root) == machine.Available(600 * MIB, "cgroup memory limit")


@pytest.mark.parametrize(
    ("mounted", "own"),
    [
        ("/docker/f00", "/docker/f00"),  # of the host's tree, that part is mounted
        ("/", "/docker/f00"),  # the path is the host's, the files are the container's own
        ("/", "/../../docker/f00"),
        ("/", "/"),  # a namespace of its own
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_a_container_sees_its_own_group_as_the_top(version, mounted, own, tmp_path):
    if version == 2:
        cgroup, mounts = f"0::{own}\n", [V2.format(root=mounted)]
        files = {"cpu.max": "250000 100000", "memory.max": str(512 * MIB)}
    else:
        cgroup = f"9:name=systemd:{own}\n4:memory:{own}\n1:cpu,cpuacct:{own}\n0::/\n"
        mounts = [V1_CPU.format(root=mounted), V1_MEMORY.format(root=mounted)]
        files = {
            "cpu,cpuacct/cpu.cfs_quota_us": "250000",
            "cpu,cpuacct/cpu.cfs_period_us": "100000",
            "memory/memory.limit_in_bytes": str(512 * MIB),
        }
    root = tree(tmp_path, cgroup, mounts, files)
    assert machine.cores(root) == machine.Available(2, "cgroup quota of 2.5 CPUs")
    assert machine.memory(root) == machine.Available(512 * MIB, "cgroup memory limit")


def test_version_1_without_limits(tmp_path):
    files = {
        "cpu,cpuacct/cpu.cfs_quota_us": "-1",
        "cpu,cpuacct/cpu.cfs_period_us": "100000",
        "memory/memory.limit_in_bytes": "9223372036854771712",
    }
    cgroup = "4:memory:/\n1:cpu,cpuacct:/\n"
    root = tree(tmp_path, cgroup, [V1_CPU.format(root="/"), V1_MEMORY.format(root="/")], files)
    assert machine.cores(root) == machine.Available(64)
    assert machine.memory(root) == machine.Available(256 * 2**30)


def test_a_path_with_a_space(tmp_path):
    mount = V2.format(root="/").replace("/sys/fs/cgroup", "/sys/fs/cgroup/my\\040groups")
    root = tree(tmp_path, "0::/a\n", [mount], {"my groups/a/cpu.max": "100000 100000"})
    assert machine.cores(root).amount == 1


@pytest.mark.parametrize("text", ["", "\n", ":::", "0::", "nonsense\n1:cpu\n", "\0"])
def test_malformed_files_limit_nothing(text, tmp_path):
    root = tree(tmp_path, text, [text, "1 2 3 - cgroup2", V2.format(root="/x")], {})
    assert machine.cores(root) == machine.Available(64)
    assert machine.cores(tmp_path / "none") == machine.Available(64)
    memory = machine.memory(tmp_path / "none")
    assert memory is not None
    assert memory.amount == 256 * 2**30


def test_affinity_counts_if_it_is_less(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    root = tree(tmp_path, "0::/\n", [V2.format(root="/")], {"cpu.max": "300000 100000"})
    assert machine.cores(root) == machine.Available(2, "CPU affinity")


def test_the_process_limit_counts_if_it_is_less(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_process_limits", lambda: iter([(300 * MIB, "ulimit -v")]))
    root = tree(tmp_path, "0::/\n", [V2.format(root="/")], {"memory.max": str(512 * MIB)})
    assert machine.memory(root) == machine.Available(300 * MIB, "ulimit -v")


def available(monkeypatch, cores: int, memory_mib: int) -> None:
    monkeypatch.setattr(machine, "cores", lambda: machine.Available(cores, "cgroup quota of 1 CPU"))
    memory = machine.Available(memory_mib * MIB, "cgroup memory limit")
    monkeypatch.setattr(machine, "memory", lambda: memory)


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_a_training_beyond_the_memory_limit_is_refused_in_words(engine, monkeypatch):
    available(monkeypatch, 2, 450)
    check_training_memory(create(MINIMAL, 0, Compute(engine, "cpu", threads=1)), MINIMAL)
    large = MINIMAL.with_changes(batch_size=4096)
    with pytest.raises(UserError) as refused:
        check_training_memory(create(large, 0, Compute(engine, "cpu", threads=1)), large)
    assert "in batches of 4096 images takes " in str(refused.value)
    assert "may use 450 MiB (cgroup memory limit); lower --batch-size" in str(refused.value)


def test_no_more_jobs_than_the_cores_and_the_memory_hold(monkeypatch):
    available(monkeypatch, 8, 800)
    assert fitting_jobs(30, 1, 100 * MIB) == (8, "cgroup quota of 1 CPU")
    assert fitting_jobs(30, 3, 100 * MIB)[0] == 2
    assert fitting_jobs(30, 1, 200 * MIB) == (4, "800 MiB of memory, cgroup memory limit")
    assert fitting_jobs(30, 1, 900 * MIB)[0] == 1
    assert fitting_jobs(3, 1, 100 * MIB) == (3, "")


def stop_after_one(event: Event) -> None:
    if isinstance(event, EpochDone):
        raise KeyboardInterrupt


@pytest.fixture
def one_core(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Has this process see one core, when it is called."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    return lambda: monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})


def stopped_run(folder: Path, engine: str) -> dict[str, Any]:
    """A run of two epochs on two threads, stopped after the first; the options that go on with it."""
    options: dict[str, Any] = {"architecture": "4p,6p|l", "epochs": 2, "places": Places(folder)}
    compute = Compute(engine, "cpu", threads=2)
    with pytest.raises(KeyboardInterrupt):
        train("minimal", 5, compute=compute, on_event=stop_after_one, **options)
    return {**options, "compute": Compute(engine), "existing": "resume"}


def test_resume_with_fewer_cores_gives_the_same_bits(tmp_path, one_core, capsys):
    options = stopped_run(tmp_path / "a", "native")
    one_core()
    with Display() as display:
        run = train("minimal", 5, on_event=display, **options)
    assert f"{run.path}: resuming with 1 thread instead of 2, with the same bits\n" in capsys.readouterr().err
    assert [session["threads"] for session in run.sessions] == [2, 1]
    whole = train("minimal", 5, **options | {"places": Places(tmp_path / "b")})
    assert (run.path / "model.safetensors").read_bytes() == (whole.path / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_torch_with_fewer_cores_gets_a_remedy(tmp_path, one_core):
    options = stopped_run(tmp_path, "torch")
    one_core()
    with pytest.raises(UserError) as refused:
        train("minimal", 5, **options)
    assert "may use 1 core (CPU affinity); --threads 2 gives the same bits" in str(refused.value)
    for threads in (2, 1):
        assert train("minimal", 5, **options | {"compute": Compute("torch", threads=threads)}).finished


CONTROLLERS = Path("/sys/fs/cgroup")
Limited = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Limited]:
    """Runs a command in a real cgroup of version 1, given a controller, a file and what to write into it."""
    monkeypatch.undo()
    made: list[Path] = []

    def run(controller: str, file: str, limit: str, *words: str) -> subprocess.CompletedProcess[str]:
        folder = CONTROLLERS / controller / f"under20k-test-{os.getpid()}"
        try:
            folder.mkdir()
            made.append(folder)
            (folder / file).write_text(limit)
        except OSError as error:
            pytest.skip(f"no cgroup can be made here: {error}")
        # It joins before it imports anything.
        program = (
            f"import os, sys; open({str(folder / 'tasks')!r}, 'w').write(str(os.getpid()))\n"
            f"from under20k.cli.main import main; sys.exit(main({list(words)!r}))"
        )
        command = [sys.executable, "-c", program]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    yield run
    for folder in made:
        folder.rmdir()


def test_a_real_memory_limit_is_reported_before_the_kill(limited):
    limit = str(300 * MIB)
    done = limited("memory", "memory.limit_in_bytes", limit, "train", "minimal", "--batch-size", "4096")
    assert (done.returncode, done.stdout) == (2, "")
    assert "under20k: training 8,12p,14,16p,20v,24v|3v in batches of 4096 images takes " in done.stderr
    assert "300 MiB (cgroup memory limit); lower --batch-size" in done.stderr


def test_a_real_quota_limits_training(limited, tmp_path):
    words = ("train", "minimal", "--architecture", "4p,6p|l", "--epochs", "1")
    done = limited("cpu", "cpu.cfs_quota_us", "100000", *words)
    assert done.returncode == 0, done.stderr
    (report,) = tmp_path.glob("runs/*/report.md")
    assert "cpu, 1 thread" in done.stderr
    if (os.cpu_count() or 1) > 1 and len(os.sched_getaffinity(0)) > 1:
        assert "cores: cgroup quota of 1 CPU)" in done.stderr
        assert f"1 of {os.cpu_count()} (cgroup quota of 1 CPU)" in report.read_text()
