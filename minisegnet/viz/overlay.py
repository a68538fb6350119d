"""Labels on top of the image, and a map of the mistakes."""

import numpy as np

from minisegnet.arrays import Array
from minisegnet.metrics.confusion import counted, label_pair
from minisegnet.ops import checks
from minisegnet.ops.dispatch import to_numpy
from minisegnet.viz.colours import IGNORED, Palette, as_palette, label_map, to_rgb

RIGHT, WRONG = (232, 232, 232), (204, 0, 68)  # pale and dark: told apart by brightness alone, too


def overlay(
    image: Array,
    labels: Array,
    palette: Palette,
    *,
    alpha: float = 0.5,
    outline: bool = True,
    ignore_index: int | None = None,
) -> Array:  # (H, W, 3) uint8
    r"""Tint each pixel of an image with the colour of its class.

    .. math:: y = (1 - \alpha)\,x + \alpha\,\mathrm{colour}

    Where two classes meet, the pixel of the higher label is drawn in its full colour: a line one pixel wide, just
    inside the object. Pixels that don't count keep the image's colours.

    Parameters
    ----------
    image
        (H, W) or (H, W, C), as for ``to_rgb``.
    labels
        (H, W), integers.
    palette
        A colour for each class.
    alpha
        From 0, only the image, to 1, only the colours.
    outline
        Whether to draw the lines.
    ignore_index
        Label of the pixels that don't count.

    Examples
    --------
    >>> image = np.full((1, 4), 100, np.uint8)
    >>> palette = [(0, 0, 0), (200, 100, 0)]
    >>> overlay(image, np.array([[0, 0, 1, 1]]), palette)[0].tolist()
    [[50, 50, 50], [50, 50, 50], [200, 100, 0], [150, 100, 50]]
    """
    op = "overlay"
    alpha = checks.number(alpha, "alpha", op)
    if not 0 <= alpha <= 1:
        raise ValueError(f"{op}: alpha is {alpha}; expected 0 (only the image) to 1 (only the colours)")
    outline = checks.flag(outline, "outline", op)
    rgb, colours = to_rgb(image), as_palette(palette, op)
    labels, counts = label_map(labels, len(colours), ignore_index, "labels", op)
    checks.shape(labels, rgb.shape[:2], "labels", op, "the image's size")
    tint = colours[np.where(counts, labels, 0)]  # (H, W, 3)
    mixed = np.floor((1 - alpha) * rgb + alpha * tint + 0.5).astype(np.uint8)
    if outline:
        line = outlines(labels, counts)
        mixed[line] = tint[line]
    return np.where(counts[:, :, None], mixed, rgb)


def outlines(labels: Array, counts: Array) -> Array:  # (H, W) bool
    """Mark the pixels that have a neighbour of a lower label above, below, left or right.

    >>> labels = np.array([[0, 1, 1, 0, 2]])
    >>> outlines(labels, labels >= 0)
    array([[False,  True,  True, False,  True]])
    """
    line = np.zeros(labels.shape, bool)
    both = counts[1:] & counts[:-1]  # (H-1, W): a row and the next
    line[1:] |= both & (labels[1:] > labels[:-1])
    line[:-1] |= both & (labels[:-1] > labels[1:])
    both = counts[:, 1:] & counts[:, :-1]  # (H, W-1)
    line[:, 1:] |= both & (labels[:, 1:] > labels[:, :-1])
    line[:, :-1] |= both & (labels[:, :-1] > labels[:, 1:])
    return line


def error_map(
    truth: Array, predicted: Array, *, image: Array | None = None, ignore_index: int | None = None
) -> Array:  # (H, W, 3) uint8
    """Show where a prediction is wrong: mistakes in crimson, the rest pale, pixels that don't count white.

    Parameters
    ----------
    truth, predicted
        (H, W), integers.
    image
        If given, what is right shows it in pale grey, so that one sees what the mistakes are at.
    ignore_index
        Truth of the pixels that don't count.

    Examples
    --------
    >>> error_map(np.array([[0, 1, 255]]), np.array([[0, 0, 0]]), ignore_index=255)[0].tolist()
    [[232, 232, 232], [204, 0, 68], [255, 255, 255]]
    """
    op = "error_map"
    truth, predicted = (to_numpy(a) for a in label_pair(truth, predicted, op))
    checks.rank(truth, 2, "truth", op, "(H, W)")
    counts = counted(truth, ignore_index, op)
    shown = np.empty((*truth.shape, 3), np.uint8)
    shown[:] = RIGHT
    if image is not None:
        rgb = to_rgb(image)
        checks.shape(rgb[:, :, 0], truth.shape, "image", op, "the labels' size")
        shown[:] = pale(rgb)[:, :, None]
    shown[counts & (truth != predicted)] = WRONG
    shown[~counts] = IGNORED
    return shown


def pale(rgb: Array) -> Array:  # (H, W) uint8
    """Return an image's grey, from 160 instead of 0 to 240 instead of 255.

    >>> pale(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8))
    array([[160, 240]], dtype=uint8)
    """
    red, green, blue = (rgb[:, :, c].astype(np.float64) for c in range(3))
    grey = 0.299 * red + 0.587 * green + 0.114 * blue  # how bright the eye finds them (ITU-R BT.601)
    return np.floor(160 + grey * (80 / 255) + 0.5).astype(np.uint8)
