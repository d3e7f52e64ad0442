"""The drawing page's scripts in an empty page of a browser, and networks for them."""

import base64
from pathlib import Path
from typing import Any

import numpy as np

import under20k
from under20k.deploy.model import Model

PAGE = Path(under20k.__file__).parent / "deploy" / "draw" / "page"
SCRIPTS = (
    *("planes.js", "digit_image.js", "ink.js", "page_ink.js", "rules.js", "blobs.js", "touching.js"),
    *("segment.js", "strokes.js", "graph.js", "operations.js", "patch.js", "network.js", "explain.js"),
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


def add_network(
    page: Any, name: str, graph: list[dict[str, Any]], tensors: dict[str, Any], temperature: float = 1
) -> None:
    """Make a network of a graph and its weights, ``networks[name]`` in the page."""
    description = {
        "name": name,
        "graph": graph,
        "tensors": [[key, list(np.shape(value))] for key, value in tensors.items()],
        "temperature": temperature,
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
    add_network(page, model.name, architecture.graph.to_list(), tensors, model.temperature)
