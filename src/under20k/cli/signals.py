"""End the command on the first Ctrl-C, SIGTERM or hang-up; ignore later ones.

The first signal raises ``Ended`` in the main thread, so that every ``with`` and ``finally`` cleans up:
workers are killed, temporary files removed. If that takes too long, or cannot start because native code
occupies the main thread, a watchdog thread ends the process.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from under20k.interactive.terminal import terminal_width
from under20k.report.text_lines import wrapped

GRACE_S = 1.2
"""Time allowed for cleaning up after a signal."""
WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}
LATER_S = 0.01
STDERR = 2

_advice = ""
_width: int | None = None


def advise(text: str) -> None:
    """Set what to do after a signal has ended this command; it is printed with the signal's word."""
    global _advice, _width
    _advice, _width = text, terminal_width(sys.stderr)


class Ended(KeyboardInterrupt):
    """A signal that ends the command."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Signals:
    """Signal handling for one command; ``heard`` installs it."""

    def __init__(self, own: bool) -> None:
        advise("run the command again")  # until the verb says more
        self.own = own
        """Whether the process runs only this command, and may end with it."""
        self.first: int | None = None
        self.said = threading.Lock()
        self.finished = False

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Raise ``Ended`` on the first signal in the block; ignored signals stay ignored, as with ``nohup``.

        Afterwards the previous handlers are restored, unless the process runs only this command.

        Python allows handlers in the main thread only; in another thread this is a no-op.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {}
        for name in WORDS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, self._raise)
        if self.own:
            self._watch()
            yield
            self.finished = True  # from here on a signal ends the process at once
            return
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def end(self, error: KeyboardInterrupt) -> int:
        """Print once what ended the command, and return its exit code; if the process is its own, end it."""
        number = error.number if isinstance(error, Ended) else int(signal.SIGINT)
        self.first = number
        if self.own:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.flush()
            self._end(number)
        print(line(number), file=sys.stderr)
        return 128 + number

    def _raise(self, number: int, frame: FrameType | None) -> None:
        if self.first is not None:
            return
        self.first = number
        if self.finished:
            self._end(number)
        raise Ended(number)

    def _watch(self) -> None:
        """Start a thread that ends the process if a signal does not."""
        reading, writing = os.pipe()
        if hasattr(os, "set_blocking"):  # missing, and not required, on Windows before Python 3.12
            os.set_blocking(writing, False)
        # The C handler writes to it at once, while Python's handler may have to wait.
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        threading.Thread(target=self._await, args=(reading,), daemon=True).start()
        sys.unraisablehook = self._unraisable

    def _await(self, reading: int) -> None:
        number = os.read(reading, 1)[0]
        threading.Event().wait(GRACE_S)
        self._end(number)

    def _unraisable(self, found: sys.UnraisableHookArgs, /) -> None:
        """Raise the signal again where Python cannot propagate ``Ended``, as in ``__del__``."""
        if not isinstance(found.exc_value, Ended):
            sys.__unraisablehook__(found)
            return
        number = found.exc_value.number

        def again() -> None:
            self.first = None
            os.kill(os.getpid(), number)

        timer = threading.Timer(LATER_S, again)
        timer.daemon = True
        timer.start()

    def _end(self, number: int) -> NoReturn:
        """End this process and its descendants without Python's own shutdown, which waits for threads and
        would answer another signal with a traceback.
        """
        kill_descendants()
        # Bypass Python's stream, which the main thread may hold, and never block on a full pipe.
        if self.said.acquire(blocking=False):
            with contextlib.suppress(OSError, ValueError):
                # select takes only sockets on Windows.
                if os.name == "nt" or select.select([], [STDERR], [], 0)[1]:
                    os.write(STDERR, f"{line(number)}\n".encode())
        os._exit(128 + number)


def line(number: int) -> str:
    """Return the word for a signal and the advice: ``interrupted; run the command again …``."""
    text = "; ".join(filter(None, (WORDS[signal.Signals(number).name], _advice)))
    return "\n".join(wrapped(text, _width and _width - len("^C"), "  "))  # a terminal shows ^C before it


def kill_descendants() -> None:
    """Kill all descendants of this process; without ``/proc``, the workers."""
    import multiprocessing

    with contextlib.suppress(Exception):  # not documented as safe outside the main thread
        for process in multiprocessing.active_children():
            process.kill()
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Return the running descendants of a process, parents first; none if the system does not list them."""
    parents: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, *_ = status.read_text(errors="replace").rpartition(")")[2].split()
        except (OSError, ValueError):
            continue  # it has ended
        if state != "Z":
            parents.setdefault(int(parent), []).append(int(status.parent.name))
    found: list[Any] = [pid]
    for each in found:
        found += parents.get(each, [])
    return found[1:]
