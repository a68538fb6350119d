"""From a mask to polygons that say exactly the same: outlines along the edges of pixels, with holes.

The pixel in row i and column j is the square from x = j to j + 1 and from y = i to i + 1. An outline runs between
pixels, from one integer corner to the next, so nothing is rounded: a pixel belongs to the mask if its centre lies
inside (even-odd rule over outline and holes), and the mask comes back bit for bit.

How they are found. A corner (모서리) of an outline is a point where the four pixels around it aren't the same on both
sides of a straight line. Along each row of points corners come in pairs: an edge begins at one and ends at the next.
The same holds along each column. So every corner has one partner in its row and one in its column, and an outline is
the walk from partner to partner until it closes. Only the corners are walked over, never the pixels.

Where two pixels of the mask touch at a point only, two outlines meet (or one meets itself), and there are two ways to
go on. They are taken as apart: regions are connected through the sides of pixels (4-connected), and then what is not in
the mask must be connected through points as well (8-connected). So outlines may touch at a point, but they never cross.
"""

from array import array
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array
from minisegnet.ops import checks

# The four pixels around a point as bits: 1 above left, 2 above right, 4 below left, 8 below right.
BELOW_RIGHT = 8
RISING, FALLING = 6, 9  # two pixels that touch at the point: / and \
ONE_CORNER = (1, 2, 4, 7, 8, 11, 13, 14)  # one pixel or three
STRIP_PIXELS = 2**20  # so much of the mask is looked at at a time


class Outline(NamedTuple):
    """The border of one region and those of its holes, each (P, 2) integers: x and y of its corners.

    The first corner isn't repeated at the end. The outer border runs clockwise on the screen (y points down), holes run
    the other way. Both start at their topmost corner, the leftmost of these.
    """

    outer: Array
    holes: tuple[Array, ...]


def outlines(mask: Array) -> list[Outline]:
    """Return the outlines of all regions of a mask, from the top to the bottom and from left to right.

    Parameters
    ----------
    mask
        (H, W) of bool; or of integers, where all that isn't 0 counts.

    Returns
    -------
    list of Outline
        One for each region of pixels that are connected through their sides. Filled by the even-odd rule
        (``minisegnet.data.polygons.fill``), all rings together give the mask.

    Examples
    --------
    >>> mask = np.array([[1, 1, 1, 0],
    ...                  [1, 0, 1, 0],
    ...                  [1, 1, 1, 1]])
    >>> region = outlines(mask)[0]
    >>> region.outer.tolist()
    [[0, 0], [3, 0], [3, 2], [4, 2], [4, 3], [0, 3]]
    >>> [hole.tolist() for hole in region.holes]
    [[[1, 1], [1, 2], [2, 2], [2, 1]]]
    >>> [len(region.outer) for region in outlines(np.eye(2))]  # they touch at a point: two regions
    [4, 4]
    """
    return list(one_by_one(mask))


def one_by_one(mask: Array) -> Iterator[Outline]:
    """Yield the same outlines one at a time, for masks that have millions; about 40 bytes a corner are needed."""
    a = _as_bool(mask)
    corners = _corners(a)
    rings = _walk(corners)
    heads = rings.order[rings.starts[:-1]]
    is_hole = (corners.pattern[heads] & BELOW_RIGHT) == 0  # below its top edge there is nothing
    owner = _owners(a, corners, rings.of_corner, heads, is_hole)
    by_owner = np.argsort(owner, kind="stable")  # an outer ring, then its holes, then the next
    outer: Array | None = None
    holes: list[Array] = []
    for number in by_owner:
        ring = rings.order[rings.starts[number] : rings.starts[number + 1]]
        points = np.stack([corners.x[ring], corners.y[ring]], axis=1).astype(np.int64)  # (P, 2)
        if is_hole[number]:
            points[1:] = points[:0:-1].copy()  # the other way round
            holes.append(points)
            continue
        if outer is not None:
            yield Outline(outer, tuple(holes))
        outer, holes = points, []
    if outer is not None:
        yield Outline(outer, tuple(holes))


def _as_bool(mask: Array) -> Array:
    a = checks.array(mask, "mask", "outlines")
    if a.ndim != 2 or 0 in a.shape or a.dtype.kind not in "biuf":
        raise ValueError(
            f"outlines: mask has shape {a.shape} and dtype {a.dtype}; expected (H, W) of bool, each side 1 or more. "
            "Of a label map take one class at a time: labels == 1"
        )
    return np.ascontiguousarray(a if a.dtype == bool else a != 0)


# ---------------------------------------------------------------------------------------------------------
# Corners


class _Corners(NamedTuple):
    """All corners, row by row: number k's partner in its row is k ^ 1 (0 and 1, 2 and 3 ...).

    A point where two pixels touch is there twice: first the corner whose edge goes left, then that whose goes right.
    """

    x: Array
    y: Array
    pattern: Array  # the four pixels around
    in_column: Array  # number of the partner in its column


