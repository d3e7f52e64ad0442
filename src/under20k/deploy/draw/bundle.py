"""The page's files joined to one HTML file, which needs nothing else: no network and no other file."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from under20k.deploy.draw.compact import compact_script, compact_style
from under20k.deploy.draw.models import Embedded, page_data

PAGE = Path(__file__).parent / "page"
ORDER = "order.txt"
"""Names the scripts, one a line, in the order in which they are joined."""


def html(models: Sequence[Embedded]) -> str:
    """Return the page with models in it."""
    style, script = compact_style(read("style.css")), compact_script(joined_scripts())
    data = json.dumps(page_data(models), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    data = data.replace("<", "\\u003c")  # a name may hold </script
    parts = {
        "policy": f'<meta http-equiv="Content-Security-Policy" content="{policy(style, script)}">',
        "style": f"<style>{style}</style>",
        "models": f'<script type="application/json" id="models">{data}</script>',
        "script": f"<script>{script}</script>",
    }
    page = read("page.html")
    for name, text in parts.items():
        before, found, after = page.partition(f"<!--{name}-->")
        assert found, f"page.html lacks <!--{name}-->"
        page = before + text + after
    return page


def joined_scripts() -> str:
    """Return the page's scripts as one, in the scope of one function."""
    parts = "\n".join(map(read, read(ORDER).split()))
    return f'(() => {{\n"use strict";\n{parts}\n}})();\n'


def policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy: this style and this script, and nothing from anywhere else."""
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
    return (PAGE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
