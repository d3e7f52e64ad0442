"""Run models that ask for a GPU on the CPU, and name the line that asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _device

_CONTEXT: Any = _device.DeviceContext
ACCELERATORS = ("cuda", "mps", "xpu", "hip", "hpu", "xla", "npu")


class CpuOnly(TorchFunctionMode):
    """Sends to the CPU what is sent to an accelerator that this process does not have.

    ``place`` returns the student's line that is running.
    """

    def __init__(self, place: Callable[[], str]) -> None:
        super().__init__()
        self.requests: list[str] = []
        """Lines that asked for an accelerator, each once."""
        self._place = place
        self._missing = {name for name in ACCELERATORS if not available(name)}
        self._set_device = _CONTEXT.__init__

    def __enter__(self) -> CpuOnly:
        # ``torch.set_default_device`` and ``with torch.device(…)`` act after every other mode.
        _CONTEXT.__init__ = lambda context, device: self._set_device(context, self._here(device))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        _CONTEXT.__init__ = self._set_device
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name in self._missing and args and isinstance(args[0], Tensor):
            self._note(name)
            return args[0]
        if "device" in kwargs:
            kwargs["device"] = self._here(kwargs["device"])
        if name == "to":
            args = (*args[:1], *map(self._here, args[1:]))
        return func(*args, **kwargs)

    def note(self) -> str:
        """Return where a GPU was asked for, in words; empty if it was not."""
        if not self.requests:
            return ""
        return f"{'; '.join(self.requests)}: judged on the CPU"

    def _here(self, value: Any) -> Any:
        """Return the CPU in place of a missing device, and every other value as it is."""
        kind = value.type if isinstance(value, torch.device) else value
        if type(value) is int:  # the number of a GPU
            kind = "cuda"
        if not isinstance(kind, str) or kind.partition(":")[0] not in self._missing:
            return value
        self._note(kind)
        return torch.device("cpu")

    def _note(self, device: Any) -> None:
        kind = str(device).partition(":")[0]
        place = self._place()
        text = f"{place or 'the model'} asks for a GPU ({kind})"
        if text not in self.requests:
            self.requests.append(text)


def keep_on_cpu(module: nn.Module) -> nn.Module:
    """Return the module, each of whose calls from now on runs within ``CpuOnly``."""
    devices = CpuOnly(lambda: "")
    module.register_forward_pre_hook(lambda *_: (devices.__enter__(), None)[1])
    module.register_forward_hook(lambda *_: devices.__exit__(None, None, None), always_call=True)
    return module


def available(accelerator: str) -> bool:
    """Return whether torch can put tensors on that accelerator here."""
    if accelerator in ("cuda", "hip"):
        return torch.cuda.is_available()
    module = getattr(torch.backends if accelerator == "mps" else torch, accelerator, None)
    return bool(module is not None and hasattr(module, "is_available") and module.is_available())
