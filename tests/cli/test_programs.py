"""The command and the functions within notebooks, scripts, threads and systems that lack something."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.support import command
from tests.support.command import COMMAND, SETTINGS, TIMEOUT_S
from tests.support.printed import ENCODING
from under20k.cli.main import main
from under20k.runs.run import Run

INLINE = "module://matplotlib_inline.backend_inline"
TINY = [*SETTINGS, "--epochs", "1"]
BENCH = 'under20k.bench("minimal", range(2), epochs=1, architecture="1p,4p|l", batch_size=1000, jobs=2)'


def python(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        encoding=ENCODING,
        timeout=TIMEOUT_S,
    )


# Notebooks.


@pytest.mark.parametrize(
    "backend", [INLINE, *(pytest.param(b, marks=pytest.mark.slow) for b in ("no such backend", ""))]
)
def test_drawing_does_not_read_mplbackend(small, tmp_path, backend):
    for arguments in (
        ["train", "minimal", *TINY, "--threads", "1"],
        ["evaluate", "runs/small", "--threads", "1"],
        ["compare", "runs/small", "--picture", "all.png"],
    ):
        done = python(tmp_path, *COMMAND[1:], *arguments, MPLBACKEND=backend)
        assert done.returncode == 0, done.stderr
    (trained,) = (tmp_path / "runs").glob("minimal*")
    assert {"curves.png", "report.md"} <= {path.name for path in trained.iterdir()}
    assert (tmp_path / "all.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("backend", "expected"), [("svg", "svg"), ("no such backend", "agg")])
def test_a_programs_own_backend_is_its_own(tmp_path, backend, expected):
    """A notebook's kernel has the variable too, and there it means something."""
    code = (
        "import under20k.report.figures, os, matplotlib.pyplot as plt\n"
        "print(plt.get_backend(), os.environ['MPLBACKEND'])"
    )
    done = python(tmp_path, "-c", code, MPLBACKEND=backend)
    assert done.stdout.strip() == f"{expected} {backend}", done.stderr


def test_nothing_draws_with_pyplot():
    source = Path(main.__code__.co_filename).parent.parent
    for path in source.rglob("*.py"):
        if path.parent.name != "checking":  # where a model's own code is run
            assert "pyplot" not in path.read_text("utf-8"), path


# Scripts.


