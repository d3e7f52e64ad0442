"""The drawing page's scripts for its tests."""

import pytest

from tests.support import page_scripts


@pytest.fixture(scope="module")
def page(browser):
    """An empty page with the scripts that compute."""
    opened = browser.new_page()
    faults = []
    opened.on("pageerror", lambda fault: faults.append(fault))
    page_scripts.load(opened)
    assert faults == []
    yield opened
    opened.close()
    assert faults == []
