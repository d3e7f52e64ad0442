"""The reports in a browser: nothing is cut off, on wide screens and narrow ones, light, dark and in print."""

import io
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.benches import bench_of
from under20k.checking.check import check
from under20k.checking.findings import Finding
from under20k.data import Mnist
from under20k.engine.evaluation import Evaluation, evaluate
from under20k.report.document import Details, Document, Grid, Picture, Section, Text
from under20k.report.reproduction.mistakes import Mistakes
from under20k.report.reproduction.page import write_reproduction

WIDTHS = (1280, 1024, 768, 390, 360)
PHONE = 390
SCREEN = (1280, 800)
A4 = 703
"""Pixels across a sheet between margins of 12 mm."""
CONTRAST = 4.5
"""Least ratio of luminances of text and its ground: AA of WCAG 2."""
WHITE, BLACK = [255, 255, 255], [0, 0, 0]


def mistaken(mnist: Mnist, seed: int, wrong: int) -> Evaluation:
    """Logits that are wrong on so many images of validation."""
    draw, labels = np.random.default_rng(seed), mnist.validation.labels
    logits = draw.normal(size=(len(labels), 10)).astype(np.float32)
    predicted = labels.astype(np.int64)
    at = draw.choice(len(labels), wrong, replace=False)
    predicted[at] = (predicted[at] + draw.integers(1, 10, wrong)) % 10
    logits[np.arange(len(labels)), predicted] += 12
    return replace(evaluate("validation", logits, labels), logits=logits)


