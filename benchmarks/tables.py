"""A benchmark's JSON as Markdown: the whole page, and docs/native-engine.md's table of speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from benchmarks import epoch, evaluation, students
from benchmarks.figures import (
    Benchmark,
    epoch_time,
    evaluation_ratio,
    fastest_torch,
    fma_peak,
    most,
    part,
    peak_memory,
    process_scaling,
    seeds_per_hour,
    share_of_peak,
    start_time,
    student_ratios,
    thread_scaling,
    times_faster,
)
from benchmarks.requirements import REQUIREMENTS
from under20k.recipe.named import MINIMAL, REGULARIZED
from under20k.report.tables import Table

COMMAND = "python -m benchmarks"


def page(benchmark: Benchmark) -> str:
    """Everything measured, as a page of Markdown."""
    parts = [
        section(benchmark) + updated(benchmark, name)
        for name, section in SECTIONS.items()
        if part(benchmark, name)
    ]
    return "\n\n".join(["# Benchmark", introduction(benchmark), requirements(benchmark), *parts]) + "\n"


def introduction(benchmark: Benchmark) -> str:
    """Return when, how and how precisely this was measured."""
    amount = benchmark["amount"]
    paragraphs = [
        f"Written by `{benchmark['command']}` on {benchmark['date']}. Everything runs on two cores, and "
        f"contenders alternate (A B A B), {_turns(amount['rounds'])}. A figure is the median of its turns, a "
        "ratio the median of the turns' ratios. `make benchmark` repeats every measurement."
    ]
    if benchmark["quick"]:
        paragraphs.append("**A quick run: it only shows that everything works. Its times mean little.**")
    return "\n\n".join(paragraphs)


def updated(benchmark: Benchmark, name: str) -> str:
    """Return a paragraph for a part that was measured after the others."""
    update = benchmark.get("updated", {}).get(name)
    if update is None:
        return ""
    return (
        f"\n\nMeasured by `{update['command']}` on {update['date']}, {_turns(update['rounds'])}, with "
        f"under20k {update['under20k']} ({update['git'] or 'no checkout'})" + _peak(benchmark, update) + "."
    )


def _peak(benchmark: Benchmark, update: Mapping[str, Any]) -> str:
    """Say on how fast a processor a part was measured again, and how fast the other parts' was."""
    if "peak_gflops" not in update:
        return ""
    before = fma_peak(benchmark, benchmark["parts"]["machine"]["cores"])
    then = f"{update['peak_gflops']:,.0f} GFLOP/s"
    return f", at an FMA peak of {then}" + (f" where the other parts had {before:,.0f}" if before else "")


def requirements(benchmark: Benchmark) -> str:
    """Return the requirements, and whether they are met."""
    rows = tuple(requirement.row(benchmark) for requirement in REQUIREMENTS)
    table = Table(("Requirement", "", "required", "measured", "met?"), rows, align="llrrl")
    return f"## Requirements\n\n{table.markdown()}"


def machine(benchmark: Benchmark) -> str:
    """The machine, its peak, and the arithmetic of an epoch."""
    own = benchmark["parts"]["machine"]
    peaks = {int(n): fma_peak(benchmark, int(n)) for n in own["peak_gflops"]}
    packages = ", ".join(f"{name} {version}" for name, version in own["packages"].items() if version)
    load = own["load_before"]
    rows = (
        ("Processor", f"{own['processor']}, {own['cores']} cores in use, {own['system']}"),
        ("Instruction sets", ", ".join(own["instruction_sets"]) or "unknown"),
        ("Instruction set of the native engine", own["native_instruction_set"]),
        (
            "FMA peak in fp32, the highest measured",
            "; ".join(f"threads: {n}, {_known(peak):,.0f} GFLOP/s" for n, peak in peaks.items()),
        ),
        ("Load before", "unknown" if load is None else f"{load:.1f} processes"),
        ("under20k", f"{own['under20k']} ({own['git'] or 'no checkout'})"),
        ("Versions", f"Python {own['python']}, {packages}"),
        *(
            (f"An epoch of {recipe}", f"{flop / 1e9:,.0f} GFLOP, not counting padding")
            for recipe, flop in own["epoch_flop"].items()
        ),
    )  # fmt: skip
    return f"## Machine\n\n{Table(('Property', ''), rows, align='ll').markdown()}"


