"""A run's readings of the test set: kept in order, refused if damaged."""

import pytest

from under20k.errors import UserError
from under20k.runs.readings import add_test_reading, read_test_readings

READING = {"read": "2026-01-02", "correct": 9_900, "images": 10_000}


def test_readings_are_kept_in_order(tmp_path):
    path = tmp_path / "test_readings.jsonl"
    assert read_test_readings(path) == []
    readings = [READING | {"command": "ü", "correct": correct} for correct in (9_900, 9_910)]
    for reading in readings:
        add_test_reading(path, reading)
    assert read_test_readings(path) == readings


@pytest.mark.parametrize(
    "content", ["", "{", "3", "[" * 100_000, '{"a": 1}\n"b"', '{"correct": 10001, "images": 10000}']
)
def test_a_damaged_file_is_refused_and_not_added_to(tmp_path, content):
    path = tmp_path / "test_readings.jsonl"
    path.write_text(content)
    with pytest.raises(UserError, match=r"test_readings\.jsonl is damaged"):
        read_test_readings(path)
    with pytest.raises(UserError, match=r"test_readings\.jsonl is damaged"):
        add_test_reading(path, READING)
    assert path.read_text() == content


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"correct": 10_001}, "10001 of 10000"),
        ({"correct": True}, "True of 10000"),
        ({"images": 9_999}, "9900 of 9999"),
        ({"accuracy": 0.98}, "accuracy is 0.98"),
        ({"read": "yesterday"}, "read is 'yesterday'"),
        ({"split": "validation"}, "split is 'validation'"),
        ({"loss": -1.0}, "loss is -1.0"),
        ({"command": 7}, "command is 7"),
        ({"precision": [0.5] * 9}, "precision is "),
        ({"confusion": [[1000] * 9 + [-1]] * 10}, "confusion is "),
        (
            {"confusion": [[1000 if row == column else 0 for column in range(10)] for row in range(10)]},
            "9900",
        ),
    ],
)
def test_a_reading_that_no_test_set_gives_is_named(tmp_path, wrong, words):
    path = tmp_path / "test_readings.jsonl"
    add_test_reading(path, READING | wrong)
    with pytest.raises(UserError) as refused:
        read_test_readings(path)
    assert words in str(refused.value)
