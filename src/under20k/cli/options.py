"""Options that several verbs share."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Add ``--data-dir``: a Path, or None for the environment variable or the platform's cache folder."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="FOLDER",
        help="folder that holds MNIST (IDX files, plain or .gz, torchvision's MNIST/raw, Keras' mnist.npz) or"
        " is to hold it; files there are never changed, missing ones are added (default: $UNDER20K_DATA_DIR,"
        " else the platform's cache folder)",
    )
