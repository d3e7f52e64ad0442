from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.drawn import assert_readable, boxes, struck, texts_of
from under20k.recipe.named import MINIMAL, REGULARIZED
from under20k.recipe.recipe import Recipe
from under20k.report.curves import curves_figure, spread
from under20k.report.figures import DARK, LIGHT, PICTURE_BYTES, matplotlib, png, themed
from under20k.report.reproduction.assignment import SPECIFIED

PNG = b"\x89PNG\r\n\x1a\n"
CHANGED = MINIMAL.with_changes(
    learning_rate=0.25, momentum=0.85, weight_decay=5e-4, label_smoothing=0.1, translation_px=1.5, scale=0.07,
    shear=0.13, elastic_px=0.7, rotation_deg=3.5, batch_size=64, average_decay=0.99,
)  # fmt: skip
NAMES = {
    "short": "minimal",
    "changed": CHANGED.name,
    "long": "a-name-of-two-hundred-characters-" * 6 + "ab",
    "wide": "W" * 200,
    "Chinese": "手書き数字 🙂 " * 20,
    "signs": "$x_{$ <b>_a_</b> \\n & %s {}",
}


def named(recipe: Recipe, name: str) -> Recipe:
    return replace(recipe, name=name)


@pytest.mark.parametrize(
    "last",
    [
        (0.9974, 0.9940),
        (0.9940, 0.9940),
        (0.9940, 0.9941),
        (1.0, 1.0),
        (0.99998, 0.9999),
        (0.9801, 0.98),
        (0.5, 0.1135),
        (0.0, 0.0),
    ],
)
def test_texts_do_not_overlap(metrics_of, last):
    accuracies = [*SPECIFIED["minimal"].epochs[:7], last]
    assert_readable(curves_figure([metrics_of(MINIMAL, accuracies)], MINIMAL))


def seeds_of(metrics_of, recipe: Recipe, epochs: int, seeds: int, last: float = 0.9942) -> list:
    """Runs that rise to about ``last``, each a little lower than the one before."""
    return [
        metrics_of(
            recipe,
            [
                (last - 0.03 / epoch + 0.004 - 0.0001 * seed, max(last - 0.02 / epoch - 0.0003 * seed, 0))
                for epoch in range(1, epochs + 1)
            ],
        )
        for seed in range(seeds)
    ]


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 12, 19, 30])
@pytest.mark.parametrize("seeds", [1, 10])
def test_any_number_of_epochs_is_readable(metrics_of, epochs, seeds):
    recipe = REGULARIZED.with_changes(epochs=epochs)
    assert_readable(curves_figure(seeds_of(metrics_of, recipe, epochs, seeds), recipe))


@pytest.mark.parametrize("last", [0.1, 0.9941, 0.996])
@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_readable(metrics_of, name, last):
    recipe = named(MINIMAL, NAMES[name])
    assert_readable(curves_figure(seeds_of(metrics_of, recipe, 8, 2, last), recipe))


def test_no_line_strikes_through_a_text(metrics_of):
    figure = curves_figure([metrics_of(MINIMAL, SPECIFIED["minimal"].epochs)], MINIMAL)
    placed = boxes(figure)
    assert len(placed) > 15
    for text, box in placed:
        assert not struck(figure, box), f"a line goes through {text.get_text()!r}"


def test_changed_settings_stand_below_the_name(metrics_of):
    texts = texts_of(curves_figure([metrics_of(CHANGED, SPECIFIED["minimal"].epochs)], CHANGED))
    assert texts[0] == "minimal" or "minimal" in texts
    assert not any("minimal+" in text for text in texts)
    assert any("learning_rate=0.25" in text and "momentum=0.85" in text for text in texts)
    assert any("average_decay=0.99" in text for text in texts)


@pytest.mark.parametrize("name", ["short", "changed", "wide"])
@pytest.mark.parametrize(
    ("epochs", "seeds"), [(8, 10), pytest.param(30, 10, marks=pytest.mark.slow), (19, 20)]
)
def test_a_picture_is_small(metrics_of, name, epochs, seeds):
    recipe = named(MINIMAL, NAMES[name])
    runs = seeds_of(metrics_of, recipe, epochs, seeds)
    for made in themed(lambda theme: curves_figure(runs, recipe, theme)):
        assert len(made) <= PICTURE_BYTES


