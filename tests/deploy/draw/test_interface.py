"""What the page shows of a network: its layers, the sum behind a number, evidence, comparison and film."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.support.drawing_page import DESKTOP, PHONE, Paper
from tests.support.small_models import model_of
from under20k.deploy.draw.bundle import html
from under20k.deploy.draw.models import Embedded
from under20k.deploy.model import load
from under20k.deploy.origin import Origin

TOLERANCE = 0.02
"""What the rounding of three numbers to two decimals adds up to."""


def numbers_in(text: str) -> list[float]:
    return [float(each) for each in re.findall(r"-?\d+\.\d+", text.replace("−", "-"))]


def point_at(desk: Paper, layer: int, channel: int, row: int, column: int) -> None:
    """Point at a pixel of a feature map with the mouse; all count from 0."""
    desk.page.locator("#maps > li > canvas").nth(layer).scroll_into_view_if_needed()
    desk.settled()
    x, y = desk.page.evaluate(
        "([layer, ...pixel]) => under20k.app.maps.middleOf(layer, ...pixel)", [layer, channel, row, column]
    )
    box = desk.page.locator("#maps > li > canvas").nth(layer).bounding_box()
    desk.page.mouse.move(box["x"] + x, box["y"] + y)
    desk.settled()


def test_every_layer_has_its_name_shape_parameters_and_field(paper):
    desk = paper()
    layers = desk.page.locator("#maps > li")
    first, last = layers.first, layers.last
    expect(first.get_by_role("heading")).to_have_text("1. Convolution 3×3 · BatchNorm · ReLU")
    expect(first).to_contain_text("8 × 28×28")
    expect(first).to_contain_text("96 parameters")
    expect(first).to_contain_text("each pixel sees 3×3")
    expect(last.get_by_role("heading")).to_contain_text("the ten scores")
    counts = re.findall(r"([\d,]+) parameters", " ".join(layers.all_inner_texts()))
    assert (
        sum(int(each.replace(",", "")) for each in counts) == load("minimal").recipe.architecture.parameters
    )


@pytest.mark.parametrize(("layer", "channel", "row", "column"), [(0, 3, 14, 12), (1, 5, 9, 11), (6, 2, 2, 2)])
def test_a_number_is_the_sum_that_is_shown(paper, layer, channel, row, column):
    desk = paper()
    point_at(desk, layer, channel, row, column)
    inspector = desk.page.locator("#inspector")
    expect(inspector.get_by_role("heading", level=3)).to_have_text(
        f"Layer {layer + 1}, map {channel + 1}, row {row + 1}, column {column + 1}"
    )
    patch, weights, products = (numbers_in(text) for text in inspector.locator("tbody").all_inner_texts())
    assert len(patch) == len(weights) == len(products) == 9
    for value, weight, product in zip(patch, weights, products, strict=True):
        assert product == pytest.approx(value * weight, abs=0.01 * (abs(value) + abs(weight)) / 2 + 0.006)
    steps = inspector.locator("dl div").all_inner_texts()
    results = [numbers_in(step)[-1] for step in steps]
    assert "BatchNorm" in steps[-2]
    before, scale, shift = numbers_in(re.sub(r"([+−]) ", r"\1", steps[-2]))[:3]
    assert results[-2] == pytest.approx(before * scale + shift, abs=TOLERANCE + abs(before) * 0.005)
    assert "ReLU" in steps[-1]
    assert results[-1] == max(0, results[-2])
    value = desk.page.evaluate(
        """([layer, channel, row, column]) => {
          const { app } = under20k;
          const { stage } = app.maps.rows[layer];
          const [, height, width] = stage.shape;
          return app.values[stage.shown].values[(channel * height + row) * width + column];
        }""",
        [layer, channel, row, column],
    )
    assert numbers_in(inspector.locator(".number").inner_text())[0] == pytest.approx(value, abs=0.0051)


def test_the_parts_of_all_maps_add_up(paper):
    desk = paper()
    point_at(desk, 1, 5, 9, 11)
    inspector = desk.page.locator("#inspector")
    parts = []
    for _ in range(8):
        parts += numbers_in(inspector.locator("caption").last.inner_text())
        inspector.get_by_role("button", name="Next map").click()
        desk.settled()
    total = numbers_in(inspector.locator("dl div").first.inner_text())[-1]
    assert sum(parts) == pytest.approx(total, abs=8 * 0.005 + 0.006)


def test_a_pool_shows_what_it_chose(paper):
    desk = paper()
    point_at(desk, 2, 4, 7, 6)
    inspector = desk.page.locator("#inspector")
    values = numbers_in(inspector.locator("tbody").inner_text())
    assert len(values) == 4
    assert numbers_in(inspector.locator(".number").inner_text())[0] == max(values)
    assert numbers_in(inspector.locator("td.chosen").inner_text())[0] == max(values)


def test_a_click_holds_a_number_while_one_draws(paper):
    desk = paper()
    point_at(desk, 0, 3, 14, 12)
    desk.page.mouse.down()
    desk.page.mouse.up()
    heading = desk.page.locator("#inspector-heading")
    held = heading.inner_text()
    point_at(desk, 1, 0, 3, 3)
    expect(heading).to_have_text(held)
    before = desk.page.locator(".number").inner_text()
    desk.draw(1, 0.45, 0.1, 0.5)
    desk.reads("1")
    expect(desk.page.locator(".number")).not_to_have_text(before)
    expect(heading).to_have_text(held)
    desk.page.keyboard.press("Escape")
    point_at(desk, 1, 0, 3, 3)
    expect(heading).not_to_have_text(held)


def test_on_a_phone_the_sum_stands_below_its_layer(paper):
    desk = paper(PHONE, has_touch=True, is_mobile=True)
    canvas = desk.page.locator("#maps > li > canvas").nth(1)
    canvas.scroll_into_view_if_needed()
    canvas.tap(position={"x": 20, "y": 30})
    expect(desk.page.locator("#maps > li").nth(1).locator("#inspector")).to_be_visible()
    expect(desk.page.locator("#inspector-heading")).to_contain_text("Layer 2, map 1, row")


def test_another_network_takes_the_sum_along_on_a_phone(paper):
    desk = paper(PHONE, has_touch=True, is_mobile=True)
    expect(desk.page.locator("#maps > li").first.locator("#inspector")).to_be_visible()
    desk.page.locator(".card").nth(2).tap()
    expect(desk.page.locator("#claim")).to_contain_text("5,028 numbers")
    expect(desk.page.locator("#maps > li").first.locator("#inspector")).to_be_visible()


def seen(desk: Paper) -> np.ndarray:
    """Return the image that the network sees as it is on the screen, int (H, W, 3)."""
    desk.settled()
    with Image.open(io.BytesIO(desk.page.locator("#seen").screenshot())) as picture:
        return np.asarray(picture.convert("RGB"), int)[8:-8, 8:-8]  # without its round corners


def test_pointing_at_a_class_shows_what_spoke_for_and_against_it(paper):
    desk = paper()
    plain = seen(desk)
    desk.page.locator("#bars button").nth(9).hover()
    desk.settled()
    caption = desk.page.locator("#seen-caption")
    expect(caption).to_contain_text("for 9")
    expect(caption).to_contain_text("against 9")
    shown = seen(desk)
    red, _, blue = np.moveaxis(shown, 2, 0)
    assert np.ptp(plain, axis=2).max() == 0  # grey
    assert (blue - red).max() > 60  # for
    assert (red - blue).max() > 60  # against
    desk.page.mouse.move(5, 5)
    assert np.array_equal(seen(desk), plain)
    desk.page.locator("#bars button").nth(9).focus()
    assert np.array_equal(seen(desk), shown)


def test_networks_are_compared_on_the_same_drawing(paper):
    desk = paper()
    cards = desk.page.locator(".card")
    expect(cards).to_have_count(3)
    for index, name in enumerate(("minimal", "regularized-plus", "shared-weights")):
        model = load(name)
        validation = model.origin.validation
        card = cards.nth(index)
        expect(card).to_contain_text(name)
        expect(card).to_contain_text(f"{model.recipe.architecture.parameters:,} parameters")
        expect(card).to_contain_text(
            f"{100 * validation.mean:.2f} ± {100 * validation.sd:.2f}% right, {validation.n} seeds"
        )
        expect(card.locator(".reading")).to_have_text("427")
    desk.draw(0, 0.35, 0.15, 0.45)
    for card in cards.all():
        expect(card.locator(".reading")).to_have_text("0")


def test_another_network_is_shown_in_detail(paper):
    desk = paper()
    desk.page.get_by_role("radio", name="shared-weights").check()
    layers = desk.page.locator("#maps > li")
    counts = re.findall(r"([\d,]+) parameters", " ".join(layers.all_inner_texts()))
    parameters = load("shared-weights").recipe.architecture.parameters
    assert sum(int(each.replace(",", "")) for each in counts) == parameters
    expect(desk.page.locator("#claim")).to_contain_text(f"{parameters:,} numbers")
    desk.reads("427")


def test_the_film_shows_every_epoch(paper):
    desk = paper()
    slider = desk.page.get_by_role("slider")
    last = int(slider.get_attribute("max"))
    assert last == load("minimal").recipe.epochs
    text = desk.page.locator("#epoch-text")
    expect(text).to_contain_text(f"Epoch {last} of {last}")
    scale = desk.page.locator("#maps .scale").first
    scale.scroll_into_view_if_needed()
    expect(scale).to_contain_text("white")
    final = scale.inner_text()
    slider.focus()
    desk.page.keyboard.press("Home")
    expect(text).to_contain_text("Before training: 9.47% right")
    desk.page.keyboard.press("ArrowRight")
    expect(text).to_contain_text(f"Epoch 1 of {last}: 98.24% right")
    expect(scale).not_to_have_text(final)
    desk.page.keyboard.press("End")
    expect(text).to_contain_text(f"Epoch {last} of {last}")
    expect(scale).to_have_text(final)
    desk.page.get_by_role("button", name="Play").click()
    expect(text).to_contain_text("Before training")
    expect(text).to_contain_text(f"Epoch {last} of {last}", timeout=10_000)
    expect(desk.page.get_by_role("button", name="Play")).to_be_visible()


def test_the_keyboard_alone_draws_and_explores(paper):
    desk = paper()
    keyboard = desk.page.keyboard

    def focus(selector: str) -> None:
        for _ in range(60):
            keyboard.press("Tab")
            if desk.page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
        pytest.fail(f"Tab never reaches {selector}")

    focus("#drawing")
    keyboard.press("Delete")
    desk.reads("–")
    for key, times in (("ArrowLeft", 7), ("ArrowUp", 10)):
        for _ in range(times):
            keyboard.press(key)
    keyboard.press("Space")
    for _ in range(12):
        keyboard.press("ArrowRight")
    for _ in range(8):  # steeply down to the left
        for key in ("ArrowDown", "ArrowDown", "ArrowLeft"):
            keyboard.press(key)
    keyboard.press("Space")
    desk.reads("7")
    expect(desk.page.locator("#announcement")).to_have_text("Read as 7")
    focus("#bars button")
    expect(desk.page.locator("#seen-caption")).to_contain_text("for 0")
    focus("#maps > li > canvas")
    expect(desk.page.locator("#inspector-heading")).to_have_text("Layer 1, map 1, row 15, column 15")
    keyboard.press("ArrowRight")
    keyboard.press("PageDown")
    expect(desk.page.locator("#inspector-heading")).to_have_text("Layer 1, map 2, row 15, column 16")
    expect(desk.page.locator("#announcement")).to_contain_text("Map 2, row 15, column 16: ")


def test_two_arrow_keys_draw_a_diagonal_and_backspace_takes_it_back(paper):
    desk = paper()
    desk.page.locator("#drawing").focus()
    keyboard = desk.page.keyboard
    keyboard.press("Delete")
    keyboard.press("Space")
    keyboard.down("ArrowRight")
    keyboard.down("ArrowDown")
    keyboard.up("ArrowDown")
    keyboard.up("ArrowRight")
    points = desk.page.evaluate("under20k.app.drawing.strokes[0].points")
    assert points[-1] == pytest.approx([points[-2][0] + 0.02, points[-2][1] + 0.02])
    keyboard.press("Backspace")
    assert desk.page.evaluate("under20k.app.drawing.strokes") == []


@pytest.mark.parametrize("key", ["Delete", "Backspace", "Control+z"])
def test_a_pen_whose_stroke_is_taken_away_is_up(paper, key):
    desk = paper()
    desk.clear()
    desk.page.locator("#drawing").focus()
    for each in ("Space", "ArrowDown", key, "ArrowDown"):
        desk.page.keyboard.press(each)
    assert desk.page.evaluate("under20k.app.drawing.strokes") == []
    desk.page.keyboard.press("Space")  # down again
    desk.page.keyboard.press("ArrowDown")
    assert desk.page.evaluate("under20k.app.drawing.strokes.map(({ points }) => points.length)") == [2]


def test_undo_during_a_stroke_ends_it(paper):
    desk = paper()
    desk.clear()
    desk.draw(1, 0.3, 0.2, 0.4)
    before = desk.page.evaluate("under20k.app.drawing.strokes")
    mouse = desk.page.mouse
    mouse.move(*desk.at(0.6, 0.2))
    mouse.down()
    mouse.move(*desk.at(0.7, 0.3))
    desk.page.keyboard.press("Control+z")
    mouse.move(*desk.at(0.8, 0.4))
    mouse.up()
    assert desk.page.evaluate("under20k.app.drawing.strokes") == before


def test_the_demonstration_draws_by_and_by(paper):
    desk = paper(DESKTOP, reduced_motion="no-preference")
    desk.page.reload()
    desk.requests.pop()
    points = "under20k.app.drawing.strokes.flatMap(({ points }) => points).length"
    counts = []
    while desk.page.locator("#reading").inner_text() != "427":
        counts.append(desk.page.evaluate(f"globalThis.under20k ? {points} : 0"))
        desk.page.wait_for_timeout(30)
    counts.append(desk.page.evaluate(points))
    assert sorted(counts) == counts
    assert len(set(counts)) > 3


OURS = "trained by under20k on 50,000 images of MNIST"
ORIGINS = {
    "three of ours": ((False,) * 3, f"The networks were {OURS}."),
    "one of ours": ((False,), f"The network was {OURS}."),
    "one from elsewhere": (
        (True,),
        "The network was not trained by under20k: the weights are their author's.",
    ),
    "both": ((True, False), f"The networks were {OURS}, except a&0, whose weights are their author's."),
}


@pytest.mark.parametrize("name", ORIGINS)
def test_the_page_says_who_trained_its_networks(browser, tmp_path, name):
    elsewhere, sentence = ORIGINS[name]
    models = [
        replace(model_of("1p,2p|l"), name=f"a&{index}", origin=Origin("weights" if own else "run", 0, 0.9812))
        for index, own in enumerate(elsewhere)
    ]
    path = tmp_path / "draw.html"
    path.write_text(html([Embedded(model) for model in models]), encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    expect(page.locator("#origin")).to_have_text(sentence)
    for card, own in zip(page.locator(".card").all(), elsewhere, strict=True):
        expect(card).to_contain_text("98.12% right, " + ("trained elsewhere" if own else "one seed"))
    page.close()
