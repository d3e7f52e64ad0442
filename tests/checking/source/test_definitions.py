"""The statements that a model needs: they give what the whole source gives, and never train."""

import ast
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from under20k.checking.source.definitions import Step, definitions


class Trained(BaseException):
    """Nothing may run that raises it."""


HEAD = """
class Module:
    def __call__(self, x): return self.forward(x)
    def to(self, device): return self
    def parameters(self): return []
"""
NET = """
class Net(Module):
    def forward(self, x): return x + {}
"""


def run(steps: list[Step]) -> dict:
    """Run all steps, as the sandbox does: one that is not required may fail."""

    def trained(*arguments, **named):
        raise Trained

    space = {"__name__": "student", "train": trained, "fit": trained}
    for step in steps:
        try:
            exec(step.compile(), space)
        except Exception:
            if step.required:
                raise
    return space


# Sources, by what they show; each makes Net, whose answer to 1 is 43.
KINDS = {
    "constant": "W = 42" + NET.format("W"),
    "call": "W = int('42')" + NET.format("W"),
    "call after the class": NET.format("W") + "W = int('42')",
    "chain": "A = int('41')\nB = A + int('1')" + NET.format("B"),
    "function": "def f(): return g()\ndef g(): return W\nW = int('42')" + NET.format("f()"),
    "tuple": "W, V = divmod(85, 2)" + NET.format("W"),
    "starred": "W, *V = map(int, ['42', '3'])" + NET.format("W"),
    "augmented": "W = int('40')\nW += 2" + NET.format("W"),
    "augmented in a loop": "W = int('40')\nfor _ in range(2):\n    W += 1" + NET.format("W"),
    "walrus": "print(W := int('42'))" + NET.format("W"),
    "if": "if len('a'):\n    W = int('42')\nelse:\n    W = 0" + NET.format("W"),
    "if replaces": "W = int('1')\nif len('a'):\n    W = 42" + NET.format("W"),
    "try": "try:\n    import nowhere_at_all\n    W = 0\nexcept ImportError:\n    W = int('42')"
    + NET.format("W"),
    "try a name": "try:\n    nothing\n    W = 0\nexcept NameError:\n    W = 42" + NET.format("W"),
    "with": "import io\nwith io.StringIO('42') as f:\n    W = int(f.read())" + NET.format("W"),
    "with target": "import io\nwith io.StringIO('42') as f: pass\n"
    + NET.format("len(f.__class__.__name__) + 34"),
    "for": "for W in range(43): pass\n" + NET.format("W"),
    "match": "match len('ab'):\n    case 2:\n        W = int('42')" + NET.format("W"),
    "list": "L = []\nfor i in range(42):\n    L.append(int(i))" + NET.format("len(L)"),
    "dict": "D = dict()\nD['w'] = int('42')" + NET.format("D['w']"),
    "object": "class C: pass\ncfg = C()\ncfg.w = int('42')" + NET.format("cfg.w"),
    "setattr": "class C: pass\ncfg = C()\nsetattr(cfg, 'w', 42)" + NET.format("cfg.w"),
    "globals": "globals()['W'] = int('42')" + NET.format("W"),
    "global": "def init():\n    global W\n    W = int('42')\ninit()" + NET.format("W"),
    "default": "W = int('42')\nclass Net(Module):\n    def forward(self, x, w=W): return x + w",
    "class body": "W = int('42')\nclass Net(Module):\n    w = W\n    def forward(self, x): return x + self.w",
    "decorator": "def twice(c):\n    c.w = int('42')\n    return c\n@twice" + NET.format("self.w"),
    "base": "class Base(Module):\n    w = int('42')\nclass Net(Base):\n"
    "    def forward(self, x): return x + self.w",
    "made base": "Base = type('Base', (Module,), {'w': 42})\nclass Net(Base):\n"
    "    def forward(self, x): return x + self.w",
    "metaclass": "class M(type):\n    w = int('42')\nclass Net(Module, metaclass=M):\n"
    "    def forward(self, x): return x + type(self).w",
    "annotation": "T = type(int('42'))\nclass Net(Module):\n    def forward(self, x: T): return x + 42",
    "patched": "W = int('42')"
    + NET.format("0")
    + "def forward(self, x): return x + W\nNet.forward = forward",
    "patched block": "class B(Module):\n    def forward(self, x): return 0\nclass Net(Module):\n"
    "    def forward(self, x): return B()(x)\nW = int('42')\nB.forward = lambda self, x: x + W",
    "method reached": "W = int('42')\nclass Net(Module):\n    def forward(self, x): return self.inner(x)\n"
    "    def inner(self, x): return x + W",
    "method by getattr": "W = int('42')\nclass Net(Module):\n    def forward(self, x):\n"
    "        return getattr(self, 'inner')(x)\n    def inner(self, x): return x + W",
    "method of a base": "W = int('42')\nclass Base(Module):\n    def inner(self, x): return x + W\n"
    "class Net(Base):\n    def forward(self, x): return self.inner(x)",
    "property": "W = int('42')\nclass Net(Module):\n    def forward(self, x): return x + self.w\n"
    "    @property\n    def w(self): return W",
    "closure": "W = int('42')\ndef make():\n    def inner(x): return x + W\n    return inner\nf = make()\n"
    "class Net(Module):\n    def forward(self, x): return f(x)",
    "lambda": "W = int('42')\nadd = lambda x: x + W\nclass Net(Module):\n"
    "    def forward(self, x): return add(x)",
    "comprehension": "W = [int('21') for _ in range(2)]" + NET.format("sum(w for w in W)"),
    "import": "import json\nW = json.loads('42')" + NET.format("W"),
    "import beside one that is missing": "import json, nowhere_at_all\nW = json.loads('42')"
    + NET.format("W"),
    "dotted import": "import os.path\nW = len(os.path.join('a' * 40, 'b'))" + NET.format("W"),
    "main guard": NET.format("W") + "if __name__ == '__main__':\n    W = int('42')\n    train(Net())",
    "train in the same if": "if len('a'):\n    W = int('42')\n    train(1)" + NET.format("W"),
    "train in the same loop": "for i in range(3):\n    W = int('42')\n    train(i)" + NET.format("W"),
    "train in the same loop, of its variable": "for w in [1, 42]:\n    W = int(w)\n    train(w)"
    + NET.format("W"),
    "train in the same while": "while True:\n    W = int('42')\n    train(1)\n    break" + NET.format("W"),
    "train in the same with": "import io\nwith io.StringIO('42') as f:\n    W = int(f.read())\n    train(1)"
    + NET.format("W"),
    "train in the same try": "try:\n    W = int('42')\n    train(1)\nexcept ValueError:\n    W = 0"
    + NET.format("W"),
    "local training function": "def ep(m):\n    m.backward()\nif len('a'):\n    W = int('42')\n    ep(1)"
    + NET.format("W"),
    "retrained": "W = int('42')" + NET.format("W") + "W = train(W)",
    "name reused by the training": "def inner(x): return x + 42\nclass Net(Module):\n"
    "    def forward(self, x):\n        out = inner(x)\n        return out\nout = train(1)",
    "later version": NET.format("0") + "W = int('42')" + NET.format("W"),
    "later constant": "W = 42" + NET.format("W") + "model = Net()\nW = 3",
    "method that trains": "class Net(Module):\n    def forward(self, x): return x + 42\n"
    "    def fit(self): nowhere.train(loader)\nloader = train()",
    "own train method": "class Net(Module):\n    def forward(self, x): return x + 42\n"
    "    def train(self, loader, epochs): return best\nbest = train(1)",
    "other class fails": "class Data(nowhere.Data): pass\n" + NET.format("42"),
    "other function fails": "@nowhere.main()\ndef main(): pass\n" + NET.format("42"),
    "missing import": "import nowhere_at_all\nfrom nowhere_at_all import a, b\n" + NET.format("42"),
    "string annotation": "from __future__ import annotations\nclass Net(Module):\n"
    "    def forward(self, x: Nowhere) -> Nothing: return x + 42",
    "late future": "W = 42\nfrom __future__ import print_function\n" + NET.format("W"),
    "nested": "class Net(Module):\n    class Inner:\n        def w(self): return W\n"
    "    def forward(self, x): return x + self.Inner().w()\nW = int('42')",
    "conditional class": "if len('a'):\n    class Net(Module):\n        def forward(self, x): return x + W\n"
    "W = int('42')",
    "registry": "R = {}\ndef register(c):\n    R[c.__name__] = int('42')\n    return c\n@register\n"
    "class Net(Module):\n    def forward(self, x): return x + R['Net']",
    "argparse": "import argparse\np = argparse.ArgumentParser()\n"
    "p.add_argument('--w', type=int, default=42)\nargs = p.parse_args([])" + NET.format("args.w"),
    "argparse in a loop": "import argparse\np = argparse.ArgumentParser()\nfor n in ['--w', '--v']:\n"
    "    p.add_argument(n, type=int, default=42)\nargs = p.parse_args([])" + NET.format("args.w"),
    "exception name": "try:\n    int('a')\nexcept ValueError as e:\n    W = len(str(e)[:42])"
    + NET.format("W + 0"),
    "del": "W = int('42')\nV = 3\ndel V" + NET.format("W"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_definitions_the_model_needs_run_and_training_does_not(kind):
    steps = definitions([("a.py", HEAD + KINDS[kind])], "Net")
    assert run(steps)["Net"]()(1) == 43


@pytest.mark.parametrize("kind", KINDS)
def test_the_required_steps_alone_suffice(kind):
    steps = definitions([("a.py", HEAD + KINDS[kind])], "Net")
    assert run([step for step in steps if step.required])["Net"]()(1) == 43


INSTANCES = {
    "class": NET.format("42") + "model = Net()",
    "argument": "class Net(Module):\n    def __init__(self, w): self.w = w\n"
    "    def forward(self, x): return x + self.w\nmodel = Net(int('42'))",
    "then trained": NET.format("42") + "model = Net()\nmodel = train(model)\ntrain(model)\nmodel.fit(1)",
    "then moved": NET.format("42") + "model = Net()\nmodel = model.to(nowhere)",
    "parts added": "class Net(Module):\n    def forward(self, x): return x + sum(self.w)\nmodel = Net()\n"
    "model.w = list()\nfor i in [20, 22]:\n    model.w.append(i)\ntrain(model)",
    "main guard": NET.format("42") + "if __name__ == '__main__':\n    model = Net()\n    train(model)",
    "factory": NET.format("42") + "def make(n): return Net()\nmodel = make(3)",
    "loop": "class Net(Module):\n    def __init__(self, w): self.w = w\n"
    "    def forward(self, x): return x + self.w\nfor w in [1, 42]:\n    model = Net(w)\n    train(model)",
    "made again": NET.format("42") + "model = dict()\nmodel = Net()\ntrain(model)",
}


@pytest.mark.parametrize("kind", INSTANCES)
def test_an_instance_is_made_and_not_trained(kind):
    steps = definitions([("a.py", HEAD + INSTANCES[kind])], "model")
    assert run(steps)["model"](1) == 43
    assert run([step for step in steps if step.required])["model"](1) == 43


def required(source: str, name: str = "Net") -> list[str]:
    return [ast.unparse(step.code) for step in definitions([("a.py", source)], name) if step.required]


def test_only_what_is_needed_is_required():
    source = (
        "import a, b\nfrom c import d, e\nimport torch.optim\nx = d()\ny = e()\nz = 3\n"
        "def helper(): return x\ndef plot(): return y\n"
        "class Net(a.Module):\n    def forward(self, v): return helper()\n    def fit(self): return b.c(y)\n"
    )
    assert required(source)[:-1] == ["import a", "from c import d", "x = d()", "def helper():\n    return x"]
    assert required("from a import *\nimport b\nclass Net(Module): pass")[0] == "from a import *"
    assert len(required("from a import *\nfrom b import Module\nclass Net(Module): pass")) == 2
    assert (
        required("import torch\nimport torch.fx.missing\nclass Net(torch.Module): pass")[0] == "import torch"
    )
    assert (
        len(required("import torch.backends\ntorch.backends.x = 1\nclass Net(torch.backends.M): pass")) == 2
    )


def test_steps_have_place_line_and_names():
    steps = definitions(
        [
            ("w.ipynb In [1]", "from __future__ import annotations\nimport a"),
            ("w.ipynb In [2]", "\nb, c = 1, 2"),
        ],
        "b",
    )
    assert [(s.place, s.line, s.defines, s.required) for s in steps] == [
        ("w.ipynb In [1]", 2, {"a"}, False),
        ("w.ipynb In [2]", 2, {"b", "c"}, True),
    ]
    assert [bool(s.flags) for s in steps] == [True, True]
    assert steps[1].compile().co_firstlineno in (1, 2)


def test_missing_packages_are_left_out_unless_required():
    pieces = [("a.py", "import x\nimport y.z as w\nfrom y import q\nclass Net(w.M): pass")]
    assert [ast.unparse(s.code) for s in definitions(pieces, "Net", ("y", "x"))][:-1] == ["import y.z as w"]


def test_cells_that_were_run_in_another_order_are_put_in_order():
    pieces = [("c 1", HEAD), ("c 2", NET.format("W")), ("c 3", "model = Net()"), ("c 4", "W = int('42')")]
    assert run(definitions(pieces, "model"))["model"](1) == 43
    pieces = [("c 1", "model = Net()"), ("c 2", NET.format(42)), ("c 3", HEAD)]
    assert run(definitions(pieces, "model"))["model"](1) == 43


def test_a_module_that_a_notebook_writes_is_its_own(monkeypatch):
    import sys
    import types

    written = "#%%writefile src/net_file.py\nW = 42\n" + HEAD + NET.format("W")
    for line, name in (
        ("from net_file import Net", "Net"),
        ("from net_file import Net as Mine", "Mine"),
        ("import src.net_file as nf\nMine = nf.Net", "Mine"),
        ("from net_file import *", "Net"),
    ):
        module = types.ModuleType("student")
        monkeypatch.setitem(sys.modules, "student", module)
        for step in definitions([("c 1", written), ("c 2", line)], name):
            exec(step.compile(), module.__dict__)
        assert module.__dict__[name]()(1) == 43


SNIPPETS = [
    *KINDS.values(),
    *INSTANCES.values(),
    HEAD,
    "def f(:",
    "\0",
    "x = " + "(" * 300,
    "x" + ".a" * 2000,
]
SNIPPETS += [
    "lambda: " * 500 + "0",
    "x = 0" + " + 1" * 3000,
    "not " * 3000 + "x",
    "if x:\n" * 1 + " y = [" * 150,
]
SNIPPETS += [
    "global Net",
    "class Net(Net): Net = Net",
    "Net += Net",
    "del Net",
    "for Net in Net: Net()",
    "Net: int",
]
SNIPPETS += [
    "with Net as Net.a, b as (c, [d]): pass",
    "try: pass\nfinally: Net = 1",
    "async def f(): await Net",
]
SNIPPETS += [
    "match Net:\n    case {'a': b, **Net}: pass\n    case [x, *y] | Net(z=x, w=y): pass",
    "[Net := 1 for x in y]",
]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12), st.booleans())
def test_any_mixture_of_sources_is_split_without_error(seed, count, cells):
    chooser = random.Random(seed)
    chosen = [chooser.choice(SNIPPETS) for _ in range(count)]
    pieces = [(str(i), text) for i, text in enumerate(chosen)] if cells else [("a.py", "\n".join(chosen))]
    for name in ("Net", "model", "nothing"):
        for step in definitions(pieces, name):
            assert isinstance(step.code, ast.Module)
            assert len(step.code.body) == 1


@settings(max_examples=150, deadline=None)
@given(st.text(), st.text())
def test_any_text_is_split_without_error(text, name):
    definitions([("a", text)], name)
