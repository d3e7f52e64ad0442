"""Puts a native engine built with sanitizers in the installed one's place, for as long as Python runs.

To be imported before anything of under20k's engines, or given to pytest as a plugin (``-p sanitized``).
The environment variable UNDER20K_SANITIZED names the module's file; ``sanitize.sh`` sets it.
"""

from __future__ import annotations

import importlib.util
import os
import sys

NAME = "under20k.engine._native"

assert "under20k.engine" not in sys.modules, "too late: the installed engine is loaded"
spec = importlib.util.spec_from_file_location(NAME, os.environ["UNDER20K_SANITIZED"])
assert spec is not None
assert spec.loader is not None
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.modules[NAME] = module

from under20k.engine import native_engine  # noqa: E402

assert native_engine._native is module
