"""The graph of a model, which everything that leaves under20k is made from."""

from __future__ import annotations

from under20k.deploy.model import Model
from under20k.errors import UserError
from under20k.recipe.graph.graph import Graph
from under20k.recipe.own_model import OwnModel


def graph_of(model: Model) -> Graph:
    """Return a model's graph. Raises UserError if it has none."""
    if (graph := model.recipe.architecture.graph) is not None:
        return graph
    network = model.recipe.architecture
    why = f" ({network.why})" if isinstance(network, OwnModel) and network.why else ""
    raise UserError(
        f"{model.name} cannot be exported: only PyTorch computes it{why}; load model.safetensors of its run "
        "into your own module"
    )
