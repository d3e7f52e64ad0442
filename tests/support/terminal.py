"""A command on a pseudo-terminal of a given width."""

import contextlib
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.command import COMMAND, TIMEOUT_S

STYLE = re.compile(r"\x1b\[[0-9;]*m")
"""What colours text and takes no room."""
_MOVE = re.compile(r"\x1b\[[0-9;]*[A-HJK]")


def on_terminal(
    width: int, *arguments: str, folder: Path, streams: Sequence[str] = ("stdout", "stderr"), **variables: str
) -> tuple[int, str]:
    """``under20k`` in ``folder``: its exit code, and what a terminal of so many columns is sent.

    The ``streams`` go to the terminal; the other is discarded.
    """
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (60, width))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment |= {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **variables}
    outputs = {name: theirs if name in streams else subprocess.DEVNULL for name in ("stdout", "stderr")}
    with subprocess.Popen([*COMMAND, *arguments], cwd=folder, env=environment, **outputs) as process:
        os.close(theirs)
        sent = b""
        with contextlib.suppress(OSError):  # EIO: the terminal's other end is closed
            while part := os.read(ours, 1 << 16):
                sent += part
        code = process.wait(TIMEOUT_S)
    os.close(ours)
    return code, sent.decode()


def shown_lines(sent: str) -> list[str]:
    """The lines that a terminal was sent, without colours; each state of a progress bar is a line."""
    return re.split(r"\r?\n|\r", _MOVE.sub("", STYLE.sub("", sent)))
