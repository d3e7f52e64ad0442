"""Weights files as people have them: read without unpickling, and the model's tensors found in them."""

from __future__ import annotations

import pickletools
import re
import warnings
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor, nn

from under20k.errors import UserError

DEPTH = 8
ADVICE = "save model.state_dict() with torch.save or safetensors"
NAMES_SHOWN = 3
STANDS_FOR = "_stands_for"
"""Attribute with the name of the class that a dictionary replaces."""


class WeightsError(UserError):
    """A weights file cannot be used; the message is a whole sentence."""


def load_weights(path: Path) -> object:
    """Read a weights file, for ``match``: safetensors, PyTorch's own format or NumPy's ``.npz``.

    Its first bytes decide, not its name. Only tensors, plain containers and NumPy's numbers and arrays are
    unpickled; objects of other classes become dictionaries. Raises WeightsError.
    """
    try:
        with path.open("rb") as file:
            start = file.read(9)
        if start[8:] == b"{":
            from safetensors.torch import load_file

            return load_file(path)
        if start.startswith(b"PK"):
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
            if any(name.endswith("/constants.pkl") for name in names):
                raise WeightsError(
                    f"the weights file is a TorchScript archive, a model with its code; {ADVICE}"
                )
            if names and all(name.endswith(".npy") for name in names):
                with np.load(path, allow_pickle=False) as arrays:
                    return {name: arrays[name] for name in arrays.files}
        return _load_torch(path, start.startswith(b"PK"))
    except WeightsError:
        raise
    except OSError as error:
        raise WeightsError(f"the weights file cannot be read: {error.strerror or error}") from None
    except Exception as error:  # whatever the loaders raise for a damaged file
        if "persistent_load" in str(error):  # old files of a whole model begin with its source
            raise _whole("") from None
        kind = (
            "is damaged" if start[:2] == b"PK" or start[8:] == b"{" else "has an unknown format or is damaged"
        )
        raise WeightsError(f"the weights file {kind} ({_plain(error)}); {ADVICE}") from None


def match(state: object, model: nn.Module) -> dict[str, Tensor]:
    """Return the model's tensors in ``state``, under the model's own names.

    They may lie in dictionaries in it, and share one prefix (``module.``, ``model.``, …). Raises WeightsError
    if there are none, or not all.
    """
    wanted = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    wanted = {name: value for name, value in wanted.items() if not name.endswith("num_batches_tracked")}
    groups = [group for group in _groups(state) if group]
    if not groups:
        inside = [state, *(state.values() if isinstance(state, Mapping) else ())]
        for name in filter(None, (getattr(each, STANDS_FOR, None) for each in inside)):
            raise _whole(f", {name}")
        raise WeightsError(f"the weights file holds no tensors by name; {ADVICE}")
    if not wanted:
        return {}
    best: tuple[int, str] = (-1, "")
    for group in groups:
        for prefix, own in _prefixes(group, wanted):
            found = {name: group.get(prefix + name.removeprefix(own)) for name in wanted}
            missing = [name for name, value in found.items() if value is None]
            others = [
                (name, value, wanted[name])
                for name, value in found.items()
                if value is not None and value.shape != wanted[name].shape
            ]
            known = {prefix + name.removeprefix(own) for name in wanted}
            extra = [
                name
                for name in group
                if name.startswith(prefix) and name not in known and not name.endswith("num_batches_tracked")
                if "." in name or group[name].ndim  # not a number such as the epoch
            ]
            if not missing and not others and not extra:
                return {name: value for name, value in found.items() if value is not None}
            score = len(wanted) - len(missing) - len(others)
            if score > best[0]:
                best = score, _difference(missing, others, extra, prefix)
    raise WeightsError(f"the weights are not the model's: {best[1] or _difference(list(wanted), [], [], '')}")


