import contextlib
import gzip
import hashlib
import io
import json
import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from PIL import Image

import under20k.data
from tests.support.printed import ENCODING
from under20k.cli.main import main
from under20k.data import MNIST, VARIABLE, Mnist


@pytest.fixture
def here(tmp_path, monkeypatch, mnist: Mnist) -> Path:
    """An empty current folder, with the files in the user's cache."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_tells_where_the_files_are_and_draws_the_sheet(here, capsys):
    assert main(["data"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert re.search(r"^folder: +/", out, re.M)
    assert re.search(r"^source: +(cache|given folder)$", out, re.M)
    for file in MNIST:
        assert re.search(rf"^{file.name} +{file.size:,}  {file.sha256}$", out, re.M)
    assert re.search(r"^train +50,000 +4,923 ", out, re.M)
    assert out.startswith("✓ MNIST is complete and verified\n")
    assert f"contact sheet: {here / 'mnist-samples.png'}" in out
    with Image.open(here / "mnist-samples.png") as image:
        assert image.format == "PNG"
    assert os.listdir(here) == ["mnist-samples.png"]


def test_json_has_the_same_figures(here, capsys, mnist: Mnist):
    assert main(["data", "--json", "--output", "sheets/a.png", "--samples", "2"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result) == {"folder", "source", "files", "splits", "contact_sheet"}
    for entry in result["files"]:
        content = Path(entry["path"]).read_bytes()
        assert len(content) == entry["size_bytes"]
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        assert str(Path(entry["path"]).parent) == result["folder"]
    assert {name: split["images"] for name, split in result["splits"].items()} == {
        "train": 50_000,
        "validation": 10_000,
        "test": 10_000,
    }
    for split in (mnist.train, mnist.validation):
        counts = [int((split.labels == digit).sum()) for digit in range(10)]
        assert result["splits"][split.name]["class_counts"] == counts
    assert result["splits"]["test"]["class_counts"] is None
    assert result["contact_sheet"] == str(here / "sheets" / "a.png")
    assert Path(result["contact_sheet"]).is_file()


def test_no_sheet(here, capsys):
    assert main(["data", "--no-sheet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["contact_sheet"] is None
    assert os.listdir(here) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--samples", "0"], "--samples is 0; give 1 to 100"),
        (["--samples", "101"], "--samples is 101"),
        (["--samples", "x"], "--samples"),
        (["--output", "a.jpg"], "--output is 'a.jpg'"),
        (["--output", "folder.png"], "folder.png cannot be written"),
        (["--data-dir", "file"], "must name a folder"),
    ],
)
def test_bad_options_are_one_line_and_leave_nothing(options, words, here, capsys):
    (here / "folder.png").mkdir()
    (here / "file").touch()
    assert main(["data", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert words in err
    assert sorted(os.listdir(here)) == ["file", "folder.png"]


CUT_OFF = """
import sys
from under20k.cli.main import main
from under20k.data import fetch
from under20k.data.sources import Mirror
fetch.obtain.__kwdefaults__["sources"] = [Mirror(url) for url in sys.argv[1].split()]
sys.exit(main(["data", *sys.argv[2:]]))
"""


def command(urls: str, *options: str) -> list[str]:
    return [sys.executable, "-c", CUT_OFF, urls, *options]


def environment(tmp_path: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != VARIABLE}
    return kept | {
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PYTHONPATH": str(Path(under20k.data.__file__).parents[2]),
    }


def test_off_a_terminal_a_fetch_is_a_line_a_source_and_failure_is_no_traceback(tmp_path, server):
    for file in MNIST:
        server.answers[f"/{file.name}.gz"] = lambda handler: handler.send_error(404)
    urls = f"{server.url} {server.url}second/"
    server.answers[f"/second/{MNIST[0].name}.gz"] = lambda handler: handler.send_error(503)
    done = subprocess.run(
        command(urls), env=environment(tmp_path), cwd=tmp_path, capture_output=True, encoding=ENCODING
    )
    first, second, error = done.stderr.splitlines()
    assert first == f"MNIST from {server.url}: failed: HTTP 404 Not Found"
    assert second == f"MNIST from {server.url}second/: failed: HTTP 503 Service Unavailable"
    assert error.startswith("under20k: could not download MNIST; put train-images-idx3-ubyte, ")
    assert (done.returncode, done.stdout) == (2, "")
    assert list(tmp_path.iterdir()) == []


def test_damage_is_reported_once(tmp_path, server, mnist: Mnist):
    for found in under20k.data.locate().values():
        (tmp_path / found.file.name).symlink_to(found.path)
    damaged = tmp_path / MNIST[1].name
    damaged.unlink()
    damaged.write_bytes(b"?")
    done = subprocess.run(
        command("http://127.0.0.1:9/", "--data-dir", str(tmp_path), "--no-sheet"),
        env=environment(tmp_path),
        capture_output=True,
        encoding=ENCODING,
    )
    warning, _, error = done.stderr.splitlines()
    assert warning.startswith(f"warning: {damaged} has SHA-256 ")
    assert MNIST[1].sha256 in error
    assert damaged.read_bytes() == b"?"


def test_on_a_terminal_a_download_shows_a_bar(tmp_path, server, mnist: Mnist):
    for found in under20k.data.locate().values():
        content = gzip.compress(found.path.read_bytes(), 1)
        server.files[f"/{found.file.name}.gz"] = content
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))  # a new one has no width, and a bar none either
    process = subprocess.Popen(
        command(server.url, "--no-sheet"),
        env=environment(tmp_path),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=theirs,
        encoding=ENCODING,
    )
    os.close(theirs)
    shown = io.BytesIO()
    with contextlib.suppress(OSError), open(ours, "rb", buffering=0) as terminal:  # EIO: they have gone
        while chunk := terminal.read(4096):
            shown.write(chunk)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert f"source:        {server.url}" in out
    text = shown.getvalue().decode()
    assert text.startswith(f"MNIST from {server.url}\r\n")
    assert re.search(r"train-images-idx3-ubyte:.*47.0M", text)
    assert text.endswith("done\r\n")
    assert (tmp_path / "cache" / "under20k" / "mnist" / MNIST[0].name).stat().st_size == 47_040_016


def test_help_names_the_options_and_imports_nothing_heavy(tmp_path):
    code = (
        "import contextlib, sys; from under20k.cli.main import main\n"
        "with contextlib.suppress(SystemExit): main(['data', '--help'])\n"
        "print([m for m in ('numpy', 'PIL', 'torch', 'tqdm') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path),
        capture_output=True,
        encoding=ENCODING,
        check=True,
    )
    for option in ("--data-dir", "--output", "--samples", "--json", "--no-sheet"):
        assert option in done.stdout
    assert done.stdout.endswith("\n[]\n")
