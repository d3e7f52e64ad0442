"""The form of a record's fields, each on its own.

A record requires more than a run: every field of an environment, and dates with a time zone. What holds for
runs and benches too is in ``runs.plausible``; ``consistency`` compares fields with each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from under20k.engine.base import ENGINES, MAX_THREADS, PRECISIONS
from under20k.errors import InvalidValue
from under20k.runs.plausible import MAX_CORES, MAX_NUMERICS, environment_faults, is_count, moment

SHA256 = re.compile(r"[0-9a-f]{64}")
SHORT_DIGEST = re.compile(r"[0-9a-f]{16}")
COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?(-dirty)?")
VERSION = re.compile(r"\d+\.\d+\S*")
NAME = re.compile(r"(?!\.)[\w+=.,-]+")
DEVICE = re.compile(r"cpu|mps|cuda(:\d{1,4})?")
INSTRUCTION_SETS = ("avx512", "avx2", "baseline", "avx512bf16", "wide")
"""The names in native/bindings/isa.cpp."""


def text_like(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    """Return a test for text that ``pattern`` matches in full."""
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def is_text(value: Any) -> bool:
    """Return whether a value is text, and not blank."""
    return isinstance(value, str) and bool(value.strip())


def expect(name: str, value: Any, valid: bool, allowed: str) -> None:
    """Raise InvalidValue unless ``valid``.

    Args:
        name: of the field.
        value: the field's value.
        valid: whether it is allowed.
        allowed: the allowed values, as text.

    Raises:
        InvalidValue: names the field, its value and the allowed values.
    """
    if not valid:
        raise InvalidValue(f"{name} is {value!r:.80}; expected {allowed}")


ENVIRONMENT: dict[str, tuple[Callable[[Any], bool], str]] = {
    "engine": (lambda value: value in ENGINES[1:], f"one of {', '.join(ENGINES[1:])}"),
    "precision": (lambda value: value in PRECISIONS[1:], f"one of {', '.join(PRECISIONS[1:])}"),
    "device": (text_like(DEVICE), "cpu, cuda, cuda:N or mps"),
    "under20k": (text_like(VERSION), "a version"),
    "git": (lambda value: value is None or text_like(COMMIT)(value), "a commit's hash"),
    "python": (
        lambda value: text_like(VERSION)(value) and value.startswith("3."),
        "a version of Python 3",
    ),
    "packages": (
        lambda value: isinstance(value, dict) and is_text(value.get("numpy")),
        "the packages' versions, numpy among them",
    ),
    "system": (is_text, "the system's name"),
    "processor": (is_text, "the processor's name"),
    "cores": (lambda value: is_count(value, 1, MAX_CORES), f"a whole number from 1 to {MAX_CORES}"),
    "threads": (lambda value: is_count(value, 1, MAX_THREADS), f"a whole number from 1 to {MAX_THREADS}"),
}
"""A test for each field that a seed's environment must have, and the allowed values as text."""


def check_environment(environment: Mapping[str, Any]) -> None:
    """Raise InvalidValue for a field of a seed's environment that no training writes."""
    # A record says whether a seed was resumed, without the later sessions.
    for fault in environment_faults(
        {name: value for name, value in environment.items() if name != "resumed"}
    ):
        raise InvalidValue(fault)
    resumed = environment.get("resumed", True)
    expect("resumed", resumed, resumed is True, "true, or no such field")
    for name, (valid, allowed) in ENVIRONMENT.items():
        value = environment.get(name)
        expect(name, value, valid(value), allowed)
    check_time("started", environment.get("started"))
    numerics, code = environment.get("numerics"), environment.get("code")
    expect("code", code, code is None or text_like(SHORT_DIGEST)(code), "16 hexadecimal digits")
    # The first records name the code instead.
    known = numerics is None and code is not None
    expect("numerics", numerics, known or is_count(numerics, 1, MAX_NUMERICS), "a whole number from 1")
    if environment["engine"] == "native":
        _check_native(environment)
    else:
        _check_torch(environment)


def _check_native(environment: Mapping[str, Any]) -> None:
    isa, build = environment.get("instruction_set"), environment.get("native_build")
    expect("device", environment["device"], environment["device"] == "cpu", "cpu for the native engine")
    expect("instruction_set", isa, isa in INSTRUCTION_SETS, f"one of {', '.join(INSTRUCTION_SETS)}")
    expect("native_build", build, text_like(SHORT_DIGEST)(build), "16 hexadecimal digits")
    threads, cores = environment["threads"], environment["cores"]
    expect("threads", threads, threads <= cores, f"at most one for each of the {cores} cores")


def _check_torch(environment: Mapping[str, Any]) -> None:
    for name in ("instruction_set", "native_build"):
        expect(name, environment.get(name), environment.get(name) is None, "none for the torch engine")
    torch = environment["packages"].get("torch")
    expect("packages.torch", torch, is_text(torch), "the version that trained")
    expect("precision", environment["precision"], environment["precision"] == "fp32", "fp32 for torch")


def check_sha256(name: str, value: Any) -> None:
    """Raise InvalidValue, naming the field, unless its value is a SHA-256 in lower-case hexadecimal."""
    expect(name, value, text_like(SHA256)(value), "64 hexadecimal digits")


def check_time(name: str, value: Any) -> datetime:
    """Return the moment that a field names. Raises InvalidValue unless it exists and has a time zone."""
    found = moment(value)
    allowed = "a date and time with its zone, such as 2026-01-31T12:00:00+00:00"
    expect(name, value, found is not None and found.tzinfo is not None, allowed)
    assert found is not None
    return found


def check_date(name: str, value: Any) -> date:
    """Return the day that a field names as YYYY-MM-DD. Raises InvalidValue for anything else."""
    try:
        day = date.fromisoformat(value) if len(value) == len("YYYY-MM-DD") else None
    except (TypeError, ValueError):
        day = None
    expect(name, value, day is not None, "a day that exists, such as 2026-01-31")
    assert day is not None
    return day
