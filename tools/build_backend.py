"""scikit-build-core, whose editable installs do not stop other projects' ``pytest -W error``.

An editable install adds a module that Python imports as it starts. The package brings a plugin of pytest, so
pytest wants to rewrite the assertions of every module that it installs, and warns that for this one it comes
too late. A docstring tells it to leave the module alone.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

from scikit_build_core.build import *  # noqa: F403 - the other hooks, as they are
from scikit_build_core.build import build_editable as build_editable_as_it_is

LEAVE_ALONE = b'"""PYTEST_DONT_REWRITE: Python imports this as it starts, before pytest."""\n'


def build_editable(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """The hook of PEP 660."""
    name: str = build_editable_as_it_is(wheel_directory, config_settings, metadata_directory)
    leave_alone(Path(wheel_directory) / name)
    return name


def leave_alone(wheel: Path) -> None:
    """Give the modules at the top of a wheel the docstring, and its RECORD their new digests."""
    with zipfile.ZipFile(wheel) as archive:
        files = [(item, archive.read(item)) for item in archive.infolist()]
    changed = {
        item.filename: LEAVE_ALONE + data
        for item, data in files
        if item.filename.startswith("_editable_") and item.filename.endswith(".py")
    }
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for item, data in files:
            if item.filename.endswith(".dist-info/RECORD"):
                data = recorded(data.decode(), changed).encode()
            archive.writestr(item, changed.get(item.filename, data))


def recorded(record: str, changed: dict[str, bytes]) -> str:
    """A wheel's RECORD with the digests and sizes of changed files."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for path, digest, size in csv.reader(io.StringIO(record)):
        if path in changed:
            sha256 = base64.urlsafe_b64encode(hashlib.sha256(changed[path]).digest()).rstrip(b"=").decode()
            digest, size = f"sha256={sha256}", str(len(changed[path]))
        writer.writerow((path, digest, size))
    return text.getvalue()
