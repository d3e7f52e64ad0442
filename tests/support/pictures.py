"""Pictures of digits, made of MNIST's validation images, and files that are no pictures."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from under20k.data import Split


def digit_files(split: Split, folder: Path, count: int) -> list[int]:
    """Write ``0.png``, ``1.png``, … of 28×28 into a folder; return the labels."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.fromarray(split.images[index]).save(folder / f"{index}.png")
    return split.labels[:count].tolist()


def page(split: Split, rows: Sequence[str], scale: int = 3) -> Image.Image:
    """Return dark digits on white paper, a row for each text; "-" leaves a gap.

    The digits are the first of their class, far enough apart to be told apart by anything.
    """
    side, pitch = 28 * scale, 36 * scale
    paper = np.full((pitch * len(rows) + side, pitch * max(map(len, rows)) + side), 255, np.uint8)
    for top, row in enumerate(rows):
        for left, sign in enumerate(row):
            if sign != "-":
                image = split.images[np.flatnonzero(split.labels == int(sign))[0]]
                ink = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
                y, x = top * pitch + side // 2, left * pitch + side // 2
                paper[y : y + side, x : x + side] = 255 - np.asarray(ink)
    return Image.fromarray(paper)


def png(width: int, height: int, data: bytes = bytes(1000)) -> bytes:
    """Return a PNG of 8 bits of grey that claims to be of that size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b""))
    )


def bad_files(folder: Path) -> dict[str, str]:
    """Write what cannot be read; return for each name a word of the message."""
    whole = png(20, 20)
    files = {
        "text.png": b"no picture",
        "empty.png": b"",
        "truncated.png": whole[:-30],
        "bomb.png": png(60_000, 60_000),
        "none.png": png(0, 0),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "dangling.png").symlink_to("nowhere")
    return dict.fromkeys((*files, "dangling.png"), "")
