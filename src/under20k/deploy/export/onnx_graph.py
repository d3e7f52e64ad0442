"""A trained model as an ONNX graph, written with the ``onnx`` package.

::

    image (N, 1, 28, 28), 0–255 → normalise → convolutions → logits (N, 10) → / temperature → softmax
"""

from __future__ import annotations

import json
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from under20k import __version__
from under20k.deploy.export.folded import Convolution, FoldedNetwork, folded
from under20k.deploy.model import Model
from under20k.engine.base import MEAN, STANDARD_DEVIATION
from under20k.recipe.architecture import CLASSES, IMAGE_SIDE

OPSET, IR_VERSION = 17, 8
"""Of 2022: every onnxruntime from 1.12 on takes them, and so do the converters of other runtimes."""
LICENSE = "MIT"

InputType = Literal["float", "uint8"]
INPUT_TYPES: dict[InputType, int] = {"float": TensorProto.FLOAT, "uint8": TensorProto.UINT8}


def onnx_model(model: Model, kind: InputType, accuracy: float | None) -> onnx.ModelProto:
    """Return a model that passes the checker, shapes inferred.

    Args:
        model: what to write.
        kind: the input's type.
        accuracy: for the metadata, if it is known.
    """
    writer = _Writer()
    outputs = writer.network(folded(model.recipe.architecture, model.weights), kind, model.temperature)
    image = helper.make_tensor_value_info("image", INPUT_TYPES[kind], ["N", 1, IMAGE_SIDE, IMAGE_SIDE])
    graph = helper.make_graph(
        writer.nodes,
        "digit",
        [image],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", CLASSES]) for name in outputs],
        writer.tensors,
    )
    made = helper.make_model(
        graph,
        producer_name="under20k",
        producer_version=__version__,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
        doc_string=f"MNIST digits, {model.recipe.architecture.parameters:,} parameters",
    )
    helper.set_model_props(made, metadata(model, kind, accuracy))
    made = onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)
    onnx.checker.check_model(made, full_check=True)
    return made


def metadata(model: Model, kind: InputType, accuracy: float | None) -> dict[str, str]:
    """Return what is written beside the graph."""
    recipe = model.recipe
    known = {} if accuracy is None else {"validation_accuracy": f"{accuracy:.4f}"}
    return {
        "name": recipe.name,
        "labels": json.dumps([str(digit) for digit in range(CLASSES)]),
        **known,
        "license": LICENSE,
        "architecture": str(recipe.architecture),
        "parameters": str(recipe.architecture.parameters),
        "input": f"image, {kind} (N, 1, 28, 28), pixels from 0 (background) to 255 (ink)",
        "temperature": f"{model.temperature:g}",
    }


class _Writer:
    """Collects the nodes and constants of a graph. A node has the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def network(self, network: FoldedNetwork, kind: InputType, temperature: float) -> tuple[str, str]:
        """Write everything; return the names of the outputs."""
        x = "image"
        if kind != "float":
            x = self.node("Cast", "pixels", x, to=TensorProto.FLOAT)
        x = self.node("Sub", "centred", x, self.constant("mean", np.float32(255 * MEAN)))
        x = self.node("Div", "normalised", x, self.constant("sd", np.float32(255 * STANDARD_DEVIATION)))
        *blocks, head = network.convolutions
        for conv in blocks:
            x = self.block(conv, x)
        if network.pool_first:
            x = self.convolution(head, self.node("GlobalAveragePool", "head.pool", x))
        else:
            x = self.node("GlobalAveragePool", "head.pool", self.convolution(head, x))
        logits = self.node("Flatten", "logits", x, axis=1)
        x = self.node("Div", "calibrated", logits, self.constant("temperature", np.float32(temperature)))
        return logits, self.node("Softmax", "probabilities", x, axis=1)

    def block(self, conv: Convolution, x: str) -> str:
        name = conv.name.removesuffix(".conv")
        x = self.node("Relu", f"{name}.relu", self.convolution(conv, x))
        if conv.pool:
            x = self.node("MaxPool", f"{name}.pool", x, kernel_shape=[2, 2], strides=[2, 2])
        return x

    def convolution(self, conv: Convolution, x: str) -> str:
        weight = self.constant(f"{conv.name}.weight", conv.weight.astype(np.float32))
        bias = self.constant(f"{conv.name}.bias", conv.bias.astype(np.float32))
        side = conv.weight.shape[-1]
        return self.node(
            "Conv", conv.name, x, weight, bias, kernel_shape=[side, side], pads=[conv.padding] * 4
        )

    def node(self, operator: str, name: str, *inputs: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def constant(self, name: str, value: NDArray[np.float32] | np.float32) -> str:
        self.tensors.append(numpy_helper.from_array(np.asarray(value), name))
        return name
