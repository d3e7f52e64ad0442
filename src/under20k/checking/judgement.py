"""The result of checking one model, and its JSON form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from under20k.checking.findings import STATUSES, Finding, missed

if TYPE_CHECKING:
    from under20k.checking.source.claims import Claims


class Malformed(ValueError):
    """A value is not a report of a check."""


@dataclass(frozen=True)
class Layer:
    """Facts about one operation of the model, for one image."""

    name: str
    type: str
    shape: tuple[int, ...]
    """Of the output, without N."""
    parameters: int
    macs: int
    receptive_field: int
    """Side in pixels."""
    jump: float
    """Distance in pixels between the receptive fields of neighbouring outputs."""
    batch_norm_after: bool | None
    """None for anything but a convolution."""
    activation: str | None
    followed_by: tuple[str, ...]
    source: str
    """``file:line`` in the author's code, or empty."""


@dataclass(frozen=True)
class Accuracy:
    """The accuracy of given weights, or why it could not be measured."""

    split: str
    images: int
    normalisation: str
    mean: float | int
    std: float | int
    normalisation_is: str
    """``given`` or ``found``."""
    train_images: int | None = None
    """Number of images that the normalisation was found on."""
    train_correct: int | None = None
    batch_norm_distance: float | None = None
    """From the inputs to the first BatchNorm's running statistics; None without BatchNorm."""
    warning: str | None = None
    """Why no accuracy is given."""
    correct: int | None = None
    accuracy: float | None = None
    """A fraction."""
    inputs: str | None = None
    """How the images differ from x/255 before the normalisation; None where they don't."""

    def to_json(self) -> dict[str, object]:
        """Return the fields that apply."""
        found = self.normalisation_is == "found"
        return {
            name: value
            for name, value in asdict(self).items()
            if value is not None or (name == "batch_norm_distance" and found)
        }

    @classmethod
    def from_json(cls, row: object) -> Accuracy:
        """Invert ``to_json``. Raises Malformed for anything else."""
        if not isinstance(row, dict):
            raise Malformed("accuracy is not an object")
        names = [field.name for field in fields(cls)]
        read: Accuracy = _typed(cls, {name: row.get(name) for name in names})
        if read.warning is None and (read.correct is None or read.accuracy is None):
            raise Malformed("neither an accuracy nor a warning")
        return read


@dataclass(frozen=True)
class Judgement:
    """The findings on one model, or the reason why it was not judged.

    At most one of ``error``, ``no_model`` and ``weights_error`` is set; without one, the model was judged.
    """

    error: str | None = None
    """Why the model is broken."""
    no_model: str | None = None
    """Why the source has no model."""
    weights_error: str | None = None
    """Why the weights of ``--accuracy`` do not fit the model."""
    profile: str = ""
    parameters: int | None = None
    macs: int | None = None
    findings: tuple[Finding, ...] = ()
    layers: tuple[Layer, ...] = ()
    notes: tuple[str, ...] = ()
    """Remarks on how the source was read and the model was run."""
    accuracy: Accuracy | None = None
    model: str = ""
    """Name of the class, factory or instance that was judged; empty for recipes and runs."""
    others: tuple[str, ...] = ()
    """The other model classes of its file."""
    calls: tuple[str, ...] = ()
    """Calls of the constructor in the source."""
    claims: Claims | None = None
    """Figures stated by the source, unverified; None for recipes and runs."""

    @property
    def word(self) -> str:
        """``passed``, ``failed``, ``broken`` or ``no model``."""
        if self.no_model is not None:
            return "no model"
        return "broken" if self.error is not None else "failed" if missed(self.findings) else "passed"

    @property
    def passed(self) -> bool:
        """Whether the model was judged and meets every requirement."""
        return self.word == "passed"

    @property
    def reason(self) -> str:
        """Why the model was not judged, or empty."""
        return self.error or self.no_model or ""

    @property
    def missed_rules(self) -> list[str]:
        """The required rules that the model misses."""
        return missed(self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the fields that apply, as JSON values."""
        row: dict[str, Any] = {}
        for name in ("error", "no_model", "weights_error"):
            if (reason := getattr(self, name)) is not None:
                row[name] = reason
        judged = not row
        if judged:
            row |= {
                "profile": self.profile,
                "passed": not self.missed_rules,
                "parameters": self.parameters,
                "macs": self.macs,
                "findings": [asdict(finding) for finding in self.findings],
                "layers": [asdict(layer) for layer in self.layers],
            }
        if judged or self.model or self.notes:
            row["notes"] = list(self.notes)
        if self.accuracy is not None:
            row["accuracy"] = self.accuracy.to_json()
        if self.model:
            row |= {"model": self.model, "others": list(self.others), "calls": list(self.calls)}
        if self.claims is not None:
            row["claimed"] = self.claims.to_json()
        return row

    @classmethod
    def from_report(cls, report: object) -> Judgement:
        """Read the JSON value that a model's process reports.

        The model's own code could have written it: every value is checked by its exact type, control
        characters, which steer terminals, are replaced, and unknown names are dropped.

        Raises Malformed.
        """
        if not isinstance(report, dict):
            raise Malformed("not an object")
        if "weights_error" in report:
            return cls(weights_error=_typed(str, report["weights_error"]))
        if "error" in report:
            notes = _typed(tuple[str, ...], report.get("notes", []))
            return cls(error=_typed(str, report["error"]), notes=notes)
        judgement = cls(
            profile=_typed(str, report.get("profile")),
            parameters=_typed(int, report.get("parameters")),
            macs=_typed(int, report.get("macs")),
            findings=_typed(tuple[Finding, ...], report.get("findings")),
            layers=_typed(tuple[Layer, ...], report.get("layers")),
            notes=_typed(tuple[str, ...], report.get("notes")),
            accuracy=Accuracy.from_json(report["accuracy"]) if "accuracy" in report else None,
        )
        if any(finding.status not in STATUSES for finding in judgement.findings):
            raise Malformed("unknown status")
        if _typed(bool, report.get("passed")) is not judgement.passed:
            raise Malformed("the result contradicts the findings")
        return judgement


def _typed(kind: Any, value: object) -> Any:
    """Return the JSON value as ``kind``: a plain type, a union, a tuple of one type, or a dataclass.

    By the exact type, since True is an int too. Raises Malformed.
    """
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        if not isinstance(value, Mapping) or value.keys() != hints.keys():
            raise Malformed(f"not the fields of {kind.__name__}")
        return kind(**{name: _typed(hint, value[name]) for name, hint in hints.items()})
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise Malformed("not a list")
        return tuple(_typed(get_args(kind)[0], item) for item in value)
    kinds = get_args(kind) if get_origin(kind) is UnionType else (kind,)
    if type(value) not in kinds:
        raise Malformed(f"not {kind}")
    if isinstance(value, str):
        return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", value)
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
