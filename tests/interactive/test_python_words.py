"""Errors from Python advise what Python has."""

import pytest

import under20k
from under20k.errors import UserError
from under20k.interactive.python_words import in_python


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("x is damaged; train again with --overwrite", 'x is damaged; train again with existing="replace"'),
        (
            "x; replace it with --overwrite, or name a folder with --runs-dir or --name",
            'x; replace it with existing="replace", or name a folder with places=Places(runs=…) or name=',
        ),
        (
            "only PyTorch can train it; use --engine torch",
            'only PyTorch can train it; use compute=Compute(engine="torch")',
        ),
        ("use --threads 2", "use compute=Compute(threads=2)"),
        ("--weights: w is not a file", "weights: w is not a file"),
        ("give it with --mean and --std", "give it with mean= and std="),
        ("add --trust to run model.py:Net", "add trust=True to run model.py:Net"),
        (
            "make one: under20k bench model.py:Net --trust --seeds 0-9",
            "make one: under20k bench model.py:Net --trust --seeds 0-9",
        ),
        ("a --name-like text, x--name", "a --name-like text, x--name"),
    ],
)
def test_options_become_arguments_and_commands_stay(message: str, expected: str):
    assert in_python(message) == expected


def test_a_function_of_the_package_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.pth").touch()
    with pytest.raises(UserError, match=r"^weights: none.pth is not a file$"):
        under20k.evaluate("model.py:Net", weights="none.pth", trust=True)
