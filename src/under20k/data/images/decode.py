"""Decode a picture to its luminance, upright."""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from under20k.errors import UserError

Grey = NDArray[np.float32]
"""(H, W) luminance, 0 black to 255 white."""

Source = Path | str | bytes | BinaryIO | Image.Image | NDArray[np.generic]
"""A file's path, its bytes, an open binary file, or a picture in memory."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM")
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
"""Of red, green and blue: ITU-R BT.601, which Pillow uses, too."""
FLAT = 24
"""Below this range of luminance, in levels, a coloured picture is seen by its most varied colour channel."""
FULL_SCALES = (1, 255, 1023, 4095, 65535)
"""What white may be where the type does not tell: the smallest that no value exceeds."""
UNIFORM = 40
"""Visible pixels whose luminance has a smaller standard deviation are ink that transparency alone shows."""


class UnreadablePicture(UserError):
    """A picture cannot be decoded."""


def decode(source: Source) -> Grey:
    """Return the luminance of a picture, upright, float32 (H, W) in 0–255.

    The first frame counts. An array is (H, W) or (H, W, 1 to 4), of bool, of numbers in 0–1 or 0–255, or of
    up to 16 bits. Raises UnreadablePicture if it is no picture, damaged, empty or too large.
    """
    if isinstance(source, np.ndarray):
        return _grey_of_array(source)
    name = _name(source)
    try:
        # Pillow only warns between once and twice its limit of pixels; from the limit on, refuse.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if isinstance(source, Image.Image):
                return _grey(source)
            file = io.BytesIO(source) if isinstance(source, bytes) else source
            with Image.open(file, formats=FORMATS) as picture:
                # Filters of warnings belong to the process, and other threads change them, too.
                if picture.width * picture.height > (Image.MAX_IMAGE_PIXELS or sys.maxsize):
                    raise Image.DecompressionBombError
                return _grey(picture)
    except UnreadablePicture as error:
        raise UnreadablePicture(f"{name}: {error}") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = f"{Image.MAX_IMAGE_PIXELS:,} pixels"
        raise UnreadablePicture(f"{name} has more than {limit}; scale it down") from error
    except UnidentifiedImageError as error:
        kinds = "PNG, JPEG, WebP, BMP, TIFF or GIF"
        raise UnreadablePicture(f"{name} is not a picture; expected {kinds}") from error
    except OSError as error:
        if error.errno is not None:
            raise UnreadablePicture(f"{name} cannot be read: {error.strerror}") from error
        raise UnreadablePicture(f"{name} is damaged or incomplete: {_one_line(error)}") from error
    except Exception as error:  # a decoder meets damaged bytes with whatever its parser raises
        raise UnreadablePicture(f"{name} is damaged: {_one_line(error)}") from error


def _name(source: Source) -> str:
    if isinstance(source, Path | str):
        return str(source)
    if isinstance(source, Image.Image):
        return str(getattr(source, "filename", "") or "the picture")
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "the input"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _grey(picture: Image.Image) -> Grey:
    if 0 in picture.size:
        raise UnreadablePicture(f"a picture of {picture.width}×{picture.height} pixels is empty")
    picture.load()  # before its EXIF data, whose damage is no reason to refuse the picture
    with contextlib.suppress(Exception):
        picture = ImageOps.exif_transpose(picture)
    mode = picture.mode
    if mode.startswith(("I", "F")):
        return _scaled(np.asarray(picture))
    if mode == "La":  # premultiplied; Pillow converts it only to LA
        picture = picture.convert("LA")
    if mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        return _composite(_grey_of_colour(picture.convert("RGB")), _levels(picture.getchannel("A")))
    if mode == "LAB":  # its lightness; Pillow converts LAB only with a colour profile
        return _levels(picture.getchannel(0))
    if mode in ("1", "L"):
        return _levels(picture.convert("L"))
    return _grey_of_colour(picture.convert("RGB"))


def _levels(picture: Image.Image) -> Grey:
    return np.asarray(picture).astype(np.float32)


def _grey_of_colour(picture: Image.Image) -> Grey:
    """Return the luminance of an RGB picture; of ink as light as its paper, the most varied channel."""
    grey = picture.convert("L")
    if _range(grey) >= FLAT:
        return _levels(grey)
    bands = [grey, *picture.split()]
    return _levels(bands[_telling([_range(band) for band in bands])])


def _range(band: Image.Image) -> float:
    low, high = band.getextrema()
    return float(high) - float(low)  # type: ignore[arg-type]


def _telling(ranges: Sequence[float]) -> int:
    """Return which to look at, the luminance (0) or a colour channel (1 to 3), by their ranges in levels."""
    channel = max((1, 2, 3), key=lambda index: ranges[index])
    return channel if ranges[0] < FLAT and ranges[channel] >= 2 * FLAT else 0


def _composite(grey: Grey, alpha: Grey) -> Grey:
    """Return luminance on a background which what is visible stands out from; alpha (H, W) in 0–255."""
    opacity = alpha / np.float32(255)
    total = float(opacity.sum(dtype=np.float64))
    if not total:
        return np.full_like(grey, 255)
    mean = float((grey * opacity).sum(dtype=np.float64)) / total
    deviation = (float(((grey - mean) ** 2 * opacity).sum(dtype=np.float64)) / total) ** 0.5
    if deviation < UNIFORM:
        paper = 255.0 if mean < 127.5 else 0.0
    else:  # ink and its paper are both visible, and most of it is paper
        paper = float(np.median(grey[opacity > 0.5])) if (opacity > 0.5).any() else mean
    composite: Grey = grey * opacity + np.float32(paper) * (1 - opacity)
    return composite


def _scaled(values: NDArray[np.generic]) -> Grey:
    """Return grey levels 0–255 of bool, of numbers in 0–1, in 0–255, or of up to 10, 12 or 16 bits."""
    grey = values.astype(np.float32)
    if not np.isfinite(grey).all():
        raise UnreadablePicture("some values are not finite")
    low, high = float(grey.min()), float(grey.max())
    if low < 0:
        raise UnreadablePicture(f"a value is {low:g}; expected 0 or more")
    full = next((top for top in FULL_SCALES if high <= top), high)
    return grey * np.float32(255 / full)


def _grey_of_array(values: NDArray[np.generic]) -> Grey:
    shape = "×".join(map(str, values.shape))
    if values.size == 0:
        raise UnreadablePicture(f"an array of {shape} is empty")
    if values.dtype.kind not in "biuf":
        raise UnreadablePicture(f"an array of {values.dtype} is not a picture; expected numbers")
    channels = values.shape[2] if values.ndim == 3 else 1
    if values.ndim not in (2, 3) or not 1 <= channels <= 4:
        raise UnreadablePicture(f"an array of {shape} is not a picture; expected (H, W) or (H, W, 3)")
    levels = _scaled(values)
    if channels == 1:
        return levels.reshape(levels.shape[:2])
    if channels == 2:
        return _composite(levels[..., 0], levels[..., 1])
    bands = [levels[..., :3] @ LUMINANCE, *(levels[..., channel] for channel in range(3))]
    grey = np.ascontiguousarray(bands[_telling([float(np.ptp(band)) for band in bands])])
    return grey if channels == 3 else _composite(grey, levels[..., 3])
