"""Prediction of large pictures in tiles, for models that put zeros around their maps (``padding="same"``).

In such a model zeros stand around every tile, where the whole picture has pixels. They spoil the scores near a cut
edge, but only as far as a score can see: the model's ``reach``, about half of its receptive field (수용 영역). So

- Tiles overlap, and they start on the grid of the pooling, as in :mod:`minisegnet.inference`.
- Where a tile is at least four margins long (a margin is the reach, rounded up to the grid), what lies within a margin
  of a cut edge is thrown away. What is left is that of the whole picture, up to rounding.
- In a smaller tile too little would be left. Tiles then overlap by half, and where they do, their scores are averaged
  by weights that fall off from the middle of a tile, as a Gaussian (가우시안) does: a pixel counts most where most is
  seen of what is around it. The result is no longer quite that of the whole picture, but it has no seams.

The picture's own border is no cut edge: there the whole picture has zeros, too. A picture whose sides are no multiples
of the grid is mirrored outwards first, as much above as below and as much left as right; so every model, tiled or not,
only ever meets sizes at which its poolings come out even.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from minisegnet import nn
from minisegnet.arrays import Array
from minisegnet.inference import Piece, forward, mirrored
from minisegnet.ops import to_numpy
from minisegnet.sizes import IntOrPair, Layer, Pair, as_pair, input_range

SMALLEST = 64  # models return the picture's size from 64 x 64 up; what is smaller is mirrored outwards
LEAST_TILE = 768  # by default; deeper models want larger ones
# In a default tile: two of them are thrown away, so that (6 / 4)**2 = 2.25 times the work is done.
MARGINS = 6
# The Gaussian's deviation, in tiles. At the middle of an edge its weight is exp(-8), 1 / 2981.
SIGMA = 1 / 8
BAND = 8  # tiles side by side whose scores are kept until the next row of tiles has been added


# ---------------------------------------------------------------------------------------------------------
# What a model says of itself


def pooling_grid(model: nn.Module) -> int:
    """Distance of the model's coarsest pooling windows, in pixels; 1 if the model doesn't say which layers it has.

    >>> from minisegnet.models import build
    >>> [pooling_grid(build(name, classes=2, initialise=False)) for name in ("unet", "fcn8s", "deconvnet")]
    [16, 32, 8]
    """
    distance = grid = 1
    for layer in _layers(model) if tells_layers(model) else ():
        stride = as_pair(layer.stride, "stride", 1)[0]
        distance = distance // stride if layer.transposed else distance * stride
        grid = max(grid, distance)
    return grid


def reach(model: nn.Module) -> int:
    """How far a score can see to one side, in pixels; at most, for it depends on where in its pooling window it is.

    >>> from minisegnet.models import build
    >>> [reach(build(name, classes=2, initialise=False)) for name in ("unet", "fcn8s", "deconvnet")]
    [107, 245, 51]
    """
    layers, grid = _layers(model), pooling_grid(model)
    seen = [(i, *input_range(layers, i, axis)) for i in range(grid) for axis in (0, 1)]
    return max(max(i - first, last - i) for i, first, last in seen)


def tells_layers(model: Any) -> bool:
    """Say whether a model tells its layers; a module of one's own may not, and then it can't be tiled."""
    return hasattr(model, "layers")


def _layers(model: Any) -> list[Layer]:
    if not tells_layers(model):
        raise TypeError(
            f"{type(model).__name__} doesn't say which layers it has (by layers()), and so not how far its scores see; "
            "expected one of models.names()"
        )
    layers: list[Layer] = model.layers()
    return layers


# ---------------------------------------------------------------------------------------------------------
# Where tiles lie


class Axis(NamedTuple):
    """The tiles along one axis of a picture.

    >>> axis = Axis(length=96, tile=64, overlap=32, margin=0)
    >>> axis.number_of_tiles, axis.start(1), axis.used(1)
    (2, 32, (32, 96))
    >>> both = axis.weights(0)[32:] + axis.weights(1)[:32]
    >>> bool(axis.weights(0)[:32].min() == 1 and abs(both - 1).max() < 1e-6)
    True
    """

    length: int
    tile: int
    overlap: int
    margin: int  # what is thrown away at a cut edge

    @property
    def number_of_tiles(self) -> int:
        """How many tiles there are."""
        return -(-(self.length - self.tile) // (self.tile - self.overlap)) + 1

    def start(self, number: int) -> int:
        """First pixel of a tile. The last one ends with the picture, so that it may overlap more."""
        return min(number * (self.tile - self.overlap), self.length - self.tile)

    def used(self, number: int) -> Pair:
        """First pixel and end of what is used of a tile."""
        start = self.start(number)
        if self.margin == 0:
            return start, start + self.tile
        first = (
            self.start(number - 1) + self.tile - self.margin if number > 0 else 0
        )  # where the one before ends
        return first, start + self.tile - self.margin * (number < self.number_of_tiles - 1)

    def weights(self, number: int) -> Array:
        """Weights of the pixels that are used of a tile, float32; of all tiles together they are 1 at each pixel."""
        first, last = self.used(number)
        total = np.zeros(last - first)
        for other in range(
            max(number - 2, 0), min(number + 3, self.number_of_tiles)
        ):  # none further away overlaps
            a, b = (min(max(p, first), last) for p in self.used(other))
            total[a - first : b - first] += self._falling_off(other, a, b)
        weights: Array = (self._falling_off(number, first, last) / total).astype(np.float32)
        return weights

    def _falling_off(self, number: int, first: int, last: int) -> Array:
        from_middle = np.arange(first, last) - (self.start(number) + (self.tile - 1) / 2)
        fallen: Array = np.exp(-0.5 * (from_middle / (SIGMA * self.tile)) ** 2)
        return fallen


class Tiling(NamedTuple):
    """How a picture is cut: its size mirrored outwards to the grid, where the picture begins in that, and the tiles."""

    before: Pair
    rows: Axis
    columns: Axis

    @property
    def number_of_tiles(self) -> int:
        """How many tiles there are."""
        return self.rows.number_of_tiles * self.columns.number_of_tiles

    @property
    def exact(self) -> bool:
        """Whether the scores are those of the whole picture."""
        return all(axis.margin > 0 or axis.tile == axis.length for axis in (self.rows, self.columns))


def default_tile(model: nn.Module) -> int:
    """Say how large tiles are unless it is asked for something else: six margins, and 768 at least.

    >>> from minisegnet.models import build
    >>> [default_tile(build(name, classes=2, initialise=False)) for name in ("unet", "fcn8s", "deconvnet")]
    [768, 1536, 768]
    """
    grid = pooling_grid(model)
    return max(MARGINS * _margin(model, grid), _up(LEAST_TILE, grid))


def tiling(model: nn.Module, size: Pair, tile: IntOrPair | None) -> Tiling:
    """Say how a picture of ``size`` is cut.

    Parameters
    ----------
    model
        It puts zeros around its maps.
    size
        (H, W) of the picture.
    tile
        Height and width of what the model is given at a time: multiples of the grid, and 64 or more. None: the whole.

    Examples
    --------
    >>> from minisegnet.models import build
    >>> tiling(build("unet", classes=2, initialise=False), (1000, 700), 768)  # doctest: +NORMALIZE_WHITESPACE
    Tiling(before=(4, 2), rows=Axis(length=1008, tile=768, overlap=224, margin=112),
           columns=Axis(length=704, tile=704, overlap=0, margin=0))
    """
    grid = pooling_grid(model)
    extended = [max(_up(length, grid), _up(SMALLEST, grid)) for length in size]
    before = [(large - length + 1) // 2 for large, length in zip(extended, size, strict=True)]
    if tile is None:
        rows, columns = (Axis(large, large, 0, 0) for large in extended)
    else:
        margin = _margin(model, grid)
        rows, columns = (
            _axis(large, min(length, large), margin, grid)
            for large, length in zip(extended, _checked(tile, grid), strict=True)
        )
    return Tiling((before[0], before[1]), rows, columns)


def _axis(length: int, tile: int, margin: int, grid: int) -> Axis:
    if tile == length:
        return Axis(length, tile, 0, 0)
    if 4 * margin <= tile:
        return Axis(length, tile, 2 * margin, margin)
    return Axis(length, tile, tile // 2 // grid * grid, 0)


def _checked(tile: IntOrPair, grid: int) -> Pair:
    tile = as_pair(tile, "tile", 1)
    least = max(_up(SMALLEST, grid), 2 * grid)
    if any(length % grid or length < least for length in tile):
        near = tuple(max(round(length / grid) * grid, least) for length in tile)
        raise ValueError(
            f"tile is {tile}; expected multiples of {grid}, so that all tiles start on the grid of the pooling, and "
            f"{least} or more; the nearest is {near}"
        )
    return tile


def _margin(model: nn.Module, grid: int) -> int:
    return _up(reach(model), grid)


def _up(length: int, multiple: int) -> int:
    return math.ceil(length / multiple) * multiple


# ---------------------------------------------------------------------------------------------------------
# Predicting


def blended_pieces(
    model: nn.Module, read: Callable[[Array, Array], Array], size: Pair, tile: IntOrPair | None
) -> Iterator[Piece]:
    """Predict a picture tile by tile, and give away the scores of each part of it as soon as they are complete.

    Beside what the model needs for one tile, the scores of one tile are kept (where tiles are averaged: of a row of
    nine, half overlapping). Neither depends on the picture's size.

    Parameters
    ----------
    model
        It puts zeros around its maps. It runs in evaluation mode.
    read
        Given rows and columns of the picture, as arrays of positions, it returns that part of it, (1, C, h, w).
    size, tile
        As for :func:`tiling`.

    Yields
    ------
    Piece
        Parts of the picture that don't overlap and together are all of it; their scores are NumPy arrays.
    """
    cut = tiling(model, size, tile)

    def scores_of(top: int, left: int) -> Array:
        rows = mirrored(top - cut.before[0], cut.rows.tile, size[0])
        columns = mirrored(left - cut.before[1], cut.columns.tile, size[1])
        scores: Array = to_numpy(forward(model, read(rows, columns)))[0]  # (classes, tile, tile)
        return scores

    if cut.number_of_tiles == 1:
        yield from _within(
            Piece(slice(0, cut.rows.tile), slice(0, cut.columns.tile), scores_of(0, 0)), cut, size
        )
        return
    for first, last, numbers in _bands(cut.columns):
        for piece in _band(scores_of, cut, first, last, numbers):
            yield from _within(piece, cut, size)


def _bands(columns: Axis) -> Iterator[tuple[int, int, list[int]]]:
    """Cut the picture into bands from top to bottom: first column, end, and the tiles that have a part in it.

    Where nothing is averaged, a band is what is used of one tile. Else it is several wide, for a tile that lies across
    two bands is computed for each.
    """
    step = BAND if columns.margin == 0 else 1
    for k in range(0, columns.number_of_tiles, step):
        first = columns.used(k)[0]
        last = columns.used(k + step)[0] if k + step < columns.number_of_tiles else columns.length
        near = range(max(k - 2, 0), min(k + step + 2, columns.number_of_tiles))
        yield first, last, [i for i in near if columns.used(i)[0] < last and columns.used(i)[1] > first]


def _band(
    scores_of: Callable[[int, int], Array], cut: Tiling, first: int, last: int, numbers: list[int]
) -> Iterator[Piece]:
    """Go down one band; rows that no further tile will change are given away."""
    rows, columns = cut.rows, cut.columns
    waiting: Array | None = None  # scores of the last rows that were begun, but are not complete
    for number in range(rows.number_of_tiles):
        begin, end = rows.used(number)
        done = rows.used(number + 1)[0] if number + 1 < rows.number_of_tiles else end
        top, weights = rows.start(number), rows.weights(number)[:, None]
        total: Any = None
        for column in numbers:
            left, (a, b) = columns.start(column), columns.used(column)
            low, high = max(a, first), min(b, last)
            scores = scores_of(top, left)[:, begin - top : end - top, low - left : high - left]
            if total is None:
                total = np.zeros((len(scores), end - begin, last - first), scores.dtype)
                if waiting is not None:
                    total[:, : waiting.shape[1]] = waiting
            total[:, :, low - first : high - first] += scores * (
                weights * columns.weights(column)[low - a : high - a]
            )
        yield Piece(slice(begin, done), slice(first, last), total[:, : done - begin])
        waiting = total[:, done - begin :].copy()  # so that the rest can be forgotten


def _within(piece: Piece, cut: Tiling, size: Pair) -> Iterator[Piece]:
    """Cut away what lies outside the picture, and count from its corner; nothing, where all lies outside."""
    begin = [max(part.start, before) for part, before in zip(piece[:2], cut.before, strict=True)]
    end = [min(part.stop, before + n) for part, before, n in zip(piece[:2], cut.before, size, strict=True)]
    if begin[0] < end[0] and begin[1] < end[1]:
        inside = tuple(
            slice(b - part.start, e - part.start) for part, b, e in zip(piece[:2], begin, end, strict=True)
        )
        rows, columns = (slice(b - n, e - n) for b, e, n in zip(begin, end, cut.before, strict=True))
        yield Piece(rows, columns, piece.scores[:, inside[0], inside[1]])
