"""A notebook with a real kernel, cell by cell."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from jupyter_core.utils import ensure_event_loop
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

TIMEOUT_S = 120


class Notebook:
    """A notebook whose cells run in one kernel, in the folder ``path``."""

    def __init__(self, client: NotebookClient, path: Path) -> None:
        self.client, self.path = client, path

    def run(self, source: str) -> list[Any]:
        """Run a cell; return its outputs. Raises CellExecutionError for a cell that ends in an exception."""
        cell = nbformat.v4.new_code_cell(source)
        self.client.nb.cells.append(cell)
        self.client.execute_cell(cell, len(self.client.nb.cells) - 1)
        return cell.outputs

    def failing(self, source: str) -> tuple[list[Any], Any]:
        """Run a cell that ends in an exception; return its outputs before that, and the one of it."""
        try:
            self.run(source)
        except CellExecutionError:
            *outputs, error = self.client.nb.cells[-1].outputs
            return outputs, error
        raise AssertionError("the cell ended without an exception")

    def interrupted(self, source: str, when: Callable[[], bool]) -> tuple[list[Any], Any]:
        """Run a cell and interrupt the kernel, as the button ■ does, as soon as ``when`` holds."""

        def interrupt() -> None:
            deadline = monotonic() + TIMEOUT_S
            while not when() and monotonic() < deadline:
                sleep(0.01)
            self.client.km.interrupt_kernel()
            ensure_event_loop().close()  # this thread's

        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            return self.failing(source)
        finally:
            thread.join()


@contextmanager
def notebook(path: Path) -> Iterator[Notebook]:
    """Give the block a notebook in folder ``path``."""
    # By sockets in a folder, whose name must be short: over TCP the kernel warns on stderr.
    with tempfile.TemporaryDirectory(prefix="u-", dir="/tmp") as folder, pytest.MonkeyPatch.context() as env:
        env.setenv("IPYTHONDIR", folder)  # not the user's own settings
        manager = KernelManager(transport="ipc", connection_file=f"{folder}/kernel.json")
        client = NotebookClient(
            nbformat.v4.new_notebook(), km=manager, timeout=TIMEOUT_S, shutdown_kernel="immediate"
        )
        client.resources = {"metadata": {"path": str(path)}}
        with client.setup_kernel(cleanup_kc=True):
            yield Notebook(client, path)
        ensure_event_loop().close()
