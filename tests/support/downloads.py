import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import under20k.data.fetch
from tests.support.loopback import Server
from under20k.data import VARIABLE
from under20k.data.events import Downloaded, FetchEvent, FetchWarning, SourceDone, SourceTried


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder that does not exist yet, instead of the user's."""
    folder = tmp_path / "cache" / "mnist"
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(under20k.data.fetch, "cache_folder", lambda: folder)
    return folder


class Log:
    """Remembers the events of a download."""

    def __init__(self) -> None:
        self.sources: list[str] = []
        self.outcomes: list[str] = []
        self.warnings: list[str] = []
        self.steps: list[tuple[str, int, int]] = []

    def __call__(self, event: FetchEvent) -> None:
        match event:
            case SourceTried(source=source):
                self.sources.append(source)
            case Downloaded(file=file, done_bytes=done, total_bytes=total):
                self.steps.append((file, done, total))
            case SourceDone(outcome=outcome):
                self.outcomes.append(outcome)
            case FetchWarning(text=text):
                self.warnings.append(text)


@pytest.fixture
def log() -> Log:
    return Log()
