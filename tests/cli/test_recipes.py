"""The tables of ``under20k recipes`` against the PyTorch module, run and counted."""

import json
import re

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from under20k.cli.main import main
from under20k.deploy.card import cards
from under20k.engine.module import build
from under20k.engine.select import choose
from under20k.recipe.named import RECIPES
from under20k.recipe.recipe import Recipe


def layers_of(recipe: Recipe) -> list[tuple[str, str, list[int], int]]:
    """Kind, name, output shape and parameters of each module, in the order they run in."""
    network, rows = build(recipe.architecture), []
    for name, module in network.named_modules():
        if not list(module.children()) and not isinstance(module, nn.Flatten):
            count = sum(parameter.numel() for parameter in module.parameters())

            def record(module, _, output, name=name, count=count):
                rows.append((type(module).__name__, name, list(output.shape[1:]), count))

            module.register_forward_hook(record)
    with torch.inference_mode():
        network(torch.zeros(1, 1, 28, 28))
    return rows


def macs_of(recipe: Recipe) -> int:
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        build(recipe.architecture)(torch.zeros(1, 1, 28, 28))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_table_of_a_recipe(capsys, recipe):
    assert main(["recipes", recipe.name]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    shown = re.findall(r"^([\w.]+) +(\w+) +([\d×]+) +([\d,]+) +([\d,]+) +(\d+) +(\d+)$", out, re.M)
    layers = layers_of(recipe)
    assert [
        (row[1], row[0], [int(side) for side in row[2].split("×")], int(row[3].replace(",", "")))
        for row in shown
    ] == layers
    total = sum(parameter.numel() for parameter in build(recipe.architecture).parameters())
    assert f"Parameters: {total:,} ({4 * total / 1000:.1f} kB as float32)\n" in out
    assert sum(int(row[4].replace(",", "")) for row in shown) == macs_of(recipe)
    assert f"(MACs), one image: {macs_of(recipe):,}\n" in out
    assert "Receptive field: 40×40 pixels; the image has 28×28" in out


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_settings_shown_make_the_recipe(capsys, tmp_path, monkeypatch, recipe):
    """As options they turn any recipe into this one."""
    main(["recipes", recipe.name])
    settings = capsys.readouterr().out.partition("Settings, each an option of 'under20k train'\n")[2]
    options = [word for line in settings.splitlines() for word in line.split(maxsplit=1)]
    given = {}
    monkeypatch.setattr(
        "under20k.runs.train.train", lambda recipe, *_, **__: given.update(recipe=recipe) or stop()
    )
    monkeypatch.chdir(tmp_path)
    other = next(name for name in RECIPES if name != recipe.name)
    with pytest.raises(Stopped):
        main(["train", other, *options])
    assert given["recipe"].differences(recipe) == {}


class Stopped(Exception):
    pass


def stop() -> None:
    raise Stopped


def test_the_list_and_its_json(capsys):
    assert main(["recipes"]) == 0
    text, beside = capsys.readouterr()
    assert beside == f"trained here by the {choose().engine} engine: {choose().reason}\n"
    assert main(["recipes", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert list(listed)[: len(RECIPES)] == list(RECIPES)
    for name, values in listed.items():  # the weights beside the recipe, which a file of it does not name
        pretrained = values.pop("pretrained")
        if (card := cards().get(name)) is None:  # one without a bench
            assert pretrained is None
            continue
        assert pretrained["validation_accuracy"] == card.validation_accuracy
        assert re.search(rf"^{name} .* {card.validation_accuracy:.2%} ", text, re.M)
    assert listed.keys() == {*RECIPES, *cards()}
    for name, recipe in RECIPES.items():
        total = sum(row[3] for row in layers_of(recipe))
        assert re.search(rf"^{name} +{total:,} +{macs_of(recipe):,} +{recipe.epochs} +128 ", text, re.M)
        assert main(["recipes", name, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == listed[name]
        assert (listed[name]["parameters"], listed[name]["macs"]) == (total, macs_of(recipe))
        assert [
            (row["kind"], row["name"], row["shape"], row["parameters"]) for row in listed[name]["layers"]
        ] == (layers_of(recipe))
        fields = {field: listed[name][field] for field in recipe.to_dict()}
        assert Recipe.from_dict(fields) == recipe


def test_the_recipe_of_a_record(capsys):
    assert main(["recipes", "shared-weights"]) == 0
    out, _ = capsys.readouterr()
    assert "shared-weights: 5,028 parameters" in out
    assert re.search(
        r"^Pretrained, seed 0: validation 99\.39% \(the recipe 99\.448 ± 0\.048 % over \d+ seeds\)", out, re.M
    )
    assert "records/small/2026-11-27-shared-weights" in out


def test_a_recipe_file(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = RECIPES["minimal"].with_changes(architecture="8u,12npd0.25|1")
    (tmp_path / "own.json").write_text(recipe.to_json())
    assert main(["recipes", "own.json", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [row["parameters"] for row in shown["layers"]] == [row[3] for row in layers_of(recipe)]


@pytest.mark.parametrize("named", [True, False])
def test_a_teacher_is_an_option_by_its_name_or_by_a_file(capsys, tmp_path, monkeypatch, named):
    monkeypatch.chdir(tmp_path)
    teacher = RECIPES["minimal-plus"] if named else RECIPES["minimal-plus"].with_changes(epochs=9)
    recipe = RECIPES["minimal"].with_changes(teacher=teacher)
    (tmp_path / "own.json").write_text(recipe.to_json())
    assert main(["recipes", "own.json"]) == 0
    [option] = [line for line in capsys.readouterr().out.splitlines() if "--teacher " in line]
    if named:
        assert option.split() == ["--teacher", "minimal-plus"]
        return
    assert f'{teacher.name}.json, a file with the value of "teacher" in --json' in option
    assert main(["recipes", "own.json", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert Recipe.from_dict(shown["distillation"]["teacher"]) == teacher
