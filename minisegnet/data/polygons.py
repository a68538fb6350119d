"""From outlines to pixels: which pixels lie within rings of points, by the even-odd rule.

Coordinates count from the outer corner of the first pixel: pixel (row i, column j) covers x from j to j + 1 and y from
i to i + 1. It belongs to a region if its centre (j + 0.5, i + 0.5) does. A centre is within some rings if a line from
it to the outside crosses them an odd number of times (even-odd rule, 짝홀 규칙); so a ring inside another is a hole.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array
from minisegnet.sizes import IntOrPair, Pair, as_pair

FARTHEST = 1e9  # a coordinate beyond this is no place in a picture; up to here float64 is exact enough
MOST_CROSSINGS = (
    10**7
)  # of edges with rows, and four for each pixel: more only winds to and fro within pixels
CHUNK = 2**20  # crossings that are worked out at a time


class Patch(NamedTuple):
    """A part of a picture, and which of its pixels belong to a region."""

    top: int
    left: int
    inside: Array  # (h, w) bool


def fill(rings: Sequence[Array], size: IntOrPair) -> Array:
    """Return which pixels lie within rings.

    Parameters
    ----------
    rings
        Each (P, 2): x and y of its corners; the last is joined to the first. In which direction they go round doesn't
        matter. What lies outside the picture is cut off.
    size
        (H, W) of the picture.

    Returns
    -------
    mask
        (H, W) bool. Where two regions share an edge, each pixel belongs to one of them: a centre that lies on an edge
        is within the region to its right, or below it.

    Raises
    ------
    ValueError
        Coordinates aren't finite, are beyond a thousand millions, or are so many that they only fill each pixel with
        edges.

    Examples
    --------
    >>> outer, hole = np.array([[0, 0], [4, 0], [4, 3], [0, 3]]), np.array([[1, 1], [3, 1], [3, 2], [1, 2]])
    >>> fill([outer, hole], (3, 5)).astype(int)
    array([[1, 1, 1, 1, 0],
           [1, 0, 0, 1, 0],
           [1, 1, 1, 1, 0]])
    """
    H, W = as_pair(size, "size", 1)
    mask = np.zeros((H, W), bool)
    patch = fill_patch(rings, (H, W))
    h, w = patch.inside.shape
    mask[patch.top : patch.top + h, patch.left : patch.left + w] = patch.inside
    return mask


def fill_patch(rings: Sequence[Array], size: Pair) -> Patch:
    """Return the same as :func:`fill`, but only the part of the picture that the rings reach."""
    H, W = size
    edges = _edges(rings)  # (4, E)
    if edges.shape[1] == 0:
        return Patch(0, 0, np.zeros((0, 0), bool))
    x1, y1, x2, y2 = edges
    top, bottom = _first(min(y1.min(), y2.min()), H), _first(max(y1.max(), y2.max()), H)
    left, right = _first(min(x1.min(), x2.min()), W), _first(max(x1.max(), x2.max()), W)
    if top >= bottom or left >= right:
        return Patch(0, 0, np.zeros((0, 0), bool))
    # Where a row crosses an edge, all that follows in the row changes sides; the last column takes what never does.
    turns = np.zeros((bottom - top, right - left + 1), bool)
    flat = turns.ravel()
    for rows, columns in _crossings(edges, (top, bottom), (left, right)):
        places, counts = np.unique((rows - top) * turns.shape[1] + (columns - left), return_counts=True)
        flat[places[counts % 2 == 1]] ^= True
    np.logical_xor.accumulate(turns, axis=1, out=turns)
    return Patch(top, left, turns[:, :-1])


def _edges(rings: Sequence[Array]) -> Array:
    """Return x1, y1, x2, y2 of all edges that cross a row, downwards, (4, E) float64."""
    parts = []
    for ring in rings:
        points = np.asarray(ring, np.float64)
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"a ring has shape {points.shape}; expected (P, 2): x and y of each corner")
        if not (np.abs(points) <= FARTHEST).all():  # this way NaN is refused, too
            wrong = points[~(np.abs(points) <= FARTHEST).all(axis=1)][0]
            raise ValueError(
                f"a ring has the corner ({wrong[0]:g}, {wrong[1]:g}); expected finite numbers of at most {FARTHEST:g}"
            )
        parts.append(np.concatenate([points, np.roll(points, -1, axis=0)], axis=1).T)  # (4, P)
    edges = np.concatenate(parts, axis=1) if parts else np.zeros((4, 0))
    upwards = edges[1] > edges[3]
    edges[:, upwards] = edges[:, upwards][[2, 3, 0, 1]]
    return edges[:, edges[1] < edges[3]]


def _first(at: float, length: int) -> int:
    """Return the first pixel of an axis whose centre is at this place or beyond."""
    return int(min(max(np.ceil(at - 0.5), 0), length))


def _crossings(edges: Array, rows: Pair, columns: Pair) -> Iterator[tuple[Array, Array]]:
    """Yield rows and first columns at the right of each crossing of an edge with a row of centres, some at a time."""
    x1, y1, x2, y2 = edges
    begin = np.clip(np.ceil(y1 - 0.5), *rows).astype(np.int64)  # (E,)
    end = np.clip(np.ceil(y2 - 0.5), *rows).astype(np.int64)
    totals = np.cumsum(end - begin)
    most = MOST_CROSSINGS + 4 * (rows[1] - rows[0]) * (columns[1] - columns[0])
    if totals[-1] > most:
        raise ValueError(
            f"{len(x1):,} edges cross {totals[-1]:,} rows within {rows[1] - rows[0]} x {columns[1] - columns[0]} "
            f"pixels; expected at most {most:,}: such an outline is damaged"
        )
    for start in range(0, int(totals[-1]), CHUNK):
        number = np.arange(start, min(start + CHUNK, int(totals[-1])))
        edge = np.searchsorted(totals, number, side="right")  # (crossings,)
        row = end[edge] - (totals[edge] - number)
        a, b, c, d = x1[edge], y1[edge], x2[edge], y2[edge]
        x = a + (row + 0.5 - b) * ((c - a) / (d - b))
        yield row, np.clip(np.ceil(x - 0.5), *columns).astype(np.int64)
