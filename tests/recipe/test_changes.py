"""The settings as typed keyword arguments: the same as the recipe's own, told to editors and to mypy."""

import inspect
import subprocess
import sys
import typing

import pytest

import under20k
from under20k.errors import InvalidValue
from under20k.recipe.architecture import Architecture
from under20k.recipe.changes import RecipeChanges
from under20k.recipe.named import MINIMAL
from under20k.recipe.recipe import Recipe, settings

NAMES = {"Recipe": Recipe, "Architecture": Architecture}


def test_the_changes_are_the_settings_and_of_their_types():
    kinds = typing.get_type_hints(RecipeChanges, localns=NAMES)
    assert kinds.pop("architecture") == Architecture | str
    assert kinds.pop("teacher") == Recipe | None
    known = settings()
    assert kinds.keys() == known.keys()
    for name, kind in kinds.items():
        if known[name].choices:
            assert kind == typing.Literal[known[name].choices], name
        else:
            assert kind is known[name].kind, name


@pytest.mark.parametrize("function", [under20k.train, under20k.bench, MINIMAL.with_changes])
def test_a_signature_lists_every_change(function):
    parameters = inspect.signature(function).parameters
    listed = [parameters[name] for name in RecipeChanges.__annotations__]
    assert {parameter.kind for parameter in listed} == {inspect.Parameter.KEYWORD_ONLY}
    assert str(parameters["rotation_deg"]) == "rotation_deg: 'float' = ..."
    assert str(parameters["changes"]) == "**changes: 'Unpack[RecipeChanges]'"
    assert "self" not in parameters


def test_an_unknown_setting_is_still_an_error_in_words():
    for function in (MINIMAL.with_changes, lambda **changes: under20k.train("minimal", **changes)):
        with pytest.raises(InvalidValue, match="recipes have no setting 'rotationdeg'; did you mean"):
            function(rotationdeg=5)


CALLS = """
import under20k
from typing import assert_type

run = under20k.train("minimal", seed=2, epochs=1, rotation_deg=5, interpolation="bilinear")
assert_type(run, under20k.Run)
minimal = under20k.RECIPES["minimal"]
assert_type(minimal.with_changes(architecture="8,12p|3v", teacher=minimal, teachers=1), under20k.Recipe)
under20k.bench(minimal, range(2), jobs=1, learning_rate=0.2)
assert_type(under20k.check(run)[0].passed, bool)

under20k.train("minimal", epochs="1")  # type: ignore[arg-type]
under20k.train("minimal", rotationdeg=5)  # type: ignore[call-arg]
under20k.bench("minimal", interpolation="cubic")  # type: ignore[arg-type]
minimal.with_changes(nesterov=1)  # type: ignore[arg-type]
"""


@pytest.mark.slow
def test_mypy_takes_right_calls_and_refuses_wrong_ones(tmp_path):
    (tmp_path / "calls.py").write_text(CALLS)

    def found() -> str:
        command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=mypy", "calls.py"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout

    # Strict, it tells of a wrong call as well as of an exception that is made for none.
    assert found() == "Success: no issues found in 1 source file\n"
    (tmp_path / "calls.py").write_text(CALLS.replace("  # type: ignore[call-arg]", ""))
    assert '"train" has no' in found() or 'Unexpected keyword argument "rotationdeg"' in found()
