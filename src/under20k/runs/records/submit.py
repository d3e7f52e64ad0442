"""Making a record of a bench: what it takes, and the one reading of the test set that goes with it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from under20k.engine.base import NUMERICS, Compute
from under20k.errors import InvalidValue, UserError, nearest
from under20k.files import once_free, write_bytes, write_json, write_text
from under20k.formatting import percent
from under20k.recipe.limits import VALIDATION_IMAGES
from under20k.runs.bench.bench import Bench, SeedResult
from under20k.runs.evaluate import evaluate
from under20k.runs.events import Note, OnEvent, ignore
from under20k.runs.names import MAX_GIVEN, folded, safe_name
from under20k.runs.places import Places
from under20k.runs.provenance import committed_since, git_hash, identity, native_build, processor
from under20k.runs.records.consistency import implausible
from under20k.runs.records.fields import NAME, check_environment
from under20k.runs.records.record import MODEL, Reading, Record, rules_broken, weights_digest
from under20k.runs.records.rerun import precision_options
from under20k.runs.records.rules import REFERENCE, REFERENCE_ENGINE, TRACKS, broken
from under20k.runs.records.timing import CORES, TURNS, cores, in_turns, reference_text
from under20k.runs.records.verify import SLACK
from under20k.runs.run import Run


def submit(
    bench_dir: Path | str,
    track: str,
    *,
    name: str | None = None,
    on: date | None = None,
    records_dir: Path | str = "records",
    turns: int = TURNS,
    data_dir: Path | None = None,
    on_event: OnEvent = ignore,
) -> Path:
    """Make a record of a bench, and return its folder, to which ``report.records`` adds the page.

    The runs of the bench are read again. When no other rule is broken, each seed's model is evaluated again
    on validation, its test set is read, unless it was, and for the track ``fast`` the training is timed
    against the reference in ``turns``. ``on_event`` is called with what is going on. Raises UserError
    with every rule that is broken.
    """
    if track not in TRACKS:
        raise UserError(f"there is no track {track!r}; {nearest(track, TRACKS)}")
    bench_dir, records_dir = Path(bench_dir), Path(records_dir)
    bench, runs = with_runs(Bench.open(bench_dir), bench_dir)
    day = (on or datetime.now(UTC).date()).isoformat()
    record = Record(
        track, safe_name(name or bench.recipe.name, MAX_GIVEN), day, bench, _readings(runs), _digests(runs)
    )
    if NAME.fullmatch(record.name) is None:
        raise UserError(f"--name is {name!r}; give letters, digits and -, such as 'wide-first'")
    if taken := existing(records_dir / record.folder):
        raise UserError(f"{taken} is there already; give another --name")
    # The test set is read, and time measured, for what is a record otherwise only.
    due = {seed.seed: max(1, len(record.readings[seed.seed])) for seed in bench.seeds}
    wrong = broken(track, bench, due, None, measured=False)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    still_to_come = (Reading(now, 0, VALIDATION_IMAGES),)
    wrong += implausible(
        replace(record, readings={seed: read or still_to_come for seed, read in record.readings.items()})
    )
    if track == "fast":
        wrong += untimeable(bench, turns)
    if wrong:
        raise UserError(refusal(track, wrong))
    on_event(Note("evaluating every model again on validation"))
    for run, seed in zip(runs, bench.seeds, strict=True):
        confirm(run, seed.validation_accuracy, data_dir, on_event)
    for run in runs:
        if not run.test_readings():
            on_event(Note(f"{run.path.name}: reading the test set"))
            evaluate(run, "test", compute=_compute(run), places=Places(data=data_dir), on_event=on_event)
    record = replace(record, readings=_readings(runs))
    if track == "fast":
        on_event(Note(f"timing against {reference_text(REFERENCE, REFERENCE_ENGINE)}, {turns} turns each"))
        own = identity(bench.seeds[0].environment)
        timing = in_turns(
            bench.recipe,
            own["engine"],
            REFERENCE,
            reference_engine=REFERENCE_ENGINE,
            turns=turns,
            options=precision_options(own),
            data_dir=data_dir,
            on_event=on_event,
        )
        record = replace(record, timing=timing)
    if wrong := [*rules_broken(record), *implausible(record)]:
        raise UserError(refusal(track, wrong))
    return write(record, records_dir, (runs[0].path / MODEL).read_bytes())


def untimeable(bench: Bench, turns: int) -> list[str]:
    """Why a training that is timed here and now would not be one of the bench's, or not be taken."""
    wrong = []
    if turns < TURNS:
        wrong.append(f"--turns is {turns}; at least {TURNS} are needed")
    try:
        with cores(CORES):
            pass
    except UserError as error:
        wrong.append(str(error))
    if not all(_built_as_here(seed.environment) for seed in bench.seeds):
        wrong.append("what is installed here is not what trained the bench, and would be timed; bench again")
    if (here := processor()) not in (there := {seed.environment.get("processor") for seed in bench.seeds}):
        wrong.append(
            f"timed here, on {here!r}, but trained on {', '.join(map(repr, there))}; bench again here"
        )
    return wrong


