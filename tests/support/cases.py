"""Small models, one for each kind of trouble that real files give, and what is right for each.

Packages called ``absent_…`` are not installed anywhere.
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

IMPORTS = """\
import torch
import torch.nn as nn
import torch.nn.functional as F
"""
FEATURES = """\
self.f = nn.Sequential(
    nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.1),
    nn.Conv2d(6, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2))
"""
# (12, 7, 7); 6·9 + 6, 12, 12·54 + 12, 24. It sees 3, 4 after the pool, 8, 10 after the pool.
IN_FEATURES = 60 + 12 + 660 + 24
FC = "self.fc = nn.Linear(588, 10)"
FORWARD = "return self.fc(self.f(x).flatten(1))"
PARAMETERS = IN_FEATURES + 5890


def net(init: str = FEATURES + FC, forward: str = FORWARD, **more: str) -> str:
    """A class; ``name``, ``base`` and the constructor's ``arguments`` can be given."""
    arguments = f", {more['arguments']}" if "arguments" in more else ""
    return (
        f"class {more.get('name', 'Net')}({more.get('base', 'nn.Module')}):\n"
        f"    def __init__(self{arguments}):\n        super().__init__()\n"
        f"{textwrap.indent(init, ' ' * 8)}\n\n"
        f"    def forward(self, x):\n{textwrap.indent(forward, ' ' * 8)}\n"
    )


def file(*parts: str) -> str:
    """A source: torch's imports, and the parts."""
    return "\n\n".join((IMPORTS, *parts))


