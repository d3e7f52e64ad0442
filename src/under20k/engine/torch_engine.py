"""The reference engine: plain, readable PyTorch on CPU, CUDA or MPS. It defines the correct results.

Shapes: N images of an epoch, n of a batch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from under20k.engine.base import (
    AVERAGE_PREFIX,
    MEAN,
    MOMENTUM_PREFIX,
    STANDARD_DEVIATION,
    EpochResult,
    Images,
    Labels,
    Teacher,
    average_decay,
    check_taught,
    divergence,
    state_tensors,
)
from under20k.engine.graph_module import GraphModule
from under20k.engine.module import Network
from under20k.engine.module_network import ModuleNetwork, ModuleSource, blamed
from under20k.engine.torch_filters import filtered
from under20k.engine.torch_transforms import PlannedDropout, displacements, warp
from under20k.errors import UserError
from under20k.recipe.architecture import Architecture
from under20k.recipe.own_model import OwnModel
from under20k.recipe.plan import EpochPlan
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors, check_tensors, check_weights

AnyNetwork = Network | GraphModule | ModuleNetwork
EVALUATION_BATCH = 1000
REPORT_EVERY = 10  # steps; reading a GPU's losses at every step would stall it


class TorchEngine:
    """Trains one recipe with PyTorch in float32 (or ``dtype``); see ``base.Engine``."""

    name = "torch"

    def __init__(
        self,
        recipe: Recipe,
        weights: Tensors,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        source: ModuleSource | None = None,
    ) -> None:
        """Make an engine.

        Args:
            recipe: what to train and how.
            weights: the initial ones.
            device: a PyTorch device.
            dtype: of weights and activations.
            source: makes the module of an own model that has no graph.
        """
        check_weights(recipe.architecture, weights)
        self.recipe = recipe
        self.device = device
        self.dtype = dtype
        self.precision = {torch.float32: "fp32", torch.float64: "fp64"}[dtype]
        self.threads = torch.get_num_threads()
        if device.startswith("cuda"):  # reproducible bits matter more than the last percent of speed
            torch.backends.cudnn.deterministic = True
            torch.backends.cudnn.benchmark = False

        network = network_of(recipe.architecture, source).to(device, dtype)
        # GPUs prefer channels_last. It would be an eighth faster on a CPU, too, but there BatchNorm sums it
        # in plain float32: statistics are off by 5e-4 instead of 5e-8, and so gradients by a few percent.
        self.layout = torch.channels_last if device.startswith("cuda") else torch.contiguous_format
        self.network: AnyNetwork = network.to(memory_format=self.layout)  # type: ignore[call-overload]
        _load(self.network, weights)
        self.teachers: list[AnyNetwork] = []
        self.averaged = copy.deepcopy(self.network) if recipe.average_decay else None
        trained = recipe.architecture.trained_names
        self.parameters = {name: p for name, p in self.network.named_parameters() if name in trained}
        decayed = [p for p in self.parameters.values() if recipe.decay_all or p.ndim > 1]
        exempt = [p for p in self.parameters.values() if not (recipe.decay_all or p.ndim > 1)]
        self.optimiser = torch.optim.SGD(
            [
                {"params": decayed, "weight_decay": recipe.weight_decay},
                {"params": exempt, "weight_decay": 0.0},
            ],
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
        )

    def learn_from(self, teachers: Sequence[Teacher]) -> None:
        check_taught(self.recipe, len(teachers))
        self.teachers = []
        for teacher in teachers:
            check_weights(teacher.architecture, teacher.weights)
            network = network_of(teacher.architecture).to(self.device, self.dtype)
            network = network.to(memory_format=self.layout)  # type: ignore[call-overload]
            _load(network, teacher.weights)
            self.teachers.append(network.eval().requires_grad_(False))

    def train_epoch(
        self, images: Images, labels: Labels, plan: EpochPlan, on_step: Callable[[int], None]
    ) -> EpochResult:
        check_taught(self.recipe, len(self.teachers))
        pixels = self.to_device(images)
        targets = self.to_device(labels).long()
        order = self.to_device(plan.order).long()
        matrices, grids, filters = (
            None if choices is None else self.to_device(choices)
            for choices in (plan.matrices, plan.grids, plan.filters)
        )
        positions = torch.arange(len(order), dtype=torch.int32, device=self.device)
        losses = torch.zeros(plan.steps, dtype=self.dtype, device=self.device)
        correct = torch.zeros((), dtype=torch.int64, device=self.device)
        self.network.train()

        for step, learning_rate in enumerate(plan.learning_rates):
            batch = slice(step * plan.batch_size, min((step + 1) * plan.batch_size, len(order)))
            x, y = pixels[order[batch]], targets[order[batch]]
            if matrices is not None:
                moved = None if grids is None else displacements(grids[batch])
                x = warp(x, matrices[batch], plan.bilinear, moved, whole=filters is not None)
            if filters is not None:
                x = filtered(x, filters[batch])
            done = (plan.epoch - 1) * plan.steps + step
            self.prepare_step(float(learning_rate), plan.dropout_seed, positions[batch], done)

            x = self.normalised(x)
            with blamed(self.network):
                logits = self.network.logits(x)
                loss = F.cross_entropy(logits, y, label_smoothing=self.recipe.label_smoothing)
                if self.teachers:
                    loss = self.with_teachers(loss, logits, x)
                self.optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            self.update_average(done)

            losses[step] = loss.detach()
            correct += (logits.detach().argmax(dim=1) == y).sum()
            if (step + 1) % REPORT_EVERY == 0 or step + 1 == plan.steps:
                _check_finite(losses[: step + 1], plan)
                on_step(batch.stop)

        sizes = np.diff([*range(0, len(order), plan.batch_size), len(order)])
        loss_sum = float(losses.cpu().numpy().astype(np.float64) @ sizes)
        return EpochResult(loss_sum / len(order), int(correct))

    def with_teachers(self, loss: Tensor, logits: Tensor, x: Tensor) -> Tensor:
        """Return the distillation loss (see ``recipe.Distillation``).

        Args:
            loss: cross-entropy with the labels.
            logits: the student's, (n, 10).
            x: the input, (n, 1, 28, 28).
        """
        distillation = self.recipe.distillation
        assert distillation is not None
        temperature, share = distillation.temperature, distillation.teacher_share
        soft_targets = torch.stack(
            [F.softmax(teacher.logits(x) / temperature, dim=1) for teacher in self.teachers]
        )
        mean = soft_targets.mean(dim=0)
        own = F.log_softmax(logits / temperature, dim=1)
        return (1 - share) * loss + share * temperature**2 * F.kl_div(own, mean, reduction="batchmean")

    @torch.inference_mode()
    def logits(self, images: Images) -> NDArray[np.float32]:
        network = self.evaluated
        network.eval()
        batches = torch.split(self.to_device(images), EVALUATION_BATCH)
        with blamed(network):
            logits = torch.cat([network.logits(self.normalised(batch)) for batch in batches])
        result: NDArray[np.float32] = logits.float().cpu().numpy()
        return result

    @property
    def evaluated(self) -> AnyNetwork:
        """Return the network to evaluate: the averaged one if the recipe averages."""
        return self.network if self.averaged is None else self.averaged

    def weights(self) -> Tensors:
        return self.tensors(self.evaluated)

    def state(self) -> Tensors:
        state = self.tensors(self.network)
        if self.recipe.momentum:
            for name, parameter in self.parameters.items():
                buffer = self.optimiser.state[parameter].get("momentum_buffer")
                value = torch.zeros_like(parameter) if buffer is None else buffer
                state[MOMENTUM_PREFIX + name] = _numpy(value)
        if self.averaged is not None:
            averages = self.tensors(self.averaged)
            state |= {AVERAGE_PREFIX + name: value for name, value in averages.items()}
        return state

    def load_state(self, state: Tensors) -> None:
        check_tensors(state_tensors(self.recipe), state, f"the state does not fit {self.recipe.name}")
        _load(self.network, state)
        if self.recipe.momentum:
            for name, parameter in self.parameters.items():
                # A copy, since the optimiser writes to it.
                buffer = torch.tensor(state[MOMENTUM_PREFIX + name]).to(parameter)
                self.optimiser.state[parameter]["momentum_buffer"] = buffer
        if self.averaged is not None:
            _load(self.averaged, state, AVERAGE_PREFIX)

    def prepare_step(self, learning_rate: float, dropout_seed: int, positions: Tensor, step: int) -> None:
        """Set the step's learning rate, and what its dropout masks and cumulative averages follow from.

        Args:
            learning_rate: of this step.
            dropout_seed: of the epoch.
            positions: int32 (n,) positions of the batch's images in the epoch.
            step: counted from 0 over the training.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        for module in self.network.modules():
            if isinstance(module, PlannedDropout | ModuleNetwork):
                module.set_batch(dropout_seed, positions)
            if isinstance(module, GraphModule | ModuleNetwork):
                module.step = step

    @torch.no_grad()
    def update_average(self, step: int) -> None:
        """Move the averaged weights and running statistics towards those after ``step``, counted from 0."""
        if self.averaged is None:
            return
        own = _floats(self.network)
        decay = average_decay(self.recipe, step)
        for name, average in _floats(self.averaged).items():
            average.mul_(decay).add_(own[name], alpha=1 - decay)

    def normalised(self, pixels: Tensor) -> Tensor:
        """Normalise pixels in 0–255, (n, 28, 28), to the network's input, (n, 1, 28, 28)."""
        scaled = (pixels.to(self.dtype) / 255 - MEAN) / STANDARD_DEVIATION
        return scaled.unsqueeze(1).contiguous(memory_format=self.layout)

    def tensors(self, network: AnyNetwork) -> Tensors:
        """Return copies of a network's weights, by their names in the recipe's architecture."""
        own = _floats(network)
        return {name: _numpy(own[name]) for name in self.recipe.architecture.tensors()}

    def to_device(self, array: NDArray[np.generic]) -> Tensor:
        """Move ``array`` to the device; on a CPU it shares memory unless it is read-only."""
        return torch.from_numpy(array if array.flags.writeable else array.copy()).to(self.device)


