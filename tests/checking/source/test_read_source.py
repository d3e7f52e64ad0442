"""Sources as editors, notebooks and Colab leave them."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.submissions import GOOD
from under20k.checking.source.definitions import definitions
from under20k.checking.source.read_source import Source, read_source
from under20k.checking.source.target import NoModel, parse, parse_all
from under20k.errors import UserError


def code(source: str, count: int | None = None, *outputs: dict) -> dict:
    return {"cell_type": "code", "source": source, "execution_count": count, "outputs": list(outputs)}


def write(path: Path, *cells: dict, **more) -> str:
    path.write_text(json.dumps({"cells": list(cells), "nbformat": 4, **more}))
    return str(path)


BOM = "\ufeff"
ENCODINGS = {
    "UTF-8": GOOD.encode(),
    "with a BOM": (BOM + GOOD).encode(),
    "CRLF": GOOD.replace("\n", "\r\n").encode(),
    "old Mac": GOOD.replace("\n", "\r").encode(),
    "mixed newlines": GOOD.replace("\n", "\r\n", 5).encode(),
    "Latin-1": ("# -*- coding: latin-1 -*-\n# café\n" + GOOD).encode("latin-1"),
    "Latin-1 on the second line": (
        "#!/usr/bin/python\n# vim: set fileencoding=iso-8859-15 :\n# €\n" + GOOD
    ).encode("iso-8859-15"),
    "cp1252": ("# coding: cp1252\nx = '€'\n" + GOOD).encode("cp1252"),
    "UTF-8 said": ("# coding: utf-8\n# é\n" + GOOD).encode(),
    "UTF-16": (BOM + GOOD).encode("utf-16-le"),
    "UTF-16 big": (BOM + GOOD).encode("utf-16-be"),
    "form feed": ("\f\n" + GOOD + "\f\nx = 1\n").encode(),
    "tabs": GOOD.replace("    ", "\t").encode(),
    "no last newline": GOOD.rstrip().encode(),
    "trailing spaces": (GOOD + "   ").encode(),
}


@pytest.mark.parametrize("kind", ENCODINGS)
def test_files_of_any_encoding_and_newline_are_read(tmp_path, kind):
    path = tmp_path / "a.py"
    path.write_bytes(ENCODINGS[kind])
    target = parse(str(path))
    assert target.name == "Net"
    assert bool(target.notes) == kind.startswith("UTF-16")
    ((_, text),) = target.pieces
    compile(text, "a.py", "exec", dont_inherit=True)
    if not kind.startswith("UTF-16"):  # Python itself is the judge
        compile(ENCODINGS[kind], "a.py", "exec", dont_inherit=True)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"# caf\xe9\n", r"not text in UTF-8, .*save it as UTF-8"),
        (b"# coding: klingon\n", r"not text that Python reads: .*klingon"),
        (b"\xff\xfe\x00", r"not text in utf-16"),
        (b"x = 1\n\0", r"is not Python"),
        (b"class Net(:\n    pass", r"is not Python: line 1: "),
        (b"x = 1\n<<<<<<< HEAD\n", r"is not Python: line 2: "),
        (b"print 'a'", r"is not Python: line 1: "),
        (b"x = " + b"(" * 500, r"is not Python: "),
        (b"x = " + b"-" * 100_000 + b"1", r"is not Python: .*nested too deep"),
    ],
)
def test_files_python_cannot_read_are_reported(tmp_path, data, words):
    (tmp_path / "a.py").write_bytes(data)
    with pytest.raises(UserError, match=words) as error:
        parse(str(tmp_path / "a.py"))
    assert str(error.value).startswith(str(tmp_path / "a.py"))
    assert "\n" not in str(error.value)


EXPORTS = {
    "pip": "!pip install x\n",
    "automatic": "pip install torchsummary\n",
    "automatic with options": "conda install -c x y\nls -la\ncd ..\n",
    "magic": "%matplotlib inline\n%load_ext autoreload\n",
    "continued": "!pip install \\\n   a b\n",
    "help": "?nn.Conv2d\nnn.Conv2d??\n",
    "indented": "if True:\n    !ls\n    %cd x\n",
    "assigned": "files = !ls\nwhere = %pwd\n",
    "late future": "import os\nfrom __future__ import print_function\n",
    "ipython": "get_ipython().system('pip install x')\nget_ipython().magic('matplotlib inline')\n",
    "ipython of several lines": "x = get_ipython().getoutput(\n    'ls',\n)\n",
    "ipython in a block": "try:\n    get_ipython().magic('x')\nexcept NameError: pass\n",
}


@pytest.mark.parametrize("kind", EXPORTS)
def test_exports_of_notebooks_are_read(tmp_path, kind):
    (tmp_path / "a.py").write_text("import torch\n" + EXPORTS[kind] + GOOD)
    target = parse(str(tmp_path / "a.py"))
    ((_, text),) = target.pieces
    assert "get_ipython" not in text
    lines = (EXPORTS[kind] + GOOD).count("\n") + 1
    assert text.count("\n") == lines
    net = next(step for step in definitions(target.pieces, "Net") if step.defines == {"Net"})
    assert text.split("\n")[net.line - 1] == "class Net(nn.Module):"
    is_magic = kind in (
        "pip",
        "magic",
        "continued",
        "help",
        "indented",
        "assigned",
        "automatic",
        "automatic with options",
    )
    assert [note.split(" (")[0] for note in target.notes] == [
        "line " + ("3" if kind == "indented" else "2")
    ] * is_magic
    for step in definitions(target.pieces, "Net"):
        step.compile()


def test_cells_are_named_as_jupyter_shows_them(tmp_path):
    path = write(
        tmp_path / "w.ipynb",
        {"cell_type": "markdown", "source": "# Title"},
        code("a = 1", 3),
        code("b = 1"),
        code("c = 1", 4),
        code("d = 1", 4),
        code("e = 1", True),
    )
    assert [place for place, _ in read_source(Path(path)).pieces] == [
        "w.ipynb In [3]",
        "w.ipynb cell 3",
        "w.ipynb In [4] (cell 4)",
        "w.ipynb In [4] (cell 5)",
        "w.ipynb cell 6",
    ]


def test_a_cell_with_a_syntax_error_is_named_and_the_rest_is_read(tmp_path):
    path = write(
        tmp_path / "w.ipynb", code(GOOD, 1), code("x = 1\nfor i in range(3)\n    print(i)", 3), code("y =")
    )
    target = parse(path)
    assert target.name == "Net"
    assert target.notes == (
        "In [3] (cell 2) has a syntax error and was left out: line 2: expected ':'",
        "In [ ] (cell 3) has a syntax error and was left out: line 1: invalid syntax",
    )
    broken = write(
        tmp_path / "b.ipynb", code(GOOD.replace("(self, x):", "(self, x)"), 7), code("model = Net()", 8)
    )
    with pytest.raises(UserError, match=r"In \[7\] \(cell 1\), line 13: expected ':'") as error:
        parse(broken)
    assert not isinstance(error.value, NoModel)
    with pytest.raises(NoModel, match=r"In \[1\] \(cell 1\), line 1"):
        parse(write(tmp_path / "c.ipynb", code("print 'a'", 1)))
    with pytest.raises(UserError, match=r"no 'Other'.*In \[7\]"):
        parse(f"{broken}:Other")


MAGICS = {
    "%%time\n": True,
    "%%capture out\n": True,
    "%%timeit -n 1\n": True,
    "%%wandb\n": True,
    "%matplotlib inline\n": True,
    "%time x = 1\n": True,
    "%%writefile net.py\n": True,
    "%%file net.py\n": True,
    "%%writefile -a src/net.py\n": True,
    "\n\n%%time\n": True,
    "%%bash\n": False,
    "%%html\n": False,
    "%%script python\n": False,
    "%%writefile data.txt\n": False,
    "%%\n": False,
}


@pytest.mark.parametrize("magic", MAGICS)
def test_cell_magics(tmp_path, magic):
    path = write(tmp_path / "w.ipynb", code(magic + GOOD, 1))
    if not MAGICS[magic]:
        with pytest.raises(NoModel):
            parse(path)
        return
    target = parse(path)
    net = next(step for step in definitions(target.pieces, "Net") if step.defines == {"Net"})
    assert (magic + GOOD).split("\n")[net.line - 1] == "class Net(nn.Module):"


def test_a_module_written_by_the_notebook_is_importable(tmp_path):
    cells = [code("%%writefile net.py\n" + GOOD, 1), code("from net import Net\nmodel = Net()", 2)]
    target = parse(write(tmp_path / "w.ipynb", *cells))
    assert (target.name, target.constructor.required) == ("Net", ())
    assert not [s for s in definitions(target.pieces, "Net") if "from net" in repr(s)]


def test_a_notebook_by_another_name(tmp_path):
    write(tmp_path / "w.py", code(GOOD, 1))
    target = parse(str(tmp_path / "w.py"))
    assert (target.name, target.is_notebook, target.pieces[0][0]) == ("Net", True, "w.py In [1]")
    assert target.notes == ("w.py is a notebook saved as .py; only its definitions run",)
    (tmp_path / "p.ipynb").write_text(GOOD)
    target = parse(str(tmp_path / "p.ipynb"))
    assert (target.name, target.is_notebook) == ("Net", False)
    assert target.notes == ("p.ipynb is a Python file, not a notebook",)
    (tmp_path / "d.py").write_text('{"a": 1}\n' + GOOD)
    assert parse(str(tmp_path / "d.py")).is_notebook is False


def test_a_notebook_of_version_3(tmp_path):
    rows = [
        {"cell_type": "heading", "level": 1, "source": "Title"},
        {"cell_type": "code", "input": GOOD.splitlines(True), "prompt_number": 2, "outputs": [
            {"output_type": "stream", "text": ["Test set: Accuracy: 9941/10000\n"]},
            {"output_type": "pyout", "text": "x"},
        ]},
    ]  # fmt: skip
    (tmp_path / "w.ipynb").write_text(json.dumps({"nbformat": 3, "worksheets": [{"cells": rows}]}))
    target = parse(str(tmp_path / "w.ipynb"))
    assert (target.name, target.pieces[0][0]) == ("Net", "w.ipynb In [2]")
    assert target.claims.test_accuracy.value == 0.9941


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is empty"),
        ("  \n", "it is empty"),
        ("{", "it is not JSON"),
        ('{"cells": 3}', "it has no list of cells"),
        ("[]", "it has no list of cells"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0", "it is not JSON"),
        ('{"cells": [\n<<<<<<< HEAD\n]}', "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
    ],
)
def test_files_that_are_not_notebooks_are_reported(tmp_path, text, words):
    (tmp_path / "w.ipynb").write_text(text)
    with pytest.raises(UserError, match=rf"w\.ipynb is not a notebook: {words}"):
        parse(str(tmp_path / "w.ipynb"))


@pytest.mark.parametrize(
    "cells",
    [
        [3, None, "x", []],
        [{"cell_type": "code"}],
        [{"cell_type": "code", "source": None}],
        [{"cell_type": "code", "source": {"a": 1}, "outputs": 3}],
        [{"cell_type": "code", "source": ["a", 3, None], "outputs": [3, {"text": 3}, {"data": 3}]}],
        [{"cell_type": "code", "source": "x", "outputs": [{"data": {"text/plain": ["1"]}}, {"text": [3]}]}],
        [{"cell_type": ["code"], "source": "x"}],
        [{"cell_type": "markdown", "source": 3}],
        [{"cell_type": "code", "source": "x", "execution_count": "3"}],
        [{"cell_type": "code", "source": "x", "execution_count": [1]}],
    ],
)
def test_odd_cells_do_no_harm(tmp_path, cells):
    with pytest.raises(NoModel):
        parse(write(tmp_path / "w.ipynb", *cells))
    assert parse(write(tmp_path / "w.ipynb", *cells, code(GOOD))).name == "Net"


def check(path: Path) -> None:
    """It is parsed, or refused in one line by its name."""
    for function in (parse, parse_all):
        try:
            found = function(str(path))
        except UserError as error:
            assert str(path) in str(error)  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017
            continue
        for target in found if isinstance(found, list) else [found]:
            target.summary()
            target.missing_arguments()
            json.dumps([target.claims.to_json(), target.notes, target.calls, target.others])
            definitions(target.pieces, target.name)


SNIPPETS = [
    *(
        GOOD,
        "model = Net()",
        "model = Net(3).to(device)",
        "train(model)",
        "class Loss(nn.Module): pass",
        "!pip x",
    ),
    *(
        "if True:\n    x = 3",
        "%%time",
        "def f(x): return Net()",
        "from . import a",
        "from .. import *",
        "import a.b",
    ),
    *(
        "class A(B): pass",
        "class B(A): pass",
        "class A(A): pass",
        "class Net(Net): pass",
        "net = net",
        "f = f()",
    ),
    *(
        "def f(): return f()",
        "def f(): return g()\ndef g(): return f()",
        "Net = A",
        "A = Net",
        "for m in (A, B): m()",
    ),
    *(
        "model = nn.Sequential(*[Net() for _ in x])",
        "a, (b, *c) = Net(), (f(), 3)",
        "with Net() as model: pass",
    ),
    *(
        "x = lambda: Net()",
        "@Net\nclass C(nn.Module):\n    def forward(self): pass",
        "get_ipython().x()",
        "# é",
    ),
    *(
        "class D(nn.Module):\n    def forward(*x): pass",
        "class E(nn.Module):\n    forward = f",
        "E(**k)",
        "Net(*a, b=3)",
    ),
    *(
        "p.add_argument()",
        "p.add_argument('--epochs', default=3)",
        "for epoch in range(3): train()",
        "EPOCHS = EPOCHS",
    ),
    *(
        "match x:\n    case Net(): pass",
        "async def g():\n    await Net()",
        "from __future__ import annotations",
        "\f",
    ),
    *(
        "'''Test accuracy: 99.4%'''",
        "x: Net = 3",
        "global z",
        "nonlocal z",
        "return 3",
        "yield",
        "\x00",
        "\u2028",
    ),
    *(
        "from a import *",
        "from a import Net",
        "from a import b as Net",
        "del Net",
        "Net: 3",
        "class F(x[0], *y, z=3): 1",
    ),
]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.integers(0, 14), st.booleans())
def test_any_mixture_is_parsed_or_refused(tmp_path, seed, count, notebook):
    chooser = random.Random(seed)
    chosen = [chooser.choice(SNIPPETS) for _ in range(count)]
    path = tmp_path / ("a.ipynb" if notebook else "a.py")
    if notebook:
        write(path, *(code(text, chooser.choice((None, 1, 2))) for text in chosen))
    else:
        path.write_text("\n".join(chosen) + "\n", encoding="utf-8")
    check(path)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "replace")), st.booleans())
def test_any_file_is_parsed_or_refused(tmp_path, data, notebook):
    path = tmp_path / ("a.ipynb" if notebook else "a.py")
    path.write_bytes(data)
    check(path)


def test_a_long_file_is_parsed_quickly(tmp_path):
    import time

    methods = "\n".join(
        f"    def m{i}(self, x):\n        return self.m{i - 1}(x) + W{i % 50}" for i in range(1, 700)
    )
    text = GOOD + methods + "\n" + "\n".join(f"W{i} = int({i})" for i in range(50)) + "\n"
    text += (
        "\n".join(f"def f{i}(x):\n    y = f{i - 1}(x)\n    return y" for i in range(170))
        + "\nmodel = Net()\n"
    )
    assert text.count("\n") > 1900
    (tmp_path / "a.py").write_text(text)
    best = 9.0
    for _ in range(5):
        start = time.process_time()
        target = parse(str(tmp_path / "a.py"))
        best = min(best, time.process_time() - start)
    assert target.name == "Net"
    assert best < 0.5  # ten times what it takes on an idle core


def test_claims_are_empty_by_default():
    assert Source().pieces == []
