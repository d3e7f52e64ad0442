"""How a model is trained: one frozen, validated description, to and from JSON.

The same recipe means the same training on every engine. A field's ``help`` is its text in ``--help`` and in
the documentation; its range is enforced on construction.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field, fields, replace
from typing import Any, Unpack

from under20k.drawing import Drawable
from under20k.errors import InvalidValue, UserError, nearest
from under20k.files import parse_json
from under20k.formatting import title
from under20k.recipe.architecture import Architecture
from under20k.recipe.changes import RecipeChanges, lists_changes
from under20k.recipe.customary import suggestion
from under20k.recipe.fields import Setting, Validated, json_fields, plain_values, setting, settings_of
from under20k.recipe.limits import TRAIN_IMAGES
from under20k.recipe.own_model import OwnModel


@dataclass(frozen=True)
class Schedule(Validated):
    """The learning rate of every step, as a multiple of the recipe's peak ``learning_rate``."""

    schedule: str = setting(
        "step",
        "learning rate schedule: constant, step (multiplied by step_factor every step_epochs), "
        "one-cycle (linear from start_fraction up to the peak, linear down to end_fraction)",
        choices=("constant", "step", "one-cycle"),
    )
    step_epochs: int = setting(6, "step: epochs between drops", low=1, high=1000)
    step_factor: float = setting(0.1, "step: factor of each drop", low=0, high=1)
    warmup_fraction: float = setting(
        0.25, "one-cycle: fraction of all steps that rise to the peak", low=0, high=1
    )
    start_fraction: float = setting(
        0.1, "one-cycle: learning rate at the first step, as a fraction of the peak", low=0, high=1
    )
    end_fraction: float = setting(
        0.0, "one-cycle: learning rate after the last step, as a fraction of the peak", low=0, high=1
    )

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Return the multiple of the peak learning rate at a step.

        Args:
            step: counted from 0 at the start of training.
            steps_per_epoch: batches of an epoch, a shorter last one included.
            epochs: length of the whole training.
        """
        if self.schedule == "constant":
            return 1.0
        if self.schedule == "step":
            return float(self.step_factor ** (step // steps_per_epoch // self.step_epochs))
        total = steps_per_epoch * epochs
        peak = self.warmup_fraction * total
        if step < peak:
            return self.start_fraction + (1 - self.start_fraction) * step / peak
        return 1 + (self.end_fraction - 1) * (step - peak) / (total - peak)


WARPS = ("rotation_deg", "translation_px", "scale", "shear", "elastic_px")
"""The settings of ``Augmentation`` that move pixels."""
FILTERS = ("stroke_px", "low_resolution", "bitmap")
"""Those that change pixel values after that."""
RANGES = (*WARPS, *FILTERS)
"""All ranges and fractions of ``Augmentation``: if they are zero, no image is changed; all fade."""


@dataclass(frozen=True)
class Augmentation(Validated):
    """A random transform of each image: affine about its centre, elastic, and filters.

    Each range's parameter is drawn uniformly within ± its value; fractions say how many images are changed.
    """

    rotation_deg: float = setting(0.0, "random rotation, ± degrees", low=0, high=180)
    translation_px: float = setting(0.0, "random shift along each axis, ± pixels", low=0, high=28)
    # Images scaled below a tenth would leave the range of the fixed-point coordinates.
    scale: float = setting(0.0, "random scaling, ± fraction of the size", low=0, high=0.9)
    shear: float = setting(0.0, "random horizontal shear, ± pixels per row", low=0, high=2)
    interpolation: str = setting(
        "nearest", "interpolation of transformed images: nearest or bilinear", choices=("nearest", "bilinear")
    )
    # The displacements' fixed-point format holds up to 32 pixels.
    elastic_px: float = setting(
        0.0,
        "elastic deformation: random shifts of an 8×8 control grid, interpolated smoothly, ± pixels",
        low=0,
        high=28,
    )
    stroke_px: float = setting(
        0.0, "random change of the stroke width, ± pixels", low=0, high=4, omitted=True
    )
    low_resolution: float = setting(
        0.0, "fraction of images that pass through a lower resolution", low=0, high=1, omitted=True
    )
    bitmap: float = setting(
        0.0, "fraction of images that are reduced to black and white", low=0, high=1, omitted=True
    )
    fade_epochs: int = setting(0, "number of last epochs with weaker augmentation", low=0, high=1000)
    fade_strength: float = setting(
        0.5,
        "factor on every augmentation range and fraction in the last fade_epochs; 0 turns augmentation off "
        "there",
        low=0,
        high=1,
    )

    @property
    def active(self) -> bool:
        """Tell whether any image is changed at all."""
        return self.warps or self.filters

    @property
    def warps(self) -> bool:
        """Tell whether pixels are moved."""
        return any(getattr(self, name) for name in WARPS)

    @property
    def filters(self) -> bool:
        """Tell whether pixel values are changed after that."""
        return any(getattr(self, name) for name in FILTERS)

    def in_epoch(self, epoch: int, epochs: int) -> Augmentation:
        """Return the augmentation of ``epoch``, counted from 1: weaker in the last ``fade_epochs``."""
        if epoch <= epochs - self.fade_epochs:
            return self
        return replace(self, **{name: getattr(self, name) * self.fade_strength for name in RANGES})


TEACHER_SEEDS = 10**9
"""First seed of a teacher, far from the seeds people use: a teacher with the student's architecture and seed
would start from the student's weights.
"""


@dataclass(frozen=True)
class Distillation(Validated):
    """Distillation: soft targets from teachers, networks trained beforehand, on the same augmented images.

    With the student's logits z, teacher share s, temperature T and soft targets q, the mean of the teachers'
    softmax(logits / T), the loss is (1 − s)·CE(label, softmax(z)) + s·T²·KL(q ‖ softmax(z / T)): Hinton,
    Vinyals and Dean, arXiv:1503.02531.
    """

    teacher: Recipe
    """Recipe of every teacher; they differ only in their seeds."""
    teachers: int = setting(
        2, "distillation: number of teachers, each trained with its own seed", low=1, high=16
    )
    temperature: float = setting(
        2.0,
        "distillation temperature: logits are divided by it before the softmax",
        low=0.1,
        high=100,
    )
    teacher_share: float = setting(
        0.9, "distillation: weight of the teachers' soft targets in the loss", low=0, high=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.teacher, Recipe):
            raise InvalidValue(f"teacher: {self.teacher!r} is not a Recipe")
        if self.teacher.distillation:
            raise InvalidValue(
                f"teacher: {self.teacher.name} has teachers of its own; expected one without distillation"
            )

    def seeds(self, seed: int) -> range:
        """Return the seeds, from ``TEACHER_SEEDS`` on, of the teachers in the training with ``seed``.

        Trainings with different seeds have no teacher in common. Raises InvalidValue where ``seed`` is too
        large for that.
        """
        first, last = TEACHER_SEEDS + self.teachers * seed, TEACHER_SEEDS // self.teachers - 1
        if seed > last:
            raise InvalidValue(
                f"seed: {seed}; with {self.teachers} teachers, expected a whole number from 0 to {last}"
            )
        return range(first, first + self.teachers)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            **{item.name: getattr(self, item.name) for item in fields(self)},
            "teacher": self.teacher.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: object) -> Distillation:
        """Invert ``to_dict``. Raises InvalidValue for anything else."""
        values = json_fields(data, cls, "distillation")
        # Before it is read: a thousand nested teachers would overflow the stack.
        if isinstance(values["teacher"], dict) and "distillation" in values["teacher"]:
            raise InvalidValue("teacher: has teachers of its own; expected one without distillation")
        return cls(**{**values, "teacher": Recipe.from_dict(values["teacher"])})


@dataclass(frozen=True)
class Recipe(Validated, Drawable):
    """Everything about a training except its seed: SGD on the mean cross-entropy of each batch."""

    name: str
    architecture: Architecture | OwnModel
    epochs: int = setting(8, "number of passes over the training images", low=1, high=1000)
    batch_size: int = setting(128, "images per step; a shorter last batch is kept", low=1, high=TRAIN_IMAGES)
    learning_rate: float = setting(0.1, "peak learning rate", low=0, high=100)
    momentum: float = setting(0.9, "SGD momentum", low=0, below=1)
    nesterov: bool = setting(False, "Nesterov momentum")
    weight_decay: float = setting(
        1e-4, "L2 penalty: this times the weights is added to the gradient", low=0, high=1
    )
    decay_all: bool = setting(
        True,
        "apply weight decay to BatchNorm parameters and biases too, not only to convolution weights",
    )
    label_smoothing: float = setting(
        0.0, "fraction of each target spread evenly over the ten classes", low=0, below=1
    )
    average_decay: float = setting(
        0.0,
        "decay of the exponential moving average of the weights, which evaluation uses; 0 for no averaging",
        low=0,
        below=1,
    )
    drawn_share: float = setting(
        0.0,
        "fraction of each batch that is digits drawn by the program instead of MNIST's",
        low=0,
        below=1,
        omitted=True,
    )
    schedule: Schedule = field(default_factory=Schedule)
    augmentation: Augmentation = field(default_factory=Augmentation)
    distillation: Distillation | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.name, str) or not self.name:
            raise InvalidValue(f"name: {self.name!r}; expected a text of at least one character")
        for name, kind in PARTS.items():
            if not isinstance(getattr(self, name), kind):
                wanted = kind.__name__ if isinstance(kind, type) else "Architecture"
                raise InvalidValue(f"{name}: {getattr(self, name)!r} is not of type {wanted}")
        if not isinstance(self.distillation, Distillation | None):
            raise InvalidValue(f"distillation: {self.distillation!r} is not a Distillation")
        if self.nesterov and not self.momentum:
            raise InvalidValue(
                f"nesterov: {self.nesterov!r}; it needs a momentum above 0, not {self.momentum!r}"
            )

    def __repr__(self) -> str:
        epochs = f"{self.epochs} epoch{'s' * (self.epochs > 1)}"
        return f"Recipe({title(self.name)}: {self.architecture.parameters:,} parameters, {epochs})"

    @property
    def in_notation(self) -> Architecture:
        """The architecture of a line of text. Raises UserError for a model of the user's own."""
        if isinstance(self.architecture, OwnModel):
            raise UserError(f"{self.name} is a model of its own, not an architecture such as 8,12p|3v")
        return self.architecture

    @property
    def steps(self) -> int:
        """Return the number of steps of an epoch on all training images."""
        return -(-TRAIN_IMAGES // self.batch_size)

    @property
    def own(self) -> OwnModel | None:
        """The user's own model, if the recipe trains one."""
        return self.architecture if isinstance(self.architecture, OwnModel) else None

    def learning_rate_at(self, step: int, steps_per_epoch: int) -> float:
        """Return the learning rate of ``step``, counted from 0 over the whole training."""
        return self.learning_rate * self.schedule.factor(step, steps_per_epoch, self.epochs)

    @lists_changes
    def with_changes(self, **changes: Unpack[RecipeChanges]) -> Recipe:
        """Return a copy with some settings, its parts' included, replaced; its name lists the changes.

        ``teacher`` is a Recipe, or None for no distillation. Raises InvalidValue for an unknown setting or
        an invalid value.
        """
        own: dict[str, Any] = {}
        nested: dict[str, dict[str, Any]] = {"schedule": {}, "augmentation": {}, "distillation": {}}
        known = settings()
        for name, value in changes.items():
            if name == "architecture":
                own[name] = Architecture.parse(value) if isinstance(value, str) else value
            elif name == "teacher":
                nested["distillation"][name] = value
            elif name not in known:
                also = suggestion(name, (*known, "architecture", "teacher")) or nearest(name, known)
                raise InvalidValue(f"recipes have no setting {name!r}; {also}")
            elif (owner := known[name].owner) is Recipe:
                own[name] = value
            else:
                nested[owner.__name__.lower()][name] = value
        if values := nested.pop("distillation"):
            own["distillation"] = self._distillation(values)
        for part, values in nested.items():
            if values:
                own[part] = replace(getattr(self, part), **values)
        changed = replace(self, **own)
        differences = changed.differences(self)
        if not differences:
            return self
        suffix = "".join(f"+{name}={value}" for name, value in differences.items())
        return replace(changed, name=self.name + suffix)

    def _distillation(self, changes: dict[str, Any]) -> Distillation | None:
        """Return the distillation with ``changes``, at least one, applied; None if the teacher is None."""
        if "teacher" in changes and changes["teacher"] is None:
            return None
        if self.distillation:
            return replace(self.distillation, **changes)
        if "teacher" not in changes:
            name, value = next(iter(changes.items()))
            raise InvalidValue(f"{name}: {value!r}; this needs a teacher: name a recipe with --teacher")
        return Distillation(**changes)

    def differences(self, other: Recipe) -> dict[str, Any]:
        """Return this recipe's values of all settings, the name aside, that differ from ``other``'s.

        If only the other has teachers, ``teacher`` is None; two teachers of the same name may differ.
        """
        mine, theirs = self.flat(), other.flat()
        if other.distillation:
            if not self.distillation:
                mine["teacher"] = None
            elif self.distillation.teacher != other.distillation.teacher:
                theirs["teacher"] = other.distillation.teacher
        return {name: value for name, value in mine.items() if value != theirs.get(name)}

    def flat(self) -> dict[str, Any]:
        """Return every setting by its name: the architecture as text, distillation's only if it is set.

        The text of a model of the user's ends in its digest.
        """
        text = str(self.architecture)
        if isinstance(self.architecture, OwnModel):
            text += f" [{self.architecture.digest}]"
        values: dict[str, Any] = {"architecture": text}
        for part in (self, self.schedule, self.augmentation, self.distillation):
            if isinstance(part, Distillation):
                values["teacher"] = part.teacher.name
            values |= {
                name: getattr(part, name) for name, item in settings().items() if type(part) is item.owner
            }
        return values

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; ``distillation`` is omitted if unset, and some settings' defaults."""
        plain = plain_values(self)
        del plain["distillation"]
        parts = {"schedule": plain_values(self.schedule), "augmentation": plain_values(self.augmentation)}
        distillation = {"distillation": self.distillation.to_dict()} if self.distillation else {}
        network = self.architecture
        architecture = network.to_dict() if isinstance(network, OwnModel) else str(network)
        return {**plain, "architecture": architecture, **parts, **distillation}

    def to_json(self) -> str:
        """Return the recipe as indented JSON; equal recipes give equal text."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def derived(self) -> dict[str, Any]:
        """Return the counts that follow from the architecture, in all and per layer, as plain values."""
        return {
            "parameters": self.architecture.parameters,
            "macs": self.architecture.macs,
            "receptive_field": self.architecture.receptive_field,
            "layers": [
                {
                    **dataclasses.asdict(layer),
                    "shape": list(layer.shape),
                    "activation_bytes": layer.activation_bytes,
                }
                for layer in self.architecture.layers()
            ],
        }

    @classmethod
    def from_dict(cls, data: object) -> Recipe:
        """Invert ``to_dict``, optionally with the values of ``derived``.

        Raises InvalidValue for anything else, and for a derived value that contradicts the architecture.
        """
        values = json_fields(data, cls, "recipe", also=DERIVED)
        stated = {name: values.pop(name) for name in DERIVED if name in values}
        match values["architecture"]:
            case str(text):
                values["architecture"] = Architecture.parse(text)
            case dict(model):
                values["architecture"] = OwnModel.from_dict(model)
            case other:
                raise InvalidValue(f"architecture: {other!r:.80}; expected a text: '8,12p|3v'")
        values["schedule"] = Schedule(**json_fields(values["schedule"], Schedule, "schedule"))
        values["augmentation"] = Augmentation(
            **json_fields(values["augmentation"], Augmentation, "augmentation")
        )
        if "distillation" in values:
            values["distillation"] = Distillation.from_dict(values["distillation"])
        recipe = cls(**values)
        if stated:
            derived = recipe.derived()
            for name, value in stated.items():
                if value != derived[name]:
                    shown = "they contradict" if name == "layers" else f"{value!r:.80} contradicts"
                    raise InvalidValue(
                        f"{name}: {shown} the architecture {recipe.architecture}; "
                        f"remove {name}, or correct the architecture"
                    )
        return recipe

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Invert ``to_json``. Raises InvalidValue for anything else."""
        try:
            data = parse_json(text)
        except ValueError as error:
            raise InvalidValue(f"recipe: not JSON: {error}") from error
        return cls.from_dict(data)


PARTS = {"architecture": Architecture | OwnModel, "schedule": Schedule, "augmentation": Augmentation}
DERIVED = ("parameters", "macs", "receptive_field", "layers")


def settings() -> dict[str, Setting]:
    """Return every setting of a recipe and its parts by name, except name, architecture and teacher."""
    return settings_of(Recipe, Schedule, Augmentation, Distillation)
