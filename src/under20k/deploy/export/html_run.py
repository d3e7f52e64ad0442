"""Run an exported page's scripts on images, in a browser without a window or in Node.js.

The scripts and the model are those in the file. The runtime takes them and the images from a server on
loopback, whose addresses nobody else knows, and sends its results there.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from under20k.deploy.draw.bundle import heading
from under20k.deploy.draw.encoding import decoded_text
from under20k.deploy.export.proof import ExportError, Measured, NotRun
from under20k.engine.base import Images
from under20k.recipe.architecture import CLASSES

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
INSTALLED = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
NODES = ("node", "nodejs")
LAST_SCRIPT = "network.js"
"""The proof needs the page's scripts up to this one; those after it draw."""
PROOF = Path(__file__).with_name("html_proof.js")
START_TIME_S = 60
"""Within which a runtime asks for the images."""
RUN_TIME_S = 1200
PAUSE_S = 0.05
LOOPBACK = "127.0.0.1"
SAME_LOGITS = 1e-3
"""How far logits of the two ways may be apart in which the page computes them."""


def measured(page: Path, images: Images) -> Measured:
    """Return what the page computes of images, uint8 (N, 28, 28).

    Raises NotRun if neither a browser nor Node.js is there, and ExportError if the scripts fail.
    """
    text = page.read_text("utf-8")
    problems = []
    for command in runtimes():
        try:
            with _Server(scripts_of(text), models_of(text), images) as server, running(command, server):
                if server.wait():
                    return _result(server, len(images))
            problems.append(f"{command[0]} did not answer")
        except OSError as error:
            problems.append(f"{command[0]} cannot be started: {error.strerror or error}")
    raise NotRun("; ".join(problems) or "neither Chromium, Chrome nor Node.js was found")


def scripts_of(page: str) -> str:
    """Return the scripts of an exported page that compute its network."""
    scripts = decoded_text(_element(page, "scripts"))
    body = scripts[scripts.index(heading("unpack.js")) :]
    before, last, after = body.partition(heading(LAST_SCRIPT))
    return before + last + after.partition(heading(""))[0]


def models_of(page: str) -> str:
    """Return the JSON of the models in an exported page."""
    return _element(page, "models")


def runtimes() -> Iterator[list[str]]:
    """Yield the commands, without what they run, of the browser and the Node.js that are installed."""
    for names in ((*BROWSERS, *INSTALLED), NODES):
        if found := next(filter(None, map(shutil.which, names)), None):
            yield [found]


@contextmanager
def running(command: list[str], server: _Server) -> Iterator[None]:
    """Run a browser or Node.js in the block, in a folder of its own. Raises OSError if it does not start."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        if Path(command[0]).stem.lower() in NODES:
            script = Path(folder) / "proof.js"
            script.write_text(server.script, encoding="utf-8")
            command = [*command, str(script)]
        else:
            # Chromium's own sandbox does not start as root; what runs in it is the page just written.
            root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
            quiet = ["--headless", "--disable-gpu", "--no-first-run", "--disable-extensions"]
            command = [*command, *quiet, *root, f"--user-data-dir={folder}/browser", server.address]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        server.process = process
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class _Server(ThreadingHTTPServer):
    """Gives a runtime the scripts, the model and the images, and takes its results."""

    daemon_threads = True

    def __init__(self, scripts: str, models: str, images: Images) -> None:
        self.received: dict[str, bytes] = {}
        self.asked, self.done = threading.Event(), threading.Event()
        self.process: subprocess.Popen[bytes] | None = None
        self.secret = secrets.token_urlsafe()
        super().__init__((LOOPBACK, 0), _Handler)
        self.address = f"http://{LOOPBACK}:{self.server_port}/{self.secret}/"
        proof = PROOF.read_text("utf-8")
        self.script = (
            f'(() => {{\n"use strict";\nconst ADDRESS = "{self.address}";\n{scripts}\n{proof}}})();\n'
        )
        self.files = {
            "": b'<!doctype html><meta charset="utf-8"><script src="proof.js"></script>',
            "proof.js": self.script.encode(),
            "models": models.encode(),
            "images": np.ascontiguousarray(images).tobytes(),
        }

    def __enter__(self) -> _Server:
        threading.Thread(target=self.serve_forever, args=(PAUSE_S,), daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self.shutdown()
        self.server_close()

    def server_bind(self) -> None:
        """Bind without looking up the machine's name, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong, but nothing of a runtime that was ended."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def wait(self) -> bool:
        """Wait for the results; return whether they came."""
        began = time.monotonic()
        while not self.done.wait(PAUSE_S):
            waited = time.monotonic() - began
            assert self.process is not None
            if self.process.poll() is not None and not self.asked.is_set():
                return False
            if waited > RUN_TIME_S or (waited > START_TIME_S and not self.asked.is_set()):
                return False
        return True


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        name = self._name()
        if name not in self.server.files:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        if name == "images":
            self.server.asked.set()
        kinds = {"": "text/html", "proof.js": "text/javascript"}
        self._answer(self.server.files[name], kinds.get(name, "application/octet-stream"))

    def do_POST(self) -> None:
        name = self._name()
        if name not in ("results", "error", "runtime"):
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.server.received[name] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"", "text/plain")
        if name == "runtime":  # the last one
            self.server.done.set()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _name(self) -> str:
        """Return the name of what is asked for, or what is none unless the address begins with the secret."""
        _, secret, *name = self.path.split("/", 2)
        known = secrets.compare_digest(secret.encode(), self.server.secret.encode())
        return name[0] if name and known else self.path

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        # Together they make the browser's clock fine.
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.end_headers()
        self.wfile.write(body)


def _result(server: _Server, count: int) -> Measured:
    if "error" in server.received:
        first = server.received["error"].decode(errors="replace").strip().splitlines()[:1]
        raise ExportError(f"the page's scripts fail: {' '.join(first)}")
    values = np.frombuffer(server.received["results"], "<f4")
    rows = values[1 : 1 + 2 * CLASSES * count]
    logits, probabilities = rows.reshape(count, 2, CLASSES).transpose(1, 0, 2)
    quick = values[1 + len(rows) :].reshape(-1, CLASSES)
    difference = float(np.abs(logits[: len(quick)] - quick).max())
    if not difference <= SAME_LOGITS:
        raise ExportError(f"the page's two ways to compute a logit differ by {difference:.2g}")
    return Measured(_runtime(server.received["runtime"].decode()), float(values[0]), logits, probabilities)


def _runtime(said: str) -> str:
    """Return the runtime's name: of a browser what its user agent says."""
    found = re.search(r"Chrome/(\d+)", said)
    return f"{f'Chromium {found[1]}' if found else said}, 1 thread"


def _element(page: str, name: str) -> str:
    found = re.search(rf'<script [^>]*id="{name}">([^<]*)</script>', page)
    if found is None:
        raise ExportError(f"the page has no {name}")
    return found[1]
