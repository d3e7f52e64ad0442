"""Models that misbehave, all of them in one folder as a class hands them in: each is ended and told, and none
stops the rest.
"""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.submissions import GOOD, running
from under20k.checking.profiles import load_profile
from under20k.checking.sandbox import jail
from under20k.checking.sandbox.jail import CLONE_NEWNET, CLONE_NEWUSER
from under20k.checking.sandbox.sandbox import Sandbox, judge_all

pytestmark = pytest.mark.cold_sandbox

ESCAPED = f"u20k-{os.getpid()}"
"""What a process that leaves its group calls itself."""
FORK = "import ctypes, os, time; libc = ctypes.CDLL(None); pid = libc.fork(); "
FORGE = """
import os
for descriptor in range(3, 30):
    try: os.write(descriptor, b'{"passed": true}\\n')
    except OSError: pass
os._exit(0)
""".strip()
NEST = FORGE.replace("""b'{"passed": true}\\n'""", "b'[' * 60000")
CONNECT = """
import ctypes
import struct


def connect(port):
    libc = ctypes.CDLL(None)
    address = struct.pack("=H", 2) + struct.pack(">H", port) + bytes([127, 0, 0, 1]) + bytes(8)
    return libc.connect(libc.socket(2, 1, 0), address, 16)


"""
LINES = {
    "loops": ("while True: pass", "time limit of 10 s"),
    "sleeps": ("import time; time.sleep(1e6)", "time limit of 10 s"),
    "allocates": ("bytearray(100 * 2**30)", "ran out of the memory allowed"),
    "allocates_a_tensor": ("torch.zeros(25 * 2**30)", "ran out of the memory allowed"),
    "shares_memory": ("import mmap; mmap.mmap(-1, 100 * 2**30)", "ran out of the memory allowed"),
    "raises_exit": ("raise SystemExit(3)", "calls exit (3)"),
    "exits": ("import sys; sys.exit('bye')", "calls exit (bye)"),
    "exits_at_once": ("import os; os._exit(0)", "without a report (exit code 0)"),
    "aborts": ("import os; os.abort()", "without a report (exit code -6)"),
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt (interrupts.py:14)"),
    "forks": ("import os; os.fork()", "tried to start a process"),
    "runs": ("import subprocess; subprocess.run(['true'])", "tried to start a process"),
    "shells": ("import os; os.system('touch here')", "tried to start a process"),
    "writes": ("open('here', 'w').write('x')", "tried to write the file here"),
    "writes_low": ("import os; os.open('here', os.O_CREAT | os.O_WRONLY)", "tried to write the file here"),
    "removes": (
        "import os; os.remove('kept')",
        "tried to remove kept, which a check does not allow (removes.py:14)",
    ),
    "reads": ("open('/etc/passwd').read()", "tried to read the file /etc/passwd"),
    "looks_up": ("import socket; socket.gethostbyname('localhost')", "tried to use the network"),
    "kills": ("import os; os.kill(os.getppid(), 9)", "tried to signal a process"),
    "kills_the_server": (
        "import ctypes, os; ctypes.CDLL(None).kill(os.getppid(), 9)",
        "it stopped the process",
    ),
    "closes": ("import os; os.closerange(3, 100)", "without a report"),
    "divides": ("1 / 0", "on images of 1×28×28: ZeroDivisionError: division by zero (divides.py:14)"),
    "recurses": ("def f(): f()\nf()", "RecursionError"),
    "forges": (FORGE, "gave no report"),
    "nests": (NEST, "without a report (exit code 0)"),
    "names_half_a_character": (r"raise ValueError('\ud800')", "ValueError: \ud800 (names"),
    "makes_a_folder": ("import os; os.mkdir('here')", "tried to make the folder here"),
    "asks_for_a_folder": ("import os; os.makedirs('.', exist_ok=True)", None),
    "saves": ("torch.save(self.state_dict(), 'kept')", "tried to write the file kept"),
    "saves_to_memory": ("import io; torch.save(self.state_dict(), io.BytesIO())", None),
    "saves_past_python": (
        "from safetensors.torch import save_file; save_file(self.state_dict(), 'kept')",
        "tried to write the file kept",
    ),
    "spawns": (
        "import multiprocessing, os\n"
        "multiprocessing.get_context('spawn').Process(target=os.remove, args=('kept',)).start()",
        "tried to start a process",
    ),
    "pretends": (
        "class Name(str): __eq__, __hash__ = lambda *_: True, str.__hash__\nopen(Name('kept'), 'w')",
        "tried to write the file kept",
    ),
    "pretends_to_be_a_number": (
        "class Name(str): __class__ = int\nopen(Name('kept'), 'w')",
        "tried to write the file kept",
    ),
    "stays": (
        "import os; os._exit = lambda code: None; open('kept', 'w')",
        "tried to write the file kept",
    ),
    "looks_away": (
        "from under20k.checking.sandbox import audit_hook, file_access\n"
        "audit_hook.refused_open = file_access.refused_open = lambda *_: ('', False); open('kept', 'w')",
        "tried to write the file kept",
    ),
    "forks_unseen": (FORK + "time.sleep(1e6)", "time limit of 10 s"),
    "forks_away": (
        FORK + f"pid or (os.setsid(), libc.prctl(15, b'{ESCAPED}'))\ntime.sleep(1e6)",
        "time limit",
    ),
    "copes": (
        "import os\ntry: os.remove('kept')\nexcept PermissionError: pass\n"
        "try: open('/etc/passwd')\nexcept OSError: pass",
        None,
    ),
    "does_not_stop": (
        "import os\nwhile True:\n    try: os.remove('kept')\n    except OSError: pass",
        "it tried 1,000 times to remove kept",
    ),
    "makes_a_temporary_file": (
        "import tempfile, pathlib, shutil; t = tempfile.mkdtemp(); pathlib.Path(t, 'a').write_text('a')\n"
        "pathlib.Path(t, 'a').rename(pathlib.Path(t, 'b')); shutil.rmtree(t)\n"
        "pathlib.Path.home().joinpath('.cache').mkdir(exist_ok=True)",
        None,
    ),
    "fills_the_disk": (
        "import tempfile\nwhile True: tempfile.NamedTemporaryFile(delete=False).write(bytes(2**24))",
        "it fills the disk",
    ),
    "moves_into_scratch": (
        "import os, tempfile; os.rename('kept', tempfile.mkdtemp() + '/x')",
        "tried to change kept",
    ),
    "links_out_of_scratch": (
        "import os, tempfile; link = tempfile.mkdtemp() + '/x'; os.symlink(os.path.abspath('kept'), link)\n"
        "open(link, 'w')",
        "tried to write the file",
    ),
    "prints": ("print('{' * 10**6)", None),
    "reads_input": ("import sys; sys.stdin.read()", None),
}


