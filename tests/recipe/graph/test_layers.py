"""What is counted of a graph's layers, by hand."""

from under20k.recipe.graph.graph import IMAGE, Graph
from under20k.recipe.graph.layers import layers
from under20k.recipe.graph.operations import (
    Activation,
    AdaptivePool,
    Add,
    BatchNorm,
    Concatenate,
    Convolution,
    Dropout,
    Linear,
    Pool,
    Reshape,
)


def end(source: str, features: int) -> tuple[Reshape, Linear]:
    return Reshape("flat", (source,), (features,)), Linear("fc", ("flat",), 10, "fc.w", "fc.b")


def test_strides_dilations_and_a_linear_layer_widen_the_field():
    graph = Graph(
        (
            Convolution("a", (IMAGE,), 4, "a.w", "a.b", kernel=(5, 5), stride=(2, 2)),  # 12×12
            Convolution("b", ("a",), 4, "b.w", padding=(2, 2), dilation=(2, 2), groups=2),
            Pool("p", ("b",), "average", (3, 3), (3, 3)),  # 4×4
            *end("p", 64),
        )
    )
    rows = {row.name: row for row in layers(graph)}
    assert list(rows) == ["a", "b", "p", "fc"]  # what only reshapes is left out
    assert [row.kind for row in rows.values()] == ["Conv2d", "Conv2d", "AvgPool2d", "Linear"]
    # 5; then 5 taps over 2 pixels each add 8; then 3 over 2 add 4; then the map's 4 over 6 add 18.
    assert [row.receptive_field for row in rows.values()] == [5, 13, 17, 35]
    assert [row.jump for row in rows.values()] == [2, 2, 6, 6]
    assert [row.parameters for row in rows.values()] == [104, 4 * 2 * 9, 0, 650]
    assert [row.macs for row in rows.values()] == [100 * 144, 72 * 144, 0, 640]


def test_weights_count_where_they_are_used_first():
    convolutions = [Convolution("a", (IMAGE,), 1, "w"), Convolution("b", ("a",), 1, "w")]
    rows = list(layers(Graph((*convolutions, *end("b", 576)))))
    assert [(row.kind, row.parameters) for row in rows[:2]] == [("Conv2d", 9), ("SharedConv2d", 0)]


def test_of_branches_the_wider_view_counts():
    graph = Graph(
        (
            Convolution("narrow", (IMAGE,), 2, "n.w", kernel=(1, 1)),
            Convolution("wide", (IMAGE,), 2, "w.w", kernel=(7, 7), padding=(3, 3)),
            Add("sum", ("narrow", "wide")),
            Concatenate("both", ("sum", "narrow")),
            Dropout("drop", ("both",), 0.1, channels=True),
            AdaptivePool("gap", ("drop",), "average"),
            Reshape("map", ("gap",), (4,)),
            BatchNorm("norm", ("map",), None, None, "m", "v"),
            Activation("act", ("norm",), "silu"),
            Linear("fc", ("act",), 10, "fc.w"),
        )
    )
    rows = {row.name: row for row in layers(graph)}
    assert [rows[name].receptive_field for name in ("narrow", "wide", "sum", "both", "gap")] == [
        1,
        7,
        7,
        7,
        34,
    ]
    assert [rows[name].kind for name in ("both", "drop", "norm", "act")] == [
        *("Concat", "Dropout2d", "BatchNorm1d", "SiLU"),
    ]
    assert rows["both"].shape == (4, 28, 28)
