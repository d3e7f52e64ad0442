"""Explain why a student's code failed, in its author's terms and with its line."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from under20k.checking.findings import ModelError
from under20k.checking.ownership import Ownership
from under20k.checking.sandbox.audit_hook import AuditHook, Refused
from under20k.checking.sandbox.import_packages import local_file
from under20k.checking.sandbox.process_limits import TooLong

ADVICE = "put training under `if __name__ == '__main__':`"


@dataclass
class Explainer:
    """Turns exceptions into sentences."""

    ownership: Ownership
    folders: Sequence[Path]
    """Folders of the student's own modules."""
    hook: AuditHook | None = None
    failures: dict[str, BaseException] = field(default_factory=dict)
    """Names that could not be defined, and why."""

    def why_not_whole(self, error: BaseException) -> str:
        """Return why a source did not run to its end."""
        cause = self._cause(error)
        place = self.place(cause)
        at = f"{place} " if place else "it "
        if missing := self._missing_package(cause):
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

    def why_broken(self, error: BaseException, doing: str = "") -> str:
        """Return why the model is broken, in a sentence that ends with the student's line.

        ``doing`` says what was being done, for an error that does not explain itself.
        """
        cause = self._cause(error)
        text = _words(cause)[:500]
        if isinstance(cause, ModelError):
            return text
        place = self.place(cause)
        at = f" ({place})" if place else ""
        if missing := self._missing_package(cause):
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

    def place(self, error: BaseException) -> str:
        """Return the innermost line of the student's files that an error came through, ``net.py:12``."""
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if self.ownership.is_authors(frame.filename):
                return f"{os.path.basename(frame.filename)}:{frame.lineno}"
        if isinstance(error, SyntaxError) and error.filename and self.ownership.is_authors(error.filename):
            return f"{os.path.basename(error.filename)}:{error.lineno}"
        return ""

    def running_line(self) -> str:
        """Return the line of the student's code that runs now."""
        for frame in reversed(traceback.extract_stack()):
            if self.ownership.is_authors(frame.filename):
                return f"{os.path.basename(frame.filename)}:{frame.lineno}"
        return ""

    def _cause(self, error: BaseException) -> BaseException:
        """Return the error behind a NameError: why the object of that name could not be made."""
        seen = 0
        while isinstance(error, NameError | ImportError) and seen < 50:
            name = getattr(error, "name_from", None) or error.name
            behind = self.failures.get(name) if isinstance(name, str) else None
            if behind is None or behind is error:
                break
            error, seen = behind, seen + 1
        return error

    def _missing_package(self, error: BaseException) -> str:
        """Return ``needs the package X, …``, or empty if that is not the error."""
        if not isinstance(error, ModuleNotFoundError) or not isinstance(error.name, str) or not error.name:
            return ""
        top = error.name.partition(".")[0]
        if local_file(top, self.folders):
            return f"imports {error.name}, which does not exist"
        if top in sys.modules:
            return f"needs {error.name}, which the installed {top} does not have"
        return f"needs the package {top}, which is not installed here"

    def _refused(self, error: BaseException) -> tuple[str, str]:
        """Return the act that was refused and its line, if that is why ``error`` was raised."""
        link: BaseException | None = error
        while link is not None:
            act = link.act if isinstance(link, Refused) else _jailed(link)
            if act:
                return act, self.place(link) or self.place(error)
            link = link.__cause__ or link.__context__
        if self.hook and self.hook.refusals:  # code that catches it may raise something else at the line
            act, file, number = self.hook.refusals[-1]
            line = f"{os.path.basename(file)}:{number}"
            if self.place(error) == line:
                return act, line
        return "", ""


def _jailed(error: BaseException) -> str:
    """Describe an operation that the kernel refused, not the audit hook: one of Python's C libraries."""
    if not isinstance(error, OSError) or error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    if frames and "multiprocessing" in frames[-1].filename:  # it makes a semaphore, which is a file
        return "start a process"
    return f"write the file {error.filename}" if error.filename else ""


def _words(error: BaseException) -> str:
    """Return an error's message on one line, empty if its own ``__str__`` fails."""
    try:
        return " ".join(str(error).split())
    except BaseException:
        return ""


def needs_gpu(error: BaseException) -> bool:
    """Return whether torch reports that this machine has no GPU."""
    text = _words(error)
    words = ("not compiled", "No CUDA", "NVIDIA driver", "available")
    return (
        "'_cuda_" in text
        or "accelerator device when none" in text
        or ("CUDA" in text and any(word in text for word in words))
    )
