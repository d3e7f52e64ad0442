"""What processes print: the encoding, which follows the environment as theirs does."""

import os

ENCODING = os.environ.get("PYTHONIOENCODING", "utf-8").partition(":")[0]
