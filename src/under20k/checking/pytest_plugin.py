"""``pytest --under20k model.py:Net``: a test for each rule. Giving the option trusts the code."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from under20k.errors import UserError

if TYPE_CHECKING:
    from under20k.checking.findings import Finding


class AdvisedRuleWarning(UserWarning):
    """An advised rule is missed."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare ``--under20k``, ``--under20k-profile``, ``--under20k-arg`` and ``--under20k-all``."""
    group = parser.getgroup("under20k", "requirements on small MNIST classifiers")
    group.addoption("--under20k", action="append", default=[], metavar="FILE:NAME", help="a model to check")
    group.addoption("--under20k-profile", default="brief", metavar="PROFILE", help="a name or a TOML file")
    group.addoption(
        "--under20k-arg",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an argument of the models' constructors, repeatable",
    )
    group.addoption("--under20k-all", action="store_true", help="check all model classes of the files")


def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add a test for each model and rule."""
    if not (texts := config.getoption("--under20k")):
        return
    from under20k.checking.findings import Finding
    from under20k.checking.profiles import load_profile
    from under20k.checking.results import Result
    from under20k.checking.sandbox.sandbox import Sandbox, judge_apart
    from under20k.checking.source.target import argument, parse, parse_all

    try:
        given = dict(argument(text) for text in config.getoption("--under20k-arg"))
        sandbox = Sandbox(load_profile(config.getoption("--under20k-profile")), arguments=given)
        every = config.getoption("--under20k-all")
        for target in [one for text in texts for one in (parse_all(text) if every else [parse(text)])]:
            judgement = judge_apart(target, sandbox)
            findings = judgement.findings
            if judgement.error is not None:
                findings = (Finding("runs", "the model runs", "failed", judgement.error),)
            title = Result(target.text, judgement).title
            for finding in findings:
                items.append(
                    RuleItem.from_parent(
                        session,
                        name=f"{title}::{finding.rule}",
                        nodeid=f"{title}::{finding.rule}",
                        finding=finding,
                        file=target.path,
                        notes=judgement.notes,
                    )
                )
    except UserError as error:
        raise pytest.UsageError(str(error)) from error


class RuleMissed(Exception):
    """A requirement that the model does not meet."""


class RuleItem(pytest.Item):
    """One rule on one model."""

    def __init__(self, *, finding: Finding, file: Path, notes: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.finding, self.file = finding, file
        for note in notes:
            self.user_properties.append(("note", note))  # --junit-xml writes these
        if finding.remark:
            self.user_properties.append(("remark", finding.remark))

    def runtest(self) -> None:
        """Fail if the rule is missed; only warn if it is advised, even under ``-W error``."""
        if self.finding.status == "failed":
            raise RuleMissed(self._words())
        if self.finding.status == "warning":
            warnings.filterwarnings("always", category=AdvisedRuleWarning)
            self.warn(AdvisedRuleWarning(f"{self.finding.rule} is advised, and missed: {self._words()}"))

    def _words(self) -> str:
        words = f"requirement: {self.finding.requirement}; found: {self.finding.evidence}"
        return f"{words}\n{self.finding.fix}" if self.finding.fix else words

    def repr_failure(self, excinfo: Any, style: Any = None) -> str:
        """Return the requirement and the evidence, without a traceback."""
        return str(excinfo.value)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Return the line that the evidence names first, or the file's first."""
        line = re.search(rf"\b{re.escape(self.file.name)}:(\d+)", self.finding.evidence)
        return self.file, int(line[1]) - 1 if line else 0, self.finding.rule