def test_the_themes_differ_only_in_colour(metrics_of):
    light, dark = (
        [(text.get_text(), box.bounds, text.get_fontsize()) for text, box in boxes(figure)]
        for figure in (
            curves_figure([metrics_of(MINIMAL, SPECIFIED["minimal"].epochs)], MINIMAL, theme)
            for theme in (LIGHT, DARK)
        )
    )
    assert light == dark


def test_the_axis_is_about_the_target(metrics_of):
    figure = curves_figure([metrics_of(MINIMAL, SPECIFIED["minimal"].epochs)], MINIMAL)
    low, high = figure.axes[0].get_ylim()
    assert 99 <= low < 99.41
    assert 99.85 < high <= 100


def test_final_values_are_named(metrics_of):
    texts = texts_of(curves_figure([metrics_of(MINIMAL, SPECIFIED["minimal"].epochs)], MINIMAL))
    values = ("training\n99.85%", "validation\n99.41%", "target\n99.40%", "learning rate\n0.1 → 0.01")
    assert set(values) <= set(texts)


def test_epochs_below_the_axis_are_written_under_it(metrics_of):
    texts = texts_of(curves_figure([metrics_of(MINIMAL, SPECIFIED["minimal"].epochs)], MINIMAL))
    assert {"▼ training", "▼ validation", "96.34", "97.76"} <= set(texts)


def test_several_seeds_end_in_mean_and_sd(metrics_of):
    runs = [metrics_of(MINIMAL, [(0.99, 0.98), (0.999, value)]) for value in (0.993, 0.995)]
    texts = "\n".join(texts_of(curves_figure(runs, MINIMAL)))
    assert "validation\n99.400 ± 0.141 %" in texts
    assert "2 seeds (thin), mean (bold)" in texts


def test_no_drop_is_marked_where_there_was_none(metrics_of):
    constant = MINIMAL.with_changes(schedule="constant")
    cycle = MINIMAL.with_changes(schedule="one-cycle")
    for recipe in (constant, cycle):
        figure = curves_figure([metrics_of(recipe, SPECIFIED["minimal"].epochs)], recipe)
        assert not any("learning rate" in text for text in texts_of(figure))


def test_many_drops_are_marked_without_words(metrics_of):
    recipe = MINIMAL.with_changes(step_epochs=1, step_factor=0.5)
    figure = curves_figure([metrics_of(recipe, SPECIFIED["minimal"].epochs)], recipe)
    assert_readable(figure)
    assert sum(line.get_linestyle() == "-." for line in figure.axes[0].lines) == 7


def test_the_curves_differ_in_line_and_marker_not_in_colour_alone(metrics_of):
    figure = curves_figure([metrics_of(MINIMAL, SPECIFIED["minimal"].epochs)], MINIMAL)
    training, validation = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 8]
    assert training.get_linestyle() != validation.get_linestyle()
    assert training.get_marker() != validation.get_marker()
    assert list(validation.get_ydata()) == pytest.approx([100 * v for _, v in SPECIFIED["minimal"].epochs])
    assert list(training.get_ydata()) == pytest.approx([100 * t for t, _ in SPECIFIED["minimal"].epochs])


def test_the_png_depends_on_the_metrics_only(metrics_of):
    metrics = metrics_of(MINIMAL, SPECIFIED["minimal"].epochs)
    first = png(curves_figure([metrics], MINIMAL))
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "savefig.dpi": 30}):
        second = png(curves_figure([metrics], MINIMAL))
    seeds = png(curves_figure([metrics, metrics], MINIMAL))
    assert first.startswith(PNG)
    assert first == second
    assert seeds.startswith(PNG)
    assert seeds != first


def test_drawing_leaves_the_users_settings_alone(metrics_of):
    with matplotlib.rc_context({"font.size": 20}):
        png(curves_figure([metrics_of(MINIMAL, [(0.9, 0.9)])], MINIMAL))
        assert matplotlib.rcParams["font.size"] == 20


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=6),
    st.floats(0.01, 5),
)
def test_spread_keeps_order_and_distance(values, gap):
    placed = spread(values, gap, top=100)
    assert max(placed) <= 100
    for one, other in combinations(range(len(values)), 2):
        assert abs(placed[one] - placed[other]) >= gap * (1 - 1e-6)
        if values[one] > values[other]:
            assert placed[one] > placed[other]


def test_spread_leaves_alone_what_is_apart():
    assert spread([99.4, 99.8, 98.0], 0.2, 100) == [99.4, 99.8, 98.0]
    assert spread([99.4, 99.5], 0.2, 100) == pytest.approx([99.3, 99.5])