def epochs(benchmark: Benchmark) -> str:
    """Training, by recipe and contender."""
    measured = benchmark["parts"]["epoch"]
    rows: list[tuple[str, ...]] = []
    for recipe, values in measured["recipes"].items():
        for name in values["times_s"]:
            share = share_of_peak(benchmark, recipe, name)
            faster = [times_faster(benchmark, recipe, name, than) for than in (epoch.EAGER, epoch.SCRIPT)]
            rows.append(
                (
                    recipe,
                    name,
                    f"{_known(epoch_time(benchmark, recipe, name)):.2f} s",
                    *(f"{_known(value):.1f}×" for value in faster),
                    "–" if share is None else f"{100 * share:.0f}%",
                )
            )
        rows += [(recipe, name, reason, "–", "–", "–") for name, reason in values["unavailable"].items()]
    header = ("Recipe", "", "an epoch", "torch eager ÷ this", "plain script ÷ this", "of the FMA peak")
    table = Table(header, tuple(rows), align="llrrrr")
    return (
        f"## An epoch of training\n\n{table.markdown()}\n\n"
        f"{_measured_on(measured['images'])} {measured['threads']} threads unless stated otherwise. "
        "Everything is included: data, augmentation, dropout, BatchNorm, optimiser. *torch eager* keeps the "
        "dataset in one tensor; *plain script* (`benchmarks/plain_script.py`) has a Dataset with a transform "
        "of each image and a DataLoader. The fraction of the peak counts useful arithmetic only, relative to "
        "the highest peak measured with the same number of threads."
    )


def models(benchmark: Benchmark) -> str:
    """Training of models as students write them."""
    measured = benchmark["parts"]["students"]["models"]
    ratios = student_ratios(benchmark)
    rows = []
    for name, values in measured.items():
        each = [f"{median(values['times_s'][key]):.2f} s" for key in (students.NATIVE, students.EAGER)]
        rows.append((name, f"{values['parameters']:,}", *each, f"{ratios[name]:.1f}×"))
    header = ("Model", "Parameters", "native", "torch eager", "torch eager ÷ native")
    return (
        f"## Models as students write them\n\n{Table(header, tuple(rows), align='lrrrr').markdown()}\n\n"
        f"An epoch of 50,000 images on {benchmark['parts']['students']['threads']} threads, all included. "
        f"Median {median(ratios.values()):.1f}×, lowest {min(ratios.values()):.1f}×. "
        "The models are in `benchmarks/student_models.py`."
    )


def scaling(benchmark: Benchmark) -> str:
    """Return the gain from a second core."""
    measured = benchmark["parts"]["scaling"]
    threads, processes = measured["threads_s"], measured["processes_s"]
    rows = (
        *((f"An epoch, threads: {n}", f"{median(times):.2f} s") for n, times in threads.items()),
        (f"{most(threads)} threads against one", f"{_known(thread_scaling(benchmark)):.2f}×"),
        *(
            (f"Seeds an hour, processes of one thread: {n}", f"{seeds_per_hour(benchmark, n):,.1f}")
            for n in processes
        ),
        (f"{most(processes)} processes against one", f"{_known(process_scaling(benchmark)):.2f}×"),
    )
    return (
        f"## Scaling\n\n{Table((measured['recipe'], 'native fp32'), rows).markdown()}\n\n"
        f"A seed is {measured['epochs']} epochs, each followed by an evaluation."
    )


