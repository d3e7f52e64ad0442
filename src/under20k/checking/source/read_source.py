"""Read a source file as Python or Jupyter does: its encoding, its lines, its cells. Nothing runs."""

from __future__ import annotations

import codecs
import io
import json
import tokenize
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from under20k.checking.source.ipython import without_ipython, without_magics
from under20k.checking.source.syntax import PARSE_ERRORS, Piece, tree_of, try_tree_of
from under20k.errors import UserError

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass
class Source:
    """The contents of a file."""

    pieces: list[Piece] = field(default_factory=list)
    """The code, for a notebook that of its cells."""
    is_notebook: bool = False
    notes: list[str] = field(default_factory=list)
    """Parts that were left out or changed."""
    broken: list[Piece] = field(default_factory=list)
    """Cells with a syntax error: the message and the text."""
    texts: list[Piece] = field(default_factory=list)
    """Text cells."""
    outputs: list[Piece] = field(default_factory=list)
    """Stored outputs of cells."""


def read_source(path: Path) -> Source:
    """Read a ``.py`` or ``.ipynb`` file, whichever of the two it really is.

    Raises UserError if it cannot be read, or is neither Python nor a notebook.
    """
    text, notes = _decoded(path)
    data = _notebook(text)
    if data is not None:
        if path.suffix == ".py":
            notes.append(f"{path.name} is a notebook saved as .py; only its definitions run")
        return _cells(data, path.name, notes)
    if path.suffix == ".ipynb":
        if text.lstrip().startswith(("{", "[")) or try_tree_of(text) is None or not text.strip():
            raise UserError(f"{path} is not a notebook: {_why_no_notebook(text)}")
        notes.append(f"{path.name} is a Python file, not a notebook")
    return _python(path, text, notes)


def _decoded(path: Path) -> tuple[str, list[str]]:
    """Return the text, decoded by its BOM or coding line, with newlines as Python reads them, and notes."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    notes = []
    try:
        if data.startswith(UTF_16):
            text = data.decode("utf-16")
            notes.append(
                f"{path.name} is saved as UTF-16, which Python itself does not run; save it as UTF-8"
            )
        else:
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
            text = data.decode(encoding)
    except UnicodeDecodeError as error:
        reason = f"{error.reason} at byte {error.start}"
        raise UserError(f"{path} is not text in {error.encoding}: {reason}; save it as UTF-8") from error
    except (SyntaxError, LookupError, ValueError) as error:
        missing = "declaration" in str(error)  # no coding line, and not UTF-8
        reason = (
            "text in UTF-8, and names no other encoding" if missing else f"text that Python reads: {error}"
        )
        raise UserError(f"{path} is not {reason}; save it as UTF-8") from error
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"), notes


def _python(path: Path, text: str, notes: list[str]) -> Source:
    try:
        tree = tree_of(text)
    except PARSE_ERRORS as error:
        without = without_magics(text)
        try:
            tree = tree_of(without)
        except PARSE_ERRORS:
            raise UserError(f"{path} is not Python: {said(error)}") from error
        line = next(
            n
            for n, (a, b) in enumerate(zip(text.split("\n"), without.split("\n"), strict=False), 1)
            if a != b
        )
        left = text.split("\n")[line - 1].strip()[:60]
        notes.append(f"line {line} ({left}) is for notebooks and was left out")
        text = without
    return Source([(str(path), without_ipython(text, tree))], notes=notes)


def said(error: BaseException) -> str:
    """Return a parse error's message, its line first."""
    if isinstance(error, SyntaxError):
        at = f"line {error.lineno}: " if error.lineno else ""
        return f"{at}{error.msg}"
    if isinstance(error, RecursionError | MemoryError | SystemError):
        return "code nested too deep to be parsed"
    return str(error)


def _notebook(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_one = isinstance(data, dict) and any(isinstance(data.get(k), list) for k in ("cells", "worksheets"))
    return data if is_one else None


def _why_no_notebook(text: str) -> str:
    if not text.strip():
        return "it is empty"
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"it is not JSON: {error}"
    return "it has no list of cells"


def _cells(data: dict[str, Any], file: str, notes: list[str]) -> Source:
    source = Source(is_notebook=True, notes=notes)
    rows = _rows(data)
    prompts = [row.get("execution_count", row.get("prompt_number")) for row in rows if isinstance(row, dict)]
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            continue
        text = _joined(row.get("source", row.get("input", "")))
        if row.get("cell_type") != "code":
            source.texts.append((f"{file} cell {number}", text))
            continue
        prompt = row.get("execution_count", row.get("prompt_number"))
        seen = isinstance(prompt, int) and not isinstance(prompt, bool)
        name = f"In [{prompt}]" if seen else f"cell {number}"
        if seen and prompts.count(prompt) > 1:
            name = f"In [{prompt}] (cell {number})"
        place = f"{file} {name}"
        source.outputs += [(place, output) for output in _outputs(row)]
        try:
            source.pieces.append((place, _code(text)))
        except PARSE_ERRORS as error:
            shown = f"In [{prompt}] (cell {number})" if seen else f"In [ ] (cell {number})"
            source.broken.append((f"{shown}, {said(error)}", text))
            source.notes.append(f"{shown} has a syntax error and was left out: {said(error)}")
    return source


def _rows(data: dict[str, Any]) -> list[Any]:
    if isinstance(data.get("cells"), list):
        return list(data["cells"])
    sheets = [sheet for sheet in data["worksheets"] if isinstance(sheet, dict)]  # before version 4
    return [row for sheet in sheets if isinstance(sheet.get("cells"), list) for row in sheet["cells"]]


def _joined(text: Any) -> str:
    joined = "".join(map(str, text)) if isinstance(text, list) else str(text)
    return joined.replace("\r\n", "\n").replace("\r", "\n")


def _outputs(row: dict[str, Any]) -> list[str]:
    """Return the texts of a cell's outputs, in order."""
    found = []
    outputs = row.get("outputs")
    for output in outputs if isinstance(outputs, list) else ():
        if not isinstance(output, dict):
            continue
        data = output.get("data")
        text = output.get("text", data.get("text/plain") if isinstance(data, dict) else None)
        if isinstance(text, str | list):
            found.append("".join(map(str, text)) if isinstance(text, list) else text)
    return found


def _code(text: str) -> str:
    """Return the Python of a cell, with as many lines. Raises PARSE_ERRORS."""
    tree = try_tree_of(text)
    if tree is None:
        without = without_magics(text)
        if not without.strip():
            return without
        text, tree = without, tree_of(without)
    return without_ipython(text, tree)
