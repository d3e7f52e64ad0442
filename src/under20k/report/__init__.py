"""Pages, tables and pictures made from runs, benches, records and findings; nothing here trains.

====================== =================================================================================
tables, markdown       rows as aligned text and Markdown; the tables of architectures and recipes
words                  settings, counts and p-values in words
fonts, figures         Matplotlib, imported silently; themes, sizes, PNGs
layout                 a figure's title, notes and axes, in inches
accuracy_axis          the axis about the target, with what lies below it
placement, short_names where a point's label covers nothing; names that are short and differ
curves                 training curves
document               a report as sections, rendered to HTML and to Markdown by the templates
environment            what runs were trained on and by
run                    ``report.md`` and the curves of a run
evaluation             one evaluation: text, confusion matrix, gallery of the misclassified
bench, bench_figure    the report of ``under20k bench``: its tables, its picture
leaderboard            ``under20k compare``: its table
leaderboard_figure     its picture, with ``leaderboard_labels`` and the public figures of ``anchors``
records                the records' tables and pages
html, notebook         values as a notebook shows them
pages                  generated parts of README and docs
check                  the findings of ``under20k check``
contact_sheet          sample images of each class
reproduction/          the report of ``under20k reproduce``
====================== =================================================================================

Within reproduction/: assignment (its own figures, as data), page, target and claims (who reaches 99.40%, in a
table and in words), requirements, mistakes (what the models misclassify), comparison (recipes beside the
assignment), insights and pooling.

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
