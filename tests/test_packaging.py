"""What is imported is declared, and the metadata, Makefile and templates agree with each other."""

import ast
import configparser
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import pytest
import yaml

from tests.support import ROOT
from tools.requirements import requirements
from under20k import __version__
from under20k.runs.records.rules import TRACKS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
METADATA, GROUPS = PROJECT["project"], PROJECT["dependency-groups"]
DISTRIBUTIONS = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "_pytest": "pytest",
    "scikit_build_core": "scikit-build-core",
}
OWN = {"under20k", "benchmarks", "tools", "tests"}
PLUGIN = "pytest_plugin.py"


def names(texts: Iterable[str]) -> set[str]:
    """Return the distributions that requirements name."""
    return {re.match(r"[A-Za-z0-9._-]+", text)[0].lower() for text in texts}


def group(name: str) -> set[str]:
    return names(requirements(GROUPS, name))


RUNTIME = names(METADATA["dependencies"])
EXTRAS = {extra: names(texts) for extra, texts in METADATA["optional-dependencies"].items()}
CLUSTER, EXPORT = EXTRAS["cluster"], EXTRAS["export"]


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the modules that a source imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module


def imported(path: Path) -> set[str]:
    """Return the distributions that a source file imports."""
    modules = {name.partition(".")[0] for name in imports(ast.parse(path.read_text("utf-8")))}
    return {
        DISTRIBUTIONS.get(name, name.lower().replace("_", "-"))
        for name in modules - sys.stdlib_module_names - OWN
    }


def sources(folder: str, *left_out: str) -> list[Path]:
    found = [path for path in (ROOT / folder).rglob("*.py") if "build" not in path.parts]
    return [path for path in found if not any(path.is_relative_to(ROOT / other) for other in left_out)]


def undeclared(paths: Iterable[Path], declared: set[str]) -> dict[str, set[str]]:
    """Return what each file imports and nobody declares."""
    found = {str(path.relative_to(ROOT)): imported(path) - declared for path in paths}
    return {path: missing for path, missing in found.items() if missing}


def test_what_the_package_imports_is_declared():
    dask = [path for path in sources("src") if path.name in ("dask.py", "dask_worker.py")]
    plugin = [path for path in sources("src") if path.name == PLUGIN]
    kernel = [path for path in sources("src") if path.name == "kernel.py"]
    onnx = [path for path in sources("src") if path.name.startswith("onnx_")]
    sklearn = [ROOT / "src/under20k/sklearn.py"]
    others = [path for path in sources("src") if path not in (*dask, *plugin, *kernel, *onnx, *sklearn)]
    assert len(dask) == 2
    assert len(onnx) == 5
    assert len(plugin) == len(kernel) == 1
    assert undeclared(dask, RUNTIME | CLUSTER) == {}
    assert undeclared(onnx, RUNTIME | EXPORT) == {}
    assert undeclared(sklearn, RUNTIME | EXTRAS["sklearn"]) == {}
    assert undeclared(plugin, RUNTIME | {"pytest"}) == {}  # pytest is what loads it
    assert (
        undeclared(kernel, RUNTIME | {"ipython"}) == {}
    )  # which runs in every kernel, and is asked for there
    assert undeclared(others, RUNTIME) == {}


def test_what_the_package_declares_is_imported():
    used = set().union(*map(imported, sources("src")))
    assert used >= RUNTIME.union(*EXTRAS.values())


@pytest.mark.parametrize(
    ("folder", "declared"),
    [
        ("benchmarks", RUNTIME | CLUSTER | group("benchmark")),
        ("benchmarks/reading", RUNTIME | group("test")),  # which make reading installs
        # tools.drawing_pictures takes the browser of the tests, tools.tutorial their kernel.
        (
            "tools",
            RUNTIME
            | CLUSTER
            | names(PROJECT["build-system"]["requires"])
            | {"playwright", "jupyter-client", "nbclient", "nbformat"},
        ),
        ("tests", RUNTIME | CLUSTER | EXPORT | group("test")),
    ],
)
def test_what_developers_need_is_declared(folder, declared):
    # tests/packages runs in an environment of its own, the sanitizers' files are scripts, and the double of
    # Windows replaces modules.
    others = ("tests/packages", "tests/native/sanitize", "tests/windows/double", "benchmarks/reading")
    paths = sources(folder, *(other for other in others if other != folder))
    assert undeclared(paths, declared) == {}


