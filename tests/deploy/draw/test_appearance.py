"""How the page looks: on every screen, light and dark, and to those who do not see it."""

import io

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from tests.support.drawing_page import DESKTOP, PHONE, PROJECTOR, Paper
from tools.drawing_pictures import SCENES, picture_path, take_pictures

WIDTHS = (360, 390, 640, 768, 960, 961, 1024, 1280, 1920)
SCREENSHOT_BYTES = 80_000
SMALLEST = 24
"""Pixels of a target along each side: AA of WCAG 2.2."""


def explore(desk: Paper) -> None:
    """Have everything on the screen that a page can show: a held number, a class pinned, the help."""
    desk.page.locator("summary").click()
    desk.page.locator("#bars button").nth(4).click()
    canvas = desk.page.locator("#maps > li > canvas").nth(1)
    canvas.scroll_into_view_if_needed()
    canvas.click(position={"x": 30, "y": 30})
    expect(desk.page.locator("#inspector")).to_contain_text("BatchNorm")


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_screen(paper, width):
    desk = paper((width, 800))
    explore(desk)
    assert desk.page.evaluate("document.documentElement.scrollWidth") == width
    cut = desk.page.evaluate(
        """() => Array.from(document.querySelectorAll("body *"))
          .filter((each) => each.checkVisibility() && !each.closest(".heard"))
          .map((each) => [each.outerHTML.slice(0, 80), each.getBoundingClientRect()])
          .filter(([, { left, right }]) => left < -0.5 || right > innerWidth + 0.5)
          .map(([text]) => text)"""
    )
    assert cut == []
    spilled = desk.page.evaluate(
        """() => Array.from(document.querySelectorAll("td, button, dd, .value, h2, h3, .card span"))
          .filter((each) => each.checkVisibility() && !each.classList.contains("heard"))
          .filter((each) => getComputedStyle(each).display !== "inline")
          .filter((each) => each.scrollWidth > each.clientWidth + 1)
          .map((each) => each.outerHTML.slice(0, 80))"""
    )
    assert spilled == []


def test_a_large_screen_shows_the_answer_without_scrolling(paper):
    for size in (DESKTOP, PROJECTOR):
        desk = paper(size)
        for selector in ("#drawing", "#reading", "#bars", "#seen", "#cards"):
            box = desk.page.locator(selector).bounding_box()
            assert box["y"] + box["height"] <= size[1]


def test_a_phone_shows_the_answer_below_the_drawing(paper):
    desk = paper(PHONE, has_touch=True, is_mobile=True)
    box = desk.page.locator("#reading").bounding_box()
    assert box["y"] + box["height"] <= PHONE[1]


def luminance(desk: Paper, selector: str) -> float:
    """Return the mean of an element's pixels on the screen, 0 to 255."""
    with Image.open(io.BytesIO(desk.page.locator(selector).screenshot())) as picture:
        return float(np.asarray(picture.convert("L")).mean())


def test_colours_are_the_systems_until_they_are_chosen(paper):
    light, dark = paper(scheme="light"), paper(scheme="dark")
    assert luminance(light, "#drawing") > 200
    assert luminance(dark, "#drawing") < 60
    light.page.get_by_role("button", name="Dark colours").click()
    light.settled()
    assert luminance(light, "#drawing") == pytest.approx(luminance(dark, "#drawing"), abs=1)
    light.page.emulate_media(color_scheme="light")
    light.page.reload()
    light.requests.pop()
    light.reads("427")
    assert luminance(light, "#drawing") < 60


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_no_accessibility_violation(paper, scheme, size):
    desk = paper(size, scheme)
    explore(desk)
    violations = Axe().run(desk.page).response["violations"]
    found = [
        (each["impact"], each["id"], [node["html"][:120] for node in each["nodes"]])
        for each in violations
        if each["impact"] in ("serious", "critical")
    ]
    assert found == []


def test_targets_are_large_enough_for_a_finger(paper):
    desk = paper(PHONE, has_touch=True, is_mobile=True)
    explore(desk)
    small = desk.page.evaluate(
        """(least) => Array.from(document.querySelectorAll("button, label, summary"))
          .filter((each) => each.checkVisibility())
          .map((each) => [each.textContent.trim(), each.getBoundingClientRect()])
          .filter(([, box]) => Math.min(box.width, box.height) < least)
          .map(([text, box]) => `${text}: ${box.width}×${box.height}`)""",
        SMALLEST,
    )
    assert small == []


def test_a_sharp_screen_gets_sharp_pictures(paper):
    desk = paper(device_scale_factor=2)
    for selector in ("#drawing", "#seen", "#maps > li > canvas"):
        canvas = desk.page.locator(selector).first
        canvas.scroll_into_view_if_needed()
        desk.settled()
        assert canvas.evaluate("(canvas) => canvas.width / canvas.clientWidth") == pytest.approx(2, abs=0.01)


def test_the_pictures_of_the_documentation_are_of_this_page(browser, drawing_page, tmp_path):
    """They are made as those in docs/ are; those in docs/ have the same size, and are small."""
    take_pictures(browser, drawing_page, tmp_path)
    for scene in SCENES:
        with (
            Image.open(tmp_path / picture_path(scene).name) as made,
            Image.open(picture_path(scene)) as shown,
        ):
            assert made.size == shown.size
        assert picture_path(scene).stat().st_size <= SCREENSHOT_BYTES
