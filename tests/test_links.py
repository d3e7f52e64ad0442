"""Every relative link in a Markdown page leads to a file, and every anchor to a heading."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.support import ROOT

PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for folder in (".", ".github", "docs", "records", "results", "benchmarks", "native")
    for page in (ROOT / folder).glob("*.md" if folder == "." else "**/*.md")
)
TEXT, TARGET = r"\[(?:[^][]|\[[^]]*\])*\]", r"<?([^)\s>]+)>?"
LINK = re.compile(rf"{TEXT}\({TARGET}(?: \"[^\"]*\")?\)|^ {{0,3}}\[[^]]+\]:\s+{TARGET}", re.M)
FENCED = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)


def without_code(text: str) -> str:
    """Blank out fenced blocks, comments and inline code."""
    text = FENCED.sub("", text)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    return re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "``", text, flags=re.S)


def links(text: str) -> list[str]:
    """Return the targets of a page's links and pictures."""
    return [inline or reference for inline, reference in LINK.findall(without_code(text))]


def anchors(text: str) -> Iterator[str]:
    """Yield the anchors that GitHub gives to a page's headings."""
    seen: dict[str, int] = {}
    text = FENCED.sub("", text)
    for heading in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", text, re.M):
        plain = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        count = seen[slug] = seen.get(slug, -1) + 1
        yield f"{slug}-{count}" if count else slug


def broken(page: Path, root: Path = ROOT) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    wrong = []
    text = page.read_text("utf-8")
    for link in links(text):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = page.parent / path if path else page
        found = target.exists() and target.resolve().is_relative_to(root)
        if found and anchor and target.suffix == ".md":
            found = anchor in anchors(target.read_text("utf-8"))
        if not found:
            wrong.append(link)
    return wrong


def test_the_pages_are_found():
    assert {"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "docs/check.md"} <= set(PAGES)
    assert [page for page in PAGES if page.startswith("records/")]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_resolves(page):
    assert broken(ROOT / page) == []


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "other.md").write_text("# Two `words`, (here)\n## Twice\n## Twice\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Top\n[a](other.md#two-words-here) [b](other.md#twice-1) [c](#top)\n"
        "![d](gone.png) [e](other.md#three)\n"
        '[f](https://example.org/gone) `[g](gone.md)` [h][1] [i](../outside.md) [`j`](gone.md "title")\n\n'
        "[1]: gone/1.md\n\n```\n[k](gone.md)\n```\n"
    )
    assert broken(page, tmp_path) == ["gone.png", "other.md#three", "../outside.md", "gone.md", "gone/1.md"]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_targets_that_make_has(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    named = re.findall(r"`(?:[A-Z_]+=\S+ )*make ([a-z][a-z-]*)[^`]*`", (ROOT / page).read_text("utf-8"))
    assert set(named) <= targets
