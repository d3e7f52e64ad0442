"""The words for a limit: as the assignment or a named profile has it, otherwise as it was typed."""

import pytest

from under20k.checking.profiles import ASSIGNMENT, NAMES, limit_text, load_profile


@pytest.mark.parametrize("most", [99, 10_099, 14_999, 24_999, 100_000])
def test_a_limit_that_was_typed_is_said_as_it_was(most):
    assert limit_text("parameters", most + 1) == f"at most {most:,}"
    assert limit_text("epochs", most + 1) == f"at most {most:,}"


def test_the_assignments_limits_are_said_in_its_words():
    texts = [limit_text(name, limit) for name, limit in ASSIGNMENT.items()]
    assert texts == ["fewer than 20,000", "fewer than 20", "at least 28×28"]


@pytest.mark.parametrize("name", NAMES)
def test_the_named_profiles_parameters_are_round(name):
    limit = load_profile(name).limits["parameters"]
    assert limit_text("parameters", limit) == f"fewer than {limit:,}"
