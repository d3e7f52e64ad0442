"""What the tests of several rooms share."""

import importlib.util
import signal
from types import ModuleType

import pytest

from tests.support import ROOT
from under20k.data import Mnist, load

pytest_plugins = [
    "tests.support.cpu_time",
    "tests.support.downloads",
    "tests.support.pages",
    "tests.support.warm_sandbox",
]


def pytest_configure() -> None:
    """Have Ctrl-C work, in the processes that tests start too: a shell's background job ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def mnist() -> Mnist:
    """The real images, from the user's own cache or fetched into it."""
    return load()


@pytest.fixture(scope="session")
def generator() -> ModuleType:
    """The tool that writes the generated pages."""
    path = ROOT / "tools" / "readme.py"
    spec = importlib.util.spec_from_file_location("readme_generator", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
