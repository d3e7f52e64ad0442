"""Forge records: change one thing in a copy of a record, then recompute everything that follows from it.

Statistics, parameters, folder, page and checksum are recomputed as ``records submit`` would, so only the
changed value itself can give the forgery away.
"""

import json
import math
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load

from under20k.recipe.recipe import Recipe
from under20k.report.records import record_document
from under20k.runs.records.checksum import with_checksums
from under20k.runs.records.kept_model import weights_sha256
from under20k.runs.records.record import Record
from under20k.runs.tensors import safetensors_bytes

TRAIN_IMAGES = 50_000
MODEL = "model.safetensors"


@dataclass
class Forged:
    """A record being forged: its files' contents, free to change."""

    values: dict[str, Any]
    """``record.json``."""
    curves: list[dict[str, Any]]
    """``curves.jsonl``."""
    files: dict[str, bytes]
    """The other files."""
    raw: Callable[[str], str] = str
    """Changes the text of ``record.json`` last."""

    def seed(self, number: int) -> dict[str, Any]:
        return self.values["seeds"][number]

    def epochs(self, number: int) -> list[dict[str, Any]]:
        return self.curves[number]["epochs"]

    @property
    def environment(self) -> dict[str, Any]:
        return self.values["environments"][0]

    @property
    def timing(self) -> dict[str, Any]:
        return self.values["timing"]


Change = Callable[[Forged], None]


def forge(source: Path, records_dir: Path, change: Change) -> Path:
    """Return the folder below ``records_dir`` of a changed, consistent copy of the record in ``source``."""
    forged = Forged(
        json.loads((source / "record.json").read_text()),
        [json.loads(line) for line in (source / "curves.jsonl").read_text().splitlines()],
        {
            file.name: file.read_bytes()
            for file in source.iterdir()
            if file.name not in ("record.json", "curves.jsonl", "README.md")
        },
    )
    change(forged)
    curves = "".join(json.dumps(line) + "\n" for line in forged.curves)
    values, readme = fitted(forged.values, curves, (source / "README.md").read_text())
    where = records_dir / str(values["track"]) / f"{values['date']}-{values['name']}"
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir(parents=True)
    (where / "record.json").write_text(forged.raw(json.dumps(values, indent=2, ensure_ascii=False)))
    (where / "curves.jsonl").write_text(curves)
    (where / "README.md").write_text(readme)
    for name, content in forged.files.items():
        (where / name).write_bytes(content)
    return where


def fitted(values: dict[str, Any], curves: str, readme: str) -> tuple[dict[str, Any], str]:
    """Return ``record.json`` with everything derived recomputed and a matching checksum, and its page."""
    recomputed = ("parameters", "macs", "split", "statistics", "test")
    try:
        record = Record.from_json(deepcopy(values), curves)
        fresh = record.to_dict()
        for name in recomputed:
            values[name] = fresh[name]
        for own, again in zip(values["seeds"], fresh["seeds"], strict=True):
            own.update(validation_accuracy=again["validation_accuracy"], time_s=again["time_s"])
        if "timing" in fresh:
            values["timing"] |= {
                name: fresh["timing"][name] for name in ("median_s", "reference_median_s", "ratio")
            }
        values = with_checksums(values, curves)
        record = Record.from_json(deepcopy(values), curves)
        return values, record_document(record, drawn=False).markdown()
    except Exception:  # a record that cannot be read only gets a checksum
        return with_checksums(values, curves), readme


FORGERIES: dict[str, Change] = {}
"""Forgeries that the record itself gives away, by what they claim."""
REMARKABLE: dict[str, Change] = {}
"""Forgeries that are possible for a training, but unusual: verification remarks on them."""
MODELS: dict[str, Change] = {}
"""Forgeries that evaluating the kept model gives away."""
OF_TIMING: dict[str, Change] = {}
"""Forgeries of the track ``fast``."""


def kind(text: str, of: dict[str, Change] = FORGERIES) -> Callable[[Change], Change]:
    def add(change: Change) -> Change:
        assert text not in of
        of[text] = change
        return change

    return add


def every_epoch(forged: Forged, number: int, **figures: Callable[[dict[str, Any]], Any]) -> None:
    for epoch in forged.epochs(number):
        for name, figure in figures.items():
            epoch[name] = figure(epoch)


def sets(of: dict[str, Change], text: str, *where: Any, value: Any) -> None:
    """Add the forgery that sets a value in ``record.json``."""

    def change(forged: Forged) -> None:
        inner: Any = forged.values
        for step in where[:-1]:
            inner = inner[step]
        inner[where[-1]] = value

    of[text] = change


