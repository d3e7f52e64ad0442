"""Tables, pictures and bars as HTML for a notebook's cell, in the notebook's own colours, light or dark.

Styles are inline, since some notebooks drop style sheets; what is faint is translucent rather than grey.
"""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

from under20k.report.document import Picture
from under20k.report.tables import Table
from under20k.report.words import MISSED, PASSED

LINE = "1px solid rgba(128,128,128,.3)"
FAINT = "opacity:.7"
LONG = 28
"""Characters from which a cell's text is wrapped."""
# Readable on white and on black.
SIGNS = {PASSED: "#2a9157", MISSED: "#dd4b3e", "!": "#b7791f"}
"""Colours of texts that begin with these signs; the words beside them say the same."""
DARK = ('[data-jp-theme-light="false"]', "body.vscode-dark", 'html[theme="dark"]')
"""Selectors of a dark page, as JupyterLab and Notebook, VS Code and Colab mark it."""


def joined(parts: Iterable[str]) -> Markup:
    """Return parts below each other; what is no Markup is escaped."""
    return Markup("\n").join(parts)


def box(*parts: str) -> Markup:
    """Return a cell's output."""
    return Markup("<div>{}</div>").format(joined(parts))


def beside(*parts: str) -> Markup:
    """Return parts beside each other, as many as the page has room for."""
    style = "display:flex;flex-wrap:wrap;gap:0 2em;align-items:flex-start"
    return Markup('<div style="{}">{}</div>').format(style, joined(parts))


def line(text: str, style: str = "") -> Markup:
    """Return a paragraph."""
    return Markup('<div style="margin:.25em 0;max-width:60em;{}">{}</div>').format(style, coloured(text))


def headline(title: str, text: str = "") -> Markup:
    """Return a name in bold and what there is to say of it."""
    return Markup('<div style="margin:.25em 0;max-width:60em"><b>{}</b> {}</div>').format(
        title, coloured(text)
    )


def folded(summary: str, *parts: str) -> Markup:
    """Return parts that a click shows."""
    return Markup(
        '<details style="margin:.25em 0"><summary style="cursor:pointer">{}</summary>{}</details>'
    ).format(summary, joined(parts))


def coloured(text: str) -> Markup:
    """Return a text; one of ``SIGNS`` at its start in colour, and so the whole if it is short."""
    colour = SIGNS.get(text[:1])
    if colour is None:
        return escape(text)
    end = 1 if len(text) > LONG else len(text)
    return Markup('<span style="color:{}">{}</span>{}').format(colour, text[:end], text[end:])


def table_html(table: Table) -> Markup:
    """Return a table, its caption above and its notes below."""
    header = [_cell("th", cell, side, "border-bottom:" + LINE) for cell, side in table.html_header]
    rows = [
        Markup('<tr style="background:{}">{}</tr>').format(
            "rgba(255,196,0,.15)" if marked else "none",
            Markup("").join(_cell("td", cell, side) for cell, side in cells),
        )
        for marked, cells in table.html_rows
    ]
    caption = line(table.caption) if table.caption else ""
    notes = [line(note, f"font-size:.9em;{FAINT}") for note in table.notes]
    return Markup(
        '<div style="overflow-x:auto;margin:.4em 0">{}'
        '<table style="border-collapse:collapse;margin:0;font-variant-numeric:tabular-nums">'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table>{}</div>"
    ).format(caption, Markup("").join(header), Markup("").join(rows), Markup("").join(notes))


def picture_html(picture: Picture, width_px: int = 640) -> Markup:
    """Return a picture, and on a dark page its dark variant, if it has one."""
    shape = f"max-width:100%;width:{width_px}px;height:auto;border-radius:4px;background:none"
    image = Markup('<img class="{}" src="{}" alt="{}" style="{}">')
    light = image.format("under20k-light", picture.data_uri, picture.alt, shape)
    if not picture.dark_png:
        return light
    dark = image.format("under20k-dark", picture.dark_data_uri, picture.alt, f"{shape};display:none")
    rules = [
        f"{page} .under20k-{name} {{ display: {shown} !important }}"
        for page in DARK
        for name, shown in (("light", "none"), ("dark", "inline"))
    ]
    return Markup("<style>{}</style>{}{}").format(Markup(" ".join(rules)), light, dark)


def bar_html(fraction: float | None, text: str) -> Markup:
    """Return a bar, filled to ``fraction`` or moving without end, and a text beside it."""
    if fraction is None:
        return Markup('<progress style="width:20em"></progress> {}').format(text)
    percentage = f"{100 * min(max(fraction, 0.0), 1.0):.1f}"
    return Markup(
        '<div style="display:flex;flex-wrap:wrap;align-items:center;gap:0 1em;margin:.4em 0">'
        '<div role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{}" '
        'style="width:20em;height:.55em;border-radius:.3em;background:rgba(128,128,128,.3);overflow:hidden">'
        '<div style="width:{}%;height:100%;background:#3b8ad0"></div></div>'
        '<span style="font-variant-numeric:tabular-nums">{}</span></div>'
    ).format(percentage, percentage, text)


def _cell(tag: str, text: str, side: str, more: str = "") -> Markup:
    align = "right" if side == "r" else "left"
    space = "nowrap"
    if tag == "th":
        space = "normal"
    elif len(text) > LONG:
        space = f"normal;max-width:32em;min-width:{LONG // 2}em;overflow-wrap:anywhere"
    place = f"text-align:{align};vertical-align:{'bottom' if tag == 'th' else 'top'}"
    style = f"{place};padding:.15em .8em .15em 0;min-width:2.2em;white-space:{space};{more}"
    return Markup('<{0} style="{1}">{2}</{0}>').format(Markup(tag), style, coloured(text))
