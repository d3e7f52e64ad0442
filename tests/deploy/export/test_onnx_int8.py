"""The int8 graph keeps the accuracy, is computed in int8, and looks at training images only."""

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.support.small_models import ARCHITECTURES, model_of
from under20k.deploy.export import onnx_int8
from under20k.deploy.export.formats import Material
from under20k.deploy.export.onnx_graph import finished, logits_graph
from under20k.deploy.export.onnx_int8 import CALIBRATION_IMAGES, FILE, UINT8_FILE, quantised
from under20k.deploy.export.proof import prove
from under20k.deploy.export.tolerance import INT8
from under20k.deploy.model import Model, load


@pytest.fixture(scope="module")
def trained() -> Model:
    return load("minimal-plus")


def test_a_trained_model_keeps_its_accuracy(trained, mnist, tmp_path, capfd):
    files = onnx_int8.export(trained, tmp_path, Material(0.98, mnist.train.images))
    assert [path.name for path in files] == [FILE, UINT8_FILE]
    measured = onnx_int8.measure(trained, tmp_path, mnist.validation.images)
    proof = prove("onnx-int8", trained, measured, mnist.validation, size_bytes=1, tolerance=INT8)
    assert proof.passed, proof.faults
    assert 1e-4 < proof.largest_logit_difference < 0.2  # int8, not float
    assert proof.extra["int8_operators"] == {
        "QLinearConv": 7,
        "NhwcMaxPool": 2,
        "QLinearGlobalAveragePool": 1,
    }
    assert proof.extra["float_operators"].keys() == {"Sub", "Div", "Softmax"}
    assert files[0].stat().st_size < 0.6 * 4 * trained.recipe.architecture.parameters
    assert capfd.readouterr() == ("", "")  # the quantiser's advice is heeded, not shown


@pytest.mark.parametrize("text", ARCHITECTURES[2:])
def test_other_architectures_too(text, mnist):
    model = model_of(text)
    images = mnist.train.images[:500]
    made = finished(quantised(logits_graph(model), images), model, None)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(["logits"], {"image": images[:, None].astype(np.float32)})[0]
    expected = model.logits(images)
    # Weights that no training gave: no image is told from another by a wide margin.
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99


def test_weights_are_per_channel_in_seven_bits(trained, mnist):
    made = quantised(logits_graph(trained), mnist.train.images[:500])
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    weights = {name: value for name, value in tensors.items() if name.endswith(".weight_quantized")}
    assert len(weights) == 7
    for name, value in weights.items():
        scale = tensors[name.replace("_quantized", "_scale")]
        assert value.dtype == np.int8
        assert -64 <= value.min() <= value.max() <= 64
        assert scale.shape == value.shape[:1]  # a scale for each output channel
        assert not tensors[name.replace("_quantized", "_zero_point")].any()  # symmetric


def test_only_the_first_training_images_calibrate(trained, mnist, tmp_path):
    contents = []
    later = mnist.train.images.copy()
    later[CALIBRATION_IMAGES:] = 0
    for training in (mnist.train.images, later):
        onnx_int8.export(trained, tmp_path, Material(None, training))
        contents.append((tmp_path / FILE).read_bytes())
    assert contents[0] == contents[1]
