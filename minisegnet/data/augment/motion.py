"""Where each output pixel is read from: flips, turns, scale, rotation, bending and the crop as one field.

Moving a picture step by step would blur it once per step. Here all steps only say where a pixel comes from: they are
composed as positions, and then every map of a sample is read once at the very same places. Flips, quarter turns,
shifts and crops lead to whole positions; then pixels are copied and nothing is mixed.
"""

import math
from typing import NamedTuple, TypeAlias

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.sample import Sample
from minisegnet.sizes import IntOrPair, Pair, as_pair

Places: TypeAlias = tuple[Array, Array]  # rows and columns; they broadcast to (h, w)


class Motion(NamedTuple):
    """How a picture is moved; as it is built by default, not at all.

    The order is that of the fields: the picture is flipped, turned, scaled; a window is laid on it; what the window
    shows is rotated about the window's centre and bent.
    """

    flip: bool = False  # left and right change places
    flip_vertical: bool = False  # above and below change places
    quarter_turns: int = 0  # counter-clockwise, like np.rot90
    scale: float = 1.0  # 2: everything is twice as large
    place: tuple[float, float] = (0.5, 0.5)  # of the window, 0: top or left, 1: bottom or right
    shift: tuple[int, int] = (0, 0)  # pixels that the picture moves down and to the right
    angle: float = 0.0  # degrees, counter-clockwise
    bend: Array | None = None  # (2, h, w): an elastic field over the window, see elastic_field

    @property
    def exact(self) -> bool:
        """Whether pixels are only copied from whole positions."""
        return self.scale == 1 and self.angle == 0 and self.bend is None


def move(sample: Sample, motion: Motion, size: IntOrPair | None = None) -> Sample:
    """Move picture, labels and instances of a sample together.

    The picture is read bilinearly; labels and instances are read at the same places by the nearest pixel, so that no
    label appears that wasn't there. Outside, everything is mirrored (the edge pixels aren't repeated): there is
    neither a fill colour nor a fill label.

    Parameters
    ----------
    sample
        Not changed.
    motion
        What to do.
    size
        (h, w) of the window; None: the picture's size. A window that is larger than the picture shows its mirror
        images as well.

    Returns
    -------
    sample
        New arrays in C order, of the same dtypes.

    Examples
    --------
    >>> sample = Sample(np.arange(6, dtype=np.uint8).reshape(2, 3, 1), np.array([[0, 0, 1], [1, 1, 1]], np.uint8))
    >>> move(sample, Motion(flip=True)).labels
    array([[1, 0, 0],
           [1, 1, 1]], dtype=uint8)
    >>> move(sample, Motion(), (2, 5)).image[..., 0]  # one more column on each side: the mirror image
    array([[1, 0, 1, 2, 1],
           [4, 3, 4, 5, 4]], dtype=uint8)
    """
    H, W = sample.image.shape[:2]
    window = (H, W) if size is None else as_pair(size, "size", 1)
    rows, columns = places(motion, (H, W), window)
    if motion.exact:
        rows, columns = mirrored(rows, H), mirrored(columns, W)
        image, nearest = sample.image[rows, columns], (rows, columns)  # (h, w, C)
    else:
        image = _bilinear(sample.image, rows, columns)  # (h, w, C)
        nearest = mirrored(np.floor(rows + 0.5), H), mirrored(np.floor(columns + 0.5), W)
    return sample._replace(
        image=np.ascontiguousarray(image),
        labels=_pick(sample.labels, nearest),
        instances=_pick(sample.instances, nearest),
    )


# ---------------------------------------------------------------------------------------------------------
# From an output pixel back to the picture


