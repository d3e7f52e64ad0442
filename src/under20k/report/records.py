"""Records as tables, one per track, and the page of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from under20k.files import read_text, write_text
from under20k.formatting import percent
from under20k.recipe.own_model import OwnModel
from under20k.report.bench import bench_table, claim, in_points, seeds_picture, seeds_text
from under20k.report.document import Block, Code, Document, Section, Text
from under20k.report.environment import environment_table
from under20k.report.tables import Table, recipe_table
from under20k.report.words import NOTHING, P_VALUE, p_text, plural
from under20k.runs.bench.statistics import Sample
from under20k.runs.records.record import Record
from under20k.runs.records.rules import TRACKS
from under20k.runs.records.timing import Timing

PAGE, PICTURE, DARK_PICTURE = "README.md", "curves.png", "curves-dark.png"
STALE = f"{PAGE} does not follow from record.json; 'under20k report' writes it again"

# Sort key of each track, the best first.
ORDER: dict[str, Callable[[Record], tuple[float, ...]]] = {
    "accurate": lambda record: (-mean(record),),
    "small": lambda record: (record.bench.recipe.architecture.parameters, -mean(record)),
    # Not by seconds: two records may come from two machines.
    "fast": lambda record: (-record.timing.ratio if record.timing else 0.0,),
    "reference": lambda record: (-record.bench.recipe.architecture.parameters,),
}


def mean(record: Record) -> float:
    """Return mean validation accuracy at the last epoch."""
    return record.bench.statistics.summary.last.mean


def record_tables(records: Sequence[Record]) -> dict[str, Table]:
    """Return a table for each track that has records, by its name."""
    tables = {}
    for track in TRACKS:
        of_track = sorted((record for record in records if record.track == track), key=ORDER[track])
        if of_track:
            tables[track] = track_table(track, of_track)
    return tables


def track_table(track: str, records: Sequence[Record]) -> Table:
    """Return a row a record."""
    rows = [record_row(record) for record in records]
    timed = track == "fast"
    if timed:  # what the track is about comes first
        rows = [
            (name, *timing_cells(record.timing), *others)
            for record, (name, *others) in zip(records, rows, strict=True)
        ]
    single = all(threads(record) == 1 for record in records)
    seconds = "Seconds, one thread" if single else "Seconds"
    ratio, timing = "Reference ÷ this", "Seconds, process to model"
    seeds = f"Seeds ≥ {percent(records[0].bench.statistics.target)}"
    header = (
        "Record",
        *((ratio, timing) if timed else ()),
        "Validation, last epoch",
        seeds,
        "Parameters",
        "Epochs",
        seconds,
        P_VALUE,
        "Test, read once",
        "Engine",
    )
    return Table(
        header,
        tuple(rows),
        caption=f"{track}: {TRACKS[track]}",
        align="l" + "r" * (len(header) - 2) + "l",
        optional=(
            *("Engine", "Test, read once", P_VALUE, seconds, "Epochs"),
            *(("Parameters",) if timed else ()),  # in the other tracks they stay
        ),
    )


def record_row(record: Record) -> tuple[str, ...]:
    """Return a record's figures, as every track shows them."""
    statistics = record.bench.statistics
    return (
        f"{record.date}-{record.name}",
        str(statistics.summary.last),
        f"{statistics.summary.reached_at_last} of {statistics.summary.n}",
        f"{record.bench.recipe.architecture.parameters:,}",
        str(record.bench.recipe.epochs),
        f"{statistics.time_s.mean:,.1f}",
        p_text(statistics.p_exceeds_target),
        NOTHING if record.test is None else str(record.test),
        engine_text(record),
    )


def threads(record: Record) -> int | None:
    """Return the threads of the seeds' trainings; None where they differ."""
    found = {seed.environment.get("threads") for seed in record.bench.seeds}
    return found.pop() if len(found) == 1 else None


def engine_text(record: Record) -> str:
    """Return ``native fp32``."""
    environment = record.bench.seeds[0].environment
    return f"{environment.get('engine')} {environment.get('precision', 'fp32')}"


def timing_cells(timing: Timing | None) -> list[str]:
    """Return ratio and seconds."""
    if timing is None:
        return [NOTHING, NOTHING]
    return [f"{timing.ratio:.1f}×", f"{timing.median_s:.2f}"]


