"""Serve the page to this machine's browsers, on loopback alone."""

from __future__ import annotations

import errno
import os
import socketserver
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from under20k.deploy.draw.bundle import Page
from under20k.errors import UserError

LOOPBACK = "127.0.0.1"
HOSTS = (LOOPBACK, "localhost")
"""Names under which a request may come. Under another one, it is of a page from elsewhere whose name was made
to mean this machine (DNS rebinding)."""
MAX_PORT = 65535
REQUEST_TIME_S = 10


class PageServer(ThreadingHTTPServer):
    """Answers requests for ``/`` with the page, and for nothing else."""

    daemon_threads = True
    # On Windows a second server could otherwise take the port of the first.
    allow_reuse_address = os.name != "nt"

    def __init__(self, page: Page, port: int = 0) -> None:
        """Listen on a port, or on any free one for 0. Raises UserError where that is impossible."""
        if not 0 <= port <= MAX_PORT:
            raise UserError(f"port: {port}; expected 1 to {MAX_PORT}, or 0 for a free one")
        self.body = page.html.encode()
        # A page cannot forbid in itself to be framed.
        self.policy = f"{page.policy}; frame-ancestors 'none'"
        try:
            super().__init__((LOOPBACK, port), Handler)
        except OSError as error:
            raise UserError(f"port: {port}; {_reason(error)}; leave it out for a free one") from error

    def server_bind(self) -> None:
        """Bind without looking up the machine's name, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]

    @property
    def address(self) -> str:
        """Return the page's address."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    @property
    def hosts(self) -> set[str]:
        """Return what a request may name as its host."""
        names = {f"{host}:{self.server_port}" for host in HOSTS}
        return names | set(HOSTS) if self.server_port == 80 else names

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong, but nothing of a browser that went away."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: PageServer
    server_version, sys_version = "under20k", ""
    timeout = REQUEST_TIME_S

    def do_GET(self) -> None:
        """Answer with the page."""
        if self.headers.get_all("Host") not in [[host] for host in self.server.hosts]:
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, b"This server answers to 127.0.0.1 and localhost.\n")
        elif self.path == "/":
            self._answer(HTTPStatus.OK, self.server.body, "text/html")
        elif self.path == "/favicon.ico":
            self._answer(HTTPStatus.NO_CONTENT, b"")
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"There is one page here: /\n")

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Keep requests to themselves."""

    def _answer(self, status: HTTPStatus, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(body)),
            "Content-Security-Policy": self.server.policy,
            "Cache-Control": "no-store",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _reason(error: OSError) -> str:
    if error.errno in (errno.EADDRINUSE, getattr(errno, "WSAEADDRINUSE", None)):
        return "another program uses it"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "the system keeps it for administrators"
    return error.strerror or str(error)