def places(motion: Motion, picture: Pair, window: Pair) -> Places:
    """Return the row and the column that each pixel of the window is read from.

    The steps are undone from the last to the first. Whole positions stay integers, and as long as rows and columns
    don't depend on each other they stay one row and one column of numbers.

    >>> rows, columns = places(Motion(quarter_turns=1), (2, 3), (3, 2))
    >>> (rows + 0 * columns).tolist(), (columns + 0 * rows).tolist()  # np.rot90([[a, b, c], [d, e, f]]) = [[c, f], ...
    ([[0, 1], [0, 1], [0, 1]], [[2, 2], [1, 1], [0, 0]])
    """
    h, w = window
    H, W = picture[::-1] if motion.quarter_turns % 2 else picture  # once it is turned
    top = _corner(scaled_length(H, motion.scale) - h, motion.place[0]) - motion.shift[0]
    left = _corner(scaled_length(W, motion.scale) - w, motion.place[1]) - motion.shift[1]
    rows: Array = np.arange(h)[:, None]  # (h, 1)
    columns: Array = np.arange(w)[None, :]  # (1, w)
    if motion.exact:
        rows, columns = rows + top, columns + left
    else:
        # About the window's centre, then to the place of that centre on the picture.
        y, x = rows - (h - 1) / 2, columns - (w - 1) / 2
        if motion.bend is not None:
            y, x = y + motion.bend[0], x + motion.bend[1]  # (h, w)
        y, x = _rotated(y, x, motion.angle)
        rows = (y + (top + (h - scaled_length(H, motion.scale)) / 2)) / motion.scale + (H - 1) / 2
        columns = (x + (left + (w - scaled_length(W, motion.scale)) / 2)) / motion.scale + (W - 1) / 2
    return _unflipped(*_unturned(rows, columns, motion.quarter_turns, H, W), motion, picture)


def scaled_length(length: int, scale: float) -> int:
    """Return the side of a scaled picture, in whole pixels."""
    return max(round(length * scale), 1)


def _corner(room: int, place: float) -> int:
    """Where the window begins; each of its whole places has an equal part of 0..1.

    Without room it is the other way round: the picture has its place in the window.
    """
    corner = min(int(place * (abs(room) + 1)), abs(room))
    return corner if room >= 0 else -corner


def _rotated(y: Array, x: Array, angle: float) -> Places:
    if angle == 0:
        return y, x
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    return cosine * y + sine * x, cosine * x - sine * y  # (h, w): rows grow downwards


def _unturned(rows: Array, columns: Array, quarter_turns: int, H: int, W: int) -> Places:
    """Undo counter-clockwise quarter turns; H and W are those of the turned picture."""
    for _ in range(quarter_turns % 4):
        rows, columns = columns, H - 1 - rows
        H, W = W, H
    return rows, columns


def _unflipped(rows: Array, columns: Array, motion: Motion, picture: Pair) -> Places:
    if motion.flip_vertical:
        rows = picture[0] - 1 - rows
    if motion.flip:
        columns = picture[1] - 1 - columns
    return rows, columns


# ---------------------------------------------------------------------------------------------------------
# Reading


def mirrored(index: Array, length: int) -> Array:
    """Fold any whole number into 0..length-1, as if the picture stood between two mirrors.

    >>> mirrored(np.arange(-3, 6), 3)
    array([1, 2, 1, 0, 1, 2, 1, 0, 1])
    """
    period = max(2 * (length - 1), 1)
    index = index.astype(np.int64) % period
    folded: Array = np.minimum(index, period - index)
    return folded


def _pick(labels: Array | None, nearest: Places) -> Array | None:
    return None if labels is None else np.ascontiguousarray(labels[nearest])  # (h, w)


def _bilinear(image: Array, rows: Array, columns: Array) -> Array:
    """Mix the four pixels around each place, in float64: rounding can't then leave the picture's range of values."""
    H, W, C = image.shape
    top, left = np.floor(rows), np.floor(columns)
    down, across = rows - top, columns - left
    above, below = mirrored(top, H) * (W * C), mirrored(top + 1, H) * (W * C)
    before, after = mirrored(left, W) * C, mirrored(left + 1, W) * C
    corners = (
        above + before,
        above + after,
        below + before,
        below + after,
    )  # (h, w) each: where channel 0 lies
    flat = image.reshape(-1)  # a copy only if the rows don't lie one after another
    result = np.empty((*corners[0].shape, C), image.dtype)  # (h, w, C)
    for channel in range(C):
        a, b, c, d = (flat[channel:].take(corner).astype(np.float64) for corner in corners)
        mixed = _between(_between(a, b, across), _between(c, d, across), down)
        result[..., channel] = np.rint(mixed, out=mixed) if image.dtype.kind in "iu" else mixed
    return result


def _between(a: Array, b: Array, t: Array) -> Array:
    """Return a + t (b - a), in the memory of b; of two equal values exactly that value."""
    b -= a
    b *= t
    b += a
    return b