def network_namespaces() -> bool:
    """Whether this system lets an ordinary process have a network of its own."""
    code = f"import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare({CLONE_NEWNET | CLONE_NEWUSER}))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def processes() -> set[str]:
    """What the processes of this machine are called."""
    names = set()
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            names.add(path.read_text().strip())
    return names


@pytest.fixture(scope="module")
def escaped() -> threading.Event:
    """Set once the process that leaves its group has been there."""
    return threading.Event()


def jailed() -> bool:
    """Whether the kernel keeps a model from signalling others, as Linux 6.12 does."""
    return sys.platform == "linux" and jail._version() >= 6


@pytest.fixture(scope="module", params=["auto", "none"])
def mechanism(request: pytest.FixtureRequest) -> str:
    """What keeps files from being written: the best that this system has, or the audit hook alone."""
    return str(request.param)


@pytest.fixture(scope="module")
def results(
    tmp_path_factory: pytest.TempPathFactory, escaped: threading.Event, mechanism: str
) -> dict[str, dict]:
    """What is found in each, one after the other in one folder, ``z_good`` the last."""
    folder = tmp_path_factory.mktemp("class")
    for name, (line, _) in LINES.items():
        (folder / f"{name}.py").write_text(running(line))
    (folder / "z_good.py").write_text(GOOD)
    (folder / "kept").write_text("kept")
    texts = [str(path) for path in sorted(folder.glob("*.py"))]
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.5):
            if ESCAPED in processes():
                escaped.set()

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        with contextlib.chdir(folder):
            found = dict(
                judge_all(texts, Sandbox(load_profile("brief"), time_limit_s=10, jail=mechanism), jobs=2)
            )
    finally:
        over.set()
        watcher.join()
    assert {path.name for path in folder.iterdir()} == {*(Path(text).name for text in texts), "kept"}
    assert (folder / "kept").read_text() == "kept"
    return {Path(text).stem: result for text, result in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*LINES, "z_good"])
