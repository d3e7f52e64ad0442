"""The verdict on one requirement, with its evidence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from under20k.drawing import Drawable
from under20k.errors import shown
from under20k.formatting import shortened

STATUSES = ("passed", "failed", "warning")


class ModelError(TypeError):
    """The model runs but cannot be judged."""


@dataclass(frozen=True)
class Finding(Drawable):
    """The verdict on one rule."""

    rule: str
    requirement: str
    status: str
    """``passed``, ``failed``, or ``warning`` for an advised rule that is missed."""
    evidence: str
    """Facts about the model behind the verdict, passed or not."""
    remark: str = ""
    """A note that changes no verdict, such as an unusual order of layers."""
    fix: str = ""
    """For a missed rule: the change, its location, and its cost."""

    def __repr__(self) -> str:
        return f"Finding({self.rule} {self.word}: {shortened(shown(self.evidence), 90)})"

    @property
    def passed(self) -> bool:
        """Whether the requirement is met."""
        return self.status == "passed"

    @property
    def word(self) -> str:
        """``passed``, ``failed`` or ``advised``."""
        return "advised" if self.status == "warning" else self.status

    @property
    def advice(self) -> list[str]:
        """The fix and the remark, if any."""
        return [text for text in (self.fix, self.remark) if text]


class Findings(Drawable, list[Finding]):
    """A list of findings, which a notebook shows as a table."""

    def __repr__(self) -> str:
        by_word = {word: [f.rule for f in self if f.word == word] for word in ("failed", "advised")}
        parts = [f"{sum(f.passed for f in self)} of {len(self)} rules passed"]
        parts += [f"{word}: {', '.join(rules)}" for word, rules in by_word.items() if rules]
        return f"Findings({'; '.join(parts)})"


def unmet_advice(findings: Iterable[Finding]) -> list[str]:
    """Return the advised rules that are missed."""
    return [finding.rule for finding in findings if finding.status == "warning"]


def missed(findings: Iterable[Finding]) -> list[str]:
    """Return the required rules that are missed."""
    return [finding.rule for finding in findings if finding.status == "failed"]
