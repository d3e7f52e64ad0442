"""Draw what was read: each picture with boxes, and beside it the 28×28 that the network saw of each digit.

A box is blue where the digit is believed, and dashed, in orange, where it is not: colours that people with
any colour vision tell apart. The pictures are grey, as they were segmented.
"""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from under20k.data.images.decode import decode
from under20k.deploy.digit import Digit
from under20k.deploy.read import Reading
from under20k.errors import UserError, shown
from under20k.files import reason, write_bytes
from under20k.formatting import percent, shortened
from under20k.report.predictions import is_page, name

BELIEVED, UNBELIEVED = (0, 90, 181), (213, 94, 0)
PAPER, TEXT, FAINT, FRAME = (255, 255, 255), (24, 24, 24), (100, 100, 100), (190, 190, 190)
WIDTH, HEIGHT = 2000, 6000  # at most, of a file
MARGIN, GAP = 16, 8
SINGLE = 84  # side of a single digit's picture, and of what the network saw of it
PAGE_WIDTH, PAGE_HEIGHT = 1000, 1400  # of a page's picture, at most
ENLARGED = 3  # a small page, at most
TILE, TILE_PITCH, ROW_PITCH = 56, 68, 78
TILES_WIDTH = WIDTH - 2 * MARGIN - PAGE_WIDTH - 2 * GAP
DASH = 6

Panel = Image.Image


class Sheets(AbstractContextManager["Sheets"]):
    """PNG files that readings are drawn into, one after another, complete at the end of the block.

    Raises UserError at once if ``path`` cannot be written.
    """

    def __init__(self, path: Path) -> None:
        check_writable(path)
        self.path = path
        self.written: list[Path] = []
        self._panels: list[tuple[Panel, int, int]] = []
        """With the left and upper ends, from the margins."""
        self._left = self._top = self._row = 0

    def spare(self, pictures: Iterable[Path]) -> None:
        """Raise UserError if a sheet might replace one of the pictures that are read."""
        name = re.compile(rf"{re.escape(self.path.stem)}(-\d+)?{re.escape(self.path.suffix)}", re.IGNORECASE)
        sheets = [each for each in self.path.parent.iterdir() if name.fullmatch(each.name)]
        taken = {identity for each in sheets if (identity := identity_of(each))}
        if not taken:
            return
        for picture in pictures:
            if identity_of(picture) in taken:
                raise UserError(
                    f"--show {self.path} might replace {picture}, which is to be read; take another name"
                )

    def add(self, reading: Reading) -> None:
        """Draw a picture; a full sheet is written."""
        if reading.fault:
            return
        page = is_page(reading)
        panel = page_panel(reading) if page else single_panel(reading)
        if page or self._left + panel.width > WIDTH - 2 * MARGIN:
            self._end_row()
        if self._top and self._top + panel.height > HEIGHT - 2 * MARGIN:
            self._write()
        self._panels.append((panel, self._left, self._top))
        self._left += panel.width + MARGIN
        self._row = max(self._row, panel.height)
        if page:
            self._end_row()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._panels:
            self._write()

    def _end_row(self) -> None:
        if self._row:
            self._left, self._top, self._row = 0, self._top + self._row + MARGIN, 0

    def _write(self) -> None:
        number = len(self.written) + 1
        path = self.path if number == 1 else self.path.with_stem(f"{self.path.stem}-{number}")
        width = max(left + panel.width for panel, left, _ in self._panels)
        height = max(top + panel.height for panel, _, top in self._panels)
        sheet = Image.new("RGB", (width + 2 * MARGIN, height + 2 * MARGIN), PAPER)
        for panel, left, top in self._panels:
            sheet.paste(panel, (left + MARGIN, top + MARGIN))
        png = io.BytesIO()
        sheet.save(png, "PNG")
        write_bytes(path, png.getvalue())
        self.written.append(path)
        self._panels, self._left, self._top, self._row = [], 0, 0, 0


