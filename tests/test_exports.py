"""The proofs behind docs/export.md: every recipe in every format, and none that failed."""

import copy
from dataclasses import replace

from tests.support import ROOT
from tests.support.small_models import ARCHITECTURES, model_of
from tools import cortex_m4, exports
from under20k.deploy.export.formats import FORMATS
from under20k.files import read_json

MEASURED = read_json(exports.JSON)
PAGE = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
C_PAGE = (ROOT / "docs" / "export-c.md").read_text(encoding="utf-8")


def test_every_recipe_is_proved_in_every_format():
    found = [(proof["recipe"], proof["format"]) for proof in MEASURED["proofs"]]
    assert found == [(recipe, format) for recipe in exports.recipes() for format in FORMATS]
    assert len(exports.recipes()) >= 5
    assert [proof for proof in MEASURED["proofs"] if not proof["passed"]] == []


def test_the_page_names_every_format_and_the_command():
    assert "`python -m tools.exports` measures it" in PAGE
    for name in FORMATS:
        assert f"| `{name}`" in PAGE
    assert exports.proofs_section() in PAGE


def test_the_table_shows_what_was_measured():
    proof = copy.deepcopy(MEASURED["proofs"][0])
    proof |= {
        "accuracy": 0.9871, "engine_accuracy": 0.9946, "changed": 77, "ties": 1, "size_bytes": 12345,
        "largest_logit_difference": 0.03, "latency_s": 42e-6,
    }  # fmt: skip
    shown = exports.row(proof)
    assert shown[2:] == ("98.71%", "99.46%", "77 (ties: 1)", "3e-02", "12,345", "42 µs")
    assert exports.row(proof | {"not_run": "no compiler"})[2:] == ("not run", "–", "–", "–", "12,345", "–")
    idle = exports.section(MEASURED | {"load": 0.1, "proofs": [proof]})
    assert "Other work" not in idle
    assert "Other work ran at the same time" in exports.section(MEASURED | {"load": 9.0})


def test_without_a_measurement_the_page_says_how_to_make_one(tmp_path):
    assert "`python -m tools.exports` does it" in exports.proofs_section(tmp_path / "none.json")


def test_the_command_keeps_the_proofs_of_the_models_that_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(exports, "load", lambda name: replace(model_of(ARCHITECTURES[2]), name=name))
    monkeypatch.setattr(exports, "FORMATS", ["onnx"])
    output = tmp_path / "exports.json"
    assert exports.main(["runs/a-0", "b", "--output", str(output)]) == 0
    found = read_json(output)
    assert [(proof["model"], proof["format"]) for proof in found["proofs"]] == [
        ("a-0", "onnx"),
        ("b", "onnx"),
    ]
    assert exports.section(found).count("µs |") == 2
    assert capsys.readouterr().err.startswith("a-0 onnx: ")


def test_the_page_on_c_shows_what_a_cortex_m4_takes():
    in_c = [proof for proof in MEASURED["proofs"] if proof["format"] in ("c", "c-int8")]
    assert cortex_m4.found(MEASURED["proofs"]) == in_c
    assert cortex_m4.cortex_m4_section() in C_PAGE
    proof = copy.deepcopy(in_c[1])
    proof["extra"]["Cortex-M4"] |= {"bytes_of_flash": 1234, "bytes_of_RAM": 567, "instructions_per_image": 89}
    proof["extra"]["work_buffer_bytes"] = 432
    assert cortex_m4.row(proof)[2:] == ("1,234", "567", "432", "89")


def test_minimal_in_int8_meets_its_budget_of_flash_and_ram():
    proof = next(
        each for each in MEASURED["proofs"] if (each["recipe"], each["format"]) == ("minimal", "c-int8")
    )
    found = proof["extra"]["Cortex-M4"]
    assert found["bytes_of_flash"] <= 24_000
    assert found["bytes_of_RAM"] <= 24_000
    assert found["digits_as_on_this_machine"] == 100
    assert f"*minimal* in int8 takes {proof['extra']['work_buffer_bytes']:,} bytes" in C_PAGE


def test_proofs_without_a_cortex_m4_say_how_to_measure_it(tmp_path):
    (tmp_path / "one.json").write_text('{"proofs": [{"extra": {"Cortex-M4": "not run: no compiler"}}]}')
    for name in ("one.json", "none.json"):
        assert "`python -m tools.exports` does it" in cortex_m4.cortex_m4_section(tmp_path / name)
