"""Pieces of a picture that show what is rare in it.

Of a large picture a random piece is mostly what the picture is mostly: ground, sky, nothing. Where the interesting
class fills a thousandth of it, most pieces hold none of it at all. So some pieces are laid on a pixel of a class that
is drawn first, each class being equally likely.
"""

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.augment.motion import Motion, scaled_length
from minisegnet.sizes import Pair


def draw_focus(labels: Array, classes: int, rng: np.random.Generator) -> Pair | None:
    """Draw a class among those of a label map, then one of its pixels; every second time nothing.

    Parameters
    ----------
    labels
        (H, W). Values from ``classes`` on (pixels that don't count) are never drawn.
    classes
        How many there are.
    rng
        Draws.

    Returns
    -------
    pixel
        (row, column); None: the piece may lie anywhere.

    Examples
    --------
    >>> labels = np.array([[0, 0, 0], [0, 0, 1]])
    >>> [draw_focus(labels, 2, np.random.default_rng(seed)) for seed in (1, 2, 3)]
    [(1, 2), None, None]
    """
    if rng.random() < 0.5:
        return None
    for c in rng.permutation(classes):  # the first one that is there
        there = labels == c  # (H, W)
        rows = np.cumsum(there.sum(axis=1))  # of its pixels, how many lie above the end of each row
        if rows.size and rows[-1]:
            number = int(rng.integers(rows[-1]))
            row = int(np.searchsorted(rows, number, side="right"))
            before = int(rows[row - 1]) if row else 0
            return row, int(np.flatnonzero(there[row])[number - before])
    return None


def aim(motion: Motion, pixel: Pair, picture: Pair, window: Pair, rng: np.random.Generator) -> Motion:
    """Lay the window so that a pixel of the picture lies in its middle half, as far as the picture's border allows.

    All that moves the picture must have been drawn before. Rotation and bending turn about the window's middle, so
    that the pixel stays near it.

    >>> aim(Motion(), (9, 0), (20, 20), (4, 4), np.random.default_rng(0)).place  # rows 7 to 10, columns 0 to 3
    (0.4411764705882353, 0.029411764705882353)
    """
    target, size = _moved(motion, pixel, picture)
    place = list(motion.place)
    for axis in range(2):
        length = scaled_length(size[axis], motion.scale)
        room = length - window[axis]
        if room <= 0:
            continue  # all of it is in the window
        middle = (
            target[axis] - (size[axis] - 1) / 2
        ) * motion.scale + length / 2  # of the pixel, once it is scaled
        inside = window[axis] * rng.uniform(0.25, 0.75)
        corner = min(max(round(middle - inside) + motion.shift[axis], 0), room)
        place[axis] = (corner + 0.5) / (room + 1)  # the middle of what stands for this corner
    return motion._replace(place=(place[0], place[1]))


def _moved(motion: Motion, pixel: Pair, picture: Pair) -> tuple[Pair, Pair]:
    """Return where a pixel lies once the picture is flipped and turned, and the size that the picture has then."""
    (row, column), (H, W) = pixel, picture
    if motion.flip_vertical:
        row = H - 1 - row
    if motion.flip:
        column = W - 1 - column
    for _ in range(motion.quarter_turns % 4):  # counter-clockwise: the last column becomes the first row
        row, column, H, W = W - 1 - column, row, W, H
    return (row, column), (H, W)
