"""The choice of the model, the other models, and the constructor's arguments."""

import json
from pathlib import Path

import pytest

from under20k.checking.source.choice import Models
from under20k.checking.source.read_source import read_source
from under20k.checking.source.target import NoModel, Target, parse, parse_all
from under20k.checking.source.top_level import units
from under20k.errors import UserError

HEAD = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"


def net(
    name: str, base: str = "nn.Module", init: str = "", inside: str = "self.c = nn.Conv2d(1, 10, 28)"
) -> str:
    return (
        f"class {name}({base}):\n    def __init__(self{init}):\n        super().__init__()\n"
        f"        {inside}\n    def forward(self, x):\n        return self.c(x).flatten(1)\n\n"
    )


LOSS = (
    "class {}(nn.Module):\n    def forward(self, logits, target):\n"
    "        return F.cross_entropy(logits, target)\n\n"
)
TRAIN = (
    "def train(model, loader, optimizer):\n    for x, y in loader:\n        loss = model(x)\n"
    "        loss.backward()\n        optimizer.step()\n\n"
)
A, B = net("A"), net("B")
USES_A = net("Top", inside="self.c = A()")

# Source, what is chosen, the others.
FILES = {
    "one": (A, "A", ()),
    "last": (A + B, "B", ("A",)),
    "made": (A + B + "model = A()\n", "A", ("B",)),
    "made and moved": (A + B + "net = A().to(device)\n", "A", ("B",)),
    "made in main": (A + B + "def main():\n    model = A().cuda()\n", "A", ("B",)),
    "made below the guard": (A + B + "if __name__ == '__main__':\n    model = A()\n", "A", ("B",)),
    "summarised": (A + B + "summary(A().to(device), (1, 28, 28))\n", "A", ("B",)),
    "wrapped": (A + B + "model = nn.DataParallel(A())\n", "A", ("B",)),
    "compiled": (A + B + "model = torch.compile(A())\n", "A", ("B",)),
    "made last": (A + B + "model = B()\nmodel = A()\n", "A", ("B",)),
    "trained": (
        TRAIN
        + A
        + B
        + "m1 = A()\nm2 = B()\nopt = torch.optim.SGD(m1.parameters(), 0.1)\ntrain(m1, d, opt)\n",
        "A",
        ("B",),
    ),
    "trained in main": (
        TRAIN + A + B + "def main():\n    m = A()\n    train(m, d, o)\n    other = B()\n    summary(other)\n",
        "A",
        ("B",),
    ),
    "same name again": (
        TRAIN + A + B + "model = A()\ntrain(model, d, o)\nmodel = B()\nsummary(model)\n",
        "A",
        ("B",),
    ),
    "trained one after the other": (
        TRAIN + A + B + "model = A()\ntrain(model, d, o)\nmodel = B()\ntrain(model, d, o)\n",
        "B",
        ("A",),
    ),
    "by a trainer": (A + B + "m = A()\nTrainer(max_epochs=3).fit(m)\nn = B()\n", "A", ("B",)),
    "in a trainer class": (
        A + B + "class T:\n    def __init__(self):\n        self.model = A()\n",
        "A",
        ("B",),
    ),
    "aliased": (A + B + "Model = A\nmodel = Model()\n", "A", ("B",)),
    "given to a function": (
        A + B + "model, loss = prepare(A, lr=0.1)\nassert isinstance(model, B)\n",
        "A",
        ("B",),
    ),
    "in a loop": (A + B + "for m in [A()]:\n    print(m)\n", "A", ("B",)),
    "loss": (A + LOSS.format("SmoothedLoss"), "A", ()),
    "loss by its forward": (A + LOSS.format("Smoothed"), "A", ()),
    "loss made": (A + LOSS.format("MyLoss") + "criterion = MyLoss()\n", "A", ()),
    "two inputs": (
        A + "class Pair(nn.Module):\n    def forward(self, a, b):\n        return a + b\n",
        "A",
        ("Pair",),
    ),
    "optional second": (
        A + "class C(nn.Module):\n    def forward(self, x, target=None):\n        return x\n",
        "C",
        ("A",),
    ),
    "block": (A + USES_A, "Top", ()),
    "block after": (USES_A + A, "Top", ()),
    "block by a function": (
        A + "def block():\n    return A()\n" + net("Top", inside="self.c = block()"),
        "Top",
        (),
    ),
    "block tried": (A + USES_A + "block = A()\nprint(block)\n", "Top", ()),
    "block and top made": (A + USES_A + "model = Top()\n", "Top", ()),
    "inherits": (A + "class Top(A):\n    pass\n", "Top", ("A",)),
    "base without a forward": (
        "class Base(nn.Module):\n    def step(self): pass\n" + net("Net", "Base"),
        "Net",
        (),
    ),
    "abstract base": (
        "class Base(nn.Module):\n    def forward(self, x): raise NotImplementedError\n" + net("Net", "Base"),
        "Net",
        (),
    ),
    "lightning": ("import lightning as L\n" + net("Lit", "L.LightningModule"), "Lit", ()),
    "base from elsewhere": ("from lab import Base\n" + net("Mine", "Base"), "Mine", ()),
    "data set beside": (A + "class Digits(Dataset):\n    def __getitem__(self, i): return i\n", "A", ()),
    "sequential class": (A + "class S(nn.Sequential):\n    pass\n", "S", ("A",)),
    "sequential": ("model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))\n", "model", ()),
    "sequential of parts": (
        "features = nn.Sequential(nn.Flatten())\nclassifier = nn.Sequential(features, nn.Linear(784, 10))\n",
        "classifier",
        (),
    ),
    "sequential trained": (
        TRAIN + "m = nn.Sequential(nn.Linear(784, 10))\nt = nn.Sequential(nn.Flatten())\ntrain(m, d, o)\n",
        "m",
        (),
    ),
    "sequential moved": ("net = nn.Sequential(nn.Linear(784, 10)).to('cpu')\n", "net", ()),
    "factory of a class": (A + B + "def make():\n    return A()\nmodel = make()\n", "A", ("B",)),
    "factory by a variable": (
        A + B + "def make():\n    m = A()\n    return m.to(d)\nmodel = make()\n",
        "A",
        ("B",),
    ),
    "factory of a sequential": (
        "def make():\n    return nn.Sequential(nn.Linear(1, 2))\nnet = make()\n",
        "make",
        (),
    ),
    "factory with arguments": (
        "def make(n):\n    return nn.Sequential(nn.Linear(1, n))\nnet = make(3)\n",
        "net",
        (),
    ),
    "factory that sizes a class": (
        net("A", init=", w=3") + "def make():\n    return A(w=8)\nmodel = make()\n",
        "make",
        ("A",),
    ),
    "from elsewhere": ("from lab import make\nmodel = make()\n", "model", ()),
    "below if": ("if True:\n    " + A.replace("\n", "\n    ") + "\n", "A", ()),
    "redefined": (A + B + A, "B", ("A",)),
    "no class here is a model": (A + "class Helper:\n    pass\n", "A", ()),
    "a model called a test": (A + B + "def test_shapes():\n    assert A()(x).shape\n", "A", ("B",)),
}


