"""Read the digits of pictures."""

from __future__ import annotations

import threading
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from under20k.data.images.decode import decode
from under20k.data.images.digit_image import digit_image
from under20k.data.images.segment import Segment, segments
from under20k.deploy.believe import believed
from under20k.deploy.choose import candidates, chosen
from under20k.deploy.digit import Digit, Digits
from under20k.deploy.model import Model, as_model
from under20k.engine.machine import cores
from under20k.errors import UserError, unforeseen
from under20k.recipe.fields import instance

Picture = str | Path | bytes | Image.Image | NDArray[np.generic]

CHUNK = 256
"""The most pictures whose digits the engine gets at once."""
WAIT_S = 0.3
"""After this time it gets those that are there."""
AHEAD = 32
"""Pictures that are decoded ahead of the one that is waited for."""
MOST_THREADS = 4
LARGE_BYTES = 1 << 16
"""A larger file is read while no other large one is: a photograph takes some hundred MB."""


@dataclass(frozen=True)
class Found:
    """What may be digits in one picture."""

    segments: list[Segment] = field(default_factory=list)
    """In reading order; some may be one digit or several that touch."""
    candidates: Sequence[Segment] = ()
    """All that ``choose`` chooses from."""
    images: Sequence[NDArray[np.uint8]] = ()
    """(28, 28) of each candidate."""
    size: tuple[int, int] = (0, 0)
    """Width and height of the upright picture, in pixels."""
    fault: str = ""
    """Why the picture could not be read."""


@dataclass(frozen=True)
class Reading:
    """A picture and what was read in it."""

    source: Picture
    digits: Digits
    size: tuple[int, int]
    """Width and height of the upright picture, in pixels."""
    fault: str = ""
    """Why the picture could not be read; empty where it was, even without a digit."""


def read(picture: Picture, model: Model | str | Path | None = None) -> Digits:
    """Return the digits of a picture in reading order; ``.text`` is what it says.

    Args:
        picture: a file, its bytes, a PIL image, or an array (H, W) or (H, W, 3) of grey levels or colours.
        model: from ``load``, or what ``load`` takes; by default the pretrained one that reads best.

    Raises:
        UserError: the picture cannot be decoded, or there is no such model.
    """
    model = as_model(model)
    kinds = str | Path | bytes | Image.Image | np.ndarray
    instance("picture", picture, kinds, "a file's path or bytes, a PIL image, or an array")
    if isinstance(picture, str) and not picture:
        raise UserError("the path of the picture is empty")
    (digits,) = _recognised([_found(picture)], model)
    return digits


def read_all(pictures: Iterable[Picture], model: Model, *, threads: int | None = None) -> Iterator[Reading]:
    """Yield what is read in each picture, in their order; those that cannot be read have a ``fault``.

    Several are decoded at a time, and the digits of up to ``CHUNK`` pictures are held.

    Args:
        pictures: as ``read`` takes them.
        model: reads them.
        threads: that decode; by default one per core, at most ``MOST_THREADS``.
    """
    large = threading.Lock()

    def attempt(picture: Picture) -> Found:
        try:
            if _is_large(picture):
                with large:
                    return _found(picture)
            return _found(picture)
        except UserError as error:
            return Found(fault=str(error))
        except Exception as error:  # a decoder's own: one file must not end the reading of the others
            return Found(fault=f"{_name(picture)} cannot be read: {unforeseen(error)}")

    def flushed() -> Iterator[Reading]:
        for (picture, found), digits in zip(
            chunk, _recognised([found for _, found in chunk], model), strict=True
        ):
            yield Reading(picture, digits, found.size, found.fault)
        chunk.clear()

    chunk: list[tuple[Picture, Found]] = []
    ahead: deque[tuple[Picture, Future[Found]]] = deque()
    waiting = iter(pictures)
    pool = ThreadPoolExecutor(min(threads or cores().amount, MOST_THREADS))
    last = time.monotonic()
    # Decoders ignore warnings for a while, several at once; afterwards the filters must be what they were.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            while True:
                more = islice(waiting, AHEAD - len(ahead))
                ahead.extend((picture, pool.submit(attempt, picture)) for picture in more)
                if not ahead:
                    break
                picture, future = ahead.popleft()
                chunk.append((picture, future.result()))
                if len(chunk) == CHUNK or time.monotonic() - last > WAIT_S:
                    yield from flushed()
                    last = time.monotonic()
            yield from flushed()
        finally:
            pool.shutdown(cancel_futures=True)


def _found(picture: Picture) -> Found:
    """Return what may be digits in a picture. Raises UnreadablePicture."""
    grey = decode(picture)
    found = segments(grey)
    options = candidates(found)
    images = [digit_image(segment.ink) for segment in options]
    return Found(found, options, images, (grey.shape[1], grey.shape[0]))


def _recognised(found: Sequence[Found], model: Model) -> list[Digits]:
    """Return the digits of several pictures, all computed at once."""
    images = [image for each in found for image in each.images]
    if not images:
        return [Digits() for _ in found]
    logits = model.logits(np.stack(images))
    ends = np.cumsum([len(each.images) for each in found])
    return [_digits(each, own, model) for each, own in zip(found, np.split(logits, ends[:-1]), strict=True)]


def _digits(found: Found, logits: NDArray[np.float32], model: Model) -> Digits:
    """Return the digits of one picture, of the logits (N, 10) of its candidates."""
    # As the network is: sharper probabilities tell less of which cuts are the better ones.
    kept = chosen(found.segments, model.probabilities_of(logits, 1.0))
    if not kept:
        return Digits()
    images, probabilities = (
        np.stack([found.images[index] for index in kept]),
        model.probabilities_of(logits[kept]),
    )
    order = probabilities.argsort(1)[:, ::-1]
    rows = zip(
        kept, images, probabilities, order, believed(probabilities, images, model.threshold), strict=True
    )
    return Digits(
        Digit(
            value=int(best) if is_digit else None,
            probability=float(row[best]),
            runner_up=int(second),
            runner_up_probability=float(row[second]),
            box=found.candidates[index].box,
            line=found.candidates[index].line,
            image=image,
            likeliest=int(best),
        )
        for index, image, row, (best, second, *_), is_digit in rows
    )


def _is_large(picture: Picture) -> bool:
    """Tell whether a picture may take much memory to decode, by the size of its file."""
    if not isinstance(picture, str | Path):
        return True
    try:
        return Path(picture).stat().st_size > LARGE_BYTES
    except OSError:  # decode says what is wrong
        return False


def _name(picture: Picture) -> str:
    return str(picture) if isinstance(picture, str | Path) else "the picture"
