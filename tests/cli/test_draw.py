"""``under20k draw`` as a user types it, with good and bad input."""

import json
import os
import signal
import sys
import urllib.request
import webbrowser

import pytest

from tests.support import command
from under20k.cli import draw
from under20k.cli.main import main


def test_it_serves_the_page_until_ctrl_c(tmp_path):
    process = command.start(tmp_path, "draw", "--no-browser")
    address = process.stdout.readline().strip()
    assert command.read_until(process, "Ctrl-C ends it") == ["Ctrl-C ends it\n"]
    with urllib.request.urlopen(address, timeout=20) as answer:
        text = answer.read().decode()
    models = json.loads(text.partition('id="models">')[2].partition("</script>")[0])["models"]
    assert [model["name"] for model in models] == ["minimal", "regularized-plus", "shared-weights"]
    code, out, err = command.end(process, signal.SIGINT)
    assert (code, out, err) == (130, "", "interrupted; the page is closed\n")
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address, timeout=20)


def test_quiet_prints_the_address_alone(tmp_path):
    process = command.start(tmp_path, "draw", "shared-weights", "--no-browser", "-q")
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    code, _, err = command.end(process, signal.SIGTERM)
    assert (code, err) == (143, "terminated; the page is closed\n")


def test_a_browser_is_opened(tmp_path):
    """The one that BROWSER names, here a program that fetches the page."""
    fetched = tmp_path / "fetched.html"
    program = tmp_path / "browser"
    program.write_text(
        f"#!{sys.executable}\nimport sys, urllib.request\n"
        f"open({str(fetched)!r}, 'wb').write(urllib.request.urlopen(sys.argv[1]).read())\n"
    )
    program.chmod(0o755)
    environment = {**os.environ, "BROWSER": f"{program} %s &"}
    process = command.start(tmp_path, "draw", "shared-weights", env=environment)
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    assert command.read_until(process, "Ctrl-C") == ["Ctrl-C ends it\n"]
    assert command.wait_for(lambda: fetched.exists() and fetched.read_text("utf-8").endswith("</html>\n"))
    command.end(process, signal.SIGINT)


def test_torch_is_not_needed(tmp_path):
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from under20k.cli.main import main\n"
        "code = main(['draw', 'minimal', '--output', 'page.html'])\n"
        "assert not {'matplotlib', 'PIL'} & set(sys.modules), 'not needed'\n"
        "sys.exit(code)"
    )
    done = command.subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "page.html\n", "")


def test_the_page_as_a_file(small, tmp_path, capsys):
    assert main(["draw", "runs/small", "minimal", "--output", "pages/draw.html"]) == 0
    assert capsys.readouterr() == ("pages/draw.html\n", "")
    text = (tmp_path / "pages" / "draw.html").read_text("utf-8")
    models = json.loads(text.partition('id="models">')[2].partition("</script>")[0])["models"]
    assert [model["name"] for model in models] == ["small", "minimal"]


def test_json(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["draw", "minimal", "--output", "draw.html", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": "draw.html", "models": ["minimal"]}
    process = command.start(tmp_path, "draw", "minimal", "--no-browser", "--json")
    found = json.loads(process.stdout.readline())
    assert found["models"] == ["minimal"]
    assert found["address"].startswith("http://127.0.0.1:")
    command.end(process, signal.SIGINT)


@pytest.fixture
def surroundings(monkeypatch):
    """A machine of Linux without a display, whose browsers would be remembered."""
    opened = []
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    return opened


def test_without_a_display_no_browser_is_tried(surroundings, monkeypatch):
    assert not draw.open_browser("http://127.0.0.1:8000/")
    assert surroundings == []
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert draw.open_browser("http://127.0.0.1:8000/")
    assert surroundings == ["http://127.0.0.1:8000/"]


def test_what_to_do_without_a_browser(surroundings, monkeypatch):
    assert draw.ending(8000, opened=True, wanted=True) == "Ctrl-C ends it"
    assert draw.ending(8000, opened=False, wanted=False) == "Ctrl-C ends it"
    assert (
        draw.ending(8000, opened=False, wanted=True)
        == "no browser was found; open the address in one; Ctrl-C ends it"
    )
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 1 10.0.0.2 22")
    assert "ssh -N -L 8000:127.0.0.1:8000" in draw.ending(8000, opened=False, wanted=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["minimall"], "there is no model 'minimall'; did you mean 'minimal'?"),
        (["runs/none"], "there is no model 'runs/none'; "),
        (["--port", "0"], "--port is 0; expected 1 to 65535"),
        (["--port", "70000"], "--port is 70000; expected 1 to 65535"),
        (["--port", "x"], "--port"),
        (
            ["--output", "x.html", "--no-browser"],
            "--output serves nothing; leave out --port and --no-browser",
        ),
        (["--output", "."], ". cannot be written"),
    ],
)
def test_bad_input_is_one_line(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["draw", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert said in err


def test_a_port_in_use_is_one_line(capsys, monkeypatch):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["draw", "--no-browser", "--port", str(port)]) == 2
    assert capsys.readouterr().err == (
        f"under20k: --port is {port}; another program uses it; leave it out for a free one\n"
    )
