"""``python -m under20k`` is the ``under20k`` command."""

import sys

from under20k.cli.main import main

sys.exit(main())
