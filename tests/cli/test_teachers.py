"""Trainings with teachers, through the command: who is trained when, what is kept, what goes on."""

import json
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import command
from tests.support.command import ARCHITECTURE, assert_refused, same_weights
from under20k.cli.main import main
from under20k.engine.base import NUMERICS, Compute
from under20k.recipe.named import MINIMAL
from under20k.runs.events import Event, Finished
from under20k.runs.parallel.dask import adopt, train_away
from under20k.runs.parallel.task import Task
from under20k.runs.places import Places
from under20k.runs.run import Run

TEACHER = replace(
    MINIMAL.with_changes(architecture="2p,6p|l", epochs=2, batch_size=1000, schedule="constant"), name="wise"
)
TRAIN = [
    *("train", "minimal", "--architecture", ARCHITECTURE, "--epochs", "1", "--batch-size", "1000"),
    *("--teacher", "wise.json", "--teachers", "2", "--seed", "3", "--name", "taught", "--threads", "1"),
]
OWN_SEEDS = ["seed 1000000006", "seed 1000000007"]
TEACHERS = ["wise-1000000006", "wise-1000000007"]


@pytest.fixture(autouse=True)
def wise_json(tmp_path: Path) -> None:
    write_teacher(tmp_path)


def write_teacher(folder: Path) -> None:
    (folder / "wise.json").write_text(TEACHER.to_json())


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, mnist) -> tuple[Path, str]:
    """A run with teachers, never interrupted, and what it said."""
    folder = tmp_path_factory.mktemp("taught")
    write_teacher(folder)
    done = command.run(folder, *TRAIN)
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "taught", done.stderr


def starts(talk: str) -> list[str]:
    """What began to train, in its order."""
    return [
        line.split(":")[0]
        for line in talk.splitlines()
        if " engine, " in line and re.search(r" (→|->) ", line)
    ]


def test_teachers_are_trained_first_and_kept(reference):
    path, talk = reference
    assert [name.rpartition(", ")[2] for name in starts(talk)] == [*OWN_SEEDS, "seed 3"]
    assert talk.count("native engine: ") + talk.count("torch engine: ") == 1
    run = Run.open(path)
    teachers = [Run.open(path / "teachers" / name) for name in TEACHERS]
    assert [(teacher.recipe, teacher.finished) for teacher in teachers] == [(TEACHER, True)] * 2
    assert run.recipe.distillation is not None
    assert run.recipe.distillation.teacher == TEACHER
    times = [sum(epoch.total_time_s for epoch in teacher.metrics()) for teacher in teachers]
    assert run.environment["teachers"] == [
        {
            "recipe": "wise",
            "seed": teacher.seed,
            "validation_accuracy": teacher.metrics()[-1].validation_accuracy,
            "time_s": time_s,
        }
        for teacher, time_s in zip(teachers, times, strict=True)
    ]
    report = (path / "report.md").read_text()
    assert "2 × wise (" in report
    own = sum(epoch.total_time_s for epoch in run.metrics())
    assert f"{own + sum(times):,.1f}" in report


@pytest.mark.slow
def test_teachers_matter(reference, tmp_path, under20k):
    """Without them, or with others, it ends elsewhere."""
    path, _ = reference
    start = TRAIN.index("--teacher")
    others = [
        [*TRAIN[:start], *TRAIN[start + 4 :]],
        [*TRAIN, "--teachers", "1"],
        [*TRAIN, "--temperature", "8"],
        [*TRAIN, "--teacher-share", "0.1"],
    ]
    for number, arguments in enumerate(others):
        done = under20k(*arguments, "--name", str(number))
        assert done.returncode == 0, done.stderr
    paths = [path, *(tmp_path / "runs" / str(number) for number in range(len(others)))]
    assert not any(same_weights(one, other) for one in paths for other in paths if one != other)


