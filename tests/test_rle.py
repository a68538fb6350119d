"""Run lengths: worked by hand, against a decoder written from the format's description, and there and back again."""

import json
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from minisegnet.arrays import Array
from minisegnet.data import rle

masks = st.tuples(st.integers(1, 7), st.integers(1, 7)).flatmap(
    lambda size: st.lists(st.booleans(), min_size=size[0] * size[1], max_size=size[0] * size[1]).map(
        lambda bits: np.array(bits).reshape(size)
    )
)


def slow_counts(mask: Array) -> list[int]:
    """Go down the columns, pixel by pixel."""
    counts, current = [0], False
    for j in range(mask.shape[1]):
        for i in range(mask.shape[0]):
            if bool(mask[i, j]) != current:
                counts.append(0)
                current = not current
            counts[-1] += 1
    return counts


def slow_text(counts: list[int]) -> str:
    """Compress by the description: differences from the fourth on, five bits a letter, the lowest first."""
    text = ""
    for k, count in enumerate(counts):
        number = count - counts[k - 2] if k > 2 else count
        while True:
            bits, number = number & 31, number >> 5  # >> of a negative number goes to -1
            done = number == (-1 if bits & 16 else 0)
            text += chr(48 + bits + (0 if done else 32))
            if done:
                break
    return text


@given(masks)
def test_there_and_back(mask: Array) -> None:
    encoded = rle.encode(mask)
    assert encoded == {"size": list(mask.shape), "counts": slow_counts(mask)}
    assert json.loads(json.dumps(encoded)) == encoded
    assert np.array_equal(rle.decode(encoded), mask) and rle.decode(encoded).dtype == bool
    for text in (slow_text(encoded["counts"]), slow_text(encoded["counts"]).encode()):
        assert np.array_equal(rle.decode({"size": encoded["size"], "counts": text}), mask)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30))
def test_compressed_numbers_of_any_size(counts: list[int]) -> None:
    counts[0] += 1
    told = {"size": [sum(counts), 1], "counts": slow_text(counts)}
    assert rle.checked(told, max_pixels=10**9)[1].tolist() == counts


def test_worked_values() -> None:
    mask = np.array([[0, 1, 1], [0, 1, 0]])  # down the columns: 0 0, 1 1, 1 0
    assert rle.encode(mask) == {"size": [2, 3], "counts": [2, 3, 1]}
    assert rle.encode(np.ones((2, 2), np.uint8)) == {"size": [2, 2], "counts": [0, 4]}
    assert rle.encode(np.zeros((2, 2), bool)) == {"size": [2, 2], "counts": [4]}
    assert rle.encode(mask[:, ::-1].T[::-1])["counts"] == slow_counts(mask[:, ::-1].T[::-1])  # not contiguous
    # 16 needs two letters, as one with bit 4 set would be negative: 16 + 32 + 48 = "`", then "0".
    assert rle.decode({"size": [17, 1], "counts": "`01"}).ravel().tolist() == [False] * 16 + [True]
    # 5 2 3 1: the fourth is 1 - 2 = -1: all five bits, "O".
    assert rle.checked({"size": [11, 1], "counts": "523O"})[1].tolist() == [5, 2, 3, 1]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"size": [2, 2], "counts": [3]}, "add up to 3 pixels; expected 2 x 2 = 4"),
        ({"size": [2, 2], "counts": [5, -1]}, "hold -1; expected whole numbers"),
        ({"size": [2, 2], "counts": [2.5, 1.5]}, "hold 2.5"),
        ({"size": [2, 2], "counts": [True, 3]}, "hold True"),
        ({"size": [2, 2], "counts": [10**30]}, "hold 1000000"),
        ({"size": [2, 2], "counts": []}, "have the counts"),
        ({"size": [2, 2], "counts": None}, "have the counts None"),
        ({"size": [2, 2], "counts": ""}, "end in the middle of a number, or before the first"),
        ({"size": [2, 2], "counts": "4P"}, "end in the middle"),
        ({"size": [2, 2], "counts": "4 "}, "damaged at ' '"),
        ({"size": [2, 2], "counts": "P" * 9 + "0"}, "damaged at 'P'"),
        ({"size": [2, 2], "counts": "O"}, "hold -1; expected 0 or more"),
        ({"size": [2, 2], "counts": "4é"}, "expected ASCII"),
        ({"size": [2, 0], "counts": [0]}, "have the size"),
        ({"size": [2], "counts": [2]}, "have the size"),
        ({"size": [2, 2.0], "counts": [4]}, "have the size"),
        ({"size": [100_000, 100_000], "counts": [10**10]}, "expected at most 250,000,000"),
        ({"size": [2, 2]}, "expected size and counts"),
        ([4], "expected size and counts"),
    ],
)
def test_damaged_run_lengths_are_refused(told: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rle.decode(told)


def test_masks_that_are_none() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 2, 1\)"):
        rle.encode(np.zeros((2, 2, 1), bool))
    with pytest.raises(TypeError, match="float64"):
        rle.encode(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="expected at most 3"):
        rle.decode({"size": [2, 2], "counts": [4]}, max_pixels=3)
