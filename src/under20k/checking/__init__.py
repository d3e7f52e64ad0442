"""Judging any PyTorch model: what it computes (``trace``), the rules (``judge``), their limits
(``profiles``), where it comes from (``target``), and the process that a stranger's code runs in
(``sandbox``, ``worker``).
"""
