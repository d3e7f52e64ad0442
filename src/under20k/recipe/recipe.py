"""How a model is trained: one frozen, validated, JSON-round-tripping description.

The same recipe means the same training on every engine. A field's ``help`` is what the command line
shows for it and what the documentation prints; its range is what construction enforces.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field, fields, replace
from typing import Any

from under20k.errors import InvalidValue, nearest
from under20k.files import parse_json
from under20k.recipe.architecture import Architecture


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A dataclass field with its help and what it allows: low ≤ value ≤ high, value < below, a choice."""
    metadata = {"help": help, "low": low, "high": high, "below": below, "choices": choices}
    return field(default=default, metadata=metadata)


class _Validated:
    """Checks every ``setting`` of a dataclass on construction against its type and range."""

    def __post_init__(self) -> None:
        for item in fields(self):  # type: ignore[arg-type]
            if item.metadata:
                checked = _check(item, getattr(self, item.name))
                object.__setattr__(self, item.name, checked)


@dataclass(frozen=True)
class Schedule(_Validated):
    """The learning rate of every step, as a multiple of the recipe's peak ``learning_rate``."""

    schedule: str = setting(
        "step",
        "shape of the learning rate: constant, step (multiplied by step_factor every step_epochs), "
        "one-cycle (linear from start_fraction up to the peak, linear down to end_fraction)",
        choices=("constant", "step", "one-cycle"),
    )
    step_epochs: int = setting(6, "step: epochs between drops", low=1, high=1000)
    step_factor: float = setting(0.1, "step: the factor of a drop", low=0, high=1)
    warmup_fraction: float = setting(
        0.25, "one-cycle: share of all steps spent rising to the peak", low=0, high=1
    )
    start_fraction: float = setting(
        0.1, "one-cycle: learning rate at the first step, as a share of the peak", low=0, high=1
    )
    end_fraction: float = setting(
        0.0, "one-cycle: learning rate after the last step, as a share of the peak", low=0, high=1
    )

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Multiple of the peak learning rate at ``step``, counted from 0 at the start of training."""
        if self.schedule == "constant":
            return 1.0
        if self.schedule == "step":
            return float(self.step_factor ** (step // steps_per_epoch // self.step_epochs))
        total = steps_per_epoch * epochs
        peak = self.warmup_fraction * total
        if step < peak:
            return self.start_fraction + (1 - self.start_fraction) * step / peak
        return 1 + (self.end_fraction - 1) * (step - peak) / (total - peak)


RANGES = ("rotation_deg", "translation_px", "scale", "shear", "elastic_px")
"""The settings of ``Augmentation`` that are ranges: all nought is no augmentation, and all fade."""


@dataclass(frozen=True)
class Augmentation(_Validated):
    """A random map for each image: affine about its centre, and elastic. All uniform within ± each value."""

    rotation_deg: float = setting(0.0, "rotation, ± degrees", low=0, high=180)
    translation_px: float = setting(0.0, "shift along each axis, ± pixels", low=0, high=28)
    # Smaller images than a tenth would leave the range of fixed-point coordinates.
    scale: float = setting(0.0, "change of size, ± fraction", low=0, high=0.9)
    shear: float = setting(0.0, "horizontal shear, ± pixels a row", low=0, high=2)
    interpolation: str = setting(
        "nearest", "how pixels are sampled: nearest or bilinear", choices=("nearest", "bilinear")
    )
    # The displacements' fixed point has room for 32 pixels.
    elastic_px: float = setting(
        0.0,
        "elastic deformation: shifts of an 8×8 grid of points, smooth between them, ± pixels",
        low=0,
        high=28,
    )
    fade_epochs: int = setting(0, "how many of the last epochs augment less", low=0, high=1000)
    fade_strength: float = setting(
        0.5, "what is left of every range in the last fade_epochs; 0 for images as they are", low=0, high=1
    )

    @property
    def active(self) -> bool:
        """Whether any image is changed at all."""
        return any(getattr(self, name) for name in RANGES)

    def in_epoch(self, epoch: int, epochs: int) -> Augmentation:
        """What ``epoch``, counted from 1, does to images: less in the last ``fade_epochs`` of ``epochs``."""
        if epoch <= epochs - self.fade_epochs:
            return self
        return replace(self, **{name: getattr(self, name) * self.fade_strength for name in RANGES})


TEACHER_SEEDS = 10**9
"""Where the seeds of teachers start, far from those that people give: else a teacher of the student's own
architecture would start with the student's weights.
"""


@dataclass(frozen=True)
class Distillation(_Validated):
    """Targets that are in part what teachers, networks trained before, say of the same augmented image.

    Of logits z, with the teachers' share s, a temperature T and q the mean of the teachers' softmax of their
    logits over T, the loss is (1 − s)·CE(label, softmax(z)) + s·T²·KL(q ‖ softmax(z / T)): Hinton, Vinyals
    and Dean, arXiv:1503.02531.
    """

    teacher: Recipe
    """Of all teachers, which differ in their seeds."""
    teachers: int = setting(
        2, "with a teacher: how many of them, each with a seed of its own", low=1, high=16
    )
    temperature: float = setting(
        2.0, "with a teacher: what divides logits before the softmax that is learnt from", low=0.1, high=100
    )
    teacher_share: float = setting(0.9, "with a teacher: the teachers' share of the loss", low=0, high=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.teacher, Recipe):
            raise InvalidValue(f"teacher: {self.teacher!r} is no Recipe")
        if self.teacher.distillation:
            raise InvalidValue(
                f"teacher: {self.teacher.name} has teachers of its own; allowed is one without"
            )

    def seeds(self, seed: int) -> range:
        """The teachers' seeds in the training with ``seed``: no two trainings have one in common.

        They start at ``TEACHER_SEEDS``. Raises InvalidValue for a ``seed`` too large to have any.
        """
        first, most = TEACHER_SEEDS + self.teachers * seed, TEACHER_SEEDS // self.teachers - 1
        if seed > most:
            raise InvalidValue(
                f"seed: {seed}; with {self.teachers} teachers, allowed are whole numbers from 0 to {most}"
            )
        return range(first, first + self.teachers)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            **{item.name: getattr(self, item.name) for item in fields(self)},
            "teacher": self.teacher.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: object) -> Distillation:
        """The inverse of ``to_dict``. Raises InvalidValue for anything else."""
        values = _fields_in(data, cls, "distillation")
        # Before it is read: a thousand of them, one in the other, would fill the stack.
        if isinstance(values["teacher"], dict) and "distillation" in values["teacher"]:
            raise InvalidValue("teacher: has teachers of its own; allowed is one without")
        return cls(**{**values, "teacher": Recipe.from_dict(values["teacher"])})


@dataclass(frozen=True)
class Recipe(_Validated):
    """Everything about a training but its seed. SGD on the mean cross-entropy of each batch."""

    name: str
    architecture: Architecture
    epochs: int = setting(8, "passes over the training images", low=1, high=1000)
    batch_size: int = setting(128, "images a step; a shorter last batch is kept", low=1, high=50_000)
    learning_rate: float = setting(0.1, "peak learning rate", low=0, high=100)
    momentum: float = setting(0.9, "SGD's momentum", low=0, below=1)
    nesterov: bool = setting(False, "Nesterov's momentum")
    weight_decay: float = setting(1e-4, "L2 penalty added to the gradient", low=0, high=1)
    decay_all: bool = setting(
        True,
        "weight decay on BatchNorm's parameters and biases too, not on convolution weights only",
    )
    label_smoothing: float = setting(
        0.0, "share of each target spread evenly over the ten classes", low=0, below=1
    )
    average_decay: float = setting(
        0.0,
        "decay of the exponential moving average of the weights used for evaluation; 0 for none",
        low=0,
        below=1,
    )
    schedule: Schedule = field(default_factory=Schedule)
    augmentation: Augmentation = field(default_factory=Augmentation)
    distillation: Distillation | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.name, str) or not self.name:
            raise InvalidValue(f"name: {self.name!r}; allowed is a text of at least one character")
        for name, kind in PARTS.items():
            if not isinstance(getattr(self, name), kind):
                raise InvalidValue(f"{name}: {getattr(self, name)!r} is no {kind.__name__}")
        if not isinstance(self.distillation, Distillation | None):
            raise InvalidValue(f"distillation: {self.distillation!r} is no Distillation")
        if self.nesterov and not self.momentum:
            raise InvalidValue(
                f"nesterov: {self.nesterov!r} needs a momentum above 0; it is {self.momentum!r}"
            )

    def learning_rate_at(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of ``step``, counted from 0 over the whole training."""
        return self.learning_rate * self.schedule.factor(step, steps_per_epoch, self.epochs)

    def with_changes(self, **changes: Any) -> Recipe:
        """A copy with settings replaced, those of its parts by their own names too.

        A ``teacher`` is a Recipe, or None for none. The name says what was changed. Raises InvalidValue for
        an unknown setting or value.
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
                raise InvalidValue(f"a recipe has no setting {name!r}; {nearest(name, known)}")
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
        """What ``with_changes`` makes of the teachers."""
        if "teacher" in changes and changes["teacher"] is None:
            return None
        if self.distillation:
            return replace(self.distillation, **changes)
        if "teacher" not in changes:
            name, value = next(iter(changes.items()))
            raise InvalidValue(f"{name}: {value!r} needs a teacher; name its recipe with --teacher")
        return Distillation(**changes)

    def differences(self, other: Recipe) -> dict[str, Any]:
        """The settings in which this recipe differs from ``other``, the name left out, with its values.

        Where only the other has teachers, that is ``teacher``, None; teachers of one name may differ, too.
        """
        mine, theirs = self.flat(), other.flat()
        if other.distillation:
            if not self.distillation:
                mine["teacher"] = None
            elif self.distillation.teacher != other.distillation.teacher:
                theirs["teacher"] = other.distillation.teacher
        return {name: value for name, value in mine.items() if value != theirs.get(name)}

    def flat(self) -> dict[str, Any]:
        """Every setting by its name, the architecture as text; of teachers, where there are any, too."""
        values: dict[str, Any] = {"architecture": str(self.architecture)}
        for part in (self, self.schedule, self.augmentation, self.distillation):
            if isinstance(part, Distillation):
                values["teacher"] = part.teacher.name
            values |= {
                name: getattr(part, name) for name, item in settings().items() if type(part) is item.owner
            }
        return values

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; without teachers, not a word of them."""
        plain = dataclasses.asdict(replace(self, distillation=None))
        del plain["distillation"]
        teaching = {"distillation": self.distillation.to_dict()} if self.distillation else {}
        return {**plain, "architecture": str(self.architecture), **teaching}

    def to_json(self) -> str:
        """The recipe as indented JSON text, the same text for equal recipes."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def derived(self) -> dict[str, Any]:
        """What follows from the architecture, as plain values: the counts of the whole and of each layer."""
        return {
            "parameters": self.architecture.parameters,
            "macs": self.architecture.macs,
            "receptive_field": self.architecture.receptive_field,
            "layers": [
                {
                    "name": layer.name,
                    "kind": layer.kind,
                    "shape": list(layer.shape),
                    "parameters": layer.parameters,
                    "macs": layer.macs,
                    "receptive_field": layer.receptive_field,
                    "jump": layer.jump,
                    "activation_bytes": layer.activation_bytes,
                }
                for layer in self.architecture.layers()
            ],
        }

    @classmethod
    def from_dict(cls, data: object) -> Recipe:
        """The inverse of ``to_dict``; what is ``derived`` may stand there too.

        Raises InvalidValue for anything else, also where it contradicts what is derived.
        """
        values = _fields_in(data, cls, "recipe", beside=DERIVED)
        stated = {name: values.pop(name) for name in DERIVED if name in values}
        if not isinstance(values["architecture"], str):
            raise InvalidValue(f"architecture: {values['architecture']!r:.80}; allowed is a text: '8,12p|3v'")
        values["architecture"] = Architecture.parse(values["architecture"])
        values["schedule"] = Schedule(**_fields_in(values["schedule"], Schedule, "schedule"))
        values["augmentation"] = Augmentation(
            **_fields_in(values["augmentation"], Augmentation, "augmentation")
        )
        if "distillation" in values:
            values["distillation"] = Distillation.from_dict(values["distillation"])
        recipe = cls(**values)
        if stated:
            derived = recipe.derived()
            for name, value in stated.items():
                if value != derived[name]:
                    shown = "they are" if name == "layers" else f"{value!r:.80} is"
                    raise InvalidValue(
                        f"{name}: {shown} not what follows from the architecture {recipe.architecture}; "
                        f"leave {name} out, or put the architecture right"
                    )
        return recipe

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """The inverse of ``to_json``. Raises InvalidValue for anything else."""
        try:
            data = parse_json(text)
        except ValueError as error:
            raise InvalidValue(f"recipe: not JSON: {error}") from error
        return cls.from_dict(data)


PARTS = {"architecture": Architecture, "schedule": Schedule, "augmentation": Augmentation}
DERIVED = ("parameters", "macs", "receptive_field", "layers")


def _fields_in(data: object, owner: type, what: str, beside: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of ``owner`` in an object from JSON, called ``what``; others may stand ``beside`` them.

    Raises InvalidValue where it is no object, one of its fields is unknown, or one that is needed is missing.
    Of the recipe itself, the parts are needed too.
    """
    if not isinstance(data, dict):
        raise InvalidValue(f"{what}: {_described(data)}; allowed is an object with fields")
    known = {item.name: item for item in fields(owner)}
    for name in data:
        if name not in known and name not in beside:
            raise InvalidValue(f"{what}: there is no field {name!r:.80}; {nearest(name, known)}")
    for name, item in known.items():
        optional = item.default is not dataclasses.MISSING
        if name not in data and not optional:
            raise InvalidValue(f"{what}: the field {name!r} is missing")
    return dict(data)


