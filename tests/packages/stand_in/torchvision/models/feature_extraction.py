"""Graphs of networks."""

from torch import fx, nn


def create_feature_extractor(model: nn.Module, return_nodes: object = None, **options: object) -> nn.Module:
    """The network as a graph."""
    return fx.symbolic_trace(model)


def get_graph_node_names(model: nn.Module, **options: object) -> tuple[list[str], list[str]]:
    """Names of the graph's nodes, in training and in evaluation."""
    names = [node.name for node in fx.symbolic_trace(model).graph.nodes]
    return names, names
