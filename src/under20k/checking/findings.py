"""What a rule found: the verdict on one requirement, with its evidence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

LAYER_FACTS: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "type": (str,),
    "shape": (list,),
    "parameters": (int,),
    "macs": (int,),
    "receptive_field": (int,),
    "jump": (float,),
    "batch_norm_after": (bool, type(None)),
    "activation": (str, type(None)),
    "followed_by": (list,),
    "source": (str,),
}
"""What is told of every layer, and of which types it may be."""
STATUSES = ("passed", "failed", "warning")


class ModelError(TypeError):
    """The model runs, but is none that can be judged."""


@dataclass(frozen=True)
class Finding:
    """One rule, judged."""

    rule: str
    requirement: str
    status: str
    """``passed``, ``failed``, or ``warning`` for a rule that is only advised."""
    evidence: str
    """What was found in the model, whether it passes or not."""
    remark: str = ""
    """A note that changes no verdict, such as an unusual order of layers."""
    fix: str = ""
    """Of a rule that is not met: what to change, where, and what it costs."""

    @property
    def passed(self) -> bool:
        """Whether the requirement is met."""
        return self.status == "passed"


def unmet_advice(findings: Iterable[Finding]) -> list[str]:
    """The rules that are only advised, and not met."""
    return [finding.rule for finding in findings if finding.status == "warning"]


def missed(findings: Iterable[Finding]) -> list[str]:
    """The required rules that are not met."""
    return [finding.rule for finding in findings if finding.status == "failed"]
