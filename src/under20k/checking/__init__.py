"""The requirement checks on any PyTorch model: what it computes (``graph``), the ``rules`` and their limits
(``profiles``), its ``source``, and the ``sandbox`` that runs a stranger's code.
"""

import os

FOLDER = os.path.dirname(os.path.abspath(__file__))
"""Where this package's own code lies, which is no model's."""
