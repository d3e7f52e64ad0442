"""Where a trained model comes from, and what is known of it: for model cards."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from under20k.deploy.card import Card, Validation
from under20k.errors import UserError
from under20k.runs.bench.statistics import Sample
from under20k.runs.leaderboard import readings_of
from under20k.runs.records.record import Record
from under20k.runs.run import Run

LICENSE = "MIT"
"""Of the package, and so of the weights in it."""
KINDS = ("pretrained", "run", "record", "weights")
ENVIRONMENT = ("engine", "precision", "instruction_set", "device", "processor", "system", "under20k", "git")


@dataclass(frozen=True)
class Origin:
    """What is known of a model beside recipe and weights; None is what is not. Accuracies are fractions."""

    kind: str
    """One of ``KINDS``."""
    seed: int
    validation_accuracy: float | None = None
    """At the last epoch, as measured by the training."""
    test_accuracy: float | None = None
    """Of the model's first reading of the test set."""
    validation: Validation | None = None
    """Of the recipe over several seeds."""
    license: str | None = None
    """Of the weights. Those of a run or a record are their owner's, for whom nothing is claimed."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """The environment of the training, as in ``environment.json``."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Origin:
        """Return the origin of ``to_dict``'s values. Raises what Python raises for others."""
        fields = {**values}
        if fields.get("validation") is not None:
            fields["validation"] = Validation(**fields["validation"])
        origin = cls(**fields)
        origin._check()
        return origin

    def _check(self) -> None:
        sample = self.validation
        numbers = [
            self.validation_accuracy,
            self.test_accuracy,
            *([sample.mean, sample.sd] if sample else []),
        ]
        for value in numbers:
            if value is not None and (isinstance(value, bool) or not 0 <= value <= 1):
                raise ValueError(f"an accuracy is {value!r}")
        counts = [self.seed, *([sample.n] if sample else [])]
        if any(type(count) is not int for count in counts):
            raise TypeError(f"a count is among {counts!r} that is no whole number")
        if self.kind not in KINDS or not isinstance(self.license, str | None):
            raise ValueError(f"the origin is {self.kind!r} with the licence {self.license!r}")
        if not isinstance(self.training, Mapping):
            raise TypeError(f"the training is {self.training!r}")


def of_card(card: Card) -> Origin:
    """Return the origin of a pretrained model."""
    return Origin(
        "pretrained",
        card.seed,
        card.validation_accuracy,
        card.test_accuracy,
        card.validation,
        LICENSE,
        _known(card.training),
    )


def of_run(run: Run) -> Origin:
    """Return the origin of a finished run's model, without the accuracies of damaged files."""
    accuracy = test_accuracy = None
    with contextlib.suppress(UserError):
        accuracy = run.metrics()[-1].validation_accuracy
    with contextlib.suppress(UserError):
        test_accuracy = next(iter(readings_of(run)), None)
    return Origin("run", run.seed, accuracy, test_accuracy, training=_known(run.session))


def of_record(record: Record) -> Origin:
    """Return the origin of the model that a record keeps, its first seed's."""
    first = record.bench.seeds[0]
    readings = record.readings.get(first.seed, ())
    sample = Sample.of([seed.validation_accuracy for seed in record.bench.seeds])
    return Origin(
        "record",
        first.seed,
        first.validation_accuracy,
        readings[0].accuracy if readings else None,
        _validation(sample),
        training=_known(first.environment),
    )


def _validation(sample: Sample) -> Validation | None:
    return None if sample.sd is None else Validation(sample.n, sample.mean, sample.sd)


def _known(environment: Mapping[str, Any]) -> dict[str, Any]:
    return {name: environment[name] for name in ENVIRONMENT if environment.get(name)}
