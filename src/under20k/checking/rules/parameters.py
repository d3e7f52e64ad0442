"""Fewer parameters than the limit, wherever the model keeps its weights."""

from __future__ import annotations

from torch import nn

from under20k.checking.graph.trace import Trace, sized
from under20k.checking.profiles import ASSIGNMENT, limit_text
from under20k.checking.rules.verdict import Verdict, code


def count_parameters(model: nn.Module, evaluated: Trace) -> int:
    """Count every parameter, a shared one once, and the weights that are kept elsewhere."""
    return sum(parameter.numel() for parameter in sized(model)) + _outside(evaluated)


def judge_parameters(model: nn.Module, evaluated: Trace, limit: int) -> Verdict:
    """Judge whether the model has fewer parameters than ``limit``."""
    words = limit_text("parameters", limit)
    total, outside = count_parameters(model, evaluated), _outside(evaluated)
    own = {id(parameter) for parameter in sized(model)}
    every = sum(p.numel() for _, p in model.named_parameters(remove_duplicate=False) if id(p) in own)
    frozen = sum(p.numel() for p in sized(model) if not p.requires_grad)
    kinds = [(frozen, "frozen"), (outside, "weights that are no parameters")]
    parts = [f"{count:,} {kind}" for count, kind in kinds if count]
    parts = [f"{total - outside - frozen:,} trainable", *parts] if parts else ["all trainable"]
    text = f"{total:,}: {', '.join(parts)}; {total / limit:.1%} of the limit"
    text += f", {words}" if limit != ASSIGNMENT["parameters"] else ""
    shared = every - (total - outside)
    text += f"; {shared:,} shared, counted once" if shared else ""
    text += f"; {evaluated.unused:,} of them in no layer that is used" if evaluated.unused else ""
    fix = _fix(evaluated, total, limit) if total >= limit else ""
    return Verdict(total < limit, words, text, fix=fix)


def _outside(evaluated: Trace) -> int:
    return sum(node.outside for node in evaluated.nodes)


def _fix(evaluated: Trace, total: int, limit: int) -> str:
    """Name the layers with the most parameters, and how many have to go."""
    held: dict[str, int] = {}
    for node in evaluated.nodes:
        held[code(node)] = held.get(code(node), 0) + node.parameters + node.outside
    largest = sorted(((count, name) for name, count in held.items() if count), reverse=True)[:3]
    text = f"take away {total - limit + 1:,} or more"
    if largest:
        text += "; most are in " + "; ".join(f"{name}: {count:,}" for count, name in largest)
    return text + (f"; {evaluated.unused:,} are not used at all" if evaluated.unused else "")
