"""From images and labels of any kind to colours that a screen can show."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from minisegnet.arrays import Array
from minisegnet.metrics.confusion import counted, within
from minisegnet.ops import checks
from minisegnet.ops.dispatch import to_numpy

Palette: TypeAlias = Sequence[Sequence[int]]

IGNORED = (255, 255, 255)  # pixels that don't count are white: no class's colour
LOW, HIGH = 2, 98  # percentiles that become black and full brightness where an image is stretched


def to_rgb(image: Array) -> Array:  # (H, W, 3) uint8
    """Turn any image into one that can be shown.

    Channels: one is shown as grey; two as red and green; of more than three the first three.

    Brightness: uint8, and floats from 0 to 1, are shown as they are. uint16 and other floats (normalised images,
    measurements) have no brightness of their own and are stretched: their 2nd percentile becomes black, their 98th
    full brightness. With one or three channels all are stretched alike, so that colours stay what they are; with
    another number each by itself, because they measure different things. NaN is black; a picture of one value is
    mid grey.

    Parameters
    ----------
    image
        (H, W) or (H, W, C), uint8, uint16 or float.

    Returns
    -------
    rgb
        (H, W, 3), uint8, a new array.

    Examples
    --------
    >>> to_rgb(np.array([[0.0, 0.5, 1.0]]))[0].tolist()
    [[0, 0, 0], [128, 128, 128], [255, 255, 255]]
    """
    op = "to_rgb"
    image = to_numpy(checks.array(image, "image", op))
    if image.ndim == 2:
        image = image[:, :, None]  # (H, W, 1)
    if image.ndim != 3 or 0 in image.shape:
        hint = (
            "; a batch (N, C, H, W) goes picture by picture: x[0].transpose(1, 2, 0)"
            if image.ndim == 4
            else ""
        )
        raise ValueError(
            f"{op}: image has shape {image.shape}; expected (H, W) or (H, W, C), none of them 0{hint}"
        )
    if image.dtype != np.uint8 and image.dtype != np.uint16 and image.dtype.kind != "f":
        raise TypeError(f"{op}: image has dtype {image.dtype}; expected uint8, uint16 or floats")
    C = image.shape[2]
    shown = image[:, :, :3]
    if image.dtype != np.uint8:
        shown = _brightness(
            shown.astype(np.float64), stretched=image.dtype == np.uint16, together=C in (1, 3)
        )
    if C == 1:
        return np.repeat(shown, 3, axis=2)  # (H, W, 3)
    rgb = np.zeros((*image.shape[:2], 3), np.uint8)
    rgb[:, :, : shown.shape[2]] = shown
    return rgb


def _brightness(image: Array, *, stretched: bool, together: bool) -> Array:
    """Bring floats (H, W, C) to 0..255."""
    finite = np.isfinite(image)
    values = image[finite]
    if values.size and (stretched or values.min() < 0 or values.max() > 1):
        if together:
            image = _stretch(image, finite)
        else:
            planes = [_stretch(image[:, :, c], finite[:, :, c]) for c in range(image.shape[2])]
            image = np.stack(planes, axis=2)  # (H, W, C)
    image = np.where(np.isnan(image), 0, np.clip(image, 0, 1))
    return np.floor(255 * image + 0.5).astype(np.uint8)


def _stretch(values: Array, finite: Array) -> Array:
    if not finite.any():
        return values
    low, high = np.percentile(values[finite], [LOW, HIGH])
    if high <= low:  # nearly all pixels alike: a few others must not be lost
        low, high = values[finite].min(), values[finite].max()
    if high <= low:
        return np.where(finite, 0.5, values)
    stretched: Array = (values - low) / (high - low)
    return stretched


def colourise(
    labels: Array, palette: Palette, *, ignore_index: int | None = None
) -> Array:  # (H, W, 3) uint8
    """Give each pixel its class's colour; those that don't count are white.

    Parameters
    ----------
    labels
        (H, W), integers.
    palette
        A colour (red, green, blue), 0 to 255, for each class.
    ignore_index
        Label of the pixels that don't count.

    Examples
    --------
    >>> colourise(np.array([[0, 1]]), [(200, 200, 200), (230, 159, 0)])[0].tolist()
    [[200, 200, 200], [230, 159, 0]]
    """
    op = "colourise"
    colours = as_palette(palette, op)
    labels, counts = label_map(labels, len(colours), ignore_index, "labels", op)
    rgb = colours[np.where(counts, labels, 0)]  # (H, W, 3)
    rgb[~counts] = IGNORED
    return rgb


# ---------------------------------------------------------------------------------------------------------
# Checks


def as_palette(palette: Any, op: str) -> Array:  # (C, 3) uint8
    """Check a palette and return it as an array."""
    try:
        colours = np.asarray(palette)
    except (TypeError, ValueError):
        colours = np.empty(0)
    if colours.ndim != 2 or colours.shape[1:] != (3,) or not len(colours) or colours.dtype.kind not in "iu":
        raise ValueError(
            f"{op}: palette is {str(palette)[:80]}; expected three integers from 0 to 255 for each class, "
            "such as default_palette(classes)"
        )
    if colours.min() < 0 or colours.max() > 255:
        raise ValueError(
            f"{op}: palette holds values from {colours.min()} to {colours.max()}; expected 0 to 255"
        )
    return colours.astype(np.uint8)


def label_map(
    labels: Any, C: int, ignore_index: int | None, name: str, op: str
) -> tuple[Array, Array]:  # (H, W) int64 and (H, W) bool
    """Check one label map and return it with the pixels that count."""
    labels = to_numpy(checks.integers(labels, name, op))
    checks.rank(labels, 2, name, op, "(H, W)")
    if not labels.size:
        raise ValueError(f"{op}: {name} has shape {labels.shape}; expected (H, W), each 1 or more")
    counts = counted(labels, ignore_index, op)
    within(labels[counts], C, name, op)
    return labels, counts


def class_list(class_names: Any, C: int, op: str) -> tuple[str, ...]:
    """Check that there is a name for each class."""
    if isinstance(class_names, str) or not all(isinstance(name, str) for name in class_names):
        raise TypeError(f"{op}: class_names is {class_names!r}; expected one string for each class")
    names = tuple(class_names)
    if len(names) != C:
        raise ValueError(f"{op}: class_names has {len(names)} names; expected {C}, one for each class")
    return names