def check_writable(path: Path) -> None:
    """Raise UserError if a PNG cannot be written to ``path``; its folder is made."""
    if path.suffix.lower() != ".png":
        raise UserError(f"--show is {str(path)!r}; the drawing is a PNG, so end its name with .png")
    if path.is_dir():
        raise UserError(f"--show is {str(path)!r}, which is a folder; name a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UserError(f"{path} cannot be written: {reason(error, path)}") from error


def identity_of(path: Path) -> tuple[int, int] | None:
    """Return what two names of one file have in common, or None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def single_panel(reading: Reading) -> Panel:
    """Return a picture of one digit or none, what the network saw, and what it says; the name below."""
    panel = Image.new("RGB", (3 * SINGLE + 2 * GAP, SINGLE + 20), PAPER)
    picture, scale = fitted(reading, SINGLE, SINGLE, enlarged=100)
    pen = ImageDraw.Draw(picture)
    for digit in reading.digits:
        draw_box(pen, digit, scale)
    panel.paste(picture, ((SINGLE - picture.width) // 2, (SINGLE - picture.height) // 2))
    pen = ImageDraw.Draw(panel)
    left = 2 * (SINGLE + GAP)
    for digit in reading.digits:
        panel.paste(seen(digit, SINGLE), (SINGLE + GAP, 0))
        pen.text((left, 0), str(digit), colour(digit), font(40))
        guess = f"{digit.likeliest} " if digit.value is None else ""
        pen.text((left, 46), f"{guess}{percent(digit.probability, 1)}", TEXT, font(15))
        second = f"or {digit.runner_up}: {percent(digit.runner_up_probability, 1)}"
        pen.text((left, 66), second, FAINT, font(12))
    if not reading.digits:
        pen.text((SINGLE + GAP, SINGLE // 2), "no digit found", FAINT, font(13), anchor="lm")
    pen.text((0, SINGLE + 4), clipped(shown(name(reading)), panel.width, 12), FAINT, font(12))
    return panel


def page_panel(reading: Reading) -> Panel:
    """Return a page with boxes, and beside its lines what the network saw of their digits."""
    picture, scale = fitted(reading, PAGE_WIDTH, PAGE_HEIGHT, enlarged=ENLARGED)
    pen = ImageDraw.Draw(picture)
    for digit in reading.digits:
        draw_box(pen, digit, scale)
    for digit in reading.digits:  # above all boxes
        draw_label(pen, digit, scale)
    heading = 24
    tiles, bottom = [], 0
    for line in reading.digits.lines():
        top = max(bottom, int(min(digit.box.top for digit in line) * scale))
        per_row = TILES_WIDTH // TILE_PITCH
        for index, digit in enumerate(line):
            row, column = divmod(index, per_row)
            tiles.append((digit, column * TILE_PITCH, top + row * ROW_PITCH))
        bottom = tiles[-1][2] + ROW_PITCH + GAP
    width = picture.width + 2 * GAP + max(left for _, left, _ in tiles) + TILE_PITCH
    panel = Image.new("RGB", (width, heading + max(picture.height, bottom)), PAPER)
    pen = ImageDraw.Draw(panel)
    pen.text((0, 2), clipped(shown(name(reading)), picture.width, 14), FAINT, font(14))
    panel.paste(picture, (0, heading))
    for digit, left, top in tiles:
        left, top = left + picture.width + 2 * GAP, top + heading
        panel.paste(seen(digit, TILE), (left, top))
        guess = f"{digit}" if digit.value is not None else f"{digit} {digit.likeliest}"
        pen.text((left, top + TILE + 2), guess, colour(digit), font(15))
        probability = percent(digit.probability, 0)
        pen.text((left + TILE, top + TILE + 4), probability, FAINT, font(12), anchor="ra")
    return panel


def fitted(reading: Reading, width: int, height: int, *, enlarged: int) -> tuple[Image.Image, float]:
    """Return the upright picture in grey, and its scale.

    Args:
        reading: of the picture.
        width: at most, in pixels.
        height: at most.
        enlarged: how many times, at most; by whole numbers, so that pixels stay squares.
    """
    scale = min(width / reading.size[0], height / reading.size[1])
    scale = min(int(scale), enlarged) if scale >= 1 else scale
    size = max(1, round(reading.size[0] * scale)), max(1, round(reading.size[1] * scale))
    try:
        grey = decode(reading.source)
    except UserError:  # it has gone since
        return Image.new("RGB", size, FAINT), scale
    picture = Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
    way = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
    picture = picture.resize(size, way).convert("RGB")
    ImageDraw.Draw(picture).rectangle((0, 0, size[0] - 1, size[1] - 1), outline=FRAME)
    return picture, scale


def draw_box(pen: ImageDraw.ImageDraw, digit: Digit, scale: float) -> None:
    """Draw the rectangle around a digit."""
    left, top, right, bottom = (round(side * scale) for side in digit.box)
    right, bottom = max(right - 1, left + 2), max(bottom - 1, top + 2)
    if digit.value is not None:
        pen.rectangle((left, top, right, bottom), outline=BELIEVED, width=2)
        return
    for x in range(left, right, 2 * DASH):
        for y in (top, bottom - 1):
            pen.rectangle((x, y, min(x + DASH, right), y + 1), UNBELIEVED)
    for y in range(top, bottom, 2 * DASH):
        for x in (left, right - 1):
            pen.rectangle((x, y, x + 1, min(y + DASH, bottom)), UNBELIEVED)


def draw_label(pen: ImageDraw.ImageDraw, digit: Digit, scale: float) -> None:
    """Write what a digit was read as, above its box, or in it at the picture's upper edge."""
    left, top, _, bottom = (round(side * scale) for side in digit.box)
    size = int(np.clip((bottom - top) / 2, 16, 32))
    anchor = "lb" if top > size else "lt"
    place = (left + 1, top - 1 if top > size else top + 3)
    pen.text(place, str(digit), colour(digit), font(size), anchor, stroke_width=2, stroke_fill=PAPER)


def seen(digit: Digit, side: int) -> Image.Image:
    """Return what the network saw of a digit, a multiple of 28 pixels wide."""
    return Image.fromarray(digit.image).resize((side, side), Image.Resampling.NEAREST)


def colour(digit: Digit) -> tuple[int, int, int]:
    """Return the colour of a digit's box and value."""
    return UNBELIEVED if digit.value is None else BELIEVED


def clipped(text: str, width: int, size: int) -> str:
    """Return a text of at most ``width`` pixels in letters of ``size``, its middle left out."""
    columns = len(text)
    while columns > 1 and font(size).getlength(text) > width:
        columns -= 1
        text = shortened(text, columns)
    return text


@cache
def font(size: int) -> Any:
    """Return Pillow's own typeface, without Matplotlib's slow import."""
    return ImageFont.load_default(size)
