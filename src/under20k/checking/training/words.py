"""What there is to say about a model before it is trained."""

from __future__ import annotations

from under20k.recipe.own_model import OwnModel

MANY_PARAMETERS = 1_000_000
OUTPUTS = {
    "logits": "returns logits: trained on their cross-entropy",
    "log_softmax": "returns log-probabilities: trained on their negative log-likelihood (NLL)",
    "softmax": "ends in softmax and is trained on cross-entropy, which applies another: trained as it is",
}


def lines(model: OwnModel) -> list[str]:
    """Return who trains a model and on which loss, a line each."""
    if model.graph is None:
        found = [f"{model.why}: trained by PyTorch"]
    else:
        count = len(model.graph.nodes)
        found = [f"{model.name} is a graph of {count} operations, and one step of it equals the module's"]
    found.append(f"{model.name} {OUTPUTS[model.output]}")
    if model.parameters >= MANY_PARAMETERS:
        found.append(f"{model.name} has {model.parameters:,} parameters, so its training is slow")
    return found
