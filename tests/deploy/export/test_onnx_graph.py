"""The ONNX graphs against PyTorch's module, and against what torch.onnx.export makes of it."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from tests.support.small_models import ARCHITECTURES, GRAPHS, LARGE_KERNELS, model_of
from under20k.data import Mnist
from under20k.deploy.export.onnx_graph import finished, for_uint8, logits_graph
from under20k.deploy.model import Model
from under20k.deploy.origin import Origin
from under20k.engine.base import MEAN, STANDARD_DEVIATION
from under20k.engine.module import build

BATCHES = (1, 7, 128)
FLOAT, UINT8 = "tensor(float)", "tensor(uint8)"


def written(model: Model, accuracy: float | None = None) -> onnx.ModelProto:
    return finished(logits_graph(model), model, accuracy)


def session(model: onnx.ModelProto | bytes) -> onnxruntime.InferenceSession:
    content = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def logits(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    return session(model).run(["logits"], {"image": x})[0]


class Pixels(torch.nn.Module):
    """The module with its normalisation in front: what the graph has to compute."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        weights = {name: torch.from_numpy(value) for name, value in model.weights.items()}
        self.network = build(model.recipe.architecture, weights).eval()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network.logits((pixels / 255 - MEAN) / STANDARD_DEVIATION)


@pytest.fixture(scope="module")
def images(mnist: Mnist) -> np.ndarray:
    """uint8 (128, 1, 28, 28)."""
    return mnist.validation.images[:128, None]


@pytest.mark.parametrize("text", [*ARCHITECTURES, *LARGE_KERNELS, *GRAPHS])
def test_the_logits_are_those_of_the_module_for_any_batch(text, images):
    model = model_of(text)
    made = written(model)
    with torch.no_grad():
        expected = Pixels(model).double()(torch.from_numpy(images).double()).numpy()
    span = np.ptp(expected)
    for batch in BATCHES:
        for graph, x in ((made, images.astype(np.float32)), (for_uint8(made), images)):
            found = logits(graph, x[:batch])
            assert found.shape == (batch, 10)
            assert np.abs(found - expected[:batch]).max() < 1e-6 * span


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's exporter warns of its own future
@pytest.mark.parametrize("text", ARCHITECTURES)
def test_torch_s_exporter_gives_the_same(text, images, tmp_path):
    model = model_of(text)
    torch.onnx.export(
        Pixels(model).eval(),
        (torch.zeros(2, 1, 28, 28),),  # from a batch of one it would fix the batch
        tmp_path / "torch.onnx",
        dynamic_shapes=({0: torch.export.Dim("N")},),
        external_data=False,
        verbose=False,
    )
    theirs = session((tmp_path / "torch.onnx").read_bytes())
    ours = written(model)
    for batch in BATCHES:
        x = images[:batch].astype(np.float32)
        (expected,) = theirs.run(None, {theirs.get_inputs()[0].name: x})
        assert np.abs(logits(ours, x) - expected).max() < 1e-6 * np.ptp(expected)


def test_both_input_types_give_the_same_bits(images):
    made = written(model_of(ARCHITECTURES[0]))
    assert np.array_equal(logits(made, images.astype(np.float32)), logits(for_uint8(made), images))
    assert made.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT  # it was copied


def test_the_probabilities_are_calibrated(images):
    made = written(model_of(ARCHITECTURES[0], temperature=1.7))
    scores, probabilities = session(made).run(None, {"image": images.astype(np.float32)})
    expected = torch.softmax(torch.from_numpy(scores) / 1.7, 1).numpy()
    assert probabilities == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("text", ARCHITECTURES)
def test_inputs_and_outputs_have_names_types_and_a_free_batch(text):
    made = written(model_of(text))
    for graph, kind in ((made, FLOAT), (for_uint8(made), UINT8)):
        (image,) = session(graph).get_inputs()
        assert (image.name, image.type, image.shape) == ("image", kind, ["N", 1, 28, 28])
        outputs = session(graph).get_outputs()
        assert [(out.name, out.type, out.shape) for out in outputs] == [
            ("logits", FLOAT, ["N", 10]),
            ("probabilities", FLOAT, ["N", 10]),
        ]


@pytest.mark.parametrize("text", ARCHITECTURES)
def test_the_file_is_valid_whole_and_has_every_shape(text, tmp_path):
    for graph in (made := written(model_of(text)), for_uint8(made)):
        path = tmp_path / "model.onnx"
        path.write_bytes(graph.SerializeToString())
        onnx.checker.check_model(path, full_check=True)
        read = onnx.load(path, load_external_data=False)
        assert not any(tensor.data_location for tensor in read.graph.initializer)
        assert (read.ir_version, read.opset_import[0].version) == (8, 17)
        shaped = {value.name for value in [*read.graph.value_info, *read.graph.output]}
        assert {node.output[0] for node in read.graph.node} == shaped
        assert not any(node.op_type == "BatchNormalization" for node in read.graph.node)
        last = [node.op_type for node in read.graph.node][-1]
        assert last == "Softmax"


def test_the_shapes_are_those_of_the_architecture():
    model = model_of(ARCHITECTURES[0])
    shapes = {
        value.name: tuple(size.dim_value for size in value.type.tensor_type.shape.dim[1:])
        for value in written(model).graph.value_info
    }
    expected = {layer.name: layer.shape for layer in model.recipe.architecture.layers()}
    same = {name for name in shapes if name in expected}
    assert len(same) > 10
    assert {name: shapes[name] for name in same} == {name: expected[name] for name in same}


def test_the_metadata_say_what_it_is():
    model = replace(
        model_of(ARCHITECTURES[0], temperature=1.25), origin=Origin("pretrained", 0, license="MIT")
    )
    found = {entry.key: entry.value for entry in written(model, accuracy=0.9946).metadata_props}
    assert json.loads(found.pop("labels")) == list("0123456789")
    assert found == {
        "name": model.recipe.name,
        "validation_accuracy": "0.9946",
        "license": "MIT",
        "architecture": ARCHITECTURES[0],
        "parameters": "14116",
        "input": "image, float32 (N, 1, 28, 28), pixels from 0 (background) to 255 (ink)",
        "temperature": "1.25",
    }
    own = replace(model, origin=Origin("run", 0))  # whose licence is its owner's to choose
    assert {"validation_accuracy", "license"} & {entry.key for entry in written(own).metadata_props} == set()
    uint8 = session(for_uint8(written(model))).get_modelmeta()
    assert uint8.producer_name == "under20k"
    assert uint8.custom_metadata_map["input"].startswith("image, uint8")


def test_the_same_model_gives_the_same_bytes():
    contents = [written(model_of(ARCHITECTURES[0])).SerializeToString(deterministic=True) for _ in range(2)]
    assert all(first == second for first, second in pairwise(contents))