def evaluations(benchmark: Benchmark) -> str:
    """Evaluation and logits, by contender."""
    measured = benchmark["parts"]["evaluation"]
    rows: list[tuple[str, ...]] = [
        (
            name,
            f"{measured['evaluated'] / median(measured['evaluation_s'][name]):,.0f}",
            f"{measured['batch'] / median(measured['batch_s'][name]):,.0f}",
            f"{1e6 * median(measured['one_image_s'][name]):,.0f} µs",
        )
        for name in measured["evaluation_s"]
    ]
    rows += [(name, reason, "–", "–") for name, reason in measured["unavailable"].items()]
    kinds = ("evaluation_s", "batch_s", "one_image_s")
    others = (("ONNX Runtime ÷ native", evaluation.ONNX), ("PyTorch's best ÷ native", "torch"))
    for words, than in others:
        ratios = [evaluation_ratio(benchmark, what, than) for what in kinds]
        rows.append((words, *("–" if value is None else f"{value:.1f}×" for value in ratios)))
    best = ", ".join(fastest_torch(measured, what).removeprefix("torch ") for what in kinds)
    header = (
        measured["recipe"],
        "evaluation, images/s",
        f"logits of {measured['batch']:,}, images/s",
        "logits of one image",
    )
    return (
        f"## Evaluation and logits\n\n{Table(header, tuple(rows)).markdown()}\n\n"
        f"All on {measured['threads']} threads; ratios are of times. Evaluation counts the correct ones of "
        f"{measured['evaluated']:,} images, {measured['batch']:,} at a time. The native engine starts from "
        "pixels, the others from normalised images; before timing, all must give the same logits except for "
        f"rounding. PyTorch's best, column by column: {best}."
    )


def inference(benchmark: Benchmark) -> str:
    """A trained model in use, by runtime."""
    measured = benchmark["parts"]["inference"]
    batch, kinds = measured["batch"], {"one_image_s": 1, "batch_s": measured["batch"]}
    best = {what: fastest_torch(measured, what) for what in kinds}
    names = {name: name for name in measured["batch_s"] if name not in evaluation.TORCH}
    rows: list[tuple[str, ...]] = []
    for row, name in (names | {"PyTorch's best": ""}).items():
        speeds = [images / median(measured[what][name or best[what]]) for what, images in kinds.items()]
        rows.append((row, *(f"{speed:,.0f}" for speed in speeds)))
    rows += [
        (name, why, "–") for name, why in measured["unavailable"].items() if name not in evaluation.TORCH
    ]
    header = (measured["model"], "one at a time, images/s", f"{batch:,} together, images/s")
    variants = ", ".join(name.removeprefix("torch ") for name in best.values())
    return (
        f"## Inference\n\n{Table(header, tuple(rows)).markdown()}\n\n"
        f"The pretrained model on {measured['threads']} threads. ONNX and C are files of `under20k export`. "
        "All start from pixels, except for PyTorch, which is given normalised images. C computes an image on "
        "one thread, and a batch in equal parts, each on a thread with a copy of the program. Before timing, "
        "all must give the native engine's logits except for rounding; those in int8, its digits for 95% of "
        f"the images. PyTorch's best, column by column: {variants}."
    )


def process(benchmark: Benchmark) -> str:
    """A training as a process."""
    measured = benchmark["parts"]["process"]
    memory = peak_memory(benchmark)
    rows = (
        ("From the command to the first training step", f"{_known(start_time(benchmark)):.2f} s"),
        ("Peak resident memory", "unknown" if memory is None else f"{memory / 1e6:.0f} MB"),
        ("PyTorch imported", "yes" if measured["torch"] else "no"),
    )
    return f"## A training as a process\n\n{Table((measured['command'], ''), rows).markdown()}"