@pytest.mark.parametrize(
    ("after", "missing"),
    [
        pytest.param("seed 1000000006: ", 3, marks=pytest.mark.slow),
        ("seed 1000000007: ", 2),
        pytest.param("seed 3: ", 1, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_resumes_with_its_existing_teachers(reference, tmp_path, under20k, after, missing):
    process = command.start(tmp_path, *TRAIN)
    command.read_until(process, after)
    code, _, _ = command.end(process, signal.SIGTERM)
    assert code == 143
    path = tmp_path / "runs" / "taught"
    assert not Run.open(path).finished
    done = under20k(*TRAIN, "--resume")
    assert done.returncode == 0, done.stderr
    assert len(starts(done.stderr)) == missing
    for name in (".", *(f"teachers/{name}" for name in TEACHERS)):
        assert same_weights(path / name, reference[0] / name)
    assert len(Run.open(path).session["teachers"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("environment.json", {"numerics": NUMERICS + 1}),
        ("environment.json", {"format": 0}),
        ("recipe.json", {"learning_rate": 0.05}),
    ],
)
def test_teachers_of_another_run_are_retrained(reference, tmp_path, under20k, name, change):
    """Of other numerics, damaged, or of a recipe that has the name of the teachers'."""
    process = command.start(tmp_path, *TRAIN)
    command.read_until(process, "seed 3: ")
    command.end(process, signal.SIGKILL)
    path = tmp_path / "runs" / "taught"
    changed = path / "teachers" / TEACHERS[1] / name
    changed.write_text(json.dumps(json.loads(changed.read_text()) | change))
    done = under20k(*TRAIN, "--resume")
    assert [start.rpartition(", ")[2] for start in starts(done.stderr)] == ["seed 1000000007", "seed 3"]
    assert same_weights(path, reference[0])


@pytest.mark.slow
def test_a_stopped_student_resumes(reference, tmp_path, under20k):
    """After an epoch of its own, that is, to the bits of one that was not stopped."""
    longer = [*TRAIN, "--epochs", "2"]
    straight = under20k(*longer, "--name", "straight")
    assert straight.returncode == 0, straight.stderr
    process = command.start(tmp_path, *longer)
    command.read_until(process, "seed 3: ")
    command.read_until(process, "epoch 1/2")
    command.end(process, signal.SIGTERM)
    done = under20k(*longer, "--resume")
    assert done.returncode == 0, done.stderr
    path = tmp_path / "runs" / "taught"
    assert same_weights(path, tmp_path / "runs" / "straight")
    run = Run.open(path)
    assert len(run.sessions) == 2
    assert [teacher["seed"] for teacher in run.session["teachers"]] == [1_000_000_006, 1_000_000_007]


@pytest.mark.slow
def test_overwriting_takes_the_teachers_away(reference, tmp_path, under20k):
    path = Path(shutil.copytree(reference[0], tmp_path / "runs" / "taught"))
    (path / "teachers" / TEACHERS[0] / "environment.json").write_text("{")
    again = under20k(*TRAIN, "--overwrite")
    assert len(starts(again.stderr)) == 3, again.stderr
    assert same_weights(path, reference[0])
    start = TRAIN.index("--teacher")
    done = under20k(*TRAIN[:start], *TRAIN[start + 4 :], "--overwrite")
    assert done.returncode == 0, done.stderr
    assert not (path / "teachers").exists()
    assert "teachers" not in Run.open(path).session


def test_damaged_notes_of_teachers(reference, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = Path(shutil.copytree(reference[0], tmp_path / "runs" / "taught"))
    environment = json.loads((path / "environment.json").read_text())
    one = environment["teachers"][0]
    for damage in (None, 3, [{}], [{**one, "time_s": "long"}], [{**one, "time_s": 10**400}]):
        (path / "environment.json").write_text(json.dumps(environment | {"teachers": damage}))
        code = main(["compare", "runs/taught"])
        assert_refused(code, *capsys.readouterr(), "environment.json is damaged: ", "teacher")


def test_as_json(tmp_path, under20k):
    start = TRAIN.index("--teacher")
    done = under20k(*TRAIN, "--json")
    result = json.loads(done.stdout)
    assert result["teachers"] == Run.open(tmp_path / "runs" / "taught").session["teachers"]
    plain = under20k(*TRAIN[:start], *TRAIN[start + 4 :], "--name", "plain", "--json")
    assert "teachers" not in json.loads(plain.stdout)


@pytest.mark.slow
def test_a_bench_with_teachers(tmp_path, under20k):
    settings = TRAIN[2 : TRAIN.index("--seed")]
    done = under20k("bench", "minimal", *settings, "--teachers", "1", "--seeds", "3-4", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("teacher 1 of 1: validation ") == 2
    seeds = json.loads(done.stdout)["seeds"]
    for seed, teachers in zip(seeds, ([1_000_000_003], [1_000_000_004]), strict=True):
        noted = seed["environment"]["teachers"]
        assert [teacher["seed"] for teacher in noted] == teachers
        own = sum(epoch["total_time_s"] for epoch in seed["epochs"])
        assert seed["time_s"] == pytest.approx(own + sum(teacher["time_s"] for teacher in noted))


def test_a_worker_elsewhere_returns_the_student(reference, tmp_path):
    """As on a cluster: what comes back says who taught it, and takes the place of what was begun here."""
    run = Run.open(reference[0])
    task = Task(run.recipe, run.seed, Places(tmp_path / "runs"), Compute(threads=1))
    begun = task.path / "teachers" / TEACHERS[0]
    begun.mkdir(parents=True)
    snapshot = task.path / "snapshots" / "epoch-01.safetensors"  # of the training begun here
    snapshot.parent.mkdir()
    snapshot.touch()
    events: list[Event] = []
    files = train_away(task, events.append, "under20k bench")
    adopt(task, files)
    assert same_weights(task.path, reference[0])
    assert [teacher["seed"] for teacher in Run.open(task.path).session["teachers"]] == [10**9 + 6, 10**9 + 7]
    assert not (task.path / "teachers").exists()
    assert not snapshot.parent.exists()
    finished = [event for event in events if isinstance(event, Finished)]
    assert [(event.run, event.teacher) for event in finished] == [(task.path, 1), (task.path, 2)]


def test_what_is_no_teacher(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def refused(*arguments: str, words: str) -> None:
        code = main(["train", "minimal", *arguments])
        assert_refused(code, *capsys.readouterr(), words)

    refused("--teacher", "minimall", words="there is no recipe 'minimall'; did you mean 'minimal'")
    refused("--teacher", "none.json", words="none.json")
    refused("--temperature", "3", words="--temperature is 3.0; this needs a teacher: name")
    refused("--teacher", "wise.json", "--teachers", "17", words="--teachers is 17")
    words = "with 2 teachers, expected a whole number from 0 to 499999999"
    refused("--teacher", "wise.json", "--seed", "500000000", words=words)
    taught = MINIMAL.with_changes(teacher=TEACHER)
    (tmp_path / "taught.json").write_text(taught.to_json())
    refused("--teacher", "taught.json", words="has teachers of its own")
    assert not (tmp_path / "runs").exists()
    code = main(["bench", "minimal", "--teacher", "wise.json", "--seeds", "499999999-500000000"])
    assert_refused(code, *capsys.readouterr(), "seed: 500000000; with 2 teachers")
