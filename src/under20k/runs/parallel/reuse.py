"""Decide which runs are reused instead of retrained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from under20k.errors import UserError
from under20k.files import is_present
from under20k.runs.parallel.task import Task
from under20k.runs.provenance import session_differences
from under20k.runs.run import Run, lock

Differing = Literal["reuse", "refuse", "replace"]
"""Treatment of a run that another engine or other numerics trained, in part or whole."""


def finished(task: Task) -> Run | None:
    """Return the finished run of a task, if any.

    Raises UserError if another run occupies its folder, or it is damaged.
    """
    if not is_present(task.path / "model.safetensors"):
        return None
    run = Run.open(task.path)
    if run.recipe != task.recipe or run.seed != task.seed:
        ours, theirs = task.recipe.own, run.recipe.own
        other = f"run of another recipe or seed{f' ({theirs.difference(ours)})' if ours and theirs else ''}"
        raise UserError(f"{task.path} holds a {other}; move it, or name another folder with --runs-dir")
    run.metrics()
    run.weights()
    return run


def fitting(task: Task, expected: Mapping[str, Any], differing: Differing) -> Task:
    """Mark the task for retraining if its run folder was produced by a different engine or code version.

    Args:
        task: what is to be trained.
        expected: the identity of a training by the task (``provenance.local_identity``).
        differing: what to do with such a run.

    Raises:
        UserError: for such a run, or a damaged one, unless it is replaced.
    """
    if differing == "reuse":
        return replace(task, existing="resume")
    try:
        if not is_present(task.path / "environment.json"):
            return replace(task, existing="resume")
        run = Run.open(task.path)
        if run.finished:
            run.metrics()
            run.weights()
    except UserError:  # damaged
        if differing == "replace":
            return replace(task, existing="replace")
        raise
    found = differences(run, expected)
    if found and differing == "refuse":
        raise UserError(
            f"{task.path} was trained differently ({found}); --overwrite retrains it, --runs-dir "
            "names another folder"
        )
    return replace(task, existing="replace" if found else "resume")


def differences(run: Run, expected: Mapping[str, Any]) -> str:
    """Return how the run's recorded environment differs from the expected one, such as
    ``precision bf16, now fp32``; empty if it does not.
    """
    return session_differences(run.sessions, expected)


def trained_elsewhere(task: Task, expected: Mapping[str, Any], differing: Differing) -> Run | None:
    """Return the finished run that another process has left in a task's folder; None where the task is still
    to be trained.

    Raises InUse while it trains, and UserError where the run is of another recipe, or trained differently and
    ``differing`` refuses it.
    """
    with lock(task.path):
        run = finished(task)
        if run and differing != "reuse" and (found := differences(run, expected)):
            if task.existing == "replace":
                return None
            raise UserError(f"{task.path} was trained differently by another process meanwhile ({found})")
        return run