def write(folder: Path, text: str, name: str = "a.py") -> str:
    (folder / name).write_text(HEAD + text)
    return str(folder / name)


@pytest.mark.parametrize("kind", FILES)
def test_the_intended_model_is_chosen(tmp_path, kind):
    text, name, others = FILES[kind]
    target = parse(write(tmp_path, text))
    assert (target.name, target.others) == (name, others)
    every = parse_all(target.text)
    assert sorted(t.name for t in every) == sorted((name, *others))
    assert all(t.name not in t.others and len(t.others) == len(others) for t in every)


@pytest.mark.parametrize("kind", FILES)
def test_a_notebook_gives_the_same_choice(tmp_path, kind):
    text, name, others = FILES[kind]
    rows = [{"cell_type": "code", "source": source} for source in (HEAD, *text.split("\n\n"))]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": rows}))
    target = parse(str(tmp_path / "a.ipynb"))
    assert (target.name, target.others) == (name, others)


NONE = {
    "nothing": "",
    "helpers": "def accuracy(a, b):\n    return (a == b).mean()\n",
    "training": TRAIN + "def main():\n    model = nn.Linear(784, 10)\n    train(model, [], None)\nmain()\n",
    "sequential in main": "def main():\n    model = nn.Sequential(nn.Linear(784, 10))\n",
    "a loss": LOSS.format("SmoothedLoss"),
    "data": "class Digits(Dataset):\n    def __getitem__(self, i): return i\n",
    "transforms": "train_transform = nn.Sequential(T.Normalize(0, 1))\n",
    "lightning data": "import lightning as L\nclass D(L.LightningDataModule):\n    def setup(self): pass\n",
    "a plain class": "class Config:\n    epochs = 3\n",
    "an exception": "class Stop(Exception):\n    pass\n",
    "a window": "import tkinter as tk\nclass App(tk.Tk):\n    def run(self): pass\n",
    "an array": "import numpy as np\nclass Images(np.ndarray):\n    def show(self): pass\n",
    "a test": "import unittest\nclass Shapes(unittest.IsolatedAsyncioTestCase):\n    def test(self): pass\n",
    "an enum": "class Kind(enum.Enum):\n    a = 1\n",
    "loaded": "model = torch.load('model.pt')\n",
    "trained elsewhere": "def run(model):\n    model = model.to('cpu')\n    return model\n",
    "a function's argument": "from lab import make\ndef f(model=None):\n    net = model\n",
}


