"""Notebooks and files of which only the definitions can run."""

import ast
import json
from pathlib import Path

import pytest

from tests.support.submissions import GOOD, PARAMETERS
from under20k.checking.profiles import load_profile
from under20k.checking.sandbox.sandbox import Sandbox, judge_all
from under20k.checking.source.definitions import definitions
from under20k.checking.source.read_source import read_source
from under20k.checking.source.summary import running
from under20k.checking.source.target import parse
from under20k.errors import UserError


def notebook(path: Path, *sources: str) -> Path:
    found = [{"cell_type": "markdown", "source": "class Net:"}]
    found += [{"cell_type": "code", "source": source.splitlines(True)} for source in sources]
    path.write_text(json.dumps({"cells": found, "nbformat": 4}))
    return path


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("x = 1", "x = 1"),
        ("%matplotlib inline\nx = 1", "pass\nx = 1"),
        ("!pip install torch \\\n  torchvision\nx = 1", "pass\n\nx = 1"),
        ("if y:\n    !ls\nx = 1", "if y:\n    pass\nx = 1"),
        (" " * 200_000 + "\nx = 1", " " * 200_000 + "\nx = 1"),
        ("def f(:\n" + " " * 200_000 + "1", None),
        ("files = !ls\nx = 1", "files = None\nx = 1"),
        ("nn.Conv2d?\nx = 1", "pass\nx = 1"),
        ("%%time\nx = 1", "pass\nx = 1"),
        ("%%writefile net.py\nx = 1", "#%%writefile net.py\nx = 1"),
        ("%%bash\nx=1", ""),
        ("x = (a\n    % b)", "x = (a\n    % b)"),  # no magic
        ("def f(:", None),
        ("x = 1\n\0", None),
    ],
)
def test_magics_and_shell_lines_are_removed(tmp_path, source, kept):
    found = read_source(notebook(tmp_path / "work.ipynb", source)).pieces
    assert found == ([] if kept is None else [("work.ipynb cell 2", kept)])


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("WIDTH = 8", True),
        ("width: int = 8", True),
        ("sizes = [8, 16]", True),
        ("def f():\n    train()", True),
        ("class Net(nn.Module):\n    pass", True),
        ("try:\n    import a\nexcept ImportError:\n    a = None", True),
        ("model = Net()", False),
        ("for epoch in range(8):\n    train()", False),
        ("while True:\n    pass", False),
        ("with open('x', 'w') as file:\n    pass", False),
        ("train(model)", False),
        ("try:\n    train()\nexcept Exception:\n    pass", False),
        ("if True:\n    train()", False),
    ],
)
def test_definitions_run_and_training_does_not(source, kept):
    assert bool(definitions([("a.py", source)], "Net")) == kept


RUNNING = {
    "try:\n    os.remove('x')\nexcept Exception: pass": ["os.remove('x')"],
    "try:\n    import a\nexcept ImportError:\n    a = f()\nelse:\n    g()\nfinally:\n    h()": [
        *("a = f()", "g()", "h()"),
    ],
    "try:\n    import a\nexcept ImportError:\n    a = None": [],
    "class A(B):\n    x = 1\n    def f(self): g()": [],
    "class A(f()):\n    x = g()\n    class B(metaclass=h()): i()": ["f()", "x = g()", "h()", "i()"],
    "class A:\n    @property\n    def f(self): ...\n    @g()\n    def h(self): ...": ["g()"],
    "@evil\ndef f(): ...": ["evil"],
    "def f(x: g() = h(), *, y=i()) -> j(): k()": ["h()", "i()", "j()", "g()"],
    "if x:\n    f()": ["if x:"],
    "if __name__ == '__main__':\n    f()\nelse:\n    g()": ["g()"],
}


@pytest.mark.parametrize("source", RUNNING)
def test_code_that_runs_with_definitions_is_found(source):
    found = [ast.unparse(part).splitlines()[0] for part in running(ast.parse(source).body)]
    assert found == RUNNING[source]


