"""The requirement checks on any PyTorch model.

What it computes (``graph``), the ``rules`` and their limits (``profiles``), its ``source``, the ``sandbox``
that runs a stranger's code, and the accuracy of given ``weights``.
"""
