"""Execute docs/tutorial.ipynb in a fresh kernel and render it: `python -m tools.tutorial [--render]`.

The notebook is written with its outputs, and docs/tutorial.md with its pictures in docs/tutorial/ shows the
same to those who read rather than run it. With --render, only the page and the pictures are written, from
the outputs that the notebook has.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from base64 import b64decode
from collections.abc import Sequence
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from under20k.files import write_bytes, write_text

DOCS = Path(__file__).parent.parent / "docs"
NOTEBOOK, PAGE, PICTURES = DOCS / "tutorial.ipynb", DOCS / "tutorial.md", DOCS / "tutorial"
TIMEOUT_S = 600
HEADING = "<!-- Rendered from tutorial.ipynb by `python -m tools.tutorial`. -->\n\n"
KEPT = ("b", "details", "summary", "table", "thead", "tbody", "tr", "th", "td")
"""HTML that a page of Markdown shows; of other elements their content is kept, and of each no style."""


def read_notebook() -> Any:
    """Return the committed notebook."""
    return nbformat.read(NOTEBOOK, as_version=4)


def executed(notebook: Any) -> Any:
    """Return a copy of a notebook, its cells run in a fresh kernel and an empty folder.

    What differs from one execution to the next, and says nothing, is left out: times, identifiers, versions.
    """
    made = nbformat.from_dict({**notebook, "cells": [dict(cell) for cell in notebook.cells]})
    # By sockets in a folder, whose name must be short.
    with tempfile.TemporaryDirectory(prefix="u-", dir="/tmp") as scratch:
        work = Path(scratch, "work")
        work.mkdir()
        here = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])  # under20k's folder
        # Not the settings of a user.
        environment = {**os.environ, "PATH": here, "IPYTHONDIR": scratch, "JUPYTER_CONFIG_DIR": scratch}
        manager = KernelManager(transport="ipc", connection_file=f"{scratch}/kernel.json")
        client = NotebookClient(
            made, km=manager, timeout=TIMEOUT_S, record_timing=False, shutdown_kernel="immediate",
            resources={"metadata": {"path": str(work)}},
        )  # fmt: skip
        client.execute(env=environment, cleanup_kc=True)
    for cell in made.cells:
        cell["metadata"] = {}
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":  # of a command, which a kernel gives a terminal
                output["text"] = re.sub(r"\x1b\[[0-9;]*m|\r(?=\n)", "", output.text).rstrip() + "\n"
    made["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "file_extension": ".py"},
    }
    return made


def rendered(notebook: Any) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as a page of Markdown, and its pictures by file name."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook.cells:
        source = "".join(cell.source)
        if cell.cell_type == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":
                parts.append(f"```\n{output.text.rstrip()}\n```")
            elif html := output.data.get("text/html"):
                parts.append(_page_html(html, pictures))
            else:
                parts.append(f"```\n{output.data['text/plain']}\n```")
    return HEADING + "\n\n".join(parts) + "\n", pictures


def _page_html(html: str, pictures: dict[str, bytes]) -> str:
    """Return an output's HTML as a page shows it; its pictures are added to ``pictures``."""
    plain = _Plain(pictures)
    plain.feed(html)
    plain.close()
    # A blank line would end the HTML.
    return re.sub(r"\n\s*\n", "\n", plain.text).strip()


class _Plain(HTMLParser):
    """Writes HTML without styles: pictures become files, divisions lines."""

    def __init__(self, pictures: dict[str, bytes]) -> None:
        super().__init__()
        self.text, self._skips, self._pictures, self._light = "", False, pictures, ""

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "style":
            self._skips = True
        elif tag == "img":
            self._image(values)
        elif tag in KEPT:
            right = tag in ("th", "td") and "text-align:right" in values.get("style", "")
            self.text += f'<{tag} align="right">' if right else f"<{tag}>"

    def handle_endtag(self, tag: str) -> None:
        if tag == "style":
            self._skips = False
        elif tag == "div":
            self.text += "<br>\n" if self.text and not self.text.endswith((">", "\n")) else "\n"
        elif tag in KEPT:
            self.text += f"</{tag}>" + "\n" * (tag in ("tr", "table", "thead", "summary", "details"))

    def handle_data(self, data: str) -> None:
        if not self._skips:
            self.text += escape(data)

    def _image(self, values: dict[str, str]) -> None:
        """Write a picture; its dark variant comes right after the light one."""
        data = b64decode(values["src"].partition(",")[2])
        if values.get("class") == "under20k-dark":
            dark = self._light.replace(".png", "-dark.png")
            self._pictures[dark] = data
            at = self.text.rindex("<img ")
            source = f'<source media="(prefers-color-scheme: dark)" srcset="{PICTURES.name}/{dark}">'
            self.text = f"{self.text[:at]}<picture>{source}{self.text[at:]}</picture>"
            return
        self._light = f"{1 + sum('-dark' not in name for name in self._pictures)}.png"
        self._pictures[self._light] = data
        alt = escape(values.get("alt", ""))
        self.text += f'\n<img src="{PICTURES.name}/{self._light}" width="640" alt="{alt}">'


def main(arguments: Sequence[str]) -> int:
    """Execute, unless told to render only, and write; return the exit code."""
    notebook = read_notebook()
    if "--render" not in arguments:
        notebook = executed(notebook)
        write_text(NOTEBOOK, nbformat.writes(notebook) + "\n")
    page, pictures = rendered(notebook)
    write_text(PAGE, page)
    for path in PICTURES.glob("*.png"):
        path.unlink()
    for name, data in pictures.items():
        write_bytes(PICTURES / name, data)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
