"""Four small pictures of one prediction: what the model saw, the truth, what it said, and where that is wrong."""

import base64
from typing import NamedTuple

import numpy as np
from PIL import Image

from minisegnet.arrays import Array
from minisegnet.viz.colours import Palette, colourise, to_rgb
from minisegnet.viz.overlay import error_map
from minisegnet.viz.save import png

LONGEST = 320  # pixels of a side; larger pictures are made smaller, so that a page stays light


class Panels(NamedTuple):
    """PNG files, all of one size."""

    size: tuple[int, int]  # (h, w), at most LONGEST each
    picture: bytes
    truth: bytes
    predicted: bytes
    errors: bytes


def panels(
    image: Array, truth: Array, predicted: Array, palette: Palette, ignore_index: int | None
) -> Panels:
    """Draw the four pictures, at most 320 pixels a side.

    Of labels each remaining pixel keeps its class; pictures and mistakes are averaged, so that a thin mistake grows
    pale but does not vanish.
    """
    H, W = truth.shape
    scale = min(LONGEST / max(H, W), 1)
    size = max(round(H * scale), 1), max(round(W * scale), 1)
    mistakes = error_map(truth, predicted, image=image, ignore_index=ignore_index)
    return Panels(
        size,
        png(_shrunk(to_rgb(image), size)),
        png(colourise(_picked(truth, size), palette, ignore_index=ignore_index)),
        png(colourise(_picked(predicted, size), palette)),
        png(_shrunk(mistakes, size)),
    )


def data_uri(data: bytes) -> str:
    """Return a PNG file as a URI that holds it.

    >>> data_uri(b"PNG")
    'data:image/png;base64,UE5H'
    """
    return f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}"


def _shrunk(rgb: Array, size: tuple[int, int]) -> Array:
    """Average areas."""
    if rgb.shape[:2] == size:
        return rgb
    return np.asarray(Image.fromarray(rgb).resize(size[::-1], Image.Resampling.BOX))


def _picked(labels: Array, size: tuple[int, int]) -> Array:
    """Take the label in the middle of each area."""
    rows, columns = ((2 * np.arange(n) + 1) * N // (2 * n) for n, N in zip(size, labels.shape, strict=True))
    picked: Array = labels[rows[:, None], columns]
    return picked
