"""What the drawing page embeds of a model: what is known of it, its graph, its weights and perhaps a film."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from under20k.deploy.draw.encoding import encoded_film, encoded_json, encoded_weights
from under20k.deploy.film import Film, film_of_run, pretrained_film
from under20k.deploy.graph import graph_of
from under20k.deploy.model import Model, as_model
from under20k.runs.run import Run

FORMAT = 1
DEFAULT = ("minimal", "regularized-plus", "shared-weights")
"""The pretrained models of the page without any named."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """A model of the page."""

    model: Model
    film: Film | None = None


def embedded(named: Sequence[str | Path | Model] = DEFAULT) -> list[Embedded]:
    """Return models, or those of pretrained ones' names or folders. Raises UserError."""
    models = [as_model(each) for each in dict.fromkeys(named)]
    short = Counter(model.short_name for model in models)
    return [
        Embedded(replace(model, name=model.name if short[model.short_name] > 1 else model.short_name), film)
        for model, film in zip(models, map(film_of, models), strict=True)
    ]


def film_of(model: Model) -> Film | None:
    """Return the film of a model's training, if there is one. Raises UserError if it is damaged."""
    if model.card is not None:
        return pretrained_film(model.card)
    return None if model.folder is None else film_of_run(Run.open(model.folder))


def page_data(models: Sequence[Embedded]) -> dict[str, Any]:
    """Return what the page reads, for JSON."""
    return {"format": FORMAT, "models": [description(each) for each in models]}


def description(embedded: Embedded) -> dict[str, Any]:
    """Return one model, for JSON."""
    model, film = embedded.model, embedded.film
    architecture, origin = model.recipe.architecture, model.origin
    graph = graph_of(model)
    validation = origin.validation if origin else None
    tensors = graph.tensors()
    weights = {name: model.weights[name] for name in tensors}
    return {
        "name": model.name,
        "parameters": architecture.parameters,
        "macs": architecture.macs,
        "accuracy": validation and {"mean": validation.mean, "sd": validation.sd, "n": validation.n},
        "validation_accuracy": origin.validation_accuracy if origin else None,
        "own_weights": origin is None or origin.kind == "weights",
        "temperature": model.temperature,
        "threshold": model.threshold,
        "network": encoded_json({"graph": graph.to_list(), "tensors": list(tensors.items())}),
        "weights": encoded_weights(weights),
        "film": film
        and {
            "epochs": film.epochs,
            "validation_accuracies": film.validation_accuracies,
            "weights": encoded_film(weights, film.weights[:-1]),
        },
    }
