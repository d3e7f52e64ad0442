"""Engines train a recipe: the protocol (``base``), PyTorch as the reference, and the native C++ engine."""
