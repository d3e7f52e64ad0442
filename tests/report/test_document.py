import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import escape

from under20k.report.document import (
    Bullets,
    Cards,
    Code,
    Details,
    Document,
    Grid,
    Heading,
    Picture,
    Section,
    Text,
)
from under20k.report.markdown import one_line
from under20k.report.tables import Table


def document(text: str) -> Document:
    table = Table((text, "b"), ((text, "1"), ("c", text)), caption=text, notes=(text,), marked=frozenset({1}))
    picture = Picture("a b.png", b"\x89PNG", text)
    return Document(text, (Text(text), Code(text)), (Section(text, (Bullets((text,)), table, picture)),))


def test_html_shows_hostile_text_as_text(hostile, outline_of):
    outline = outline_of(document(hostile).html())
    for tag in ("title", "h1", "h2", "p", "li", "caption", "th", "td", "code"):
        assert hostile in outline.of(tag), tag
    assert "script" not in {tag for tag, _ in outline.tags}
    images = [attributes for tag, attributes in outline.tags if tag == "img"]
    assert [image["alt"] for image in images] == [hostile]
    assert images[0]["src"] == "data:image/png;base64,iVBORw=="


def test_html_names_rows_and_columns(outline_of):
    outline = outline_of(document("x").html())
    scopes = [attributes.get("scope") for tag, attributes in outline.tags if tag == "th"]
    assert scopes == ["col", "col", "row", "row"]
    assert ("html", {"lang": "en"}) in outline.tags
    row = {"role": "row"}
    rows = [attributes for tag, attributes in outline.tags if tag == "tr"]
    assert rows == [row, row, {**row, "class": "marked"}]
    labels = [attributes["data-label"] for tag, attributes in outline.tags if tag == "td"]
    assert labels == ["b", "b"]


def test_what_is_met_and_missed_has_a_class_of_its_own(outline_of):
    table = Table(("a", "b", "c"), (("r", "✓ passed", "✗ failed"), ("s", "passed ✓", "–")))
    outline = outline_of(Document("t", (table,)).html())
    assert [attributes["class"] for tag, attributes in outline.tags if tag == "td"] == [
        "r pass",
        "r fail",
        "r",
        "r none",
    ]


def test_cards_are_a_table_in_markdown_and_leave_out_what_is_missing(outline_of):
    table = Table(
        ("Recipe", "Epochs", "Accuracy", "Target", "p"), (("small", "2", "99.41%", "✓ reached", "–"),)
    )
    document = Document("t", (Cards(table, verdict="Target", figure="Accuracy"),))
    assert document.markdown() == f"# t\n\n{table.markdown()}\n"
    outline = outline_of(document.html())
    assert outline.of("p") == ["small", "✓ reached", "99.41%"]
    assert (outline.of("dt"), outline.of("dd")) == (["Epochs"], ["2"])
    assert ("li", {"class": "card pass"}) in outline.tags


def test_details_are_folded_in_both(outline_of, hostile):
    table = Table(("a", "b"), (("c", "1"),))
    document = Document("t", (), (Section("S", (Details(hostile, (Heading("H"), Text("*x*"), table)),)),))
    outline = outline_of(document.html())
    assert outline.of("summary") == [hostile]
    assert outline.of("h3") == ["H"]
    assert document.markdown() == (
        f"# t\n\n## S\n\n<details>\n<summary>{escape(hostile)}</summary>\n\n### H\n\n\\*x\\*\n\n"
        f"{table.markdown()}\n\n</details>\n"
    )


