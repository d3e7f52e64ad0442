"""Convert a PyTorch model to a graph, from the calls that a run of it makes."""

from __future__ import annotations

import warnings
from dataclasses import replace

from torch import nn

from under20k.checking.convert.conversion import Conversion, operands
from under20k.checking.convert.randomness import refuse_random, refused_random, without_other_generators
from under20k.checking.convert.reasons import NotConvertible, used
from under20k.checking.convert.skeleton import skeleton
from under20k.checking.convert.table import CONVERSIONS
from under20k.checking.graph.form import Form
from under20k.checking.graph.node import RANDOM, Call, Node
from under20k.checking.graph.trace import Trace, trace
from under20k.checking.graph.unchanged import unchanged
from under20k.checking.rules.input_form import run
from under20k.errors import InvalidValue
from under20k.recipe.graph.graph import Graph

TIMES = 7
"""As many images as the model needs are run this many times over: few layers have 14 channels or features."""


def convert(module: nn.Module, form: Form | None = None) -> Graph:
    """Return what a model computes as a graph. The model is left as it was.

    Args:
        module: takes images and returns ten numbers for each.
        form: of the images; found by trying if None.

    Raises:
        NotConvertible: it does something that graphs do not have.
        ModelError: it runs, but its output does not follow from the image, or does not have ten numbers.
        Exception: whatever the model raises.
    """
    with unchanged(module), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about the model's calls
        form = form or run(module).form
        form = replace(form, batch=TIMES * form.batch)
        with without_other_generators(module):
            trained, evaluated = trace(module, True, form), trace(module, False, form)
        graphs = [_graph(module, form, trained, True), _graph(module, form, evaluated, False)]
    if skeleton(graphs[0]) != skeleton(graphs[1]):
        raise NotConvertible(f"{type(module).__name__}.forward computes something else at evaluation")
    return graphs[0]


def _follow(conversion: Conversion, node: Node, call: Call) -> None:
    for operand in operands((call.args, call.kwargs)):
        if operand.node is not None and not operand.node.sees_image:
            refuse_random(operand.node)
    convert = CONVERSIONS.get(node.kind)
    if convert is None:
        raise refused_random(node) if node.kind in RANDOM else used(node)
    conversion.values[id(node)] = convert(conversion, node)


def _graph(module: nn.Module, form: Form, run: Trace, training: bool) -> Graph:
    if run.reads:
        function, source = run.reads[0]
        what = "branches on values" if function in ("__bool__", "is_nonzero") else "reads values"
        at = f" ({source})" if source else ""
        raise NotConvertible(f"{type(module).__name__}.forward {what} of its tensors{at}")
    if run.writes:
        name, source = run.writes[0]
        raise NotConvertible(
            f"{type(module).__name__}.forward changes its own {name}" + (f" ({source})" if source else "")
        )
    conversion = Conversion(module, form, training)
    for node in run.nodes:
        if node.sees_image and node.call is not None:
            _follow(conversion, node, node.call)
    assert run.last is not None
    nodes = conversion.finished(run.last)
    try:
        return Graph(tuple(nodes))
    except InvalidValue as error:
        raise NotConvertible(f"{type(module).__name__} does not fit a graph: {error}") from error
