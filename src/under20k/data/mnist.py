"""MNIST as arrays: the splits that everything else works with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from under20k.data.events import OnFetch, ignore
from under20k.data.fetch import Files, obtain
from under20k.data.idx import TEST, TRAIN
from under20k.data.split import split_indices


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels."""

    name: Literal["train", "validation", "test"]
    images: NDArray[np.uint8]
    """(N, 28, 28), C-contiguous; 0 is background, 255 is ink."""
    labels: NDArray[np.uint8]
    """(N,), 0 to 9."""

    def __len__(self) -> int:
        return len(self.labels)

    def class_counts(self) -> NDArray[np.int64]:
        """How many images each class has, (10,)."""
        return np.bincount(self.labels, minlength=10).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Mnist:
    """What models are made and chosen with. The test images are not part of it: see ``load_test``."""

    train: Split
    """50,000 images."""
    validation: Split
    """10,000 images."""


def load(data_dir: Path | None = None, *, on_event: OnFetch = ignore) -> Mnist:
    """The train and validation images, in the order of the specification's split; fetched if need be.

    ``data_dir`` is a folder that holds the files or is to hold them; without it, the environment variable
    ``UNDER20K_DATA_DIR`` or the platform's cache folder. ``on_event`` is called with what a download does.
    Raises UserError if the files are not to be had.
    """
    return mnist_from(obtain(TRAIN, data_dir, on_event=on_event))


def mnist_from(files: Files) -> Mnist:
    """The splits in files at hand, the two of ``TRAIN`` among them; as ``load`` gives them."""
    images, labels = (files.array(file) for file in TRAIN)
    train, validation = split_indices(len(labels))
    return Mnist(
        train=Split("train", images[train], labels[train]),
        validation=Split("validation", images[validation], labels[validation]),
    )


def load_test(data_dir: Path | None = None, *, on_event: OnFetch = ignore) -> Split:
    """The 10,000 test images, in their own order, viewed in the bytes of the file; otherwise as ``load``.

    Nothing is chosen by them: ``--test`` of ``under20k evaluate`` and ``check`` alone calls this.
    """
    files = obtain(TEST, data_dir, on_event=on_event)
    images, labels = (files.array(file) for file in TEST)
    return Split("test", images, labels)
