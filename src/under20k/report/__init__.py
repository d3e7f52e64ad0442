"""Tables, curves and reports made from runs; nothing here trains or imports an engine.

==================== ===================================================================================
tables, markdown     rows as aligned text and Markdown; the tables of architectures and recipes
wording              what a recipe's settings say in words
figures, curves      Matplotlib without global state; training curves as PNG
evaluation_report    one evaluation: text, confusion matrix, gallery of the misclassified
document             a report as sections, rendered to HTML and to Markdown by the templates
run_report           ``report.md`` and ``curves.png`` in a run folder
specification        the specification's own figures, as data
results              one recipe's runs, and the figures that follow from them
comparison           recipes side by side, each beside the specification
verdicts             the requirement checks as a table
claims               a recipe's result in words
insights, pooling    what the numbers say about the learning-rate drop, the gap and the pooling
bench, seeds_picture the report of ``under20k bench``: its tables, its picture
leaderboard, anchors ``under20k compare``: its table and picture, and the public figures in it
records, parts       the records' tables and pages, and the generated parts of a page
reproduction         the report of ``under20k reproduce``
==================== ===================================================================================

Import from these modules: plots and templates load only where they are drawn and filled.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path


def _give_matplotlib_a_folder() -> None:
    """Where this user has no home, name a folder for Matplotlib's settings: old versions fail without one."""
    try:
        Path.home()
    except RuntimeError:
        if "MPLCONFIGDIR" not in os.environ:
            os.environ["MPLCONFIGDIR"] = tempfile.mkdtemp(prefix="under20k-matplotlib-")
            atexit.register(shutil.rmtree, os.environ["MPLCONFIGDIR"], ignore_errors=True)


_give_matplotlib_a_folder()
