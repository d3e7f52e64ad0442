"""Architectures as text, and what is refused."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.strategies import architectures
from under20k.errors import InvalidValue, UserError
from under20k.recipe.architecture import Architecture, Conv, Head


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
    ],
)
def test_blocks(text, block):
    assert Architecture.parse(f"{text}|1").blocks == (block,)


def test_blocks_that_share_their_weights():
    blocks = Architecture.parse("8,8,8s,8vsnup|1").blocks
    assert [block.shared for block in blocks] == [False, False, True, True]
    assert blocks[3] == Conv(8, padding=0, batch_norm=False, pool=True, bias=False, shared=True)


@pytest.mark.parametrize(
    ("text", "head"),
    [
        ("3v", Head(3, 0)),
        ("3", Head(3, 1)),
        ("1", Head(1, 0)),
        ("l", Head(1, 0, pool_first=True)),
        ("3vu", Head(3, 0, bias=False)),
        ("lu", Head(1, 0, pool_first=True, bias=False)),
    ],
)
def test_heads(text, head):
    assert Architecture.parse(f"8|{text}").head == head
    assert str(Architecture.parse(f"8|{text}")) == f"8|{text}"


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


@given(st.text("0123456789kvsnupdl|,.e- ", max_size=30) | st.text(max_size=10))
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
        (lambda: Conv(8, kernel=5), ["kernel: 5", "3 with 0 or 1"]),
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
