import pytest

from tests.support.command import assert_refused
from under20k.cli.main import main
from under20k.cli.usage import as_typed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("train minimal --lr 0.2", "there is no option --lr; did you mean --learning-rate?"),
        ("train --lr 0.2 minimal", "there is no option --lr; did you mean --learning-rate?"),
        ("train minimal --wd=0", "there is no option --wd; did you mean --weight-decay?"),
        ("bench minimal --bs 64", "did you mean --batch-size?"),
        ("train minimal --gamma 0.5", "did you mean --step-factor?"),
        ("train minimal --step-size 2", "did you mean --step-epochs?"),
        ("train minimal --rotate 5", "did you mean --rotation-deg?"),
        ("train minimal --ema 0.9", "did you mean --average-decay?"),
        ("train minimal --scheduler step", "did you mean --schedule?"),
        ("train minimal --learning-rat 1", "did you mean --learning-rate?"),
        ("train minimal --label 0.1", "did you mean --label-smoothing?"),
        ("train minimal --dropout 0.1", "dropout is part of --architecture: 8,12pd0.05|3v drops 5%"),
        ("train minimal --optimizer adam", "recipes train by SGD, which --learning-rate, --momentum, --nest"),
        ("train minimal --cuda", "--device cuda trains on a GPU"),
        ("train minimal --seeds 0-9", "there is no option --seeds; did you mean --seed?"),
        ("bench minimal --seed 1", "there is no option --seed; did you mean --seeds?"),
        ("train minimal --workers 2", "did you mean --threads?"),
        ("bench minimal --num-workers 2", "did you mean --jobs?"),
        ("train minimal --output-dir x", "did you mean --runs-dir?"),
        ("bench minimal --output-dir x", "did you mean --output?"),
        ("evaluate x --lr 1", "there is no option --lr; see 'under20k evaluate --help'"),
        ("records verify --rerunn 1", "did you mean --rerun?"),
        ("check minimal --max-params 1", "did you mean --max-parameters?"),
        ("compare -x", "there is no option -x; see 'under20k compare --help'"),
        ("--versoin", "did you mean --version?"),
        ("--quiet train minimal", "--quiet goes after the verb: under20k train --quiet"),
        ("records verfy", "the command is 'verfy'; expected one of verify, submit; did you mean 'verify'?"),
        (
            "train minimal --schedule linear",
            "--schedule is 'linear'; expected one of constant, step",
        ),
        ("train minimal --batch-size 0", "--batch-size is 0; expected a whole number from 1 to 50000"),
        ("train minimal --batch-size=0", "--batch-size is 0; expected a whole number from 1 to 50000"),
        ("train minimal --jobs 2", "did you mean --threads?"),
        ("data --samples x", "--samples is 'x'; expected a whole number"),
    ],
)
def test_errors_are_in_the_words_of_the_command_line(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = main(arguments.split())
    assert_refused(code, *capsys.readouterr(), words)


def test_only_an_option_that_was_typed_is_named():
    message = "batch_size: 0; expected a whole number"
    assert as_typed(message, ["own.json"]) == message
    assert as_typed(message, ["--batch-size", "0"]) == "--batch-size is 0; expected a whole number"
    assert as_typed("nesterov: False, but", ["--no-nesterov"]) == "--nesterov is False, but"
    assert as_typed("runs/small is a file", ["--batch-size", "0"]) == "runs/small is a file"
