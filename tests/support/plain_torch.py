"""Training as anyone would write it in PyTorch: stock layers and optimiser, float64. The oracle of engines.

Only the pixels come from the engine's ``warp``, proved against Pillow elsewhere; the choices are the plan's.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from under20k.engine.base import Teacher
from under20k.engine.torch_transforms import warp
from under20k.recipe.architecture import Architecture
from under20k.recipe.filters import filtered
from under20k.recipe.plan import EpochPlan, dropout_keep
from under20k.recipe.recipe import Recipe
from under20k.recipe.transforms import displacements


class Masked(nn.Module):
    """Dropout by given masks."""

    def __init__(self, layer: int, probability: float) -> None:
        super().__init__()
        self.layer, self.probability = layer, probability
        self.plan: EpochPlan | None = None
        self.positions: Any = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        assert self.plan is not None
        elements = x[0].numel()
        keep = dropout_keep(self.plan.dropout_seed, self.layer, self.positions, elements, self.probability)
        return x * torch.from_numpy(keep).reshape(x.shape) / (1 - self.probability)


class Kept(nn.Module):
    """Passes a value on, and keeps it."""

    def forward(self, x: Tensor) -> Tensor:
        self.value = x
        return x


class Plus(nn.Module):
    """Adds what another layer has kept."""

    def __init__(self, kept: Kept) -> None:
        super().__init__()
        self.kept = (kept,)

    def forward(self, x: Tensor) -> Tensor:
        return self.kept[0].value + x


def stock_layers(architecture: Architecture) -> Iterator[tuple[str, nn.Module]]:
    """Each layer and the prefix of its tensors' names."""
    channels = 1
    inputs = [Kept() for _ in architecture.blocks]
    for index, block in enumerate(architecture.blocks):
        name = f"blocks.{index}"
        yield f"{name}.input", inputs[index]
        window = {"kernel_size": block.kernel, "padding": block.padding, "bias": block.bias}
        window |= {"stride": block.stride, "groups": block.groups}
        yield f"{name}.conv", nn.Conv2d(channels, block.channels, **window)
        channels = block.channels
        if block.batch_norm:
            yield f"{name}.batch_norm", nn.BatchNorm2d(channels)
        if block.residual:
            yield f"{name}.add", Plus(inputs[index + 1 - block.residual])
        yield f"{name}.relu", nn.ReLU()
        if block.pool:
            yield f"{name}.pool", nn.MaxPool2d(2, 2)
        if block.dropout:
            yield f"{name}.dropout", Masked(index, block.dropout)
    head = architecture.head
    conv = nn.Conv2d(channels, 10, head.kernel, padding=head.padding, bias=head.bias)
    pool = nn.AdaptiveAvgPool2d((1, 1))
    ends = {"head.conv": conv, "head.pool": pool}
    yield from sorted(ends.items(), reverse=head.pool_first)
    yield "head.flatten", nn.Flatten()


def stock_network(
    architecture: Architecture, weights: Mapping[str, Any]
) -> tuple[nn.Sequential, dict[str, Tensor]]:
    """The network in float64, and its tensors under the names of the package."""
    layers = dict(stock_layers(architecture))
    shared = [index for index, block in enumerate(architecture.blocks) if block.shared]
    for index in shared:
        layers[f"blocks.{index}.conv"].weight = layers[f"blocks.{index - 1}.conv"].weight
    tied = {f"blocks.{index}.conv.weight" for index in shared}
    network = nn.Sequential(*layers.values()).double()
    tensors = {
        f"{prefix}.{name}": value
        for prefix, layer in layers.items()
        for name, value in (*layer.named_parameters(), *layer.named_buffers())
        if value.is_floating_point() and f"{prefix}.{name}" not in tied
    }
    with torch.no_grad():
        for name, value in tensors.items():
            value.copy_(torch.tensor(weights[name]))
    return network, tensors


