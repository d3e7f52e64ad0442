"""Time an epoch of models as students write them, by the native engine and by plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.amount import Amount, cores_used
from benchmarks.native import WARM_UP, epoch_timer
from benchmarks.turns import in_turns, seconds
from under20k.data import load
from under20k.data.mnist import Split
from under20k.recipe.limits import TRAIN_IMAGES
from under20k.recipe.named import MINIMAL
from under20k.recipe.own_model import OwnModel

NATIVE, EAGER = "native", "torch eager"


def measure(amount: Amount, tell: Callable[[str], None]) -> dict[str, Any]:
    """Plain values: for each model its size and the seconds of 50,000 images, turn by turn."""
    from benchmarks.student_models import MODELS

    data = load().train
    return {
        "images": amount.images,
        "threads": cores_used(),
        "models": {name: measure_model(name, data, amount, tell) for name in MODELS},
    }


def measure_model(name: str, data: Split, amount: Amount, tell: Callable[[str], None]) -> dict[str, Any]:
    """The same for one model."""
    import torch
    from torch import nn

    from benchmarks.student_models import MODELS
    from benchmarks.torch_eager import Eager
    from under20k.checking.convert.convert import convert

    torch.set_num_threads(cores_used())
    torch.manual_seed(0)
    module: nn.Module = MODELS[name]()
    state = {key: value for key, value in module.state_dict().items() if value.is_floating_point()}
    model = OwnModel(
        name=type(module).__name__,
        target="",
        sha256="",
        arguments=(),
        tensor_shapes=tuple((key, tuple(value.shape)) for key, value in state.items()),
        trained_names=frozenset(key for key, _ in module.named_parameters()),
        macs=0,
        receptive_field=0,
        graph=convert(module),
    )
    recipe = replace(MINIMAL, architecture=model)
    weights = {key: value.numpy().copy() for key, value in state.items()}
    eager = Eager(recipe, data, module)
    eager.train_epoch(min(WARM_UP, amount.images))
    contenders = {
        NATIVE: epoch_timer(recipe, data, amount, cores_used(), weights=weights),
        EAGER: lambda: TRAIN_IMAGES / amount.images * seconds(lambda: eager.train_epoch(amount.images)),
    }
    times = in_turns(contenders, amount.rounds, lambda text: tell(f"{name}, {text}"))
    return {"parameters": model.parameters, "times_s": times}
