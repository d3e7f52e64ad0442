"""Loaded by every interpreter that has this folder on its PYTHONPATH, the children of tests too."""

import os

if os.environ.get("UNDER20K_WINDOWS_DISK"):
    import windows_double

    windows_double.install(os.environ["UNDER20K_WINDOWS_DISK"])