def _corners(mask: Array) -> _Corners:
    H, W = mask.shape
    strips = list(_turning_points(mask))
    places = np.concatenate([places for places, _ in strips])
    pattern = np.concatenate([pattern for _, pattern in strips])
    y, x = np.divmod(places, places.dtype.type(W + 1))

    second = np.zeros(len(places), bool)
    second[1:] = places[1:] == places[:-1]
    # At \ the corner of the pixel above left joins the edges to the left and above; at / they are left and below.
    below = np.where(pattern == FALLING, second, (pattern == RISING) & ~second)
    order = np.argsort((x * x.dtype.type(H + 1) + y) * 2 + below, kind="stable")  # column by column
    in_column = np.empty_like(places)
    in_column[order[0::2]], in_column[order[1::2]] = order[1::2], order[0::2]
    return _Corners(x, y, pattern, in_column)


def _turning_points(mask: Array) -> Iterator[tuple[Array, Array]]:
    """Yield where outlines turn, as flat positions, and the pattern around, strip by strip to save memory."""
    H, W = mask.shape
    how_many = np.zeros(16, np.uint8)
    how_many[list(ONE_CORNER)], how_many[[RISING, FALLING]] = 1, 2
    rows = max(STRIP_PIXELS // W, 1)
    kind = np.int32 if 2 * (H + 1) * (W + 1) < 2**31 else np.int64  # half the memory is enough nearly always
    for top in range(0, H + 1, rows):  # of points, of which there is one row more than of pixels
        bottom = min(top + rows, H + 1)
        pixels = np.zeros((bottom - top + 1, W + 2), np.uint8)  # the row above as well, and a frame
        first, last = max(top - 1, 0), min(bottom, H)
        pixels[first - top + 1 : last - top + 1, 1:-1] = mask[first:last]
        above, below = pixels[:-1], pixels[1:]
        pattern = above[:, :-1] | above[:, 1:] << 1 | below[:, :-1] << 2 | below[:, 1:] << 3
        times = how_many[pattern].ravel()
        places = np.flatnonzero(times)
        places = np.repeat(places, times[places])
        yield (places + top * (W + 1)).astype(kind), pattern.ravel()[places]


class _Rings(NamedTuple):
    """Corners in the order in which they are walked over, one ring after the other."""

    order: Array  # numbers of corners
    starts: Array  # where in ``order`` each ring starts, and the end
    of_corner: Array  # number of the ring of each corner


def _walk(corners: _Corners) -> _Rings:
    """Go from partner to partner."""
    count = len(corners.in_column)
    of_corner, order = np.full(count, -1, corners.in_column.dtype), np.empty_like(corners.in_column)
    starts = array("q", [0])
    # Lists of Python integers would be a little faster, and ten times as large.
    partner, ring, walked = corners.in_column.data, of_corner.data, order.data
    done = 0
    for start in range(0, count, 2):  # a ring's topmost leftmost corner is the left one of a pair
        if ring[start] >= 0:
            continue
        number, k = len(starts) - 1, start
        while ring[k] < 0:
            ring[k] = ring[k ^ 1] = number
            walked[done], walked[done + 1] = k, k ^ 1
            done += 2
            k = partner[k ^ 1]
        starts.append(done)
    return _Rings(order, np.array(starts, np.int64), of_corner)


# ---------------------------------------------------------------------------------------------------------
# Which region a hole is in


def _owners(mask: Array, corners: _Corners, ring_of: Array, heads: Array, is_hole: Array) -> Array:
    """Return the outer ring that each ring belongs to; an outer ring belongs to itself.

    The pixel above a hole's top edge is in the hole's region. We go left from it to the end of the run of such pixels.
    The edge there belongs to the region's outer ring, or to another of its holes that begins further up.
    """
    H, W = mask.shape
    owner = np.arange(len(heads))
    holes = np.flatnonzero(is_hole)
    if not len(holes):
        return owner
    x, y = (a[heads[holes]].astype(np.int64) for a in (corners.x, corners.y))
    starts = _run_starts(mask)
    above = starts[np.searchsorted(starts, (y - 1) * W + x, side="right") - 1]
    row, column = np.divmod(above, W)

    # The vertical edges: from each upper corner to its partner below. In one column they don't overlap.
    upper = np.flatnonzero(corners.y < corners.y[corners.in_column])
    key = corners.x[upper].astype(np.int64) * (H + 1) + corners.y[upper]
    order = np.argsort(key, kind="stable")
    edge = np.searchsorted(key[order], column * (H + 1) + row, side="right") - 1
    left_of = ring_of[upper[order[edge]]]
    for hole, neighbour in zip(holes.tolist(), left_of.tolist(), strict=True):
        owner[hole] = owner[neighbour]  # rings are numbered from the top down, so this one is known
    return owner


def _run_starts(mask: Array) -> Array:
    """Return where runs of the mask begin in its rows, as flat positions."""
    first = mask.copy()
    first[:, 1:] &= ~mask[:, :-1]
    return np.flatnonzero(first)
