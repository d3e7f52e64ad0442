"""MNIST as arrays: the train, validation and test splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from under20k.data.events import OnFetch, ignore
from under20k.data.fetch import Found, obtain
from under20k.data.idx import TEST, TRAIN, IdxFile
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

    def __repr__(self) -> str:
        return f"Split({self.name}: {len(self):,} images)"

    def class_counts(self) -> NDArray[np.int64]:
        """Count the images of each class, (10,)."""
        return np.bincount(self.labels, minlength=10).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Mnist:
    """The splits that models are trained and selected on. The test images are separate: see ``load_test``."""

    train: Split
    """50,000 images."""
    validation: Split
    """10,000 images."""

    def __repr__(self) -> str:
        return f"Mnist({self.train!r}, {self.validation!r})"


def load(data_dir: Path | None = None, *, on_event: OnFetch = ignore) -> Mnist:
    """Return the train and validation images in the order of the assignment's split.

    ``data_dir`` is the folder for the files, by default the one that ``UNDER20K_DATA_DIR`` names or else the
    platform's cache folder; missing files are downloaded, and ``on_event`` is called with each step.
    Raises UserError if they cannot be found.
    """
    return mnist_from(obtain(TRAIN, data_dir, on_event=on_event))


def mnist_from(files: Mapping[IdxFile, Found]) -> Mnist:
    """Return the splits as ``load`` does, from files that include the two of ``TRAIN``."""
    images, labels = (files[file].array for file in TRAIN)
    train, validation = split_indices(len(labels))
    return Mnist(
        train=Split("train", images[train], labels[train]),
        validation=Split("validation", images[validation], labels[validation]),
    )


def load_test(data_dir: Path | None = None, *, on_event: OnFetch = ignore) -> Split:
    """Return the 10,000 test images in their own order, as views of the file's bytes; otherwise as ``load``.

    Nothing selects on them: only ``--test`` of ``under20k evaluate`` and ``check`` calls this.
    """
    files = obtain(TEST, data_dir, on_event=on_event)
    images, labels = (files[file].array for file in TEST)
    return Split("test", images, labels)
