"""The page's files joined to one HTML file, which needs nothing else: no network and no other file."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from under20k.deploy.draw.encoding import encoded_text
from under20k.deploy.draw.models import Embedded, page_data

FOLDER = Path(__file__).parent / "page"
ORDER = "order.txt"
"""Names the scripts, one a line, in the order in which they are joined."""
STARTING = ("unpack.js", "start.js")
"""The scripts that stand in the page as they are; the others are deflated, with all their comments."""


@dataclass(frozen=True)
class Page:
    """The page and what it may do."""

    html: str
    policy: str
    """Its Content-Security-Policy, which it also holds."""


def html(models: Sequence[Embedded]) -> str:
    """Return the page with models in it."""
    return page(models).html


def page(models: Sequence[Embedded]) -> Page:
    """Return the page with models in it, and its policy."""
    style, scripts = read("style.css"), joined(read(ORDER).split())
    start = joined(STARTING)
    allowed = policy(style, start, scripts)
    parts = {
        "policy": f'<meta http-equiv="Content-Security-Policy" content="{allowed}">',
        "style": f"<style>{style}</style>",
        "models": f'<script type="application/json" id="models">{models_json(models)}</script>',
        "script": f'<script type="text/plain" id="scripts">{encoded_text(scripts)}</script>\n'
        f"<script>{start}</script>",
    }
    text = read("page.html")
    for name, part in parts.items():
        before, mark, after = text.partition(f"<!--{name}-->")
        if not mark:
            raise ValueError(f"page.html lacks <!--{name}-->")
        text = before + part + after
    return Page(text, allowed)


def models_json(models: Sequence[Embedded]) -> str:
    """Return what the page's scripts read, which can stand in HTML: a name may hold ``</script``."""
    data = json.dumps(page_data(models), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return data.replace("<", "\\u003c")


def joined(names: Sequence[str]) -> str:
    """Return scripts as one, in the scope of one function."""
    parts = "\n".join(f"{heading(name)}\n{read(name)}" for name in names)
    return f'(() => {{\n"use strict";\n\n{parts}}})();\n'


def heading(name: str) -> str:
    """Return the line above a script."""
    return f"// ======== {name}"


def policy(style: str, *scripts: str) -> str:
    """Return the Content-Security-Policy: this style, these scripts, the user's pictures, no network.

    The worker is one of these scripts, which the page makes a blob of.
    """
    rules = (
        "default-src 'none'",
        f"script-src {' '.join(map(_hash, scripts))}",
        f"style-src {_hash(style)}",
        "img-src data: blob:",
        "media-src blob:",
        "worker-src blob:",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(rules)


def read(name: str) -> str:
    """Return a file of the page."""
    return (FOLDER / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
