"""Names that settings and options have elsewhere, to suggest ours for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from under20k.errors import nearest

CUSTOMARY = {
    **dict.fromkeys(("lr", "max_lr", "base_lr", "learningrate", "learn_rate"), "learning_rate"),
    **dict.fromkeys(("wd", "l2", "decay"), "weight_decay"),
    **dict.fromkeys(("bs", "batch", "batchsize", "train_batch_size"), "batch_size"),
    **dict.fromkeys(("epoch", "num_epochs", "n_epochs", "nb_epochs", "ep"), "epochs"),
    **dict.fromkeys(("rotate", "degrees", "rotation", "rotation_degrees"), "rotation_deg"),
    **dict.fromkeys(("translate", "translation", "shift"), "translation_px"),
    **dict.fromkeys(("elastic", "elastic_alpha"), "elastic_px"),
    **dict.fromkeys(("stroke", "stroke_width", "dilation", "erosion", "morphology"), "stroke_px"),
    **dict.fromkeys(("low_res", "downscale", "downsample"), "low_resolution"),
    **dict.fromkeys(("binarise", "binarize", "threshold", "black_and_white"), "bitmap"),
    **dict.fromkeys(("drawn", "drawn_fraction", "synthetic"), "drawn_share"),
    **dict.fromkeys(("scaling", "zoom"), "scale"),
    **dict.fromkeys(("smoothing", "smooth"), "label_smoothing"),
    **dict.fromkeys(("ema", "ema_decay", "swa"), "average_decay"),
    **dict.fromkeys(("scheduler", "lr_scheduler", "lr_schedule", "sched"), "schedule"),
    **dict.fromkeys(("gamma", "lr_gamma"), "step_factor"),
    **dict.fromkeys(("step_size", "lr_step", "steps"), "step_epochs"),
    **dict.fromkeys(("warmup", "warmup_epochs", "pct_start"), "warmup_fraction"),
    **dict.fromkeys(("arch", "model", "network", "net", "layers", "channels"), "architecture"),
    **dict.fromkeys(("distill", "distillation"), "teacher"),
    **dict.fromkeys(("temp", "tau"), "temperature"),
    **dict.fromkeys(("mixed_precision", "amp", "dtype", "fp16", "bf16"), "precision"),
    **dict.fromkeys(("random_seed", "random_state", "manual_seed", "seeds"), "seed"),
    "seed": "seeds",
    **dict.fromkeys(("workers", "num_workers", "n_jobs", "processes", "parallel"), "jobs threads"),
    "jobs": "threads",
    **dict.fromkeys(("num_threads", "n_threads", "cpus", "cores"), "threads"),
    **dict.fromkeys(("out", "output_dir", "out_dir", "save_dir", "outdir"), "output runs_dir"),
    "output": "runs_dir",
    **dict.fromkeys(("data", "data_path", "data_root", "dataset", "root"), "data_dir"),
    **dict.fromkeys(("force", "replace", "restart"), "overwrite"),
    **dict.fromkeys(("continue", "resume_from"), "resume"),
    **dict.fromkeys(("silent", "no_progress"), "quiet"),
}
"""Our name, in Python's spelling, for each of theirs; of several the first that there is."""

EXPLAINED = {
    **dict.fromkeys(
        ("dropout", "drop", "dropout_rate", "p_dropout"),
        "dropout is part of {architecture}: 8,12pd0.05|3v drops 5% after its second block",
    ),
    **dict.fromkeys(
        ("optimizer", "optimiser", "optim", "opt", "sgd", "adam"),
        "recipes train by SGD, which {learning_rate}, {momentum}, {nesterov} and {weight_decay} set",
    ),
    **dict.fromkeys(
        ("loss", "criterion"), "the loss is cross-entropy; {label_smoothing} softens its targets"
    ),
    **dict.fromkeys(("gpu", "cuda"), "{device} cuda trains on a GPU"),
}
"""What to do, for names that stand for more than one of ours; braces enclose our names."""


def suggestion(name: str, known: Iterable[str], spelled: Callable[[str], str] = repr) -> str:
    """Return the end of an error message: what to use in place of an unknown name; empty for no idea.

    Args:
        name: of a setting or an option, in Python's spelling.
        known: the names that there are.
        spelled: writes a known name as the user would: ``--batch-size``.
    """
    names, key = set(known), name.lower()
    if key in EXPLAINED:
        text = EXPLAINED[key]
        meant = [each for each in names if f"{{{each}}}" in text]
        if len(meant) == text.count("{"):
            return text.format(**{each: spelled(each) for each in meant})
    ours = next((each for each in CUSTOMARY.get(key, "").split() if each in names), "")
    if not ours:
        longer = [each for each in names if key and each.startswith(key)]
        ours = longer[0] if len(longer) == 1 else ""
    if not ours:
        found = nearest(name, names)
        if not found.startswith("did you mean"):
            return ""
        ours = next(each for each in names if repr(each) in found)
    return f"did you mean {spelled(ours)}?"
