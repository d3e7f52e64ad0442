"""Folders of submissions: project or class, which models count, and which one decides."""

import json
from pathlib import Path

import pytest

from tests.support.submissions import GOOD, PARAMETERS
from under20k.checking.source.submissions import find
from under20k.cli.main import main
from under20k.errors import UserError

BAD = GOOD.replace("0.1, self.training", "0.0, self.training")
OTHER = GOOD.replace("12)", "11)")
TRAIN = "import torch.nn.functional as F\nfrom model import Net\n\nnet = Net()\nloss = F.nll_loss\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(files: dict[str, str]) -> None:
    """Files below ``class``."""
    for name, text in files.items():
        path = Path("class", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def models(**options: bool) -> dict[str, list[str]]:
    """Of each submission of ``class``, the models, by file and name."""
    found = find(Path("class"), **options)
    return {
        each.name: [
            f"{model.path.relative_to('class').as_posix()}:{model.target.name if model.target else '?'}"
            for model in each.models
        ]
        for each in found.submissions
    }


def check(capsys, *arguments: str) -> tuple[int, dict]:
    code = main(["check", *arguments, "--trust", "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_each_subfolder_and_each_loose_file_is_a_submission():
    write({"amy2/deep/model.py": GOOD, "amy2/train.py": "x = 1", "amy10/net.py": BAD, "ben.py": GOOD})
    write({"helpers.py": "def f(): ..."})
    Path("class/empty/data").mkdir(parents=True)
    found = find(Path("class"))
    assert (found.is_project, found.why) == (False, "a subfolder or file each")
    assert models() == {
        "ben.py": ["ben.py:Net"],
        "amy2": ["amy2/deep/model.py:Net"],
        "amy10": ["amy10/net.py:Net"],
    }
    assert found.without_model == ("class/helpers.py", "class/amy2/train.py")
    assert found.without_code == ("empty",)


def test_a_subfolder_without_a_model_is_a_submission_without_one(capsys):
    write({"amy/train.py": "import torchvision\nprint('x')\n", "ben.py": GOOD})
    code, result = check(capsys, "class")
    assert code == 0, "what was not handed in is no failed model"
    assert [(row["submission"], row["result"]) for row in result["results"]] == [
        ("amy", "no model"),
        ("ben.py", "passed"),
    ]
    assert result["tally"] == "1 of 2 passed; no model: 1; 1 file without a model left out"


@pytest.mark.parametrize(
    "skipped", [".git", ".ipynb_checkpoints", "__pycache__", "venv", ".venv", "node_modules", "site-packages"]
)
def test_folders_that_are_not_the_authors_are_skipped(skipped):
    write({"amy/model.py": GOOD, f"amy/{skipped}/copy.py": BAD, f"{skipped}/x/net.py": BAD})
    assert models(is_project=False) == {"amy": ["amy/model.py:Net"]}
    write({"amy/mine/lib/net.py": BAD, "amy/mine/pyvenv.cfg": ""})
    assert models(is_project=False) == {"amy": ["amy/model.py:Net"]}


def test_circular_links_end():
    write({"a/net.py": GOOD, "b/net.py": OTHER})
    Path("class/a/up").symlink_to("../..", target_is_directory=True)
    Path("class/a/over").symlink_to("../b", target_is_directory=True)
    Path("class/b/over").symlink_to("../a", target_is_directory=True)
    Path("class/c").symlink_to("b", target_is_directory=True)
    Path("class/gone.py").symlink_to("nowhere.py")
    assert models() == {"a": ["a/net.py:Net"], "b": ["b/net.py:Net"], "c": ["c/net.py:Net"]}


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"a/net.py": GOOD, "b/net.py": OTHER, ".gitignore": ""}, "it has .gitignore"),
        ({"a/net.py": GOOD, "requirements.txt": "torch"}, "it has requirements.txt"),
        ({"__init__.py": "", "net.py": GOOD}, "it has __init__.py"),
        ({"models/net.py": GOOD, "main.py": "from models.net import Net"}, "main.py imports models/net.py"),
        ({"model.py": GOOD, "train.py": TRAIN, "utils.py": "x = 1"}, "its files import each other"),
    ],
)
def test_one_authors_project(files, why):
    write(files)
    found = find(Path("class"))
    assert (found.is_project, found.why) == (True, why)
    assert [each.name for each in found.submissions] == ["class"]
    assert not find(Path("class"), is_project=False).is_project


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"a/net.py": GOOD, "b/net.py": OTHER}, "a subfolder each"),
        ({"a.py": GOOD, "b.py": OTHER, "c.py": "from a import Net\nnet = Net()"}, "a file each"),
        (
            {"a/net.py": GOOD, "b/net.py": OTHER, "a/.git/HEAD": "", "b/.git/HEAD": "", ".git/HEAD": ""},
            "its subfolders are repositories",
        ),
    ],
)
def test_a_class(files, why):
    write(files)
    found = find(Path("class"))
    assert (found.is_project, found.why) == (False, why)


