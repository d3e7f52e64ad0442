"""The form of a record's fields: what each may hold on its own. ``consistency`` compares them,
and ``plausible`` has what holds for runs and benches too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from under20k.engine.base import ENGINES, MAX_THREADS, PRECISIONS
from under20k.errors import InvalidValue
from under20k.runs.plausible import MAX_NUMERICS, environment_faults

DIGEST = re.compile(r"[0-9a-f]{64}")
SHORT_DIGEST = re.compile(r"[0-9a-f]{16}")
COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?(-dirty)?")
VERSION = re.compile(r"\d+\.\d+\S*")
NAME = re.compile(r"(?!\.)[\w+=.,-]+")
DEVICE = re.compile(r"cpu|mps|cuda(:\d{1,4})?")
INSTRUCTION_SETS = ("avx512", "avx2", "baseline", "avx512bf16", "wide")
"""Those of native/isa.cpp."""
MAX_CORES = 65_536


def whole(least: int, most: int) -> Callable[[Any], bool]:
    """Whether a value is a whole number, and no truth value, from ``least`` to ``most``."""
    return lambda value: type(value) is int and least <= value <= most


def text_like(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    """Whether a value is text that ``pattern`` matches in full."""
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def words(value: Any) -> bool:
    """Whether a value is text that is not blank."""
    return isinstance(value, str) and bool(value.strip())


def expect(name: str, value: Any, holds: bool, allowed: str) -> None:
    """Raise InvalidValue, naming the field, unless it ``holds`` what is ``allowed``."""
    if not holds:
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
        lambda value: isinstance(value, dict) and words(value.get("numpy")),
        "the packages' versions, numpy among them",
    ),
    "system": (words, "the system's name"),
    "processor": (words, "the processor's name"),
    "cores": (whole(1, MAX_CORES), f"a whole number from 1 to {MAX_CORES}"),
    "threads": (whole(1, MAX_THREADS), f"a whole number from 1 to {MAX_THREADS}"),
}
"""What each field of a seed's environment has to hold, as a test and in words."""


def check_environment(environment: Mapping[str, Any]) -> None:
    """Raise InvalidValue for a field of a seed's environment that no training writes."""
    # A record's seeds say that they were resumed, not by whom.
    for fault in environment_faults(
        {name: value for name, value in environment.items() if name != "resumed"}
    ):
        raise InvalidValue(fault)
    resumed = environment.get("resumed", True)
    expect("resumed", resumed, resumed is True, "true, or nothing")
    for name, (holds, allowed) in ENVIRONMENT.items():
        value = environment.get(name)
        expect(name, value, holds(value), allowed)
    check_time("started", environment.get("started"))
    numerics, code = environment.get("numerics"), environment.get("code")
    expect("code", code, code is None or text_like(SHORT_DIGEST)(code), "16 hexadecimal digits")
    # The first records name the code instead.
    known = numerics is None and code is not None
    expect("numerics", numerics, known or whole(1, MAX_NUMERICS)(numerics), "a whole number from 1")
    native = environment["engine"] == "native"
    isa, build = environment.get("instruction_set"), environment.get("native_build")
    if native:
        expect("device", environment["device"], environment["device"] == "cpu", "cpu for the native engine")
        expect("instruction_set", isa, isa in INSTRUCTION_SETS, f"one of {', '.join(INSTRUCTION_SETS)}")
        expect("native_build", build, text_like(SHORT_DIGEST)(build), "16 hexadecimal digits")
        threads, cores = environment["threads"], environment["cores"]
        expect("threads", threads, threads <= cores, f"at most one a core, of which there are {cores}")
    else:
        expect("instruction_set", isa, isa is None, "none for the torch engine")
        expect("native_build", build, build is None, "none for the torch engine")
        torch = environment["packages"].get("torch")
        expect("packages.torch", torch, words(torch), "the version that trained")
        expect("precision", environment["precision"], environment["precision"] == "fp32", "fp32 for torch")


def check_time(name: str, value: Any) -> datetime:
    """The moment that a field names. Raises InvalidValue unless it exists and names its time zone."""
    try:
        moment = datetime.fromisoformat(value)
        moment.timestamp()  # raises where it is out of range
    except (TypeError, ValueError, OverflowError):
        moment = None
    allowed = "a date and time with its zone, such as 2026-01-31T12:00:00+00:00"
    expect(name, value, moment is not None and moment.tzinfo is not None, allowed)
    assert moment is not None
    return moment


def check_date(name: str, value: Any) -> date:
    """The day that a field names as YYYY-MM-DD. Raises InvalidValue where there is none."""
    try:
        day = date.fromisoformat(value) if len(value) == len("YYYY-MM-DD") else None
    except (TypeError, ValueError):
        day = None
    expect(name, value, day is not None, "a day that exists, such as 2026-01-31")
    assert day is not None
    return day
