"""Models in files with other code around them: training, plots, missing packages, GPU requests."""

import contextlib
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.submissions import GOOD, PARAMETERS, running
from under20k.checking.profiles import load_profile
from under20k.checking.sandbox import server
from under20k.checking.sandbox.sandbox import Sandbox, judge_all

GUARD = "put training under `if __name__ == '__main__':`"
TRAINING = """
model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for epoch in range(2):
    loss = F.cross_entropy(model(torch.randn(4, 1, 28, 28)), torch.zeros(4, dtype=torch.long))
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""
WHOLE = {
    "an optimiser": "opt = torch.optim.SGD(Net().parameters(), lr=0.1)",
    "Adam": "opt = torch.optim.Adam(Net().parameters())",
    "a scheduler": "o = torch.optim.SGD(Net().parameters(), lr=1.0)\ntorch.optim.lr_scheduler.StepLR(o, 6)",
    "torch.compile": "compiled = torch.compile(Net())",
    "a temporary folder": "import tempfile\ntempfile.gettempdir()\ntempfile.mkdtemp()",
    "a training that ends": TRAINING,
    "a main guard": "if __name__ == '__main__':\n    torch.save(Net().state_dict(), 'x.pth')",
    "a cache at home": "import pathlib\n(pathlib.Path.home() / '.cache').mkdir(exist_ok=True)",
    "an attempt that copes": "try:\n    open('log.txt', 'w')\nexcept OSError:\n    pass",
    "an existing folder": "import os\nos.makedirs('.', exist_ok=True)",
    "a file that is not there": "from pathlib import Path\nPath('last.pth').unlink(missing_ok=True)",
    "its own process": "open('/proc/self/status').read()" if sys.platform == "linux" else "",
    "a database in memory": "import sqlite3\nsqlite3.connect(':memory:').execute('create table t (x)')",
    "caches of its own": (
        "import os, pathlib\nfor name in ('XDG_CACHE_HOME', 'TORCH_HOME', 'HOME'):\n"
        "    folder = pathlib.Path(os.environ[name])\n    folder.mkdir(exist_ok=True)\n"
        "    (folder / f'{name}.txt').open('x').close()"
    ),
    "caches that no other model has written": (
        "import os, pathlib\nfor name in ('XDG_CACHE_HOME', 'TORCH_HOME', 'HOME'):\n"
        "    assert not (pathlib.Path(os.environ[name]) / f'{name}.txt').exists()"
    ),
}
"""Lines after the model with which a file runs whole."""
REDUCED = {
    "saves": (
        f"{TRAINING}torch.save(model.state_dict(), 'last.pth')",
        f"net.py:22 writes the file last.pth; {GUARD}",
    ),
    "makes a folder": (
        "from pathlib import Path\nPath('runs').mkdir()",
        f"net.py:17 makes the folder runs; {GUARD}",
    ),
    "keeps a log": (
        "import logging\nlogging.basicConfig(filename='train.log')",
        f"net.py:17 writes the file {{folder}}/train.log; {GUARD}",
    ),
    "fetches": (
        "import urllib.request\nurllib.request.urlopen('http://localhost/x')",
        "net.py:17 uses the network",
    ),
    "catches and exits": (
        "import sys\ntry:\n    open('a', 'w')\nexcept OSError:\n    sys.exit('no file')",
        f"net.py:18 writes the file a; {GUARD}",
    ),
    "shells": ("import os\nos.system('pip install x')", f"net.py:17 starts a process; {GUARD}"),
    "asks": ("epochs = int(input('epochs? '))", "net.py:16 raises EOFError"),
    "an option that is required": (
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('data')\np.parse_args()",
        f"net.py:19 calls exit; {GUARD}",
    ),
    "a name that a notebook has": ("display(Net())", "net.py:16 raises NameError"),
    "a package that is missing": (
        "from some_missing_colab import drive",
        "net.py:16 needs the package some_missing_colab, which is not installed here",
    ),
    "exits at once": ("import os\nos._exit(0)", "net.py ends its process when it is run (exit code 0)"),
    "aborts": ("import os\nos.abort()", "net.py ends its process when it is run (exit code -6)"),
    "never ends": ("while True: pass", f"net.py:16 does not come to an end; {GUARD}"),
    "never ends and hears no alarm": (
        "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0)\nwhile True: pass",
        "net.py still ran after 3 s",
    ),
    "nests folders": (
        "import os\nos.chdir(os.environ['HOME'])\nfor _ in range(1500):\n    os.mkdir('d'), os.chdir('d')",
        f"net.py:19 makes more than 50 folders in each other; {GUARD}",
    ),
    "an error without words": (
        "class Odd(Exception):\n    def __str__(self):\n        return self.message\nraise Odd('x')",
        "net.py:19 raises Odd",
    ),
    "logs and does not stop": (
        "for _ in range(1200):\n    try:\n        open('train.log', 'a')\n    except OSError: pass",
        "net.py tried 1,000 times to write the file train.log",
    ),
    "a database": ("import sqlite3\nsqlite3.connect('runs.db')", f"net.py:17 changes runs.db; {GUARD}"),
    "takes all memory": ("bytearray(100 * 2**30)", "net.py:16 raises MemoryError"),
    "a GPU": ("torch.cuda.set_device(0)", "net.py:16 needs a GPU, and a check runs on the CPU"),
}
"""Lines after the model with which only the definitions run, and why."""


def judge(**files: str) -> dict:
    """The result of ``net.py``, in the current folder with the other files."""
    for name, text in files.items():
        Path(f"{name}.py").write_text(text)
    ((_, result),) = judge_all(["net.py"], Sandbox(load_profile("brief"), time_limit_s=60), jobs=1)
    return result


def judge_lines(folder: Path, lines: dict[str, str], before: bool = False) -> dict[str, dict]:
    """For each name the result of the good model with the lines after it, each in a folder of its own."""
    texts = {}
    for number, (name, text) in enumerate(lines.items()):
        own = folder / str(number)
        own.mkdir()
        (own / "net.py").write_text(f"{text}\n{GOOD}" if before else f"{GOOD}{text}\n")
        texts[str(own / "net.py")] = name
    with contextlib.chdir(folder):
        results = dict(judge_all(list(texts), Sandbox(load_profile("brief"), time_limit_s=9), jobs=2))
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == ["net.py"] * len(lines)
    return {texts[text]: result for text, result in results.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    return judge_lines(tmp_path_factory.mktemp("whole"), WHOLE)


@pytest.fixture(scope="module")
def reduced(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    lines = {name: text for name, (text, _) in REDUCED.items()}
    return judge_lines(tmp_path_factory.mktemp("reduced"), lines)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", WHOLE)
def test_a_harmless_file_runs_whole(whole, name):
    assert (whole[name].parameters, whole[name].notes) == (PARAMETERS, ())
    assert whole[name].passed


@pytest.mark.parametrize("name", REDUCED)
def test_only_definitions_run_when_a_file_cannot_run_whole(reduced, name):
    result, words = reduced[name], REDUCED[name][1].replace("{folder}/", "")
    assert result.parameters == PARAMETERS, result
    assert result.passed
    (note,) = result.notes
    assert note.startswith("only its definitions ran: ")
    assert note.replace(f"{Path.cwd()}/", "").partition(": ")[2].startswith(words.partition("train.log")[0])


def test_gpu_requests_run_on_the_cpu_and_name_the_line(folder):
    lines = "x = x.cuda().to('cuda:0').to(device='cuda') + torch.zeros(1, device='cuda')"
    result = judge(net=running(lines) + "model = Net().cuda()\n")
    assert result.passed
    assert result.notes == (
        "net.py:17 asks for a GPU (cuda); net.py:14 asks for a GPU (cuda): judged on the CPU",
    )


@pytest.mark.parametrize(
    "text",
    [
        f"{GOOD}torch.set_default_device('cuda')\nmodel = Net()\n",
        f"{GOOD}with torch.device('cuda'):\n    model = Net()\n",
        f"{GOOD}model = Net().to(device=torch.device('cuda', 0))\n",
        GOOD.replace("return self.b(x)", "return self.b(x.to('mps', torch.float32))"),
        GOOD.replace("nn.BatchNorm2d(width)", "nn.BatchNorm2d(width, device='cuda')"),
    ],
)
def test_every_way_to_request_a_gpu_is_redirected(folder, text):
    result = judge(net=text)
    assert result.parameters == PARAMETERS, result
    assert "asks for a GPU" in result.notes[0]


def test_a_gpu_index_is_redirected(folder):
    result = judge(net=running("x = x.to(0) + torch.zeros(1, device=0)"))
    assert result.passed
    assert result.notes == ("net.py:14 asks for a GPU (cuda): judged on the CPU",)


def test_control_characters_in_errors_are_replaced(folder):
    result = judge(net=running("raise ValueError('\\x1b[31mred\\x07')"))
    assert result.error == "on images of 1×28×28: ValueError: \ufffd[31mred\ufffd (net.py:14)"


def test_a_device_that_depends_on_the_machine_needs_no_note(folder):
    lines = "x = x.to(torch.device('cuda' if torch.cuda.is_available() else 'cpu'))"
    assert judge(net=running(lines)).notes == ()


def test_a_package_that_ends_its_process_when_imported(folder, monkeypatch):
    """It ends that of the model alone; nothing else of the file is lost."""
    Path("site").mkdir()
    Path("site/suicidal.py").write_text("import os\nos._exit(3)\n")
    code = (
        "import os, sys; sys.path.append('site')\n"
        "from under20k.checking.sandbox import import_packages, worker\n"
        "import_packages.installed_folders = lambda: (os.path.realpath('site') + '/',)\n"
        "worker.main()"
    )
    monkeypatch.setattr(server, "WORKER", (sys.executable, "-P", "-c", code))
    result = judge(net="import suicidal\n" + GOOD)
    assert result.error == "ended: it stopped the process that runs models" or result.parameters == PARAMETERS


def test_only_definitions_run_of_a_helper_that_trains_on_import(folder):
    result = judge(
        base=GOOD + TRAINING + "torch.save(model.state_dict(), 'last.pth')\n",
        net="from base import Net\nmodel = Net()\n",
    )
    assert result.parameters == PARAMETERS, result
    assert any(
        "of base.py only the definitions ran: base.py:22 writes the file last.pth" in n for n in result.notes
    )


def test_a_package_missing_in_an_unneeded_helper_does_no_harm(folder):
    helper = "import some_missing_wandb\ndef log(x):\n    some_missing_wandb.log(x)\nWIDTH = 4\n"
    result = judge(helper=helper, net="from helper import WIDTH, log\n" + GOOD)
    assert result.parameters == PARAMETERS, result


def test_a_package_missing_in_a_needed_helper_is_named(folder):
    helper = "import some_missing_pl\nclass Base(some_missing_pl.LightningModule):\n    pass\n"
    result = judge(helper=helper, net="from helper import Base\n" + GOOD.replace("nn.Module", "Base"))
    assert "needs the package some_missing_pl, which is not installed here (helper.py:1)" in result.error


def test_a_students_module_shadows_an_installed_one(folder):
    """Whatever was imported for another model before."""
    Path("one").mkdir()
    Path("two").mkdir()
    Path("one/net.py").write_text("import yaml\n" + GOOD)
    Path("two/net.py").write_text("from yaml import WIDTH\n" + GOOD.replace("width=4", "width=WIDTH"))
    Path("two/yaml.py").write_text("WIDTH = 8\n")
    results = dict(
        judge_all(["one/net.py", "two/net.py", "one/net.py"], Sandbox(load_profile("brief")), jobs=1)
    )
    assert results["one/net.py"].parameters == PARAMETERS
    assert results["two/net.py"].parameters == 8 * 37 + 16 + 8 * 1440 + 10


def test_a_missing_argument_is_reported_with_the_sources_own_values(folder):
    net = GOOD.replace("width=4", "width") + "def main():\n    return Net(width=8), Net(4)\n"
    error = judge(net=net).error
    assert error == "Net needs width: give --arg width=…; this file calls it with 8, 4"


@pytest.mark.slow
def test_without_fork_each_process_judges_one_model(folder, monkeypatch):
    code = "from under20k.checking.sandbox import worker; worker.FORKS = False; worker.main()"
    monkeypatch.setattr(server, "WORKER", (sys.executable, "-P", "-c", code))
    monkeypatch.setattr(server, "FORKS", False)
    texts = {
        "good": GOOD,
        "saves": GOOD + "torch.save(Net().state_dict(), 'last.pth')\n",
        "leaves": GOOD + "import os; os._exit(0)\n",
        "loops": GOOD + "try:\n    while True: pass\nexcept BaseException:\n    while True: pass\n",
        "hangs": running("while True: pass"),
        "z_good": GOOD,
    }
    for name, text in texts.items():
        Path(f"{name}.py").write_text(text)
    limits = Sandbox(load_profile("brief"), time_limit_s=6)
    results = {Path(t).stem: r for t, r in judge_all([f"{n}.py" for n in texts], limits, jobs=2)}
    assert results.pop("hangs").error == "ended after the time limit of 6 s"
    assert {name: result.parameters for name, result in results.items()} == dict.fromkeys(results, PARAMETERS)
    assert [len(results[name].notes) for name in ("good", "saves", "leaves", "loops", "z_good")] == [
        0,
        1,
        1,
        1,
        0,
    ]


def test_modules_of_one_name_in_two_submissions_stay_apart(folder):
    """Helpers of one name in two submissions do not meet."""
    for name, width in (("a", 4), ("b", 8)):
        Path(name).mkdir()
        Path(name, "blocks.py").write_text(f"WIDTH = {width}\n")
        Path(name, "net.py").write_text(
            textwrap.dedent("from blocks import WIDTH\n") + GOOD.replace("=4", "=WIDTH")
        )
    results = dict(judge_all(["a/net.py", "b/net.py"], Sandbox(load_profile("brief")), jobs=1))
    assert results["a/net.py"].parameters == PARAMETERS
    assert results["b/net.py"].parameters == 8 * 37 + 16 + 8 * 1440 + 10