# Digests of weights

for text, value in {
    "a digest too short": "a918e7af",
    "a digest not hexadecimal": "z" * 64,
    "a digest in capitals": "A918E7AFF1076B0EA5975D3BCCC5DD84EE32E65D64C814A52B35A3741979A5CC",
    "no digest": None,
    "a digest that is a number": 7,
}.items():
    sets(FORGERIES, text, "seeds", 3, "weights_sha256", value=value)


@kind("one digest for two seeds")
def _(forged: Forged) -> None:
    forged.seed(7)["weights_sha256"] = forged.seed(3)["weights_sha256"]


# Curves


@kind("a seed's curve copied to another")
def _(forged: Forged) -> None:
    forged.curves[7]["epochs"] = deepcopy(forged.epochs(3))


@kind("a seed's curve copied to another, its times changed")
def _(forged: Forged) -> None:
    forged.curves[7]["epochs"] = deepcopy(forged.epochs(3))
    every_epoch(forged, 7, train_time_s=lambda epoch: 1.01 * epoch["train_time_s"])
    every_epoch(
        forged,
        7,
        total_time_s=lambda epoch: epoch["train_time_s"] + 0.3,
        images_per_s=lambda epoch: TRAIN_IMAGES / epoch["train_time_s"],
    )


@kind("a seed's curve copied to another, its accuracies changed")
def _(forged: Forged) -> None:
    kept = deepcopy(forged.epochs(7))
    forged.curves[7]["epochs"] = deepcopy(forged.epochs(3))
    for epoch, own in zip(forged.epochs(7), kept, strict=True):
        for name in ("train_accuracy", "validation_accuracy", "train_time_s", "total_time_s", "images_per_s"):
            epoch[name] = own[name]


@kind("a seed's times copied to another")
def _(forged: Forged) -> None:
    for epoch, other in zip(forged.epochs(7), forged.epochs(3), strict=True):
        for name in ("train_time_s", "total_time_s", "images_per_s"):
            epoch[name] = other[name]


for text, name, figure in (
    ("a learning rate that the schedule lacks", "learning_rate", lambda epoch: 1.5 * epoch["learning_rate"]),
    ("twice the images a second", "images_per_s", lambda epoch: 2 * epoch["images_per_s"]),
    ("no images a second", "images_per_s", lambda epoch: 0.0),
    ("a total below the training's seconds", "total_time_s", lambda epoch: 0.9 * epoch["train_time_s"]),
    ("a training of no seconds", "train_time_s", lambda epoch: 0.0),
    ("a training of negative seconds", "train_time_s", lambda epoch: -epoch["train_time_s"]),
    ("a negative training loss", "train_loss", lambda epoch: -0.1),
    ("a negative validation loss", "validation_loss", lambda epoch: -0.1),
    ("a training loss of NaN", "train_loss", lambda epoch: math.nan),
    ("a validation loss of Infinity", "validation_loss", lambda epoch: math.inf),
    ("a validation loss too low for its accuracy", "validation_loss", lambda epoch: 1e-4),
    ("a training loss too low for its accuracy", "train_loss", lambda epoch: 1e-4),
    (
        "a validation accuracy of half an image",
        "validation_accuracy",
        lambda epoch: epoch["validation_accuracy"] + 5e-5,
    ),
    ("a training accuracy of half an image", "train_accuracy", lambda epoch: epoch["train_accuracy"] - 1e-5),
    ("a validation accuracy above 1", "validation_accuracy", lambda epoch: 2.0),
    ("a training accuracy below 0", "train_accuracy", lambda epoch: -0.5),
    ("an accuracy that is text", "validation_accuracy", lambda epoch: "0.995"),
    ("an accuracy that is true", "validation_accuracy", lambda epoch: True),
):
    FORGERIES[text] = lambda forged, name=name, figure=figure: every_epoch(forged, 3, **{name: figure})


@kind("a speed that no core has")
def _(forged: Forged) -> None:
    for number in range(len(forged.curves)):
        every_epoch(
            forged,
            number,
            train_time_s=lambda epoch: epoch["train_time_s"] / 1000,
            total_time_s=lambda epoch: epoch["total_time_s"] / 1000,
            images_per_s=lambda epoch: epoch["images_per_s"] * 1000,
        )


@kind("two epochs swapped")
def _(forged: Forged) -> None:
    epochs = forged.epochs(3)
    epochs[0], epochs[1] = epochs[1], epochs[0]


@kind("two epochs of one number")
def _(forged: Forged) -> None:
    forged.epochs(3)[1]["epoch"] = 1


