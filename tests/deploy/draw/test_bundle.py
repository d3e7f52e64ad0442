"""The one file: small, whole, and allowed nothing but itself."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests.support.small_models import model_of
from under20k.deploy.draw import bundle
from under20k.deploy.draw.bundle import FOLDER, ORDER, STARTING, html, page, read
from under20k.deploy.draw.encoding import decoded_text
from under20k.deploy.draw.models import Embedded, embedded

LIMIT_BYTES = 300_000
SMALL = [Embedded(model_of("1p,2p|l"))]


class Elements(HTMLParser):
    """The scripts, styles and policies of a page, and every address in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str], str]] = []
        self.styles: list[str] = []
        self.policies: list[str] = []
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.inside = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.inside = (tag, values) if tag in ("script", "style") else None
        self.addresses += [value for name, value in attributes if name in ("src", "href", "action", "data")]
        self.inline += [name for name in values if name == "style" or name.startswith("on")]
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policies.append(values["content"])

    def handle_data(self, data):
        if self.inside:
            tag, values = self.inside
            if tag == "style":
                self.styles.append(data)
            else:
                self.scripts.append((values, data))

    def handle_endtag(self, tag):
        self.inside = None


def hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.fixture(scope="module")
def default() -> str:
    return html(embedded())


def test_the_default_page_is_small(default):
    assert len(default.encode()) <= LIMIT_BYTES


def test_it_names_no_other_file_and_no_address(default):
    found = Elements(default)
    assert all(address.startswith(("#", "data:")) for address in found.addresses)
    assert "@import" not in default
    assert all(address.startswith("data:") for address in re.findall(r"url\([\"']?([^)]*)", found.styles[0]))


def test_its_scripts_are_the_sources_whole_and_in_order(default):
    (packed,) = (text for values, text in Elements(default).scripts if values.get("id") == "scripts")
    script = decoded_text(packed)
    position = 0
    for name in read(ORDER).split():
        position = script.index(read(name), position)
    assert script.startswith('(() => {\n"use strict";')


def test_every_file_of_the_page_is_in_it():
    names = set(read(ORDER).split())
    assert len(names) == len(read(ORDER).split())
    assert {path.name for path in FOLDER.iterdir()} == {*names, *STARTING, ORDER, "page.html", "style.css"}


def test_the_policy_allows_its_own_scripts_and_style_alone(default):
    found = Elements(default)
    (policy,) = found.policies
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    packed = next(text for values, text in found.scripts if values.get("id") == "scripts")
    (start,) = (text for values, text in found.scripts if not values)
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == [hashed(start), hashed(decoded_text(packed))]
    assert rules["style-src"].split() == [hashed(text) for text in found.styles]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert found.inline == []  # the policy would forbid them
    head = default[: default.index("<style>")]
    assert "<script" not in head[: head.index("Content-Security-Policy")]


def test_a_models_name_is_text(default):
    name = "</script><script>alert(1)</script><!--"
    text = html([replace(SMALL[0], model=replace(SMALL[0].model, name=name))])
    found = Elements(text)
    assert len(found.scripts) == len(Elements(default).scripts)
    (models,) = (data for values, data in found.scripts if values.get("id") == "models")
    assert json.loads(models)["models"][0]["name"] == name


def test_the_same_models_give_the_same_page():
    assert page(SMALL) == page(SMALL)


def test_a_page_without_a_place_for_a_part_is_refused(monkeypatch):
    monkeypatch.setattr(bundle, "read", lambda name: "" if name == "page.html" else read(name))
    with pytest.raises(ValueError, match=r"page\.html lacks <!--policy-->"):
        html(SMALL)


def test_it_runs_in_a_browser_under_its_policy(browser, tmp_path):
    path = tmp_path / "draw.html"
    path.write_text(html(SMALL), encoding="utf-8")
    opened, complaints = browser.new_page(), []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(path.as_uri())
    opened.wait_for_function("document.querySelector('main').innerText.includes('untrained')")
    opened.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 1'}))"
    )
    assert opened.title() != "1"
    assert len(complaints) == 1
    assert "Content Security Policy" in complaints[0]
    opened.close()