def test_an_undeclared_import_is_found(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "code.py").write_text("import os, numpy.linalg\ndef f():\n    from yaml.x import y\n")
    assert undeclared([tmp_path / "code.py"], {"numpy"}) == {"code.py": {"pyyaml"}}


def test_a_group_holds_the_groups_that_it_includes():
    assert group("dev") == group("lint") | group("test")
    tool = [sys.executable, ROOT / "tools" / "requirements.py"]
    printed = subprocess.run([*tool, "dev"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert names(printed) == group("dev")
    assert len(printed) == len(set(printed))
    wrong = subprocess.run([*tool, "devel"], capture_output=True, text=True)
    assert wrong.returncode == 1
    assert "GROUP, one of dev, lint, test, benchmark, sanitize" in wrong.stderr


def versions() -> list[str]:
    """Return the Python versions that the metadata name."""
    prefix = "Programming Language :: Python :: 3."
    return ["3." + text.removeprefix(prefix) for text in METADATA["classifiers"] if text.startswith(prefix)]


def test_every_supported_python_has_a_wheel():
    assert versions() == ["3.11", "3.12", "3.13", "3.14"]
    assert METADATA["requires-python"] == f">={versions()[0]}"
    builds = [f"cp{version.replace('.', '')}-*" for version in versions()]
    assert PROJECT["tool"]["cibuildwheel"]["build"].split() == builds


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # what the format requires
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == METADATA["version"] == __version__
    assert citation["license"] == METADATA["license"]
    assert citation["type"] == "software"
    assert all(author["name"] for author in citation["authors"])
    assert all(isinstance(citation[key], str) for key in ("message", "title", "abstract", "version"))
    assert citation["authors"][0]["name"] in (ROOT / "LICENSE").read_text("utf-8")


def test_the_editor_keeps_the_linter_s_line_length():
    parser = configparser.ConfigParser()
    parser.read_string("[top]\n" + (ROOT / ".editorconfig").read_text("utf-8"))
    assert parser["top"]["root"] == "true"
    assert int(parser["*.py"]["max_line_length"]) == PROJECT["tool"]["ruff"]["line-length"]
    assert parser["Makefile"]["indent_style"] == "tab"


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_make_lists_every_target():
    def printed(*arguments: str) -> str:
        command = ["make", "--no-print-directory", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout

    makefile = (ROOT / "Makefile").read_text("utf-8")
    phony = set(chain.from_iterable(line.split() for line in re.findall(r"^\.PHONY: (.+)$", makefile, re.M)))
    assert {"test", "test-all", "check", "readme", "reproduce"} <= phony
    lines = dict(line.split(maxsplit=1) for line in printed().splitlines())
    assert lines.keys() == phony
    assert printed("help") == printed()


def test_the_makefile_names_tests_that_exist():
    named = re.findall(r"(?<!\.)\btests/[\w/.]+", (ROOT / "Makefile").read_text("utf-8"))
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_contributing_knows_every_room():
    package = ROOT / "src" / "under20k"
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rooms = re.findall(r"^\| `(\w+)/` \|", text, re.M)
    assert set(rooms) == {path.parent.name for path in package.glob("[a-z]*/*.py")}
    (contract,) = (c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    layers = [layer for layer in contract["layers"] if layer != "sklearn"]  # a module above deploy/
    assert layers == [*rooms, "files | formatting | drawing", "errors"]
    named = re.findall(rf"`((?:{'|'.join(rooms)}|tests|src)/[a-z0-9_/.]*)`", text)
    assert len(named) > 10
    assert [path for path in named if not ((package / path).exists() or (ROOT / path).exists())] == []


@pytest.mark.parametrize("name", ["bug", "record"])
def test_an_issue_form_asks_for_what_is_needed(name):
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text("utf-8"))
    assert form["name"]
    assert form["description"]
    fields = [item for item in form["body"] if item["type"] != "markdown"]
    assert {item["type"] for item in fields} <= {"textarea", "dropdown", "input", "checkboxes"}
    assert len({item["id"] for item in fields}) == len(fields)
    assert all(item["attributes"]["label"] for item in fields)
    if name == "record":
        (track,) = [item for item in fields if item["id"] == "track"]
        assert track["attributes"]["options"] == list(TRACKS)


def test_the_changelog_has_every_entry_once_and_whole():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    entries = re.findall(r"^- (.*(?:\n  .*)*)", text, flags=re.MULTILINE)
    assert len(entries) > 30
    assert [entry for entry in entries if not entry.endswith(".")] == []
    beginnings = Counter(entry[:24] for entry in entries)
    assert [beginning for beginning, times in beginnings.items() if times > 1] == []
