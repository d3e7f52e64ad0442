"""The format ``html``: one file, in which a browser computes the network and shows how."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from under20k.deploy.draw.bundle import html
from under20k.deploy.draw.models import embedded
from under20k.deploy.export.formats import Material
from under20k.deploy.export.html_run import measured
from under20k.deploy.export.proof import Measured
from under20k.deploy.model import Model
from under20k.engine.base import Images

FILE = "draw.html"


def export(model: Model, folder: Path, material: Material) -> Sequence[Path]:
    """Write the page, with the film of the model's training if there is one."""
    path = folder / FILE
    path.write_text(html(embedded([model])), encoding="utf-8", newline="\n")
    return [path]


def measure(model: Model, folder: Path, images: Images) -> Measured:
    """Run the page's own scripts on its own data, in a browser or Node.js."""
    return measured(folder / FILE, images)
