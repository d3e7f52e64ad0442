"""tools/claims.py says which results do not bear out what docs/ says of them."""

from dataclasses import replace

import pytest

from tools import claims, readme
from under20k.runs.bench.bench import Bench


def moved(bench: Bench, by: float) -> Bench:
    """Return the bench with every accuracy at the last epoch moved."""
    seeds = [
        replace(
            seed,
            epochs=(*seed.epochs[:-1], replace(last, validation_accuracy=last.validation_accuracy + by)),
        )
        for seed in bench.seeds
        for last in seed.epochs[-1:]
    ]
    return replace(bench, seeds=tuple(seeds))


def test_an_engine_that_is_less_accurate_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = readme.both_engines()
    ours, theirs = pairs["minimal"]
    monkeypatch.setattr(claims, "both_engines", lambda: pairs | {"minimal": (ours, moved(theirs, -0.002))})
    (wrong,) = claims.engines()
    assert wrong.startswith("minimal: the accuracies of native and torch differ, p = ")


def test_what_bf16_loses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = {name: (moved(bf16, -0.001), fp32) for name, (bf16, fp32) in readme.both_precisions().items()}
    monkeypatch.setattr(claims, "both_precisions", lambda: pairs)
    *each, total = claims.precisions()
    assert {text.partition(":")[0] for text in each} <= readme.RECIPES.keys()
    assert each
    assert total.startswith("bf16 may lose 0.1")
    assert claims.main() == 1
