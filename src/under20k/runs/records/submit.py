"""Create a record from a bench, with its one reading of the test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from under20k.engine.base import Compute
from under20k.errors import UserError, nearest
from under20k.formatting import percent
from under20k.recipe.limits import TEST_IMAGES
from under20k.runs.bench.bench import Bench
from under20k.runs.evaluate import evaluate
from under20k.runs.events import Note, OnEvent, ignore
from under20k.runs.names import MAX_GIVEN, safe_name
from under20k.runs.places import Places
from under20k.runs.provenance import identity, processor
from under20k.runs.records.arithmetic import precision_options
from under20k.runs.records.bench_runs import built_as_here, readings_of, weights_of, with_runs
from under20k.runs.records.consistency import inconsistencies
from under20k.runs.records.fields import NAME
from under20k.runs.records.folders import existing, write_record
from under20k.runs.records.initial import initial_faults, initial_of, start_of
from under20k.runs.records.record import Record
from under20k.runs.records.record_files import MODEL
from under20k.runs.records.rules import REFERENCE, REFERENCE_ENGINE, TRACKS, broken
from under20k.runs.records.seed_entries import Reading
from under20k.runs.records.timing import CORES, TURNS, in_turns, only_cores, reference_text
from under20k.runs.records.verify import IMAGES_TOLERANCE
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
    """Create a record from a bench and return its folder, to which ``report.records`` adds the page.

    If no rule is broken, each seed's model is evaluated again on validation, the test set is read, unless it
    was, and in the track ``fast`` the training is timed against the reference.

    Args:
        bench_dir: holds the bench; its runs are read again.
        track: one of ``TRACKS``.
        name: of the record; by default the recipe's.
        on: date of the record; by default today's, in UTC.
        records_dir: holds all records.
        turns: trainings to time in the track ``fast``.
        data_dir: holds MNIST; by default the cache folder.
        on_event: called with the events of timing, evaluation and download.

    Raises:
        UserError: names every rule that is broken.
    """
    if track not in TRACKS:
        raise UserError(f"there is no track {track!r}; {nearest(track, TRACKS)}")
    bench_dir, records_dir = Path(bench_dir), Path(records_dir)
    bench, runs = with_runs(Bench.open(bench_dir), bench_dir)
    day = (on or datetime.now(UTC).date()).isoformat()
    full_name = safe_name(name or bench.recipe.name, MAX_GIVEN)
    record = Record(
        track, full_name, day, bench, readings_of(runs), weights_of(runs), initial=initial_of(runs)
    )
    if NAME.fullmatch(record.name) is None:
        raise UserError(f"--name is {name!r}; give letters, digits and -, such as 'wide-first'")
    if taken := existing(records_dir / record.folder):
        raise UserError(f"{taken} already exists; give another --name")
    refuse(track, obstacles(record, turns))
    on_event(Note("evaluating every model again on the validation images"))
    for run, seed in zip(runs, bench.seeds, strict=True):
        confirm(run, seed.validation_accuracy, data_dir, on_event)
    for run in runs:
        if not run.test_readings():
            on_event(Note(f"{run.path.name}: reading the test set"))
            evaluate(run, "test", compute=_compute(run), places=Places(data=data_dir), on_event=on_event)
    record = replace(record, readings=readings_of(runs))
    if track == "fast":
        record = with_timing(record, turns, data_dir, on_event)
    refuse(track, [*record.rules_broken(), *inconsistencies(record)])
    return write_record(record, records_dir, (runs[0].path / MODEL).read_bytes())


def refuse(track: str, wrong: Sequence[str]) -> None:
    """Raise UserError with all faults, if there are any."""
    if wrong:
        raise UserError(f"not a record of the track {track}: {'; '.join(wrong)}")


def obstacles(record: Record, turns: int) -> list[str]:
    """Return why a record will be refused, before the test set is read or a training timed."""
    track, bench = record.track, record.bench
    expected = {seed.seed: max(1, len(record.readings[seed.seed])) for seed in bench.seeds}
    wrong = broken(track, bench, expected, None, timed=False)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    placeholder = (Reading(now, 0, TEST_IMAGES),)
    readings = {seed: given or placeholder for seed, given in record.readings.items()}
    wrong += inconsistencies(replace(record, readings=readings))
    wrong += initial_faults(bench.recipe, [seed.seed for seed in bench.seeds], record.initial)
    if track == "fast":
        wrong += timing_obstacles(bench, turns)
    return wrong


def timing_obstacles(bench: Bench, turns: int) -> list[str]:
    """Return why a timing here would not fit the bench, or break a rule."""
    wrong = []
    if turns < TURNS:
        wrong.append(f"--turns is {turns}; at least {TURNS} are needed")
    try:
        with only_cores(CORES):
            pass
    except UserError as error:
        wrong.append(str(error))
    if not all(built_as_here(seed.environment) for seed in bench.seeds):
        wrong.append("the version installed here, which would be timed, did not train the bench; bench again")
    if (here := processor()) not in (there := {seed.environment.get("processor") for seed in bench.seeds}):
        wrong.append(
            f"timed here, on {here!r}, but trained on {', '.join(map(repr, there))}; bench again here"
        )
    return wrong


def confirm(run: Run, recorded: float, data_dir: Path | None, on_event: OnEvent) -> None:
    """Evaluate a run's model on validation, and compare.

    Args:
        run: finished.
        recorded: validation accuracy of its last epoch, as a fraction.
        data_dir: holds MNIST.
        on_event: called with the events of a download.

    Raises:
        UserError: the model's accuracy is another one.
    """
    evaluation = evaluate(run, compute=_compute(run), places=Places(data=data_dir), on_event=on_event)
    if abs(evaluation.correct - recorded * evaluation.images) > IMAGES_TOLERANCE + 1e-6:
        raise UserError(
            f"{run.path}: its model has {percent(evaluation.accuracy)} on validation, its last epoch "
            f"{percent(recorded)}; train it again with --overwrite"
        )


def with_timing(record: Record, turns: int, data_dir: Path | None, on_event: OnEvent) -> Record:
    """Return a record with its training timed against the reference.

    Args:
        record: of the track ``fast``.
        turns: trainings of each to time.
        data_dir: holds MNIST.
        on_event: called with the time of each training.

    Raises:
        UserError: a training failed.
    """
    on_event(Note(f"timing against {reference_text(REFERENCE, REFERENCE_ENGINE)}, {turns} turns each"))
    environment, recipe = record.bench.seeds[0].environment, record.bench.recipe
    timing = in_turns(
        recipe,
        str(identity(environment)["engine"]),
        REFERENCE,
        reference_engine=REFERENCE_ENGINE,
        turns=turns,
        options=precision_options(environment),
        start=lambda seed: start_of(recipe, seed, record.initial),
        data_dir=data_dir,
        on_event=on_event,
    )
    return replace(record, timing=timing)


def _compute(run: Run) -> Compute:
    engine = str(identity(run.session)["engine"])
    # The native engine is bit-exact for any number of threads, and this machine may have fewer cores.
    return Compute(engine, threads=None if engine == "native" else run.session.get("threads"))
