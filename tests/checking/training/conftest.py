"""A few images to train on."""

from tests.support.small_training import few

__all__ = ["few"]
