"""``pytest --under20k model.py:Net``: each rule a test. The option is the trust that its code needs."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from under20k.errors import UserError


class AdvisedRuleWarning(UserWarning):
    """A rule that is only advised, and missed."""


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
    """Add a test a model and rule."""
    if not (texts := config.getoption("--under20k")):
        return
    from under20k.checking.formats import titled, word
    from under20k.checking.profiles import load_profile
    from under20k.checking.sandbox.sandbox import Sandbox, judge_apart
    from under20k.checking.source.target import argument, parse, parse_all

    try:
        given = dict(argument(text) for text in config.getoption("--under20k-arg"))
        sandbox = Sandbox(load_profile(config.getoption("--under20k-profile")), arguments=given)
        every = config.getoption("--under20k-all")
        for target in [one for text in texts for one in (parse_all(text) if every else [parse(text)])]:
            result = judge_apart(target, sandbox)
            if word(result) == "no model":
                raise UserError(f"{target.text}: {result['no_model']}")
            runs = {"rule": "runs", "status": "failed", "requirement": "the model runs"}
            findings = [{**runs, "evidence": result["error"]}] if "error" in result else result["findings"]
            name = titled(target.text, {"model": target.name, **result})
            for finding in findings:
                items.append(
                    RuleItem.from_parent(
                        session,
                        name=f"{name}::{finding['rule']}",
                        nodeid=f"{name}::{finding['rule']}",
                        finding=finding,
                        file=target.path,
                        notes=result.get("notes", ()),
                    )
                )
    except UserError as error:
        raise pytest.UsageError(str(error)) from error


class RuleMissed(Exception):
    """A requirement that the model does not meet."""


class RuleItem(pytest.Item):
    """One rule on one model."""

    def __init__(self, *, finding: dict[str, str], file: Path, notes: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.finding, self.file = finding, file
        for note in notes:
            self.user_properties.append(("note", note))  # which --junit-xml writes
        if finding.get("remark"):
            self.user_properties.append(("remark", finding["remark"]))

    def runtest(self) -> None:
        """Fail where the rule is missed; warn where it is only advised, whatever is done with warnings."""
        if self.finding["status"] == "failed":
            raise RuleMissed(self._words())
        if self.finding["status"] == "warning":
            warnings.filterwarnings("always", category=AdvisedRuleWarning)
            self.warn(AdvisedRuleWarning(f"{self.finding['rule']} is advised, and missed: {self._words()}"))

    def _words(self) -> str:
        words = f"asked: {self.finding['requirement']}; found: {self.finding['evidence']}"
        return f"{words}\n{self.finding['fix']}" if self.finding.get("fix") else words

    def repr_failure(self, excinfo: Any, style: Any = None) -> str:
        """The requirement and the evidence, without a traceback."""
        return str(excinfo.value)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Where pytest says that it is: the line that the evidence names first, or the file's first."""
        line = re.search(rf"\b{re.escape(self.file.name)}:(\d+)", self.finding["evidence"])
        return self.file, int(line[1]) - 1 if line else 0, self.finding["rule"]
