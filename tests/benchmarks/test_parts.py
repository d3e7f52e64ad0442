"""Every part measures, at tiny sizes, what the tables are made of."""

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import epoch, evaluation, inference, native, students
from benchmarks.amount import Amount
from benchmarks.arithmetic import convolutions, epoch_flop
from benchmarks.student_models import MODELS
from benchmarks.tables import SECTIONS
from under20k.engine.base import Compute, Engine
from under20k.engine.machine import cores
from under20k.errors import UserError
from under20k.recipe.named import MINIMAL, REGULARIZED
from under20k.recipe.recipe import Recipe

CORES = sorted({"1", str(cores().amount)})


def measured(name: str, amount: Amount) -> dict[str, Any]:
    """A part's values, as they come back from a file; its table can be made."""
    told: list[str] = []
    values = importlib.import_module(f"benchmarks.{name}").measure(amount, told.append)
    back: dict[str, Any] = json.loads(json.dumps(values, allow_nan=False))
    assert back == values
    assert told
    assert SECTIONS[name]({"parts": {name: back}}).startswith("## ")
    return back


def assert_turns(values: Any, amount: Amount) -> None:
    assert len(values) == amount.rounds
    assert all(value > 0 for value in values)


def test_machine(tiny: Amount) -> None:
    part = measured("machine", tiny)
    assert sorted(part["peak_gflops"]) == CORES
    for values in part["peak_gflops"].values():
        assert_turns(values, tiny)
    assert part["epoch_flop"] == {r.name: epoch_flop(r.architecture) for r in (MINIMAL, REGULARIZED)}
    assert part["packages"]["torch"].startswith("2.")


@pytest.mark.slow
def test_epoch(tiny: Amount) -> None:
    tiny = replace(tiny, images=130)
    part = measured("epoch", tiny)
    assert set(part["recipes"]) == {"minimal", "regularized"}
    for of_recipe in part["recipes"].values():
        names = {epoch.NATIVE, epoch.ONE_THREAD, epoch.EAGER, epoch.SCRIPT}
        assert names <= set(of_recipe["times_s"])
        # bf16 was measured, or it is said why not.
        assert (epoch.BF16 in of_recipe["times_s"]) != (epoch.BF16 in of_recipe["unavailable"])
        for values in (*of_recipe["times_s"].values(), of_recipe["peak_gflops"]):
            assert_turns(values, tiny)


@pytest.mark.slow
def test_students(tiny: Amount) -> None:
    part = measured("students", replace(tiny, images=40))
    assert part["models"].keys() == MODELS.keys()
    for values in part["models"].values():
        assert 2_000 < values["parameters"] < 20_000
        assert values["times_s"].keys() == {students.NATIVE, students.EAGER}
        for times in values["times_s"].values():
            assert_turns(times, tiny)


def test_scaling(tiny: Amount) -> None:
    part = measured("scaling", tiny)
    for kind in ("threads_s", "processes_s"):
        assert sorted(part[kind]) == CORES
        for values in part[kind].values():
            assert_turns(values, tiny)


def test_evaluation(tiny: Amount) -> None:
    part = measured("evaluation", tiny)
    everyone = {evaluation.NATIVE, evaluation.ONNX, *evaluation.TORCH}
    for kind in ("evaluation_s", "batch_s", "one_image_s"):
        assert set(part[kind]) | set(part["unavailable"]) == everyone
        assert {evaluation.NATIVE, evaluation.EAGER, evaluation.CHANNELS_LAST} <= set(part[kind])
        for values in part[kind].values():
            assert_turns(values, tiny)
    assert part["unavailable"][evaluation.COMPILE] == "left out"
    if importlib.util.find_spec("onnxruntime"):  # of the dependency group 'benchmark'
        assert evaluation.ONNX in part["evaluation_s"]
    else:
        assert "not installed" in part["unavailable"][evaluation.ONNX]


@pytest.mark.slow
def test_inference(tiny: Amount, monkeypatch: pytest.MonkeyPatch) -> None:
    part = measured("inference", tiny)
    everyone = {evaluation.NATIVE, *inference.EXPORTS.values(), *evaluation.TORCH}
    for kind in ("one_image_s", "batch_s"):
        assert set(part[kind]) | set(part["unavailable"]) == everyone
        assert {evaluation.NATIVE, evaluation.EAGER, evaluation.CHANNELS_LAST} <= set(part[kind])
        for values in part[kind].values():
            assert_turns(values, tiny)
    if importlib.util.find_spec("onnxruntime"):
        assert {"ONNX fp32, onnxruntime", "ONNX int8, onnxruntime"} <= set(part["batch_s"])
    assert ("C float, gcc -O3" in part["batch_s"]) == bool(shutil.which("gcc"))


