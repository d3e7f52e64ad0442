"""Random networks against torch's figures, random mutations of a source: always a result or a plain error."""

import json
import random

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from submissions import GOOD
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from under20k.checking.judge import judge_model
from under20k.checking.output import junit, markdown
from under20k.checking.profiles import load_profile
from under20k.checking.target import parse
from under20k.errors import UserError

LAYER = st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 2), st.booleans(), st.booleans())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LAYER, min_size=1, max_size=5), st.booleans())
def test_random_networks(layers, linear):
    parts: list[nn.Module] = []
    channels, field, jump, bare = 1, 1, 1, 0
    for index, (outputs, kernel, stride, norm, drop) in enumerate(layers):
        parts.append(nn.Conv2d(channels, outputs, kernel, stride, padding=kernel // 2))
        field, jump, channels = field + (kernel - 1) * jump, jump * stride, outputs
        if norm:
            parts.append(nn.BatchNorm2d(outputs))
        bare += not norm and index < len(layers) - 1
        parts += [nn.ReLU()] + [nn.Dropout(0.2)] * drop
    parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten()] + [nn.Linear(channels, 10)] * linear
    model = nn.Sequential(*parts)
    result = judge_model(model, load_profile("brief"))
    passed = {f["rule"]: f["status"] == "passed" for f in result["findings"]}
    assert passed["batch_norm"] == (len(layers) > 1 and not bare)
    assert passed["dropout"] == any(layer[4] for layer in layers)
    assert passed["head"]
    assert passed["output"] == (linear or channels == 10)
    last = [row for row in result["layers"] if row["type"] == "conv2d"][-1]
    assert (last["receptive_field"], last["jump"]) == (field, jump)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, 1, 28, 28))
    assert counter.get_total_flops() == 2 * result["macs"]
    json.dumps(result)


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
        compile(target.code, "net.py", "exec", dont_inherit=True)


@given(st.text(), st.text())
def test_any_text_makes_well_formed_pages(target, reason):
    from xml.etree import ElementTree

    results = [(target, {"error": reason})]
    assert ElementTree.fromstring(junit(results).encode("utf-8", "replace"))[0].get("errors") == "1"
    assert markdown(results).startswith("### ")
