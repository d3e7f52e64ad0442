import pytest

import under20k
from under20k.errors import InvalidValue
from under20k.recipe.customary import CUSTOMARY, EXPLAINED, suggestion
from under20k.recipe.named import MINIMAL
from under20k.recipe.recipe import settings

SETTINGS = {*settings(), "architecture", "teacher"}
OPTIONS = {"seed", "seeds", "precision", "jobs", "threads", "output", "runs_dir", "data_dir", "device"}
OPTIONS |= {"overwrite", "resume", "quiet"}


def test_what_is_suggested_exists_and_what_is_known_elsewhere_is_no_setting_here():
    for theirs, ours in CUSTOMARY.items():
        assert set(ours.split()) <= SETTINGS | OPTIONS
        assert theirs not in SETTINGS
    assert not EXPLAINED.keys() & SETTINGS


@pytest.mark.parametrize("theirs", [name for name, ours in CUSTOMARY.items() if ours in SETTINGS])
def test_python_suggests_the_setting(theirs):
    with pytest.raises(InvalidValue, match=f"no setting '{theirs}'; did you mean '{CUSTOMARY[theirs]}'"):
        MINIMAL.with_changes(**{theirs: 1})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dropout", "dropout is part of 'architecture'"),
        ("optimizer", "recipes train by SGD, which 'learning_rate', 'momentum'"),
        ("learning_rat", "did you mean 'learning_rate'"),
        ("gpu", r"use compute=Compute\(device='cuda'\)"),
        ("num_workers", "use jobs=…, which bench and reproduce take"),
        ("output_dir", r"use places=Places\(runs=…\)"),
        ("xyzzy", "known: epochs, batch_size"),
    ],
)
def test_train_explains_other_names(name, words):
    with pytest.raises(InvalidValue, match=f"recipes have no setting '{name}'; {words}"):
        under20k.train("minimal", **{name: 1})


def test_nothing_is_suggested_for_nothing_alike():
    assert suggestion("xyzzy", ["epochs"]) == ""
    assert suggestion("gpu", ["epochs"]) == ""
    assert suggestion("EPOCH", ["epochs"]) == "did you mean 'epochs'?"
