"""Completion, by a real bash that asks the command as an interactive one does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.benches import SMALL, bench_of, on_disk
from tests.support.printed import ENCODING
from under20k.cli.completion import SHELLS
from under20k.cli.main import VERBS, main
from under20k.deploy import card as cards
from under20k.recipe.named import RECIPES
from under20k.recipe.recipe import settings

ASK = r"""
source <(under20k completion bash)
while IFS= read -r line; do
    COMP_LINE=$line COMP_POINT=${#line} COMP_TYPE=9 COMPREPLY=()
    read -ra COMP_WORDS <<< "$line"
    [[ $line == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _python_argcomplete under20k "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    echo "${COMPREPLY[@]}"
done
"""


@pytest.fixture(scope="module")
def candidates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What bash offers for several lines, in a folder with a bench and its runs."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    folder = tmp_path_factory.mktemp("completed")
    on_disk(folder, bench_of([0.9941, 0.9943], SMALL))
    (folder / "own.json").touch()
    (folder / "own.toml").touch()
    (folder / "model.py").touch()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "--norc", "-c", ASK],
        cwd=folder, env={**os.environ, "PATH": path}, input="\n".join(LINES) + "\n",
        capture_output=True, encoding=ENCODING, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return dict(zip(LINES, map(set, map(str.split, done.stdout.splitlines())), strict=True))


RUNS, BENCH = {"runs/small-0", "runs/small-1"}, "benches/small"
BELOW = {"runs/", "benches/"}
LINES = {
    "under20k ": set(VERBS),
    "under20k re": {"reproduce", "report", "records", "recipes"},
    "under20k train mini": {name for name in RECIPES if name.startswith("mini")},
    "under20k train ": {*RECIPES, "own.json", "model.py", *BELOW},
    "under20k train minimal --teacher regularized-": {"regularized-plus"},
    "under20k train minimal --engine ": {"auto", "native", "torch"},
    "under20k train minimal --epochs ": set(),
    "under20k train minimal --sche": {"--schedule"},
    "under20k bench minimal --device c": {"cpu", "cuda"},
    "under20k evaluate ": {*RUNS, "model.py", *BELOW},
    "under20k predict --model mini": {name for name in cards.names() if name.startswith("mini")},
    "under20k predict --model ru": {*RUNS, "runs/"},
    "under20k predict mo": {"model.py"},
    "under20k export ": {*cards.names(), *RUNS, "model.py", *BELOW},
    "under20k export x --to onnx-": {"onnx-int8"},
    "under20k compare b": {BENCH, "benches/"},
    "under20k check --profile ": {"brief", "under-10k", "under-8k", "own.toml", *BELOW},
    "under20k check mo": {"model.py"},
    "under20k records ": {"verify", "submit"},
    "under20k records submit x --track ": {"accurate", "small", "fast", "reference"},
    "under20k completion ": set(SHELLS),
}


@pytest.mark.parametrize("line", LINES)
def test_bash_is_offered_what_may_follow(candidates, line):
    assert candidates[line] == LINES[line]


def test_every_setting_is_offered_after_a_dash(tmp_path):
    # Whoever imports these fails: a key press must not wait for them.
    heavy = "import sys; sys.modules.update(torch=None, matplotlib=None)"
    code = f"{heavy}; from under20k.cli.main import main; main()"
    line, found = "under20k train minimal --", tmp_path / "found"
    environment = {
        **os.environ, "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line, "COMP_TYPE": "9",
        "COMP_POINT": str(len(line)), "_ARGCOMPLETE_STDOUT_FILENAME": str(found),
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert done.stdout == b""
    offered = set(found.read_text().split())
    assert {f"--{name.replace('_', '-')}" for name in settings()} <= offered


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_can_read_its_script(shell, tmp_path, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "under20k" in script
    if shutil.which(shell):
        path = tmp_path / "script"
        path.write_text(script)
        subprocess.run([shell, "-n", str(path)], check=True)
