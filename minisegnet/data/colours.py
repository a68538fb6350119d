"""Label maps that are painted: each class has a colour, and a list says which."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.pairs import some
from minisegnet.data.palettes import Colour, as_hex
from minisegnet.data.reading import ColourPicture

STRIP = (
    2**20
)  # pixels that are looked up at a time, so that the memory it takes doesn't grow with the picture


@dataclass(frozen=True)
class NamedColours:
    """Which value each colour stands for.

    Attributes
    ----------
    colours, values
        As many of the one as of the other. Several colours may have the same value.
    numbered
        Somebody said which value each class has, so that a palette's indices are believed, whatever its colours.
    rest, share
        Colours without a name become this value, if they are at most this share of a picture's pixels; else they raise.
    """

    colours: tuple[Colour, ...]
    values: tuple[int, ...]
    numbered: bool = False
    rest: int | None = None
    share: float = 0.0

    def palettes_are_values(self, picture: ColourPicture) -> bool:
        """Say whether a palette's indices are meant, not its colours: where some that it uses have no name."""
        return self.numbered or not {*picture.used()} <= {*self.colours}


def values_of_colours(path: Path, picture: Array, named: NamedColours) -> Array:
    """Return the value of each pixel's colour, (H, W) uint8 or uint16, for a picture (H, W, 3).

    Examples
    --------
    >>> red_and_blue = NamedColours(((255, 0, 0), (0, 0, 255)), (3, 7))
    >>> values_of_colours(Path("a.png"), np.array([[[0, 0, 255], [255, 0, 0]]], np.uint8), red_and_blue)
    array([[7, 3]], dtype=uint8)
    """
    table = _table(named.colours)
    values = np.array([0 if named.rest is None else named.rest, *named.values])
    values = values.astype(np.uint8 if values.max() < 256 else np.uint16)
    H, W, _ = picture.shape
    flat, labels = picture.reshape(-1, 3), np.empty(H * W, values.dtype)
    unnamed: dict[int, int] = {}
    for start in range(0, H * W, STRIP):
        here = _packed(flat[start : start + STRIP])  # (pixels,)
        found = table[here]
        labels[start : start + STRIP] = values[found]
        if not found.all():
            for code, count in zip(*np.unique(here[found == 0], return_counts=True), strict=True):
                unnamed[int(code)] = unnamed.get(int(code), 0) + int(count)
    _refuse_too_many(path, unnamed, H * W, named)
    return labels.reshape(H, W)


def _refuse_too_many(path: Path, unnamed: dict[int, int], pixels: int, named: NamedColours) -> None:
    if not unnamed or (named.rest is not None and sum(unnamed.values()) <= named.share * pixels):
        return
    most = sorted(unnamed, key=lambda code: (-unnamed[code], code))
    told = [f"{_hex(code)} ({unnamed[code]:,} pixels)" for code in most]
    blurred = (
        ". So many mostly come from a mask that was scaled with interpolation or saved with loss"
        if len(told) > 3 * len(named.colours)
        else ""
    )
    raise ValueError(
        f"{path} holds colours that have no name: {some(told, most=4)}; {len(named.colours)} are named "
        f"({some((as_hex(colour) for colour in named.colours), most=4)}). Name them, too, or correct the mask{blurred}"
    )


@lru_cache(maxsize=4)
def _table(colours: tuple[Colour, ...]) -> Array:
    """Return the number of each colour that there is, (2**24,) uint16, from 1 on; 0: it has no name.

    It would take 32 MB, but the system only gives memory for the parts that are written to.
    """
    table = np.zeros(2**24, np.uint16)
    table[_packed(np.array(colours, np.uint8))] = np.arange(1, len(colours) + 1)
    return table


def _packed(colours: Array) -> Array:
    """Return colours (..., 3) as one number each: red, green, blue from the highest bits down."""
    parts = colours.astype(np.int32)
    packed: Array = (parts[..., 0] << 16) | (parts[..., 1] << 8) | parts[..., 2]
    return packed


def _hex(code: int) -> str:
    return f"#{code:06x}"
