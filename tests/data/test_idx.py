import gzip
import io
import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.small_mnist import ARRAYS, BYTES, FILES
from under20k.data import MNIST, Damaged, locate
from under20k.data.idx import read_gzip, read_plain, verify

FILE, BYTES_OF_FILE = FILES[1], BYTES[1]  # 68 bytes


def as_array(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8)


def gzip_read(content: bytes) -> Callable[[int], bytes]:
    return io.BytesIO(content).read


def test_sizes_are_those_of_the_published_files():
    assert [file.size for file in MNIST] == [47_040_016, 60_008, 7_840_016, 10_008]


def test_true_files_carry_the_headers_of_the_table():
    found = locate().values()
    assert [f.file for f in found] == list(MNIST)
    for f in found:
        assert f.path.read_bytes()[: len(f.file.header)] == f.file.header


@pytest.mark.parametrize("i", range(4))
def test_arrays_are_views_with_the_written_values(i):
    content = read_plain(io.BytesIO(BYTES[i]), FILES[i])
    verify(content, FILES[i])
    array = FILES[i].array(content)
    assert np.array_equal(array, ARRAYS[i])
    assert array.flags.c_contiguous
    assert np.shares_memory(array, content)


@given(st.integers(0, len(BYTES_OF_FILE) * 8 - 1))
def test_any_flipped_bit_is_found(bit):
    altered = bytearray(BYTES_OF_FILE)
    altered[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Damaged, match=f"SHA-256 .*, not {FILE.sha256}"):
        verify(as_array(altered), FILE)


@given(st.integers(0, len(BYTES_OF_FILE) - 1))
def test_any_truncation_is_found_and_sized(length):
    with pytest.raises(Damaged, match=f"has {length} of 68 bytes"):
        verify(read_plain(io.BytesIO(BYTES_OF_FILE[:length]), FILE), FILE)


def test_a_longer_file_is_not_read_to_its_end():
    stream = io.BytesIO(BYTES_OF_FILE + b"x" * 1000)
    with pytest.raises(Damaged, match="longer than the expected 68 bytes"):
        verify(read_plain(stream, FILE), FILE)
    assert stream.tell() == 69


@given(content=st.binary(max_size=69), level=st.integers(0, 9))
def test_gzip_unpacks_to_what_was_packed(content, level):
    packed = gzip.compress(content, level)
    assert read_gzip(gzip_read(packed), FILE).tobytes() == content


def test_truncated_gzip_never_passes():
    packed = gzip.compress(BYTES_OF_FILE)
    passed = []
    for cut in range(len(packed)):
        try:
            content = read_gzip(gzip_read(packed[:cut]), FILE)
            verify(content, FILE)
        except Damaged:
            continue
        assert content.tobytes() == BYTES_OF_FILE
        passed.append(cut)
    # All that a copy may lack is the end mark and gzip's own checksum, which ours stands in for.
    assert all(len(packed) - cut <= 10 for cut in passed)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_damaged_gzip(content):
    with pytest.raises(Damaged):
        verify(read_gzip(gzip_read(content), FILE), FILE)


def test_a_bomb_is_not_unpacked():
    packed = gzip.compress(bytes(50_000_000))
    assert len(read_gzip(gzip_read(packed), FILE)) == FILE.size + 1


def test_an_endless_empty_stream_is_abandoned():
    head = gzip.compress(b"")[:10]
    chunks = itertools.chain([head], itertools.repeat(b"\x00\x00\x00\xff\xff"))  # empty stored blocks
    taken = 0

    def read(size: int) -> bytes:
        nonlocal taken
        chunk = next(chunks)
        taken += len(chunk)
        assert taken < 100_000
        return chunk

    with pytest.raises(Damaged, match="has 0 of 68 bytes"):
        verify(read_gzip(read, FILE), FILE)
