"""Label maps that are picture files: numbers as they stand there, or colours of which each has a name."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.colours import NamedColours, values_of_colours
from minisegnet.data.layouts.layout import MaskFacts, stamp
from minisegnet.data.reading import read_colours, read_mask


@dataclass(frozen=True)
class PictureMask:
    """A label map in a picture file.

    Where colours are named, a colour picture becomes the value of each colour. Grey pictures and arrays hold values
    anyway; and so do palettes, as long as they have colours without a name.
    """

    path: Path
    colours: NamedColours | None = None

    def read(self) -> Array:
        """Return the values, (H, W) uint8 or uint16."""
        if self.colours is not None:
            picture = read_colours(self.path)
            if picture is not None and not (picture.palette and self.colours.palettes_are_values(picture)):
                return values_of_colours(self.path, picture.colours(), self.colours)
        return read_mask(self.path)

    def facts(self) -> MaskFacts:
        """Return size and values; a file that hasn't changed is read once only."""
        return _facts(self, stamp(self.path))


@lru_cache(maxsize=100_000)  # train and val look at the same files, one after the other
def _facts(mask: PictureMask, identity: Hashable) -> MaskFacts:
    labels = mask.read()
    seen = np.zeros(65536, bool)
    seen[labels] = True
    return MaskFacts((labels.shape[0], labels.shape[1]), tuple(np.flatnonzero(seen).tolist()))
