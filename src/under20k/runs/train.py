"""The command line's verbs as functions: what they do, without arguments to parse or anything to print."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from under20k.data import load, load_test
from under20k.data.sources import Notify
from under20k.engine.base import Engine, Teacher
from under20k.engine.evaluation import Evaluation
from under20k.engine.evaluation import evaluate as evaluate_logits
from under20k.engine.machine import cores
from under20k.engine.select import check_training_memory, create
from under20k.errors import UserError
from under20k.files import is_present
from under20k.recipe.named import named
from under20k.recipe.recipe import Recipe
from under20k.recipe.seeds import check_seed
from under20k.runs.distillation import note, remove_teachers, train_teachers
from under20k.runs.loop import Nobody, Observer
from under20k.runs.loop import train as train_run
from under20k.runs.metrics import EpochMetrics
from under20k.runs.names import check_name
from under20k.runs.parallel.local import end_if_only_imported
from under20k.runs.provenance import PRECISION, command, describe_environment
from under20k.runs.run import Run, run_path

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from under20k.data import Split


class TrainingObserver(Observer, Protocol):
    """An observer that is also told what is about to train."""

    def on_start(self, run: Run, engine: Engine) -> None:
        """The run is prepared, with whatever epochs it already has."""

    def teacher(self, number: int) -> TrainingObserver:
        """Who watches the training of a teacher, counted from 1; they are all trained before ``on_start``."""


class Silent(Nobody):
    """A ``TrainingObserver`` that looks away."""

    def on_start(self, run: Run, engine: Engine) -> None: ...

    def teacher(self, number: int) -> TrainingObserver:
        return self


def train(
    recipe: Recipe | str,
    seed: int = 0,
    *,
    runs_dir: Path | str = "runs",
    name: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    data_dir: Path | None = None,
    notify: Notify | None = None,
    observer: TrainingObserver | None = None,
    command_line: str | None = None,
    **changes: Any,
) -> Run:
    """Train ``recipe`` (a Recipe or the name of one, ``changes`` replacing settings) and return its run.

    The run lies in ``runs_dir``/``name``, by default called after the recipe and the seed. With ``resume``
    one that was stopped goes on, on as many threads as before unless told otherwise, and a finished one is
    returned as it is. ``engine``, ``device``, ``precision`` and ``threads`` are as in ``engine.create``,
    ``data_dir`` and ``notify`` as in ``data.load``; ``command_line`` is recorded, by default this process's
    own. A recipe's teachers are trained first, as runs in the run's own ``teachers``. Raises UserError for
    whatever is wrong; an exception, Ctrl-C included, leaves a run that can be resumed.
    """
    end_if_only_imported()
    recipe = (named(recipe) if isinstance(recipe, str) else recipe).with_changes(**changes)
    path = run_path(Path(runs_dir), recipe.name, seed)
    if name:
        path = path.with_name(check_name(name, "name"))
    if recipe.distillation:
        recipe.distillation.seeds(check_seed(seed))  # raises where there are none for it
    observer = observer or Silent()
    if resume:
        # The same bits take the same engine, and torch the same number of threads.
        before = recorded_environment(path)
        engine = before.get("engine", engine) if engine == "auto" else engine
        if threads is None:
            threads = resumed_threads(path, before)
        if before:
            trained = before.get("precision", PRECISION)
            if precision not in ("auto", trained):
                raise UserError(
                    f"{path} has been trained in {trained}, not {precision}; go on with --precision "
                    f"{trained}, or start anew with --overwrite"
                )
            precision = trained
    trainer = create(recipe, seed, engine=engine, device=device, precision=precision, threads=threads)
    check_training_memory(trainer, recipe)
    environment = describe_environment(trainer, command_line)
    # Before the folder is made: without data, nothing is left that a second call would trip over. A finished
    # run is asked for none.
    done = resume and is_present(path / "model.safetensors")
    data = None if done else load(data_dir, notify=notify)

    def train_one(number: int, recipe: Recipe, seed: int, runs_dir: Path, anew: bool) -> Run:
        return train(
            recipe,
            seed,
            runs_dir=runs_dir,
            resume=not anew,
            overwrite=anew,
            engine=trainer.name,
            device=trainer.device,
            precision=trainer.precision,
            threads=trainer.threads,
            data_dir=data_dir,
            notify=notify,
            observer=observer.teacher(number),
            command_line=command_line,
        )

    with Run.prepared(path, recipe, seed, environment, resume=resume, overwrite=overwrite) as run:
        if overwrite:
            remove_teachers(path)
        reported = run.finished and (run.path / "report.md").is_file()
        if run.finished:
            run.metrics()
            run.weights()  # raise where they are damaged
        else:
            if recipe.distillation:
                teachers = train_teachers(run, train_one)
                trainer.learn_from([Teacher(one.recipe.architecture, one.weights()) for one in teachers])
                run = run.with_teachers(note(teachers))
            observer.on_start(run, trainer)
            train_run(run, data or load(data_dir, notify=notify), trainer, observer)
        if not reported:
            from under20k.report.run import write_run_report  # Matplotlib takes a while to load

            write_run_report(run)
    return run


def recorded_environment(path: Path) -> dict[str, Any]:
    """What the run at ``path`` was last trained by, if there is one."""
    return Run.open(path).session if is_present(path / "environment.json") else {}


def resumed_threads(path: Path, before: dict[str, Any]) -> int | None:
    """The threads that the run at ``path`` goes on with: as many as before, or of the native engine, whose
    bits do not depend on them, as this process has cores for.

    Raises UserError where torch had more of them on a CPU than there are cores now.
    """
    threads, available = before.get("threads"), cores()
    if not isinstance(threads, int) or threads <= available.amount:
        return threads
    if before.get("engine") == "torch" and before.get("device") == "cpu":
        raise UserError(
            f"{path} was trained by torch on {threads} threads, on which its bits depend, and this process "
            f"may use {available.cores_text}; --threads {threads} goes on to the same bits, slowly, "
            f"--threads {available.amount} to others"
        )
    return available.amount


def epochs_done(run: Run) -> list[EpochMetrics]:
    """The epochs that a run is past: by its checkpoint, which a kill may have left ahead of its metrics."""
    checkpoint = run.checkpoint()
    return checkpoint[1] if checkpoint else []


def evaluate(
    run: Run | Path | str,
    split: Literal["validation", "test"] = "validation",
    *,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    data_dir: Path | None = None,
    notify: Notify | None = None,
) -> tuple[Evaluation, Split, NDArray[np.float32]]:
    """The figures of a finished run on a split, with the split and the logits (N, 10) that gave them.

    A reading of the test set is written into the run before this returns. Raises UserError where the run
    has no model that fits, or the reading cannot be recorded.
    """
    run = run if isinstance(run, Run) else Run.open(Path(run))
    weights = run.weights()
    evaluator = create(run.recipe, run.seed, weights=weights, engine=engine, device=device, threads=threads)
    if split == "test":
        images = load_test(data_dir, notify=notify)
    else:
        images = load(data_dir, notify=notify).validation
    logits = evaluator.logits(images.images)
    evaluation = evaluate_logits(split, logits, images.labels)
    if split == "test":
        run.add_test_reading(
            {
                "read": datetime.now(UTC).isoformat(timespec="seconds"),
                "command": command(),
                "engine": evaluator.name,
                **evaluation.to_dict(),
            }
        )
        from under20k.report.run import write_run_report

        write_run_report(run)
    return evaluation, images, logits
