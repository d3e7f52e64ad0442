from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from under20k.recipe.named import MINIMAL, REGULARIZED
from under20k.report.curves import curves_figure, draw_curves, draw_seed_curves, lower_end, spread
from under20k.report.figures import matplotlib, png
from under20k.report.reproduction.assignment import SPECIFIED

Text, Bbox = matplotlib.text.Text, matplotlib.transforms.Bbox
PNG = b"\x89PNG\r\n\x1a\n"


def boxes(figure) -> dict:
    """Where each text of a figure lies, in pixels."""
    figure.draw_without_rendering()
    hidden = set()  # Matplotlib keeps labels for ticks beyond the axes' ends, and does not draw them
    for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis):
        low, high = axis.get_view_interval()
        hidden |= {tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high}
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text not in hidden]
    texts = [text for text in shown if text.get_text().strip()]
    # The text alone: an annotation's own extent includes its line.
    return {
        f"{index}: {text.get_text()}": Text.get_window_extent(text, figure.canvas.get_renderer())
        for index, text in enumerate(texts)
    }


def assert_readable(figure) -> None:
    canvas, placed = figure.bbox, boxes(figure)
    for text, box in placed.items():
        inside = canvas.x0 <= box.x0 and canvas.y0 <= box.y0 and box.x1 <= canvas.x1 and box.y1 <= canvas.y1
        assert inside, f"{text} leaves the figure"
    for (first, one), (second, other) in combinations(placed.items(), 2):
        assert not one.overlaps(other), f"{first} overlaps {second}"


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


@pytest.mark.parametrize("epochs", [1, 2, 7, 12])
def test_any_number_of_epochs_is_readable(metrics_of, epochs):
    metrics = metrics_of(REGULARIZED, SPECIFIED["regularized"].epochs[:epochs])
    assert_readable(curves_figure([metrics], REGULARIZED))
    shaken = [[(t - 0.0002 * seed, v - 0.0003 * seed) for t, v in SPECIFIED["regularized"].epochs[:epochs]]
              for seed in range(3)]  # fmt: skip
    runs = [metrics_of(REGULARIZED, accuracies) for accuracies in shaken]
    assert_readable(curves_figure(runs, REGULARIZED))


def test_a_long_name_full_of_signs_is_readable(metrics_of):
    recipe = MINIMAL.with_changes(
        learning_rate=0.25, momentum=0.85, weight_decay=5e-4, label_smoothing=0.1, translation_px=1.5
    )
    object.__setattr__(recipe, "name", recipe.name + "$x_{$")
    assert_readable(curves_figure([metrics_of(recipe, SPECIFIED["minimal"].epochs)], recipe))


def test_final_values_are_named(metrics_of):
    texts = "\n".join(boxes(curves_figure([metrics_of(MINIMAL, SPECIFIED["minimal"].epochs)], MINIMAL)))
    for expected in ("training\n99.85%", "validation\n99.41%", "target 99.4%", "learning rate\n0.1 → 0.01"):
        assert expected in texts
    assert "epoch 1, below the axis: training 96.34%, validation 97.76%" in texts


def test_several_seeds_end_in_mean_and_sd(metrics_of):
    runs = [metrics_of(MINIMAL, [(0.99, 0.98), (0.999, value)]) for value in (0.993, 0.995)]
    texts = "\n".join(boxes(curves_figure(runs, MINIMAL)))
    assert "validation\n99.400 ± 0.141 %" in texts
    assert "2 seeds (thin), mean (bold)" in texts


def test_no_drop_is_marked_where_there_was_none(metrics_of):
    constant = MINIMAL.with_changes(schedule="constant")
    cycle = MINIMAL.with_changes(schedule="one-cycle")
    for recipe in (constant, cycle):
        figure = curves_figure([metrics_of(recipe, SPECIFIED["minimal"].epochs)], recipe)
        assert not any("learning rate" in text for text in boxes(figure))


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


def test_the_png_depends_on_the_metrics_only(metrics_of, tmp_path):
    metrics = metrics_of(MINIMAL, SPECIFIED["minimal"].epochs)
    draw_curves(metrics, MINIMAL, tmp_path / "first.png")
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "savefig.dpi": 30}):
        draw_curves(metrics, MINIMAL, tmp_path / "second.png")
    draw_seed_curves([metrics, metrics], MINIMAL, tmp_path / "seeds.png")
    first, second, seeds = ((tmp_path / f"{name}.png").read_bytes() for name in ("first", "second", "seeds"))
    assert first.startswith(PNG)
    assert first == second
    assert seeds.startswith(PNG)
    assert seeds != first


def test_drawing_leaves_the_users_settings_alone(metrics_of):
    with matplotlib.rc_context({"font.size": 20}):
        png(curves_figure([metrics_of(MINIMAL, [(0.9, 0.9)])], MINIMAL))
        assert matplotlib.rcParams["font.size"] == 20


def test_only_the_first_epoch_may_lie_below_the_axis():
    assert lower_end([[96.3, 98.7, 99.4], [97.8, 98.9, 99.4]]) == 98
    assert lower_end([[96.3, 97.9, 99.4], [97.8, 98.9, 99.4]]) == 97
    assert lower_end([[96.3], [97.8]]) == 96
    assert lower_end([[10.0, 11.35, 11.35]]) == 0


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
