"""Figures that a source claims: epochs and accuracies, in its code, its texts and its stored outputs.

Nothing here is verified, and no verdict depends on it. A wrong figure is worse than none: what could be a
target, a class's own accuracy, another data set's or another model's is passed over.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from under20k.checking.source.claimed_epochs import epochs
from under20k.checking.source.read_source import Source
from under20k.checking.source.syntax import PARSE_ERRORS, Piece, tree_of

TEST, TRAIN, OTHER = "test", "train", ""
ACCURACY = r"(?:accuracy|acc|accuracies)"
NUMBER = r"(?P<value>\d{1,3}(?:\.\d+)?|\.\d+)\s?(?P<percent>%|percent)?"
# "val_acc: 0.99", "Test Accuracy of the model on the 10000 test images: 99 %", "Accuracy = 9941/10000 (99%)"
FIGURE = re.compile(
    rf"(?i)(?<![a-z])(?P<label>(?:[a-z]+[ _\-/])*?){ACCURACY}\b"
    r"(?P<between>[ _](?:of|on|for|in|after)\b[^:=|│\d]{0,60}(?:\d{4,6}[^:=|│\d]{0,40})?"
    r"|[ _](?:score|is|was|top-?1))?"
    r"""["'*`]*\s*(?:\(%\)|\(in %\)|\[%\]|\(overall\))?\s*(?P<mark>[:=|│~]|-+>|→)?\s*["'*`]*\s*"""
    rf"(?:tensor\(|np\.float64\()?(?:(?P<right>\d{{1,6}})\s*/\s*(?P<images>\d{{2,6}})\b|{NUMBER})"
)
# "99.43% test accuracy"
BEFORE = re.compile(
    r"(?i)(?P<value>\d{1,3}(?:\.\d+)?)\s?%\*{0,2}\s{1,2}(?:test|val|validation)\W?(?:set )?acc"
)
# Not results: targets, one class's accuracy, changes, top k.
NO_RESULT = re.compile(
    r"(?i)target|goal|\baim|threshold|should|must|need|require|want|expect|at least|more than|less than"
    r"|improv|increas|decreas|drop|top.?[2-9]|per.?class|accuracy (of|for)\s+(class\b|digit\b|\w{1,12}\s*:)"
    r"|baseline|random|previous|patience|(?<!\d)[<>≥≤]=?\s*\d"
)
LIMITS = (0.05, 1.0)
"""Outside these, a figure is some other number."""
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Claim:
    """A figure and its place in the source."""

    value: float
    """Epochs, or an accuracy as a fraction."""
    place: str

    def to_json(self) -> dict[str, object]:
        """Return the figure and its place."""
        return {"value": self.value, "place": self.place}