@pytest.mark.parametrize("kind", NONE)
def test_a_file_without_a_model(tmp_path, kind):
    path = write(tmp_path, NONE[kind])
    for function in (parse, parse_all):
        with pytest.raises(NoModel, match=r"a\.py defines no model"):
            function(path)


def test_choices_are_models_only(tmp_path):
    text = (
        A
        + B
        + LOSS.format("MyLoss")
        + "device = 3\nBATCH = 4\ndef make():\n    return A()\ndef plot(): pass\n"
    )
    path = write(tmp_path, text)
    with pytest.raises(UserError, match=r"defines no 'Nothing'; known: A, B, make$"):
        parse(f"{path}:Nothing")
    with pytest.raises(UserError, match=r"defines no 'AA'; did you mean 'A'\?$"):
        parse(f"{path}:AA")
    assert parse(f"{path}:MyLoss").name == "MyLoss"
    with pytest.raises(UserError, match=r"defines no 'inner'"):
        parse(write(tmp_path, A + "def f():\n    inner = A()\n", "b.py") + ":inner")
    with pytest.raises(UserError, match=r"defines no 'X', and no model"):
        parse(write(tmp_path, "x = 1", "c.py") + ":X")


class TestImported:
    """A model that a source imports from a file beside it."""

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        write(
            tmp_path,
            A + LOSS.format("MyLoss") + "def make():\n    return A()\ndef sized(n):\n    return A()\n",
            "lib.py",
        )
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub/__init__.py").write_text("from .inner import B\nfrom .inner import *\n")
        write(tmp_path, B, "sub/inner.py")
        return tmp_path

    @pytest.mark.parametrize(
        ("text", "name", "file"),
        [
            ("from lib import A\nmodel = A()\n", "A", "lib.py"),
            ("from lib import A\ndef main():\n    model = A()\n", "A", "lib.py"),
            ("from lib import *\nmodel = A()\n", "A", "lib.py"),
            ("from elsewhere import *\nfrom lib import *\nmodel = A()\n", "A", "lib.py"),
            ("from lib import *\nfrom elsewhere import *\nmodel = A()\n", "A", "lib.py"),
            (
                "from lib import A\nfrom elsewhere import prepare\nmodel, optimizer = prepare(A, 0.1)\n",
                "A",
                "lib.py",
            ),
            ("from lib import A as Net\nmodel = Net()\n", "Net", "lib.py"),
            ("from sub.inner import B\nmodel = B()\n", "B", "sub/inner.py"),
            ("from sub import B\nmodel = B()\n", "B", "sub/inner.py"),
            ("from lib import make\nmodel = make()\n", "make", "lib.py"),
            ("from lib import A\nclass Mine(A):\n    pass\n", "Mine", None),
            ("from lib import sized\nmodel = sized(3)\n", "model", None),
            ("from lib import A, MyLoss\nmodel = A()\ncriterion = MyLoss()\n", "A", "lib.py"),
            ("from lib import A\n" + B + "model = A()\n", "A", "lib.py"),
            ("from lib import A\n" + B + "model = B()\nteacher = A\n", "B", None),
        ],
    )
    def test_an_imported_model_is_judged(self, folder, text, name, file):
        path = Path(write(folder, text))
        assert parse(str(path)).name == name
        chosen = Models(units(read_source(path).pieces), path, (folder,)).chosen()
        assert chosen.file == (file and folder / file)

    def test_an_imported_model_is_judged_only_where_it_is_made(self, folder):
        with pytest.raises(NoModel):
            parse(write(folder, "from lib import A, MyLoss\ncriterion = MyLoss()\n"))
        with pytest.raises(NoModel):
            parse(write(folder, "from torchvision import transforms\nt = transforms.Compose([])\n"))


def arguments(tmp_path: Path, text: str) -> Target:
    return parse(write(tmp_path, text))


