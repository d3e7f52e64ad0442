import pytest
from hypothesis import given
from hypothesis import strategies as st

from under20k.errors import InvalidValue
from under20k.recipe.seeds import (
    MAX_SEED,
    MAX_SEEDS,
    check_seeds,
    consecutive_from_0,
    parse_seed,
    parse_seeds,
    seeds_as_typed,
)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("5", [5]),
        ("0-9", range(10)),
        ("7-7", [7]),
        ("1,4,7", [1, 4, 7]),
        ("0-4,7", [0, 1, 2, 3, 4, 7]),
        ("7, 0-2", [0, 1, 2, 7]),
        (" 0 - 2 , 7 ", [0, 1, 2, 7]),
        ("3,1,2", [1, 2, 3]),
        (str(MAX_SEED), [MAX_SEED]),
        ("007", [7]),
    ],
)
def test_seeds_are_numbers_and_ranges(text, seeds):
    assert parse_seeds(text) == tuple(seeds)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        *(
            (text, "such as 5, 0-9 or 1,4,7")
            for text in (
                "",
                ",",
                "1,",
                "-1",
                "1-",
                "a",
                "1.5",
                "0-9-3",
                "٣",
                "1 4 7",
                "0 9",
                "1 2-3",
                "0-1 9",
            )
        ),
        (str(MAX_SEED + 1), f"expected seeds from 0 to {MAX_SEED}"),
        ("0-99999999999", f"expected seeds from 0 to {MAX_SEED}"),
        ("9" * 5000, f"expected seeds from 0 to {MAX_SEED}"),
        ("5-2", "the range 5-2 is reversed: give 2-5"),
        ("1,1", "seed 1 is given twice"),
        ("0-4,3", "seed 3 is given twice"),
        ("3-9,0-4", "seed 3 is given twice"),
        (f"0-{MAX_SEED}", f"give at most {MAX_SEEDS:,}"),
    ],
)
def test_any_other_text_is_refused(text, words):
    with pytest.raises(InvalidValue) as refused:
        parse_seeds(text, "seeds")
    assert str(refused.value).startswith("seeds: ")
    assert words in str(refused.value)


@given(st.sets(st.integers(0, 60) | st.integers(MAX_SEED - 60, MAX_SEED), min_size=1))
def test_what_is_written_is_read_back_and_no_shorter_text_says_it(seeds):
    ordered = tuple(sorted(seeds))
    text = seeds_as_typed(ordered)
    assert parse_seeds(text) == ordered
    begins = [seed for seed in ordered if seed - 1 not in seeds]
    assert text.count(",") == len(begins) - 1


@given(st.text("0123456789,- ", max_size=12))
def test_a_text_is_read_in_ascending_order_or_refused(text):
    try:
        seeds = parse_seeds(text)
    except InvalidValue:
        return
    assert list(seeds) == sorted(set(seeds))
    assert parse_seeds(seeds_as_typed(seeds)) == seeds


@pytest.mark.parametrize(("text", "seed"), [("5", 5), ("0", 0), ("5-5", 5), (str(MAX_SEED), MAX_SEED)])
def test_one_seed(text, seed):
    assert parse_seed(text) == seed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0-9", "expected one seed, but these are 10"),
        ("1,4", "expected one seed, but these are 2"),
        ("-1", f"seed: -1; expected a whole number from 0 to {MAX_SEED}"),
        (str(MAX_SEED + 1), f"expected a whole number from 0 to {MAX_SEED}"),
        *(
            (text, f"seed: '{text}'; expected a whole number from 0 to {MAX_SEED}")
            for text in ("x", "1.5", "")
        ),
    ],
)
def test_no_or_several_seeds_are_refused_where_one_is_needed(text, words):
    with pytest.raises(InvalidValue, match=words):
        parse_seed(text)


def test_a_function_takes_any_sequence_of_different_seeds():
    assert check_seeds([4, 1, 7]) == (1, 4, 7)
    assert check_seeds(range(3)) == (0, 1, 2)


@pytest.mark.parametrize(
    "seeds", [10, "0-9", {1, 2}, [], [1, 1], [-1], [1.0], [True], range(MAX_SEEDS + 1), None]
)
def test_a_function_refuses_any_other_value(seeds):
    with pytest.raises(InvalidValue, match=r"^seeds?: "):
        check_seeds(seeds)


@pytest.mark.parametrize(("seeds", "are"), [([0], True), (range(9), True), ([1, 2], False), ([0, 2], False)])
def test_a_claim_needs_consecutive_seeds_from_0(seeds, are):
    assert consecutive_from_0(seeds) == are
