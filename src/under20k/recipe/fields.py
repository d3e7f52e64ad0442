"""Checks of single values, and dataclass fields that carry their own check.

Every refusal is an InvalidValue of one form: ``epochs: 0; expected a whole number from 1 to 1000``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from types import UnionType
from typing import Any

from under20k.errors import InvalidValue, nearest
from under20k.recipe.customary import suggestion


def whole_number(name: str, value: object, low: int, high: int) -> int:
    """Return ``value`` as an int if it is one (not a bool) with low ≤ value ≤ high.

    Args:
        name: the value's name in the error.
        value: the value to check, of any type.
        low: smallest allowed value.
        high: largest allowed value.

    Raises:
        InvalidValue: for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _invalid(name, value, f"a whole number from {low} to {high}")
    return int(value)


def number(name: str, value: object, low: float, high: float, *, open_end: bool = False) -> float:
    """Return ``value`` as a float if it is an int or float with low ≤ value ≤ high.

    Args:
        name: the value's name in the error.
        value: the value to check, of any type.
        low: smallest allowed value.
        high: largest allowed value.
        open_end: exclude ``high`` itself.

    Raises:
        InvalidValue: for anything else, NaN included.
    """
    fits = not isinstance(value, bool) and isinstance(value, int | float) and low <= value <= high
    if not fits or (open_end and value == high):
        end = f" up to, but not including, {high:g}" if open_end else f" to {high:g}"
        raise _invalid(name, value, f"a number from {low:g}{end}")
    return float(value)  # type: ignore[arg-type]  # a number, as checked above


def flag(name: str, value: object) -> bool:
    """Return ``value`` if it is True or False. Raises InvalidValue otherwise."""
    if not isinstance(value, bool):
        raise _invalid(name, value, "true or false")
    return value


def choice(name: str, value: object, choices: Collection[str]) -> str:
    """Return ``value`` if it is one of the choices.

    Args:
        name: the value's name in the error.
        value: the value to check, of any type.
        choices: the allowed texts.

    Raises:
        InvalidValue: for anything else.
    """
    if not isinstance(value, str) or value not in choices:
        raise _invalid(name, value, f"one of {', '.join(choices)}")
    return value


def instance(name: str, value: object, kinds: type | UnionType, expected: str) -> None:
    """Check the type of a function's argument.

    Args:
        name: the argument's name in the error.
        value: the value to check, of any type.
        kinds: the allowed types.
        expected: these types in words.

    Raises:
        InvalidValue: for a value of another type.
    """
    if not isinstance(value, kinds):
        raise _invalid(name, value, expected)


def _invalid(name: str, value: object, expected: str) -> InvalidValue:
    return InvalidValue(f"{name}: {value!r:.80}; expected {expected}")


@dataclass(frozen=True)
class Setting:
    """A dataclass field as the command line and the documentation show it."""

    owner: type
    kind: type
    default: Any
    help: str
    choices: tuple[str, ...]


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] = (),
    omitted: bool = False,
) -> Any:
    """Make a dataclass field that is checked on construction; its type is that of ``default``.

    Args:
        default: a bool, int, float or str.
        help: the text that ``--help`` shows.
        low: smallest allowed number.
        high: largest allowed number.
        below: in place of ``high``, the number that a float must stay below.
        choices: the allowed texts.
        omitted: leave the default out of JSON: recipes from before there was the setting keep their text.
    """
    metadata = {
        "help": help, "low": low, "high": high, "below": below, "choices": choices, "omitted": omitted
    }  # fmt: skip
    return field(default=default, metadata=metadata)


class Validated:
    """Base of dataclasses: check every ``setting`` on construction against its type and range."""

    def __post_init__(self) -> None:
        for item in fields(self):  # type: ignore[arg-type]
            if item.metadata:
                object.__setattr__(self, item.name, _checked(item, getattr(self, item.name)))


def settings_of(*owners: type) -> dict[str, Setting]:
    """Return every ``setting`` of the dataclasses ``owners`` by its name."""
    return {
        item.name: Setting(
            owner, type(item.default), item.default, item.metadata["help"], item.metadata["choices"]
        )
        for owner in owners
        for item in fields(owner)
        if item.metadata
    }


def plain_values(owner: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name, without those that JSON omits at their default."""
    return {
        item.name: getattr(owner, item.name)
        for item in fields(owner)
        if not (item.metadata.get("omitted") and getattr(owner, item.name) == item.default)
    }


def json_fields(data: object, owner: type, what: str, also: Collection[str] = ()) -> dict[str, Any]:
    """Return a copy of the JSON object ``data`` if it has the fields of a dataclass.

    Args:
        data: a value read from JSON.
        owner: the dataclass; its fields with a default may be missing.
        what: name of the object in the error.
        also: names that are allowed in addition to the fields.

    Raises:
        InvalidValue: where ``data`` is not an object, a field is unknown, or a required one is missing.
    """
    if not isinstance(data, dict):
        raise InvalidValue(f"{what}: {_json_kind(data)}; expected an object with fields")
    known = {item.name: item for item in fields(owner)}
    for name in data:
        if name not in known and name not in also:
            hint = suggestion(name, known) or nearest(name, known)
            raise InvalidValue(f"{what}: unknown field {name!r:.80}; {hint}")
    for name, item in known.items():
        if name not in data and item.default is dataclasses.MISSING:
            raise InvalidValue(f"{what}: the field {name!r} is missing")
    return dict(data)


def _checked(item: dataclasses.Field[Any], value: object) -> Any:
    kind: type = type(item.default)
    limits = item.metadata
    if kind is bool:
        return flag(item.name, value)
    if kind is int:
        return whole_number(item.name, value, limits["low"], limits["high"])
    if kind is str:
        return choice(item.name, value, limits["choices"])
    if limits["below"] is not None:
        return number(item.name, value, limits["low"], limits["below"], open_end=True)
    return number(item.name, value, limits["low"], limits["high"])


def _json_kind(value: object) -> str:
    """Name the type of a value from JSON in JSON's terms."""
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