def test_the_workers_of_a_script_do_not_run_it_again(tmp_path, mnist):
    """Without a main guard; a worker that imported it could not open its file."""
    (tmp_path / "script.py").write_text(f'import under20k\nopen("once", "x").close()\nprint({BENCH})\n')
    for arguments in (["script.py"], ["-m", "script"]):
        done = python(tmp_path, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert "2 seeds" in done.stdout
        (tmp_path / "once").unlink()
        shutil.rmtree(tmp_path / "runs")


OWN = """
import under20k
from torch import nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 4, 5, 4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
"""


def test_a_script_benches_a_model_of_its_own(tmp_path, mnist):
    bench = "under20k.bench(Net, range(2), epochs=1, batch_size=1000, jobs=2)"
    (tmp_path / "script.py").write_text(f'{OWN}\nopen("once", "x").close()\nprint({bench})\n')
    done = python(tmp_path, "script.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert "BenchResult(Bench(Net+epochs=1+batch_size=1000, 2 seeds 0–1, validation " in done.stdout
    (kept,) = (tmp_path / "runs" / "Net+epochs=1+batch_size=1000-0" / "model").glob("*.py")
    assert (kept.name, kept.read_text()) == ("script.py", (tmp_path / "script.py").read_text())


def test_a_script_with_a_main_guard_trains(tmp_path, mnist):
    (tmp_path / "script.py").write_text(
        f'import under20k\nif __name__ == "__main__":\n    print({BENCH}.folder)\n'
    )
    done = python(tmp_path, "script.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("benches")


# Programs that call the command.


def test_off_the_main_thread(small, capsys):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(main(["evaluate", "runs/small", "--threads", "1"])))
    thread.start()
    thread.join()
    assert codes == [0]
    assert "of 10,000 images correct" in capsys.readouterr().out


@pytest.mark.parametrize("before", [signal.SIG_DFL, signal.SIG_IGN, lambda *_: None])
def test_handlers_are_put_back(capsys, before):
    original = signal.signal(signal.SIGTERM, before)
    try:
        for arguments, expected in ((["recipes"], 0), (["recipes", "nonesuch"], 2), ([], 2)):
            assert main(arguments) == expected
            assert signal.getsignal(signal.SIGTERM) is before
        with pytest.raises(SystemExit):
            main(["--help"])
        assert signal.getsignal(signal.SIGTERM) is before
    finally:
        signal.signal(signal.SIGTERM, original)


# Systems without semaphores.

WITHOUT = {
    "sem_open": "del _multiprocessing.SemLock",
    "/dev/shm": (
        "class SemLock(_multiprocessing.SemLock):\n"
        "    def __new__(cls, *_, **__): raise PermissionError(13, 'Permission denied')\n"
        "_multiprocessing.SemLock = SemLock"
    ),
}
COMMAND_WITHOUT = (
    "import sys, _multiprocessing\n{}\nfrom under20k.cli.main import main\nsys.exit(main(sys.argv[1:]))"
)


@pytest.mark.slow
@pytest.mark.parametrize("lacking", WITHOUT)
def test_without_semaphores_it_trains_in_processes_all_the_same(tmp_path, mnist, lacking):
    bench = ["bench", "minimal", *TINY, "--seeds", "0-1"]
    done = python(tmp_path, "-c", COMMAND_WITHOUT.format(WITHOUT[lacking]), *bench, "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert "2 trainings, 2 at a time" in done.stderr
    (tmp_path / "runs").rename(tmp_path / "here")
    assert python(tmp_path, *COMMAND[1:], *bench).returncode == 0
    for run in (tmp_path / "runs").iterdir():
        assert command.same_weights(run, tmp_path / "here" / run.name)


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs a mount namespace of its own")
def test_with_a_dev_shm_that_may_not_be_written(tmp_path, mnist):
    mounted = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o ro none /dev/shm && exec "$@"', "sh"]
    if subprocess.run([*mounted, "true"], capture_output=True).returncode:
        pytest.skip("may not mount")
    bench = ["bench", "minimal", *TINY, "--seeds", "0-0"]
    done = subprocess.run([*mounted, *COMMAND, *bench], cwd=tmp_path, capture_output=True, encoding=ENCODING)
    assert done.returncode == 0, done.stderr
    assert "1 training, 1 at a time" in done.stderr


# Programs whose trainings run in their own process.

DAEMON = (
    "import multiprocessing, sys\nmultiprocessing.current_process()._config['daemon'] = True\n"
    "from under20k.cli.main import main\n"
)


def test_a_program_that_is_no_file_trains_in_processes(tmp_path, mnist):
    gone = "import __main__, sys\n__main__.__file__ = 'gone.py'\nfrom under20k.cli.main import main\n"
    bench = ["bench", "minimal", *TINY, "--seeds", "0-1", "--jobs", "2"]
    done = python(tmp_path, "-c", f"{gone}sys.exit(main(sys.argv[1:]))", *bench)
    assert done.returncode == 0, done.stderr
    assert "2 trainings, 2 at a time" in done.stderr


@pytest.mark.slow
def test_a_program_that_may_start_no_processes_trains_in_its_own(tmp_path, mnist):
    bench = ["bench", "minimal", *TINY, "--seeds", "0-1"]
    done = python(tmp_path, "-c", f"{DAEMON}sys.exit(main(sys.argv[1:]))", *bench)
    assert done.returncode == 0, done.stderr
    assert "2 trainings, one after the other in this process: it is a daemonic process" in done.stderr
    (tmp_path / "runs").rename(tmp_path / "here")
    assert python(tmp_path, *COMMAND[1:], *bench).returncode == 0
    for run in (tmp_path / "runs").iterdir():
        assert command.same_weights(run, tmp_path / "here" / run.name)


@pytest.mark.parametrize("call", [pytest.param("main(sys.argv[1:])", marks=pytest.mark.slow), "main()"])
def test_ctrl_c_ends_a_training_in_this_process(tmp_path, mnist, call):
    """Within a step or so, though a thread cannot be ended; the next call goes on."""
    program = [sys.executable, "-c", f"{DAEMON}sys.exit({call})"]
    bench = ["bench", "minimal", "--seeds", "0-1", "--epochs", "500", "--batch-size", "1000"]
    process = command.start(tmp_path, *bench, command=program)
    command.read_until(process, "parameters, 500 epochs")
    assert command.wait_for(lambda: any(tmp_path.rglob("checkpoint.safetensors")))
    sent = time.monotonic()
    code, _, err = command.end(process, signal.SIGINT)
    assert (code, time.monotonic() - sent < 30) == (130, True), err
    assert err.splitlines()[-1].startswith("interrupted; run the command again")
    (path,) = (tmp_path / "runs").iterdir()
    run = Run.open(path)
    assert not run.finished
    assert run.metrics()


@pytest.mark.slow
def test_a_daemonic_process_trains_in_itself(tmp_path, mnist):
    script = (
        "import multiprocessing, under20k\n"
        f"def work(_): return str({BENCH}.folder)\n"
        'if __name__ == "__main__":\n'
        '    with multiprocessing.get_context("spawn").Pool(1) as pool: print(pool.map(work, [0]))\n'
    )
    (tmp_path / "script.py").write_text(script)
    done = python(tmp_path, "script.py")
    assert done.returncode == 0, done.stderr
    assert "benches" in done.stdout


def test_too_few_processes_allowed_is_one_line(tmp_path, mnist, monkeypatch, capsys):
    """EAGAIN, where a user or a container may start no more."""
    from multiprocessing import util

    def refused(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(util, "spawnv_passfds", refused)
    assert main(["bench", "minimal", *TINY, "--seeds", "0-0"]) == 2
    assert "cannot be started: Resource temporarily unavailable; give fewer" in capsys.readouterr().err
