"""Profiles: the limits of the rules and the level of each, required, advised or off. Plain data in TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from under20k.errors import UserError, nearest
from under20k.files import read_text
from under20k.recipe.architecture import IMAGE_SIDE
from under20k.recipe.limits import EPOCH_LIMIT, PARAMETER_LIMIT

RULES = (
    *("parameters", "batch_norm", "batch_norm_order", "dropout", "dropout_off_in_evaluation"),
    *("head", "receptive_field", "softmax", "output", "epochs"),
)
LEVELS = ("required", "advised", "off")
NAMES = ("brief", "under-10k", "under-8k")
ASSIGNMENT = {"parameters": PARAMETER_LIMIT, "epochs": EPOCH_LIMIT, "receptive_field": IMAGE_SIDE}
"""The assignment's limits: fewer parameters and epochs than these, at least this receptive field."""
PROFILES_PARAMETERS = (10_000, 8_000)
"""Limits of the other named profiles."""


@dataclass(frozen=True)
class Profile:
    """Limits by name, and the level of each rule."""

    name: str
    limits: dict[str, int]
    levels: dict[str, str]

    def with_limits(self, **limits: int | None) -> Profile:
        """Replace the limits that are given and not None."""
        given = {name: value for name, value in limits.items() if value is not None}
        return replace(self, limits=self.limits | given)


def limit_text(name: str, limit: int) -> str:
    """Return a limit in words: ``fewer than 20,000``, ``at most 100,000``, ``at least 28×28``.

    A limit on parameters or epochs is the first number not allowed. The assignment's and those of the named
    profiles are said so; any other as the most that is allowed, as ``--max-parameters 100000`` gives it.
    """
    if name == "receptive_field":
        return f"at least {limit}×{limit}"
    if limit == ASSIGNMENT[name] or (name == "parameters" and limit in PROFILES_PARAMETERS):
        return f"fewer than {limit:,}"
    return f"at most {limit - 1:,}"


def changed_limits(limits: Mapping[str, int]) -> dict[str, str]:
    """Return the limits, in words, that are not the assignment's."""
    return {name: limit_text(name, limit) for name, limit in limits.items() if limit != ASSIGNMENT[name]}


def load_profile(name: str) -> Profile:
    """Load the profile of that name or TOML file; limits and rules that it leaves out are the assignment's.

    Raises UserError if there is none, or if it sets an unknown limit or rule.
    """
    if name in NAMES:
        text = (resources.files("under20k.checking") / "profiles" / f"{name}.toml").read_text("utf-8")
    elif name.endswith(".toml"):
        text = read_text(Path(name))
    else:
        raise UserError(f"there is no profile {name!r}, and it does not end in .toml; {nearest(name, NAMES)}")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{name} is not TOML: {error}") from error
    base = Profile(name, ASSIGNMENT, {}) if name == "brief" else load_profile("brief")
    limits, levels = data.pop("limits", {}), data.pop("rules", {})
    for word in data:
        raise UserError(f"{name}: there is no table {word!r}; known: limits, rules")
    if not isinstance(limits, dict) or not isinstance(levels, dict):
        raise UserError(f"{name}: limits and rules are tables, such as [limits]")
    for limit, value in limits.items():
        if limit not in ASSIGNMENT:
            raise UserError(f"{name}: there is no limit {limit!r}; {nearest(limit, ASSIGNMENT)}")
        if type(value) is not int or value < 1:
            raise UserError(f"{name}: the limit {limit} is {value!r}; give a whole number above 0")
    for rule, level in levels.items():
        if rule not in RULES:
            raise UserError(f"{name}: there is no rule {rule!r}; {nearest(rule, RULES)}")
        if level not in LEVELS:
            raise UserError(f"{name}: the rule {rule} is {level!r}; give one of {', '.join(LEVELS)}")
    return Profile(name, base.limits | limits, base.levels | levels)
