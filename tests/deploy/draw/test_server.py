"""The server: the page to this machine's browsers, and nothing to anybody else."""

import socket
import threading
from http.client import HTTPConnection, RemoteDisconnected

import pytest

from tests.support.small_models import model_of
from under20k.deploy.draw.bundle import page
from under20k.deploy.draw.models import Embedded
from under20k.deploy.draw.server import Handler, PageServer
from under20k.errors import UserError

PAGE = page([Embedded(model_of("1p,2p|l"))])


@pytest.fixture(scope="module")
def server():
    with PageServer(PAGE) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


def asked(server, path="/", method="GET", host=None):
    """The answer to a request, under the server's own name by default."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    for name in [f"127.0.0.1:{server.server_port}"] if host is None else host:
        connection.putheader("Host", name)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_it_answers_with_the_page(server):
    answer, body = asked(server)
    assert (answer.status, body.decode()) == (200, PAGE.html)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == f"{PAGE.policy}; frame-ancestors 'none'"
    assert "Python" not in str(answer.headers)
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_the_head_alone_has_no_body(server):
    answer, body = asked(server, method="HEAD")
    assert (answer.status, body) == (200, b"")
    assert int(answer.headers["Content-Length"]) == len(PAGE.html.encode())


@pytest.mark.parametrize("path", ["/x", "/../../etc/passwd", "/?x", "/page/app.js", "http://other/", "*"])
def test_nothing_else_is_there(server, path):
    answer, body = asked(server, path)
    assert (answer.status, len(body) < 100) == (404, True)


def test_the_icon_is_none_without_an_error(server):
    assert asked(server, "/favicon.ico")[0].status == 204


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_sent(server, method):
    assert asked(server, method=method)[0].status == 501


@pytest.mark.parametrize(
    "host",
    [
        ["evil.example"],
        ["evil.example:{port}"],
        ["127.0.0.1"],
        ["127.0.0.1:1"],
        ["127.0.0.1.evil.example:{port}"],
        [""],
        [],
        ["127.0.0.1:{port}", "evil.example"],
    ],
)
def test_a_page_from_elsewhere_whose_name_means_this_machine_gets_nothing(server, host):
    answer, body = asked(server, host=[name.format(port=server.server_port) for name in host])
    assert answer.status == 421
    assert b"<html" not in body


def test_localhost_is_this_machine(server):
    assert asked(server, host=[f"localhost:{server.server_port}"])[0].status == 200


def test_it_listens_on_loopback_alone(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"
    assert server.address == f"http://127.0.0.1:{server.server_port}/"


def test_a_client_that_says_nothing_does_not_hold_up_others(server):
    with socket.create_connection(("127.0.0.1", server.server_port)):
        assert asked(server)[0].status == 200


def test_a_port_in_use_and_one_that_is_none_are_refused(server):
    with pytest.raises(UserError, match=f"port: {server.server_port}; another program uses it"):
        PageServer(PAGE, server.server_port)
    with pytest.raises(UserError, match="port: 65536; expected 1 to 65535"):
        PageServer(PAGE, 65536)


def test_a_port_of_the_system_is_refused_in_words(monkeypatch):
    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refused)
    with pytest.raises(UserError, match="port: 80; the system keeps it for administrators; leave it out"):
        PageServer(PAGE, 80)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BrokenPipeError(), False),
        (ConnectionResetError(), False),
        (TimeoutError(), False),
        (KeyError("a fault of ours"), True),
    ],
)
def test_a_fault_of_ours_is_said_and_no_browser_that_went_away(server, monkeypatch, capsys, error, said):
    failed = threading.Event()

    def fail(self):
        failed.set()
        raise error

    monkeypatch.setattr(Handler, "do_GET", fail)
    with pytest.raises(RemoteDisconnected):
        asked(server)
    assert failed.is_set()
    monkeypatch.undo()
    asked(server)
    assert ("a fault of ours" in capsys.readouterr().err) is said
