"""README.md and docs/usage.md show nothing that is not generated or executed here."""

import contextlib
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors import safe_open

from tests.support import ROOT
from tests.support.printed import ENCODING
from under20k.cli.main import VERBS
from under20k.report.pages import results_part
from under20k.report.run import write_run_report
from under20k.runs.places import Places
from under20k.runs.train import train

README, USAGE = ((ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/usage.md"))


def blocks(language: str, page: str = USAGE) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [text for of, text in found if of == language]


def shell_lines() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines()]


def test_generated_parts_hold(generator):
    assert generator.main(["--check"]) == 0
    for page, parts in generator.generated().items():
        text = page.read_text(encoding="utf-8")
        assert generator.filled(text, parts) == text


def test_a_changed_number_is_noticed(generator):
    benches, report = generator.reproduced(), "docs/reproduction/report.md"
    part = results_part(benches, report)
    assert part in README
    first = benches[1].seeds[0]
    epochs = (*first.epochs[:-1], replace(first.epochs[-1], validation_accuracy=0.98))
    changed = replace(benches[1], seeds=(replace(first, epochs=epochs), *benches[1].seeds[1:]))
    assert results_part([benches[0], changed, *benches[2:]], report) != part


def test_a_missing_part_is_noticed(generator):
    with pytest.raises(ValueError, match="0 parts 'verbs'"):
        generator.filled(USAGE.replace("<!-- verbs -->", ""), {"verbs": "x"})


def test_the_two_commands_are_targets_of_make():
    commands = blocks("", README)[0].splitlines()  # no comments: zsh has none on a command line
    assert commands == ["make reproduce", "make test"]
    for command in commands:
        dry = subprocess.run(
            [*command.split(), "--dry-run", "--always-make"], cwd=ROOT, capture_output=True, text=True
        )
        assert dry.returncode == 0
        assert "-m venv" in dry.stdout


def test_every_verb_in_the_examples_exists():
    used = {line.split()[1] for line in shell_lines()}
    used |= set(re.findall(r"`under20k (\w+)", README + USAGE))
    assert used <= VERBS.keys()
    assert len(used) > 8


def test_the_readme_fits_on_two_screens():
    assert len(README.splitlines()) <= 80
    header = next(line for line in README.splitlines() if line.startswith("| Network"))
    assert header.count("|") == 6  # five columns


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the examples run, one after another as a reader would type them."""
    return tmp_path_factory.mktemp("readme")


@pytest.mark.slow
def test_shell_examples_run(folder):
    for line in shell_lines():
        words = shlex.split(line, comments=True)
        assert words[0] == "under20k"
        command = [sys.executable, "-m", *words]
        done = subprocess.run(command, cwd=folder, capture_output=True, encoding=ENCODING, timeout=600)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert done.stdout
    shutil.rmtree(folder / "runs")


def masked(text: str) -> str:
    """Return a transcript without what differs between machines: times, instruction set, threads."""
    for pattern in (r"[\d,]+ images/s", r"\d+\.\d s\b", r"(?<=fp32 with )\w+", r"\d+ threads?"):
        text = re.sub(rf" *{pattern}", " …", text)
    return text


@pytest.mark.slow
def test_the_transcript_is_what_the_command_prints(tmp_path):
    (transcript,) = blocks("console", README)
    command, *expected = transcript.splitlines()
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command.removeprefix("$ "))],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding=ENCODING,
        timeout=600,
    )
    left_out = expected.index("…")
    printed = done.stdout.splitlines()
    del printed[left_out : len(printed) - len(expected) + left_out + 1]
    del expected[left_out]
    percentage = re.compile(r"(\d+\.\d\d)%")
    assert [percentage.sub("%", masked(line)) for line in printed] == [
        percentage.sub("%", masked(line)) for line in expected
    ]
    shown, found = (
        [float(value) for line in lines for value in percentage.findall(line)]
        for lines in (expected, printed)
    )
    assert len(shown) == 4
    # Instruction sets round differently.
    assert found == pytest.approx(shown, abs=0.25)


@pytest.mark.slow
def test_python_examples_run(folder, monkeypatch):
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for block in blocks("python"):
            exec(compile(block, "usage.md", "exec"), names)
    lines = printed.getvalue().splitlines()
    run = names["run"]
    assert lines[0].startswith(f"{run.metrics()[-1].validation_accuracy:.2%} of the validation images")
    assert "\ndropout False nothing is dropped in training" in printed.getvalue()
    assert lines[-2] == "regularized+rotation_deg=8.0+interpolation=bilinear 19204 40"
    # To the images that the engine gets right, but for the rounding of its convolutions.
    share, words = lines[-1].split("% ")
    assert words == "in plain PyTorch"
    assert float(share) / 100 == pytest.approx(run.metrics()[-1].validation_accuracy, abs=0.0003)


def test_saved_weights_always_name_their_normalisation(tmp_path):
    run = train("minimal", architecture="4p,6p|l", epochs=1, places=Places(tmp_path))
    with safe_open(run.path / "model.safetensors", "numpy") as file:
        metadata = file.metadata()
    assert (float(metadata["input_mean"]), float(metadata["input_std"])) == (0.1307, 0.3081)
    text = "(x/255 − 0.1307) / 0.3081"
    assert text in metadata["input"]
    write_run_report(run)
    assert text in (run.path / "report.md").read_text(encoding="utf-8")
    assert json.loads((run.path / "environment.json").read_text(encoding="utf-8"))["input"] == text
    assert "(pixels / 255 - 0.1307) / 0.3081" in USAGE
