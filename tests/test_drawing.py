"""Values that draw themselves, and those that cannot."""

from under20k.drawing import Drawable


def test_what_cannot_be_drawn_is_left_to_its_text():
    class Unknown(Drawable):
        pass

    assert Unknown()._repr_html_() is None
