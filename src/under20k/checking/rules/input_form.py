"""The form of images that a model takes: 1×28×28, or another, which is noted.

A batch of two is enough for most; Ghost BatchNorm splits a batch into parts, and each part needs two.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import nn

from under20k.checking.findings import ModelError
from under20k.checking.graph.form import Form
from under20k.checking.graph.source_lines import attribute, failed_at, forward_line
from under20k.checking.graph.trace import Trace, of_output, trace
from under20k.checking.rules.verdict import code
from under20k.engine.module_mode import set_training
from under20k.recipe.architecture import IMAGE_SIDE

BATCHES = (2, 8, 16)
LAYOUTS = {
    "flat": (f"N×{IMAGE_SIDE**2}", "x = x.flatten(1)", "flat images"),
    "rows": (f"N×{IMAGE_SIDE}×{IMAGE_SIDE}", "x = x.squeeze(1)", f"N×{IMAGE_SIDE}×{IMAGE_SIDE}"),
    "channels last": (
        *(f"N×{IMAGE_SIDE}×{IMAGE_SIDE}×1", "x = x.permute(0, 2, 3, 1)"),
        "images with their channel last",
    ),
}
"""Other forms of a grey image: its shape, the code that makes it, and its name in a note."""
SIDES = (IMAGE_SIDE, 32, 64, 96, 128, 224, 16, 14)
CHANNELS = (1, 3)
OF_SHAPES = (RuntimeError, ValueError, IndexError, AssertionError)
"""Errors of a model that needs other images, or of its own defects."""


TRYING_S = 10.0
"""For trying other images; the time limit of a check is longer."""


@dataclass(frozen=True)
class Runs:
    """The two runs of a model, in training and in evaluation mode."""

    trained: Trace
    evaluated: Trace
    form: Form
    notes: list[str]


def run(model: nn.Module) -> Runs:
    """Run the model on images of 1×28×28, or on others that it takes.

    Raises ModelError if it takes only images that MNIST cannot be made into, and otherwise what it raises on
    two images of 1×28×28.
    """
    first: Exception | None = None
    deadline = time.monotonic() + TRYING_S
    for batch in BATCHES:
        try:
            runs = _runs(model, Form(batch))
        except NotImplementedError:
            raise
        except OF_SHAPES as error:
            first = first or error
            if time.monotonic() > deadline:
                raise first from None
            continue
        if first is None:
            return runs
        if runs.evaluated.output[:1] == (batch,):
            note = f"fails on a batch of 2 images ({_words(first)}); judged on a batch of {batch}"
            return Runs(runs.trained, runs.evaluated, runs.form, [note, *runs.notes])
    assert first is not None
    for layout, (shape, change, judged_on) in LAYOUTS.items():
        try:
            runs = _runs(model, Form(layout=layout))
        except (*OF_SHAPES, ModelError):
            continue
        if runs.evaluated.output[:1] == (2,):
            where = forward_line(model)
            where = f" at the start of forward, {where}," if where else " at the start of forward"
            if layout == "flat":
                change += " (or nn.Flatten())"
            note = f"takes {shape}, so judged on {judged_on}; {change}{where} makes it take 1×28×28"
            return Runs(runs.trained, runs.evaluated, runs.form, [note, *runs.notes])
    if wanted := _wanted(model, first, deadline):
        raise ModelError(wanted) from first
    raise first


def form_taken(model: nn.Module) -> Form:
    """Return the form in which the model takes MNIST's images, maps if it takes none."""
    forms = [Form(layout=layout) for layout in ("maps", *LAYOUTS)]
    return next((form for form in forms if _takes(model, form)), Form())


def _runs(model: nn.Module, form: Form) -> Runs:
    trained, evaluated = trace(model, True, form), trace(model, False, form)
    return Runs(trained, evaluated, form, [*filter(None, [evaluated.note or trained.note])])


def _words(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) < 120 else text[:119] + "…"


def _wanted(model: nn.Module, error: Exception, deadline: float) -> str:
    """Return which images the model takes and what to change for MNIST's; empty if none are found."""
    forms = takewhile(lambda _: time.monotonic() < deadline, _other_forms(model))
    form = next((form for form in forms if _takes(model, form)), None)
    if form is None:
        return ""
    text = f"takes images of {form.channels}×{form.side}×{form.side}, not 1×{IMAGE_SIDE}×{IMAGE_SIDE}"
    changes = []
    if form.channels != 1:
        changes.append("make its first layer take 1 channel")
        with contextlib.suppress(*OF_SHAPES, ModelError):
            layers = [node for node in trace(model, False, form).nodes if node.is_layer]
            if layers and layers[0].kind == "conv2d":
                changes[-1] = f"make {code(layers[0])}, nn.Conv2d(1, …)"
    if form.side != IMAGE_SIDE:
        changes.append(_for_the_side(model, form.side, error, form.channels == 1))
    return f"{text}: {'; '.join(changes)}"


def _other_forms(model: nn.Module) -> list[Form]:
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    channels = dict.fromkeys([*CHANNELS, *(layer.in_channels for layer in layers[:1])])
    return [Form(2, count, side) for side in SIDES for count in channels if (count, side) != (1, IMAGE_SIDE)]


def _takes(model: nn.Module, form: Form) -> bool:
    set_training(model, False)
    try:
        with torch.no_grad():
            output, _ = of_output(model(form.images()), form.batch)
    except (*OF_SHAPES, ModelError):
        return False
    return tuple(output.shape[:1]) == (form.batch,)


def _for_the_side(model: nn.Module, side: int, error: Exception, tell_layer: bool) -> str:
    """Return how to go from 28 pixels to ``side``, and which layer needs it, if the error tells."""
    where = forward_line(model)
    at = f", {where}" if where else ""
    if side > IMAGE_SIDE and (side - IMAGE_SIDE) % 2 == 0 and side <= 40:
        pad = (side - IMAGE_SIDE) // 2
        change = f"add x = F.pad(x, ({pad}, {pad}, {pad}, {pad})) at the start of forward{at}"
    else:
        change = f"resize the images, x = F.interpolate(x, {side}), at the start of forward{at}"
    place, module, taken = failed_at(error)
    if tell_layer and isinstance(module, nn.Linear) and isinstance(taken, torch.Tensor):
        name = next((name for name, m in model.named_modules() if m is module), "")
        count = taken.shape[-1]
        if name:
            change += (
                f", or make {attribute(name)}, {place}, nn.Linear({count:,}, {module.out_features}):"
                f" of 28×28 it gets {count:,} numbers, not {module.in_features:,}"
            ).replace(f"({count:,}", f"({count}")
    return change