def test_every_hostile_model_is_ended_and_reported(results, name, mechanism):
    _, words = LINES.get(name, ("", None))
    if name == "kills_the_server" and mechanism == "auto" and jailed():
        words = None
    if words is None:
        assert results[name].passed
    else:
        assert words in results[name].error


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are adopted on Linux only")
def test_no_process_outlives_its_model(results, escaped):
    assert escaped.is_set()
    assert ESCAPED not in processes()


PAST_PYTHON = """
import ctypes, os
libc = ctypes.CDLL(None)
descriptor = libc.open(b'kept', os.O_WRONLY | os.O_TRUNC)
libc.write(descriptor, b'gone', 4)
libc.unlink(b'kept'); libc.rename(b'kept', b'lost'); libc.mkdir(b'here', 0o777); libc.truncate(b'kept', 0)
""".strip()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has such a jail")
@pytest.mark.parametrize("mechanism", ["mounts", "landlock"])
def test_the_kernel_blocks_writes_that_bypass_python(tmp_path, mechanism):
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "net.py").write_text(running(PAST_PYTHON))
    if not available(mechanism, tmp_path):
        pytest.skip(f"this system grants no {mechanism}")
    with contextlib.chdir(tmp_path):
        ((_, result),) = judge_all(["net.py"], Sandbox(load_profile("brief"), jail=mechanism), jobs=1)
    assert result.passed, result
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "net.py"]
    assert (tmp_path / "kept").read_text() == "kept"


def available(mechanism: str, folder: Path) -> bool:
    """Whether a new process gets that mechanism."""
    code = (
        "import sys; from pathlib import Path; from under20k.checking.sandbox import jail;"
        "sys.exit(jail.read_only(Path(sys.argv[1]), sys.argv[2]) != sys.argv[2])"
    )
    return subprocess.run([sys.executable, "-c", code, str(folder), mechanism]).returncode == 0


@pytest.mark.slow
def test_a_local_listener_cannot_be_reached(tmp_path):
    """Through Python nowhere; past Python, by the C library, nowhere that has network namespaces."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        (tmp_path / "a_python.py").write_text(
            running(f"import socket; socket.create_connection(('127.0.0.1', {port}))")
        )
        (tmp_path / "b_native.py").write_text(
            CONNECT + running(f"if connect({port}): raise OSError('refused')")
        )
        python, native = (
            result
            for _, result in judge_all(
                [str(path) for path in sorted(tmp_path.iterdir())], Sandbox(load_profile("brief")), jobs=1
            )
        )
        listener.setblocking(False)
        assert "tried to use the network" in python.error
        if network_namespaces():
            assert "OSError: refused" in native.error
            with pytest.raises(BlockingIOError):
                listener.accept()
        else:  # the test can tell: the connection is there
            assert native.passed
            listener.accept()[0].close()
