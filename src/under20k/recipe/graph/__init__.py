"""A network as a graph of operations, with everything that can be counted about it."""