def test_dark_pictures_in_both(outline_of, tmp_path):
    light, dark = b"\x89PNG1", b"\x89PNG2"
    folded = Details("d", (Picture("c.png", light, "C"),))
    pictures = Grid((Picture("a b.png", light, '"A"', dark), Picture("b.png", light, "B")))
    document = Document("t", (pictures, folded))
    assert document.markdown() == (
        '# t\n\n<picture><source media="(prefers-color-scheme: dark)" srcset="a%20b-dark.png">'
        '<img src="a%20b.png" alt="&#34;A&#34;"></picture>\n\n![B](b.png)\n\n'
        "<details>\n<summary>d</summary>\n\n![C](c.png)\n\n</details>\n"
    )
    tags = outline_of(document.html()).tags
    images = [(attributes.get("class"), attributes["src"]) for tag, attributes in tags if tag == "img"]
    both, one = pictures.pictures
    assert images[:2] == [("light", both.data_uri), ("dark", both.dark_data_uri)]
    assert images[2:] == [(None, one.data_uri), (None, folded.blocks[0].data_uri)]
    assert [attributes["alt"] for tag, attributes in tags if tag == "img"] == ['"A"', '"A"', "B", "C"]
    document.write_pictures(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a b.png": light,
        "a b-dark.png": dark,
        "b.png": light,
        "c.png": light,
    }


def test_contents_link_to_the_sections(outline_of):
    sections = tuple(Section(title, (Text("x"),)) for title in ("First part", "Second"))
    outline = outline_of(Document("t", (), sections).html())
    links = [attributes["href"] for tag, attributes in outline.tags if tag == "a"]
    ids = [attributes["id"] for tag, attributes in outline.tags if tag == "h2"]
    assert links == ["#first-part", "#second"]
    assert ids == ["first-part", "second"]


def test_markdown_of_a_small_report():
    table = Table(("a", "b"), (("c", "1"),))
    blocks = (
        Text("A text."),
        Bullets(("one", "two")),
        Code("run it\nagain"),
        table,
        Picture("p.png", b"", "P"),
    )
    assert Document("T", (Text("Lead."),), (Section("S", blocks),)).markdown() == (
        "# T\n\nLead.\n\n## S\n\nA text.\n\n- one\n- two\n\n    run it\n    again\n\n"
        "| a   |   b |\n| --- | --: |\n| c   |   1 |\n\n![P](p.png)\n"
    )


def test_markdown_escapes_what_would_be_read(hostile):
    lines = document(hostile).markdown().splitlines()
    escaped = (
        "\\<script>alert(\"1\")\\</script> & 'a' | \\`b\\` \\*c\\* [d\\](http://e) ![f\\](g) {{ h }} "
        "\\~\\~i\\~\\~ \\<!-- \\\\ -->"
    )
    assert f"# {escaped}" in lines
    assert f"- {escaped}" in lines
    assert f"    {hostile}" in lines
    assert lines[-1].endswith("](a%20b.png)")
    assert lines[-1].count("](") == 1 + lines[-1].count("\\](")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# a", "\\# a"),
        ("> a", "\\> a"),
        ("- a", "\\- a"),
        ("+0.34 points", "+0.34 points"),
        ("1. a", "1\\. a"),
        ("99.40% is 1) x", "99.40% is 1) x"),
        ("---", "\\---"),
        ("[x] a", "\\[x] a"),
        ("batch_norm and _a_", "batch_norm and \\_a\\_"),
        ("a < b and 3 <4", "a < b and 3 <4"),
        ("&lt; & more", "\\&lt; & more"),
    ],
)
def test_markdown_of_a_paragraph(text, shown):
    assert Document("T", (Text(text),)).markdown().splitlines()[2] == shown


@given(st.text(max_size=40), st.text(max_size=40))
def test_markdown_cells_read_back(first, second):
    line = Table(("h", "i"), ((first, second),)).markdown().splitlines()[2]
    cells = re.split(r"(?<!\\)\|", line.replace("\\\\", "\0"))[1:-1]
    unescaped = [re.sub(r"\\(.)", r"\1", cell).replace("\0", "\\").strip() for cell in cells]
    assert unescaped == [one_line(first).strip(), one_line(second).strip()]


@settings(deadline=None)  # the first example compiles the template
@given(st.text(max_size=60))
def test_html_is_balanced_for_any_text(outline_of, text):
    # A parser drops what no document may hold; the tables have done so already.
    clean = one_line(text)
    assert outline_of(document(clean).html()).of("code") == ([clean] if clean else [])
