"""Train a recipe with a seed, into a run folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack, get_args

from under20k.data import Mnist, load
from under20k.engine.base import NUMERICS, Compute, Engine, Teacher
from under20k.engine.machine import cores
from under20k.engine.select import check_training_memory, choose, create, fitting, torch_device
from under20k.errors import UserError
from under20k.files import is_present
from under20k.recipe.changes import RecipeChanges, lists_changes
from under20k.recipe.fields import choice, instance
from under20k.recipe.recipe import Recipe
from under20k.recipe.seeds import check_seed
from under20k.recipe.weights import Tensors
from under20k.runs import own_start
from under20k.runs.distillation import is_fit, note, remove_teachers, training_time_s
from under20k.runs.events import EpochDone, Event, Finished, Note, OnEvent, Started, Step, ignore
from under20k.runs.loop import train_epochs
from under20k.runs.metrics import EpochMetrics
from under20k.runs.names import check_name
from under20k.runs.own_start import OwnStart, OwnTraining, training_of
from under20k.runs.places import Places, check_compute_and_places, check_settings
from under20k.runs.provenance import (
    PRECISION,
    describe_environment,
    identity,
    local_identity,
    session_differences,
)
from under20k.runs.run import TEACHERS, Existing, Run, lock, run_path
from under20k.runs.snapshots import has_snapshots, snapshot_epochs


@lists_changes
def train(
    recipe: Recipe | str | OwnTraining,
    seed: int = 0,
    *,
    compute: Compute = Compute(),
    places: Places = Places(),
    name: str | None = None,
    existing: Existing = "resume",
    on_event: OnEvent = ignore,
    command_line: str | None = None,
    snapshots: bool = False,
    **changes: Unpack[RecipeChanges],
) -> Run:
    """Train a recipe, its teachers first, and return the run; an exception leaves one that can be resumed.

    Args:
        recipe: a Recipe, the name of one, or the training of a user's own model.
        seed: determines all random choices: initial weights, shuffling, augmentation, dropout.
        compute: engine, device, precision and threads; by default all cores.
        places: ``runs`` will hold the run folder; ``data`` holds MNIST.
        name: of the run folder; by default the recipe's name and the seed.
        existing: what to do with a run that is there. ``resume`` it with the engine, precision and threads of
            before, or return it if it is finished; ``replace`` it; ``refuse`` it.
        on_event: called with every event of ``runs.events``.
        command_line: recorded in the run; by default this process's own.
        snapshots: keep the weights of every epoch in the run folder; a resumed run that has some goes on.
        **changes: settings that replace the recipe's own.

    Raises:
        UserError: for any invalid argument or damaged file, or a run of another recipe or seed there.
    """
    check_settings(changes)
    training = training_of("recipe", recipe).with_changes(**changes)
    recipe = training.recipe
    check_compute_and_places(compute, places)
    choice("existing", existing, get_args(Existing))
    path, compute = _checked_path(recipe, seed, places, name), fitting(recipe, compute)
    start, weights = _start(training, seed, path)
    if existing == "resume":
        if is_present(path / "model.safetensors"):
            with lock(path):
                return _reused(Run.open(path), recipe, seed, start, compute, on_event, snapshots)
        compute = resumed_compute(path, compute)
    engine = create(recipe, seed, compute, weights=weights, source=start.source if start else None)
    check_training_memory(engine, recipe)
    environment = describe_environment(engine, command_line)
    # Load before creating the folder: if the data are missing, nothing remains to block a second call.
    data = load(places.data, on_event=on_event)
    with Run.prepared(path, recipe, seed, environment, existing, start) as run:
        if existing == "replace":
            remove_teachers(path)
        if run.finished:  # by another process, a moment ago
            return _reused(run, recipe, seed, start, compute, on_event, snapshots)
        if differing := session_differences(run.sessions, identity(environment)):
            on_event(Note(f"{path}: resuming a run that was trained differently ({differing})"))
        if recipe.distillation:
            run = _taught(run, engine, places, on_event, command_line)
        train_run(run, data, engine, on_event, snapshots=snapshots or has_snapshots(path))
    on_event(finished_event(run))
    return run


def _start(training: OwnTraining, seed: int, path: Path) -> tuple[OwnStart | None, Tensors | None]:
    """Return what a user's own model starts from, and its weights; None of an architecture.

    Raises UserError where nothing is known of it.
    """
    if (model := training.recipe.own) is None:
        return None, None
    start = training.start(seed) or own_start.read(path)
    if start is None:
        raise UserError(
            f"{path} holds no initial weights of {model}, which its constructor makes: train "
            f"{model.target or model.name} itself, with --trust"
        )
    return start, start.weights(model)


def train_run(
    run: Run, data: Mnist, engine: Engine, on_event: OnEvent = ignore, *, snapshots: bool = False
) -> list[EpochMetrics]:
    """Train ``run`` to its last epoch, from its checkpoint if there is one, and return all epochs.

    After each epoch the state is on disk; an exception loses the running epoch only.

    Args:
        run: what to train and where to save it.
        data: what to train on.
        engine: fresh, with the initial weights of the run's recipe and seed, and its teachers.
        on_event: called with ``Started``, and each ``Step`` and ``EpochDone``.
        snapshots: save the weights of each epoch.

    Raises:
        Divergence: if a loss is not finite.
    """
    history: list[EpochMetrics] = []
    if checkpoint := run.checkpoint():
        state, history = checkpoint
        engine.load_state(state)
    lacking = set(range(1, len(history) + 1)) - set(snapshot_epochs(run.path))
    if snapshots and lacking:
        listed = ", ".join(map(str, sorted(lacking)))
        on_event(Note(f"{run.path}: no snapshots of epochs trained before without --snapshots ({listed})"))
    on_event(Started(run.path, run.recipe, run.seed, run.environment, tuple(history)))

    def on_step(images: int) -> None:
        on_event(Step(run.path, images))

    for metrics in train_epochs(run.recipe, run.seed, data, engine, done=len(history), on_step=on_step):
        history.append(metrics)
        if snapshots:  # before the checkpoint: after a kill between them the epoch is trained again
            run.save_snapshot(metrics.epoch, engine.weights())
        run.save_epoch(engine.state(), history)
        on_event(EpochDone(run.path, metrics))
    run.save_model(engine.weights(), history)
    return history


def finished_event(run: Run, *, reused: bool = False, differing: str = "") -> Finished:
    """Return the event that says that ``run`` is finished."""
    metrics = run.metrics()
    time_s = training_time_s(metrics, run.session)
    return Finished(run.path, run.recipe, metrics[-1].validation_accuracy, time_s, reused, differing)


def _checked_path(recipe: Recipe, seed: int, places: Places, name: str | None) -> Path:
    """Return the run folder. Raises UserError for an invalid seed or name."""
    path = run_path(places.runs, recipe.name, seed)
    if name:
        instance("name", name, str, "text")
        path = path.with_name(check_name(name, "name"))
    if recipe.distillation:
        recipe.distillation.seeds(check_seed(seed))  # raises where there are none for it
    return path


def _reused(
    run: Run,
    recipe: Recipe,
    seed: int,
    start: OwnStart | None,
    compute: Compute,
    on_event: OnEvent,
    snapshots: bool,
) -> Run:
    """Return a finished run and say so.

    Args:
        run: finished.
        recipe: the one asked for.
        seed: the one asked for.
        start: of a user's own model.
        compute: what is asked to train it; a difference is part of the event.
        on_event: called with ``Finished``.
        snapshots: whether it must have them.

    Raises:
        UserError: if the run is damaged, of another recipe or seed, or lacks snapshots.
    """
    run.check_same(recipe, seed, start)
    if snapshots and not snapshot_epochs(run.path):
        raise UserError(f"{run.path} is finished and has no snapshots; train again with --overwrite")
    run.metrics()
    run.weights()  # raise where they are damaged
    differing = session_differences(run.sessions, repeated_identity(run.session, compute))
    on_event(finished_event(run, reused=True, differing=differing))
    return run


def _taught(run: Run, engine: Engine, places: Places, on_event: OnEvent, command_line: str | None) -> Run:
    """Train the teachers of ``run``, give them to ``engine``, and return the run with a note of them."""
    teachers = _teachers(run, engine, places, on_event, command_line)
    engine.learn_from([Teacher(one.recipe.architecture, one.weights()) for one in teachers])
    return run.with_teachers(note(teachers))


def _teachers(
    run: Run, engine: Engine, places: Places, on_event: OnEvent, command_line: str | None
) -> list[Run]:
    """Return the finished runs of the teachers of ``run``, trained as ``engine`` will train it.

    One that is there is resumed or reused if it is the recipe's and trained as ``run`` is, else replaced.
    """
    distillation, folder = run.recipe.distillation, run.path / TEACHERS
    assert distillation is not None
    return [
        train(
            distillation.teacher,
            seed,
            compute=Compute(engine.name, engine.device, engine.precision, engine.threads),
            places=Places(folder, data=places.data),
            existing="resume" if is_fit(folder, distillation.teacher, seed, run) else "replace",
            on_event=_as_teacher(on_event, run.path, number),
            command_line=command_line,
        )
        for number, seed in enumerate(distillation.seeds(run.seed), 1)
    ]


def _as_teacher(on_event: OnEvent, taught: Path, number: int) -> Callable[[Event], None]:
    """Return a callable that forwards a teacher's events as events of its student's run."""

    def pass_on(event: Event) -> None:
        if isinstance(event, Started):
            event = replace(event, folder=event.run)
        if isinstance(event, Started | Step | EpochDone | Finished):
            event = replace(event, run=taught, teacher=number)
        on_event(event)

    return pass_on


def has_training(path: Path) -> bool:
    """Return whether the run at ``path`` has a finished epoch, or a teacher of it has."""
    names = ("checkpoint.safetensors", "model.safetensors")
    return any(is_present(path / name) for name in names) or any((path / TEACHERS).glob(f"*/{names[0]}"))


def repeated_identity(before: Mapping[str, Any], compute: Compute) -> dict[str, Any]:
    """Return the ``identity`` that a training by ``compute`` would have, where it leaves a choice as before.

    Where this machine lacks what ``compute`` names, the identity is no more than that.
    """
    engine = before.get("engine", "auto") if compute.engine == "auto" else compute.engine
    precision = compute.precision
    if precision == "auto" and engine == before.get("engine"):
        precision = before.get("precision", PRECISION)
    threads = compute.threads or before.get("threads") or cores().amount
    try:
        again = Compute(engine, compute.device, precision, threads)
        on_cpu = choose(again).engine == "native"
        return local_identity(replace(again, device="cpu" if on_cpu else torch_device(again.device)))
    except UserError:
        named = {"engine": compute.engine, "precision": compute.precision, "device": compute.device}
        return {name: value for name, value in named.items() if value != "auto"} | {"numerics": NUMERICS}


def resumed_compute(path: Path, compute: Compute) -> Compute:
    """Return what the run at ``path`` is resumed by: what trained it, where ``compute`` leaves a choice.

    The same bits take the same engine and precision, and of torch the same number of threads. Where nothing
    has been trained, that is ``compute``. Raises UserError where it asks for another precision.
    """
    before = Run.open(path).session if is_present(path / "environment.json") else {}
    if not before or not has_training(path):
        return compute
    engine = before.get("engine", "auto") if compute.engine == "auto" else compute.engine
    threads = resumed_threads(path, before) if compute.threads is None else compute.threads
    precision = before.get("precision", PRECISION)
    if compute.precision not in ("auto", precision):
        raise UserError(
            f"{path} has been trained in {precision}, not {compute.precision}; resume with --precision "
            f"{precision}, or train again with --overwrite"
        )
    return Compute(engine, compute.device, precision, threads)


def resumed_threads(path: Path, before: dict[str, Any]) -> int | None:
    """Return the threads that the run at ``path`` is resumed on: as many as before, or for the native engine,
    whose bits do not depend on them, as this process has cores for.

    Raises UserError where torch had more of them on a CPU than there are cores now.
    """
    threads, available = before.get("threads"), cores()
    if not isinstance(threads, int) or threads <= available.amount:
        return threads
    if before.get("engine") == "torch" and before.get("device") == "cpu":
        raise UserError(
            f"{path} was trained by torch on {threads} threads, on which its bits depend, and this process "
            f"may use {available.cores_text}; --threads {threads} gives the same bits, slowly, "
            f"--threads {available.amount} other ones"
        )
    return available.amount