@kind("an epoch too few")
def _(forged: Forged) -> None:
    del forged.epochs(3)[0]


@kind("an epoch's figure left out")
def _(forged: Forged) -> None:
    del forged.epochs(3)[0]["train_loss"]


@kind("a figure of an epoch that there is not")
def _(forged: Forged) -> None:
    forged.epochs(3)[0]["test_accuracy"] = 0.999


@kind("a seed's curve given twice")
def _(forged: Forged) -> None:
    better = deepcopy(forged.curves[3])
    better["epochs"][-1]["validation_accuracy"] = 0.999
    forged.curves.insert(3, better)


@kind("a curve's field that there is not")
def _(forged: Forged) -> None:
    forged.curves[3]["best_accuracy"] = 0.999


# Dates

sets(FORGERIES, "a date that does not exist", "date", value="2026-02-30")
sets(FORGERIES, "a date that is none", "date", value="yesterday")
sets(
    FORGERIES,
    "a date in the future",
    "date",
    value=f"{datetime.now(UTC).date() + timedelta(days=400)}",
)
sets(FORGERIES, "a date before the training", "date", value="2025-01-01")


def moved(text: str, **by: float) -> str:
    return (datetime.fromisoformat(text) + timedelta(**by)).isoformat()


for text, value in {
    "a training that started at no time": "2026-13-01T00:00:00+00:00",
    "a training that started in the future": f"{datetime.now(UTC) + timedelta(days=400)}",
    "a training that started without a time zone": "2026-11-26T15:00:00",
    "a training that never started": None,
}.items():
    sets(FORGERIES, text, "seeds", 3, "started", value=value)


@kind("a training that started after the reading of its test set")
def _(forged: Forged) -> None:
    forged.seed(3)["started"] = moved(forged.seed(3)["test_readings"][0]["read"], seconds=60)


@kind("a reading before the training could end")
def _(forged: Forged) -> None:
    reading = forged.seed(3)["test_readings"][0]
    reading["read"] = moved(forged.seed(3)["started"], seconds=0.5 * forged.seed(3)["time_s"])


@kind("a reading in the future")
def _(forged: Forged) -> None:
    forged.seed(3)["test_readings"][0]["read"] = moved(datetime.now(UTC).isoformat(), days=400)


@kind("a reading after the record's date")
def _(forged: Forged) -> None:
    forged.seed(3)["test_readings"][0]["read"] = moved(f"{forged.values['date']}T00:00:00+00:00", hours=30)


sets(
    FORGERIES,
    "a reading at no time",
    "seeds",
    3,
    "test_readings",
    0,
    "read",
    value="2026-11-31T00:00:00+00:00",
)

# Readings of the test set

sets(FORGERIES, "a reading of more than all images", "seeds", 3, "test_readings", 0, "correct", value=10_001)
sets(FORGERIES, "a reading of half an image", "seeds", 3, "test_readings", 0, "correct", value=9_950.5)
sets(FORGERIES, "a reading of fewer images", "seeds", 3, "test_readings", 0, "images", value=9_990)
sets(FORGERIES, "no reading", "seeds", 3, "test_readings", value=[])


@kind("two readings")
def _(forged: Forged) -> None:
    forged.seed(3)["test_readings"] *= 2


# Environment

for text, name, value in (
    ("an engine that there is not", "engine", "magic"),
    ("a precision that there is not", "precision", "fp64"),
    ("a device that there is not", "device", "tpu"),
    ("the native engine on a GPU", "device", "cuda"),
    ("an instruction set that there is not", "instruction_set", "sse9"),
    ("the native engine without an instruction set", "instruction_set", None),
    ("the native engine without its build", "native_build", None),
    ("a build that is no digest", "native_build", "release"),
    ("the torch engine with an instruction set", "engine", "torch"),
    ("code that is no digest", "code", "mine"),
    ("numerics that are text", "numerics", "1"),
    ("numerics of nought", "numerics", 0),
    ("a commit that is none", "git", "main"),
    ("no processor", "processor", ""),
    ("a processor that is a number", "processor", 7),
    ("no cores", "cores", 0),
    ("half a core", "cores", 2.5),
    ("a version that is none", "under20k", "best"),
    ("a Python that there is not", "python", "2.7.18"),
    ("packages that are text", "packages", "numpy 2.4"),
    ("a package's version that is a number", "packages", {"numpy": 2.4, "torch": None}),
    ("no system", "system", None),
):
    sets(FORGERIES, text, "environments", 0, name, value=value)


@kind("neither numerics nor code")
def _(forged: Forged) -> None:
    for name in ("numerics", "code"):
        forged.environment.pop(name, None)


