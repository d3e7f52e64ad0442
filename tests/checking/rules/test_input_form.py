"""Models with other batches, images or outputs than most: judged with a note, or refused with a fix."""

import collections

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from tests.support.students import ghost
from under20k.checking.findings import ModelError
from under20k.checking.profiles import load_profile
from under20k.checking.rules.input_form import form_taken
from under20k.checking.rules.judge import judge_model

BRIEF = load_profile("brief")


def judged(model: nn.Module) -> dict:
    return judge_model(model, BRIEF)


@pytest.mark.parametrize(("parts", "batch"), [(2, 2), (4, 8), (8, 8), (16, 16)])
def test_the_batch_grows_until_it_suffices(parts, batch):
    result = judged(ghost(parts))
    notes = [note for note in result.notes if note.endswith(f"judged on a batch of {batch}")]
    assert len(notes) == (batch > 2)
    # Whatever the batch, the figures are those of one image.
    assert result.macs == judged(ghost(1)).macs
    assert result.parameters == judged(ghost(1)).parameters
    passed = {f.rule for f in result.findings if f.status == "passed"}
    assert {"batch_norm", "output", "dropout"} <= passed


class Perceptron(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(784, 20), nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.relu(self.a(x)))


class Rows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.GRU(28, 8, batch_first=True), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x)[0][:, -1])


class ChannelsLast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(1, 10, 28)

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x.permute(0, 3, 1, 2)).flatten(1)


@pytest.mark.parametrize(
    ("model", "layout", "words", "change"),
    [
        (Perceptron(), "flat", "takes N×784, so judged on flat images", "x = x.flatten(1) (or nn.Flatten())"),
        (Rows(), "rows", "takes N×28×28, so judged on N×28×28", "x = x.squeeze(1)"),
        (ChannelsLast(), "channels last", "takes N×28×28×1", "x = x.permute(0, 2, 3, 1)"),
    ],
)
def test_other_layouts_are_judged_with_a_note(model, layout, words, change):
    result = judged(model)
    (note,) = result.notes
    assert note.startswith(words)
    line = type(model).forward.__code__.co_firstlineno + 1
    assert f"{change} at the start of forward, test_input_form.py:{line}, makes it take 1×28×28" in note
    assert next(f for f in result.findings if f.rule == "output").status == "passed"
    assert form_taken(model).layout == layout

    class Changed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, x: Tensor) -> Tensor:
            exec(change.partition(" (or")[0], scope := {"x": x})  # what the note says
            return self.inner(scope["x"])

    changed = judged(Changed())
    assert changed.notes == ()
    assert changed.macs == result.macs
    if layout == "flat":
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.zeros(1, 784))
        assert counter.get_total_flops() == 2 * result.macs


class Picky(nn.Module):
    """For images of ``channels`` and ``side``: 5×5 convolution, pooling, fully connected."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.c, self.fc = nn.Conv2d(channels, 4, 5), nn.Linear(4 * ((side - 4) // 2) ** 2, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.max_pool2d(self.c(x), 2).flatten(1))


AT = f"test_input_form.py:{Picky.forward.__code__.co_firstlineno + 1}"


@pytest.mark.parametrize(
    ("channels", "side", "change"),
    [
        (3, 28, f"make self.c, {AT}, nn.Conv2d(1, …)"),
        (
            *(1, 32),
            f"add x = F.pad(x, (2, 2, 2, 2)) at the start of forward, {AT}, or make self.fc, "
            f"{AT}, nn.Linear(576, 10): of 28×28 it gets 576 numbers, not 784",
        ),
        (
            *(3, 32),
            f"make self.c, {AT}, nn.Conv2d(1, …); add x = F.pad(x, (2, 2, 2, 2)) at the start "
            f"of forward, {AT}",
        ),
        (
            *(1, 14),
            f"resize the images, x = F.interpolate(x, 14), at the start of forward, {AT}, or make "
            f"self.fc, {AT}, nn.Linear(576, 10): of 28×28 it gets 576 numbers, not 100",
        ),
        (2, 28, f"make self.c, {AT}, nn.Conv2d(1, …)"),
    ],
)
def test_images_unlike_mnist_are_refused_with_a_fix(channels, side, change):
    with pytest.raises(ModelError) as caught:
        judged(Picky(channels, side))
    assert str(caught.value) == f"takes images of {channels}×{side}×{side}, not 1×28×28: {change}"


def test_a_defect_is_the_models_own():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        judged(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(7, 10)))
    with pytest.raises(NotImplementedError):
        judged(nn.Module())


class Giving(nn.Module):
    def __init__(self, give) -> None:
        super().__init__()
        self.c, self.d, self.give = nn.Conv2d(1, 10, 28), nn.Conv2d(1, 4, 28), give

    def forward(self, x: Tensor):
        return self.give(self.c(x).flatten(1), self.d(x).flatten(1))


Named = collections.namedtuple("Named", ["logits"])


@pytest.mark.parametrize(
    ("give", "note"),
    [
        (lambda y, h: (y, h), "returns a tuple of 2 tensors; judged by the first of shape (N, 10)"),
        (lambda y, h: (h, y, y), "returns a tuple of 3 tensors; judged by the first of shape (N, 10)"),
        (lambda y, h: {"logits": y}, "returns a dict of 1 tensor; judged by the first of shape (N, 10)"),
        (lambda y, h: [h, (h, y)], "returns a list of 3 tensors; judged by the first of shape (N, 10)"),
        (lambda y, h: Named(y), "returns a Named of 1 tensor; judged by the first of shape (N, 10)"),
    ],
)
def test_the_first_output_with_ten_classes_is_judged(give, note):
    result = judged(Giving(give))
    assert result.notes == (note,)
    assert next(f for f in result.findings if f.rule == "output").status == "passed"
    assert [row.name for row in result.layers] == ["c", "flatten"]


def test_outputs_without_ten_classes_are_refused():
    with pytest.raises(ModelError, match=r"returns a tuple of \(N, 4\), \(N, 4\), none of shape \(N, 10\)"):
        judged(Giving(lambda y, h: (h, h)))
    with pytest.raises(ModelError, match="returns str, not a tensor"):
        judged(Giving(lambda y, h: "cat"))
