"""Write the pretrained models of the package and their cards, or with --check only compare them.

    python -m tools.pretrained RUNS [NAME …]
    python -m tools.pretrained --film
    python -m tools.pretrained --check

Without names all are written. There is one of seed 0 for each named recipe with a record or a bench in
results/, and for the best record of each track. A record supplies the weights of its own; RUNS holds the runs
of the other recipes, such as ``RUNS/minimal-plus-0``, each with a reading of the test set. Temperature and
threshold are fitted to validation images (benchmarks/reading). What cannot be measured here, for want of
fonts, stays as it was. ``--film`` trains ``minimal`` again, to the same bits, and keeps the weights of every
epoch for the drawing page.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.reading.parts import PARTS, Amount, Measure, Missing
from under20k.data import load
from under20k.deploy.card import FOLDER, Calibration, Card, Refusal, Validation, cards
from under20k.deploy.card import card as card_of
from under20k.deploy.film import FILMS, film_bytes, film_of_run, film_path, pretrained_film
from under20k.deploy.model import Model
from under20k.engine.machine import cores
from under20k.errors import UserError, nearest
from under20k.files import remove, write_bytes, write_json
from under20k.recipe.named import RECIPES
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors
from under20k.report.records import ORDER
from under20k.runs.bench.bench import Bench, SeedResult
from under20k.runs.leaderboard import readings_of
from under20k.runs.model_files import write_model
from under20k.runs.places import Places
from under20k.runs.provenance import PRECISION
from under20k.runs.records.arithmetic import as_recorded
from under20k.runs.records.folders import read_records
from under20k.runs.records.kept_model import kept_model, weights_sha256
from under20k.runs.records.record import Record
from under20k.runs.run import Run, run_path
from under20k.runs.train import train

ROOT = Path(__file__).parent.parent
RECORDS, RESULTS = ROOT / "records", ROOT / "results"
SEED = 0
FILMED = "minimal"
"""The model with a film."""
TRAINING = (
    *("engine", "precision", "instruction_set", "compiler", "device", "threads", "numerics"),
    *("packages", "processor", "system", "started", "git"),
)
"""Entries of a training's environment that a card keeps."""


@dataclass(frozen=True)
class Source:
    """What a pretrained model comes from: a record, or a bench for the figures and a run for the weights."""

    name: str
    recipe: Recipe
    bench: Bench
    record: Record | None = None
    folder: str = ""
    """Of the bench, from the root."""

    @property
    def validation(self) -> Validation:
        """Return the accuracy of the recipe over the seeds."""
        sample = self.bench.statistics.summary.last
        assert sample.sd is not None
        return Validation(sample.n, sample.mean, sample.sd)


def sources() -> Iterator[Source]:
    """Yield what each pretrained model comes from."""
    records = read_records(RECORDS)
    for name, recipe in RECIPES.items():
        own = [record for record in records if record.bench.recipe == recipe]
        if own:
            yield Source(name, recipe, own[0].bench, own[0])
        elif (bench := bench_of(recipe)) is not None:
            yield Source(name, recipe, Bench.open(bench), None, bench.relative_to(ROOT).as_posix())
    for track, order in ORDER.items():
        best = min((record for record in records if record.track == track), key=order)
        if best.bench.recipe not in RECIPES.values():
            yield Source(best.name, best.bench.recipe, best.bench, best)


def bench_of(recipe: Recipe) -> Path | None:
    """Return the bench in results/ with the most seeds of a recipe, by the native engine in fp32, if any."""

    def seeds(folder: Path) -> int:
        bench = Bench.open(folder)
        kinds = {
            (each.environment["engine"], each.environment.get("precision", PRECISION)) for each in bench.seeds
        }
        return len(bench.seeds) if bench.recipe == recipe and kinds == {("native", PRECISION)} else 0

    return max(
        filter(seeds, (path.parent for path in sorted(RESULTS.glob("*/*/bench.json")))),
        key=seeds,
        default=None,
    )


def made(source: Source, runs: Path) -> tuple[Card, Tensors]:
    """Return a card and its weights. Raises UserError if a run or its test accuracy is missing."""
    if source.record is not None:
        weights = kept_model(RECORDS / source.record.folder, source.record)
        seed = of_seed_0(source.bench)
        accuracy, training = seed.validation_accuracy, seed.environment
        readings = [reading.accuracy for reading in source.record.readings[SEED]]
    else:
        run = Run.open(run_path(runs, source.name, SEED))
        run.check_same(source.recipe, SEED)
        weights, accuracy, training = run.weights(), run.metrics()[-1].validation_accuracy, run.session
        readings = readings_of(run)
        if not readings:
            raise UserError(
                f"{run.path} has no test accuracy; run 'under20k evaluate {run.path} --test' once"
            )
    card = Card(
        source.name,
        source.recipe,
        SEED,
        record=None if source.record is None else f"records/{source.record.folder}",
        bench=source.folder or None,
        validation=source.validation,
        validation_accuracy=accuracy,
        test_accuracy=readings[0],
        training=kept(training),
        weights_sha256=weights_sha256(weights),
    )
    return card, weights


def of_seed_0(bench: Bench) -> SeedResult:
    """Return seed 0 of a bench."""
    return next(seed for seed in bench.seeds if seed.seed == SEED)


