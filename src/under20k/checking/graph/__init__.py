"""A model as a graph of operations: its layers, parameters, MACs and receptive field."""
