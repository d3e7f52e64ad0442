"""Settings, counts and p-values in words, for tables and sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from under20k.formatting import percent
from under20k.recipe.graph.operations import Dropout
from under20k.recipe.limits import TARGET_ACCURACY
from under20k.recipe.own_model import OwnModel
from under20k.recipe.recipe import Augmentation, Distillation, Recipe
from under20k.runs.bench.statistics import reaches_target

TARGET = percent(TARGET_ACCURACY)
P_VALUE = f"p-value (H₀: mean ≤ {TARGET})"
"""Heading of a one-sided p-value: small where the mean exceeds the target."""
P_DIFFERENCE = "p-value (H₀: no difference)"
"""Heading of a two-sided p-value of a paired difference."""
NOTHING = "–"
"""Placeholder for a missing value."""
PASSED, MISSED = "✓", "✗"
"""Signs of a verdict; the words after them say the same."""
TARGET_MARKS = f"{PASSED} the mean is at or above {TARGET}; {MISSED} it is below"


def optimiser_text(recipe: Recipe) -> str:
    """Return ``SGD, momentum 0.9, weight decay 0.0001 on all parameters``."""
    parts = ["SGD"]
    if recipe.momentum:
        parts.append(f"{'Nesterov ' * recipe.nesterov}momentum {recipe.momentum:g}")
    if recipe.weight_decay:
        scope = "all parameters" if recipe.decay_all else "convolution weights only"
        parts.append(f"weight decay {recipe.weight_decay:g} on {scope}")
    if recipe.label_smoothing:
        parts.append(f"label smoothing {recipe.label_smoothing:g}")
    if recipe.average_decay:
        parts.append(f"weights averaged with decay {recipe.average_decay:g}")
    return ", ".join(parts)


def schedule_text(recipe: Recipe) -> str:
    """Return ``0.1, × 0.1 every 6 epochs``."""
    schedule, peak = recipe.schedule, f"{recipe.learning_rate:g}"
    match schedule.schedule:
        case "constant":
            return f"{peak} throughout"
        case "step":
            unit = "epoch" if schedule.step_epochs == 1 else f"{schedule.step_epochs} epochs"
            return f"{peak}, × {schedule.step_factor:g} every {unit}"
        case _:
            start, end = (recipe.learning_rate * f for f in (schedule.start_fraction, schedule.end_fraction))
            return f"one-cycle {start:g} → {peak} → {end:g}, rising for {schedule.warmup_fraction:.0%}"


def augmentation_text(augmentation: Augmentation) -> str:
    """Return ``rotation ±5° (nearest), × 0.5 in the last 2 epochs`` or ``none``."""
    warps = (
        (augmentation.rotation_deg, "rotation ±{:g}°"),
        (augmentation.translation_px, "shift ±{:g} px"),
        (augmentation.scale, "scale ±{:.3g}"),
        (augmentation.shear, "shear ±{:g}"),
        (augmentation.elastic_px, "elastic ±{:g} px"),
    )
    filters = (
        (augmentation.stroke_px, "stroke width ±{:g} px"),
        (augmentation.low_resolution, "low resolution for {:.3g} of images"),
        (augmentation.bitmap, "bitmaps of {:.3g}"),
    )
    moved, changed = ([text.format(value) for value, text in kind if value] for kind in (warps, filters))
    parts = [f"{', '.join(moved)} ({augmentation.interpolation})"] * bool(moved) + changed
    if not parts:
        return "none"
    fading = ""
    if augmentation.fade_epochs:
        last = "epoch" if augmentation.fade_epochs == 1 else f"{augmentation.fade_epochs} epochs"
        fading = f", × {augmentation.fade_strength:g} in the last {last}"
    return ", ".join(parts) + fading


def teachers_text(distillation: Distillation) -> str:
    """Return ``2 × regularized-plus (19,204 parameters, 12 epochs), temperature 2, 0.9 of the loss``."""
    teacher = distillation.teacher
    return (
        f"{distillation.teachers} × {teacher.name} ({teacher.architecture.parameters:,} parameters, "
        f"{teacher.epochs} epochs), temperature {distillation.temperature:g}, "
        f"{distillation.teacher_share:g} of the loss"
    )


def recipe_settings(recipe: Recipe) -> dict[str, str]:
    """Return how a recipe trains, by the names of the settings; what is rare only where it has any."""
    return {
        "Epochs": str(recipe.epochs),
        "Batch size": str(recipe.batch_size),
        "Optimiser": optimiser_text(recipe),
        "Learning rate": schedule_text(recipe),
        "Augmentation": augmentation_text(recipe.augmentation),
        **({"Drawn digits": f"{recipe.drawn_share:g} of each batch"} if recipe.drawn_share else {}),
        "Dropout": dropout_text(recipe),
        **({"Teachers": teachers_text(recipe.distillation)} if recipe.distillation else {}),
    }


def dropout_text(recipe: Recipe) -> str:
    """Return ``0.05 after blocks 2 and 4``, or ``none``."""
    by_rate: dict[float, list[str]] = {}
    if recipe.own:
        return own_dropout_text(recipe.own)
    for index, block in enumerate(recipe.in_notation.blocks, 1):
        if block.dropout:
            by_rate.setdefault(block.dropout, []).append(str(index))
    return "; ".join(
        f"{rate:g} after block{'s' * (len(blocks) > 1)} {enumeration(blocks)}"
        for rate, blocks in by_rate.items()
    ) or "none"  # fmt: skip


def own_facts(model: OwnModel) -> dict[str, str]:
    """Return what there is to say of a user's own model, by label."""
    outputs = {"logits": "logits", "softmax": "probabilities", "log_softmax": "log-probabilities"}
    return {
        "Model": f"{model} of {model.target}" if model.target else f"{model}, an object",
        "Source": f"model/ in the run folder, SHA-256 {model.sha256}" if model.sha256 else NOTHING,
        "Network": f"{len(model.graph.nodes)} operations" if model.graph else f"PyTorch's own: {model.why}",
        "Output": outputs[model.output],
    }


