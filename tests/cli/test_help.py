import re
import shutil
import subprocess
import sys
from importlib import metadata

import pytest

import under20k
from tests.support import ROOT
from tests.support.printed import ENCODING
from under20k.cli.main import VERBS, main
from under20k.engine import isa

HEAVY = {"torch", "numpy", "matplotlib", "safetensors", "PIL", "multiprocessing"}


def loaded_by(code: str) -> tuple[str, set[str]]:
    """What Python code prints, and which heavy packages it has imported in the end."""
    tail = f"\nimport sys; print(*({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code + tail], capture_output=True, encoding=ENCODING, check=True
    )
    *printed, loaded = done.stdout.splitlines()
    return "\n".join(printed), set(loaded.split())


def ending(*arguments: str) -> str:
    """Code that runs the command line to its end within a process."""
    return (
        "import contextlib; from under20k.cli.main import main\n"
        f"with contextlib.suppress(SystemExit): main({list(arguments)!r})"
    )


def test_help_lists_every_verb(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    for verb, text in VERBS.items():
        words = re.escape(text).replace(r"\ ", r"\s+")  # in a line or two
        assert re.search(rf"^  {verb} +{words}$", out, re.M)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith(f"usage: under20k {verb} [-h]")
    assert ("--json" in out and "--quiet" in out) or verb == "completion"  # which prints a script


@pytest.mark.parametrize("verb", VERBS)
def test_help_fits_into_80_columns(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 80] == []


def test_every_setting_of_a_recipe_is_an_option_of_train(capsys):
    from under20k.recipe.recipe import settings

    with pytest.raises(SystemExit):
        main(["train", "--help"])
    out = capsys.readouterr().out
    assert "--architecture" in out
    for name in settings():
        assert f"--{name.replace('_', '-')}" in out


def test_as_a_process(under20k):
    for arguments, code in ((["--help"], 0), (["-h"], 0), (["--version"], 0), ([], 2)):
        done = under20k(*arguments)
        assert (done.returncode, done.stderr) == (code, "")
        first = done.stdout.splitlines()[0]
        assert first.startswith("under20k 0." if arguments == ["--version"] else "usage: under20k VERB")


def test_the_version_is_the_packages(capsys):
    assert main(["--version"]) == 0
    engine = (
        f"native engine, {isa.instruction_set()}" if isa.unavailable() is None else "torch engine: the native"
    )
    out = capsys.readouterr().out
    assert out.startswith(f"under20k {under20k.__version__} ({engine}")
    assert out.endswith(f"; torch {metadata.version('torch')})\n")
    assert out.count("\n") == 1


def test_the_version_says_that_there_is_no_native_engine(capsys, monkeypatch):
    monkeypatch.setattr(isa, "_native", None)
    monkeypatch.setattr(isa, "_missing", "", raising=False)
    assert main(["--version"]) == 0
    assert "(torch engine: the native engine was not built" in capsys.readouterr().out


def test_the_version_imports_neither_torch_nor_matplotlib():
    _, loaded = loaded_by(ending("--version"))
    assert not loaded & {"torch", "matplotlib", "multiprocessing"}


@pytest.mark.parametrize("arguments", [["--help"], ["trian"], ["--nothing"], []])
def test_verbs_that_do_not_train_import_nothing_heavy(arguments):
    _, loaded = loaded_by(ending(*arguments))
    assert loaded == set()


@pytest.mark.parametrize("verb", VERBS)
def test_a_verbs_help_imports_neither_torch_nor_matplotlib(verb):
    printed, loaded = loaded_by(ending(verb, "--help"))
    assert printed.startswith(f"usage: under20k {verb}")
    assert not loaded & {"torch", "matplotlib", "multiprocessing"}


def test_an_invalid_option_is_refused_before_torch_loads():
    _, loaded = loaded_by(ending("train", "minimal", "--epochs", "0"))
    assert not loaded & {"torch", "matplotlib"}


def test_importing_the_package_imports_nothing_heavy():
    printed, loaded = loaded_by("import under20k; print(len(dir(under20k)))")
    assert int(printed) >= len(under20k.__all__)
    assert loaded == set()


def test_every_public_name_is_there_and_none_else():
    code = "from under20k import *; print(*sorted(n for n in dir() if not n.startswith('__')))"
    printed, _ = loaded_by(code)
    assert printed.split() == sorted(set(under20k.__all__) - {"__version__"})
    for name in under20k.__all__:
        assert getattr(under20k, name) is not None
        assert name in dir(under20k)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = under20k.nothing


@pytest.mark.parametrize("width", [24, 60, 100])
def test_the_overview_fits_the_terminal_and_keeps_every_word(monkeypatch, capsys, width):
    monkeypatch.setenv("COLUMNS", str(width))
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= max(width, 34)
    for text in VERBS.values():
        assert text in " ".join(out.split())


@pytest.mark.parametrize("arguments", [["records"], ["compare"], ["records", "verify", "--no-models"]])
def test_what_draws_nothing_does_not_import_matplotlib(tmp_path, monkeypatch, arguments):
    shutil.copytree(ROOT / "records", tmp_path / "records")
    monkeypatch.chdir(tmp_path)
    printed, loaded = loaded_by(ending(*arguments))
    assert "eight-convolutions" in printed
    assert "matplotlib" not in loaded
