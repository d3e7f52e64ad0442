"""The results of a check of one target or a whole folder: which model decides a submission, and the tally."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from under20k.checking.judgement import Judgement
from under20k.checking.profiles import changed_limits
from under20k.checking.source.claims import Claim

NOT_CLAIMED = "nothing found in the source"
RANKS = ("passed", "failed", "broken", "no model")
_OLD = re.compile(r"(?i)(?<![a-z])(old|backup|copy|draft|archive)")


@dataclass(frozen=True)
class Result:
    """The judgement of one target and, in a folder, the submission that it belongs to."""

    target: str
    """As the user would name it."""
    judgement: Judgement
    limits: Mapping[str, int] = field(default_factory=dict)
    """The profile's limits, which claimed figures are compared with."""
    file: str | None = None
    """Path within the submission; empty where the submission is that file."""
    submission: str | None = None
    submission_result: str = ""
    decides: bool = True
    """Whether this model decides the submission's result."""

    @property
    def title(self) -> str:
        """The target with the judged class, where the target does not name it."""
        model = self.judgement.model
        return f"{self.target}:{model}" if model and self.target.endswith((".py", ".ipynb")) else self.target

    @property
    def place(self) -> str:
        """The file and the class in a submission, as far as they are known."""
        return ":".join(filter(None, (self.file, self.judgement.model)))

    @property
    def other_limits(self) -> str:
        """The limits in force that are not the assignment's, in words; empty if all are."""
        units = {
            "parameters": "{} parameters",
            "epochs": "{} epochs",
            "receptive_field": "receptive field {}",
        }
        return ", ".join(units[name].format(text) for name, text in changed_limits(self.limits).items())

    def claims(self) -> list[tuple[str, str]]:
        """Return the source's unverified claims about ``epochs`` and ``accuracy``, with their locations.

        Empty for recipes and for models whose source could not be read.
        """
        claimed = self.judgement.claims
        if claimed is None:
            return []
        epochs, accuracies = [], []
        if claim := claimed.epochs:
            limit = self.limits.get("epochs")
            over = limit is not None and claim.value >= limit
            words = changed_limits({"epochs": limit}).get("epochs") if over and limit else None
            beside = f"; {words} are allowed" if words else f"; the limit is {limit}" if over else ""
            epochs.append(f"{claim.value:g} ({claim.place}){beside}")
        for kind, claim, best in (
            ("test", claimed.test_accuracy, claimed.best_test_accuracy),
            ("train", claimed.train_accuracy, None),
            ("stated", claimed.stated_accuracy, None),
        ):
            if claim is not None:
                text = f"{kind} {_percent(claim)} ({claim.place})"
                more = best is not None and best.value > claim.value
                accuracies.append(f"{text}, best {_percent(best)} ({best.place})" if best and more else text)
        return [
            (name, "; ".join(texts) or NOT_CLAIMED)
            for name, texts in (("epochs", epochs), ("accuracy", accuracies))
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the row that ``--json`` prints."""
        row = {"target": self.target, "result": self.judgement.word, **self.judgement.to_json()}
        if self.file is not None:
            row["file"] = self.file
        if self.submission is not None:
            row |= {"submission": self.submission, "submission_result": self.submission_result}
            row["decides"] = self.decides
        return {**row, "limits": dict(self.limits)}


def submitted(name: str, results: Sequence[Result], *, every: bool) -> list[Result]:
    """Return the results of one submission with its own result, the model that decides it first.

    Args:
        name: of the submission.
        results: one for each of its models, at least one.
        every: whether all models have to pass; otherwise one is enough.
    """

    def rank(at: int) -> tuple[int, int, bool, int]:
        judgement = results[at].judgement
        old = bool(_OLD.search(results[at].target))
        # Ties go to the last: later versions have later names.
        return RANKS.index(judgement.word), len(judgement.missed_rules), old, -at

    models = [at for at, result in enumerate(results) if result.judgement.no_model is None] or [0]
    best = (max if every else min)(models, key=rank)
    word = results[best].judgement.word
    order = [best, *(at for at in range(len(results)) if at != best)]
    return [replace(results[at], submission=name, submission_result=word, decides=at == best) for at in order]


def deciding(results: Sequence[Result]) -> list[Result]:
    """Return one result for each submission."""
    return [result for result in results if result.decides]


def tally(results: Sequence[Result]) -> str:
    """Return ``9 of 77 passed; missed: batch_norm 39, dropout 22; broken: 3``, counting submissions."""
    ends = [result.judgement for result in deciding(results)]
    words = Counter(judgement.word for judgement in ends)
    rules = Counter(rule for judgement in ends for rule in judgement.missed_rules)
    parts = [f"{words['passed']} of {len(ends)} passed"]
    if rules:
        parts.append("missed: " + ", ".join(f"{rule} {count}" for rule, count in rules.most_common()))
    parts += [f"{name}: {words[name]}" for name in ("broken", "no model") if words[name]]
    return "; ".join(parts)


def _percent(claim: Claim) -> str:
    return f"{100 * claim.value:.6g}%"
