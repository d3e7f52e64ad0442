"""A PyTorch model of the user's as a training takes it: its tensors and, where it has one, its graph."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from under20k.errors import InvalidValue
from under20k.recipe.fields import json_fields, whole_number
from under20k.recipe.graph.graph import Graph
from under20k.recipe.graph.layers import Layer, layers
from under20k.recipe.graph.node import MAX_SIZE, Shape, is_whole
from under20k.recipe.graph.operations import BatchNorm, LogSoftmax, Softmax

MAX_TENSORS = 10_000
DIGEST_CHARACTERS = 8
COUNTER = ".num_batches_tracked"
"""The end of the name of BatchNorm's counter of training batches."""


def is_target(text: str) -> bool:
    """Return whether a text names a model's source, such as ``model.py:Net``, not a recipe."""
    text = re.sub(r"^[A-Za-z]:(?=[\\/])", "", text)  # the drive of a Windows path
    return text.endswith((".py", ".ipynb")) or (":" in text and not text.lower().endswith(".json"))


@dataclass(frozen=True)
class OwnModel:
    """A model written by its user. The source itself lies in the run folder, not here."""

    name: str
    """The class or function that makes it: ``Net``."""
    target: str = field(compare=False)
    """Where it came from, as its user named it: ``model.py:Net``; empty for an object."""
    sha256: str
    """Of the source and the modules of the user's that it imports; empty for an object that has none."""
    arguments: tuple[tuple[str, Any], ...] = field(hash=False)
    """Of the constructor: names and plain values."""
    tensor_shapes: tuple[tuple[str, Shape], ...]
    """Names and shapes of the floating-point tensors of its ``state_dict``, in its order; a tensor of several
    names has its first.
    """
    trained_names: frozenset[str]
    """Names of those that are trained."""
    macs: int
    receptive_field: int
    graph: Graph | None
    """None where only PyTorch can train it."""
    why: str = ""
    """Why there is no graph: ``Net.forward uses torch.fft``."""
    ends_in: str = ""
    """``softmax`` or ``log_softmax``, where there is no graph to tell."""
    layout: str = "maps"
    """The form of its images: ``maps`` of N×1×28×28, ``flat``, ``rows`` or ``channels last``."""
    aliases: tuple[tuple[str, str], ...] = ()
    """Further names in its ``state_dict``, each with the first name of that tensor."""
    integers: tuple[tuple[str, Shape], ...] = ()
    """Names and shapes of the other tensors of its ``state_dict``, such as BatchNorm's counters."""

    def __post_init__(self) -> None:
        whole_number("macs", self.macs, 0, 2**62)
        whole_number("receptive_field", self.receptive_field, 0, 2**31)
        if not re.fullmatch(r"([0-9a-f]{64})?", self.sha256):
            raise InvalidValue(f"sha256: {self.sha256!r:.80}; expected 64 hexadecimal digits")
        tensors = self.tensors()
        if len(tensors) != len(self.tensor_shapes) or len(tensors) > MAX_TENSORS:
            raise InvalidValue(f"tensors: {len(self.tensor_shapes)}; expected up to {MAX_TENSORS}, each once")
        if unknown := sorted(self.trained_names - tensors.keys()):
            raise InvalidValue(f"trained: {unknown[0]!r:.80} is not among the tensors")
        if unknown := [name for name, first in self.aliases if first not in tensors | dict(self.integers)]:
            raise InvalidValue(f"aliases: {unknown[0]!r:.80} stands for no tensor")
        for name, shape in (self.graph.tensors() if self.graph else {}).items():
            if tensors.get(name) != shape:
                raise InvalidValue(f"graph: {name!r:.80} is not a tensor of the shape {shape}")

    def __str__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments)
        return f"{self.name}({arguments})"

    def __repr__(self) -> str:
        return f"OwnModel({self}: {self.parameters:,} parameters)"

    @property
    def parameters(self) -> int:
        """Count the trainable parameters; a tensor of several names counts once."""
        return sum(math.prod(shape) for name, shape in self.tensor_shapes if name in self.trained_names)

    def tensors(self) -> dict[str, Shape]:
        """Return names and shapes of the weights, as in the model's ``state_dict`` (floats only)."""
        return dict(self.tensor_shapes)

    def layers(self) -> Iterator[Layer]:
        """Yield every layer of the graph in the order of computation; none where there is no graph."""
        return layers(self.graph) if self.graph else iter(())

    @property
    def output(self) -> str:
        """What the model returns: ``logits``, ``softmax`` or ``log_softmax``."""
        if self.graph is None:
            return self.ends_in or "logits"
        last = self.graph.nodes[-1]
        return last.op if isinstance(last, Softmax | LogSoftmax) else "logits"

    @property
    def digest(self) -> str:
        """Return a short digest of everything but the target: equal for equal models."""
        values = {**self.to_dict(), "target": ""}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:DIGEST_CHARACTERS]

    def difference(self, now: OwnModel) -> str:
        """Return how another model differs from this one, in words."""
        if self.name != now.name:
            return f"{self.name}, now {now.name}"
        if self.arguments != now.arguments:
            return f"{self}, now {now}"
        return f"{self.name} has changed since" if self != now else ""

    def counters(self, steps: int) -> dict[str, int]:
        """Return BatchNorm's counters after ``steps`` batches; each use of a layer counts one."""
        uses: dict[str, int] = {}
        for node in self.graph.nodes if self.graph else ():
            if isinstance(node, BatchNorm):
                name = node.running_mean.removesuffix(".running_mean") + COUNTER
                uses[name] = uses.get(name, 0) + 1
        counters = [name for name, shape in self.integers if f".{name}".endswith(COUNTER) and not shape]
        return {name: steps * uses.get(name, 0 if self.graph else 1) for name in counters}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "name": self.name,
            "target": self.target,
            "sha256": self.sha256,
            "arguments": dict(self.arguments),
            "tensors": {name: list(shape) for name, shape in self.tensor_shapes},
            "trained": [name for name, _ in self.tensor_shapes if name in self.trained_names],
            "aliases": dict(self.aliases),
            "integers": {name: list(shape) for name, shape in self.integers},
            "macs": self.macs,
            "receptive_field": self.receptive_field,
            "graph": self.graph.to_list() if self.graph else None,
            "why": self.why,
            "ends_in": self.ends_in,
            "layout": self.layout,
        }

    @classmethod
    def from_dict(cls, data: object) -> OwnModel:
        """Invert ``to_dict``. Raises InvalidValue for anything else."""
        values = json_fields(data, _Json, "architecture")
        for name in ("name", "target", "sha256", "why", "ends_in", "layout"):
            if not isinstance(values[name], str):
                raise InvalidValue(f"{name}: {values[name]!r:.80}; expected a text")
        return cls(
            name=values["name"],
            target=values["target"],
            sha256=values["sha256"],
            arguments=tuple(_object("arguments", values["arguments"]).items()),
            tensor_shapes=_shapes("tensors", values["tensors"]),
            trained_names=frozenset(_texts("trained", values["trained"])),
            macs=values["macs"],
            receptive_field=values["receptive_field"],
            graph=None if values["graph"] is None else Graph.from_list(values["graph"]),
            why=values["why"],
            ends_in=values["ends_in"],
            layout=values["layout"],
            aliases=tuple(
                zip(
                    _object("aliases", values["aliases"]),
                    _texts("aliases", [*values["aliases"].values()]),
                    strict=True,
                )
            ),
            integers=_shapes("integers", values["integers"]),
        )


@dataclass
class _Json:
    """The fields of ``OwnModel.to_dict``."""

    name: str
    target: str
    sha256: str
    arguments: Any
    tensors: Any
    trained: Any
    aliases: Any
    integers: Any
    macs: int
    receptive_field: int
    graph: Any
    why: str
    ends_in: str
    layout: str


def _object(name: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidValue(f"{name}: {value!r:.80}; expected an object with fields")
    return value


def _texts(name: str, values: object) -> Sequence[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InvalidValue(f"{name}: {values!r:.80}; expected texts")
    return values


def _shapes(name: str, values: object) -> tuple[tuple[str, Shape], ...]:
    found = []
    for tensor, shape in _object(name, values).items():
        whole = isinstance(shape, list) and all(is_whole(size, 0, MAX_SIZE) for size in shape)
        if not whole or math.prod(shape) > MAX_SIZE:
            raise InvalidValue(f"{name}: {tensor!r:.80} of shape {shape!r:.80}; expected a list of sizes")
        found.append((tensor, tuple(shape)))
    return tuple(found)