def kernels(benchmark: Benchmark) -> str:
    """Return the speed of each convolution alone."""
    measured = benchmark["parts"]["kernels"]
    peak = _known(fma_peak(benchmark, 1))
    shapes: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for row in measured["rows"]:
        shapes.setdefault((row["recipe"], row["name"]), {})[row["pass"]] = row
    rows = []
    for (recipe, name), passes in shapes.items():
        shape = passes["forward"]
        rows.append(
            (
                recipe,
                name,
                f"{shape['inputs']} → {shape['outputs']}, {shape['side']} → {shape['output_side']}",
                *(
                    _speed(passes.get(which), peak)
                    for which in ("forward", "input gradient", "weight gradient")
                ),
            )
        )
    header = ("Recipe", "Convolution", "channels, side", "forward", "input gradient", "weight gradient")
    return (
        f"## Kernels\n\n{Table(header, tuple(rows), align='lllrrr').markdown()}\n\n"
        f"GFLOP/s of useful arithmetic, and its fraction of the FMA peak ({peak:.0f} GFLOP/s): one group of "
        f"images, one thread, {measured['instruction_set']}, all data in the caches. Winograd needs fewer "
        "multiplications than are counted here and can exceed the peak."
    )


SECTIONS: dict[str, Callable[[Benchmark], str]] = {
    "machine": machine,
    "epoch": epochs,
    "students": models,
    "scaling": scaling,
    "evaluation": evaluations,
    "inference": inference,
    "process": process,
    "kernels": kernels,
}


def speed(benchmark: Benchmark) -> str:
    """Return docs/native-engine.md's table: an epoch by the native engine and by plain PyTorch."""
    if benchmark["quick"]:
        return (
            "Not measured yet: [benchmark.md](benchmark.md) has a quick run, whose times mean "
            "little. `make benchmark readme BENCHMARK=results/benchmark.json` measures and writes it here."
        )
    measured, own = benchmark["parts"]["epoch"], benchmark["parts"]["machine"]
    contenders = [
        name
        for name in (epoch.NATIVE, epoch.BF16, epoch.EAGER, epoch.SCRIPT)
        if all(name in of["times_s"] for of in measured["recipes"].values())
    ]
    rows = []
    for name in contenders:
        cells = []
        for recipe in measured["recipes"]:
            faster = times_faster(benchmark, recipe, epoch.NATIVE, name)
            beside = "" if name == epoch.NATIVE else f" ({_known(faster):.1f}×)"
            cells.append(f"{_known(epoch_time(benchmark, recipe, name)):.1f} s{beside}")
        rows.append((name, *cells))
    training_s = sum(
        recipe.epochs * _known(epoch_time(benchmark, recipe.name, epoch.NATIVE))
        for recipe in (MINIMAL, REGULARIZED)
    )
    epochs = MINIMAL.epochs + REGULARIZED.epochs
    header = ("An epoch of 50,000 images", *measured["recipes"])
    return (
        f"{Table(header, tuple(rows)).markdown()}\n\n"
        f"Alternating on {measured['threads']} threads ({_turns(benchmark['amount']['rounds'])}), medians, "
        "everything included; in brackets, relative to the native engine. "
        f"{own['processor']}, {own['native_instruction_set']}; torch {own['packages']['torch']}. "
        f"The {epochs} epochs of the two recipes take {training_s:.0f} s in total. "
        "`make benchmark` measures this, and [benchmark.md](benchmark.md) has the rest: the engine's "
        "requirements and goals, scaling, evaluation, memory, kernels."
    )


def _measured_on(images: int) -> str:
    whole = images == 50_000
    return "Whole epochs." if whole else f"Measured over {images:,} images, scaled to 50,000."


def _turns(rounds: int) -> str:
    return "one turn each" if rounds == 1 else f"{rounds} turns each"


def _speed(row: Mapping[str, Any] | None, peak: float) -> str:
    if row is None:
        return "–"
    gflops = median(row["gflops"])
    return f"{gflops:.0f} ({100 * gflops / peak:.0f}%)"


def _known(value: float | None) -> float:
    """A figure of a part that is there."""
    assert value is not None
    return value
