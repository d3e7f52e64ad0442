"""The formats that a model can be exported to; each one's module is imported when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from under20k.deploy.export.tolerance import FP32, INT8, Tolerance
from under20k.errors import UserError, nearest

if TYPE_CHECKING:  # with NumPy, which the command's help does without
    from under20k.deploy.export.proof import Measured
    from under20k.deploy.model import Model
    from under20k.engine.base import Images


@dataclass(frozen=True)
class Material:
    """What an exporter is given beside the model."""

    accuracy: float | None
    """The engine's, on the validation images; None where it was not computed."""
    training: Images
    """uint8 (50000, 28, 28); none of them where the format's ``calibrated`` is false."""


class Exporter(Protocol):
    """What a format's module provides."""

    def export(self, model: Model, folder: Path, material: Material) -> Sequence[Path]:
        """Write the format's files into an empty folder, and return them."""

    def measure(self, model: Model, folder: Path, images: Images) -> Measured:
        """Run what ``export`` wrote on images, uint8 (N, 28, 28). Raises NotRun where that is impossible."""


@dataclass(frozen=True)
class Format:
    """A format."""

    name: str
    title: str
    module: str
    """Below ``under20k.deploy.export``: an ``Exporter``."""
    tolerance: Tolerance
    extra: str = ""
    """The extra of the package that it needs."""
    packages: tuple[str, ...] = ()
    """The modules that the extra installs."""
    calibrated: bool = False
    """Whether the exporter needs training images."""
    alternatives: bool = False
    """Whether a user takes one of the files: the size is the first one's."""
    use: str = ""
    """How to use the files: Markdown for the model card."""
    library: str = "under20k"
    """What loads the files, for the model card."""
    tags: tuple[str, ...] = ()
    """For the model card."""

    def exporter(self) -> Exporter:
        """Return the format's module. Raises UserError if a package that it needs is missing or broken."""
        for package in self.packages:
            if find_spec(package) is None:
                raise UserError(
                    f"{package} is not installed, which the export to {self.name} needs; "
                    f"install it with: pip install 'under20k[{self.extra}]'"
                )
        try:
            return cast(Exporter, importlib.import_module(f"under20k.deploy.export.{self.module}"))
        except ImportError as error:
            if isinstance(error.__cause__, KeyboardInterrupt):  # while a compiled module was loaded
                raise error.__cause__ from None
            if not self.packages:
                raise
            raise UserError(
                f"{' or '.join(self.packages)} cannot be loaded, which the export to {self.name} needs: "
                f"{error}; install it again with: pip install --force-reinstall {' '.join(self.packages)}"
            ) from error


_ONNX: dict[str, Any] = {
    "extra": "export",
    "packages": ("onnx", "onnxruntime"),
    "alternatives": True,
    "library": "onnx",
    "tags": ("onnx",),
    "use": "Take one of the files: the first has its input `image` in float32, the second in uint8. It is "
    "(N, 1, 28, 28), pixels from 0 (background) to 255 (ink), for any N. The outputs are `logits` and "
    "`probabilities`, both float32 (N, 10).",
}
_TORCH = """\
`model.py` is a plain `nn.Module` without under20k. `pip install torch safetensors` is enough to load it:

```python
import safetensors.torch
from model import Net

net = Net().eval()
net.load_state_dict(safetensors.torch.load_file("model.safetensors"))
digits = net((images / 255 - 0.1307) / 0.3081).argmax(1)  # images: float32 (N, 1, 28, 28), 0 to 255
```

The outputs are log-probabilities (N, 10); `net.logits` gives the logits."""
_HUB = f"""\
With under20k, from the folder that holds this file:

```python
import under20k

model = under20k.load(".")
digits = model.predict(images)  # (N, 28, 28), 0 to 255
print(under20k.read("postcode.png", model).text)  # a picture of any size
```

In PyTorch, {_TORCH}

In ONNX, take one of two files: `model.onnx` has its input `image` in float32, `model-uint8.onnx` in uint8.
It is (N, 1, 28, 28), pixels from 0 to 255, for any N. The outputs are `logits` and `probabilities`."""
_C = (
    "Add both files to a program, include `under20k.h` and call `under20k_digit`; the header says how. "
    "Nothing else is needed."
)
_HTML = (
    "Open `draw.html` in a browser of 2023 or later, from the disk or from any web server. Draw a digit, "
    "drop a picture or use the camera, and see what every layer computes. The page needs no network and "
    "sends nothing."
)
_FORMATS = (
    Format("onnx", "ONNX, fp32", "onnx_fp32", FP32, **_ONNX),
    Format("onnx-int8", "ONNX, int8", "onnx_int8", INT8, calibrated=True, **_ONNX),
    Format("c", "C99, float", "c_float", FP32, use=_C, tags=("c",)),
    Format("c-int8", "C99, int8", "c_int8", INT8, calibrated=True, use=_C, tags=("c",)),
    Format(
        "torch",
        "PyTorch",
        "torch_module",
        FP32,
        use=_TORCH,
        library="pytorch",
        tags=("pytorch", "safetensors"),
    ),
    Format("html", "HTML page", "html_page", FP32, use=_HTML, tags=("javascript",)),
    Format(
        "hub-folder",
        "a folder for the Hugging Face Hub",
        "hub_folder",
        FP32,
        extra="export",
        packages=("onnx", "onnxruntime"),
        use=_HUB,
        tags=("pytorch", "safetensors", "onnx"),
    ),
)
FORMATS = {format.name: format for format in _FORMATS}


def format_named(name: str) -> Format:
    """Return a format. Raises UserError if there is none of that name."""
    if name not in FORMATS:
        raise UserError(f"there is no format {name!r}; {nearest(name, FORMATS)}")
    return FORMATS[name]
