"""``under20k.train`` and ``under20k.bench`` of modules, classes, functions and files."""

import dataclasses
import pickle
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import under20k
from tests.checking.training.test_load import imported
from tests.support.own_files import CHANGES, MODEL, write_model
from under20k.checking.training.kept import source_of
from under20k.checking.training.objects import FactorySource
from under20k.data import Mnist
from under20k.engine.base import Compute
from under20k.errors import InvalidValue, UserError
from under20k.runs import own_start
from under20k.runs.events import Note
from under20k.runs.places import Places
from under20k.runs.run import Run

FEW = {"epochs": 2, "batch_size": 32}


@pytest.fixture
def on_few(few: Mnist, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Places:
    """Trainings of this process take few images."""
    monkeypatch.setattr("under20k.runs.train.load", lambda *args, **kwargs: few)
    monkeypatch.setattr("under20k.runs.bench.run_bench.load", lambda *args, **kwargs: few)
    monkeypatch.setattr("under20k.recipe.recipe.TRAIN_IMAGES", 352)
    return Places(tmp_path / "runs", tmp_path / "benches")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return imported(write_model(tmp_path_factory.mktemp("own")))


def same(run: Run, other: Run) -> bool:
    ours, theirs = run.weights(), other.weights()
    return all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_a_module_trains_from_its_own_weights_and_stays_as_it_was(on_few, models):
    torch.manual_seed(3)
    module = models.Tiny()
    module.eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = torch.random.get_rng_state()
    run = under20k.train(module, 3, places=on_few, **FEW)
    assert torch.equal(state, torch.random.get_rng_state())
    assert not module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert run.recipe.name == "Tiny+epochs=2+batch_size=32"
    start = own_start.read(run.path)
    assert all(np.array_equal(start.initial[name], value) for name, value in before.items())
    # The class gives the same under the seed: the same bits.
    again = under20k.train(models.Tiny, 3, places=Places(on_few.runs / "class"), **FEW)
    assert same(run, again)


@pytest.mark.parametrize("name", ["Tiny", "Softmax", "Fourier"])
def test_the_saved_weights_load_strictly_and_give_the_runs_accuracy(on_few, models, few, name):
    kind = getattr(models, name)
    run = under20k.train(kind, places=on_few, **FEW)
    module = kind()
    saved = load_file(run.path / "model.safetensors")
    assert str(module.load_state_dict(saved, strict=True)) == "<All keys matched successfully>"
    assert int(module.bn.num_batches_tracked) == 2 * 11
    images = (torch.tensor(few.validation.images).float() / 255 - 0.1307) / 0.3081
    with torch.no_grad():
        predicted = module.eval()(images.unsqueeze(1)).argmax(1)
    correct = int((predicted == torch.tensor(few.validation.labels)).sum())
    assert correct / len(images) == pytest.approx(run.metrics()[-1].validation_accuracy)


def test_tied_weights_and_other_tensors_are_saved_under_all_their_names(on_few):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.again = nn.Linear(784, 784), nn.Linear(784, 784)
            self.again.weight = self.first.weight
            self.last = nn.Linear(784, 10)
            self.register_buffer("table", torch.arange(6).reshape(2, 3))
            self.register_buffer("flag", torch.tensor(True))

        def forward(self, x):
            return self.last(self.again(self.first(x.flatten(1)).relu()).relu())

    run = under20k.train(Tied, places=on_few, **FEW)
    saved = load_file(run.path / "model.safetensors")
    Tied().load_state_dict(saved, strict=True)
    assert torch.equal(saved["first.weight"], saved["again.weight"])
    assert torch.equal(saved["table"], torch.arange(6).reshape(2, 3))
    assert run.recipe.own.parameters == 784 * 784 + 3 * 0 + 784 * 2 + 784 * 10 + 10


def test_a_bench_of_a_function_that_cannot_be_pickled(models, tmp_path):
    places = Places(tmp_path / "runs", tmp_path / "benches")
    result = under20k.bench(lambda: models.Tiny(3, 0.1), seeds=range(2), places=places, jobs=1, **CHANGES)
    assert [seed.seed for seed in result.bench.seeds] == [0, 1]
    assert result.bench.recipe.own.parameters == 3 * 26 + 6 + 1090
    # Each seed as it is alone.
    alone = under20k.train(lambda: models.Tiny(3, 0.1), 1, places=Places(tmp_path / "one"), **CHANGES)
    assert same(alone, Run.open(places.runs / "Tiny+epochs=1+batch_size=5000-1"))


def test_a_module_without_a_graph_is_trained_here_if_it_cannot_be_sent(on_few, models):
    notes = []
    result = under20k.bench(
        lambda: models.Fourier(), seeds=[0, 4], places=on_few, on_event=notes.append, **FEW
    )
    assert result.bench.seeds[0].environment["engine"] == "torch"
    texts = [event.text for event in notes if isinstance(event, Note)]
    assert texts[0].startswith("Fourier.forward uses torch.fft.fft2 (model.py:")
    assert texts[0].endswith("): trained by PyTorch")
    where = next(event.where for event in notes if hasattr(event, "where"))
    assert where.startswith("one after the other in this process: ")


def test_what_other_processes_cannot_import_does_not_travel(monkeypatch):
    """A class of a notebook or script, which workers do not run, also within another function; a lambda."""
    kind = type("Net", (nn.Module,), {"__module__": "__main__"})
    monkeypatch.setattr(sys.modules["__main__"], "Net", kind, raising=False)
    for factory in (kind, partial(kind, 3), lambda: kind()):
        with pytest.raises(pickle.PicklingError, match="they cannot import it"):
            pickle.dumps(FactorySource(factory, "maps"))
    assert pickle.loads(pickle.dumps(FactorySource(nn.Identity, "maps"))).factory is nn.Identity  # noqa: S301


def test_a_module_is_one_seed(on_few, models):
    with pytest.raises(UserError, match="a module has the weights of one seed; give what makes it: Tiny, or"):
        under20k.bench(models.Tiny(), seeds=[0], places=on_few, **FEW)


def test_other_initial_weights_are_another_training(on_few, models):
    torch.manual_seed(0)
    under20k.train(models.Tiny(), places=on_few, **FEW)
    with pytest.raises(UserError, match=r"not this recipe and seed \(Tiny has changed since\); replace it"):
        under20k.train(models.Tiny(), places=on_few, **FEW)


def test_a_changed_file_is_another_model(on_few, tmp_path):
    path = write_model(tmp_path)
    first = under20k.train(f"{path}:Tiny", trust=True, places=on_few, **FEW)
    again = under20k.train(f"{path}:Tiny", trust=True, places=on_few, **FEW)
    assert again.metrics() == first.metrics()
    path.write_text(MODEL.replace("stride=4)", "stride=4, bias=False)"), encoding="utf-8")
    with pytest.raises(UserError, match="Tiny has changed since"):
        under20k.train(f"{path}:Tiny", trust=True, places=on_few, **FEW)
    replaced = under20k.train(f"{path}:Tiny", trust=True, places=on_few, existing="replace", **FEW)
    assert "conv.bias" not in replaced.weights()
    assert b"bias=False" in own_start.read(replaced.path).files["model.py"]


@pytest.mark.parametrize("name", ["Tiny", "Fourier"])
def test_a_run_resumes_to_the_same_bits_when_its_file_is_gone(on_few, tmp_path, name):
    path = write_model(tmp_path)
    options = {"trust": True, "places": on_few, "compute": Compute("torch", threads=1), **FEW}
    whole = under20k.train(f"{path}:{name}", 0, **options)

    class Stop(Exception):
        pass

    def stop(event):
        if type(event).__name__ == "EpochDone":
            raise Stop

    halfway = Places(tmp_path / "halfway")
    options["places"] = halfway
    with pytest.raises(Stop):
        under20k.train(f"{path}:{name}", 0, on_event=stop, **options)
    broken = Run.open(halfway.runs / whole.path.name)
    assert len(broken.metrics()) == 1
    path.unlink()
    source = source_of(broken, trust=True)
    training = own_start.OwnTraining(broken.recipe, lambda seed: None)
    if source is not None:
        start = dataclasses.replace(own_start.read(broken.path), source=source)
        training = own_start.OwnTraining(broken.recipe, lambda seed: start)
    resumed = under20k.train(training, 0, places=halfway, compute=options["compute"])
    assert same(resumed, whole)


def test_what_is_no_model_is_refused(on_few):
    for value, problem in (
        (3, "model: 3; expected a Recipe, the name of one, a PyTorch model"),
        (lambda: 3, "gives int, not a torch.nn.Module"),
        (lambda: 1 / 0, "makes no model: .*division by zero"),
        ("model.py:Net", "model.py:Net is code, which runs to be trained; pass trust=True"),
        ("minmal", "did you mean 'minimal'"),
    ):
        with pytest.raises(UserError, match=problem):
            under20k.train(value, places=on_few)
    with pytest.raises(InvalidValue, match="like: 3"):
        under20k.train(nn.Flatten(), like=3, places=on_few)
    with pytest.raises(UserError, match=r"Flatten: returns \(N, 784\); expected \(N, 10\)"):
        under20k.train(nn.Flatten(), places=on_few)
