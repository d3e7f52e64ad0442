"""Figures and tables from a given JSON, against values worked out by hand (see ``example``)."""

import copy
import re
from typing import Any

import pytest

from benchmarks import figures
from benchmarks.requirements import REQUIREMENTS
from benchmarks.tables import page, speed

Benchmark = dict[str, Any]


def row(text: str, *cells: str) -> list[str]:
    """The cells of the table's row that begins with these."""
    for line in text.splitlines():
        found = [cell.strip() for cell in line.strip("|").split("|")]
        if found[: len(cells)] == list(cells):
            return found[len(cells) :]
    raise AssertionError(f"no row {cells} in\n{text}")


def section(text: str, title: str) -> str:
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return str(found)


def test_epochs(example: Benchmark) -> None:
    assert figures.epoch_time(example, "minimal", "native fp32") == 2
    assert figures.times_faster(example, "minimal", "native fp32", "torch eager") == 9
    assert figures.times_faster(example, "minimal", "native fp32", "plain script") == 12
    # 240 GFLOP in 2 s of 240 GFLOP/s.
    assert figures.share_of_peak(example, "minimal", "native fp32") == pytest.approx(0.5)
    # In 4 s of the 120 GFLOP/s that one thread has had at most.
    assert figures.fma_peak(example, 1) == 120
    assert figures.share_of_peak(example, "minimal", "native fp32, 1 thread") == pytest.approx(0.5)
    table = section(page(example), "An epoch of training")
    assert row(table, "minimal", "native fp32") == ["2.00 s", "9.0×", "12.0×", "50%"]
    assert row(table, "regularized", "torch eager") == ["20.00 s", "1.0×", "1.3×", "5%"]
    assert row(table, "minimal", "native bf16") == ["not on this CPU", "–", "–", "–"]
    assert "Whole epochs." in table


def test_models_as_students_write_them(example: Benchmark) -> None:
    assert figures.student_ratios(example) == {"small": 2.5, "deep": 8, "wide": 6.5}
    text = section(page(example), "Models as students write them")
    assert row(text, "deep") == ["1,234", "1.00 s", "8.00 s", "8.0×"]
    assert "An epoch of 50,000 images on 2 threads, all included. Median 6.5×, lowest 2.5×." in text


def test_scaling(example: Benchmark) -> None:
    assert figures.thread_scaling(example) == 2
    assert figures.process_scaling(example) == pytest.approx(1.8)
    assert figures.seeds_per_hour(example, "1") == pytest.approx(3600 / (8 * 4.5))
    assert figures.seeds_per_hour(example, "2") == pytest.approx(2 * 3600 / (8 * 5))
    table = section(page(example), "Scaling")
    assert row(table, "2 threads against one") == ["2.00×"]
    assert row(table, "2 processes against one") == ["1.80×"]
    assert row(table, "Seeds an hour, processes of one thread: 2") == ["180.0"]


def test_evaluation(example: Benchmark) -> None:
    assert figures.evaluation_ratio(example, "evaluation_s", "ONNX Runtime") == pytest.approx(3)
    # PyTorch's best is channels_last here, and eager for a batch.
    assert figures.evaluation_ratio(example, "evaluation_s", "torch") == pytest.approx(1.5)
    assert figures.evaluation_ratio(example, "batch_s", "torch") == 2
    table = section(page(example), "Evaluation and logits")
    assert row(table, "native") == ["100,000", "100,000", "100 µs"]
    assert row(table, "torch compile") == ["left out", "–", "–"]
    assert row(table, "ONNX Runtime ÷ native") == ["3.0×", "3.0×", "0.5×"]
    assert row(table, "PyTorch's best ÷ native") == ["1.5×", "2.0×", "3.0×"]
    assert "PyTorch's best, column by column: channels_last, eager, eager." in table


def test_inference(example: Benchmark) -> None:
    table = section(page(example), "Inference")
    assert row(table, "minimal") == ["one at a time, images/s", "1,000 together, images/s"]
    assert row(table, "native") == ["50,000", "100,000"]
    assert row(table, "ONNX fp32, onnxruntime") == ["10,000", "20,000"]
    assert row(table, "PyTorch's best") == ["2,000", "10,000"]  # each column's own
    assert "column by column: eager, channels_last." in table
    assert row(table, "C float, gcc -O3") == ["gcc is not installed", "–"]
    assert "torch compile" not in table


def test_a_part_that_was_measured_later_says_so(example: Benchmark) -> None:
    example["updated"] = {
        "inference": {
            "command": "python -m benchmarks --only inference",
            "date": "2026-02-03",
            "rounds": 5,
            "under20k": "0.2.0",
            "git": "0123abc",
            "peak_gflops": 234.4,
        }
    }
    said = "Measured by `python -m benchmarks --only inference` on 2026-02-03, 5 turns each, with "
    text = page(example)
    peak = "at an FMA peak of 234 GFLOP/s where the other parts had 240"
    assert f"{said}under20k 0.2.0 (0123abc), {peak}.\n\n## A training as a process" in text
    assert text.count("Measured by") == 1


def test_a_process(example: Benchmark) -> None:
    assert figures.start_time(example) == 0.6
    assert figures.peak_memory(example) == 401_000_000  # the most of all turns
    table = section(page(example), "A training as a process")
    assert row(table, "Peak resident memory") == ["401 MB"]
    assert row(table, "PyTorch imported") == ["no"]
    example["parts"]["process"]["peak_bytes"] = [None] * 3
    assert row(section(page(example), "A training as a process"), "Peak resident memory") == ["unknown"]


