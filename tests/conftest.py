"""What the tests of several rooms share."""

import importlib.util
import signal
from collections.abc import Iterator
from types import ModuleType

import hypothesis
import pytest
import torch

from tests.support import ROOT
from under20k.data import Mnist, load

pytest_plugins = [
    "tests.support.browser",
    "tests.support.cpu_time",
    "tests.support.downloads",
    "tests.support.drawing_page",
    "tests.support.pages",
    "tests.support.warm_sandbox",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reproduced", metavar="RUNS", help="test this folder, the runs of `make reproduce`")


def pytest_configure() -> None:
    """Have Ctrl-C work, in the processes that tests start too: a shell's background job ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Processes beside this one make any example slow.
    hypothesis.settings.register_profile("suite", deadline=None)
    hypothesis.settings.load_profile("suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with slow tests first: pytest-xdist hands out whole files (--dist loadfile)."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def one_thread_and_own_signals() -> Iterator[None]:
    """Run on one thread, since nets are tiny and other tests run beside; restore what commands change."""
    threads, handler = torch.get_num_threads(), signal.getsignal(signal.SIGTERM)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    signal.signal(signal.SIGTERM, handler)


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
