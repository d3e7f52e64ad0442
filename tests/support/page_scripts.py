"""The drawing page's scripts in an empty page of a browser, and networks for them."""

import base64
from pathlib import Path
from typing import Any

import numpy as np

import under20k
from under20k.deploy.model import Model
from under20k.recipe.architecture import Architecture

PAGE = Path(under20k.__file__).parent / "deploy" / "draw" / "page"
SCRIPTS = (
    *("planes.js", "digit_image.js", "ink.js", "segment.js"),
    *("graph.js", "operations.js", "patch.js", "network.js", "explain.js"),
)
"""Those that compute, in the order in which the page joins them."""

BYTES = """
const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const floatsOf = (text) => new Float32Array(bytesOf(text).buffer);
const textOf = (array) => btoa(Array.from(new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
  (byte) => String.fromCharCode(byte)).join(""));
const networks = {};
"""


def load(page: Any) -> None:
    """Load the scripts into an empty page."""
    page.goto("about:blank")
    text = "\n".join((PAGE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    page.add_script_tag(content='"use strict";\n' + text + BYTES)


def text_of(array: Any, dtype: str = "<f4") -> str:
    """Return an array's bytes as text."""
    return base64.b64encode(np.ascontiguousarray(array, dtype).tobytes()).decode()


def array_of(text: str, dtype: str = "<f4") -> Any:
    """Return the array of such text."""
    return np.frombuffer(base64.b64decode(text), dtype)


def add_network(page: Any, name: str, graph: list[dict[str, Any]], tensors: dict[str, Any]) -> None:
    """Make a network of a graph and its weights, ``networks[name]`` in the page."""
    description = {
        "name": name,
        "graph": graph,
        "tensors": [[key, list(np.shape(value))] for key, value in tensors.items()],
        "temperature": 1,
    }
    weights = [np.ravel(value) for value in tensors.values()] or [np.zeros(0)]
    page.evaluate(
        "([name, description, weights]) => { networks[name] = new Network(description, floatsOf(weights)); }",
        [name, description, text_of(np.concatenate(weights))],
    )


def add_model(page: Any, model: Model) -> None:
    """Make a trained model a network of the page, under its name."""
    architecture = model.recipe.architecture
    tensors = {name: model.weights[name] for name in architecture.tensors()}
    add_network(page, model.name, graph_of(architecture), tensors)


def graph_of(architecture: Architecture) -> list[dict[str, Any]]:
    """Return the nodes of an architecture, in order of computation."""
    nodes: list[dict[str, Any]] = []

    def node(name: str, op: str, **fields: Any) -> None:
        before = nodes[-1]["name"] if nodes else "image"
        nodes.append({"name": name, "op": op, "inputs": [before], **fields})

    def conv(name: str, channels: int, kernel: int, padding: int, weight: str, bias: bool) -> None:
        sides = {"kernel": [kernel] * 2, "stride": [1, 1], "padding": [padding] * 2, "dilation": [1, 1]}
        tensors = {"weight": weight, "bias": f"{name}.bias" if bias else None}
        node(name, "conv", channels=channels, groups=1, **sides, **tensors)

    for index, block in enumerate(architecture.blocks):
        name = f"blocks.{index}"
        weight = architecture.kernel_name(index)
        conv(f"{name}.conv", block.channels, block.kernel, block.padding, weight, block.bias)
        if block.batch_norm:
            parts = ("weight", "bias", "running_mean", "running_var")
            tensors = {part: f"{name}.batch_norm.{part}" for part in parts}
            node(f"{name}.batch_norm", "batch_norm", momentum=0.1, eps=1e-5, **tensors)
        node(f"{name}.relu", "activation", function="relu")
        if block.pool:
            sides = {"kernel": [2, 2], "stride": [2, 2], "padding": [0, 0]}
            node(f"{name}.pool", "pool", kind="max", ceil=False, count_padding=True, **sides)
        if block.dropout:
            node(f"{name}.dropout", "dropout", probability=block.dropout, channels=False)
    head = architecture.head
    if head.pool_first:
        node("head.pool", "adaptive_pool", kind="average", size=[1, 1])
    conv("head.conv", 10, head.kernel, head.padding, "head.conv.weight", head.bias)
    if not head.pool_first:
        node("head.pool", "adaptive_pool", kind="average", size=[1, 1])
    node("head.flatten", "reshape", shape=[10])
    node("head.log_softmax", "log_softmax")
    return nodes
