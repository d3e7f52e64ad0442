import unicodedata
from dataclasses import replace

import pytest

from under20k.recipe.architecture import Architecture
from under20k.recipe.named import MINIMAL, RECIPES, REGULARIZED
from under20k.recipe.recipe import Augmentation, Recipe, Schedule
from under20k.report.tables import Table, architecture_table, recipes_overview
from under20k.report.words import (
    augmentation_text,
    dropout_text,
    enumeration,
    optimiser_text,
    ranges,
    recipe_settings,
    schedule_text,
)


def test_text_is_aligned():
    table = Table(
        ("Name", "Count"), (("a", "1"), ("long name", "1,234")), caption="Things", notes=("Total 2",)
    )
    assert table.text().splitlines() == [
        "Things",
        "Name       Count",
        "─────────  ─────",
        "a              1",
        "long name  1,234",
        "─────────  ─────",
        "Total 2",
    ]


def test_markdown_is_aligned_and_says_so():
    table = Table(("Name", "Count"), (("a", "1"), ("b|c", "22")), caption="Things", notes=("One", "Two"))
    assert table.markdown() == (
        "**Things**\n\n| Name | Count |\n| ---- | ----: |\n| a    |     1 |\n| b\\|c |    22 |\n\nOne  \nTwo"
    )


def test_cells_stay_on_one_line_without_control_characters():
    table = Table(("a",), (("x\ny\t z\x1b[31m",),))
    assert table.rows == (("x y z\N{REPLACEMENT CHARACTER}[31m",),)


def test_text_is_wrapped_to_a_width_and_figures_are_not():
    rows = (("alice", "1,234,567", "add BatchNorm after the convolution"), ("b/" + "x" * 8, "1", "-"))
    table = Table(("Who", "Count", "What to do"), rows, align="lrl", notes=("one two three four five six",))
    assert table.text(40).splitlines() == [
        "Who             Count  What to do",
        "──────────  ─────────  ─────────────",
        "alice       1,234,567  add BatchNorm",
        "                       after the",
        "                       convolution",
        "b/xxxxxxxx          1  -",
        "──────────  ─────────  ─────────────",
        "one two three four five six",
    ]
    for width in range(40, 100):
        words = "".join(table.text(width).split())
        assert sorted(words.replace("─", "")) == sorted("".join(table.text().split()).replace("─", ""))
        assert max(map(len, table.text(width).splitlines())) <= width
    assert table.text(200) == table.text()


@pytest.mark.parametrize("row", [("only one",), ("one", "two", "three")])
def test_a_row_of_another_length_is_refused(row):
    with pytest.raises(ValueError, match="2 headings"):
        Table(("a", "b"), (row,))


@pytest.mark.parametrize(
    "table", [*map(architecture_table, RECIPES.values()), recipes_overview(RECIPES.values())]
)
def test_no_character_is_wider_than_its_column(table):
    # len() is the width on a terminal only where no character takes two columns, or none.
    for sign in table.text():
        assert unicodedata.east_asian_width(sign) not in "WF"
        assert not unicodedata.combining(sign)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=str)
def test_architecture_table_adds_up(recipe):
    table = architecture_table(recipe)
    column = {name: [row[index] for row in table.rows] for index, name in enumerate(table.header)}
    numbers = {name: [int(cell.replace(",", "")) for cell in column[name]] for name in ("Parameters", "MACs")}
    assert sum(numbers["Parameters"]) == recipe.architecture.parameters
    assert sum(numbers["MACs"]) == recipe.architecture.macs
    assert any(note.startswith(f"Parameters: {recipe.architecture.parameters:,} (") for note in table.notes)
    assert f"Multiply-accumulates (MACs), one image: {recipe.architecture.macs:,}" in table.notes


