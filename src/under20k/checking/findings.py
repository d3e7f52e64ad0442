"""The verdict on one requirement, with its evidence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

STATUSES = ("passed", "failed", "warning")


class ModelError(TypeError):
    """The model runs but cannot be judged."""


@dataclass(frozen=True)
class Finding:
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


def unmet_advice(findings: Iterable[Finding]) -> list[str]:
    """Return the advised rules that are missed."""
    return [finding.rule for finding in findings if finding.status == "warning"]


def missed(findings: Iterable[Finding]) -> list[str]:
    """Return the required rules that are missed."""
    return [finding.rule for finding in findings if finding.status == "failed"]
