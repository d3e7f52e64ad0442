import gzip
import socket
import time
from collections.abc import Callable

import pytest

from tests.support.loopback import send
from tests.support.small_mnist import BYTES, FILES
from under20k.data.events import ignore
from under20k.data.sources import MIRRORS, Mirror, SourceFailed

FIRST = f"/{FILES[0].name}.gz"


def failure(mirror: Mirror) -> str:
    with pytest.raises(SourceFailed) as caught:
        list(mirror.fetch(FILES, ignore))
    return str(caught.value)


def test_mirrors_use_https_with_five_seconds_to_connect():
    assert len(MIRRORS) == 2
    for mirror in MIRRORS:
        assert mirror.url.startswith("https://")
        assert mirror.url.endswith("/")
        assert mirror.timeout == 5


def test_downloads_equal_the_originals_and_progress_completes(server, log):
    fetched = dict(Mirror(server.url).fetch(FILES, log))
    assert [fetched[file].tobytes() for file in FILES] == BYTES
    for file in FILES:
        assert (file.name, file.size, file.size) in log.steps


def test_only_requested_files_are_downloaded(server):
    list(Mirror(server.url).fetch(FILES[1:2], ignore))
    assert server.asked == [f"/{FILES[1].name}.gz"]


def test_files_before_a_failing_one_are_delivered(server):
    server.answers[f"/{FILES[2].name}.gz"] = lambda handler: handler.send_error(404)
    fetch = Mirror(server.url).fetch(FILES, ignore)
    assert [next(fetch)[0], next(fetch)[0]] == FILES[:2]
    with pytest.raises(SourceFailed):
        next(fetch)


BAD_ANSWERS: dict[str, tuple[Callable, str]] = {
    "missing": (lambda h: h.send_error(404), "HTTP 404 Not Found"),
    "broken": (lambda h: h.send_error(503), "HTTP 503 Service Unavailable"),
    "a page": (lambda h: send(h, b"<html>Please log in</html>"), "is not valid gzip"),
    "empty": (lambda h: send(h, b""), "has 0 of"),
    "another file": (lambda h: send(h, gzip.compress(BYTES[1])), f"not {FILES[0].sha256}"),
    "altered": (lambda h: send(h, gzip.compress(BYTES[0][:-1] + b"?")), f"not {FILES[0].sha256}"),
    "too long": (
        lambda h: send(h, gzip.compress(BYTES[0] + b"?")),
        "is longer than the expected 47,056 bytes",
    ),
    "cut off": (lambda h: send(h, gzip.compress(BYTES[0])[:9000], 40_000), "of 47,056 bytes"),
    "not HTTP": (lambda h: h.wfile.write(b"\x00\x01\x02\r\n\r\n"), "\x00\x01\x02"),
    "closed": (lambda h: None, "closed connection"),
}


@pytest.mark.parametrize("answer", BAD_ANSWERS)
def test_a_bad_answer_is_a_failure_with_its_reason(answer, server):
    server.answers[FIRST], words = BAD_ANSWERS[answer]
    assert words in failure(Mirror(server.url))


def redirect_to(address: str) -> Callable:
    def answer(handler):
        handler.send_response(302)
        handler.send_header("Location", address)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@pytest.mark.parametrize("address", [FIRST, "file:///etc/hostname", "http://\u00e9..x/", "//"])
def test_a_redirect_to_an_invalid_address_is_a_failure(address, server):
    server.answers[FIRST] = redirect_to(address.encode().decode("latin-1"))
    assert failure(Mirror(server.url))


@pytest.mark.parametrize("sent", [0, 1000])
def test_a_stalled_server_is_abandoned_at_the_timeout(sent, server):
    def answer(handler):
        if sent:
            send(handler, gzip.compress(BYTES[0])[:sent], 40_000)
        server.released.wait(20)

    server.answers[FIRST] = answer
    started = time.monotonic()
    assert failure(Mirror(server.url, timeout=0.3)) == "no answer within 0.3 s"
    assert time.monotonic() - started < 5


def test_a_slow_server_is_abandoned_at_the_deadline(server):
    def answer(handler):
        send(handler, b"", 40_000)
        for byte in gzip.compress(BYTES[0]):
            handler.wfile.write(bytes([byte]))
            if server.released.wait(0.02):
                return

    server.answers[FIRST] = answer
    assert "took longer than 0.3 s" in failure(Mirror(server.url, timeout=5, deadline=0.3))


def test_a_server_that_never_ends_is_cut_off(server):
    written = 0

    def answer(handler):
        nonlocal written
        packed = gzip.compress(bytes(1 << 20))
        handler.send_response(200)
        handler.end_headers()
        while written < 1 << 30:
            written += handler.wfile.write(packed)

    server.answers[FIRST] = answer
    assert "is longer" in failure(Mirror(server.url))
    assert written < 1 << 26


def test_a_closed_port_is_a_failure():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, so that no one else gets it, but not listening
        assert "refused" in failure(Mirror(f"http://127.0.0.1:{taken.getsockname()[1]}/"))


def test_a_name_that_does_not_exist_is_a_failure():
    assert failure(Mirror("http://mirror.invalid/"))


def test_a_listener_that_never_accepts_is_abandoned():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        assert "within 0.2 s" in failure(Mirror(f"http://127.0.0.1:{address[1]}/", timeout=0.2))