def test_c_is_left_out_without_gcc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(inference.Unavailable, match="gcc is not installed"):
        inference.c_files(tmp_path, 2)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_c_computes_each_image_of_a_batch_once(tmp_path: Path) -> None:
    # A stand-in for an export: the first logit is the image's first pixel, computed in static memory.
    (tmp_path / "under20k.h").write_text(
        "#include <stdint.h>\nvoid under20k_logits(const uint8_t*, float*);\n"
    )
    (tmp_path / "under20k.c").write_text(
        """#include "under20k.h"
        static float work[10];
        void under20k_logits(const uint8_t* image, float* logits) {
            work[0] = image[0];
            for (int i = 0; i < 10; i++) logits[i] = work[0] + i;
        }"""
    )
    images = np.zeros((101, 28, 28), np.uint8)
    images[:, 0, 0] = range(101)
    logits = inference.c_files(tmp_path, 2)
    assert np.array_equal(logits(images), np.arange(101)[:, None] + np.arange(10))
    assert np.array_equal(logits(images[7:8]), [7 + np.arange(10)])


def test_an_int8_export_with_other_digits_is_noticed() -> None:
    right = np.eye(10, dtype=np.float32)
    name = inference.EXPORTS["onnx-int8"]
    contenders = {evaluation.NATIVE: lambda images: right, name: lambda images: right + np.float32(0.2)}
    images = dict.fromkeys(contenders, np.zeros((10, 1)))
    inference.check(contenders, images, 10)
    contenders[name] = lambda images: right[::-1]
    with pytest.raises(AssertionError, match=r"int8.* same digit for only 0%"):
        inference.check(contenders, images, 10)


def test_bf16_takes_part_where_the_engine_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def refuse(*arguments: Any, **options: Any) -> Engine:
        raise UserError("precision: 'bf16', but not so")

    def accept(recipe: Recipe, seed: int, compute: Compute, **options: Any) -> Any:
        asked.append(compute.precision)
        return "an engine"

    monkeypatch.delenv("UNDER20K_EMULATE_BF16", raising=False)
    monkeypatch.setattr(native, "create", refuse)
    monkeypatch.setattr(native, "multiplies_bf16", lambda: False)
    with pytest.raises(native.Unavailable, match=r"^not on this CPU$"):
        native.engine(MINIMAL, 1, "bf16")
    with pytest.raises(UserError):  # without fp32 there is nothing to measure
        native.engine(MINIMAL, 1)
    # Any other reason is reported.
    monkeypatch.setattr(native, "multiplies_bf16", lambda: True)
    with pytest.raises(native.Unavailable, match="but not so"):
        native.engine(MINIMAL, 1, "bf16")
    monkeypatch.setattr(native, "create", accept)
    native.engine(MINIMAL, 1, "bf16")
    native.engine(MINIMAL, 1)
    assert asked == ["bf16", "fp32"]
    monkeypatch.setenv("UNDER20K_EMULATE_BF16", "1")
    with pytest.raises(native.Unavailable, match="emulated"):
        native.engine(MINIMAL, 1, "bf16")


def test_a_contender_that_answers_otherwise_is_noticed() -> None:
    right = np.arange(40, dtype=np.float32).reshape(4, 10)
    contenders = {
        evaluation.NATIVE: lambda images: right[: len(images)],
        "other": lambda images: right[: len(images)] * np.float32(1.01),
    }
    images = dict.fromkeys(contenders, np.zeros((4, 1)))
    with pytest.raises(AssertionError, match="other is off"):
        evaluation.agree(contenders, images, 4)
    contenders["other"] = contenders[evaluation.NATIVE]
    evaluation.agree(contenders, images, 4)


def test_process(tiny: Amount) -> None:
    part = measured("process", tiny)
    assert_turns(part["start_s"], tiny)
    assert part["torch"] is False
    assert len(part["peak_bytes"]) == tiny.rounds
    # The training images alone are 39 MB, and no machine that runs this holds as much as the bound.
    assert all(value is None or 39_200_000 < value < 2**40 for value in part["peak_bytes"])


def test_kernels(tiny: Amount) -> None:
    part = measured("kernels", tiny)
    passes = [(row["recipe"], row["name"], row["pass"]) for row in part["rows"]]
    expected = [
        (recipe.name, convolution.name, which)
        for recipe in (MINIMAL, REGULARIZED)
        for index, convolution in enumerate(convolutions(recipe.architecture))
        for which in ("forward", "input gradient", "weight gradient")
        if index or which != "input gradient"
    ]
    assert passes == expected
    for row in part["rows"]:
        assert_turns(row["gflops"], tiny)
