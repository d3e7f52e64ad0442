"""A shared library, looked for and loaded past Python."""

import importlib.machinery
import importlib.util
import os
import sysconfig

import torch


def _library() -> str | None:
    """One of Python's own compiled modules stands for the library of operators."""
    folder = os.path.dirname(__file__)
    details = (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES)
    for place in (folder, sysconfig.get_path("platstdlib") + "/lib-dynload"):
        if not os.path.isdir(place):
            continue
        finder = importlib.machinery.FileFinder(place, details)
        spec = finder.find_spec("_C") or finder.find_spec("_json") or finder.find_spec("_bz2")
        if spec is not None:
            return spec.origin
    return None


def _load() -> bool:
    library = _library()
    if library is None:
        return False
    torch.ops.load_library(library)
    return True


HAS_OPS = _load()