@pytest.fixture(scope="module")
def report(generator: ModuleType, mnist: Mnist, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four recipes over ten seeds, checked, with mistakes made up."""
    benches = generator.reproduced()
    verdicts = {bench.recipe.name: check(bench.recipe) for bench in benches}
    evaluations = {
        bench.recipe.name: mistaken(mnist, seed, wrong)
        for seed, (bench, wrong) in enumerate(zip(benches, (60, 71, 46, 54), strict=True))
    }
    folder = tmp_path_factory.mktemp("report")
    mistakes = Mistakes(0, mnist.validation, evaluations)
    return write_reproduction(benches, verdicts, folder, benches[0].command, mistakes)


@pytest.fixture(scope="module")
def long_names(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report whose recipe, command, processor and findings have long names, without a space to break at."""
    name = "minimal-" + "x" * 190
    bench = bench_of([0.9912, 0.9921, 0.9931], processor="processor" * 20)
    bench = replace(bench, recipe=replace(bench.recipe, name=name))
    verdicts = {name: [Finding("rule" * 20, "requirement" * 20, "warning", "evidence" * 30)]}
    return write_reproduction([bench], verdicts, tmp_path_factory.mktemp("long"), "under20k" * 40)


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page at a width, its folded parts unfolded unless told otherwise."""
    contexts = []

    def open_page(path: Path, width: int = SCREEN[0], scheme: str = "light", unfold: bool = True) -> Any:
        size = {"width": width, "height": SCREEN[1]}
        contexts.append(browser.new_context(viewport=size, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.goto(path.as_uri())
        if unfold:
            page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        return page

    yield open_page
    for context in contexts:
        context.close()


def plain(text: str) -> str:
    """Without what keeps figures on one line."""
    return text.replace("\N{NO-BREAK SPACE}", " ")


# Elements beyond the window or their own box. What is there for screen readers alone is clipped to a pixel.
CUT = """() => {
  const width = document.documentElement.clientWidth, found = [];
  const named = one => `${one.tagName}.${one.className} ${one.textContent.trim().slice(0, 40)}`;
  for (const one of document.body.querySelectorAll('*')) {
    if (one.closest('.heard, source') || !one.checkVisibility()) continue;
    const box = one.getBoundingClientRect();
    if (getComputedStyle(one.closest('thead') ?? one).clipPath !== 'none') continue;
    if (box.left < -0.5 || box.right > width + 0.5) found.push('outside: ' + named(one));
    if (one.scrollWidth > one.clientWidth + 1 && one.clientWidth) found.push('cut: ' + named(one));
  }
  return found;
}"""


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_off(opened, report, width):
    page = opened(report, width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("table").count() >= 12
    assert page.evaluate(CUT) == []


# Words of tables that stand on two lines; a hyphen may end a line, as may a slash.
BROKEN = """() => {
  const found = [], range = document.createRange();
  for (const cell of document.querySelectorAll('th, td')) {
    const text = cell.firstChild;
    if (!text || getComputedStyle(cell.closest('thead') ?? cell).clipPath !== 'none') continue;
    for (const word of text.data.matchAll(/[^\\s\\-–—/]+/g)) {
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1) found.push(word[0]);
    }
  }
  return found;
}"""


@pytest.mark.parametrize(("width", "media"), [*((width, "screen") for width in WIDTHS), (A4, "print")])
def test_no_word_of_a_table_is_broken(opened, report, width, media):
    page = opened(report, width)
    page.emulate_media(media=media)
    # A commit's hash is longer than a phone's line.
    broken = [word for word in page.evaluate(BROKEN) if not re.fullmatch("[0-9a-f]{40}", word)]
    assert broken == []


@pytest.mark.parametrize("width", WIDTHS)
def test_long_names_widen_no_page(opened, long_names, width):
    page = opened(long_names, width)
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_what_is_cut_off_is_found(opened, report):
    page = opened(report, PHONE)
    page.evaluate("document.querySelector('table').style.minWidth = '500px'")
    assert any("TABLE" in one for one in page.evaluate(CUT))


def test_the_verdicts_and_curves_are_on_the_first_screen(opened, report):
    page = opened(report, unfold=False)
    cards = page.locator(".card")
    assert cards.count() == 4
    for card in cards.all():
        box = card.bounding_box()
        assert box["y"] + box["height"] <= SCREEN[1]
    verdicts = [plain(card.locator(".verdict").inner_text()) for card in cards.all()]
    assert verdicts == ["✓ reached", "✗ missed", "✓ reached", "✓ reached"]
    boxes = [image.bounding_box() for image in page.locator("header img:visible").all()]
    assert [box["y"] + box["height"] <= SCREEN[1] for box in boxes] == [True, True, False, False]
    # Drawn large enough to read.
    assert min(box["width"] for box in boxes) > 550


def test_all_verdicts_are_on_a_phones_first_screen(opened, report):
    page = opened(report, PHONE, unfold=False)
    last = page.locator(".card .figure").last.bounding_box()
    assert last["y"] + last["height"] <= SCREEN[1]
    tops = [image.bounding_box()["y"] for image in page.locator("header img:visible").all()]
    assert tops == sorted(set(tops))  # below each other


def test_passed_and_missed_differ_in_colour_sign_and_word(opened, report):
    page = opened(report)
    colour = "one => getComputedStyle(one).color"
    seen = {
        (plain(cell.inner_text()), cell.evaluate(colour))
        for cell in page.locator("section:has(#requirements) td").all()
        if cell.inner_text()[0] in "✓✗"
    }
    assert {text for text, _ in seen} == {"✓ passed", "✗ failed"}
    assert len({colour for _, colour in seen}) == 2


# For each filled cell: its table's heading, what stands before it, and whether it lies within the window.
CELLS = """() => [...document.querySelectorAll('td:not(:empty, .none)')].map(one => {
  const table = one.closest('table'), box = one.getBoundingClientRect();
  return [
    table.className,
    table.querySelectorAll('thead th')[one.cellIndex].textContent,
    getComputedStyle(one, '::before').content,
    box.width > 0 && box.height > 0 && box.left >= 0 && box.right <= innerWidth,
  ];
})"""


def test_a_phone_shows_each_cell_after_its_heading(opened, report):
    cells = opened(report, PHONE).evaluate(CELLS)
    assert len(cells) > 400
    assert [cell for cell in cells if not cell[3]] == []
    stacked = [cell for cell in cells if cell[0] != "pairs"]
    assert len(stacked) > 350
    assert [cell for cell in stacked if cell[2] != f'"{cell[1]}"'] == []
    wide = opened(report).evaluate(CELLS)
    assert {cell[2] for cell in wide} == {"none"}


def png(colour: str) -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", (300, 200), colour).save(encoded, "PNG")
    return encoded.getvalue()


@pytest.fixture(scope="module")
def two_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with a picture for light and dark pages, and one for both."""
    both = Picture("a.png", png("white"), "A", png("black"))
    folded = Details("More", (Text("folded text"),))
    sections = (Section("S", (Grid((both, Picture("b.png", png("red"), "B"))), folded)),)
    path = tmp_path_factory.mktemp("pictures") / "page.html"
    path.write_text(Document("T", (Text("Lead."),), sections).html(), encoding="utf-8")
    return path


