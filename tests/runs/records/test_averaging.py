"""Global average pooling, read from the graphs of models as their users write them."""

import pytest
from torch import nn

from under20k.checking.convert.describe import describe
from under20k.runs.records.graph_rules import graph_rules

POOLING = "no global average pooling; a record's network averages its last maps"


class Net(nn.Module):
    """A stem that leaves 3 maps of 6×6, and a head."""

    def __init__(self, head, side=None):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 3, 5, stride=4), nn.BatchNorm2d(3), nn.ReLU())
        self.head = nn.Sequential(*head)
        self.side = nn.Sequential(*side) if side else None

    def forward(self, x):
        x = self.stem(x)
        if self.side:
            x = x * self.side(x.mean((2, 3)))[:, :, None, None]
        return self.head(x).flatten(1)


class RowByRow(Net):
    def forward(self, x):
        return self.head(self.stem(x).mean(3).mean(2))


def gap():
    return nn.AdaptiveAvgPool2d(1)


def gate():
    return nn.Linear(3, 3), nn.Sigmoid()


def flat_head(features=108):
    return nn.Flatten(), nn.Linear(features, 10)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=name)
        for name, make in (
            ("average, linear", lambda: Net([gap(), nn.Flatten(), nn.Linear(3, 10)])),
            ("average, linear twice", lambda: Net([gap(), nn.Flatten(), nn.Linear(3, 4), nn.Linear(4, 10)])),
            ("1×1 convolution, average", lambda: Net([nn.Conv2d(3, 10, 1), gap()])),
            ("window over the map", lambda: Net([nn.Conv2d(3, 10, 1), nn.AvgPool2d(6)])),
            ("two averages", lambda: Net([nn.AvgPool2d(2), nn.Conv2d(3, 10, 1), nn.AvgPool2d(3)])),
            ("row by row", lambda: RowByRow([nn.Linear(3, 10)])),
            ("gated maps", lambda: Net([nn.Conv2d(3, 10, 1), gap()], gate())),
            ("flattened maps", lambda: Net([nn.Flatten(2), nn.AdaptiveAvgPool1d(1), *flat_head(3)])),
        )
    ],
)
def test_average_pooling_passes(make):
    model = describe(make(), "Net").model
    assert model.graph, model.why
    assert graph_rules(model) == []


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=name)
        for name, make in (
            ("gate, linear on flattened maps", lambda: Net(flat_head(), gate())),
            ("convolution over the map", lambda: Net([nn.Conv2d(3, 10, 6), gap()])),
            ("padded after it", lambda: Net([nn.Conv2d(3, 4, 6), nn.Conv2d(4, 10, 1, padding=1), gap()])),
            ("maximum", lambda: Net([nn.AdaptiveMaxPool2d(1), gap(), nn.Flatten(), nn.Linear(3, 10)])),
            ("one pixel", lambda: Net([nn.Conv2d(3, 10, 1), nn.AvgPool2d(1, stride=6)])),
            ("flattened, as a map again", lambda: Net([*flat_head()[:1], nn.Linear(108, 40),
                                                      nn.Unflatten(1, (10, 2, 2)), gap()])),
            ("flattened, 1×1 convolution", lambda: Net([nn.Flatten(), nn.Unflatten(1, (108, 1, 1)),
                                                       nn.Conv2d(108, 10, 1), gap()])),
            ("regrouped maps", lambda: Net([nn.Flatten(), nn.Unflatten(1, (54, 2, 1)),
                                           nn.Conv2d(54, 10, 1), gap()])),
        )
    ],
)  # fmt: skip
def test_other_pooling_is_refused(make):
    model = describe(make(), "Net").model
    assert model.graph, model.why
    assert POOLING in graph_rules(model)
