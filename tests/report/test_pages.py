"""Generated parts of pages: the numbers by hand."""

from dataclasses import replace

import pytest

from tests.support.benches import SMALL, bench_of
from under20k.report.pages import engines_part, filled, has_part, precisions_part, results_part


def cells(part: str) -> list[list[str]]:
    """The rows of a part's table, without its header."""
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


OURS, THEIRS = [0.9945, 0.9941, 0.9950], [0.9941, 0.9940, 0.9944]


def test_a_part_is_replaced_and_the_rest_kept():
    page = "a\n<!-- one -->\nold\n<!-- /one -->\nb\n"
    assert has_part(page, "one")
    assert not has_part(page, "two")
    assert filled(page, {"one": "new"}) == "a\n<!-- one -->\nnew\n<!-- /one -->\nb\n"
    with pytest.raises(ValueError, match="0 parts 'two'"):
        filled(page, {"two": "x"})


def test_engines_are_paired_by_seed():
    # Differences 4, 1 and 6 images: mean 11/3, sd √(19/3) = 2.517, standard error 1.453.
    (row,) = cells(engines_part({"small": (bench_of(OURS), bench_of(THEIRS))}))
    assert row == ["small", "3", "99.453 ± 0.045 %", "99.417 ± 0.021 %", "+0.037 ± 0.015"]


def test_precisions_are_paired_by_seed_and_over_all_recipes():
    bf16, fp32 = bench_of(OURS), bench_of(THEIRS)
    other = [bench_of(values, replace(SMALL, name="other")) for values in (THEIRS, OURS)]
    small, reverse, every = cells(precisions_part({"small": (bf16, fp32), "other": (other[0], other[1])}))
    # t = 3.667 / 1.453 = 2.524 with two degrees of freedom: p = 1 − t / √(t² + 2) = 0.1277.
    assert small == [
        "small",
        "3",
        "99.417 ± 0.021 %",
        "99.453 ± 0.045 %",
        "+0.037",
        "-0.026 to +0.099",
        "0.13",
    ]
    assert reverse[4:] == ["-0.037", "-0.099 to +0.026", "0.13"]
    assert every[:5] == ["all of them", "6", "–", "–", "+0.000"]
    assert every[6] == "1.0"


def test_results_name_their_command_and_what_trained_them():
    assignment = bench_of([0.9942], replace(SMALL, name="minimal"))
    part = results_part([bench_of([0.9945, 0.9941, 0.9943]), assignment], "docs/report.md")
    own, reported = cells(part)
    parameters = f"{SMALL.architecture.parameters:,}"
    assert own == ["small", parameters, "99.430 ± 0.020 %", "3 of 3", "–"]
    assert reported == ["minimal", parameters, "99.42%", "1 of 1", "99.41%"]
    assert (
        "Mean ± sd over seeds 0–2 at the last epoch, by `under20k bench small --seeds 0-19` "
        "(A processor; torch fp32). The [full report](docs/report.md)" in part
    )
