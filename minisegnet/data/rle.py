"""Run lengths (RLE, 런 길이 부호화): a mask as the lengths of its stretches of 0 and 1, as COCO stores them.

COCO goes down the columns, one after the other. The first length counts zeros (it is 0 if the mask begins with a one),
the second ones, and so on in turn.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.json_files import short
from minisegnet.data.reading import MOST_PIXELS
from minisegnet.ops import checks

MOST_DIGITS = 8  # of a number in the compressed form, five bits each: pixels need no more


def encode(mask: Array) -> dict[str, list[int]]:
    """Encode a mask.

    Parameters
    ----------
    mask
        (H, W), bool or integers: what isn't 0 is inside.

    Returns
    -------
    rle
        ``{"size": [H, W], "counts": [...]}`` of Python integers, ready for JSON.

    Examples
    --------
    >>> encode(np.array([[0, 1], [1, 1]]))
    {'size': [2, 2], 'counts': [1, 3]}
    """
    a = np.asarray(mask)
    if a.dtype != bool:
        a = checks.integers(a, "mask", "rle.encode") != 0
    if a.ndim != 2:
        raise ValueError(f"rle.encode: mask has shape {a.shape}; expected (H, W)")
    flat = a.T.ravel()  # (W H,)
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(ends, prepend=0, append=flat.size).tolist()
    if flat.size and flat[0]:
        counts.insert(0, 0)
    return {"size": list(a.shape), "counts": counts}


def decode(rle: Mapping[str, Any], *, max_pixels: int = MOST_PIXELS) -> Array:
    """Decode a mask, (H, W) bool.

    Parameters
    ----------
    rle
        ``{"size": [H, W], "counts": ...}``: the counts as numbers, or as COCO's compressed text or bytes.
    max_pixels
        A larger size is refused before anything is unpacked.

    Raises
    ------
    ValueError
        A part is missing or of a wrong kind, the size is too large, or the counts don't add up to it.

    Examples
    --------
    >>> decode({"size": [2, 3], "counts": [1, 3, 2]}).astype(int)
    array([[0, 1, 0],
           [1, 1, 0]])
    >>> decode({"size": [2, 3], "counts": "132"}).astype(int)  # the same, compressed
    array([[0, 1, 0],
           [1, 1, 0]])
    """
    (H, W), counts = checked(rle, max_pixels=max_pixels)
    return paint((H, W), counts)


def paint(size: tuple[int, int], counts: Array) -> Array:
    """Return the mask of checked counts, (H, W) bool."""
    H, W = size
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(W, H).T


def checked(rle: Mapping[str, Any], *, max_pixels: int = MOST_PIXELS) -> tuple[tuple[int, int], Array]:
    """Return the size of run lengths and their counts as an array, both checked; nothing is unpacked."""
    if not isinstance(rle, Mapping) or not {"size", "counts"} <= rle.keys():
        raise ValueError(f"run lengths are {short(rle)}; expected size and counts")
    size, counts = rle["size"], rle["counts"]
    if (
        not isinstance(size, list | tuple)
        or len(size) != 2
        or any(not isinstance(n, int) or isinstance(n, bool) or n < 1 for n in size)
    ):
        raise ValueError(f"run lengths have the size {short(size)}; expected [height, width], each 1 or more")
    H, W = size
    if H * W > max_pixels:
        raise ValueError(f"run lengths have {H:,} x {W:,} pixels; expected at most {max_pixels:,}")
    numbers = _uncompressed(counts) if isinstance(counts, str | bytes) else _listed(counts)
    if numbers.sum() != H * W:
        raise ValueError(f"run lengths add up to {numbers.sum():,} pixels; expected {H} x {W} = {H * W:,}")
    return (H, W), numbers


def _listed(counts: Any) -> Array:
    if not isinstance(counts, list | tuple) or not counts:
        raise ValueError(f"run lengths have the counts {short(counts)}; expected numbers or compressed text")
    wrong = [n for n in counts if type(n) is not int or not 0 <= n <= 2**40]
    if wrong:
        raise ValueError(f"run lengths hold {short(wrong[0])}; expected whole numbers of 0 or more")
    return np.array(counts, np.int64)


def _uncompressed(text: str | bytes) -> Array:
    """Undo COCO's compression.

    Each character holds five bits of a number, the lowest first, and a sixth that says that more follow; 48 is added so
    that it can be printed. The fifth bit of the last one is the number's sign. From the fourth number on only the
    difference to the one before the last is stored.
    """
    try:
        letters = text.encode("ascii") if isinstance(text, str) else text
    except UnicodeEncodeError:
        raise ValueError("compressed run lengths hold letters that can't be; expected ASCII") from None
    counts: list[int] = []
    number = digits = 0
    for letter in letters:
        part = letter - 48
        if not 0 <= part < 64 or digits >= MOST_DIGITS:
            raise ValueError(f"compressed run lengths are damaged at {chr(letter)!r}")
        number |= (part & 31) << 5 * digits
        digits += 1
        if part & 32:
            continue
        if part & 16:
            number -= 1 << 5 * digits
        if len(counts) > 2:
            number += counts[-2]
        if not 0 <= number <= 2**40:
            raise ValueError(f"compressed run lengths hold {number}; expected 0 or more")
        counts.append(number)
        number = digits = 0
    if digits or not counts:
        raise ValueError("compressed run lengths end in the middle of a number, or before the first")
    return np.array(counts, np.int64)