@dataclass(frozen=True)
class Claims:
    """The figures that a source claims, unverified."""

    epochs: Claim | None = None
    test_accuracy: Claim | None = None
    """The last one on test or validation images in the stored outputs."""
    best_test_accuracy: Claim | None = None
    """The best of these."""
    train_accuracy: Claim | None = None
    """The last one on training images."""
    stated_accuracy: Claim | None = None
    """On test or validation images, in a comment, a docstring or a text cell."""

    def to_json(self) -> dict[str, object]:
        """Return ``{"epochs": {"value": 15, "place": "work.ipynb In [7]:3"}, …}`` of the figures found."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: claim.to_json() for name, claim in found.items() if claim is not None}


NONE = Claims()


def claims(source: Source, places: Collection[str] | None = None) -> Claims:
    """Return the claims of a source. Never raises.

    ``places`` restricts the outputs to those cells.
    """
    outputs = [piece for piece in source.outputs if places is None or piece[0] in places]
    found = [(kind, value, f"{place}, output") for place, text in outputs for kind, value in figures(text)]
    test = [Claim(value, place) for kind, value, place in found if kind == TEST]
    train = [Claim(value, place) for kind, value, place in found if kind == TRAIN]
    stated = [
        Claim(value, place)
        for place, text in [*source.texts, *_texts(source.pieces)]
        for kind, value in figures(text)
        if kind == TEST
    ]
    counted = (
        epochs(source.pieces) if any(re.search("(?i)epoch|fit", text) for _, text in source.pieces) else None
    )
    return Claims(
        epochs=Claim(*counted) if counted else None,
        test_accuracy=test[-1] if test else None,
        best_test_accuracy=max(test, key=lambda claim: claim.value) if test else None,
        train_accuracy=train[-1] if train else None,
        # If several differ, nobody knows which is this model's.
        stated_accuracy=stated[-1] if len({claim.value for claim in stated}) == 1 else None,
    )


def figures(text: str) -> Iterator[tuple[str, float]]:
    """Yield the accuracies in a text, in order: ``test`` or ``train``, and the fraction."""
    for line in re.split(r"[\r\n]+", ESCAPES.sub("\n", text)):
        if len(line) > 2000:
            line = line[-2000:]
        if NO_RESULT.search(line) or not re.search(r"(?i)acc", line):
            continue
        line = re.sub(r"(?<=\d),(?=\d{3}\b)", "", line)
        if before := BEFORE.search(line):
            stated = float(before["value"]) / 100
            if LIMITS[0] <= stated <= LIMITS[1]:
                yield TEST, round(stated, 6)
            continue
        found = [(match, _fraction(match, line)) for match in FIGURE.finditer(line)]
        kinds = [_kind(match, line, len(found)) for match, _ in found]
        for (_, value), kind in zip(found, kinds, strict=True):
            if value is not None and kind != OTHER:
                yield kind, value


def _fraction(match: re.Match[str], line: str) -> float | None:
    if match["right"]:
        right, images = int(match["right"]), int(match["images"])
        if images < 100:
            return None
        value = right / images
    else:
        part = re.match(r"[\d.]*\s*/", line[match.end() :])
        loose = match["between"] and not (match["mark"] or match["percent"])  # accuracy in epoch 15
        number = float(match["value"])
        percent = bool(match["percent"]) or number > 1 or "%" in match[0]
        # 1 could be all of them, or one in a hundred.
        if part or loose or number == 1 or not (percent or "." in match["value"]):
            return None
        value = number / 100 if percent else number
    return round(value, 6) if LIMITS[0] <= value <= LIMITS[1] else None


def _kind(match: re.Match[str], line: str, count: int) -> str:
    """Return which images a figure is about, by its own label or else by its line."""
    images = match["images"]
    own = f"{match['label']} {match['between'] or ''}".lower()
    before = line[: match.start()].lower()
    if re.search(r"train", own):
        kind = TRAIN
    elif re.search(r"test|val|eval", own):
        kind = TEST
    elif count > 1:  # Keras: accuracy: 0.98 - val_accuracy: 0.99
        kind = TRAIN if re.search(r"(?i)(val|test)\w*[ _]acc", line) else OTHER
    elif re.search(r"batch_?id|it/s|s/it|train", before + line[match.end() :].lower()) and not re.search(
        r"\b(test|val|valid|validation|eval)\b|val_|test_", before
    ):
        kind = TRAIN
    elif re.search(r"(test|val(id(ation)?)?|eval(uation)?)\b|val_|test_", before) or "test" in line.lower():
        kind = TEST
    else:
        kind = OTHER
    if images and kind == TEST and int(images) > 12_000:
        return OTHER  # MNIST has 10,000 test images; these are of the train images
    if images and kind == OTHER and int(images) == 10_000:
        return TEST
    return kind


def _texts(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Yield comments and docstrings, with their places."""
    for place, text in pieces:
        if not re.search(r"(?i)acc", text):
            continue
        name = Path(place).name
        try:
            for token in tokenize.generate_tokens(io.StringIO(text).readline):
                if token.type == tokenize.COMMENT:
                    yield f"{name}:{token.start[0]}", token.string
        except (tokenize.TokenError, SyntaxError, IndentationError):
            pass
        try:
            tree = tree_of(text)
        except PARSE_ERRORS:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                value = node.value.value
                for number, line in enumerate(value.split("\n") if isinstance(value, str) else ()):
                    yield f"{name}:{node.lineno + number}", line
