"""Random networks against torch's figures, random mutations of a source: always a result or a plain error."""

import ast
import contextlib
import copy
import importlib.util
import itertools
import json
import random
import time

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tests.support import ROOT
from tests.support.submissions import GOOD
from under20k.checking.findings import Finding
from under20k.checking.judgement import Judgement
from under20k.checking.profiles import load_profile
from under20k.checking.results import Result
from under20k.checking.rules.judge import judge_model
from under20k.checking.sandbox.judge_request import DEFECT
from under20k.checking.sandbox.sandbox import Sandbox, judge_all
from under20k.checking.source.target import parse
from under20k.errors import UserError
from under20k.report.check_formats import junit, markdown

LAYER = st.tuples(
    *(st.integers(1, 6), st.integers(1, 3), st.integers(1, 2), st.booleans(), st.booleans(), st.booleans()),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LAYER, min_size=1, max_size=5), st.booleans())
def test_random_networks(layers, linear):
    parts: list[nn.Module] = []
    channels, field, jump = 1, 1, 1
    side = 28
    normed = []  # by convolution of a map; one of 1×1 is a linear layer
    for outputs, kernel, stride, norm, drop, pool in layers:
        normed += [norm] * (side > 1)
        parts.append(nn.Conv2d(channels, outputs, kernel, stride, padding=kernel // 2))
        field, jump, channels = field + (kernel - 1) * jump, jump * stride, outputs
        side = (side + 2 * (kernel // 2) - kernel) // stride + 1
        if norm:
            parts.append(nn.BatchNorm2d(outputs))
        parts += [nn.ReLU()] + [nn.Dropout(0.2)] * drop
        last_field, last_jump = field, jump
        if pool and side > 1:
            parts.append(nn.MaxPool2d(2))
            field, jump, side = field + jump, jump * 2, side // 2
    parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten()] + [nn.Linear(channels, 10)] * linear
    model = nn.Sequential(*parts)
    result = judge_model(model, load_profile("brief"))
    passed = {f.rule: f.status == "passed" for f in result.findings}
    assert passed["batch_norm"] == all(normed[:-1] or normed)
    assert passed["dropout"] == any(layer[4] for layer in layers)
    assert passed["head"]
    assert passed["output"] == (linear or channels == 10)
    last = [row for row in result.layers if row.type == "conv2d"][-1]
    assert (last.receptive_field, last.jump) == (last_field, last_jump)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, 1, 28, 28))
    assert counter.get_total_flops() == 2 * result.macs
    json.dumps(result.to_json())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_mutated_sources_are_parsed_or_refused(tmp_path, seed, count):
    chooser = random.Random(seed)
    text = GOOD
    for _ in range(count):
        at, to = sorted(chooser.choices(range(len(text)), k=2))
        to = min(to, at + 8)
        text = text[:at] + chooser.choice(["", "(", ":", "\0", "é", "\n", "0", text[at:to] * 2]) + text[to:]
    path = tmp_path / "net.py"
    path.write_text(text, encoding="utf-8")
    try:
        target = parse(str(path))
    except UserError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        ((_, source),) = target.pieces
        with contextlib.suppress(SyntaxError):  # such as a name that is global and a parameter
            compile(source, "net.py", "exec", dont_inherit=True)


CORPUS_FILE = ROOT / "tests" / "support" / "corpus.py"
NUMBERS = (0, -1, 1, 2, 3, 7, 28, 0.5, 10**6, None, "x", (), (2, 3))


def corpus_sources() -> list[ast.Module]:
    """Each model of the corpus as a file of its own: what the corpus defines, and ``make``."""
    tree = ast.parse(CORPUS_FILE.read_text(encoding="utf-8"))
    *helpers, table = tree.body
    assert isinstance(table, ast.AnnAssign)
    assert isinstance(table.value, ast.Dict)
    return [
        ast.Module([*helpers, ast.Assign([ast.Name("make", ast.Store())], row.elts[0], lineno=1)], [])
        for row in table.value.values
    ]


def mutated(tree: ast.Module, chooser: random.Random) -> str:
    """The source with one to three of its numbers, names, attributes, arguments or characters changed."""
    tree = copy.deepcopy(tree)
    # Half of them in the model itself, which is the last statement.
    for _ in range(chooser.randint(1, 3)):
        nodes = list(ast.walk(tree if chooser.random() < 0.5 else tree.body[-1]))
        node = chooser.choice(nodes)
        if isinstance(node, ast.Constant):
            node.value = chooser.choice(NUMBERS)
        elif isinstance(node, ast.Name):
            node.id = chooser.choice([n.id for n in nodes if isinstance(n, ast.Name)])
        elif isinstance(node, ast.Attribute):
            node.attr = chooser.choice([n.attr for n in nodes if isinstance(n, ast.Attribute)])
        elif isinstance(node, ast.Call) and node.args:
            node.args = node.args[1:] if chooser.random() < 0.5 else [*node.args, node.args[0]]
        elif isinstance(node, ast.BinOp):
            node.op = chooser.choice([ast.Add(), ast.Mult(), ast.MatMult(), ast.Pow(), ast.FloorDiv()])
        elif hasattr(node, "body") and isinstance(node.body, list) and len(node.body) > 1:
            del node.body[chooser.randrange(len(node.body))]
    text = ast.unparse(ast.fix_missing_locations(tree))
    if chooser.random() < 0.1:
        at = chooser.randrange(len(text))
        text = text[:at] + chooser.choice(["(", ":", "\0", "é", "\n", "0"]) + text[at + 1 :]
    return text


@pytest.mark.slow
def test_mutations_of_the_corpus_are_judged_or_broken(tmp_path):
    """In the real sandbox, as many as half a minute allows; on two idle cores that is several hundred."""
    chooser, sources, judged = random.Random(0), corpus_sources(), 0
    future = "from __future__ import annotations\n"
    packages = "import torchvision\n" if importlib.util.find_spec("torchvision") else ""
    sandbox = Sandbox(load_profile("brief"), time_limit_s=20)
    texts = []
    for number in range(600):
        path = tmp_path / f"m{number}.py"
        text = mutated(chooser.choice(sources), chooser).replace(future, future + packages)
        path.write_text(text, encoding="utf-8", errors="replace")
        texts.append(f"{path}:make")
    deadline = time.monotonic() + 30
    results = judge_all(texts, sandbox, jobs=2)
    for _, result in itertools.takewhile(lambda _: time.monotonic() < deadline, results):
        judged += 1
        if result.error is not None:
            assert isinstance(result.error, str)
            assert DEFECT not in result.error
            assert "Traceback" not in result.error
        else:
            assert result.findings
            assert result.layers
    assert judged


@given(st.text(), st.text())
def test_any_text_makes_well_formed_pages(target, reason):
    from xml.etree import ElementTree

    finding = Finding(reason, reason, "failed", reason)
    results = [Result(target, Judgement(error=reason)), Result(target, Judgement(findings=(finding,)))]
    assert ElementTree.fromstring(junit(results).encode("utf-8", "replace"))[0].get("errors") == "1"
    assert markdown(results).startswith("### ")
