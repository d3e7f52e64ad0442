import re

import pytest

from under20k.errors import UserError
from under20k.recipe.named import MINIMAL, REGULARIZED
from under20k.report.reproduction.assignment import SPECIFIED
from under20k.report.run import environment_rows, write_run_report


def rows(markdown: str, heading: str) -> list[list[str]]:
    """The cells of the first table below ``heading``."""
    below = markdown.split(heading, 1)[1]
    table = re.search(r"(?:^\|.*\n?)+", below, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table[0].splitlines()[2:]]


def test_the_report_claims_what_the_run_did(make_run):
    run = make_run(MINIMAL, SPECIFIED["minimal"].epochs, seed=3)
    write_run_report(run)
    report = (run.path / "report.md").read_text(encoding="utf-8")
    assert report.startswith(
        "# minimal, seed 3\n\n14,116 parameters, 99.41% validation accuracy at the last of 8 epochs, seed 3. "
        "That is at or above the target of 99.40%.\n"
    )
    claim = dict(rows(report, "# minimal, seed 3"))
    assert claim == {
        "Parameters": "14,116",
        "Validation accuracy, last epoch": "99.41%",
        "Training accuracy, last epoch": "99.85%",
        "Training − validation, points": "+0.44",
        "Seed": "3",
        "Epochs": "8 of 8",
        "Seconds": "92.0",
        "Engine": "torch, fp32",
        "Device": "cpu",
        "Processor": "A processor",
        "Cores": "2",
        "Threads": "2",
        "System": "Linux x86_64",
        "Versions": "under20k 0.1.0, Python 3.11.9, numpy 2.0.0, torch 2.13.0",
        "Date": "2025-03-04",
    }
    assert "\n    under20k reproduce --seeds 0-1\n" in report
    assert "Training and validation accuracy by epoch of minimal, seed 3: 99.85% and 99.41%" in report
    assert re.search(r"[(\"]curves\.png[)\"]", report)  # in Markdown, or in HTML beside a dark one
    assert "The test set was not read." in report
    assert (run.path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_epochs_are_the_runs_own(make_run):
    run = make_run(REGULARIZED, SPECIFIED["regularized"].epochs)
    write_run_report(run)
    table = rows((run.path / "report.md").read_text(encoding="utf-8"), "## Epochs")
    for row, epoch in zip(table, run.metrics(), strict=True):
        assert row[:7] == [
            str(epoch.epoch),
            str(epoch.learning_rate)[:4],
            f"{100 * epoch.train_accuracy:.2f}%",
            f"{100 * epoch.validation_accuracy:.2f}%",
            "0.0321",
            "0.0456",
            "11.5",
        ]
        assert row[7] == ("learning rate 0.1 → 0.01" if epoch.epoch == 7 else "")


def test_a_miss_and_its_best_epoch_are_called_so(make_run):
    run = make_run(MINIMAL.with_changes(epochs=3), [(0.97, 0.98), (0.999, 0.9945), (0.999, 0.9939)])
    write_run_report(run)
    report = (run.path / "report.md").read_text(encoding="utf-8")
    assert "That is below the target of 99.40%." in report
    assert "The best epoch, which is not the result, was 2 with 99.45%." in report
    assert "at or above" not in report


def test_a_rate_that_falls_all_the_time_has_no_drop(make_run):
    run = make_run(MINIMAL.with_changes(schedule="one-cycle"), SPECIFIED["minimal"].epochs)
    write_run_report(run)
    table = rows((run.path / "report.md").read_text(encoding="utf-8"), "## Epochs")
    assert table[6][1] < table[5][1]
    assert {row[7] for row in table} == {""}


def test_an_unfinished_run_is_called_so(make_run):
    run = make_run(MINIMAL, [(0.97, 0.98), (0.98, 0.99)], finished=False)
    write_run_report(run)
    report = (run.path / "report.md").read_text(encoding="utf-8")
    assert "99.00% validation accuracy after 2 of 8 epochs (unfinished)" in report


def test_a_run_without_epochs_has_no_report(make_run):
    run = make_run(MINIMAL, [], finished=False)
    with pytest.raises(UserError, match="no finished epoch"):
        write_run_report(run)
    assert not (run.path / "report.md").exists()


def test_readings_of_the_test_set_are_listed(make_run):
    run = make_run(MINIMAL, SPECIFIED["minimal"].epochs)
    counts = {"correct": 9941, "images": 10000}
    recall = {"recall": [0.9941] * 10}
    run.add_test_reading({"read": "2025-03-04", "accuracy": 0.9941, "loss": 0.0213, **recall, **counts})
    run.add_test_reading({"read": "2025-03-05", "accuracy": 0.9941, **counts})
    write_run_report(run)
    report = (run.path / "report.md").read_text(encoding="utf-8")
    assert "The test set was read 2 times." in report
    assert rows(report, "## Test set") == [
        ["2025-03-04", "99.41%", "0.0213", "9941", "10000"],
        ["2025-03-05", "99.41%", "", "9941", "10000"],
    ]


def test_environments_that_differ_stand_side_by_side():
    first = {"device": "cpu", "threads": 2, "started": "2025-03-04T01:00:00+00:00"}
    second = {"device": "cpu", "threads": 4, "started": "2025-03-05T01:00:00+00:00"}
    assert environment_rows([first, second, first]) == [
        ("Device", "cpu"),
        ("Threads", "2; 4"),
        ("Date", "2025-03-04; 2025-03-05"),
    ]
