"""Of a notebook, or of a file that cannot be run whole: the definitions, without the training."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

Piece = tuple[str, str]
"""Where a piece of code stands (``work.ipynb cell 3``), and its text."""
IMPORTS = (ast.Import, ast.ImportFrom)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# What ast.parse raises; SystemError is CPython's, of code nested too deep.
PARSE_ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError, SystemError)
FOREIGN_MAGICS = frozenset(
    (
        *(
            "!",
            "bash",
            "sh",
            "script",
            "html",
            "js",
            "javascript",
            "latex",
            "markdown",
            "svg",
            "perl",
            "ruby",
            "cmd",
        ),
        *(
            "sql",
            "bigquery",
            "R",
            "r",
            "julia",
            "cython",
            "python",
            "python2",
            "python3",
            "pypy",
            "system",
            "sx",
        ),
    )
)
"""Cell magics whose text is no Python, or Python of another process."""
AUTOMATIC = re.compile(
    r"(?m)^([ \t]*)(?:pip3?|conda|mamba|cd|ls|ll|cat|mkdir|rmdir|rm|cp|mv|man|load_ext|reload_ext|autoreload"
    r"|matplotlib|timeit|time|run|env|whos?)[ \t]+(?!(?:in|is|and|or|if|for|not|as)\b)[-~./\w\"'].*$"
)
"""Magics that a notebook takes without their ``%``."""
WRITEFILE = "#%%writefile "
"""How a piece begins that a notebook writes to a module of its own."""


def definitions(source: str, wanted: set[str] | None = None) -> ast.Module:
    """Imports, functions, classes and constants, at their lines; an import or a constant that fails is passed
    over. Of the ``wanted`` names the first assignment is kept too, and the name taken out of them.
    """
    tree = ast.parse(source)
    kept: list[ast.stmt] = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            kept.append(node)  # it may stand in no block
        elif isinstance(node, IMPORTS):
            # What only the training needs may be missing here.
            kept.append(_passed_over(node, "ImportError"))
        elif is_constant(node):
            # It may be made of what the training gives: accuracies[-1].
            kept.append(_passed_over(node, "Exception"))
        elif isinstance(node, DEFINITIONS) or _tries_imports(node):
            kept.append(node)
        elif wanted and (made := wanted & makes(node)):
            wanted -= made
            kept.append(node)
    tree.body = kept
    return tree


def needed(sources: Iterable[str], name: str) -> set[str]:
    """The names whose assignments have to run for ``name`` to be made: itself, and what it is made from."""
    first: dict[str, ast.stmt] = {}
    for source in sources:
        for node in ast.parse(source).body:
            for made in makes(node):
                first.setdefault(made, node)
    found: set[str] = set()
    left = [name]
    while left:
        if (made := left.pop()) in first and made not in found:
            found.add(made)
            left += [part.id for part in ast.walk(first[made]) if isinstance(part, ast.Name)]
    return found


def makes(node: ast.stmt) -> set[str]:
    """The names that an assignment with a call makes, but not from themselves as training does."""
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None or is_constant(node):
        return set()
    names = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
    stored = {name.id for name in names if isinstance(name.ctx, ast.Store)}
    return stored - {name.id for name in names if isinstance(name.ctx, ast.Load)}


def _passed_over(node: ast.stmt, error: str) -> ast.Try:
    (block,) = ast.parse(f"try: pass\nexcept {error}: pass").body
    assert isinstance(block, ast.Try)
    for part in ast.walk(block):
        ast.copy_location(part, node)
    block.body = [node]
    return block


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


def _tries_imports(node: ast.stmt) -> bool:
    return isinstance(node, ast.Try) and all(isinstance(part, IMPORTS) for part in node.body)


def is_constant(node: ast.stmt) -> bool:
    """Whether it gives a name to what no call makes."""
    assigned = isinstance(node, ast.Assign | ast.AnnAssign)
    return assigned and not any(isinstance(part, ast.Call) for part in ast.walk(node))