def kept(environment: dict[str, Any]) -> dict[str, Any]:
    """Return the entries of an environment that a card keeps."""
    return {name: environment[name] for name in TRAINING if environment.get(name) is not None}


def calibrated(card: Card, weights: Tensors, measures: Mapping[str, Measure]) -> Card:
    """Return a card with what ``measures`` find; what they lack is that of the same weights before."""
    path = FOLDER / f"{card.name}.json"
    if path.exists() and (before := Card.open(path)).weights_sha256 == card.weights_sha256:
        names = ("temperature", "threshold", "calibration", "refusal")
        card = replace(card, **{name: getattr(before, name) for name in names})
    model = Model(card.name, card.recipe, weights)
    if "calibration" in measures:
        found = measures["calibration"](model)
        errors = Calibration(found["error_before"], found["error_after"])
        card = replace(card, temperature=found["temperature"], calibration=errors)
    if "refusal" in measures:
        found = measures["refusal"](model)
        card = replace(
            card, threshold=found["threshold"], refusal=Refusal(found["refused"], found["accepted"])
        )
    return card


def calibrations() -> dict[str, Measure]:
    """Return what calibrates a model, as far as this machine has what that needs."""
    validation, amount = load().validation, Amount(jobs=cores().amount)
    found = {}
    for name in ("calibration", "refusal"):
        try:
            found[name] = PARTS[name](validation, amount)
        except Missing as error:
            print(f"not measured: {name}: {error}", file=sys.stderr)
    return found


def faults() -> Iterator[str]:
    """Yield how cards, weights, records and benches contradict each other, as sentences."""
    expected = {source.name: source for source in sources()}
    files = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}
    named = {f"{name}{suffix}" for name in expected for suffix in (".json", ".safetensors")}
    if others := files ^ {*named, f"{FILMS}/{FILMED}.safetensors"}:
        yield f"missing from {FOLDER.name}/, or not expected there: {', '.join(sorted(others))}"
        return
    for name, card in cards().items():
        if (source := expected.get(name)) is None:
            continue
        record = source.record
        pairs = {
            "recipe": (card.recipe, source.recipe),
            "record": (card.record, None if record is None else f"records/{record.folder}"),
            "bench": (card.bench, source.folder or None),
            "validation": (card.validation, source.validation),
            "weights_sha256": (card.weights_sha256, weights_sha256(card.weights())),
        }
        if record is not None:
            seed = of_seed_0(record.bench)
            pairs |= {
                "record's weights": (card.weights_sha256, record.weights[SEED]),
                "validation_accuracy": (card.validation_accuracy, seed.validation_accuracy),
                "test_accuracy": (card.test_accuracy, record.readings[SEED][0].accuracy),
                "training": (card.training, kept(seed.environment)),
            }
        for what, (ours, theirs) in pairs.items():
            if ours != theirs:
                yield f"{name}: {what} is {ours} in the card, and {theirs} where it comes from"
    yield from film_faults(card_of(FILMED))


def film_faults(card: Card) -> Iterator[str]:
    """Yield how a card and the film of its model contradict each other, as sentences."""
    film = pretrained_film(card)
    assert film is not None  # as there is a file
    if film.epochs != tuple(range(card.recipe.epochs + 1)):
        yield f"{card.name}: the film has the epochs {film.epochs}, and the training {card.recipe.epochs}"
    if film.validation_accuracies[-1] != card.validation_accuracy:
        yield f"{card.name}: validation_accuracy is {film.validation_accuracies[-1]} where the film ends"


def make_film() -> None:
    """Train ``FILMED`` as its card says, and write its film. Raises UserError if the bits are others."""
    card = card_of(FILMED)
    with tempfile.TemporaryDirectory() as folder, as_recorded(card.training):
        run = train(card.recipe, card.seed, places=Places(folder), snapshots=True)
        if weights_sha256(run.weights()) != card.weights_sha256:
            raise UserError(f"{FILMED}: training gives other bits here than the pretrained weights")
        film = film_of_run(run)
    assert film is not None
    validation = load().validation
    untrained = Model(FILMED, card.recipe, film.weights[0]).predict(validation.images)
    before = float((untrained == validation.labels).mean())
    film = replace(film, validation_accuracies=(before, *film.validation_accuracies[1:]))
    write_bytes(film_path(FILMED), film_bytes(film, card.recipe, card.seed))


def main(arguments: list[str]) -> int:
    """Write the folder, or check it; return the exit code."""
    if arguments == ["--check"]:
        found = list(faults())
        print("\n".join(found) or f"{len(cards())} pretrained models and their cards agree")
        return 1 if found else 0
    if arguments == ["--film"]:
        make_film()
        return 0
    if not arguments or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    runs, *names = arguments
    known = {source.name: source for source in sources()}
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"there is no model {unknown[0]!r} to make; {nearest(unknown[0], known)}")
    models = [made(source, Path(runs)) for name, source in known.items() if name in names or not names]
    measures = calibrations()
    for card, weights in models:
        card = calibrated(card, weights, measures)
        path = FOLDER / f"{card.name}.json"
        write_model(path.with_suffix(".safetensors"), card.recipe, card.seed, weights)
        write_json(path, card.to_dict())
        print(card, flush=True)
    for path in FOLDER.iterdir():
        if path.is_file() and path.stem not in known:
            remove(path)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        sys.exit(f"tools.pretrained: {error}")
