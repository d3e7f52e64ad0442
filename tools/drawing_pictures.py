"""Take docs/draw.md's pictures of the page: `python -m tools.drawing_pictures`, with Chromium or Chrome."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from under20k.deploy.draw.bundle import html
from under20k.deploy.draw.models import embedded

DOCS = Path(__file__).parent.parent / "docs"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
COLOURS = 128
"""Of a PNG's palette, which keeps it small."""


def nothing(page: Any) -> None:
    """Leave the page as it opens."""


def hold_a_number(page: Any) -> None:
    """Hold a pixel of the second layer, on the digit."""
    _hold(page, 1, 3, 15, 14)


def point_at_a_class(page: Any) -> None:
    """Ask what spoke for a 9 and against it."""
    page.locator("#bars button").nth(9).hover()


def rewind(page: Any) -> None:
    """Show the film's first epoch, with the first layers below it."""
    _scroll_to_layers(page)
    page.locator("#epoch").focus()
    page.keyboard.press("Home")


@dataclass(frozen=True)
class Scene:
    """A picture: its name, the window and what is done before it is taken."""

    name: str
    size: tuple[int, int]
    prepare: Callable[[Any], None] = nothing
    dark: bool = False
    scale: float = 1


SCENES = (
    Scene("draw", (1280, 800), point_at_a_class),
    Scene("draw-dark", (1280, 800), point_at_a_class, dark=True),
    Scene("draw-number", (1280, 800), hold_a_number),
    Scene("draw-film", (1280, 800), rewind),
    Scene("draw-phone", (360, 740), scale=1.5),
)


def _scroll_to_layers(page: Any) -> None:
    page.locator("#layers-heading").evaluate(
        "(heading) => scrollTo(0, heading.getBoundingClientRect().top - 12)"
    )
    page.wait_for_timeout(300)


def _hold(page: Any, layer: int, channel: int, row: int, column: int) -> None:
    _scroll_to_layers(page)
    x, y = page.evaluate("(pixel) => under20k.app.maps.middleOf(...pixel)", [layer, channel, row, column])
    page.locator("#maps > li > canvas").nth(layer).click(position={"x": x, "y": y})


def picture_path(scene: Scene) -> Path:
    """Return where the documentation has the picture."""
    return DOCS / f"{scene.name}.png"


def take_pictures(browser: Any, path: Path, folder: Path) -> None:
    """Write the picture of every scene of the page at ``path`` into a folder."""
    for scene in SCENES:
        context = browser.new_context(
            viewport={"width": scene.size[0], "height": scene.size[1]},
            color_scheme="dark" if scene.dark else "light",
            device_scale_factor=scene.scale,
            reduced_motion="reduce",
        )
        page = context.new_page()
        page.goto(path.as_uri())
        page.locator("#digits button").nth(2).wait_for()
        scene.prepare(page)
        page.wait_for_timeout(300)  # the frames that follow
        with Image.open(io.BytesIO(page.screenshot())) as picture:
            small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        small.save(folder / picture_path(scene).name, optimize=True)
        context.close()


def main() -> int:
    """Write the pictures; return the exit code."""
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        print("no Chromium or Chrome on PATH; make browser installs one", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "draw.html"
        path.write_text(html(embedded()), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=executable)
        take_pictures(browser, path, DOCS)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
