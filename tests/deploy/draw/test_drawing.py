"""What is drawn on the page, or shown to it, is read."""

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.support.drawing_page import DESKTOP, PATIENCE_MS, PHONE, Opener, Paper, strokes_of
from tools.reading_picture import written_page
from under20k.recipe.drawn import drawn_digits

WAYS = {
    "in the middle": (0.3, 0.15, 0.45, "medium"),
    "small in a corner": (0.04, 0.6, 0.12, "thin"),
    "small in the other corner": (0.86, 0.03, 0.12, "medium"),
    "large": (0.2, 0.04, 0.66, "medium"),
    "thin": (0.3, 0.15, 0.45, "thin"),
    "thick": (0.3, 0.12, 0.5, "thick"),
}
"""Left edge, top and height of a digit, and the pen."""


def draw_one(desk: Paper, digit: int, way: str, seed: int) -> None:
    left, top, height, pen = WAYS[way]
    desk.page.locator(f"input[value={pen}]").check()
    desk.clear()
    desk.draw(digit, left, top, height, seed)
    desk.reads(str(digit))


def test_a_digit_is_read_wherever_and_however_it_is_drawn(paper):
    desk = paper()
    for way, digit in zip(WAYS, (3, 5, 7, 2, 8, 6), strict=True):
        draw_one(desk, digit, way, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_every_digit_is_read_wherever_and_however_it_is_drawn(paper, way):
    desk = paper()
    for digit in range(10):
        draw_one(desk, digit, way, seed=digit)


def test_digits_in_a_row_are_a_number(paper):
    desk = paper()
    for left, digit in ((0.05, 6), (0.38, 0), (0.7, 9)):
        desk.draw(digit, left, 0.2, 0.35)
    desk.reads("609")
    digits = desk.page.get_by_role("radio", name="Digit ")
    expect(digits).to_have_count(3)
    expect(digits.nth(2)).to_be_checked()  # the one that the pen was at
    digits.nth(1).click()
    expect(desk.page.locator("#certainty")).to_contain_text("Digit 2: 0 (")


def test_digits_that_touch_are_cut_when_the_pen_is_lifted(paper):
    desk = paper()
    desk.page.locator(".card", has_text="regularized-plus").click()
    desk.draw(6, 0.2, 0.2, 0.4)
    desk.draw(5, 0.38, 0.2, 0.4)
    desk.reads("65")
    assert desk.page.evaluate("under20k.app.digits.length") == 2
    desk.page.get_by_role("button", name="Undo").click()
    desk.reads("6")


def test_digits_below_each_other_are_lines(paper):
    desk = paper()
    desk.page.locator("input[value=thin]").check()
    for digit, left, top in ((1, 0.3, 0.06), (2, 0.5, 0.05), (3, 0.3, 0.42), (4, 0.5, 0.43)):
        desk.draw(digit, left, top, 0.22)
    desk.reads("12\n34")


def test_the_answer_follows_the_pen(paper):
    desk = paper()
    desk.clear()
    points = [desk.at(0.4 + x * 0.4, 0.2 + y * 0.4) for x, y in strokes_of(7, form="plain")[0]]
    desk.page.mouse.move(*points[0])
    desk.page.mouse.down()
    for point in points[1:]:
        desk.page.mouse.move(*point)
    desk.reads("7")  # the pen is still down
    desk.page.mouse.up()


def test_what_is_no_digit_is_not_believed(paper):
    desk = paper()
    desk.clear()
    desk.page.mouse.move(*desk.at(0.2, 0.3))
    desk.page.mouse.down()
    desk.page.mouse.move(*desk.at(0.8, 0.31), steps=10)
    desk.page.mouse.up()
    desk.reads("?")


def test_undo_takes_back_stroke_by_stroke_and_clear_too(paper):
    desk = paper()
    desk.clear()
    desk.draw(1, 0.3, 0.2, 0.4)
    desk.draw(7, 0.6, 0.2, 0.4)
    desk.reads("17")
    desk.page.get_by_role("button", name="Undo").click()
    desk.reads("1")
    desk.clear()
    desk.reads("–")
    desk.page.keyboard.press("Control+z")
    desk.reads("1")


def test_the_first_stroke_replaces_the_example(paper):
    desk = paper()
    desk.draw(8, 0.4, 0.2, 0.4)
    desk.reads("8")


def test_a_finger_draws_and_scrolls_nothing(paper):
    desk = paper(PHONE, has_touch=True, is_mobile=True)
    # The middle of the page, where it could scroll both ways.
    desk.page.evaluate("scrollTo(0, 60)")
    before = desk.page.evaluate("scrollY")
    assert before > 0
    touch = desk.page.context.new_cdp_session(desk.page)

    def send(kind: str, *points: tuple[float, float]) -> None:
        touch.send(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]}
        )

    for stroke in strokes_of(2):
        points = [desk.at(0.35 + x * 0.45, 0.15 + y * 0.45) for x, y in stroke]
        send("touchStart", points[0])
        for point in points[1:]:
            send("touchMove", point)
        send("touchEnd")
    desk.reads("2")
    assert desk.page.evaluate("scrollY") == before


