"""Scripts and style sheets without comments, indentation and empty lines.

Lines stay lines, and strings, templates and regular expressions stay as they are: nothing else is rewritten.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
    |(?P<space>[^\S\n]+)
    |(?P<line>\n)
    |(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |(?P<word>[\w$#.]+)
    |(?P<mark>\+\+|--|.)""",
    re.DOTALL | re.VERBOSE,
)
_REGEX = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+/[a-z]*")
_TEMPLATE = re.compile(r"(?:\\.|\$(?!\{)|[^`\\$])*", re.DOTALL)
_STYLE = re.compile(
    r"""(?P<comment>/\*.*?\*/)
    |(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |(?P<line>\n)
    |(?P<space>[^\S\n]+)
    |(?P<mark>.)""",
    re.DOTALL | re.VERBOSE,
)
BEFORE_REGEX = (
    *("return", "typeof", "instanceof", "in", "of", "new", "delete", "void", "throw", "case", "do", "else"),
    *("yield", "await"),
)
"""Words after which a slash begins a regular expression; after any other word it divides."""


def compact_script(text: str) -> str:
    """Return a script without comments, indentation and empty lines. Raises ValueError for half a token."""
    return _joined(_script_tokens(text))


def compact_style(text: str) -> str:
    """Return a style sheet without comments, indentation and empty lines."""
    return _joined((found.lastgroup or "", found.group()) for found in _STYLE.finditer(text))


def _joined(tokens: Iterator[tuple[str, str]]) -> str:
    """Return tokens as text. A comment becomes a space, or the end of a line if it has one in it."""
    result: list[str] = []
    gap = "\n"  # between the last token and the next
    for kind, text in tokens:
        if kind in ("comment", "space", "line"):
            gap = "\n" if "\n" in text + gap else " "
        else:
            result += [gap, text]
            gap = ""
    return "".join(result[1:]) + "\n"


def _script_tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield kind and text of each token. A template with its expressions' marks comes in pieces."""
    position, before = 0, ""  # the token before, spaces and comments aside
    braces: list[bool] = []  # open braces; whether each is a template's
    while position < len(text):
        if text[position] == "/" and not text.startswith(("//", "/*"), position) and _begins(before):
            found = _REGEX.match(text, position)
            kind = "regex"
        else:
            found = _TOKEN.match(text, position)
            kind = found.lastgroup or "" if found else ""
        if found is None:
            raise ValueError(f"a regular expression has no end: {text[position : position + 60]!r}")
        token = found.group()
        if token == "{":
            braces.append(False)
        if token == "`" or (token == "}" and braces and braces.pop()):
            token, kind = token + _template(text, position + 1), "template"
            if token.endswith("${"):
                braces.append(True)
        elif token in ('"', "'") or (text.startswith("/*", position) and kind != "comment"):
            raise ValueError(f"a string or a comment has no end: {text[position : position + 60]!r}")
        yield kind, token
        position += len(token)
        if kind not in ("comment", "space", "line"):
            before = token


def _template(text: str, position: int) -> str:
    """Return a template from a position in its text to its end or to the next ``${``, included."""
    found = _TEMPLATE.match(text, position)
    assert found is not None  # it may be empty
    end = found.end()
    for mark in ("`", "${"):
        if text.startswith(mark, end):
            return text[position:end] + mark
    raise ValueError(f"a template has no end: {text[position : position + 60]!r}")


def _begins(before: str) -> bool:
    """Return whether a slash after a token begins a regular expression rather than divides."""
    if before.endswith("${"):
        return True
    last = before[-1:]
    if last in (")", "]", "}", "`", '"', "'") or before in ("++", "--"):
        return False
    return before in BEFORE_REGEX or not (last.isalnum() or last in "_$.#")
