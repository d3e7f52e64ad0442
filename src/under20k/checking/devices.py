"""Models that ask for a GPU, on a machine that has none: they run on the CPU, with a note of the line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

ACCELERATORS = ("cuda", "mps", "xpu", "hip", "hpu", "xla", "npu")


class OnCpu(TorchFunctionMode):
    """Send to the CPU what is sent to an accelerator that this machine does not have.

    ``place`` gives the student's line that is running; it stands in ``asked``, once for each line.
    """

    def __init__(self, place: Callable[[], str]) -> None:
        super().__init__()
        self.asked: list[str] = []
        self._place = place
        self._missing = {name for name in ACCELERATORS if not available(name)}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name in self._missing and args and isinstance(args[0], Tensor):
            self._note(name)
            return args[0]
        if self._is_missing(kwargs.get("device")):
            self._note(kwargs["device"])
            kwargs["device"] = torch.device("cpu")
        if name == "to":
            for device in filter(self._is_missing, args[1:]):
                self._note(device)
            args = tuple(torch.device("cpu") if self._is_missing(value) else value for value in args)
        return func(*args, **kwargs)

    def note(self) -> str:
        """Where a GPU was asked for, in words; empty where it was not."""
        if not self.asked:
            return ""
        return f"{' and '.join(self.asked)}, which this machine does not have: judged on the CPU"

    def _is_missing(self, device: Any) -> bool:
        kind = device.type if isinstance(device, torch.device) else device
        return isinstance(kind, str) and kind.partition(":")[0] in self._missing

    def _note(self, device: Any) -> None:
        kind = str(device).partition(":")[0]
        place = self._place()
        text = f"{place} needs a GPU ({kind})" if place else f"the model needs a GPU ({kind})"
        if text not in self.asked:
            self.asked.append(text)


def available(accelerator: str) -> bool:
    """Whether this torch on this machine can put tensors there."""
    if accelerator in ("cuda", "hip"):
        return torch.cuda.is_available()
    module = getattr(torch.backends if accelerator == "mps" else torch, accelerator, None)
    return bool(module is not None and hasattr(module, "is_available") and module.is_available())
