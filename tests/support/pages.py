"""Run folders made without training (chosen accuracies, untrained weights), and a reader of HTML."""

import html.parser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import initial_weights
from under20k.runs.metrics import EpochMetrics
from under20k.runs.run import Run, run_path

ENVIRONMENT = {
    "started": "2025-03-04T05:06:07+00:00",
    "command": "under20k reproduce --seeds 0-1",
    "engine": "torch",
    "precision": "fp32",
    "device": "cpu",
    "threads": 2,
    "under20k": "0.1.0",
    "git": None,
    "python": "3.11.9",
    "packages": {"numpy": "2.0.0", "torch": "2.13.0", "absent": None},
    "system": "Linux x86_64",
    "processor": "A processor",
    "cores": 2,
}


@pytest.fixture
def metrics_of() -> Callable[..., list[EpochMetrics]]:
    """(training, validation) accuracies of each epoch as metrics, the learning rate that of the recipe."""

    def make(recipe: Recipe, accuracies: Sequence[tuple[float, float]]) -> list[EpochMetrics]:
        return [
            EpochMetrics(
                epoch=epoch,
                learning_rate=recipe.learning_rate_at((epoch - 1) * 391, 391),
                train_loss=0.0321,
                train_accuracy=training,
                validation_loss=0.0456,
                validation_accuracy=validation,
                train_time_s=10.0,
                total_time_s=11.5,
                images_per_s=5000.0,
            )
            for epoch, (training, validation) in enumerate(accuracies, 1)
        ]

    return make


@pytest.fixture
def make_run(tmp_path: Path, metrics_of: Callable[..., list[EpochMetrics]]) -> Callable[..., Run]:
    """A run folder of ``recipe`` with the given accuracies, finished unless told otherwise."""

    def make(
        recipe: Recipe,
        accuracies: Sequence[tuple[float, float]],
        seed: int = 0,
        finished: bool = True,
        **environment: Any,
    ) -> Run:
        path = run_path(tmp_path / "runs", recipe.name, seed)
        run = Run.create(path, recipe, seed, {**ENVIRONMENT, **environment})
        metrics = metrics_of(recipe, accuracies)
        weights = initial_weights(recipe.architecture, seed)
        if metrics:
            run.save_epoch(weights, metrics)
        if finished:
            run.save_model(weights, metrics)
        return run

    return make


HOSTILE = """<script>alert("1")</script> & 'a' | `b` *c* [d](http://e) ![f](g) {{ h }} ~~i~~ <!-- \\ -->"""

VOID = {"meta", "br", "img", "source"}


class Outline(html.parser.HTMLParser):
    """Checks that tags are balanced, and keeps the text of each element."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(page)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open[-1:] == [tag], f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def of(self, tag: str) -> list[str]:
        return [text for owner, text in self.texts if owner == tag]


@pytest.fixture(scope="session")
def hostile() -> str:
    """A text of signs that mean something in HTML, Markdown or a template."""
    return HOSTILE


@pytest.fixture(scope="session")
def outline_of() -> type[Outline]:
    """Parses a page, failing where its tags are not balanced."""
    return Outline
