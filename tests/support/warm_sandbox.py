"""One process that runs models for the whole session.

Starting one imports torch, seconds of CPU that each test of ``check`` would pay anew. Idle ones are kept here
and reused, as ``check`` itself reuses one for the models of a folder. A test that looks at the start, the end
or the environment of that process has the mark ``cold_sandbox``. Any test gets a process of its own where the
environment is not the session's.
"""

import os
from collections.abc import Iterator

import pytest

from under20k.checking.sandbox import sandbox, server
from under20k.checking.sandbox.messages import Answer, Request


def environment() -> dict[str, str]:
    """Return the environment without what pytest and its plugins put there as they go."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


class Pool:
    """The servers that are idle, by their jail and whether they read MNIST."""

    def __init__(self) -> None:
        self.idle: dict[tuple[str, bool], list[WarmServer]] = {}
        self.cold = False
        self._about = self._what_a_server_depends_on()

    @staticmethod
    def _what_a_server_depends_on() -> object:
        return environment(), server.WORKER, server.FORKS

    def server(self, jail: str, *, reads_mnist: bool) -> server.Server:
        """Return an idle server, or a new one."""
        if self.cold or not server.FORKS or self._about != self._what_a_server_depends_on():
            return server.Server(jail, reads_mnist=reads_mnist)
        idle = self.idle.setdefault((jail, reads_mnist), [])
        return idle.pop() if idle else WarmServer(idle, jail, reads_mnist)

    def close(self) -> None:
        for idle in self.idle.values():
            for warm in idle:
                server.Server.close(warm)


class WarmServer(server.Server):
    """A server that goes back to the idle ones when it is closed."""

    def __init__(self, idle: "list[WarmServer]", jail: str, reads_mnist: bool) -> None:
        super().__init__(jail, reads_mnist=reads_mnist)
        self._idle, self._busy = idle, False

    def ask(self, request: Request) -> Answer:
        self._busy = True
        answer = super().ask(request)
        self._busy = False
        return answer

    def close(self) -> None:
        if self._busy or self.stopped:
            super().close()
        else:
            self._idle.append(self)


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
