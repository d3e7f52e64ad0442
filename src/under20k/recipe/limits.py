"""The limits of the brief that every model here is held to, beside the target in ``statistics``."""

PARAMETER_LIMIT = 20_000
"""A model has fewer parameters than this."""

EPOCH_LIMIT = 20
"""It is trained for fewer epochs than this."""
