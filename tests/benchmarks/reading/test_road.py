"""benchmarks/reading/road.py: what counts as read."""

import numpy as np

from benchmarks.reading.road import Brought, brought


def test_a_picture_is_read_if_one_thing_is_found_and_it_is_right():
    found = Brought(np.zeros((5, 28, 28), np.uint8), np.array([0, 1, 3, 3, 4]))
    labels = np.array([7, 7, 7, 7, 7], np.uint8)
    assert list(found.single(5)) == [True, True, False, False, True]
    # Right; wrong; nothing found; two found, one right; right.
    assert list(found.read(np.array([7, 1, 7, 2, 7]), labels)) == [True, False, False, False, True]


def test_pictures_keep_their_order_in_any_number_of_processes():
    pictures = []
    for number in range(600):
        picture = np.full((40, 40), 255, np.uint8)
        if number % 3:
            picture[8:32, 10 : 14 + number % 7] = 0
        pictures.append(picture)
    one, two = brought(pictures), brought(pictures, jobs=2)
    assert (one.owners == two.owners).all()
    assert (one.images == two.images).all()
    assert list(one.owners) == [number for number in range(600) if number % 3]


def test_nothing_found_at_all():
    found = brought([np.full((20, 20), 255, np.uint8)] * 3)
    assert found.images.shape == (0, 28, 28)
    assert not found.single(3).any()
