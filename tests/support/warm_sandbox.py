"""One process that runs models for the whole session.

Starting one imports torch, seconds of CPU that each test of ``check`` would pay anew. Idle ones are kept here
and reused, as ``check`` itself reuses one for the models of a folder. A test that looks at the start, the end
or the environment of that process has the mark ``cold_sandbox``. A test gets one that was started in the
same environment.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from under20k.checking.sandbox import sandbox, server
from under20k.checking.sandbox.messages import Answer, Request

MAX_IDLE = 4


def environment() -> dict[str, str]:
    """Return the environment without what pytest and its plugins put there as they go."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


class Pool:
    """The servers that are idle. Each serves tests that ask for what it was started with."""

    def __init__(self) -> None:
        self.idle: list[WarmServer] = []
        self.cold = False

    def server(self, jail: str, *, reads_mnist: bool, data_dir: Path | None = None) -> server.Server:
        """Return an idle server, or a new one."""
        if self.cold or not server.FORKS:
            return server.Server(jail, reads_mnist=reads_mnist, data_dir=data_dir)
        about = jail, reads_mnist, data_dir, server.WORKER, environment()
        for warm in self.idle:
            if warm.about == about:
                self.idle.remove(warm)
                return warm
        return WarmServer(self, about)

    def put(self, warm: "WarmServer") -> None:
        """Keep a server, of the last few."""
        self.idle.append(warm)
        while len(self.idle) > MAX_IDLE:
            server.Server.close(self.idle.pop(0))

    def close(self) -> None:
        while self.idle:
            server.Server.close(self.idle.pop())


class WarmServer(server.Server):
    """A server that goes back to the idle ones when it is closed."""

    def __init__(self, pool: Pool, about: tuple[Any, ...]) -> None:
        self.about, self._pool, self._busy = about, pool, False
        super().__init__(about[0], reads_mnist=about[1], data_dir=about[2])

    def ask(self, request: Request) -> Answer:
        self._busy = True
        answer = super().ask(request)
        self._busy = False
        return answer

    def close(self) -> None:
        if self._busy or self.stopped:
            super().close()
        else:
            self._pool.put(self)


POOL = Pool()


@pytest.fixture(scope="session", autouse=True)
def warm_sandbox() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "Server", POOL.server)
        yield
        POOL.close()


@pytest.hookimpl(tryfirst=True)  # before the fixtures
def pytest_runtest_setup(item: pytest.Item) -> None:
    POOL.cold = item.get_closest_marker("cold_sandbox") is not None
