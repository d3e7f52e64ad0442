"""``pytest --under20k model.py:Net``: each rule a test. The option is the trust that its code needs."""

from __future__ import annotations

from typing import Any

import pytest

from under20k.errors import UserError


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare ``--under20k`` and ``--under20k-profile``."""
    group = parser.getgroup("under20k", "requirements on small MNIST classifiers")
    group.addoption("--under20k", action="append", default=[], metavar="FILE:NAME", help="a model to check")
    group.addoption("--under20k-profile", default="brief", metavar="PROFILE", help="a name or a TOML file")


def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add a test a model and rule."""
    if not (targets := config.getoption("--under20k")):
        return
    from under20k.checking.profiles import load_profile
    from under20k.checking.sandbox import Sandbox, judge_apart
    from under20k.checking.target import parse

    for text in targets:
        try:
            sandbox = Sandbox(load_profile(config.getoption("--under20k-profile")))
            result = judge_apart(parse(text), sandbox)
        except UserError as error:
            raise pytest.UsageError(str(error)) from error
        if "error" in result:
            finding = {
                "rule": "runs",
                "status": "failed",
                "requirement": "it runs",
                "evidence": result["error"],
            }
            result = {"findings": [finding]}
        for finding in result["findings"]:
            items.append(RuleItem.from_parent(session, name=f"{text}::{finding['rule']}", finding=finding))


class RuleMissed(Exception):
    """A requirement that the model does not meet."""


class RuleItem(pytest.Item):
    """One rule on one model."""

    def __init__(self, *, finding: dict[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.finding = finding

    def runtest(self) -> None:
        """Fail where the rule is missed."""
        if self.finding["status"] == "failed":
            raise RuleMissed(f"asked: {self.finding['requirement']}; found: {self.finding['evidence']}")

    def repr_failure(self, excinfo: Any, style: Any = None) -> str:
        """The requirement and the evidence, without a traceback."""
        return str(excinfo.value)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Where pytest says that it is."""
        return self.path, None, self.name
