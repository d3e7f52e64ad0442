"""The lines of a notebook that are not Python: magics, shell commands, and their exported forms."""

from __future__ import annotations

import ast
import re

from under20k.checking.source.syntax import try_tree_of

FOREIGN_MAGICS = frozenset((
    "!", "R", "bash", "bigquery", "cmd", "cython", "html", "javascript", "js", "julia", "latex", "markdown",
    "perl", "pypy", "python", "python2", "python3", "r", "ruby", "script", "sh", "sql", "svg", "sx", "system",
))  # fmt: skip
"""Cell magics whose text is not Python, or Python of another process."""
AUTOMATIC = re.compile(
    r"(?m)^([ \t]*)(?:pip3?|conda|mamba|cd|ls|ll|cat|mkdir|rmdir|rm|cp|mv|man|load_ext|reload_ext|autoreload"
    r"|matplotlib|timeit|time|run|env|whos?)[ \t]+(?!(?:in|is|and|or|if|for|not|as)\b)[-~./\w\"'].*$"
)
"""Magics that a notebook accepts without their ``%``."""
WRITEFILE = "#%%writefile "
"""First line of a piece that a notebook writes to a module."""


def without_magics(source: str) -> str:
    """Blank the lines that are the notebook's own, not Python's; the number of lines stays.

    A cell of another language becomes empty; for ``%%writefile model.py`` a comment stays.
    """
    first = source.lstrip().partition("\n")[0]
    if first.startswith("%%"):
        magic = first[2:].split()[:1]
        if not magic or magic[0] in FOREIGN_MAGICS:
            return ""  # a cell in another language
        if magic[0] in ("writefile", "file"):
            file = first.split()[-1].strip("'\"")
            return source.replace(first, WRITEFILE + file, 1) if file.endswith(".py") else ""

    def blank(found: re.Match[str]) -> str:
        return f"{found[1]}pass" + "\n" * found[0].count("\n")

    source = re.sub(r"(?m)^([ \t]*)(?:%(?=[\w%])|[!?])(?:.*\\\n)*.*$", blank, source)
    source = re.sub(r"(?m)^([ \t]*)[\w.]+\?+[ \t]*$", blank, source)
    source = AUTOMATIC.sub(blank, source)
    return re.sub(r"(?m)^([ \t]*\w[\w, ]*=[ \t]*)[%!].*$", r"\1None", source)


def without_ipython(text: str, tree: ast.Module) -> str:
    """Replace each ``get_ipython()…`` of an export by ``None``; the number of lines stays."""
    if "get_ipython" not in text:
        return text
    lines = text.encode().split(b"\n")
    for node in sorted(_ipython(tree), key=lambda node: -node.lineno):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
        lines[first : last + 1] = [before + b"(None" + b"\n" * (last - first) + b")" + after]
        if last > first:
            lines[first : first + 1] = lines[first].split(b"\n")
    changed = b"\n".join(lines).decode()
    return changed if try_tree_of(changed) is not None else text


def _ipython(tree: ast.Module) -> list[ast.Call]:
    """Return the outermost calls of ``get_ipython().…``, one a line."""
    found: dict[int, ast.Call] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            inner: ast.AST = node
            while isinstance(inner, ast.Attribute | ast.Call) and not _is_ipython(inner):
                inner = inner.value if isinstance(inner, ast.Attribute) else inner.func
            if _is_ipython(inner) and inner is not node:
                found.setdefault(node.lineno, node)
    return list(found.values())


def _is_ipython(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "get_ipython"
