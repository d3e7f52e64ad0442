"""A mirror on the loopback interface, and its misbehaviours."""

import gzip
import http.server
import threading
from collections.abc import Callable

from tests.support.small_mnist import BYTES, FILES

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class Server(http.server.ThreadingHTTPServer):
    """A mirror on loopback that serves the small data set, unless ``answers`` says otherwise for a path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {
            f"/{file.name}.gz": gzip.compress(content) for file, content in zip(FILES, BYTES, strict=True)
        }
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.released = threading.Event()
        """What a stalled answer waits for."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are what these tests are about."""


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if answer := self.server.answers.get(self.path):
            answer(self)
        else:
            send(self, self.server.files[self.path])

    def log_message(self, *_: object) -> None: ...


def send(handler: http.server.BaseHTTPRequestHandler, body: bytes, length: int | None = None) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)
    handler.wfile.flush()
