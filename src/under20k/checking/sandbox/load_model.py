"""Run a student's source as far as its model needs, and find the model in it.

A file runs whole, as Python would run it. If that fails, is refused or does not end, only its definitions
run, one by one, and only those that the model needs have to succeed. A notebook always runs that way, and so
do the student's own modules that cannot run whole when they are imported.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import os
import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from under20k.checking.findings import ModelError
from under20k.checking.sandbox.explain_error import Explainer
from under20k.checking.sandbox.process_limits import TooLong, time_limit
from under20k.checking.source.definitions import definitions
from under20k.checking.source.syntax import Piece

MODULE = "under20k_target"


@dataclass
class Loader:
    """Runs one source and finds the model in it."""

    path: str
    name: str
    """Of the class, factory or instance."""
    pieces: Sequence[Piece]
    package: str
    """For relative imports."""
    arguments: dict[str, Any]
    """For the constructor."""
    missing: str
    """Required constructor arguments missing from ``arguments``, and how the source passes them."""
    explain: Explainer
    notes: list[str] = field(default_factory=list)
    """Remarks on how the source ran, for the student."""

    def load(self, whole: bool, limit_s: float, reason: str = "") -> nn.Module:
        """Return the model: the named class or factory called, or the instance.

        The arguments and the errors are those of ``find``.
        """
        return self.make(self.find(whole, limit_s, reason))

    def find(self, whole: bool, limit_s: float, reason: str = "") -> Any:
        """Run the source, and return the class, factory or instance of that name.

        Args:
            whole: whether to run the source as it stands before its definitions alone are tried.
            limit_s: seconds for the source to run whole.
            reason: why it does not run whole, if it does not.

        Raises:
            ModelError: there is no model of that name.
            BaseException: whatever the student's code raises.
        """
        sys.meta_path.insert(0, _Finder(self))
        module = self._module()
        if whole and (reason := self._run_whole(module, limit_s)):
            module = self._module()
        if reason:
            self.notes.append(f"only its definitions ran: {reason}")
        if reason or not whole:
            self.run_definitions(module, self.pieces, self.name)
        if self.name not in module.__dict__ and (failure := self.explain.failures.get(self.name)):
            raise failure
        if not hasattr(module, self.name):
            raise ModelError(f"the definitions that run do not make {self.name!r}")
        return getattr(module, self.name)

    def run_definitions(self, module: types.ModuleType, pieces: Sequence[Piece], name: str) -> None:
        """Run the definitions that ``name`` needs, one by one; keep the reasons of those that fail."""
        failures = self.explain.failures
        for step in definitions(pieces, name):
            try:
                exec(step.compile(), module.__dict__)
            except BaseException as error:
                for made in step.defines:
                    failures.setdefault(made, error)
            else:
                for made in step.defines:
                    failures.pop(made, None)

    def _run_whole(self, module: types.ModuleType, limit_s: float) -> str:
        """Run the whole source; return why that failed, empty if it succeeded."""
        try:
            with time_limit(limit_s):
                for place, source in self.pieces:
                    exec(compile(source, place, "exec", dont_inherit=True), module.__dict__)
        except BaseException as error:
            return self.explain.why_not_whole(error)
        return ""

    def _module(self) -> types.ModuleType:
        module = types.ModuleType(MODULE)
        module.__file__ = self.path
        module.__package__ = self.package
        sys.modules[MODULE] = module
        return module

    def make(self, found: Any) -> nn.Module:
        """Return the model of a class, factory or instance. Raises ModelError, and what its code raises."""
        if not isinstance(found, nn.Module):
            if missing := self._missing_arguments(found):
                raise ModelError(missing)
            found = found(**self.arguments)
        if not isinstance(found, nn.Module):
            raise ModelError(f"{self.name} gives {type(found).__name__}, not a torch.nn.Module")
        return found

    def _missing_arguments(self, found: Any) -> str:
        """Return the missing required arguments of the constructor, with how the source passes them."""
        try:
            parameters = inspect.signature(found).parameters.values()
        except (TypeError, ValueError):
            return ""
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        needed = [
            p.name
            for p in parameters
            if p.default is p.empty and p.kind in (*kinds, inspect.Parameter.KEYWORD_ONLY)
        ]
        missing = [name for name in needed if name not in self.arguments]
        if not missing:
            return ""
        give = " ".join(f"--arg {name}=…" for name in missing)
        return f"{self.name} " + (self.missing or f"needs {', '.join(missing)}: give {give}")


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the student's own modules, which run like the source itself: whole, else their definitions."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        own = self.loader.explain.ownership
        if spec and spec.origin and spec.origin.endswith(".py") and own.is_authors(spec.origin):
            spec.loader = _ModuleLoader(fullname, spec.origin, self.loader)
            return spec
        return None


class _ModuleLoader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, loader: Loader) -> None:
        super().__init__(fullname, path)
        self.loader = loader

    def exec_module(self, module: types.ModuleType) -> None:
        before = dict(module.__dict__)
        try:
            super().exec_module(module)
        except TooLong:
            raise
        except BaseException as error:
            file, why = os.path.basename(self.path), self.loader.explain.why_not_whole(error)
            self.loader.notes.append(f"of {file} only the definitions ran: {why}")
            module.__dict__.clear()
            module.__dict__.update(before)
            source = importlib.util.decode_source(Path(self.path).read_bytes())
            self.loader.run_definitions(module, [(self.path, source)], "")