def test_an_imported_model_is_judged_once_with_the_importers_losses():
    write({"amy/model.py": GOOD, "amy/train.py": TRAIN, "amy/main.py": "from train import *\nnet = Net()\n"})
    (submission,) = find(Path("class")).submissions
    (model,) = submission.models
    assert (model.path.name, model.target.name, model.target.losses) == ("model.py", "Net", ("nll_loss",))


def test_only_classes_that_are_instantiated_count():
    several = GOOD + GOOD.replace("class Net", "class Net2") + OTHER.replace("class Net", "class Net3")
    write({"amy/models.py": several, "amy/train.py": "import models as m\nmodel = m.Net2()\n"})
    assert models() == {"amy": ["amy/models.py:Net2"]}
    write({"amy/test.py": "from models import Net\n\ndef main():\n    net = Net()\n"})
    # The same code by another name counts as another model.
    assert models() == {"amy": ["amy/models.py:Net", "amy/models.py:Net2"]}


def test_parts_of_another_files_model_are_not_models():
    block = (
        "from torch import nn\n\nclass Block(nn.Module):\n    def forward(self, x):\n        return x + 1\n"
    )
    net = GOOD.replace("super().__init__()", "super().__init__()\n        self.part = Block()")
    write({"amy/parts/blocks.py": block, "amy/parts/__init__.py": "from .blocks import Block\n"})
    write({"amy/net.py": "from parts import Block\n" + net})
    assert models() == {"amy": ["amy/net.py:Net"]}


def test_copies_of_a_class_are_one_model():
    write({"amy/a.py": GOOD, "amy/old/a.py": "# before\n" + GOOD, "amy/new.py": OTHER})
    (submission,) = find(Path("class")).submissions
    assert [model.path.name for model in submission.models] == ["a.py", "new.py"]
    assert submission.models[0].target.notes == ("old/a.py has the same class",)
    # A copy that is trained by another loss is judged by itself.
    write({"amy/a.py": GOOD + "\nF.cross_entropy\n", "amy/old/a.py": GOOD + "\nF.nll_loss\n"})
    assert models() == {"amy": ["amy/a.py:Net", "amy/new.py:Net", "amy/old/a.py:Net"]}


def test_invalid_python_is_broken_only_if_it_may_hold_a_model():
    write({"amy/net.py": "from torch import nn\nclass Net(nn.Module:", "amy/old.py": "print 'Python 2'\n"})
    assert models() == {"amy": ["amy/net.py:?"]}


def test_a_folder_without_a_model_is_refused(capsys):
    write({"amy/train.py": "x = 1"})
    assert main(["check", "class", "--trust"]) == 2
    assert "class contains no model: 1 Python file or notebook without" in capsys.readouterr().err
    Path("none").mkdir()
    with pytest.raises(UserError, match=r"none holds no \.py or \.ipynb file"):
        find(Path("none"))


@pytest.mark.parametrize(
    ("place", "target"),
    [
        (".", "class"),
        pytest.param("class", ".", marks=pytest.mark.slow),
        pytest.param("class/ben", "..", marks=pytest.mark.slow),
    ],
)
def test_imports_are_looked_up_in_the_submission_from_any_folder(capsys, monkeypatch, place, target):
    """From the file's own folder up to the submission's, or by its package; never in another's."""
    net = GOOD.replace("width=4", "width=WIDTH")
    write({"amy/width.py": "WIDTH = 4\n", "amy/src/net.py": "from width import WIDTH\n" + net})
    write(
        {
            "ben/width.py": "WIDTH = 5\n",
            "ben/pkg/__init__.py": "",
            "ben/pkg/size.py": "from width import WIDTH",
        }
    )
    write({"ben/pkg/net.py": "from .size import WIDTH\n" + net})
    monkeypatch.chdir(place)
    code, result = check(capsys, target)
    found = {row["submission"]: row.get("parameters", row.get("error")) for row in result["results"]}
    assert (code, found) == (0, {"amy": PARAMETERS, "ben": 5 * 37 + 10 + 5 * 1440 + 10})


def test_a_submission_passes_by_its_best_model_and_with_all_by_every_one(capsys):
    empty = (
        "from torch import nn\n\nclass Net(nn.Module):\n    def forward(self, x):\n        return x.nothing\n"
    )
    write({"amy/v1.py": BAD, "amy/v2.py": GOOD, "amy/v10.py": empty})
    code, result = check(capsys, "class")
    rows = [(row["file"], row["result"], row["decides"]) for row in result["results"]]
    assert (code, rows) == (
        0,
        [("v2.py", "passed", True), ("v1.py", "failed", False), ("v10.py", "broken", False)],
    )
    assert {row["submission_result"] for row in result["results"]} == {"passed"}
    code, result = check(capsys, "class", "--all")
    assert (code, result["results"][0]["file"]) == (1, "v10.py")


def test_arguments_go_to_the_constructors_that_take_them(capsys):
    write({"amy/net.py": GOOD, "ben/net.py": GOOD.replace("width=4", "").replace("width", "4")})
    code, result = check(capsys, "class", "--arg", "width=8")
    counts = {row["submission"]: row["parameters"] for row in result["results"]}
    assert (code, counts) == (0, {"amy": 8 * 37 + 16 + 8 * 1440 + 10, "ben": PARAMETERS})
