"""benchmarks/reading/road.py: what counts as read."""

import numpy as np

from benchmarks.reading.prepared import Prepared
from benchmarks.reading.road import Brought, alone, brought


def test_a_picture_is_read_if_one_digit_is_found_and_it_is_right():
    labels = np.full(5, 7, np.uint8)
    probabilities = np.eye(10)[[7, 1, 7, 2, 7]]
    # Right; wrong; nothing found; two found, one of them right; right.
    found = Brought(np.zeros((5, 28, 28), np.uint8), np.array([0, 1, 3, 3, 4]), {})
    assert list(alone(found.owners, 5)) == [True, True, False, False, True]
    assert list(Prepared("", labels, found).right(probabilities)) == [0, 4]


def test_two_digits_that_touch_are_two_if_the_network_believes_so():
    picture = np.full((60, 90), 255, np.uint8)
    picture[10:50, 10:18] = picture[46:50, 10:50] = picture[10:50, 46:54] = 0
    found = brought([picture, picture])
    assert set(found.uncertain) <= {0, 1}
    assert len(found.owners) == len(found.images)
    for belief in (np.full(len(found.images), 0.5), np.linspace(0.1, 0.9, len(found.images))):
        probabilities = np.eye(10)[3] * belief[:, None]
        kept = found.kept(probabilities)
        assert set(found.owners[kept]) == {0, 1}
        assert len(kept) <= len(found.images)


def test_pictures_keep_their_order_in_any_number_of_processes():
    pictures = []
    for number in range(600):
        picture = np.full((100, 100), 255, np.uint8)
        if number % 3:
            picture[20:60, 40 : 48 + number % 7] = 0
        pictures.append(picture)
    one, two = brought(pictures), brought(pictures, jobs=2)
    assert (one.owners == two.owners).all()
    assert (one.images == two.images).all()
    assert list(one.owners) == [number for number in range(600) if number % 3]


def test_nothing_found_at_all():
    found = brought([np.full((100, 100), 255, np.uint8)] * 3)
    assert found.images.shape == (0, 28, 28)
    assert not alone(found.owners, 3).any()