def _described(value: object) -> str:
    """A value from JSON, as JSON calls it."""
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


@dataclass(frozen=True)
class Setting:
    """A recipe's setting as the command line and the documentation show it."""

    owner: type
    kind: type
    default: Any
    help: str
    choices: tuple[str, ...]


def settings() -> dict[str, Setting]:
    """Every setting of a recipe but name, architecture and teacher, those of its parts too, by its name."""
    return {
        item.name: Setting(
            owner, type(item.default), item.default, item.metadata["help"], item.metadata["choices"]
        )
        for owner in (Recipe, Schedule, Augmentation, Distillation)
        for item in fields(owner)
        if item.metadata
    }


def _check(item: dataclasses.Field[Any], value: Any) -> Any:
    """``value`` as the field's type, or InvalidValue with the field's name, the value and what is allowed."""
    kind: type = type(item.default)
    low, high, below, choices = (item.metadata[key] for key in ("low", "high", "below", "choices"))
    fits = type(value) is kind or (kind is float and type(value) is int)
    if isinstance(value, float):
        fits = fits and math.isfinite(value)
    if fits:
        fits = (
            (low is None or value >= low)
            and (high is None or value <= high)
            and (below is None or value < below)
            and (not choices or value in choices)
        )
    if fits:
        return kind(value)
    if choices:
        allowed = "one of " + ", ".join(choices)
    elif kind is bool:
        allowed = "true and false"
    else:
        number = "a whole number" if kind is int else "a number"
        allowed = f"{number} from {low:g} " + (
            f"to {high:g}" if below is None else f"up to, but not, {below:g}"
        )
    raise InvalidValue(f"{item.name}: {value!r}; allowed is {allowed}")
