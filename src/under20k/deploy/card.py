"""The pretrained models of the package: weights in ``pretrained/``, each with a card that says what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from under20k.errors import UserError, in_words, nearest
from under20k.files import check_format, read_json
from under20k.formatting import percent
from under20k.recipe.named import RECIPES
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors
from under20k.runs.model_files import read_model

FORMAT = 1
FOLDER = Path(__file__).parent / "pretrained"
PREFERRED = ("robust", "regularized-plus")
"""The first of them that is there reads pictures by default."""


@dataclass(frozen=True)
class Validation:
    """Validation accuracy of a recipe at the last epoch over several seeds, as fractions."""

    n: int
    mean: float
    sd: float

    def __str__(self) -> str:
        return f"{100 * self.mean:.3f} ± {100 * self.sd:.3f} %"


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error on the validation split, in 15 bins."""

    error_before: float
    """At temperature 1."""
    error_after: float
    """At the temperature fitted on one half, measured on the other, both ways."""


@dataclass(frozen=True)
class Refusal:
    """How often the threshold is wrong, as fractions (docs/reading.md says of what)."""

    refused: Mapping[str, float]
    """Of digits that would be read rightly, by collection."""
    accepted: Mapping[str, float]
    """Of what is no digit, by kind."""


@dataclass(frozen=True, repr=False)
class Card:
    """What a pretrained model is. Accuracies are fractions."""

    name: str
    recipe: Recipe
    seed: int
    record: str | None
    """Its record's folder in the repository, such as ``records/small/2026-11-27-shared-weights``."""
    bench: str | None
    """Without a record, the folder of its recipe's bench in ``results/``."""
    validation: Validation
    """Of the seeds of the record or the bench."""
    validation_accuracy: float
    """Its own, at the last epoch, as measured by the training."""
    test_accuracy: float
    """Its own, of its first reading of the test set."""
    training: Mapping[str, Any]
    """The environment of its training, as in ``environment.json``, as far as it determines the bits."""
    weights_sha256: str
    """Of names, shapes and values (``runs.records.kept_model.weights_sha256``)."""
    temperature: float = 1.0
    """The logits are divided by it before the softmax; fitted on validation."""
    threshold: float | None = None
    """What is less sure than this is not believed to be a digit."""
    calibration: Calibration | None = None
    refusal: Refusal | None = None

    def __repr__(self) -> str:
        return (
            f"Card({self.name}: {self.recipe.architecture.parameters:,} parameters, seed {self.seed}, "
            f"validation {percent(self.validation_accuracy)} (recipe: {self.validation}), "
            f"test {percent(self.test_accuracy)})"
        )

    def weights(self) -> Tensors:
        """Return the trained weights. Raises UserError if the package was damaged."""
        return read_model(FOLDER / f"{self.name}.safetensors", self.recipe, self.seed)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "format": FORMAT,
            **asdict(self),
            "recipe": self.recipe.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Card:
        """Return the card of ``to_dict``'s values. Raises what Python raises if they are of another form."""
        fields = {**values}
        del fields["format"]
        fields["recipe"] = Recipe.from_dict(fields["recipe"])
        fields["validation"] = Validation(**fields["validation"])
        for name, kind in (("calibration", Calibration), ("refusal", Refusal)):
            if fields.get(name) is not None:
                fields[name] = kind(**fields[name])
        return cls(**fields)

    @classmethod
    def open(cls, path: Path) -> Card:
        """Return the card in a JSON file. Raises UserError if it cannot be read."""
        values = check_format(read_json(path), (FORMAT,), f"{path} is a card")
        try:
            return cls.from_dict(values)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path} is damaged: {in_words(error)}") from error


@cache
def cards() -> dict[str, Card]:
    """Return the cards of the pretrained models by name: the named recipes first, then the records."""
    found = [Card.open(path) for path in sorted(FOLDER.glob("*.json"))]
    order = list(RECIPES)
    found.sort(key=lambda card: order.index(card.name) if card.name in order else len(order))
    return {card.name: card for card in found}


def names() -> list[str]:
    """Return the names of the pretrained models, without reading their cards."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def default_name() -> str:
    """Return the name of the model that reads pictures by default."""
    return next(name for name in PREFERRED if name in names())


def card(name: str) -> Card:
    """Return the card of a pretrained model. Raises UserError, with the nearest name, if there is none."""
    try:
        return cards()[name]
    except KeyError:
        raise UserError(f"there is no pretrained model {name!r}; {nearest(name, names())}") from None
