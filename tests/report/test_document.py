import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from under20k.report.document import Bullets, Code, Document, Picture, Section, Text
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
    assert [attributes for tag, attributes in outline.tags if tag == "tr"] == [{}, {}, {"class": "marked"}]


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
