"""A browser for the tests of pages: Chromium or Chrome as installed; Playwright downloads none."""

import os
import shutil
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def unavailable(why: str) -> NoReturn:
    """Skip the test, or fail it where UNDER20K_BROWSER says that the browser is required."""
    if os.environ.get("UNDER20K_BROWSER") == "required":
        pytest.fail(f"{why}, and UNDER20K_BROWSER=required")
    pytest.skip(f"{why}: the pages were not looked at")


# Of a module: while Playwright runs, so does an event loop, and other tests start their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The browser, without a window."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        unavailable("Playwright is not installed")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        unavailable("no Chromium or Chrome on PATH (make browser installs one)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path)
        yield started
        started.close()