def _load_torch(path: Path, zipped: bool) -> object:
    allowed = list(_numpy_globals())
    known = {f"{each.__module__}.{each.__name__}" for each in allowed}
    # torch's own allow-list goes before these.
    allowed += [_stand_in(name) for name in sorted(_globals(path, zipped)) if name not in known]
    # An open file, since some versions of torch go by a path's ending.
    with path.open("rb") as file, torch.serialization.safe_globals(allowed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(file, map_location="cpu", weights_only=True)


def _globals(path: Path, zipped: bool) -> set[str]:
    """Return the names of all classes and functions that a file of ``torch.save`` refers to."""
    names: set[str] = set()

    def collect(stream: IO[bytes]) -> None:
        for operation, argument, _ in pickletools.genops(stream):
            if operation.name == "GLOBAL":
                module, _, name = str(argument).partition(" ")
                # Saved under Python 2's names; torch translates them back.
                module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
                names.add(f"{module}.{name}")

    if zipped:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith("/data.pkl"):
                    with archive.open(name) as stream:
                        collect(stream)
    else:
        with path.open("rb") as stream:
            for _ in range(5):  # magic number, version, system, the object, its storages
                collect(stream)
    return names


def _numpy_globals() -> Iterator[Any]:
    """Yield NumPy's numbers and arrays, which are data, under their names in its versions 1 and 2."""
    try:
        from numpy._core import multiarray
    except ImportError:  # before NumPy 2
        from numpy.core import multiarray  # type: ignore[no-redef]

    for function in (multiarray.scalar, multiarray._reconstruct):
        for module in ("numpy._core.multiarray", "numpy.core.multiarray"):
            yield _renamed(function, module)
    yield from (np.ndarray, np.dtype)
    for name in dir(np.dtypes):
        kind = getattr(np.dtypes, name)
        if isinstance(kind, type) and name.endswith("DType"):  # including objects, which pass the same filter
            yield kind


def _renamed(function: Any, module: str) -> Any:
    def call(*args: Any) -> Any:
        return function(*args)

    call.__module__, call.__name__, call.__qualname__ = module, function.__name__, function.__name__
    return call


def _stand_in(name: str) -> Any:
    """Return the placeholder of a class in a checkpoint; nothing of the class itself is made or run.

    It makes dictionaries, which torch fills as it would an object of the class, or a dictionary of its kind.
    """

    def make(kind: object, *args: object, **kwargs: object) -> OrderedDict[str, object]:
        made: OrderedDict[str, object] = OrderedDict()
        made.__dict__[STANDS_FOR] = name
        return made

    module, _, own = name.rpartition(".")
    return type(own, (), {"__module__": module, "__new__": make})


def _whole(name: str) -> WeightsError:
    return WeightsError(
        f"the weights file holds a whole pickled object{name}, which is not unpickled, since that would run "
        f"its code; {ADVICE}"
    )


def _groups(value: object, depth: int = 0) -> Iterator[dict[str, Tensor]]:
    """Yield the tensors by name in each dictionary within ``value``, and in nested ones by dotted names."""
    if depth > DEPTH:
        return
    if isinstance(value, Mapping):
        yield {str(key): tensor for key, item in value.items() if (tensor := _tensor(item)) is not None}
        for item in value.values():
            yield from _groups(item, depth + 1)
        if any(isinstance(item, Mapping) for item in value.values()):
            yield dict(_flat(value, depth))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _groups(item, depth + 1)


def _flat(value: Mapping[Any, Any], depth: int) -> Iterator[tuple[str, Tensor]]:
    for key, item in value.items():
        if isinstance(item, Mapping) and depth <= DEPTH:
            yield from ((f"{key}.{name}", tensor) for name, tensor in _flat(item, depth + 1))
        elif (tensor := _tensor(item)) is not None:
            yield str(key), tensor


def _tensor(value: object) -> Tensor | None:
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return torch.from_numpy(np.ascontiguousarray(value))
    return None


def _prefixes(group: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
    """Yield prefixes of the names in a file, and of the model's own, before their common part.

    The most frequent come first.
    """
    last = max(wanted, key=len)
    parts = _common(list(wanted)).split(".")[:-1]
    for count in range(len(parts) + 1):
        own = "".join(f"{part}." for part in parts[:count])
        counts = Counter(
            name[: -len(rest)]
            for wanted_name in wanted
            for rest in [wanted_name.removeprefix(own)]
            for name in group
            if name.endswith(rest) and (len(name) == len(rest) or name[-len(rest) - 1] == ".")
        )
        yield from ((prefix, own) for prefix, _ in counts.most_common(4))
    if last:  # so that missing names can be reported if nothing fits
        yield "", ""


def _common(names: list[str]) -> str:
    """Return the longest beginning that all names share, up to a dot."""
    first, last = min(names), max(names)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[:length].rpartition(".")[0] + "." if "." in first[:length] else ""


def _difference(
    missing: list[str], others: list[tuple[str, Tensor, Tensor]], extra: list[str], prefix: str
) -> str:
    parts = []
    if missing:
        parts.append(f"the file lacks {_shown(missing)}")
    if others:
        name, there, here = others[0]
        more = f" (and {len(others) - 1} more)" if len(others) > 1 else ""
        parts.append(f"{name} is {_shape(there)} in the file and {_shape(here)} in the model{more}")
    if extra:
        parts.append(f"the model lacks the file's {_shown(extra)}")
    where = f" under {prefix!r}" if prefix else ""
    return "; ".join(parts) + where


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a number"


def _plain(error: Exception) -> str:
    """Return an error's message without escape codes and without advice to turn a protection off."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    if "weights_only" in text or len(text) < 4:
        return type(error).__name__
    return " ".join(text.split())[:120]
