"""Make native code that starts processes or writes files raise the audit events that Python's own raises."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from under20k.checking.sandbox.file_access import WRITING


def audit_native_calls() -> None:
    """Wrap the functions that act past Python, so that the audit hook sees their calls."""
    import safetensors.numpy
    import safetensors.torch
    import torch

    _audit(subprocess, "_fork_exec", _start)
    try:
        import _posixsubprocess

        _audit(_posixsubprocess, "fork_exec", _start)
    except ImportError:  # Windows
        pass
    _audit(torch._C, "PyTorchFileWriter", _write)
    for place in (safetensors, safetensors.numpy, safetensors.torch):
        _audit(place, "serialize_file", _write)


def _start(*arguments: Any) -> None:
    sys.audit("os.fork")


def _write(*arguments: Any) -> None:
    for path in arguments:
        if isinstance(path, str | bytes | os.PathLike):  # not the data, nor an open file
            sys.audit("open", path, "w", WRITING)


def _audit(place: Any, name: str, event: Callable[..., None]) -> None:
    function: Any = getattr(place, name, None)

    def audited(*arguments: Any, **named: Any) -> Any:
        event(*arguments, *named.values())
        return function(*arguments, **named)

    if function is not None:
        setattr(place, name, audited)
