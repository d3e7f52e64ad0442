"""Which files are the author's."""

import json
import os

import torch

import under20k
from under20k.checking.ownership import Ownership


def test_only_files_that_are_neither_installed_nor_ours_are_the_authors(tmp_path):
    anywhere = Ownership()
    assert anywhere.is_authors(str(tmp_path / "net.py"))
    for file in (
        torch.__file__,
        json.__file__,
        under20k.__file__,
        "<frozen importlib._bootstrap>",
        "<string>",
    ):
        assert not anywhere.is_authors(file)
    assert anywhere.is_installed(torch.__file__)
    assert anywhere.is_installed(json.__file__)
    assert not anywhere.is_installed(str(tmp_path / "net.py"))


def test_folders_and_places_bound_what_is_the_authors(tmp_path):
    own = Ownership([str(tmp_path / "ben")], ["work.ipynb In [3]"])
    assert own.is_authors(str(tmp_path / "ben" / "net.py"))
    assert own.is_authors("work.ipynb In [3]")
    assert not own.is_authors("work.ipynb In [4]")
    assert not own.is_authors(str(tmp_path / "bene" / "net.py"))
    assert not own.is_authors(str(tmp_path / "ben" / ".." / "net.py"))


def test_a_link_belongs_to_the_owner_of_its_target(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "json").symlink_to(os.path.dirname(json.__file__))
    own = Ownership([str(tmp_path / "own")])
    assert not own.is_authors(str(tmp_path / "own" / "json" / "decoder.py"))
