"""The end of a worker whose script would train again, for want of a main guard."""

from __future__ import annotations

import multiprocessing
import os

WORKER = "under20k-worker"
"""Name of the processes that train."""
NO_GUARD = 78
"""Exit code of one whose script trains while it is imported."""


def end_if_only_imported() -> None:
    """End this process if it is a worker that is just importing the script that started it.

    Without a main guard the script would train, and start workers, again. The exit code tells the parent.
    """
    process = multiprocessing.current_process()
    if process.name == WORKER and getattr(process, "_inheriting", False):
        os._exit(NO_GUARD)
