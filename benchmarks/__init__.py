"""How fast the native engine is, measured in one go: ``python -m benchmarks``.

A part is a file with ``measure(amount, tell)``, which gives plain values for the JSON; ``figures.py`` makes
medians and ratios of them, ``tables.py`` Markdown.
"""