def test_architecture_table_of_the_minimal_model():
    outputs = 3 * 8 * 28**2 + 3 * 12 * 28**2 + 12 * 14**2  # convolution, BatchNorm, ReLU; pool
    outputs += 3 * 14 * 14**2 + 3 * 16 * 14**2 + 16 * 7**2
    outputs += 3 * 20 * 5**2 + 3 * 24 * 3**2 + 10 + 10 + 10
    lines = architecture_table(MINIMAL).text().splitlines()
    assert lines[0] == "minimal: 14,116 parameters; 8,12p,14,16p,20v,24v|3v"
    assert lines[3].split() == ["blocks.0.conv", "Conv2d", "8×28×28", "80", "56,448", "3", "1"]
    assert lines[-8].split() == ["head.conv", "Conv2d", "10×1×1", "2,170", "2,160", "40", "4"]
    assert lines[-4:] == [
        "Parameters: 14,116 (56.5 kB as float32)",
        "Multiply-accumulates (MACs), one image: 1,538,352",
        f"Activations, one image: {outputs:,} ({4 * outputs / 1000:.1f} kB as float32)",
        "Receptive field: 40×40 pixels; the image has 28×28",
    ]


def test_overview_has_a_row_a_recipe():
    table = recipes_overview([REGULARIZED, MINIMAL])
    assert [row[:2] for row in table.rows] == [("regularized", "19,204"), ("minimal", "14,116")]
    assert table.rows[0][-2:] == ("rotation ±5° (nearest)", "8,14pd0.05,16,20pd0.05,24v,28v|3v")


def test_settings_in_words():
    tuned = Recipe(
        "tuned",
        Architecture.parse("8pd0.1,8pd0.05,8d0.1|3"),
        nesterov=True,
        decay_all=False,
        label_smoothing=0.1,
        average_decay=0.99,
        learning_rate=0.2,
        schedule=Schedule("one-cycle"),
        augmentation=Augmentation(8, 1.5, 0.08, 0.05, "bilinear"),
    )
    assert optimiser_text(tuned) == (
        "SGD, Nesterov momentum 0.9, weight decay 0.0001 on convolution weights only, label smoothing 0.1, "
        "weights averaged with decay 0.99"
    )
    assert optimiser_text(MINIMAL) == "SGD, momentum 0.9, weight decay 0.0001 on all parameters"
    assert schedule_text(tuned) == "one-cycle 0.02 → 0.2 → 0, rising for 25%"
    assert schedule_text(MINIMAL) == "0.1, × 0.1 every 6 epochs"
    assert schedule_text(MINIMAL.with_changes(schedule="constant")) == "0.1 throughout"
    assert augmentation_text(tuned.augmentation) == (
        "rotation ±8°, shift ±1.5 px, scale ±0.08, shear ±0.05 (bilinear)"
    )
    fading = Augmentation(2, elastic_px=0.5, fade_epochs=1, fade_strength=0)
    assert augmentation_text(fading) == "rotation ±2°, elastic ±0.5 px (nearest), × 0 in the last epoch"
    assert augmentation_text(MINIMAL.with_changes(fade_epochs=2).augmentation) == "none"
    filtering = Augmentation(stroke_px=1.5, low_resolution=0.25, bitmap=0.1, fade_epochs=2)
    of_filters = "stroke width ±1.5 px, low resolution for 0.25 of images, bitmaps of 0.1"
    assert augmentation_text(filtering) == f"{of_filters}, × 0.5 in the last 2 epochs"
    both = replace(filtering, rotation_deg=5, fade_epochs=0)
    assert augmentation_text(both) == f"rotation ±5° (nearest), {of_filters}"
    assert "Drawn digits" not in recipe_settings(MINIMAL)
    drawing = MINIMAL.with_changes(drawn_share=0.25)
    assert recipe_settings(drawing)["Drawn digits"] == "0.25 of each batch"
    assert recipes_overview([drawing]).rows[0][-2] == "none; 0.25 of each batch drawn"
    assert dropout_text(tuned) == "0.1 after blocks 1 and 3; 0.05 after block 2"
    assert dropout_text(MINIMAL) == "none"


def test_lists_in_words():
    assert [enumeration(list(items)) for items in ("a", "ab", "abc")] == ["a", "a and b", "a, b and c"]
    assert ranges([0, 1, 2, 3]) == "0–3"
    assert ranges([7, 1, 4, 5]) == "1, 4–5, 7"
