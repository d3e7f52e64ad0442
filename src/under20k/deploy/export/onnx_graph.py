"""A trained model as an ONNX graph, written with the ``onnx`` package.

::

    image (N, 1, 28, 28), 0–255 → normalise → convolutions → logits (N, 10) → / temperature → probabilities

A graph's input has one type, so there is a graph for float32 images and, with a cast in front, one for uint8.
"""

from __future__ import annotations

import json

import onnx
from onnx import TensorProto, helper

from under20k import __version__
from under20k.deploy.export.inference import inference_steps
from under20k.deploy.export.onnx_steps import Writer, write_steps
from under20k.deploy.graph import graph_of
from under20k.deploy.model import Model
from under20k.engine.base import MEAN, STANDARD_DEVIATION
from under20k.recipe.architecture import CLASSES, IMAGE_SIDE
from under20k.recipe.graph.graph import IMAGE as NORMALISED

OPSET, IR_VERSION = 17, 8
"""Of 2022: onnxruntime takes them from 1.12 on, and so do the converters of other runtimes."""
IMAGE, LOGITS, PROBABILITIES = "image", "logits", "probabilities"
RESERVED = (
    *(IMAGE, LOGITS, PROBABILITIES, "pixels", "centred", "normalised", "calibrated"),
    *("mean", "sd", "temperature"),
)
"""Names of values and constants that every graph has."""
PIXELS = "image, {} (N, 1, 28, 28), pixels from 0 (background) to 255 (ink)"


def logits_graph(model: Model) -> onnx.ModelProto:
    """Return the graph for images in float32 up to the logits, without metadata."""
    writer = Writer()
    centred = writer.node("Sub", "centred", IMAGE, writer.number("mean", 255 * MEAN))
    writer.node("Div", "normalised", centred, writer.number("sd", 255 * STANDARD_DEVIATION))
    steps = inference_steps(graph_of(model), model.weights)
    taken = {step.name: f"{step.name} of the model" for step in steps if step.name in RESERVED}
    write_steps(writer, steps, {**taken, NORMALISED: "normalised", steps[-1].name: LOGITS})
    image = helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, ["N", 1, IMAGE_SIDE, IMAGE_SIDE])
    graph = helper.make_graph(writer.nodes, "digit", [image], [_output(LOGITS)], writer.tensors)
    opset = helper.make_opsetid("", OPSET)
    return checked(helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[opset]))


def finished(graph: onnx.ModelProto, model: Model, accuracy: float | None) -> onnx.ModelProto:
    """Return a graph that ends in logits with probabilities and metadata.

    Args:
        graph: the model's graph; it is used up.
        model: the model.
        accuracy: on the validation images, if it is known.
    """
    writer = Writer()
    calibrated = writer.node("Div", "calibrated", LOGITS, writer.number("temperature", model.temperature))
    writer.node("Softmax", PROBABILITIES, calibrated, axis=1)
    graph.graph.node.extend(writer.nodes)
    graph.graph.initializer.extend(writer.tensors)
    graph.graph.output.append(_output(PROBABILITIES))
    graph.producer_name, graph.producer_version = "under20k", __version__
    graph.doc_string = f"MNIST digits, {model.recipe.architecture.parameters:,} parameters"
    helper.set_model_props(graph, metadata(model, accuracy))
    return checked(graph)


def metadata(model: Model, accuracy: float | None) -> dict[str, str]:
    """Return what is written beside the graph."""
    recipe = model.recipe
    known = {} if accuracy is None else {"validation_accuracy": f"{accuracy:.4f}"}
    if model.origin and model.origin.license:  # otherwise it is for the owner of the weights to choose
        known["license"] = model.origin.license
    return {
        "name": recipe.name,
        "labels": json.dumps([str(digit) for digit in range(CLASSES)]),
        **known,
        "architecture": str(recipe.architecture),
        "parameters": str(recipe.architecture.parameters),
        "input": PIXELS.format("float32"),
        "temperature": f"{model.temperature:g}",
    }


def for_uint8(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a graph for float32 images that takes uint8 images."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    for node in made.graph.node:
        node.input[:] = ["pixels" if name == IMAGE else name for name in node.input]
    made.graph.node.insert(0, helper.make_node("Cast", [IMAGE], ["pixels"], "pixels", to=TensorProto.FLOAT))
    properties = {entry.key: entry.value for entry in made.metadata_props}
    helper.set_model_props(made, properties | {"input": PIXELS.format("uint8")})
    return checked(made)


def checked(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model with the shapes of its intermediate values; ONNX's full check has passed."""
    model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    return model


def _output(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", CLASSES])
