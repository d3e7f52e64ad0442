"""Every file of a run and of its bench, damaged in every way, read by every verb: one line and exit code 2,
or the figures of the run as it was. Never a traceback, a hang or a wrong figure.
"""

import json
import os
import shutil
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

import under20k.report.evaluation
from tests.support import damage
from tests.support.command import ARCHITECTURE
from under20k.cli.main import main
from under20k.data import Mnist
from under20k.recipe.named import MINIMAL
from under20k.runs.model_files import INPUT_ENTRIES
from under20k.runs.run import Run
from under20k.runs.tensors import read_tensors

TINY = replace(
    MINIMAL.with_changes(architecture=ARCHITECTURE, batch_size=1000, epochs=2, step_epochs=1), name="tiny"
)
RUN, BENCH = "runs/tiny-0", "benches/tiny-seeds-0-0"
VERBS = {
    "evaluate": ["evaluate", RUN, "--engine", "native", "--json"],
    "check": ["check", RUN],
    "compare": ["compare", RUN, "--json"],
    "compare the bench": ["compare", BENCH, "--json"],
    "resume": ["train", "tiny.json", "--name", "tiny-0", "--resume", "--json"],
    "bench": ["bench", "tiny.json", "--seeds", "0-0", "--json"],
}
FILES = {
    f"{RUN}/recipe.json": VERBS,
    f"{RUN}/environment.json": VERBS,
    f"{RUN}/metrics.jsonl": VERBS,
    f"{RUN}/checkpoint.safetensors": VERBS,
    f"{RUN}/model.safetensors": VERBS,
    f"{RUN}/test_readings.jsonl": ["compare", "compare the bench", "resume", "bench"],
    f"{BENCH}/bench.json": ["compare the bench"],
}
QUICK, SLOW = 24, 6  # of so many cases one is tried, in each suite; all of them take half an hour
GONE = ("removed", "a link to nothing")

Shown = tuple[int, str, str]


def shown(verb: str, capsys: pytest.CaptureFixture[str]) -> Shown:
    capsys.readouterr()
    code = main(VERBS[verb])
    return code, *capsys.readouterr()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, mnist: Mnist) -> Path:
    """A folder with a finished run that has read the test set, and its bench; not to be changed."""
    folder = tmp_path_factory.mktemp("whole")
    before = Path.cwd()
    os.chdir(folder)
    try:
        Path("tiny.json").write_text(TINY.to_json())
        assert main(["train", "tiny.json", "--name", "tiny-0", "--threads", "1"]) == 0
        assert main(["evaluate", RUN, "--test", "--threads", "1"]) == 0
        assert main(["bench", "tiny.json", "--seeds", "0-0"]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def here(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it as the current folder; ``evaluate`` draws nothing, which takes most of its time."""
    monkeypatch.setattr(under20k.report.evaluation, "draw_confusion", lambda *_: None)
    monkeypatch.setattr(under20k.report.evaluation, "draw_gallery", lambda *_: None)
    folder = Path(shutil.copytree(whole, tmp_path / "here"))
    monkeypatch.chdir(folder)
    return folder


def cases(file: Path) -> list[tuple[str, damage.Damage]]:
    found = [*damage.of_bytes(), *damage.of_kind()]
    if file.suffix != ".safetensors":
        found += damage.of_json(file, lines=file.suffix == ".jsonl")
    return found


def held(verb: str, now: Shown, right: Shown) -> bool:
    code, out, err = now
    if code == 2:
        # What a training says before it comes to the damage are lines of their own.
        last = err.splitlines()[-1]
        return out == "" and last.startswith("under20k: ") and "Traceback" not in err
    if verb != "bench":
        return (code, out) == right[:2]
    # Its environments may be written otherwise.
    one, other = json.loads(out), json.loads(right[1])
    return code == right[0] and all(one[name] == other[name] for name in ("recipe", "statistics"))


def tried(here: Path, whole: Path, file: str, capsys: pytest.CaptureFixture[str], share: int) -> None:
    right = {verb: shown(verb, capsys) for verb in FILES[file]}
    wrong, count = [], 0
    for name, harm in cases(whole / file):
        for verb in FILES[file]:
            if zlib.crc32(f"{file} {name} {verb}".encode()) % share:
                continue
            if name in GONE and file.endswith("model.safetensors") and verb in ("resume", "bench"):
                continue  # not finished, then: it trains
            for part in ("runs", "benches"):
                shutil.rmtree(here / part)
                shutil.copytree(whole / part, here / part)
            harm(here / file)
            count += 1
            now = shown(verb, capsys)
            if not held(verb, now, right[verb]):
                wrong.append((name, verb, now))
    assert wrong == []
    assert count >= len(cases(whole / file)) * len(FILES[file]) / share / 3


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_refused_or_does_no_harm(here, whole, capsys, file):
    tried(here, whole, file, capsys, QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_more_damage_by_every_verb(here, whole, capsys, file):
    tried(here, whole, file, capsys, SLOW)


@pytest.mark.parametrize("name", ["model", "checkpoint"])
def test_a_changed_sign_is_noticed(here, capsys, name):
    """The file is whole, and its values are finite: only its digest tells."""
    path = Path(RUN) / f"{name}.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 0x80
    path.write_bytes(data)
    code, out, err = shown("evaluate", capsys)
    assert (code, out) == (2, "")
    assert err.startswith(f"under20k: {path} is damaged: its SHA-256")
    assert err.endswith("--overwrite\n")
    assert err.count("\n") == 1


def test_a_model_of_before_there_were_digests_is_read_and_compared(here, capsys):
    """Of the first versions: no digest, so that a changed sign shows only beside the last epoch."""
    from safetensors.numpy import save_file

    run = Run.open(Path(RUN))
    weights, metadata = read_tensors(run.path / "model.safetensors", ("recipe", "seed", *INPUT_ENTRIES))
    code, right, err = shown("evaluate", capsys)
    save_file(weights, run.path / "model.safetensors", metadata)
    assert shown("evaluate", capsys) == (code, right, err)
    assert err == ""
    weights["head.conv.bias"][0] += 100
    save_file(weights, run.path / "model.safetensors", metadata)
    code, out, err = shown("evaluate", capsys)
    assert code == 0
    correct = json.loads(out)["correct"]
    last = round(10_000 * run.metrics()[-1].validation_accuracy)
    assert f"{correct:,} validation images are correct, and {last:,} were at the run's last epoch" in err
    assert "more than rounding explains" in err
    assert err.count("\n") == 1
