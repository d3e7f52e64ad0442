"""The page's files joined to one HTML file, which needs nothing else: no network and no other file."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from under20k.deploy.draw.compact import compact_script, compact_style
from under20k.deploy.draw.models import Embedded, page_data

FOLDER = Path(__file__).parent / "page"
ORDER = "order.txt"
"""Names the scripts, one a line, in the order in which they are joined."""


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
    style, script = compact_style(read("style.css")), joined_scripts()
    allowed = policy(style, script)
    parts = {
        "policy": f'<meta http-equiv="Content-Security-Policy" content="{allowed}">',
        "style": f"<style>{style}</style>",
        "models": f'<script type="application/json" id="models">{models_json(models)}</script>',
        "script": f"<script>{script}</script>",
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


def joined_scripts() -> str:
    """Return the page's scripts as one, in the scope of one function."""
    parts = "".join(compact_script(read(name)) for name in read(ORDER).split())
    if "</script" in parts.lower() or "<!--" in parts:
        raise ValueError("a script of the page holds </script or <!--, which would end it")
    return f'(() => {{\n"use strict";\n{parts}}})();\n'


def policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy: this style, this script and the user's pictures, no network."""
    rules = (
        "default-src 'none'",
        f"script-src {_hash(script)}",
        f"style-src {_hash(style)}",
        "img-src data: blob:",
        "media-src blob:",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(rules)


def read(name: str) -> str:
    """Return a file of the page."""
    return (FOLDER / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