@pytest.mark.parametrize(
    ("init", "calls", "missing"),
    [
        ("", "", ""),
        (", n=3", "", ""),
        (", *args, **kwargs", "", ""),
        (", n", "", "needs n: give --arg n=…"),
        (", n", "model = Net('BN')", "needs n: give --arg n=…; this file calls it with 'BN'"),
        (
            ", n",
            "a = Net('BN')\nb = Net(n='GN')",
            "needs n: give --arg n=…; this file calls it with 'BN', 'GN'",
        ),
        (
            ", n",
            "for k in ['BN', 'LN']:\n    m = Net(k)",
            "needs n: give --arg n=…; this file calls it with 'BN', 'LN'",
        ),
        (", n", "K = 10\nm = Net(K)", "needs n: give --arg n=…; this file calls it with 10"),
        (
            ", n",
            "p.add_argument('--norm-type', default='BN')\nargs = p.parse_args()\nm = Net(args.norm_type)",
            "needs n: give --arg n=…; this file calls it with 'BN'",
        ),
        (", n", "def f(k):\n    return Net(k)", "needs n: give --arg n=…"),
        (", a, b", "", "needs a and b: give --arg a=… --arg b=…"),
        (
            ", a, b",
            "m = Net(1, b=[2, 3])",
            "needs a and b: give --arg a=… --arg b=…; this file calls Net(1, b=[2, 3])",
        ),
        (", *, k", "m = Net(k=8)", "needs k: give --arg k=…; this file calls it with 8"),
        (", a, b=2, *, c=3", "", "needs a: give --arg a=…"),
    ],
)
def test_required_arguments_and_calls_of_the_constructor(tmp_path, init, calls, missing):
    assert parse(write(tmp_path, net("Net", init=init) + calls) + ":Net").missing_arguments() == missing


def test_arguments_of_inherited_and_imported_constructors(tmp_path):
    base = net("Base", init=", n")
    target = parse(write(tmp_path, base + "class Net(Base):\n    pass\nmodel = Net(3)\n"))
    assert target.missing_arguments() == "needs n: give --arg n=…; this file calls it with 3"
    assert target.missing_arguments(["n"]) == ""
    assert target.calls == ("Net(3)",)
    write(tmp_path, base, "lib.py")
    target = parse(write(tmp_path, "from lib import Base\nmodel = Base(n=3)\n", "b.py"))
    assert target.missing_arguments() == "needs n: give --arg n=…; this file calls it with 3"
    target = parse(write(tmp_path, A + "def make(n, m=2):\n    return A()\n", "c.py") + ":make")
    assert target.missing_arguments() == "needs n: give --arg n=…"


def test_packages_are_found_by_walking_up(tmp_path, monkeypatch):
    inner = tmp_path / "top/mid"
    inner.mkdir(parents=True)
    for folder in (tmp_path / "top", inner):
        (folder / "__init__.py").touch()
    path = write(inner, A, "net.py")
    for folder in (tmp_path, inner, tmp_path / "top"):
        monkeypatch.chdir(folder)
        target = parse(path)
        assert (target.package, target.root) == ("top.mid", tmp_path)
    monkeypatch.chdir(inner)
    assert parse("net.py").package == "top.mid"
    assert parse("net.py").root == tmp_path
    monkeypatch.chdir(tmp_path)
    assert (parse("top.mid.net:A").package, parse("top.mid.net:A").root) == ("top.mid", tmp_path)
    (inner / "n.ipynb").write_text(json.dumps({"cells": [{"cell_type": "code", "source": HEAD + A}]}))
    assert (parse(str(inner / "n.ipynb")).package, parse(str(inner / "n.ipynb")).root) == ("", inner)


def test_claims_belong_to_the_judged_model(tmp_path):
    def cell(source: str, output: str = "") -> dict:
        return {
            "cell_type": "code",
            "source": source,
            "outputs": [{"output_type": "stream", "text": [output]}],
        }

    done = "Test set: Accuracy: {}/10000 (99%)"
    cells = [cell(HEAD + TRAIN + A), cell("model = A()"), cell("train(model, d, o)", done.format(9950))]
    cells += [cell(B), cell("model = B()"), cell("train(model, d, o)", done.format(9900))]
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    best = {t.name: t.claims.best_test_accuracy.value for t in parse_all(str(path))}
    assert best == {"A": 0.995, "B": 0.99}
    instance = parse(f"{path}:model")
    assert (instance.claims.best_test_accuracy.value, instance.others) == (0.99, ("A",))
    path.write_text(json.dumps({"cells": [*cells[:2], *cells[2:4]]}))
    assert {t.name: t.claims.test_accuracy for t in parse_all(str(path))}["B"] is None