def own_dropout_text(model: OwnModel) -> str:
    """Return ``0.05 in 3 places``, ``none``, or that a model without a graph has its own."""
    if model.graph is None:
        return "the model's own"
    rates = Counter(f"{node.probability:g}" for node in model.graph.nodes if isinstance(node, Dropout))
    return "; ".join(f"{rate} in {plural(n, 'place')}" for rate, n in rates.items()) or "none"


def p_text(p: float | None) -> str:
    """Return a p-value to two digits: ``0.034``, ``1.0``, ``4.1e-07``."""
    return NOTHING if p is None else f"{p:#.2g}"


def shape_text(shape: Sequence[int]) -> str:
    """Return ``24×3×3``."""
    return "×".join(map(str, shape))


def signed(passed: bool, text: str) -> str:
    """Return a text after ✓ or ✗."""
    return f"{PASSED if passed else MISSED} {text}"


def marked(accuracy: float, text: str) -> str:
    """Return the text of an accuracy, a fraction, after ✓ where it reaches the target, else after ✗."""
    return signed(reaches_target(accuracy), text)


def of_seeds(count: int, n: int) -> str:
    """Return ``6 of 12 seeds``."""
    return f"{count} of {plural(n, 'seed')}"


def plural(count: int, noun: str) -> str:
    """Return ``1 epoch``, ``12 epochs``."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def enumeration(items: Sequence[str]) -> str:
    """Return ``a``, ``a and b``, ``a, b and c``."""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


def ranges(numbers: Sequence[int]) -> str:
    """Return whole numbers in order, consecutive ones contracted: ``0–9`` or ``1, 4–6``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)


def mark(times_differ_in: str) -> str:
    """Return the mark of a mean of times if ``bench.timed_differently`` found a difference."""
    return " †" if times_differ_in else ""


def mark_notes(times_differ_in: Mapping[str, str]) -> tuple[str, ...]:
    """Return the notes that explain a table's marks, from ``bench.timed_differently`` by name."""
    return tuple(f"† {name}: times of {text} are averaged" for name, text in times_differ_in.items() if text)
