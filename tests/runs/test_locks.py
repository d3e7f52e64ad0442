"""Lock a run folder, also on file systems without locks."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from under20k.errors import UserError
from under20k.runs import locks
from under20k.runs.run import lock

fcntl = pytest.importorskip("fcntl")


@pytest.fixture(params=[errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, 524])
def without_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a file system that refuses flock, with each error that such systems give."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(locks, "_warned", set())


def leave(folder: Path, **changes: object) -> Path:
    """Write ``.lock-held`` as another process might have left it, and return its path."""
    path = folder / locks.HELD
    path.write_text(json.dumps(locks._owner() | {"since": "2026-01-01T00:00:00"} | changes))
    return path


def test_a_folder_without_flock_is_locked_with_one_warning(without_locks, tmp_path, caplog):
    run = tmp_path / "run"
    with lock(run):
        assert (run / locks.HELD).is_file()
        with (
            pytest.raises(
                UserError, match=rf"process {os.getpid()} is training in .*run; wait for it to end"
            ),
            lock(run),
        ):
            pass
        assert (run / locks.HELD).is_file()
    assert not (run / locks.HELD).exists()
    with lock(run):
        pass
    (message,) = caplog.messages
    assert message.startswith(f"{run} is on a file system without locks (")


def test_another_error_of_flock_is_reported(tmp_path, monkeypatch):
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UserError, match="cannot be written: Input/output error"), lock(tmp_path / "run"):
        pass


@pytest.mark.parametrize(
    "gone",
    [{"process": 2**22 + 1}, {"process": 2**70}, {"started": "1"}],
    ids=["gone", "no number", "reused"],
)
@pytest.mark.parametrize("without_locks", [errno.ENOLCK], indirect=True)
def test_a_stale_lock_is_removed(gone, without_locks, tmp_path, caplog):
    leave(tmp_path, **gone)
    with lock(tmp_path):
        assert json.loads((tmp_path / locks.HELD).read_text())["process"] == os.getpid()
    assert "which is gone: removed" in caplog.messages[0]
    assert os.listdir(tmp_path) == [locks.FILE]


@pytest.mark.parametrize("without_locks", [errno.ENOLCK], indirect=True)
def test_a_lock_of_another_machine_stays(without_locks, tmp_path):
    path = leave(tmp_path, place=["elsewhere", "", ""], host="elsewhere", process=7)
    with pytest.raises(UserError) as refused, lock(tmp_path):
        pass
    assert "process 7 of elsewhere has been training since 2026-01-01T00:00:00 UTC in " in str(refused.value)
    assert str(refused.value).endswith(f"if it is gone, remove {path}")
    assert path.is_file()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"place": 3}', '{"place": 3, "process": "x"}'])
@pytest.mark.parametrize("without_locks", [errno.ENOLCK], indirect=True)
def test_an_unreadable_lock_stays(text, without_locks, tmp_path):
    (tmp_path / locks.HELD).write_text(text)
    with (
        pytest.raises(UserError, match=r"another process is training in .*remove .*\.lock-held"),
        lock(tmp_path),
    ):
        pass


@pytest.mark.parametrize("without_locks", [errno.ENOLCK], indirect=True)
def test_a_running_process_holds_its_lock_and_a_killed_one_does_not(without_locks, tmp_path):
    program = (
        "import errno, fcntl, pathlib, sys, time\n"
        "def refuse(*_): raise OSError(errno.ENOLCK, 'No locks available')\n"
        "fcntl.flock = refuse\n"
        "from under20k.runs.run import lock\n"
        "with lock(pathlib.Path(sys.argv[1])):\n    print('in', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        with pytest.raises(UserError, match=f"process {other.pid} is training"), lock(tmp_path):
            pass
        other.kill()
        other.wait()
    with lock(tmp_path):
        pass
