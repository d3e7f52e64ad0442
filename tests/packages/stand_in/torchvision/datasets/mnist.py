"""Handwritten digits, and what comes in the same form."""

import gzip
import os
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset


class MNIST(Dataset):
    """28×28 images below root/MNIST/raw; ``download`` fetches what is not there."""

    mirror = "https://digits.invalid/mnist/"

    def __init__(
        self,
        root: str | Path,
        train: bool = True,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        download: bool = False,
    ) -> None:
        self.root, self.train = os.path.expanduser(root), train
        self.transform, self.target_transform = transform, target_transform
        part = "train" if train else "t10k"
        self.files = [f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"]
        if download:
            self.download()
        if not self.is_there():
            raise RuntimeError("Dataset not found. You can use download=True to download it")
        self.data = self._read(self.files[0], 16).reshape(-1, 28, 28)
        self.targets = self._read(self.files[1], 8).long()

    @property
    def folder(self) -> str:
        """Of the files."""
        return os.path.join(self.root, type(self).__name__, "raw")

    def is_there(self) -> bool:
        """Whether both files are."""
        return all(os.path.isfile(os.path.join(self.folder, name)) for name in self.files)

    def download(self) -> None:
        """Over the network, where it is not there."""
        if self.is_there():
            return
        os.makedirs(self.folder, exist_ok=True)
        for name in self.files:
            request = urllib.request.Request(f"{self.mirror}{name}.gz", headers={"User-Agent": "torchvision"})
            with urllib.request.urlopen(request) as answer:
                content = gzip.decompress(answer.read())
            Path(self.folder, name).write_bytes(content)

    def _read(self, name: str, skipped_bytes: int) -> Tensor:
        content = Path(self.folder, name).read_bytes()[skipped_bytes:]
        return torch.from_numpy(numpy.frombuffer(bytearray(content), numpy.uint8).copy())

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[object, int]:
        image: object = Image.fromarray(self.data[index].numpy())
        if self.transform is not None:
            image = self.transform(image)
        return image, int(self.targets[index])


class FashionMNIST(MNIST):
    """Clothes."""


class KMNIST(MNIST):
    """Kuzushiji."""


class EMNIST(MNIST):
    """Letters."""


class QMNIST(MNIST):
    """Digits, with more of them."""


class CIFAR10(MNIST):
    """Not of this form; only its download is of use here."""


class CIFAR100(CIFAR10):
    """Likewise."""
