"""The assignment's figures: limits, target and split sizes that every model here is held to."""

PARAMETER_LIMIT = 20_000
"""A model has fewer parameters than this."""

EPOCH_LIMIT = 20
"""It is trained for fewer epochs than this."""

TARGET_ACCURACY = 0.994
"""Validation accuracy to reach, as a fraction."""

TRAIN_IMAGES = 50_000
VALIDATION_IMAGES = 10_000
TEST_IMAGES = 10_000
"""Sizes of the three splits; an accuracy is a whole number of correct images over the size."""

DRAWN_IMAGES = 10_000
"""Digits that are drawn for a training whose batches have some."""