def notebook(*cells: str, outputs: dict[int, str] | None = None) -> str:
    """Cells numbered as they were executed, from 1; what some of them printed, by that number."""
    found = []
    for number, cell in enumerate(cells, 1):
        printed = (outputs or {}).get(number, "")
        stored = (
            [{"output_type": "stream", "name": "stdout", "text": printed.splitlines(True)}] if printed else []
        )
        found.append(
            {
                "cell_type": "code",
                "execution_count": number,
                "metadata": {},
                "outputs": stored,
                "source": cell.splitlines(True),
            }
        )
    return json.dumps({"cells": found, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@dataclass(frozen=True)
class Case:
    """A file, and what is right for it."""

    name: str
    """Of the file."""
    text: str
    parameters: int | None = None
    """Of a model that is judged; else it is not, and is told so."""
    missed: frozenset[str] = frozenset()
    """The required rules that it misses."""
    advised: frozenset[str] = frozenset()
    """Advised rules that it misses, for certain."""
    model: str = "Net"
    others: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """Words among the notes; a ``@`` word stands for the place of the line that holds it."""
    error: tuple[str, ...] = ()
    """Words of the error, likewise."""
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Words in what is said of a rule."""
    no_model: bool = False
    beside: dict[str, str] = field(default_factory=dict)
    """Other files of its folder, by name."""

    def write(self, folder: Path) -> Path:
        """The file, in a folder of its own."""
        (folder / self.name.replace(".", "_")).mkdir(parents=True)
        for name, text in {**self.beside, self.name: self.text}.items():
            path = folder / self.name.replace(".", "_") / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return path

    def place(self, word: str) -> str:
        """``@word`` as the place of its line, other words as they are."""
        if not word.startswith("@"):
            return word
        (line,) = [n for n, text in enumerate(self.text.splitlines(), 1) if word[1:] in text]
        return f"{self.name}:{line}"


def misses(*rules: str) -> frozenset[str]:
    """Rules by name."""
    return frozenset(rules)


GHOST = '''
class GhostNorm(nn.Module):
    """BatchNorm over each of several parts of the batch, in training."""

    def __init__(self, channels, splits):
        super().__init__()
        self.splits = splits
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(splits * channels))
        self.register_buffer("variance", torch.ones(splits * channels))

    def forward(self, x):
        n, c, h, w = x.shape
        if not self.training:
            mean, variance = self.mean.view(-1, c).mean(0), self.variance.view(-1, c).mean(0)
            return F.batch_norm(x, mean, variance, self.weight, self.bias)
        parts = x.view(-1, self.splits * c, h, w)
        weight, bias = self.weight.repeat(self.splits), self.bias.repeat(self.splits)
        return F.batch_norm(parts, self.mean, self.variance, weight, bias, True).view(n, c, h, w)
'''


def ghost(splits: int) -> str:
    layers = f"""\
self.a, self.n = nn.Conv2d(1, 6, 3, padding=1), GhostNorm(6, {splits})
self.b, self.drop = nn.Conv2d(6, 6, 3, padding=1), nn.Dropout(0.1)
self.fc = nn.Linear(1176, 10)"""
    steps = "x = F.max_pool2d(F.relu(self.n(self.a(x))), 2)\nreturn self.fc(self.drop(self.b(x)).flatten(1))"
    return file(GHOST, net(layers, steps))


GHOSTS = 60 + 12 + 330 + 11770


def normed(init: str, steps: str) -> str:
    """Two convolutions, what is done to the first between them being the case."""
    layers = f"""\
self.a, self.n = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
self.b, self.drop = nn.Conv2d(6, 6, 3, padding=1), nn.Dropout(0.1)
self.fc = nn.Linear(1176, 10)
{init}"""
    return file(net(layers, f"{steps}\nreturn self.fc(self.drop(self.b(x)).flatten(1))"))


def hidden(buffer: str, forward: str, outputs: int = 40) -> str:
    """Weights in a buffer."""
    layers = f"{FEATURES}self.fc = nn.Linear({outputs}, 10)\nself.register_buffer('w', torch.randn({buffer}))"
    return file(net(layers, f"x = self.f(x)\nreturn self.fc({forward})"))


def in_hidden(weights: int, outputs: int = 40) -> int:
    return IN_FEATURES + weights + 10 * outputs + 10


MLP = net("self.a, self.b = nn.Linear(784, 20), nn.Linear(20, 10)", "return self.b(F.relu(self.a(x)))")
SMOOTH = net("self.eps = 0.1", "pass", name="Smooth").replace("forward(self, x)", "forward(self, x, target)")
TRAINING = "model = Net()\nfor epoch in range(1):\n    model(torch.randn(4, 1, 28, 28)).sum().backward()\n"
GLOBALS = """\
from functools import partial

norm = partial(nn.BatchNorm2d, momentum=0.3)
if torch.cuda.is_available():
    device = torch.device("cuda")
else:
    device = torch.device("cpu")
"""
ON_GLOBALS = net(
    FEATURES.replace("nn.BatchNorm2d", "norm") + FC, "return self.fc(self.f(x.to(device)).flatten(1))"
)
FACTORS = """\
h = self.f(x)
gate = {gate}
return self.fc((h * gate).mean((2, 3)))"""
SE = "self.g1, self.g2 = {one}(12, 3{k}), {one}(3, 12{k})\nself.fc = nn.Linear(12, 10)"
IN_SE = IN_FEATURES + 39 + 48 + 130
NO_HEAD = """\
x = self.c(self.f(x))
x = x * torch.sigmoid(x.mean((2, 3), keepdim=True))
return x.amax((2, 3))"""
PARTIAL = """\
self.f = nn.Sequential(
    nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.1),
    nn.Conv2d(6, 12, 8), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 10, 1), nn.AvgPool2d(5))"""
ATTENTION = """\
self.f[4] = nn.Identity()
self.a = nn.MultiheadAttention(12, 2, dropout=0.2, batch_first=True)
self.fc = nn.Linear(12, 10)"""
SEPARABLE = """\
self.a, self.an = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
self.dw, self.pw = nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.Conv2d(6, 12, 1)
self.pn, self.drop = nn.BatchNorm2d(12), nn.Dropout(0.1)
self.c, self.fc = nn.Conv2d(12, 12, 3, padding=1), nn.Linear(12, 10)"""
SEPARATELY = """\
x = F.max_pool2d(F.relu(self.an(self.a(x))), 2)
x = F.max_pool2d(F.relu(self.pn(self.pw(self.dw(x)))), 2)
return self.fc(self.drop(self.c(x).mean((2, 3))))"""
CONV1 = f"{FEATURES}self.c = nn.Conv2d(12, 10, 1)"

CASES = (
    Case("plain.py", file(net()), PARAMETERS),
    # what is missing beside the model
    Case("local.py", file("import absent_summary", net(name="LocalNet")), PARAMETERS, model="LocalNet"),
    Case(
        "other_class.py",
        file("import absent_lightning as L", "class Digits(L.LightningDataModule):\n    pass", net()),
        PARAMETERS,
    ),
    Case(
        "annotated.ipynb",
        notebook(
            IMPORTS,
            "import absent_metrics as m\nclass Meter:\n    x: m.A\n    def f(self, y: m.B): ...",
            net(),
        ),
        PARAMETERS,
    ),
    Case(
        "decorated.py",
        file("import absent_hydra as hydra", "@hydra.main(config_name='c')\ndef main(cfg):\n    pass", net()),
        PARAMETERS,
    ),
    Case("from_missing.py", file("from absent_data.mnist import Digits, load", net()), PARAMETERS),
    Case(
        "missing_in_helper.py",
        file("from helper import plot", net()),
        PARAMETERS,
        beside={"helper.py": "import absent_plots\n\ndef plot(x):\n    absent_plots.plot(x)\n"},
    ),
    # BatchNorm
    Case(
        "conv_relu_norm.py",
        normed("", "x = F.max_pool2d(self.n(F.relu(self.a(x))), 2)"),
        GHOSTS,
        advised=misses("batch_norm_order"),
        words={"batch_norm_order": ("relu",)},
    ),
    Case("conv_pool_norm.py", normed("", "x = F.relu(self.n(F.max_pool2d(self.a(x), 2)))"), GHOSTS),
    Case(
        "conv_drop_norm.py", normed("", "x = F.max_pool2d(F.relu(self.n(self.drop(self.a(x)))), 2)"), GHOSTS
    ),
    Case(
        "no_norm.py",
        normed("", "x = F.max_pool2d(F.relu(self.a(x)), 2)"),
        GHOSTS,
        misses("batch_norm"),
        words={"batch_norm": ("nn.BatchNorm2d(6)", "@F.max_pool2d(F.relu(self.a(x)), 2)")},
    ),
    Case(
        "separable.py",
        file(net(SEPARABLE, SEPARATELY)),
        60 + 12 + 60 + 84 + 24 + 1308 + 130,
        misses("batch_norm"),
        words={"batch_norm": ("depthwise",)},
    ),
    Case("ghost2.py", ghost(2), GHOSTS),
    Case("ghost4.py", ghost(4), GHOSTS),
    # heads and gates
    Case(
        "two_conv1_after_pool.py",
        file(
            net(
                f"{FEATURES}self.a, self.b = nn.Conv2d(12, 14, 1), nn.Conv2d(14, 10, 1)",
                "x = F.adaptive_avg_pool2d(self.f(x), 1)\nreturn self.b(F.relu(self.a(x))).flatten(1)",
            )
        ),
        IN_FEATURES + 182 + 150,
    ),
    Case(
        "two_linear_after_pool.py",
        file(
            net(
                f"{FEATURES}self.a, self.b = nn.Linear(12, 14), nn.Linear(14, 10)",
                "return self.b(F.relu(self.a(self.f(x).mean((2, 3)))))",
            )
        ),
        IN_FEATURES + 182 + 150,
    ),
    Case(
        "se_conv1.py",
        file(
            net(
                FEATURES + SE.format(one="nn.Conv2d", k=", 1"),
                FACTORS.format(gate="torch.sigmoid(self.g2(F.relu(self.g1(F.adaptive_avg_pool2d(h, 1)))))"),
            )
        ),
        IN_SE,
    ),
    Case(
        "se_linear.py",
        file(
            net(
                FEATURES + SE.format(one="nn.Linear", k=""),
                FACTORS.format(
                    gate="torch.sigmoid(self.g2(F.relu(self.g1(h.mean((2, 3))))))[:, :, None, None]"
                ),
            )
        ),
        IN_SE,
    ),
    Case(
        "conv1_then_pool.py",
        file(net(CONV1, "return F.adaptive_avg_pool2d(self.c(self.f(x)), 1).flatten(1)")),
        IN_FEATURES + 130,
        advised=misses("receptive_field"),
        words={"receptive_field": ("10×10", "before the global pooling")},
    ),
    Case(
        "pool_then_conv1.py",
        file(net(CONV1, "return self.c(F.adaptive_avg_pool2d(self.f(x), 1)).flatten(1)")),
        IN_FEATURES + 130,
        advised=misses("receptive_field"),
        words={"receptive_field": ("10×10", "before the global pooling")},
    ),
    Case(
        "partial_pool.py",
        file(net(PARTIAL, "return self.f(x).flatten(1)")),
        60 + 12 + 4620 + 24 + 130,
        misses("head"),
        words={"head": ("5×5", "6×6")},
    ),
    Case(
        "gate_no_head.py",
        file(net(f"{FEATURES}self.c = nn.Conv2d(12, 10, 7, padding=3)", NO_HEAD)),
        IN_FEATURES + 5890,
        misses("head"),
    ),
    Case(
        "attention_dropout.py",
        file(
            net(
                FEATURES + ATTENTION,
                "t = self.f(x).flatten(2).transpose(1, 2)\nreturn self.fc(self.a(t, t, t)[0].mean(1))",
            )
        ),
        IN_FEATURES + 4 * 12 * 13 + 130,
    ),
    # weights that are no parameters
    Case(
        "bilinear.py",
        hidden("40, 588, 7", "F.bilinear(x.flatten(1), x.flatten(1)[:, :7], self.w)"),
        in_hidden(164_640),
        misses("parameters"),
    ),
    Case(
        "conv3d.py",
        hidden("40, 1, 12, 7, 7", "F.conv3d(x[:, None], self.w).flatten(1)"),
        in_hidden(23_520),
        misses("parameters"),
    ),
    Case(
        "conv1d.py",
        hidden("40, 12, 49", "F.conv1d(x.flatten(2), self.w).flatten(1)"),
        in_hidden(23_520),
        misses("parameters"),
    ),
    Case(
        "inner.py",
        hidden("40, 588", "torch.inner(x.flatten(1), self.w)"),
        in_hidden(23_520),
        misses("parameters"),
    ),
    Case(
        "product_sum.py",
        hidden("40, 588", "(x.flatten(1)[:, None] * self.w).sum(-1)"),
        in_hidden(23_520),
        misses("parameters"),
    ),
    Case(
        "tensordot.py",
        hidden("588, 40", "torch.tensordot(x.flatten(1), self.w, 1)"),
        in_hidden(23_520),
        misses("parameters"),
    ),
    Case(
        "einsum.py",
        hidden("40, 588", "torch.einsum('ni,oi->no', x.flatten(1), self.w)"),
        in_hidden(23_520),
        misses("parameters"),
    ),
    # which model
    Case("loss_last.py", file(net(), SMOOTH, "def train():\n    return Net(), Smooth()"), PARAMETERS),
    Case(
        "two_nets.ipynb",
        notebook(IMPORTS, net(), net(FEATURES.replace("0.1", "0.0") + FC, name="Net2"), "net = Net()"),
        PARAMETERS,
        others=("Net2",),
    ),
    Case(
        "two_nets_none_made.ipynb",
        notebook(IMPORTS, net(), net(FEATURES.replace("0.1", "0.0") + FC, name="Net2")),
        PARAMETERS,
        misses("dropout"),
        model="Net2",
        others=("Net",),
    ),
    Case("helpers.py", "def accuracy(a, b):\n    return (a == b).mean()\n", no_model=True),
    Case(
        "train.py",
        file(
            "def train(model):\n    model.train()",
            "if __name__ == '__main__':\n    train(nn.Linear(784, 10))",
        ),
        no_model=True,
    ),
    # arguments, packages, GPUs
    Case(
        "needs_argument.py",
        file(
            net(f"{FEATURES}self.fc = nn.Linear(588, classes)", arguments="classes"),
            "def main():\n    return Net(10)",
        ),
        error=("needs classes", "--arg classes=", "10"),
    ),
    Case(
        "needs_package.py",
        file("import absent_lightning as L", net(base="L.LightningModule")),
        error=("needs the package absent_lightning",),
    ),
    Case(
        "needs_package_of_helper.py",
        file("from base import Base", net(base="Base")),
        error=("needs the package absent_lightning",),
        beside={"base.py": "from absent_lightning import LightningModule as Base\n"},
    ),
    Case("asks_for_gpu.py", file(net(f"{FEATURES}{FC}.cuda()")), PARAMETERS, notes=("GPU", "@.cuda()")),
    # of what cannot run whole, the definitions
    Case("global_by_call.py", file("import absent_thing", GLOBALS, ON_GLOBALS), PARAMETERS),
    Case(
        "global_by_call.ipynb",
        notebook(IMPORTS, GLOBALS, ON_GLOBALS, "model = Net().to(device)"),
        PARAMETERS,
    ),
    Case(
        "trains_on_import.py",
        file(
            net(),
            f"import os\nos.makedirs('checkpoints', exist_ok=True)\n{TRAINING}",
            "torch.save(model, 'm.pt')",
        ),
        PARAMETERS,
        notes=("@os.makedirs",),
    ),
    Case("exits.py", file(net(), "import sys\nsys.exit(3)"), PARAMETERS, notes=("@sys.exit",)),
    # notebooks and exports
    Case("export.py", IMPORTS + "!pip install torchsummary\n%matplotlib inline\n" + net(), PARAMETERS),
    Case(
        "future_late.ipynb",
        notebook("import torch\nfrom __future__ import print_function", file(net())),
        PARAMETERS,
    ),
    Case(
        "future_pip.ipynb",
        notebook("!pip install x\nfrom __future__ import division\nimport torch", file(net())),
        PARAMETERS,
    ),
    Case("future_late.py", "import os\nfrom __future__ import print_function\n" + file(net()), PARAMETERS),
    Case(
        "syntax_error.ipynb",
        notebook(IMPORTS, net(), "for epoch in range(15)\n    pass", "model = Net()"),
        PARAMETERS,
        notes=("In [3]",),
    ),
    Case(
        "syntax_error_in_model.ipynb",
        notebook(IMPORTS, net().replace("nn.ReLU(), ", "nn.ReLU() "), "model = Net()"),
        error=("In [2]",),
    ),
    Case(
        "imports_local.ipynb",
        notebook(IMPORTS, "from localnet import LocalNet", "model = LocalNet()"),
        PARAMETERS,
        model="LocalNet",
        beside={"localnet.py": file("import absent_summary", net(name="LocalNet"))},
    ),
    Case("notebook_called.py", notebook(IMPORTS, net(), "model = Net()"), PARAMETERS),
    Case("file_called.ipynb", file(net()), PARAMETERS),
    # what the model takes and gives
    Case("takes_flat.py", file(MLP), 15_910, misses("batch_norm", "dropout"), notes=("784", "flat")),
    Case(
        "color.py",
        file(net("self.c = nn.Conv2d(3, 10, 28)", "return self.c(x).flatten(1)")),
        error=("3×28×28",),
    ),
    Case(
        "size32.py",
        file(
            net(
                "self.c, self.fc = nn.Conv2d(1, 6, 5), nn.Linear(6 * 14 * 14, 10)",
                "return self.fc(F.max_pool2d(self.c(x), 2).flatten(1))",
            )
        ),
        error=("32×32",),
    ),
    Case(
        "returns_tuple.py",
        file(net(forward="h = self.f(x).flatten(1)\nreturn h, self.fc(h)")),
        PARAMETERS,
        notes=("tuple",),
    ),
    # claims
    Case("claims.py", file("EPOCHS = 15", net()), PARAMETERS),
    Case(
        "claims.ipynb",
        notebook(IMPORTS, net(), "print('done')", outputs={3: "Accuracy: 9941/10000 (99.41%)\n"}),
        PARAMETERS,
    ),
)
SAME = (
    ("two_conv1_after_pool.py", "two_linear_after_pool.py"),
    ("se_conv1.py", "se_linear.py"),
    ("conv1_then_pool.py", "pool_then_conv1.py"),
)
"""Written in two ways, of one verdict."""
