import argparse
import shlex
import subprocess
from dataclasses import replace

import pytest

from tests.support.benches import SMALL, bench_of, on_disk
from under20k.cli.main import verb_parser
from under20k.cli.options import recipe_argument, recipe_changes
from under20k.cli.verdict import bench_command, closing_lines, continued, limits_warning, target_values
from under20k.recipe.named import MINIMAL
from under20k.runs.run import Run


@pytest.mark.parametrize(("accuracy", "reached"), [(0.9939, False), (0.994, True), (0.9951, True)])
def test_the_words_say_what_the_sign_says(tmp_path, accuracy, reached):
    on_disk(tmp_path, bench_of([accuracy], SMALL))
    run = Run.open(tmp_path / "runs" / "small-0")
    first, parameters, epochs, *_ = closing_lines(run, 1.5)
    sign, words = ("✓", "reached") if reached else ("✗", "missed")
    assert first == f"{sign} {accuracy:.2%}  validation accuracy, last epoch  {words} 99.40%"
    assert parameters.split() == ["✓", f"{SMALL.architecture.parameters:,}", "parameters", "below", "20,000"]
    assert epochs.split() == ["✓", str(SMALL.epochs), "epochs", "below", "20"]
    assert target_values(run)["validation_accuracy"]["met"] == reached


@pytest.mark.parametrize("width", [None, 120, 60, 40])
def test_a_long_command_is_one_for_a_shell(width):
    command = "under20k bench minimal --seeds 0-9 --architecture '1p,4p|l' --runs-dir 'my  runs' --epochs 1"
    lines = continued(command, width)
    script = "\n".join(["under20k() { printf '%s\\0' \"$@\"; }", *lines])
    done = subprocess.run(["sh", "-c", script], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.split("\0")[:-1] == shlex.split(command)[1:]
    assert [line for line in lines if width and len(line) > width] == []
    assert (len(lines) > 1) == (width in (60, 40))


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (MINIMAL, ""),
        (replace(MINIMAL, epochs=19), ""),
        (replace(MINIMAL, epochs=20), "has 20 epochs, where the assignment allows fewer than 20"),
        (
            MINIMAL.with_changes(architecture="20,24p,28,28p,32v|3v"),
            "has 28,954 parameters, where the assignment allows fewer than 20,000",
        ),
    ],
)
def test_a_limit_that_is_exceeded_is_warned_of(recipe, words):
    assert limits_warning(recipe) == (f"warning: {recipe.name} {words}" if words else "")


def parsed(verb: str, words: list[str]) -> argparse.Namespace:
    return verb_parser(verb).parse_args(words)


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--learning-rate", "0.2", "--nesterov", "--architecture", "1p,4pd0.1|l"],
        ["--no-decay-all", "--schedule", "one-cycle", "--teacher", "regularized", "--temperature", "3"],
        ["--engine", "torch", "--device", "cpu", "--runs-dir", "my runs", "--data-dir", "/mnist"],
    ],
)
def test_the_next_command_benches_the_recipe_that_was_trained(options):
    trained = parsed("train", ["minimal", "--seed", "3", "--name", "x", "--threads", "1", *options])
    words = shlex.split(bench_command(trained))
    assert words[:2] == ["under20k", "bench"]
    benched = parsed("bench", words[2:])
    recipes = [
        recipe_argument(arguments.recipe).with_changes(**recipe_changes(arguments))
        for arguments in (trained, benched)
    ]
    assert recipes[0] == recipes[1]
    for name in ("engine", "device", "precision", "runs_dir", "data_dir"):
        assert getattr(trained, name) == getattr(benched, name)
    assert benched.seeds == "0-9"