@dataclass
class PlainTraining:
    """A network in training, its moving average if there is one, and what each step gave."""

    recipe: Recipe
    start: dict[str, Any]
    teachers: Sequence[Teacher] = ()
    losses: list[float] = field(default_factory=list)
    correct: int = 0
    loss: float = 0.0

    def __post_init__(self) -> None:
        self.network, self.tensors = stock_network(self.recipe.architecture, self.start)
        self.taught_by = [
            stock_network(teacher.architecture, teacher.weights)[0].eval() for teacher in self.teachers
        ]
        self.average = {name: value.detach().clone() for name, value in self.tensors.items()}
        recipe, parameters = self.recipe, [*self.network.parameters()]
        kernels = [p for p in parameters if p.dim() == 4]
        others = [p for p in parameters if p.dim() != 4]
        groups = [
            {"params": kernels, "weight_decay": recipe.weight_decay},
            {"params": others, "weight_decay": recipe.weight_decay if recipe.decay_all else 0},
        ]
        self.optimiser = torch.optim.SGD(
            groups, lr=0.1, momentum=recipe.momentum, nesterov=recipe.nesterov, foreach=False
        )
        self.steps = 0

    def train_epoch(self, images: Any, labels: Any, plan: EpochPlan) -> None:
        self.network.train()
        self.losses, self.correct, self.loss = [], 0, 0.0
        for step, rate in enumerate(plan.learning_rates):
            positions = range(len(labels))[step * plan.batch_size : (step + 1) * plan.batch_size]
            chosen = plan.order[positions]
            pixels = torch.tensor(images[chosen])
            if plan.matrices is not None:
                moved = None if plan.grids is None else torch.tensor(displacements(plan.grids[positions]))
                matrices = torch.tensor(plan.matrices[positions])
                pixels = warp(pixels, matrices, plan.bilinear, moved, whole=plan.filters is not None)
            if plan.filters is not None:
                pixels = torch.tensor(filtered(pixels.numpy().astype(np.uint8), plan.filters[positions]))
            x = ((pixels.double() / 255 - 0.1307) / 0.3081)[:, None]
            y = torch.tensor(labels[chosen]).long()
            for layer in self.network:
                if isinstance(layer, Masked):
                    layer.plan, layer.positions = plan, np.array(positions)
            for group in self.optimiser.param_groups:
                group["lr"] = float(rate)
            self.optimiser.zero_grad()
            logits = self.network(x)
            smoothing = self.recipe.label_smoothing
            loss = nn.functional.cross_entropy(logits, y, label_smoothing=smoothing)
            if teaching := self.recipe.distillation:
                # From probabilities, by the definition of the divergence.
                with torch.no_grad():
                    softened = [torch.softmax(net(x) / teaching.temperature, 1) for net in self.taught_by]
                    target = sum(softened) / len(softened)
                own = torch.softmax(logits / teaching.temperature, 1)
                divergence = torch.where(target > 0, target * (target / own).log(), 0.0).sum(1).mean()
                loss = loss * (1 - teaching.teacher_share) + divergence * (
                    teaching.teacher_share * teaching.temperature**2
                )
            loss.backward()
            self.optimiser.step()
            self.losses.append(loss.item())
            self.loss += loss.item() * len(y) / len(labels)
            self.correct += int((logits.argmax(1) == y).sum())
            self.move_average()

    @torch.no_grad()
    def move_average(self) -> None:
        decay = min(self.recipe.average_decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        for name, value in self.tensors.items():
            self.average[name] = decay * self.average[name] + (1 - decay) * value

    @torch.no_grad()
    def logits(self, images: Any) -> Any:
        """By the moving average where there is one."""
        own = {name: value.clone() for name, value in self.tensors.items()}
        for name, value in self.tensors.items():
            value.copy_(self.average[name] if self.recipe.average_decay else own[name])
        x = ((torch.tensor(images).double() / 255 - 0.1307) / 0.3081)[:, None]
        logits = self.network.eval()(x)
        for name, value in self.tensors.items():
            value.copy_(own[name])
        return logits.numpy()

    def state(self) -> dict[str, Any]:
        state = {name: value.detach().numpy() for name, value in self.tensors.items()}
        if self.recipe.momentum:
            for name, value in self.tensors.items():
                if "running" not in name:
                    buffer = self.optimiser.state[value]["momentum_buffer"]
                    state[f"momentum.{name}"] = buffer.numpy()
        if self.recipe.average_decay:
            state |= {f"average.{name}": value.numpy() for name, value in self.average.items()}
        return state
