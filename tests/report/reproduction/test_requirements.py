from tests.support.benches import SMALL, bench_of
from under20k.checking.findings import Finding
from under20k.report.document import Bullets, Details
from under20k.report.reproduction.requirements import evidence, requirements, verdicts_matrix


def finding(rule: str, status: str, evidence: str, requirement: str = "r") -> Finding:
    return Finding(rule, requirement, status, evidence)


ADVISED = finding("field", "warning", "3")
VERDICTS = {
    "a": [finding("size", "passed", "1"), finding("dropout", "passed", "2"), ADVISED],
    "b": [finding("size", "passed", "1"), finding("dropout", "failed", "4"), ADVISED],
    "c": [finding("size", "passed", "5"), finding("dropout", "failed", "4"), ADVISED],
}


def test_one_table_has_a_column_a_recipe_and_marks_where_they_differ():
    table = verdicts_matrix(VERDICTS)
    assert table.header == ("Rule", "Requirement", "a", "b", "c")
    assert table.rows == (
        ("size", "r", "✓ passed", "✓ passed", "✓ passed"),
        ("dropout", "r", "✓ passed", "✗ failed", "✗ failed"),
        ("field", "r", "advised, not met", "advised, not met", "advised, not met"),
    )
    assert table.marked == {1}
    assert table.notes == ("The recipes differ in: dropout.",)
    assert verdicts_matrix({"a": VERDICTS["a"]}).notes == ()


def test_the_same_evidence_is_given_once():
    assert evidence(VERDICTS).rows == (
        ("size", "a and b", "1"),
        ("size", "c", "5"),
        ("dropout", "a", "2"),
        ("dropout", "b and c", "4"),
        ("field", "all recipes", "3"),
    )
    assert evidence({"a": VERDICTS["a"]}).rows[0] == ("size", "a", "1")


def test_a_requirement_of_other_words_is_another_row():
    stricter = {"a": [finding("size", "passed", "1", "< 2")], "b": [finding("size", "failed", "1", "< 1")]}
    assert verdicts_matrix(stricter).rows == (
        ("size", "< 2", "✓ passed", "–"),
        ("size", "< 1", "–", "✗ failed"),
    )


def test_a_recipe_that_was_not_checked_has_no_column():
    (summaries,) = requirements([bench_of([0.99])], {})
    assert summaries == Bullets(("small: no requirement was checked.",))
    found = {SMALL.name: VERDICTS["b"]}
    summaries, table, details = requirements([bench_of([0.99])], found)
    assert summaries.items == (
        "small meets 1 of 3 requirements; missed: dropout; advised and not met: field.",
    )
    assert table == verdicts_matrix(found)
    assert isinstance(details, Details)
    assert details.blocks == (evidence(found),)
