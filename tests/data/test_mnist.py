import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

import under20k.data
from under20k.data import MNIST, Mnist, load_test, locate


def raw(name: str, header: int) -> np.ndarray:
    """The bytes after the header of a true file, read without the code under test."""
    (path,) = [found.path for found in locate().values() if found.file.name == name]
    return np.fromfile(path, np.uint8)[header:]


def test_splits_have_the_right_images_and_labels(mnist: Mnist):
    images = raw("train-images-idx3-ubyte", 16).reshape(60_000, 28, 28)
    labels = raw("train-labels-idx1-ubyte", 8)
    order = torch.randperm(60_000, generator=torch.Generator().manual_seed(42)).numpy()
    assert np.array_equal(mnist.train.images, images[order[:50_000]])
    assert np.array_equal(mnist.train.labels, labels[order[:50_000]])
    assert np.array_equal(mnist.validation.images, images[order[50_000:]])
    assert np.array_equal(mnist.validation.labels, labels[order[50_000:]])


def test_the_test_split_is_the_test_file():
    test = load_test()
    assert np.array_equal(test.images.ravel(), raw("t10k-images-idx3-ubyte", 16))
    assert np.array_equal(test.labels, raw("t10k-labels-idx1-ubyte", 8))


def test_shapes_dtypes_and_ranges(mnist: Mnist):
    for split, name, count in (
        (mnist.train, "train", 50_000),
        (mnist.validation, "validation", 10_000),
        (load_test(), "test", 10_000),
    ):
        assert (split.name, len(split)) == (name, count)
        assert split.images.shape == (count, 28, 28)
        assert split.labels.shape == (count,)
        assert split.images.dtype == split.labels.dtype == np.uint8
        assert split.images.flags.c_contiguous
        torch.from_numpy(split.images)  # warns of an array that cannot be written, as a memory map
        torch.from_numpy(split.labels)


def test_class_counts_sum_to_those_of_the_60_000(mnist: Mnist):
    published = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert (mnist.train.class_counts() + mnist.validation.class_counts()).tolist() == published


def test_loading_reads_no_test_file(mnist: Mnist, tmp_path):
    for found in locate().values():
        (tmp_path / found.file.name).symlink_to(found.path)
    for test_file in MNIST[2:]:
        (tmp_path / test_file.name).unlink()
        os.mkfifo(tmp_path / test_file.name)  # the process would hang, or complain
    again = under20k.data.load(tmp_path)
    assert np.array_equal(again.validation.labels, mnist.validation.labels)


def test_importing_data_loads_nothing_heavy():
    source = Path(under20k.data.__file__).parents[2]
    heavy = ("torch", "PIL", "matplotlib", "tqdm")
    code = f"import sys, under20k.data; print(*[m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""


def test_true_files_have_the_published_hashes():
    # MD5 as published beside the files, by torchvision among others: independent of our table.
    published = {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    }
    for found in locate().values():
        assert hashlib.md5(found.path.read_bytes()).hexdigest() == published[found.file.name]