def data_uri(colour: str) -> str:
    return Picture("x.png", png(colour), "").data_uri


def shown_pictures(page: Any) -> list[str]:
    return page.evaluate(
        "[...document.images].filter(one => one.checkVisibility()).map(one => one.currentSrc)"
    )


@pytest.mark.parametrize(("scheme", "shown"), [("light", "white"), ("dark", "black")])
def test_a_dark_page_has_dark_pictures(opened, two_pictures, scheme, shown):
    page = opened(two_pictures, scheme=scheme)
    assert shown_pictures(page) == [data_uri(shown), data_uri("red")]
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    luminance = sum(map(int, ground.removeprefix("rgb(").rstrip(")").split(","))) / 3 / 255
    assert luminance > 0.9 if scheme == "light" else luminance < 0.15


# Colour and ground of every element with text of its own.
COLOURS = """() => {
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  return [...document.body.querySelectorAll('*')]
    .filter(one => one.checkVisibility() && [...one.childNodes].some(
      node => node.nodeType === Node.TEXT_NODE && node.textContent.trim()))
    .map(one => {
      let ground = one;
      const painted = () => numbers(getComputedStyle(ground).backgroundColor);
      while (painted().length === 4 && painted()[3] === 0) ground = ground.parentElement;
      return [one.textContent.trim().slice(0, 30), numbers(getComputedStyle(one).color), painted()];
    });
}"""


def contrast(first: list[float], second: list[float]) -> float:
    """The ratio of two colours' luminances by WCAG 2."""

    def luminance(colour: list[float]) -> float:
        parts = [part / 255 for part in colour[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_of_known_colours():
    assert contrast(WHITE, BLACK) == pytest.approx(21)
    assert contrast([118, 118, 118], WHITE) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(opened, report, scheme):
    found = opened(report, scheme=scheme).evaluate(COLOURS)
    assert len(found) > 800
    faint = [(text, colour, ground) for text, colour, ground in found if contrast(colour, ground) < CONTRAST]
    assert faint == []


def test_the_page_asks_for_nothing_and_complains_of_nothing(browser, report):
    context = browser.new_context(java_script_enabled=True)
    page, asked, said = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(report.as_uri())
    context.close()
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    assert said == []


def test_print_unfolds_everything_on_white(opened, two_pictures):
    page = opened(two_pictures, scheme="dark", unfold=False)
    folded = page.locator("details p")
    assert folded.bounding_box() is None or not folded.is_visible()
    page.emulate_media(media="print", color_scheme="dark")
    assert folded.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert shown_pictures(page) == [data_uri("white"), data_uri("red")]


def test_on_paper_a_dark_page_is_light(browser, two_pictures):
    """As printed: no style is asked for again after the page was shown."""
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(two_pictures.as_uri())
    printed = page.pdf(format="A4", print_background=True)
    context.close()
    parts = re.findall(rb"stream\r?\n(.*?)endstream", printed, re.DOTALL)
    streams = [zlib.decompress(part) for part in parts if part[:1] == b"x"]
    raster = {stream[:3] for stream in streams if len(stream) == 300 * 200 * 3}
    assert raster == {b"\xff\xff\xff", b"\xff\x00\x00"}


def test_a_printed_page_cuts_no_table(opened, report):
    page = opened(report, A4, unfold=False)
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= A4
    assert page.evaluate(CUT) == []
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_the_keyboard_reaches_links_and_folded_parts(opened, report):
    page = opened(report, unfold=False)
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.tagName"))
    assert reached.count("A") >= 9
    assert reached.count("SUMMARY") >= 7
    assert set(reached) <= {"A", "SUMMARY", "BODY"}
