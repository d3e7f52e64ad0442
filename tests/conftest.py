"""What the tests of several rooms share."""

import pytest

from under20k.data import Mnist, load


@pytest.fixture(scope="session")
def mnist() -> Mnist:
    """The real images, from the user's own cache or fetched into it."""
    return load()
