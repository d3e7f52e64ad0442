"""Make the standard streams accept any text in any encoding, even if they are closed.

Output uses the encoding of the terminal or the system; a character that the encoding lacks is replaced:
``+/-`` for ``±``.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator

HANDLER = "under20k"
PLAIN = {
    "±": "+/-",
    "≥": ">=",
    "≤": "<=",
    "×": "x",
    "÷": "/",
    "√": "sqrt",
    "°": " deg",
    "–": "-",
    "—": "-",
    "−": "-",
    "─": "-",
    "└": "+",
    "†": "#",
    "→": "->",
    "↓": "v",
    "…": "...",
    "·": "*",
    "‖": "||",
    "✓": "+",
    "✗": "x",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "⌈": "ceil(",
    "⌉": ")",
    "⌊": "floor(",
    "⌋": ")",
    "²": "^2",
    "³": "^3",
    "⁸": "^8",
    "⁹": "^9",
    "ⁿ": "^n",
    "₀": "0",
    "�": "?",
}


@contextlib.contextmanager
def any_text() -> Iterator[None]:
    """Let the block print any text to stdout and stderr; closed streams discard it.

    Afterwards the streams are restored.
    """
    codecs.register_error(HANDLER, _in_plain_signs)
    with contextlib.ExitStack() as restoring:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is None:
                _occupy_descriptors()
                nowhere = restoring.enter_context(open(os.devnull, "w", encoding="utf-8"))
                setattr(sys, name, nowhere)
                restoring.callback(setattr, sys, name, None)
            elif isinstance(stream, io.TextIOWrapper):  # a notebook handles encodings of its own streams
                errors = stream.errors
                stream.reconfigure(errors=HANDLER)
                restoring.callback(_restore, stream, errors)
                if os.name == "nt":
                    # Write the same bytes on every system; a CSV already contains its line ends.
                    stream.reconfigure(newline="\n")
                    restoring.callback(stream.reconfigure, newline=None)
        yield


def _restore(stream: io.TextIOWrapper, errors: str | None) -> None:
    if not stream.closed:
        with contextlib.suppress(OSError):  # it flushes, and the reader may have exited
            stream.reconfigure(errors=errors)


def _occupy_descriptors() -> None:
    """Open closed standard descriptors, so that the next file opened does not become a child's stdout."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            else:
                os.set_inheritable(number, True)


def _in_plain_signs(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return the replacement of a character that an encoding lacks; a codec error handler."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    if "\udc80" <= sign <= "\udcff" and os.name != "nt" and "16" not in error.encoding:
        # A byte of a file name that is not valid text stays as it is, so that the name stays usable.
        return bytes([ord(sign) - 0xDC00]), error.start + 1
    if sign in PLAIN:
        return PLAIN[sign], error.start + 1
    return sign.encode("ascii", "backslashreplace").decode(), error.start + 1
