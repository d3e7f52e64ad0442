"""Errors that a user can cause, as opposed to defects of the program."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Bad input or environment. The message names the fault, with the value, and what to do next.

    The command line prints it as one line and exits with code 2; a traceback is a defect.
    """


class InvalidValue(UserError, ValueError):
    """A field has an invalid value; the message names field, value and the values expected."""


def in_words(error: Exception) -> str:
    """Describe an exception raised while reading data, without Python's names."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    if isinstance(error, TypeError | AttributeError):
        return "a value is of the wrong kind, or one is missing or too many"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror or error}{where}"
    return str(error) or "it cannot be read"


def unforeseen(error: BaseException) -> str:
    """Describe an exception that may be a defect: with its type, except for the system's own errors."""
    return in_words(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"


def shown(text: str) -> str:
    """Escape characters that a terminal would act on or hide: ``\\x1b`` for Esc.

    Bytes of a file name that are not valid text stay as they are.
    """
    return "".join(
        sign if sign.isprintable() or "\ud800" <= sign <= "\udfff" else ascii(sign)[1:-1] for sign in text
    )


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of an error message: the known word nearest to ``word``, or else all known words."""
    by_lower = {name.lower(): name for name in known}
    matches = get_close_matches(word.lower(), by_lower, n=1)
    if matches:
        return f"did you mean {by_lower[matches[0]]!r}?"
    return "known: " + ", ".join(by_lower.values())