def test_kernels(example: Benchmark) -> None:
    table = section(page(example), "Kernels")
    assert row(table, "minimal", "blocks.0.conv", "1 → 8, 28 → 28") == ["60 (50%)", "–", "20 (17%)"]


def test_machine(example: Benchmark) -> None:
    table = section(page(example), "Machine")
    assert row(table, "FMA peak in fp32, the highest measured") == [
        "threads: 1, 120 GFLOP/s; threads: 2, 240 GFLOP/s"
    ]
    assert row(table, "An epoch of minimal") == ["426 GFLOP, not counting padding"]
    assert row(table, "Versions") == ["Python 3.11.7, numpy 2.0.0, torch 2.13.0"]


def test_requirements_are_met_or_not(example: Benchmark) -> None:
    table = section(page(example), "Requirements")
    assert row(table, "An epoch of minimal, fp32, against torch eager") == ["floor", "≥ 7.0×", "9.0×", "met"]
    assert row(table, "An epoch of minimal, fp32, against the plain script")[2:] == ["12.0×", "met"]
    assert row(table, "An epoch of minimal, fp32, true arithmetic over the FMA peak") == [
        *("floor", "≥ 60%", "50%", "not met")
    ]
    assert row(table, "An epoch of minimal, bf16, against torch eager")[2:] == ["not on this CPU", "–"]
    assert row(table, "An epoch of minimal, best precision") == ["goal", "≤ 0.70 s", "2.00 s", "not met"]
    said = "Models as students write them, against torch eager,"
    assert row(table, f"{said} median") == ["floor", "≥ 6.0×", "6.5×", "met"]
    assert row(table, f"{said} lowest") == ["floor", "≥ 3.0×", "2.5×", "not met"]
    assert row(table, "Two threads against one")[2:] == ["2.00×", "met"]
    assert row(table, "Seeds an hour, two processes against one")[2:] == ["1.80×", "not met"]
    assert row(table, "Evaluation against ONNX Runtime")[2:] == ["3.0×", "met"]
    assert row(table, "Evaluation against PyTorch at its best")[2:] == ["1.5×", "not met"]
    assert row(table, "Logits of one image against ONNX Runtime")[2:] == ["0.5×", "not met"]
    assert row(table, "Memory of a training process, at most")[1:] == ["≤ 400 MB", "401 MB", "not met"]
    assert row(table, "From the command to the first training step")[1:] == ["≤ 1.00 s", "0.60 s", "met"]


def test_bf16_counts_where_it_was_measured(example: Benchmark) -> None:
    of_minimal = example["parts"]["epoch"]["recipes"]["minimal"]
    of_minimal["times_s"]["native bf16"] = [0.5, 0.5, 0.5]
    of_minimal["unavailable"] = {}
    table = section(page(example), "Requirements")
    assert row(table, "An epoch of minimal, bf16, against torch eager")[2:] == ["40.0×", "met"]
    assert row(table, "An epoch of minimal, best precision")[2:] == ["0.50 s", "met"]
    assert row(table, "An epoch of minimal, best precision, against the plain script")[2:] == ["44.0×", "met"]


def test_a_rounded_value_does_not_meet_what_the_value_misses(example: Benchmark) -> None:
    """6.96 is written 7.0 and stays below 7."""
    times = example["parts"]["epoch"]["recipes"]["minimal"]["times_s"]
    times["torch eager"] = [6.96 * value for value in times["native fp32"]]
    table = section(page(example), "Requirements")
    assert row(table, "An epoch of minimal, fp32, against torch eager")[2:] == ["7.0×", "not met"]


@pytest.mark.parametrize(
    "missing", ["machine", "epoch", "students", "scaling", "evaluation", "inference", "process", "kernels"]
)
def test_missing_measurements_are_marked(example: Benchmark, missing: str) -> None:
    before = page(example)
    del example["parts"][missing]
    after = page(example)
    titles = (re.findall(r"^## (.*)$", text, re.MULTILINE) for text in (before, after))
    assert len(set(next(titles)) - set(next(titles))) == 1
    if missing not in ("machine", "inference", "kernels"):
        assert "not measured" in after
    for requirement in REQUIREMENTS:
        assert len(requirement.row(example)) == 5


def test_nothing_measured_meets_nothing(example: Benchmark) -> None:
    rows = [requirement.row(example | {"parts": {}}) for requirement in REQUIREMENTS]
    assert {cells[-1] for cells in rows} == {"–"}
    assert {cells[-2] for cells in rows} == {"not measured"}


def test_the_readme_table(example: Benchmark) -> None:
    text = speed(example)
    assert row(text, "native fp32") == ["2.0 s", "2.0 s"]
    assert row(text, "torch eager") == ["20.0 s (9.0×)", "20.0 s (9.0×)"]
    assert row(text, "plain script") == ["22.0 s (12.0×)", "22.0 s (12.0×)"]
    assert "The 20 epochs of the two recipes take 40 s in total." in text
    assert "quick run" not in text


def test_a_quick_run_is_labelled(example: Benchmark) -> None:
    changed = copy.deepcopy(example) | {"quick": True}
    assert "A quick run" in page(changed)
    assert "A quick run" not in page(example)
    # It decides nothing, and the README shows none of its times.
    assert {requirement.row(changed)[-1] for requirement in REQUIREMENTS} == {"–"}
    assert not re.search(r"\d s\b|×", speed(changed))
