"""Judge a model: run it, apply every rule to its computation, and list its layers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from under20k.checking.findings import Finding
from under20k.checking.graph.graph import Graph
from under20k.checking.graph.node import CONVOLUTIONS, Node
from under20k.checking.graph.unchanged import unchanged
from under20k.checking.judgement import Judgement, Layer
from under20k.checking.profiles import ASSIGNMENT, Profile, limit_text
from under20k.checking.rules.batch_norm import has_batch_norm, judge_batch_norm
from under20k.checking.rules.dropout import judge_dropout, judge_dropout_off
from under20k.checking.rules.head import judge_head, judge_receptive_field
from under20k.checking.rules.input_form import run
from under20k.checking.rules.output import judge_output, judge_softmax
from under20k.checking.rules.parameters import count_parameters, judge_parameters
from under20k.checking.rules.verdict import ACTIVATIONS, Verdict


def judge_model(
    model: nn.Module, profile: Profile, losses: Sequence[str] = (), epochs: int | None = None
) -> Judgement:
    """Judge a model by running it; it is left as it was.

    Args:
        model: any module that takes images of 1×28×28, or others that are then noted.
        profile: limits of the rules and their levels.
        losses: names of the loss functions in the model's source.
        epochs: how long it trains, if that is known.

    Raises:
        ModelError: the model runs but cannot be judged.
        Exception: whatever the model raises.
    """
    with unchanged(model):
        runs = run(model)
    graph, limits = Graph(runs.evaluated.nodes), profile.limits
    parameters = count_parameters(model, runs.evaluated)
    batch_norm, order = judge_batch_norm(graph, parameters)
    verdicts = {
        "parameters": judge_parameters(model, runs.evaluated, limits["parameters"]),
        "batch_norm": batch_norm,
        "batch_norm_order": order,
        "dropout": judge_dropout(model, runs.trained.nodes),
        "dropout_off_in_evaluation": judge_dropout_off(graph.nodes),
        "head": judge_head(graph),
        "receptive_field": judge_receptive_field(graph, limits["receptive_field"]),
        "softmax": judge_softmax(graph, losses),
        "output": judge_output(runs.evaluated.output, runs.form.batch, graph),
        "epochs": _epochs(epochs, limits["epochs"]),
    }
    return Judgement(
        profile=profile.name,
        parameters=parameters,
        macs=sum(node.macs for node in graph.nodes),
        findings=tuple(
            _finding(rule, verdict, profile.levels[rule])
            for rule, verdict in verdicts.items()
            if verdict is not None and profile.levels[rule] != "off"
        ),
        layers=tuple(
            _layer(node, graph) for node in graph.nodes if node.sees_image and node.kind != "__get__"
        ),
        notes=tuple(runs.notes),
    )


def epochs_finding(epochs: int, profile: Profile) -> Finding | None:
    """Return the finding on a number of epochs; None where a profile has no such rule."""
    verdict, level = _epochs(epochs, profile.limits["epochs"]), profile.levels["epochs"]
    return None if verdict is None or level == "off" else _finding("epochs", verdict, level)


def _finding(rule: str, verdict: Verdict, level: str) -> Finding:
    status = "passed" if verdict.passed else "failed" if level == "required" else "warning"
    fix = "" if verdict.passed else verdict.fix
    return Finding(rule, verdict.requirement, status, verdict.evidence, verdict.remark, fix)


def _epochs(epochs: int | None, limit: int) -> Verdict | None:
    if epochs is None:
        return None
    fix = f"train for {limit - 1} epochs at most" if epochs >= limit else ""
    words = limit_text("epochs", limit)
    evidence = str(epochs) if limit == ASSIGNMENT["epochs"] else f"{epochs}; {words} are allowed"
    return Verdict(epochs < limit, words, evidence, fix=fix)


def _layer(node: Node, graph: Graph) -> Layer:
    following = tuple(graph.following(node)) if node.weighted else ()
    return Layer(
        name=node.name,
        type=node.kind,
        shape=tuple(node.shape),
        parameters=node.parameters,
        macs=node.macs,
        receptive_field=node.receptive_field,
        jump=float(max(node.jumps)),
        batch_norm_after=has_batch_norm(node, graph) if node.kind in CONVOLUTIONS else None,
        activation=next((kind for kind in following if kind in ACTIVATIONS), None),
        followed_by=following,
        source=node.source,
    )