def test_a_second_finger_draws_nothing(paper):
    desk = paper(PHONE, has_touch=True, is_mobile=True)
    touch = desk.page.context.new_cdp_session(desk.page)
    line = [desk.at(0.5, 0.15 + 0.04 * step) for step in range(12)]
    palm = desk.at(0.85, 0.6)
    for index, (x, y) in enumerate(line):
        kind = "touchMove" if index else "touchStart"
        fingers = [{"x": x, "y": y, "id": 1}]
        if index > 3:
            kind = "touchStart" if index == 4 else "touchMove"
            fingers.append({"x": palm[0], "y": palm[1] + index, "id": 2})
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    desk.reads("1")


def picture_of(digits: list[int], light_on_dark: bool = False) -> bytes:
    """Return a PNG with the digits in a row, on paper."""
    images, labels = drawn_digits(200, seed=4)
    row = np.zeros((60, 20 + 44 * len(digits)), np.uint8)
    for place, digit in enumerate(digits):
        image = images[np.flatnonzero(labels == digit)[0]]
        row[16:44, 14 + 44 * place : 42 + 44 * place] = image
    ink = row if light_on_dark else 245 - (row.astype(int) * 215 // 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(ink).resize((row.shape[1] * 5, 300)).save(stream, "PNG")
    return stream.getvalue()


def give(desk: Paper, event: str, picture: bytes, kind: str = "image/png") -> None:
    """Drop a file on the page, or paste it."""
    desk.page.evaluate(
        """([event, text, kind]) => {
          const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
          const data = new DataTransfer();
          data.items.add(new File([bytes], "digits.png", { type: kind }));
          const init = { bubbles: true, cancelable: true };
          document.body.dispatchEvent(event === "drop"
            ? new DragEvent("drop", { ...init, dataTransfer: data })
            : new ClipboardEvent("paste", { ...init, clipboardData: data }));
        }""",
        [event, base64.b64encode(picture).decode(), kind],
    )


@pytest.mark.parametrize("event", ["drop", "paste"])
@pytest.mark.parametrize("light_on_dark", [False, True])
def test_a_picture_is_dropped_or_pasted(paper, event, light_on_dark):
    desk = paper()
    give(desk, event, picture_of([3, 0, 8, 5], light_on_dark))
    desk.reads("3085")


def test_a_picture_is_chosen_and_a_stroke_replaces_it(paper, tmp_path):
    desk = paper()
    path = tmp_path / "digits.png"
    path.write_bytes(picture_of([6, 2]))
    with desk.page.expect_file_chooser() as chooser:
        desk.page.get_by_role("button", name="Picture").click()
    chooser.value.set_files(path)
    desk.reads("62")
    desk.draw(3, 0.4, 0.2, 0.4)
    desk.reads("3")
    desk.page.get_by_role("button", name="Undo").click()
    desk.reads("62")


@pytest.mark.slow
def test_a_photographed_page_is_read_line_by_line(paper, tmp_path):
    """In light that fades towards the edges, with thick strokes and thin ones."""
    page = written_page()
    path = tmp_path / "page.png"
    Image.fromarray(page.picture).save(path)
    desk = paper()
    desk.page.locator(".card", has_text="regularized-plus").click()
    desk.page.locator("#file").set_input_files(path)
    reading = desk.page.locator("#reading")
    expect(reading).to_have_text(re.compile(r"^(.{8}\s){4}.{8}$"), timeout=3 * PATIENCE_MS)
    read = "".join(reading.inner_text().split())
    assert sum(value == str(digit.value) for value, digit in zip(read, page.digits, strict=True)) >= 38


def opened(browser: Any, drawing_page: Path, script: str) -> Paper:
    """Return the page with a script that runs before its own."""
    desk = Paper(browser.new_page(reduced_motion="reduce"))
    desk.page.add_init_script(script)
    desk.page.goto(drawing_page.as_uri())
    desk.reads("427")
    return desk


def test_a_picture_is_read_beside_the_page(paper):
    """By a worker, one for each picture, which is gone when it has read."""
    desk = paper()
    workers = []
    desk.page.on("worker", lambda worker: workers.append(worker))
    for count, digits in enumerate(([3, 0, 8, 5], [6, 2]), 1):
        give(desk, "drop", picture_of(digits))
        desk.reads("".join(map(str, digits)))
        assert len(workers) == count
    expect(desk.page.locator("#waiting")).to_be_hidden()
    desk.page.get_by_role("button", name="Undo").click()
    desk.reads("3085")  # as it was read
    desk.settled()
    assert len(workers) == 2
    assert desk.page.evaluate("under20k.app.beside.worker") is None


NO_WORKERS = {
    "none can be made": "globalThis.Worker = class { constructor() { throw new Error('not here'); } };",
    "it fails": """globalThis.Worker = class extends EventTarget {
      postMessage() { setTimeout(() => this.dispatchEvent(new Event("error"))); }
      terminate() {}
    };""",
}


@pytest.mark.parametrize("why", NO_WORKERS)
def test_without_a_worker_the_page_reads_itself(browser, drawing_page, why):
    desk = opened(browser, drawing_page, NO_WORKERS[why])
    give(desk, "drop", picture_of([3, 0, 8, 5]))
    desk.reads("3085")
    expect(desk.page.locator("#waiting")).to_be_hidden()
    desk.page.close()


def test_one_draws_on_while_a_picture_is_read(browser, drawing_page):
    """With a worker that never answers."""
    desk = opened(
        browser,
        drawing_page,
        """globalThis.Worker = class extends EventTarget {
          postMessage() {}
          terminate() { globalThis.ended = (globalThis.ended ?? 0) + 1; }
        };""",
    )
    give(desk, "drop", picture_of([3, 0, 8, 5]))
    waiting = desk.page.locator("#waiting")
    expect(waiting).to_be_visible()
    expect(desk.page.locator("#certainty")).to_have_text("Reading the picture…")
    expect(desk.page.locator("#announcement")).to_have_text("Reading the picture")
    desk.draw(7, 0.4, 0.2, 0.4)
    desk.reads("7")
    expect(waiting).to_be_hidden()
    assert desk.page.evaluate("ended") == 1
    desk.page.get_by_role("button", name="Undo").click()
    expect(waiting).to_be_visible()  # it is read anew
    desk.page.get_by_role("button", name="Undo").click()
    desk.reads("427")
    desk.page.close()


def test_undo_keeps_pictures_within_bounds(paper):
    desk = paper()
    kept = desk.page.evaluate(
        """async () => {
          const { drawing } = under20k.app;
          for (let i = 0; i < 9; i++) {
            const canvas = new OffscreenCanvas(2000, 1500);
            canvas.getContext("2d").fillRect(i, i, 9, 9);
            drawing.show(await createImageBitmap(canvas));
            drawing.begin([0.5, 0.5]);
            drawing.end();
          }
          return [drawing.keptPixels, new Set(drawing.history.map(({ picture }) => picture)).size];
        }"""
    )
    assert kept[0] == 15_000_000
    assert kept[1] == 6  # five pictures, and strokes without one
    for _ in range(20):
        desk.page.get_by_role("button", name="Undo").click()
    assert desk.page.evaluate("under20k.app.drawing.history.length") == 0


def test_what_is_no_picture_is_told(paper):
    desk = paper()
    give(desk, "drop", b"plain text", "text/plain")
    expect(desk.page.get_by_role("alert")).to_contain_text("cannot read digits.png as a picture")
    desk.reads("427")


def test_the_camera_takes_a_picture(browser: Any, drawing_page: Path) -> None:
    """A camera that sees a picture; Chromium's own false one shows no digits."""
    context = browser.new_context(permissions=["camera"])
    page = context.new_page()
    page.add_init_script(CAMERA.replace("PICTURE", base64.b64encode(picture_of([9, 1])).decode()))
    desk = Paper(page)
    page.goto(drawing_page.as_uri())
    page.get_by_role("button", name="Camera").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    while page.evaluate("document.querySelector('video').readyState") < 2:  # until the first frame
        page.wait_for_timeout(50)
    page.get_by_role("button", name="Take the picture").click()
    desk.reads("91")
    expect(page.get_by_role("dialog")).to_be_hidden()
    context.close()
    assert desk.complaints == []


CAMERA = """
navigator.mediaDevices ??= {};
navigator.mediaDevices.getUserMedia = async () => {
  const bytes = Uint8Array.from(atob("PICTURE"), (letter) => letter.charCodeAt(0));
  const picture = await createImageBitmap(new Blob([bytes]));
  const canvas = document.createElement("canvas");
  canvas.width = picture.width;
  canvas.height = picture.height;
  const draw = () => { canvas.getContext("2d").drawImage(picture, 0, 0); requestAnimationFrame(draw); };
  draw();
  return canvas.captureStream();
};
"""


def test_without_a_camera_a_photograph_is_chosen(paper):
    desk = paper()
    with desk.page.expect_file_chooser():
        desk.page.get_by_role("button", name="Camera").click()
    expect(desk.page.get_by_role("alert")).to_contain_text("no camera")


@pytest.mark.parametrize("slower", [1, 6])
def test_a_frame_reads_the_drawing_once(paper: Opener, slower: int, record_property: Any) -> None:
    """However many positions the pointer reports. The times are noted, not judged."""
    desk = paper(PHONE if slower > 1 else DESKTOP)
    desk.clear()
    session = desk.page.context.new_cdp_session(desk.page)
    session.send("Emulation.setCPUThrottlingRate", {"rate": slower})
    desk.page.evaluate("under20k.app.frames.length = 0")
    desk.draw(3, 0.3, 0.15, 0.45)
    desk.reads("3")
    frames = np.array(desk.page.evaluate("under20k.app.frames"))
    assert frames[:, 1].max() == 1
    assert frames[:, 1].sum() > 3
    times_ms = frames[frames[:, 1] > 0, 0]
    for name, fraction in (("median", 0.5), ("slowest of ten", 0.9)):
        record_property(
            f"frame time, {name}, {slower}× slower (ms)", round(float(np.quantile(times_ms, fraction)), 1)
        )