def write(record: Record, records_dir: Path, model: bytes) -> Path:
    """Add the record's folder, whole or not at all; ``model`` is its first seed's safetensors file.

    Raises UserError where there is one of that name.
    """
    path = records_dir / record.folder
    if taken := existing(path):
        raise UserError(f"{taken} is there already, and records are never changed; give another --name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
    try:
        write_json(temporary / "record.json", record.to_dict())
        write_text(temporary / "curves.jsonl", record.curves())
        write_bytes(temporary / MODEL, model)
        temporary.chmod(0o755)
        once_free(lambda: temporary.rename(path))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def existing(path: Path) -> Path | None:
    """What lies at ``path``, or would do so where case is ignored: the checkout of a Windows or a Mac."""
    if not path.parent.is_dir():
        return None
    return next((found for found in path.parent.iterdir() if folded(found.name) == folded(path.name)), None)


def refusal(track: str, wrong: Sequence[str]) -> str:
    """Why a bench is no record of a track."""
    return f"no record of the track {track}: {'; '.join(wrong)}"


def with_runs(bench: Bench, folder: Path) -> tuple[Bench, list[Run]]:
    """A bench with its seeds as their run folders have them, and the runs. Raises UserError where they are
    gone, unfinished or changed.
    """
    runs, seeds = [], []
    for seed in bench.seeds:
        run = Run.open(Path(os.path.normpath(folder / seed.run)))
        if run.recipe != bench.recipe or run.seed != seed.seed:
            raise UserError(f"{run.path} is no longer the run of this bench; bench again")
        again = SeedResult.of(run, folder)
        if any(identity(session) != identity(run.session) for session in run.sessions):
            raise UserError(
                f"{run.path} was stopped and went on with another engine or numerics; bench with --overwrite"
            )
        again = replace(again, environment=committed(again.environment))
        try:
            check_environment(again.environment)
        except UserError as error:
            raise UserError(f"{run.path / 'environment.json'}: {error}; train it again") from error
        if len(run.sessions) > 1:
            again = replace(again, environment={**again.environment, "resumed": True})
        if not run.finished or again.epochs != seed.epochs:
            raise UserError(f"{run.path} has changed since the bench; bench again")
        runs.append(run)
        seeds.append(again)
    return replace(bench, seeds=tuple(seeds)), runs


def confirm(run: Run, recorded: float, data_dir: Path | None, on_event: OnEvent) -> None:
    """Raise UserError unless a run's model has, on validation, the accuracy that its last epoch gave."""
    evaluation = evaluate(run, compute=_compute(run), places=Places(data=data_dir), on_event=on_event)
    if abs(evaluation.correct - recorded * evaluation.images) > SLACK + 1e-6:
        raise UserError(
            f"{run.path}: its model has {percent(evaluation.accuracy)} on validation, its last epoch says "
            f"{percent(recorded)}; train it again with --overwrite"
        )


def committed(environment: Mapping[str, Any]) -> dict[str, Any]:
    """An environment, its commit the present one where sources trained that were committed only later."""
    if not (committed_since(environment) and _built_as_here(environment)):
        return dict(environment)
    return {name: value for name, value in environment.items() if name != "git_diff"} | {"git": git_hash()}


def _built_as_here(environment: Mapping[str, Any]) -> bool:
    """Whether a training here takes the same time too: the same numerics, in the same build of the engine."""
    return identity(environment)["numerics"] == NUMERICS and environment.get("native_build") in (
        None,
        native_build(),
    )


def _readings(runs: Sequence[Run]) -> dict[int, tuple[Reading, ...]]:
    found = {}
    for run in runs:
        try:
            found[run.seed] = tuple(
                Reading.read_from({name: reading[name] for name in ("read", "correct", "images")})
                for reading in run.test_readings()
            )
        except InvalidValue as error:
            raise UserError(f"{run.path / 'test_readings.jsonl'} is damaged: {error}") from error
    return found


def _digests(runs: Sequence[Run]) -> dict[int, str]:
    return {run.seed: weights_digest(run.weights()) for run in runs}


def _compute(run: Run) -> Compute:
    engine = str(identity(run.session)["engine"])
    # The native engine's bits depend on no number of threads, and there may be fewer cores than then.
    return Compute(engine, threads=None if engine == "native" else run.session.get("threads"))
