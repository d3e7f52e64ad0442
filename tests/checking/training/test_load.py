"""Models loaded from files for a training: what they are, what they begin with, and what cannot be loaded."""

import importlib.util
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.cases import notebook
from tests.support.own_files import MODEL, write_model
from under20k.checking.training.load import load_model, own_recipe
from under20k.errors import UserError
from under20k.recipe.named import MINIMAL_PLUS


def imported(path: Path):
    """The file as a module, as its author would import it."""
    spec = importlib.util.spec_from_file_location("authors_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("own"))


def test_the_initial_weights_are_the_constructors_under_the_seed(path):
    loaded = load_model(f"{path}:Tiny", [0, 7, 2], {"width": 3})
    kind = imported(path).Tiny
    for seed in (0, 7, 2):
        torch.manual_seed(seed)
        state = kind(width=3).state_dict()
        assert loaded.initial[seed].keys() == state.keys()
        assert all(np.array_equal(loaded.initial[seed][name], state[name]) for name in state)
    assert loaded.model.arguments == (("width", 3),)
    assert loaded.model.parameters == sum(p.numel() for p in kind(width=3).parameters())


def test_a_graph_and_the_reason_for_none(path):
    tiny, fourier = load_model(f"{path}:Tiny", [0]).model, load_model(f"{path}:Fourier", [0]).model
    assert tiny.graph is not None
    assert tiny.graph.tensors().keys() == tiny.tensors().keys()
    assert tiny.why == ""
    assert fourier.graph is None
    assert fourier.why.startswith("Fourier.forward uses torch.fft.fft2 (model.py:")
    assert [tiny.output, fourier.output] == ["log_softmax", "logits"]


@pytest.mark.parametrize(("name", "output"), [("Logits", "logits"), ("Softmax", "softmax")])
def test_what_a_model_returns(path, name, output):
    assert load_model(f"{path}:{name}", [0]).model.output == output


def test_a_factory_and_an_instance(path):
    assert load_model(f"{path}:double", [0], {"width": 5}).model.tensors()["conv.weight"] == (5, 1, 5, 5)
    loaded = load_model(f"{path}:ready", [3, 4])
    assert loaded.model.tensors()["conv.weight"] == (3, 1, 5, 5)
    # Its file runs once for each seed.
    assert not np.array_equal(loaded.initial[3]["fc.weight"], loaded.initial[4]["fc.weight"])


def test_a_file_that_seeds_itself_is_told_of(tmp_path):
    text = MODEL.replace("ready = Tiny(3)", "torch.manual_seed(1)\nready = Tiny(3)")
    notes = load_model(f"{write_model(tmp_path, text)}:ready", [0, 1]).notes
    assert "ready has the same initial weights for every seed" in notes


def test_the_digest_is_of_the_code_and_of_the_modules_that_it_imports(tmp_path):
    helper = write_model(tmp_path, "WIDTH = 2\n", "own_widths.py")
    path = write_model(tmp_path, MODEL.replace("width=2", "width=WIDTH").replace(
        "import torch\n", "import torch\nfrom own_widths import WIDTH\n", 1))  # fmt: skip
    first = load_model(f"{path}:Tiny", [0])
    assert set(first.files) == {"model.py", "own_widths.py"}
    assert load_model(f"{path}:Tiny", [1]).model == first.model
    helper.write_text("WIDTH = 2  # as before\n", encoding="utf-8")
    again = load_model(f"{path}:Tiny", [0]).model
    assert again.sha256 != first.model.sha256
    assert first.model.difference(again) == "Tiny has changed since"


def test_a_module_in_a_package_with_relative_imports(tmp_path, monkeypatch):
    write_model(tmp_path, "", "nets/__init__.py")
    write_model(tmp_path, "WIDTH = 2\n", "nets/widths.py")
    write_model(tmp_path, "from .widths import WIDTH\n" + MODEL, "nets/tiny.py")
    monkeypatch.chdir(tmp_path)
    loaded = load_model("nets.tiny:Fourier", [0])
    assert {"nets/__init__.py", "nets/widths.py", "nets/tiny.py"} == set(loaded.files)
    assert loaded.source is not None
    assert type(loaded.source.load()).__name__ == "Fourier"


def test_a_notebook(tmp_path):
    path = write_model(tmp_path, notebook(MODEL, "this is no Python ("), "work.ipynb")
    loaded = load_model(f"{path}:Tiny", [0])
    assert loaded.model.graph is not None
    assert any("syntax error" in note for note in loaded.notes)


def test_the_source_travels_and_makes_the_model(path):
    source = load_model(f"{path}:Fourier", [0]).source
    assert source is not None
    torch.manual_seed(5)
    made = pickle.loads(pickle.dumps(source)).load()  # noqa: S301
    torch.manual_seed(5)
    ours = imported(path).Fourier()
    assert type(made).__name__ == "Fourier"
    assert all(torch.equal(a, b) for a, b in zip(made.parameters(), ours.parameters(), strict=True))
    assert not [name for name, module in sys.modules.items() if "under20k-model" in str(module)]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Nothing", "defines no 'Nothing'"),
        ("Eleven", r"returns \(N, 11\); expected \(N, 10\): give .*, 10 outputs"),
        ("NotFinite", "fc.weight has initial weights that are not finite"),
        ("Pair", "missing 1 required positional argument: 'y'"),
    ],
)
def test_a_model_that_cannot_be_trained_is_refused_in_a_line(path, name, problem):
    with pytest.raises(UserError, match=problem) as caught:
        load_model(f"{path}:{name}", [0])
    assert "\n" not in str(caught.value)


def test_a_wrong_argument_is_the_constructors(path):
    with pytest.raises(UserError, match=r"Tiny: TypeError: .*unexpected keyword argument 'wdth'") as caught:
        load_model(f"{path}:Tiny", [0], {"wdth": 3})
    assert "on images" not in str(caught.value)


def test_random_numbers_of_its_own_are_left_to_torch(path):
    model = load_model(f"{path}:Noisy", [0]).model
    assert model.graph is None
    assert "random" in model.why


def test_a_recipe_is_named_after_the_model_its_arguments_and_its_settings(path):
    model = load_model(f"{path}:Tiny", [0], {"dropout": 0.1}).model
    assert own_recipe(model).name == "Tiny+dropout=0.1"
    recipe = own_recipe(model, MINIMAL_PLUS)
    assert recipe.name == "Tiny+dropout=0.1+minimal-plus"
    assert recipe.learning_rate == MINIMAL_PLUS.learning_rate