def records_markdown(records: Sequence[Record]) -> str:
    """Return all tables, for a README."""
    tables = record_tables(records)
    if not tables:
        return "No records yet."
    note = (
        "Every figure follows from the seeds' numbers in `records/`; `under20k records verify` recomputes it "
        "and evaluates the weights of seed 0. CI retrains a seed of one record, drawn by the commit's hash."
    )
    return "\n\n".join([*(table.markdown() for table in tables.values()), note])


def write_record_page(record: Record, folder: Path) -> None:
    """Write ``README.md`` and its picture, light and dark. Raises UserError where they cannot be written."""
    document = record_document(record)
    document.write_pictures(folder)
    write_text(folder / PAGE, document.markdown())


def missing_views(folder: Path) -> list[str]:
    """Return a finding for the page and the pictures of a record, each where it is missing."""
    return [f"{file} is missing" for file in (PICTURE, DARK_PICTURE, PAGE) if not (folder / file).is_file()]


def stale_page(record: Record, folder: Path) -> list[str]:
    """Return a finding if the page of a record is not the one that its data give.

    The pictures are not compared: their bytes depend on the version of Matplotlib.
    """
    made = record_document(record, drawn=False).markdown()
    return [] if read_text(folder / PAGE) == made else [STALE]


def record_document(record: Record, *, drawn: bool = True) -> Document:
    """Return a record's own page; not ``drawn``, its picture has no PNG, which Markdown only names."""
    bench = record.bench
    lead: list[Block] = [Text(claim(bench)), Text(test_text(record.test))]
    if record.timing is not None:
        lead.append(Text(timing_text(record.timing)))
    if own := bench.recipe.own:
        lead.append(Text(own_text(own)))
    lead += [
        seeds_picture(bench, PICTURE, record.name, drawn=drawn),
        bench_table([bench], [record.name]),
        Text("The command that trained it:"),
        Code(bench.command),
        Text(
            "The weights of its first seed are in model.safetensors. This command retrains one of its seeds:"
        ),
        Code(f"under20k records verify records/{record.folder} --rerun 1"),
    ]
    environment = environment_table("Value", [seed.environment for seed in bench.seeds])
    facts = {
        "Parameters": f"{bench.recipe.architecture.parameters:,}",
        "Multiply-accumulates": f"{bench.recipe.architecture.macs:,}",
    }
    if own:
        facts["Source"] = f"not part of the record; SHA-256 {own.sha256 or NOTHING}"
    return Document(
        f"{record.track}: {record.name}",
        tuple(lead),
        (
            Section("Recipe", (recipe_table(bench.recipe, facts),)),
            Section("Seeds", (record_seeds_table(record),)),
            Section("Environment", (environment,)),
        ),
    )


def own_text(model: OwnModel) -> str:
    """Return what a record of a user's own model rests on."""
    operations = plural(len(model.graph.nodes), "operation") if model.graph else "none"
    return (
        f"The network is a PyTorch model of its author's own, {model}: its graph of {operations} is in "
        "record.json. Verification runs none of its code. Its initial weights are those that PyTorch gives "
        "its layers under each seed, so they are drawn again."
    )


def test_text(test: Sample | None) -> str:
    """Return the test accuracy, where every seed read it once."""
    if test is None:
        return "Not every seed read the test set exactly once."
    return f"Test accuracy, each seed's model read once after the recipe was fixed: {test}."


def timing_text(timing: Timing) -> str:
    """Return the measurement of the track ``fast``, in a sentence or two."""
    subject = ", ".join(f"{seconds:.2f}" for seconds in timing.subject_s)
    reference = ", ".join(f"{seconds:.1f}" for seconds in timing.reference_s)
    return (
        f"From the start of the process to the trained model on disk, on {timing.cores} cores: "
        f"{timing.median_s:.2f} s (in turns {subject}), against {reference} s for the reference "
        f"({timing.reference}): {timing.ratio:.1f} times faster. {timing.processor}."
    )


def record_seeds_table(record: Record) -> Table:
    """Return a row a seed."""
    rows = tuple(
        (
            str(seed.seed),
            percent(seed.validation_accuracy),
            ", ".join(percent(reading.accuracy) for reading in record.readings.get(seed.seed, ())),
            percent(seed.epochs[-1].train_accuracy),
            f"{seed.time_s:.1f}",
        )
        for seed in record.bench.seeds
    )
    sd = in_points(record.bench.statistics.summary.last.sd)
    header = ("Seed", "Validation, last epoch", "Test", "Training, last epoch", "Seconds")
    notes = (f"{seeds_text(record.bench)}; validation's standard deviation is {sd} points.",)
    return Table(header, rows, align="rrrrr", notes=notes)
