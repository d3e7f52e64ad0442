"""A folder a class."""

import os
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from torch.utils.data import Dataset


class ImageFolder(Dataset):
    """Images below folders named as their classes."""

    def __init__(self, root: str | Path, transform: Callable | None = None) -> None:
        self.classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
        if not self.classes:
            raise FileNotFoundError(f"no folder of a class in {root}")
        self.transform = transform
        found = [(path, c) for c, name in enumerate(self.classes) for path in Path(root, name).iterdir()]
        self.samples = sorted(found)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[object, int]:
        path, target = self.samples[index]
        image = Image.open(path).convert("RGB")
        return (self.transform(image) if self.transform else image), target