for text, value in {
    "no threads": 0,
    "negative threads": -1,
    "threads in words": "one",
    "threads that are true": True,
    "a million threads": 1_000_000,
    "more threads than cores": 3,
}.items():
    sets(FORGERIES, text, "seeds", 3, "threads", value=value)


@kind("a seed of two environments")
def _(forged: Forged) -> None:
    forged.values["environments"].append(
        {**forged.environment, "seeds": [3], "processor": "A faster processor"}
    )


@kind("a seed of two environments, the first one's last")
def _(forged: Forged) -> None:
    forged.values["environments"].insert(
        0, {**forged.environment, "seeds": [3], "processor": "A faster processor"}
    )


@kind("a seed of no environment")
def _(forged: Forged) -> None:
    forged.environment["seeds"].remove(3)


@kind("an environment of no seed")
def _(forged: Forged) -> None:
    forged.values["environments"].append({**forged.environment, "seeds": []})


@kind("seeds left out")
def _(forged: Forged) -> None:
    del forged.values["seeds"][3], forged.curves[3]
    forged.environment["seeds"].remove(3)


@kind("a seed counted twice")
def _(forged: Forged) -> None:
    last = len(forged.values["seeds"])
    forged.values["seeds"].append({**deepcopy(forged.seed(3)), "seed": 3})
    forged.curves.append({**deepcopy(forged.curves[3]), "seed": 3})
    forged.environment["seeds"].append(last)


# The record as a whole

sets(FORGERIES, "a track that there is not", "track", value="fastest")
sets(FORGERIES, "a name that leaves the folder", "name", value="x/../../elsewhere")
sets(FORGERIES, "no command", "command", value="")
sets(FORGERIES, "a setting more", "bonus", value=1)
sets(FORGERIES, "a seed's figure more", "seeds", 3, "bonus", value=1)


@kind("no checksum")
def _(forged: Forged) -> None:
    forged.raw = lambda text: text.replace('"sha256":', '"checksum":')


@kind("a recipe of another learning rate")
def _(forged: Forged) -> None:
    forged.values["recipe"]["learning_rate"] *= 1.1


@kind("a recipe of fewer epochs")
def _(forged: Forged) -> None:
    forged.values["recipe"]["epochs"] -= 1


@kind("a recipe of another schedule")
def _(forged: Forged) -> None:
    forged.values["recipe"]["schedule"]["start_fraction"] = 0.05


@kind("a recipe of another batch size")
def _(forged: Forged) -> None:
    forged.values["recipe"]["batch_size"] *= 100


@kind("a setting named twice")
def _(forged: Forged) -> None:
    forged.raw = lambda text: text.replace('"date":', '"parameters": 500,\n  "date":', 1)


@kind("NaN in record.json")
def _(forged: Forged) -> None:
    forged.environment["load"] = math.nan


@kind("a number above all floats in record.json")
def _(forged: Forged) -> None:
    forged.environment["load"] = 0
    forged.raw = lambda text: text.replace('"load": 0', '"load": 1e999', 1)


@kind("seed 1 called true")
def _(forged: Forged) -> None:
    forged.raw = lambda text: text.replace('"seed": 1,', '"seed": true,', 1)


# Timing, of the track fast

for text, name, value in (
    ("timed on another processor", "processor", "A slower processor"),
    ("timed on more cores than there are", "cores", 64),
    ("timed on true cores", "cores", True),
    ("timed in words", "subject_s", ["8.0", "8.1", "8.2"]),
    ("timed in NaN", "subject_s", [8.0, math.nan, 8.2]),
    ("timed against Infinity", "reference_s", [math.inf, 150.0, 151.0]),
    ("timed in one turn", "subject_s", [8.0]),
    ("timed backwards", "subject_s", [-8.0, 8.1, 8.2]),
    ("timed against another reference", "reference", "slow, torch engine, fp32"),
    ("not timed", None, None),
):

    def change(forged: Forged, name: Any = name, value: Any = value) -> None:
        if name is None:
            del forged.values["timing"]
        else:
            forged.timing[name] = value

    OF_TIMING[text] = change


@kind("timed far faster than its seeds", OF_TIMING)
def _(forged: Forged) -> None:
    forged.timing["subject_s"] = [seconds / 6 for seconds in forged.timing["subject_s"]]


@kind("timed far slower than its seeds", OF_TIMING)
def _(forged: Forged) -> None:
    forged.timing["subject_s"] = [seconds * 30 for seconds in forged.timing["subject_s"]]


@kind("every turn alike", OF_TIMING)
def _(forged: Forged) -> None:
    for name in ("subject_s", "reference_s"):
        forged.timing[name] = [forged.timing[name][0]] * 3


