"""Errors that a user can cause, told apart from defects of the program."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Bad input or circumstances. The message says what was wrong, with the value, and what to do next.

    The command line prints it as one line and exits with code 2; a traceback is a defect.
    """


class InvalidValue(UserError, ValueError):
    """A field was given a value that it does not allow; the message names field, value and what is."""


def in_words(error: Exception) -> str:
    """What an exception of Python says of data that were read, without Python's names."""
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
    """What to say of an exception that may be a defect: its kind too, but for the system's own errors."""
    return in_words(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"


def shown(text: str) -> str:
    """``text`` for a terminal, signs that it would act on or hide as escapes: ``\\x1b`` for Esc.

    A byte of a file's name that is no text stays what it is.
    """
    return "".join(
        sign if sign.isprintable() or "\ud800" <= sign <= "\udfff" else ascii(sign)[1:-1] for sign in text
    )


def nearest(word: str, known: Iterable[str]) -> str:
    """A suggestion to end an error message with: the known word nearest to ``word``, or all of them."""
    by_lower = {name.lower(): name for name in known}
    matches = get_close_matches(word.lower(), by_lower, n=1)
    if matches:
        return f"did you mean {by_lower[matches[0]]!r}?"
    return "known: " + ", ".join(by_lower.values())
