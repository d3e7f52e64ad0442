"""Does at import what torchvision does, and has the names that students use. Only for tests.

torchvision's own build does not import beside the CPU build of torch that the tests use. Here is what a watch
sees of such an import: temporary folders, shared libraries, operators, files of its own, the environment,
warnings, and the import of half of torch.
"""

import atexit
import importlib
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import torch
import torch._dynamo
import torch.hub
import torch.utils.model_zoo

from torchvision.extension import (
    HAS_OPS,
)  # first: the operators' library is loaded before they are registered
from torchvision import _registrations, datasets, io, models, ops, transforms, utils

__version__ = "0.28.0+standin"

# As torch.distributed does: a module that is written into a temporary folder, and imported from there.
SCRATCH = tempfile.mkdtemp(prefix="torchvision-")
Path(SCRATCH, "_torchvision_written.py").write_text("WRITTEN = True\n", encoding="utf-8")
sys.path.append(SCRATCH)
importlib.invalidate_caches()
WRITTEN = importlib.import_module("_torchvision_written").WRITTEN
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)
with tempfile.TemporaryFile() as _file:
    _file.write(b"scratch")

if os.environ.get("TORCHVISION_QUIET") is None:
    warnings.warn("the beta transforms of torchvision may change", UserWarning, stacklevel=2)

_image_backend = "PIL"


def set_image_backend(backend: str) -> None:
    """Choose what reads images."""
    global _image_backend
    _image_backend = backend


def get_image_backend() -> str:
    """What reads images."""
    return _image_backend
