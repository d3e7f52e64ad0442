"""The line of a call in the code of the model's author, and the name of a layer there."""

from __future__ import annotations

import os
import sys
from functools import cache
from types import CodeType, FrameType, TracebackType

import torch
from torch import nn

from under20k.checking.ownership import PACKAGE, Ownership

_TORCH = os.path.join(os.path.dirname(torch.__file__), "")
_OWNERSHIP = Ownership()


@cache
def _is_authors(file: str) -> bool:
    return not file.startswith(_TORCH) and _OWNERSHIP.is_authors(file)


def _short(file: str) -> str:
    """Return a file's name; of a cell of this notebook, ``In [2]``."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    cell = shell and shell.compile.format_code_name(file)
    return cell[1].replace("In[", "In [") if cell else os.path.basename(file)


def line(stop: CodeType) -> str:
    """Return ``file:line`` of the innermost call below ``stop`` that the author's own files make.

    If there is none, return that of an installed package; empty if only torch's modules call.
    """
    frame: FrameType | None = sys._getframe(1)
    installed = ""
    while frame is not None and frame.f_code is not stop:
        file = frame.f_code.co_filename
        if not file.startswith((_TORCH, PACKAGE, "<")):
            place = f"{_short(file)}:{frame.f_lineno}"
            if _is_authors(file):
                return place
            installed = installed or place
        frame = frame.f_back
    return installed


def failed_at(error: BaseException) -> tuple[str, nn.Module | None, object]:
    """Return ``file:line`` in the author's files, the innermost module whose call failed, and its input."""
    place, module, taken = "", None, None
    step: TracebackType | None = error.__traceback__
    while step is not None:
        frame = step.tb_frame
        if _is_authors(frame.f_code.co_filename):
            place = f"{_short(frame.f_code.co_filename)}:{step.tb_lineno}"
        if frame.f_code.co_name == "forward" and isinstance(found := frame.f_locals.get("self"), nn.Module):
            module, taken = found, frame.f_locals.get("input")
        step = step.tb_next
    return place, module, taken


def forward_line(model: nn.Module) -> str:
    """Return ``file:line`` of the first line of the model's own ``forward``, empty if it has none."""
    code = getattr(type(model).forward, "__code__", None)
    if code is None or not _is_authors(code.co_filename):
        return ""
    first = min((at for _, _, at in code.co_lines() if at and at > code.co_firstlineno), default=0)
    return f"{_short(code.co_filename)}:{first or code.co_firstlineno}"


def attribute(name: str) -> str:
    """Return ``f.0.conv`` as code names it, ``self.f[0].conv``; a layer of a sequence as ``layer 3``."""
    first, *rest = name.split(".")
    text = f"layer {first}" if first.isdigit() else f"self.{first}"
    return text + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in rest)