@pytest.mark.parametrize("text", ["[]", '{"cells": 3}', "{", '{"metadata": {}}'])
def test_files_that_are_not_notebooks_are_refused(tmp_path, text):
    (tmp_path / "work.ipynb").write_text(text)
    with pytest.raises(UserError, match=r"work\.ipynb"):
        parse(str(tmp_path / "work.ipynb"))


def test_what_would_run_is_listed(tmp_path):
    path = notebook(tmp_path / "work.ipynb", "import torch, os\nfrom torch import nn", GOOD, "train()")
    assert parse(f"{path}:Net").summary() == ["imports torch, os, torch.nn.functional"]
    (tmp_path / "a.py").write_text(GOOD + "x = f()" + " + 1" * 600)
    assert parse(str(tmp_path / "a.py")).summary()[1:] == [
        "runs a.py:16: a statement nested too deep to be shown"
    ]
    (tmp_path / "a.py").write_text('"""Text."""\nW = 3\n' + GOOD + "\nfor i in range(3):\n    print(i)\n")
    assert parse(str(tmp_path / "a.py")).summary()[1:] == ["runs a.py:19: for i in range(3):"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (GOOD, "Net"),
        (
            "class Block(nn.Module): ...\nclass Top(nn.Module):\n    def __init__(self): self.b = Block()",
            "Top",
        ),
        ("class Base(nn.Module): ...\nclass Child(Base): ...", "Child"),
        ("from lab import Base\nclass Mine(Base): ...", "Mine"),
        ("class Deep(a" + ".b" * 900 + "): ...", "Deep"),
        ("from lab import make\nmodel = make()", "model"),
        ("from torch import nn\nnet = nn.Sequential()", "net"),
    ],
)
def test_the_name_can_be_left_out(tmp_path, text, name):
    (tmp_path / "a.py").write_text(text)
    assert parse(str(tmp_path / "a.py")).name == name


def test_models_are_judged_without_the_unneeded_missing_packages(tmp_path):
    notebook(
        tmp_path / "a.ipynb",
        "%pip install torchvision\nimport torch, not_installed_anywhere\nfrom torchvision import nowhere",
        "def broken(:",
        '"""Text."""\nfrom __future__ import annotations\n' + GOOD,
        "def later(x: NotYet): ...",
        "for epoch in range(10**9):\n    open('trained', 'w')",
        "loader = not_installed_anywhere.Loader()\nfirst = loader[0]",
    )
    (tmp_path / "b.py").write_text(
        "from __future__ import annotations\nimport not_installed_anywhere\n"
        + GOOD
        + "\nnot_installed_anywhere.fit()\n"
    )
    (tmp_path / "c.py").write_text(GOOD.replace("self.b(x)", "self.c(x)"))
    notebook(tmp_path / "d.ipynb", "x = 1", GOOD.replace("self.b(x)", "self.c(x)"))
    notebook(tmp_path / "e.ipynb", GOOD, "size = int(4)\nmodel = Net(size)", "model = train(model)")
    texts = [f"{path}{':model' * (path.stem == 'e')}" for path in sorted(tmp_path.iterdir())]
    found = [result for _, result in judge_all(texts, Sandbox(load_profile("brief")), jobs=1)]
    assert [result.parameters for result in found] == [PARAMETERS, PARAMETERS, None, None, PARAMETERS]
    assert [result.notes for result in found[:2]] == [
        ("In [ ] (cell 3) has a syntax error and was left out: line 1: invalid syntax",),
        (
            "only its definitions ran: b.py:2 needs the package not_installed_anywhere,"
            " which is not installed here",
        ),
    ]
    assert "a.ipynb cell 4:16" in repr(found[0].layers)
    assert found[2].error.endswith("object has no attribute 'c' (c.py:15)")
    assert found[3].error.endswith("object has no attribute 'c' (d.ipynb cell 3:15)")
