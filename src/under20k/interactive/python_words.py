"""Errors in the words of Python: what a message advises as an option of the command is an argument here."""

from __future__ import annotations

import re

ARGUMENTS = (
    (r"--overwrite", 'existing="replace"'),
    (r"--resume", 'existing="resume"'),
    (r"--runs-dir", "places=Places(runs=…)"),
    (r"--data-dir", "places=Places(data=…)"),
    (r"--(engine|device|precision) (\w+)", r'compute=Compute(\1="\2")'),
    (r"--threads (\d+)", r"compute=Compute(threads=\1)"),
    (r"--(weights|mean|std|name)(?=:)", r"\1"),
    (r"--(weights|mean|std|name|seeds|like)\b", r"\1="),
    (r"--trust", "trust=True"),
)
"""Options, as patterns, and what they are in Python."""
COMMAND = re.compile(r"under20k (?=[a-z]+ )")
"""Where a command begins that a message quotes; it stays as it is."""


def in_python(message: str) -> str:
    """Return an error's message with the arguments of functions in place of options."""
    begins = found.start() if (found := COMMAND.search(message)) else len(message)
    text, command = message[:begins], message[begins:]
    for option, argument in ARGUMENTS:
        text = re.sub(rf"(?<![\w-]){option}(?![\w-])", argument, text)
    return text + command
