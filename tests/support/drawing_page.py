"""The drawing page in a browser, and a hand that draws on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from under20k.deploy.draw.bundle import html
from under20k.deploy.draw.models import embedded
from under20k.recipe.drawn.forms import FORMS
from under20k.recipe.drawn.path import draw_pieces

DESKTOP, PROJECTOR, PHONE = (1280, 800), (1920, 1080), (360, 740)
PAPER = 0.75
"""Height of the drawing area per width."""
PATIENCE_MS = 20_000
Strokes = list[list[tuple[float, float]]]


def strokes_of(digit: int, seed: int = 0, form: str | None = None) -> Strokes:
    """Return a digit as a person draws it: points in fractions of its height, from its upper left corner."""
    chosen = next(each for each in FORMS if each.digit == digit and form in (None, each.name))
    pieces = draw_pieces(chosen, 1, np.random.default_rng(seed))
    strokes: Strokes = []
    for start, end, first in zip(pieces.start[:, 0].T, pieces.end[:, 0].T, pieces.first, strict=True):
        if first:
            strokes.append([tuple(start.tolist())])
        strokes[-1].append(tuple(end.tolist()))
    points = np.array([point for stroke in strokes for point in stroke])
    left, top = points.min(0)
    height = points[:, 1].max() - top
    return [[((x - left) / height, (y - top) / height) for x, y in stroke] for stroke in strokes]


class Paper:
    """An open page; lengths are fractions of the drawing area's width."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return a position of the drawing area in the window."""
        box = self.page.locator("#drawing").bounding_box()
        return box["x"] + x * box["width"], box["y"] + y * box["width"]

    def draw(
        self, digit: int, left: float, top: float, height: float, seed: int = 0, form: str | None = None
    ) -> None:
        """Draw a digit with the mouse."""
        self.page.locator("#drawing").scroll_into_view_if_needed()
        mouse = self.page.mouse
        for stroke in strokes_of(digit, seed, form):
            points = [self.at(left + x * height, top + y * height) for x, y in stroke]
            mouse.move(*points[0])
            mouse.down()
            for point in points[1:]:
                mouse.move(*point)
            mouse.up()

    def clear(self) -> None:
        """Begin with an empty paper."""
        self.page.get_by_role("button", name="Clear").click()

    def reads(self, text: str) -> None:
        """Wait until the page reads the text; fail if it does not."""
        from playwright.sync_api import expect

        expect(self.page.locator("#reading")).to_have_text(text, timeout=PATIENCE_MS)

    def settled(self) -> None:
        """Wait until the page has brought everything up to date."""
        self.page.evaluate(
            "async () => { for (let i = 0; i < 4; i++) await new Promise(requestAnimationFrame); }"
        )


@pytest.fixture(scope="session")
def drawing_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page that `under20k draw` shows, as a file."""
    path = tmp_path_factory.mktemp("draw") / "draw.html"
    path.write_text(html(embedded()), encoding="utf-8")
    return path


Opener = Callable[..., Paper]


@pytest.fixture
def paper(browser: Any, drawing_page: Path) -> Iterator[Opener]:
    """Opens the page from the disk, its demonstration without motion; nothing may complain until the end."""
    opened = []

    def open_page(size: tuple[int, int] = DESKTOP, scheme: str = "light", **options: Any) -> Paper:
        options = {"reduced_motion": "reduce", **options}
        viewport = {"width": size[0], "height": size[1]}
        context = browser.new_context(viewport=viewport, color_scheme=scheme, **options)
        new = Paper(context.new_page())
        opened.append((context, new))
        new.page.goto(drawing_page.as_uri())
        new.reads("427")
        return new

    yield open_page
    for context, each in opened:
        context.close()
        assert each.complaints == []
        # A worker's script is made by the page.
        assert [url for url in each.requests if not url.startswith("blob:null/")] == [drawing_page.as_uri()]