def network_of(model: Architecture | OwnModel, source: ModuleSource | None = None) -> AnyNetwork:
    """Return a model as a module with planned dropout, without its weights.

    ``source`` makes the module of a model that has no graph. Raises UserError where it is missing.
    """
    if isinstance(model, Architecture):
        return Network(model, PlannedDropout)
    if model.graph is not None:
        return GraphModule(model.graph, model.tensors(), model.trained_names)
    if source is None:
        raise UserError(f"{model.name} has no graph ({model.why}), so only its own source can compute it")
    return ModuleNetwork(source.load(), source.layout)


def _check_finite(losses: Tensor, plan: EpochPlan) -> None:
    finite = torch.isfinite(losses)
    if not finite.all():
        raise divergence(plan, int(finite.logical_not().nonzero()[0]))


def _floats(network: AnyNetwork) -> dict[str, Tensor]:
    """Return the tensors that training changes, without BatchNorm's batch counter."""
    return {name: value for name, value in network.state_dict().items() if value.is_floating_point()}


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    """Copy a tensor to float32 in plain NCHW order."""
    array: NDArray[np.float32] = tensor.detach().to("cpu", torch.float32).contiguous().numpy().copy()
    return array


@torch.no_grad()
def _load(network: AnyNetwork, weights: Tensors, prefix: str = "") -> None:
    for name, tensor in _floats(network).items():
        if prefix + name in weights:  # it is not for the second name of a shared tensor
            tensor.copy_(torch.tensor(weights[prefix + name]))  # copies, so read-only arrays work too
