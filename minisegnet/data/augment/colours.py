"""Changes of a picture's colours. They leave labels alone, because nothing moves."""

from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.statistics import as_floats

LIGHTNESS = (0.299, 0.587, 0.114)  # how bright red, green and blue look (ITU-R BT.601)


class Colours(NamedTuple):
    """How colours change, in this order; as it is built by default, not at all."""

    gamma: float = 1.0  # x -> x ** gamma: above 1 the middle tones become darker
    brightness: float = 0.0  # x -> x + brightness
    contrast: float = 1.0  # the distance from the picture's mean is multiplied by it
    saturation: float = 1.0  # the distance from grey; only if there are three channels
    noise: float = 0.0  # standard deviation of what is added to each value


def recolour(image: Array, colours: Colours, rng: np.random.Generator) -> Array:
    """Change the colours of a picture.

    Values are taken as 0 to 1 (integers: from 0 to the dtype's largest), changed, and cut off at 0 and 1.

    Parameters
    ----------
    image
        (H, W, C): uint8, uint16 or float32. Not changed.
    colours
        What to do.
    rng
        Draws the noise.

    Returns
    -------
    image
        A new array in C order, of the same dtype.

    Examples
    --------
    >>> image = np.array([[[0, 100, 250]]], np.uint8)
    >>> recolour(image, Colours(brightness=0.1), np.random.default_rng(0))
    array([[[ 26, 126, 255]]], dtype=uint8)
    >>> recolour(image, Colours(saturation=0.0), np.random.default_rng(0))  # 0.587 * 100 + 0.114 * 250
    array([[[87, 87, 87]]], dtype=uint8)
    """
    x = np.array(
        as_floats(image), order="C"
    )  # (H, W, C), a copy; in one order, so that sums have the same bits
    if colours.gamma != 1:
        x = np.maximum(x, 0) ** colours.gamma
    if colours.brightness:
        x += colours.brightness
    if colours.contrast != 1:
        mean = float(x.mean(dtype=np.float64))
        x += (colours.contrast - 1) * (x - mean)
    if colours.saturation != 1 and x.shape[2] == 3:
        red, green, blue = (x[..., k] * weight for k, weight in enumerate(LIGHTNESS))
        x += (colours.saturation - 1) * (x - (red + green + blue)[..., None])
    if colours.noise:
        x += colours.noise * rng.standard_normal(x.shape, dtype=np.float32)
    x = np.clip(x, 0, 1)
    if image.dtype.kind in "iu":
        x = np.rint(x * np.float32(np.iinfo(image.dtype).max))
    result: Array = x.astype(image.dtype)
    return result
