"""Time an epoch of training by the native engine, by plain PyTorch, and by a script like the assignment's.

All included: the plan, augmentation, dropout, BatchNorm, the optimiser. The processor's peak has its turn
among them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.amount import Amount, cores_used
from benchmarks.arithmetic import epoch_flop
from benchmarks.native import WARM_UP, epoch_timer
from benchmarks.peak import fma_peak
from benchmarks.turns import Unavailable, in_turns, seconds
from under20k.data import load
from under20k.data.mnist import Split
from under20k.recipe.limits import TRAIN_IMAGES
from under20k.recipe.named import MINIMAL, REGULARIZED
from under20k.recipe.recipe import Recipe

NATIVE, ONE_THREAD, BF16 = "native fp32", "native fp32, 1 thread", "native bf16"
EAGER, SCRIPT = "torch eager", "plain script"
PEAK = "peak"


def measure(amount: Amount, tell: Callable[[str], None]) -> dict[str, Any]:
    """Plain values: for each recipe the seconds of 50,000 images and the peak in GFLOP/s, turn by turn."""
    data = load().train
    return {
        "images": amount.images,
        "threads": cores_used(),
        "recipes": {
            recipe.name: measure_recipe(recipe, data, amount, tell) for recipe in (MINIMAL, REGULARIZED)
        },
    }


def measure_recipe(
    recipe: Recipe, data: Split, amount: Amount, tell: Callable[[str], None]
) -> dict[str, Any]:
    """The same for one recipe."""
    import torch  # which other parts do without

    from benchmarks.plain_script import Script
    from benchmarks.torch_eager import Eager

    cores, images = cores_used(), amount.images
    torch.set_num_threads(cores)
    missing = {}
    contenders = {
        NATIVE: epoch_timer(recipe, data, amount, cores),
        ONE_THREAD: epoch_timer(recipe, data, amount, 1),
    }
    try:
        contenders[BF16] = epoch_timer(recipe, data, amount, cores, "bf16")
    except Unavailable as reason:
        missing[BF16] = str(reason)

    eager, script = Eager(recipe, data), Script(recipe, data, images)
    eager.train_epoch(min(WARM_UP, images))
    Script(recipe, data, min(WARM_UP, images)).train_epoch()
    contenders[EAGER] = lambda: TRAIN_IMAGES / images * seconds(lambda: eager.train_epoch(images))
    contenders[SCRIPT] = lambda: TRAIN_IMAGES / images * seconds(script.train_epoch)
    contenders[PEAK] = lambda: fma_peak(cores, amount.peak_s)

    values = in_turns(contenders, amount.rounds, lambda text: tell(f"{recipe.name}, {text}"))
    peak_gflops = values.pop(PEAK)
    return {
        "flop": epoch_flop(recipe.in_notation),
        "times_s": values,
        "peak_gflops": peak_gflops,
        "unavailable": missing,
    }
