"""Architectures as text, and what is refused."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.strategies import architectures
from under20k.errors import InvalidValue, UserError
from under20k.recipe.architecture import Architecture
from under20k.recipe.blocks import Conv, Head
from under20k.recipe.notation import FLAGS


@given(architectures())
def test_round_trip(architecture):
    assert Architecture.parse(str(architecture)) == architecture


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("8", Conv(8, 3, 1)),
        ("8v", Conv(8, 3, 0)),
        ("8k1", Conv(8, 1, 0)),
        ("8n", Conv(8, batch_norm=False)),
        ("8u", Conv(8, bias=False)),
        ("8p", Conv(8, pool=True)),
        ("8d0.05", Conv(8, dropout=0.05)),
        ("8d1e-07", Conv(8, dropout=1e-7)),
        ("8k1nupd.5", Conv(8, 1, 0, batch_norm=False, pool=True, dropout=0.5, bias=False)),
        ("8k3", Conv(8)),
        ("8k5", Conv(8, 5, 2)),
        ("8k7v", Conv(8, 7, 0)),
        ("8/2", Conv(8, stride=2)),
        ("1r", Conv(1, residual=1)),
        ("1k7/2u", Conv(1, 7, 3, stride=2, bias=False)),
    ],
)
def test_blocks(text, block):
    assert Architecture.parse(f"{text}|1").blocks == (block,)


def test_blocks_that_share_their_weights():
    blocks = Architecture.parse("8,8,8s,8vsnup|1").blocks
    assert [block.shared for block in blocks] == [False, False, True, True]
    assert blocks[3] == Conv(8, padding=0, batch_norm=False, pool=True, bias=False, shared=True)


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("8g4", Conv(8, groups=4)),
        ("8g", Conv(8, groups=8)),
        ("8g1", Conv(8)),
        ("4g", Conv(4, groups=4)),
        ("8r", Conv(8, residual=1)),
        ("8r1", Conv(8, residual=1)),
        ("8r2", Conv(8, residual=2)),
        (
            "8k5g2snr2d0.1",
            Conv(8, 5, 2, False, dropout=0.1, shared=True, groups=2, residual=2),
        ),
        (
            "8k5/2g2vsnupd0.1",
            Conv(8, 5, 0, False, pool=True, dropout=0.1, bias=False, shared=True, stride=2, groups=2),
        ),
    ],
)
def test_blocks_that_need_those_before(text, block):
    *_, last = Architecture.parse(f"8,8k5g2,8k5g2,{text}|1" if block.shared else f"8,8,8,{text}|1").blocks
    assert last == block


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("8k3,8g8|1", "8,8g|1"), ("8g1,8r1|1", "8,8r|1"), ("08,8k1v|1", "8,8k1|1")],
)
def test_every_block_is_written_in_one_way(text, canonical):
    assert str(Architecture.parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "head"),
    [
        ("3v", Head(3, 0)),
        ("3", Head(3, 1)),
        ("1", Head(1, 0)),
        ("l", Head(1, 0, pool_first=True)),
        ("3vu", Head(3, 0, bias=False)),
        ("lu", Head(1, 0, pool_first=True, bias=False)),
        ("5", Head(5, 2)),
        ("5vu", Head(5, 0, bias=False)),
        ("7", Head(7, 3)),
        ("7v", Head(7, 0)),
    ],
)
def test_heads(text, head):
    assert Architecture.parse(f"8|{text}").head == head
    assert str(Architecture.parse(f"8|{text}")) == f"8|{text}"


def test_the_page_of_architectures_has_every_flag_and_what_it_shows_is_one():
    page = (Path(__file__).parents[2] / "docs" / "architectures.md").read_text(encoding="utf-8")
    flags = [flag for row in re.findall(r"^\| (`.*?) \|", page, re.M) for flag in re.findall(r"`(.*?)`", row)]
    assert flags == FLAGS.split()
    shown = re.findall(r'--architecture "(.*?)"', page)
    assert len(shown) >= 4
    assert all(Architecture.parse(text).parameters < 20_000 for text in shown)


def test_spaces_do_not_matter():
    assert Architecture.parse(" 8, 12p | 3v ") == Architecture.parse("8,12p|3v")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("8,12p", ["'8,12p'", "head", "|3v"]),
        ("8,,12|3", ["block ''"]),
        ("|3", ["block ''"]),
        ("8x|3", ["block '8x'"]),
        ("8pv|3", ["block '8pv'", "order"]),
        ("-8|3", ["block '-8'"]),
        ("8|2", ["head '2'", "3v"]),
        ("8|9v", ["head '9v'", "7v"]),
        ("8k9|3", ["kernel: 9; expected one of 1, 3, 5, 7"]),
        ("8k|3", ["block '8k'", "k5"]),
        ("8/3|3", ["block '8/3'", "/2"]),
        ("8/2k5|3", ["block '8/2k5'", "order"]),
        ("8pr|3", ["block '8pr'", "order"]),
        ("1r0|3", ["block '1r0'"]),
        ("1r01|3", ["block '1r01'"]),
        ("8g0|3", ["groups: 0", "from 1 to 1024"]),
        ("9g2|3", ["groups: 2 of 9 channels", "divides them"]),
        ("8,12g|3", ["blocks.1.conv", "12 groups of 8 channels to 12", "divides both"]),
        ("8g|3", ["blocks.0.conv", "8 groups of 1 channels to 8"]),
        ("8p,8p,8k5v,8k7v|3", ["blocks.3.conv", "7×7 kernel with padding 0", "3×3", "pool less or pad more"]),
        ("8p,8p,8p|5v", ["head.conv", "5×5 kernel", "3×3"]),
        ("8/2,8/2,8/2,8/2,8/2,8p|3", ["blocks.5.pool", "1×1"]),
        ("8,8r99|3", ["residual: 99", "0 to 32"]),
        ("1r2|3", ["blocks.0.add", "r2 reaches back 2 blocks", "only 1", "at most r"]),
        ("8,8r3|3", ["blocks.1.add", "r3 reaches back 3 blocks", "only 2", "at most r2"]),
        ("8r|3", ["blocks.0.add", "input of blocks.0 is 1×28×28", "added to 8×28×28", "remove the r"]),
        ("8,8vr|3", ["blocks.1.add", "8×28×28", "8×26×26"]),
        ("8,8/2r|3", ["blocks.1.add", "8×28×28", "8×14×14"]),
        ("8p,8,8r3|3", ["blocks.2.add", "input of blocks.0 is 1×28×28", "8×14×14", "remove the r3"]),
        # A map of 1×1 could be added to any by repeating it, but not here.
        ("8p,8p,8p,8vr|1", ["blocks.3.add", "8×3×3", "8×1×1"]),
        ("8|", ["head ''"]),
        ("0|3", ["channels: 0", "from 1 to 1024"]),
        ("1025|3", ["channels: 1025"]),
        ("8d1|3", ["dropout: 1.0", "not including, 1"]),
        (",".join(["8"] * 33) + "|3", ["blocks: 33", "1 to 32"]),
        ("8p,8p,8p,8p,8p|3", ["blocks.4.pool", "1×1"]),
        ("8p,8p,8p,8v,8v|3", ["blocks.4.conv", "3×3 kernel", "1×1"]),
        ("8p,8p,8p,8p|3v", ["head.conv", "3×3 kernel", "1×1"]),
        ("8sv|3", ["block '8sv'", "order"]),
        ("8s|3", ["blocks.0.conv", "3×3 kernel from 1 to 8 channels", "it is the first"]),
        ("8,8s|3", ["blocks.1.conv", "3×3 kernel from 8 to 8 channels", "3×3 kernel from 1 to 8 channels"]),
        ("8,8,9s|3", ["blocks.2.conv", "3×3 kernel from 8 to 9 channels", "3×3 kernel from 8 to 8 channels"]),
        ("8,8,8gs|3", ["blocks.2.conv", "8 channels in 8 groups cannot share", "of a 3×3 kernel"]),
        (
            "8,8,8k1s|3",
            ["blocks.2.conv", "1×1 kernel from 8 to 8 channels", "3×3 kernel from 8 to 8 channels"],
        ),
    ],
)
def test_refused_text(text, words):
    with pytest.raises(InvalidValue) as refusal:
        Architecture.parse(text)
    assert [word for word in words if word not in str(refusal.value)] == []


@given(st.text("0123456789kvsnupdlgr/|,.e- ", max_size=30) | st.text(max_size=10))
def test_any_text_is_an_architecture_or_a_user_error(text):
    try:
        architecture = Architecture.parse(text)
    except UserError:
        return
    assert Architecture.parse(str(architecture)) == architecture


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Conv(0), ["channels: 0", "from 1 to 1024"]),
        (lambda: Conv(8.0), ["channels: 8.0", "a whole number"]),
        (lambda: Conv(True), ["channels: True"]),
        (lambda: Conv("8"), ["channels: '8'"]),
        (lambda: Conv(8, kernel=5), ["kernel: 5 with padding 1", "padding 0 or 2"]),
        (lambda: Conv(8, kernel=True, padding=0), ["kernel: True"]),
        (lambda: Conv(8, kernel=3.0), ["kernel: 3.0"]),
        (lambda: Conv(8, kernel=[3]), ["kernel: [3]"]),
        (lambda: Conv(8, kernel=1), ["kernel: 1 with padding 1"]),
        (lambda: Conv(8, padding=2), ["padding 2"]),
        (lambda: Conv(8, padding=False), ["padding False"]),
        (lambda: Conv(8, batch_norm=1), ["batch_norm: 1", "true or false"]),
        (lambda: Conv(8, pool="yes"), ["pool: 'yes'"]),
        (lambda: Conv(8, bias=None), ["bias: None"]),
        (lambda: Conv(8, shared=1), ["shared: 1", "true or false"]),
        (lambda: Conv(8, stride=3), ["stride: 3", "from 1 to 2"]),
        (lambda: Conv(8, stride=True), ["stride: True"]),
        (lambda: Conv(8, groups=3), ["groups: 3 of 8 channels", "divides"]),
        (lambda: Conv(8, groups=2.0), ["groups: 2.0"]),
        (lambda: Conv(8, residual=True), ["residual: True"]),
        (lambda: Conv(8, residual=-1), ["residual: -1", "from 0 to 32"]),
        (lambda: Head(7, 2), ["kernel: 7 with padding 2", "padding 0 or 3"]),
        (lambda: Conv(8, dropout=1), ["dropout: 1"]),
        (lambda: Conv(8, dropout=-0.1), ["dropout: -0.1"]),
        (lambda: Conv(8, dropout=float("nan")), ["dropout: nan"]),
        (lambda: Conv(8, dropout=False), ["dropout: False"]),
        (lambda: Head(3, pool_first=True), ["kernel 3", "kernel 1 with padding 0"]),
        (lambda: Head(1, bias=0), ["bias: 0"]),
        (lambda: Architecture(()), ["blocks: 0", "1 to 32"]),
    ],
)
def test_refused_values(make: Callable[[], object], words: list[str]):
    with pytest.raises(InvalidValue) as refusal:
        make()
    assert [word for word in words if word not in str(refusal.value)] == []


@pytest.mark.parametrize("dropout", [np.float64(0.05), 0, 1e-300, 0.1 + 0.2, 1 - 2**-53])
def test_dropout_is_written_as_a_plain_number(dropout):
    architecture = Architecture((Conv(8, dropout=dropout),))
    assert Architecture.parse(str(architecture)) == architecture
