"""Values that draw themselves in a notebook."""

from __future__ import annotations

from importlib import import_module


class Drawable:
    """Base of the values that a notebook shows as tables and pictures, and all else as one line of text."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        """Return HTML for a notebook's cell; None, for which it shows the text, where drawing fails."""
        try:
            # By its name, since values lie in rooms below the report's, which they must not import.
            html: str = import_module("under20k.report.notebook").drawn(self)
        except Exception:  # of a damaged run, for example: showing a value must not end in a traceback
            return None
        return html