@kind("on a machine of one core", OF_TIMING)
def _(forged: Forged) -> None:
    forged.environment["cores"] = 1


# What a training could have given, if hardly


@kind("a seed fifty standard deviations below the others", REMARKABLE)
def _(forged: Forged) -> None:
    forged.epochs(3)[-1]["validation_accuracy"] = 0.968


@kind("a reading fifty standard deviations below the others", REMARKABLE)
def _(forged: Forged) -> None:
    forged.seed(3)["test_readings"][0]["correct"] = 9_680


@kind("every test image right", REMARKABLE)
def _(forged: Forged) -> None:
    for seed in forged.values["seeds"]:
        seed["test_readings"][0]["correct"] = 10_000


@kind("a test set far harder than validation", REMARKABLE)
def _(forged: Forged) -> None:
    for number, seed in enumerate(forged.values["seeds"]):
        seed["test_readings"][0]["correct"] = 9_500 + number


# The kept model


def tensors_of(forged: Forged) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    data = forged.files[MODEL]
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata = {name: text for name, text in header["__metadata__"].items() if name != "sha256"}
    return {name: value.copy() for name, value in load(data).items()}, metadata


def keep(forged: Forged, tensors: dict[str, np.ndarray], metadata: dict[str, str], fitting: bool) -> None:
    """Put a model in, under a digest of its own; ``fitting``, with its digest in ``record.json`` too."""
    forged.files[MODEL] = safetensors_bytes(tensors, metadata)
    if fitting:
        forged.seed(0)["weights_sha256"] = weights_sha256(tensors)


for fitting in (False, True):
    which = "with its digest" if fitting else "alone"

    @kind(f"two signs of the model flipped, {which}", MODELS if fitting else FORGERIES)
    def _(forged: Forged, fitting: bool = fitting) -> None:
        tensors, metadata = tensors_of(forged)
        name = min(name for name in tensors if name.endswith("batch_norm.weight"))
        tensors[name][:2] *= -1
        keep(forged, tensors, metadata, fitting)

    @kind(f"a negative variance in the model, {which}", FORGERIES)
    def _(forged: Forged, fitting: bool = fitting) -> None:
        tensors, metadata = tensors_of(forged)
        name = min(name for name in tensors if name.endswith("running_var"))
        tensors[name][0] = -1
        keep(forged, tensors, metadata, fitting)


@kind("NaN in the model, with its digest")
def _(forged: Forged) -> None:
    tensors, metadata = tensors_of(forged)
    tensors["head.conv.weight"].flat[0] = np.nan
    keep(forged, tensors, metadata, True)


@kind("a model of another network, with its digest")
def _(forged: Forged) -> None:
    tensors, metadata = tensors_of(forged)
    tensors["head.conv.weight"] = tensors["head.conv.weight"][:, :-1].copy()
    keep(forged, tensors, metadata, True)


@kind("a model of another seed, by its own words")
def _(forged: Forged) -> None:
    tensors, metadata = tensors_of(forged)
    keep(forged, tensors, {**metadata, "seed": "1"}, False)


@kind("a model of another recipe, by its own words")
def _(forged: Forged) -> None:
    tensors, metadata = tensors_of(forged)
    recipe = Recipe.from_json(metadata["recipe"]).with_changes(weight_decay=1e-3)
    keep(forged, tensors, {**metadata, "recipe": recipe.to_json()}, False)


@kind("a model that is no safetensors file")
def _(forged: Forged) -> None:
    forged.files[MODEL] = b"\x80\x04K\x01."  # a pickle


@kind("no model")
def _(forged: Forged) -> None:
    del forged.files[MODEL]


@kind("a model that was never trained, with its digest", MODELS)
def _(forged: Forged) -> None:
    tensors, metadata = tensors_of(forged)
    draw = np.random.default_rng(0)
    for name, value in tensors.items():
        if name.endswith("conv.weight"):
            tensors[name] = draw.uniform(-0.1, 0.1, value.shape).astype(np.float32)
    keep(forged, tensors, metadata, True)


for images in (1, 3, -3):

    @kind(f"the kept seed's accuracy moved by {images:+} images", MODELS)
    def _(forged: Forged, images: int = images) -> None:
        last = forged.epochs(0)[-1]
        last["validation_accuracy"] = (round(10_000 * last["validation_accuracy"]) + images) / 10_000


@kind("the kept seed's validation loss moved by a hundredth", MODELS)
def _(forged: Forged) -> None:
    forged.epochs(0)[-1]["validation_loss"] *= 1.01
