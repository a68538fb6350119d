"""Label maps that are outlines in an annotation file: kept as numbers in a few arrays, painted when they are asked for.

A file with a hundred thousand pictures holds millions of corners. As Python's lists they would take several times the
memory of the file; so they go into one long array, and each drawing knows where its own begin and end.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data import rle
from minisegnet.data.json_files import short
from minisegnet.data.layouts.layout import MaskFacts
from minisegnet.data.polygons import FARTHEST, fill_patch
from minisegnet.sizes import Pair

MOST_PAINTED = (
    10**10
)  # pixels that one picture's outlines may paint, one over the other; more is no annotation


class ShapeStore:
    """All outlines of one annotation file, one after the other.

    Each shape has a value and either rings or run lengths. Of shape s, the parts are ``part_ends[s - 1]`` up to
    ``part_ends[s]``; part p of rings has the corners ``point_ends[p - 1]`` up to ``point_ends[p]``, and its numbers are
    x and y of each; a part of run lengths has its counts as numbers.
    """

    def __init__(self) -> None:
        self.values, self.runs = array("H"), array("B")
        self.part_ends, self.number_ends = array("q"), array("q")
        self.numbers = array("d")

    def __len__(self) -> int:
        return len(self.values)

    def add_rings(self, value: int, rings: Sequence[Sequence[float]]) -> None:
        """Add a shape of rings, each the numbers x, y, x, y …; checked already."""
        for ring in rings:
            self.numbers.extend(ring)
            self.number_ends.append(len(self.numbers))
        self._close(value, runs=False)

    def add_runs(self, value: int, counts: Array) -> None:
        """Add a shape of run lengths, which are checked already."""
        self.numbers.frombytes(counts.astype(np.float64).tobytes())
        self.number_ends.append(len(self.numbers))
        self._close(value, runs=True)

    def _close(self, value: int, *, runs: bool) -> None:
        self.values.append(value)
        self.runs.append(runs)
        self.part_ends.append(len(self.number_ends))

    def parts(self, shape: int) -> list[Array]:
        """Return the numbers of each part of a shape."""
        first = self.part_ends[shape - 1] if shape else 0
        ends = [self.number_ends[first - 1] if first else 0, *self.number_ends[first : self.part_ends[shape]]]
        numbers = np.frombuffer(self.numbers, np.float64) if len(self.numbers) else np.zeros(0)
        return [numbers[a:b] for a, b in pairwise(ends)]


@dataclass(frozen=True, eq=False)
class Drawing:
    """The label map of one picture: shapes of a store, painted one over the other in their order."""

    path: Path
    name: str
    size: Pair
    store: ShapeStore
    shapes: tuple[int, ...]  # which of the store's, in the order in which they are painted
    table: tuple[int, ...]  # what each value in the store becomes
    background: int = 0

    def read(self) -> Array:
        """Paint it, (H, W) uint8 or uint16."""
        H, W = self.size
        values = self.facts().values
        labels = np.full((H, W), self.background, np.uint8 if values[-1] < 256 else np.uint16)
        painted = 0
        for shape in self.shapes:
            value, parts = self.table[self.store.values[shape]], self.store.parts(shape)
            if self.store.runs[shape]:
                labels[rle.paint((H, W), parts[0].astype(np.int64))] = value
                painted += H * W
            else:
                patch = self._patch(parts)
                h, w = patch.inside.shape
                labels[patch.top : patch.top + h, patch.left : patch.left + w][patch.inside] = value
                painted += h * w
            if painted > MOST_PAINTED:
                raise ValueError(
                    f"{self.path}: the outlines of {self.name!r} paint more than {MOST_PAINTED:,} pixels one over the "
                    "other; such annotations are damaged"
                )
        return labels

    def _patch(self, parts: list[Array]) -> Any:
        try:
            return fill_patch([part.reshape(-1, 2) for part in parts], self.size)
        except ValueError as error:
            raise ValueError(f"{self.path}: the outlines of {self.name!r}: {error}") from None

    def facts(self) -> MaskFacts:
        """Return the size, and the values that are painted, whether or not something covers them later."""
        values = {self.background, *(self.table[self.store.values[shape]] for shape in self.shapes)}
        return MaskFacts(self.size, tuple(sorted(values)))


def checked_ring(numbers: object, what: str) -> list[float]:
    """Return the numbers of a ring, x, y, x, y …, as far as they are numbers that can be places in a picture."""
    if not isinstance(numbers, list) or len(numbers) % 2:
        raise ValueError(f"{what} is {short(numbers)}; expected x, y, x, y ...: an even number of numbers")
    for number in numbers:
        if type(number) not in (int, float) or not -FARTHEST <= number <= FARTHEST:
            raise ValueError(f"{what} holds {short(number)}; expected numbers of at most {FARTHEST:g}")
    return numbers
