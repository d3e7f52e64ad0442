"""What the tests of several rooms share."""

import signal

import pytest

from under20k.data import Mnist, load


def pytest_configure() -> None:
    """Have Ctrl-C work, in the processes that tests start too: a shell's background job ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def mnist() -> Mnist:
    """The real images, from the user's own cache or fetched into it."""
    return load()
