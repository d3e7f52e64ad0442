"""A student's source, run as far as its model needs.

A file runs whole, as Python would run it. Where that fails, is refused or does not end, only its definitions
run, one by one, and only those that the model needs have to succeed. A notebook is always run so, and so are
the student's own modules that are imported and cannot run whole.
"""

from __future__ import annotations

import errno
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import os
import sys
import traceback
import types
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from under20k.checking import FOLDER
from under20k.checking.findings import ModelError
from under20k.checking.sandbox.audit_hook import Refused, Watch, folder_of, installed_folders
from under20k.checking.sandbox.import_packages import TooLong, local_file, time_limit
from under20k.checking.source.definitions import definitions
from under20k.checking.source.ipython import Piece

MODULE = "under20k_target"
ADVICE = "put training under `if __name__ == '__main__':`"


@dataclass
class Loader:
    """Runs one source and finds the model in it. ``notes`` say how, for the student."""

    path: str
    name: str
    pieces: Sequence[Piece]
    package: str
    folders: Sequence[Path]
    """Where the student's own modules lie."""
    arguments: dict[str, Any]
    missing: str = ""
    """What the constructor needs beside ``arguments``, and how the source calls it, by parsing."""
    watch: Watch | None = None
    notes: list[str] = field(default_factory=list)
    failures: dict[str, BaseException] = field(default_factory=dict)
    """Names that could not be made, and why."""

    def load(self, whole: bool, limit_s: float, reason: str = "") -> nn.Module:
        """The model: the named class or factory called, or the instance.

        ``whole`` runs the source as it stands, for at most ``limit_s`` seconds, before its definitions alone
        are tried; ``reason`` says why not, if it does not. Raises what the student's code raises, and
        ModelError where there is no model.
        """
        sys.meta_path.insert(0, _Finder(self))
        module = self._module()
        if whole and (reason := self._run_whole(module, limit_s)):
            module = self._module()
        if reason:
            self.notes.append(f"only its definitions ran: {reason}")
        if reason or not whole:
            self.run_definitions(module, self.pieces, self.name)
        if self.name not in module.__dict__ and (failure := self.failures.get(self.name)):
            raise failure
        if not hasattr(module, self.name):
            raise ModelError(f"what runs of it makes no {self.name!r}")
        return self._model(getattr(module, self.name))

    def run_definitions(self, module: types.ModuleType, pieces: Sequence[Piece], name: str) -> None:
        """Run the definitions one by one; the names of those that fail are kept with the reason."""
        for step in definitions(pieces, name):
            try:
                exec(step.compile(), module.__dict__)
            except BaseException as error:
                for made in step.defines:
                    self.failures.setdefault(made, error)
            else:
                for made in step.defines:
                    self.failures.pop(made, None)

    def reason(self, error: BaseException) -> str:
        """Why a run failed, in the student's terms and with their line."""
        cause = self.cause(error)
        place = self.place(cause)
        at = f"{place} " if place else "it "
        if missing := self.missing_package(cause):
            return f"{at}{missing}"
        act, line = self._refused(cause)
        if act:
            verb, _, rest = act.partition(" ")
            return f"{line or 'it'} {verb}s {rest}; {ADVICE}"
        if isinstance(cause, SystemExit):
            return f"{at}calls exit; {ADVICE}"
        if isinstance(cause, TooLong):
            return f"{at}does not come to an end; {ADVICE}"
        if needs_gpu(cause):
            return f"{at}needs a GPU, and a check runs on the CPU"
        text = _words(cause)[:300]
        return f"{at}raises {type(cause).__name__}{f': {text}' if text else ''}"

    def problem(self, error: BaseException, doing: str = "") -> str:
        """Why the model is broken, in one sentence that ends with the student's line."""
        cause = self.cause(error)
        text = _words(cause)[:500]
        if isinstance(cause, ModelError):
            return text
        place = self.place(cause)
        at = f" ({place})" if place else ""
        if missing := self.missing_package(cause):
            return missing + at
        if isinstance(cause, MemoryError) or "allocate memory" in text:
            return f"ran out of the memory allowed: {text or type(cause).__name__}"
        if isinstance(cause, SystemExit):
            return f"calls exit ({text or 0})"
        act, line = self._refused(cause)
        if act:
            return f"tried to {act}, which a check does not allow" + (f" ({line})" if line else "")
        if needs_gpu(cause):
            return f"needs a GPU, and a check runs on the CPU: {text}{at}"
        return doing + (f"{type(cause).__name__}: {text}" if text else type(cause).__name__) + at

    def cause(self, error: BaseException) -> BaseException:
        """The error behind a NameError: why what has the name could not be made."""
        seen = 0
        while isinstance(error, NameError | ImportError) and seen < 50:
            name = getattr(error, "name_from", None) or error.name
            behind = self.failures.get(name) if isinstance(name, str) else None
            if behind is None or behind is error:
                break
            error, seen = behind, seen + 1
        return error

    def missing_package(self, error: BaseException) -> str:
        """``needs the package X, …``, or empty where it is something else that fails."""
        if not isinstance(error, ModuleNotFoundError) or not isinstance(error.name, str) or not error.name:
            return ""
        top = error.name.partition(".")[0]
        if local_file(top, self.folders):
            return f"imports {error.name}, which does not exist"
        if top in sys.modules:
            return f"needs {error.name}, which the installed {top} does not have"
        return f"needs the package {top}, which is not installed here"

    def place(self, error: BaseException) -> str:
        """The innermost line of the student's files that an error came through, ``net.py:12``."""
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if self.is_own(frame.filename):
                return f"{os.path.basename(frame.filename)}:{frame.lineno}"
        if isinstance(error, SyntaxError) and error.filename and self.is_own(error.filename):
            return f"{os.path.basename(error.filename)}:{error.lineno}"
        return ""

    def is_own(self, file: str) -> bool:
        """Whether that is the student's code."""
        if any(file == place for place, _ in self.pieces):
            return True
        real = os.path.realpath(file)
        own = tuple(folder_of(str(folder)) for folder in self.folders)
        return os.path.isabs(file) and real.startswith(own) and not real.startswith(_NOT_OWN)

    def _refused(self, error: BaseException) -> tuple[str, str]:
        """What the watch refused and the line of it, where that is why ``error`` was raised."""
        link: BaseException | None = error
        while link is not None:
            act = link.act if isinstance(link, Refused) else _jailed(link)
            if act:
                return act, self.place(link) or self.place(error)
            link = link.__cause__ or link.__context__
        if self.watch and self.watch.refusals:  # code that catches it may raise something else at the line
            act, file, number = self.watch.refusals[-1]
            line = f"{os.path.basename(file)}:{number}"
            if self.place(error) == line:
                return act, line
        return "", ""

    def _run_whole(self, module: types.ModuleType, limit_s: float) -> str:
        """Run the source as it stands. Returns why it could not, empty if it could."""
        try:
            with time_limit(limit_s):
                for place, source in self.pieces:
                    exec(compile(source, place, "exec", dont_inherit=True), module.__dict__)
        except BaseException as error:
            return self.reason(error)
        return ""

    def _module(self) -> types.ModuleType:
        module = types.ModuleType(MODULE)
        module.__file__ = self.path
        module.__package__ = self.package
        sys.modules[MODULE] = module
        return module

    def _model(self, found: Any) -> nn.Module:
        if not isinstance(found, nn.Module):
            if missing := self._missing_arguments(found):
                raise ModelError(missing)
            found = found(**self.arguments)
        if not isinstance(found, nn.Module):
            raise ModelError(f"{self.name} gives {type(found).__name__}, not a torch.nn.Module")
        return found

    def _missing_arguments(self, found: Any) -> str:
        """What the constructor needs and was not given, with how the source calls it."""
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
        if spec and spec.origin and spec.origin.endswith(".py") and self.loader.is_own(spec.origin):
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
            file = os.path.basename(self.path)
            self.loader.notes.append(f"of {file} only the definitions ran: {self.loader.reason(error)}")
            module.__dict__.clear()
            module.__dict__.update(before)
            self.loader.run_definitions(
                module, [(self.path, importlib.util.decode_source(Path(self.path).read_bytes()))], ""
            )


def _jailed(error: BaseException) -> str:
    """What the kernel refused rather than the watch: what Python's libraries do in C."""
    if not isinstance(error, OSError) or error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    if frames and "multiprocessing" in frames[-1].filename:  # which makes a semaphore, a file, for its lock
        return "start a process"
    return f"write the file {error.filename}" if error.filename else ""


def _words(error: BaseException) -> str:
    """What an error says, on one line; nothing where its own ``__str__`` fails."""
    try:
        return " ".join(str(error).split())
    except BaseException:
        return ""


def needs_gpu(error: BaseException) -> bool:
    """Whether torch says that this machine has no GPU."""
    text = _words(error)
    words = ("not compiled", "No CUDA", "NVIDIA driver", "available")
    return (
        "'_cuda_" in text
        or "accelerator device when none" in text
        or ("CUDA" in text and any(word in text for word in words))
    )


_NOT_OWN = (*installed_folders(), FOLDER + os.sep)
