"""Generated parts of a page of Markdown, each between ``<!-- name -->`` and ``<!-- /name -->``."""

from __future__ import annotations

import re
from collections.abc import Mapping


def has_part(text: str, name: str) -> bool:
    """Whether a page has a part of that name."""
    return f"<!-- {name} -->" in text


def filled(text: str, parts: Mapping[str, str]) -> str:
    """``text`` with its generated parts replaced. Raises ValueError unless each is there once."""
    for name, part in parts.items():
        block = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        found = list(block.finditer(text))
        if len(found) != 1:
            raise ValueError(f"the page has {len(found)} parts {name!r}")
        (place,) = found
        text = f"{text[: place.start()]}{place[1]}{part}\n{place[2]}{text[place.end() :]}"
    return text
