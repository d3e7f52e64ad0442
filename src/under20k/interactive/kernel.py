"""The kernel of a notebook, if this process is one, and an output of it that can be changed."""

from __future__ import annotations

import multiprocessing
import sys
from time import monotonic
from types import TracebackType
from typing import Any

UPDATE_S = 0.2  # between two updates of an output


def in_kernel() -> bool:
    """Return whether this process is the kernel of a notebook: Jupyter, Colab, VS Code.

    Neither is a terminal's IPython, nor a worker process that a kernel has started.
    """
    return getattr(_shell(), "kernel", None) is not None and multiprocessing.parent_process() is None


def with_short_traceback(error: BaseException) -> BaseException:
    """Return an exception whose traceback in the cell ends where the cell or its functions called under20k.

    The frames within say nothing that the message does not, and would fill the cell; an interrupt needs none.
    """

    def render() -> list[str]:
        if isinstance(error, KeyboardInterrupt):
            return ["KeyboardInterrupt"]
        last = whole = error.__traceback__
        while last and last.tb_next and not _is_ours(last.tb_next):
            last = last.tb_next
        if last:
            last.tb_next = None
        lines: list[str] = _shell().InteractiveTB.structured_traceback(type(error), error, whole, tb_offset=1)
        return lines

    error._render_traceback_ = render  # type: ignore[attr-defined]  # IPython asks for it
    return error.with_traceback(None)


def _is_ours(trace: TracebackType) -> bool:
    return str(trace.tb_frame.f_globals.get("__name__")).startswith("under20k.")


def _shell() -> Any:
    """Return the shell of IPython; None where this is not one."""
    return getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()


class Output:
    """An output of the running cell, replaced by each ``show``.

    It is made of plain HTML by the kernel's own messages: widgets need an extension on the page's side, and
    are gone from a saved notebook.
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._shown: dict[str, str] = {}
        self._shown_s = 0.0

    @property
    def due(self) -> bool:
        """Whether the last update is long enough ago for the next."""
        return monotonic() - self._shown_s >= UPDATE_S

    def show(self, html: str, text: str) -> None:
        """Show HTML, with a text for where there is none."""
        from IPython.display import display

        self._shown_s = monotonic()
        content = {"text/html": html, "text/plain": text}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        elif content != self._shown:
            self._handle.update(content, raw=True)
        self._shown = content
