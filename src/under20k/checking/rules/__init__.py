"""The assignment's requirements, as rules on a model's graph."""
