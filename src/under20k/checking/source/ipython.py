"""What a notebook has beside Python: magics and shell lines; and names for pieces of code."""

from __future__ import annotations

import ast
import re

Piece = tuple[str, str]
"""Where a piece of code stands (``work.ipynb cell 3``), and its text."""
IMPORTS = (ast.Import, ast.ImportFrom)
# What ast.parse raises; SystemError is CPython's, of code nested too deep.
PARSE_ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError, SystemError)
FOREIGN_MAGICS = frozenset((
    "!", "R", "bash", "bigquery", "cmd", "cython", "html", "javascript", "js", "julia", "latex", "markdown",
    "perl", "pypy", "python", "python2", "python3", "r", "ruby", "script", "sh", "sql", "svg", "sx", "system",
))  # fmt: skip
"""Cell magics whose text is no Python, or Python of another process."""
AUTOMATIC = re.compile(
    r"(?m)^([ \t]*)(?:pip3?|conda|mamba|cd|ls|ll|cat|mkdir|rmdir|rm|cp|mv|man|load_ext|reload_ext|autoreload"
    r"|matplotlib|timeit|time|run|env|whos?)[ \t]+(?!(?:in|is|and|or|if|for|not|as)\b)[-~./\w\"'].*$"
)
"""Magics that a notebook takes without their ``%``."""
WRITEFILE = "#%%writefile "
"""How a piece begins that a notebook writes to a module of its own."""


def without_magics(source: str) -> str:
    """With each line that is the notebook's own, not Python's, replaced by nothing, and no line fewer.

    A cell of another language is empty; of ``%%writefile model.py`` a comment stays.
    """
    first = source.lstrip().partition("\n")[0]
    if first.startswith("%%"):
        magic = first[2:].split()[:1]
        if not magic or magic[0] in FOREIGN_MAGICS:
            return ""  # the cell is another language's
        if magic[0] in ("writefile", "file"):
            file = first.split()[-1].strip("'\"")
            return source.replace(first, WRITEFILE + file, 1) if file.endswith(".py") else ""

    def blank(found: re.Match[str]) -> str:
        return f"{found[1]}pass" + "\n" * found[0].count("\n")

    source = re.sub(r"(?m)^([ \t]*)(?:%(?=[\w%])|[!?])(?:.*\\\n)*.*$", blank, source)
    source = re.sub(r"(?m)^([ \t]*)[\w.]+\?+[ \t]*$", blank, source)
    source = AUTOMATIC.sub(blank, source)
    return re.sub(r"(?m)^([ \t]*\w[\w, ]*=[ \t]*)[%!].*$", r"\1None", source)


def is_constant(node: ast.stmt) -> bool:
    """Whether it gives a name to what no call makes."""
    assigned = isinstance(node, ast.Assign | ast.AnnAssign)
    return assigned and not any(isinstance(part, ast.Call) for part in ast.walk(node))
