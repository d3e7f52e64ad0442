"""Describe a module for a training: its graph, proved to be the same, or why only PyTorch can train it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from under20k.checking.convert.convert import convert
from under20k.checking.convert.prove import prove
from under20k.checking.convert.reasons import NotConvertible
from under20k.checking.convert.tensors import ModuleTensors, tensors_of
from under20k.checking.findings import ModelError
from under20k.checking.graph.form import Form
from under20k.checking.graph.graph import Graph as Trace
from under20k.checking.graph.unchanged import unchanged
from under20k.checking.rules.dropout import judge_dropout_off
from under20k.checking.rules.head import receptive_field
from under20k.checking.rules.input_form import run
from under20k.checking.rules.output import SOFTMAXES, judge_output
from under20k.recipe.graph.graph import CLASSES, Graph
from under20k.recipe.own_model import OwnModel


@dataclass(frozen=True)
class Described:
    """A model, its tensors as they are now, and remarks on how it was run."""

    model: OwnModel
    tensors: ModuleTensors
    notes: tuple[str, ...]


def describe(module: nn.Module, name: str, arguments: Mapping[str, Any] | None = None) -> Described:
    """Run a module on a few images and describe it; it is left as it was.

    Args:
        module: takes images of 1×28×28 and returns ten numbers for each.
        name: of the class or function that made it.
        arguments: that it was made with.

    Raises:
        ModelError: it cannot be trained on MNIST.
        Exception: whatever the model raises.
    """
    with unchanged(module):
        runs = run(module)
    tensors = tensors_of(module)  # after a run, which gives lazy modules their weights
    trace = Trace(runs.evaluated.nodes)
    output = judge_output(runs.evaluated.output, runs.form.batch, trace)
    shape = runs.evaluated.output
    if shape[:1] != (runs.form.batch,) or math.prod(shape[1:]) != CLASSES:
        raise ModelError(f"returns {output.evidence}; expected (N, {CLASSES}): {output.fix}")
    if not tensors.trained:
        raise ModelError("has no parameters to train")
    graph, why = graph_of(module, runs.form)
    last = trace.nodes[-1].kind if trace.nodes else ""
    model = OwnModel(
        name=name,
        target="",
        sha256="",
        arguments=tuple((arguments or {}).items()),
        tensor_shapes=tuple(tensors.floats.items()),
        trained_names=tensors.trained,
        macs=sum(node.macs for node in trace.nodes),
        receptive_field=receptive_field(trace),
        graph=graph,
        why=why,
        ends_in=last if graph is None and last in SOFTMAXES else "",
        layout=runs.form.layout,
        aliases=tuple(tensors.aliases.items()),
        integers=tuple(tensors.integers.items()),
    )
    notes = list(runs.notes)
    if not output.passed:
        notes.append(f"{name} returns {output.evidence}, trained as (N, {CLASSES}): {output.fix}")
    if not (off := judge_dropout_off(runs.evaluated.nodes)).passed:
        notes.append(f"{name}: dropout stays on at evaluation; under20k evaluates without it: {off.fix}")
    return Described(model, tensors, tuple(notes))


def graph_of(module: nn.Module, form: Form) -> tuple[Graph | None, str]:
    """Return a module's graph, proved on a batch, or None and the reason why there is none."""
    try:
        graph = convert(module, form)
        prove(module, graph, form)
    except NotConvertible as error:
        return None, str(error)
    except Exception as error:  # the model runs, so PyTorch can train it
        text = " ".join(str(error).split())
        return None, f"{type(module).__name__} was not converted: {type(error).__name__}: {text:.200}"
    return graph, ""
