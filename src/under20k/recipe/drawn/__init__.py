"""Digits drawn as strokes of a pen, in the ways in which people of the world write them."""

from under20k.recipe.drawn.bank import drawn_digits

__all__ = ["drawn_digits"]
