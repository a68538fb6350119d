"""Exact prediction of large pictures in tiles, for models of valid convolutions.

A model of valid convolutions computes each score from the pixels around it and from nothing else. So a picture of
any size can be cut into tiles, and the scores are those of the whole picture (up to rounding; on the ``numba`` backend
under ``ops.exact_convolutions()`` bit for bit), if two conditions hold:

- Each tile is fed with all the pixels that its scores depend on: ``halo`` more on every side (92 in the paper's U-Net),
  and a few more below and to the right where only some sizes fit. At the picture's own border they are missing; they
  are mirrored.
- Tiles start at multiples of the model's ``grid``, ``2**depth``. Max pooling cuts the picture into windows from its
  first pixel on; a tile that starts inside a window would be cut otherwise, and all its scores change.

Models that put zeros around their maps (``padding="same"``) need something else: the zeros stand around every tile,
where the whole picture has pixels, and spoil the scores there. See :mod:`minisegnet.blending`.

O. Ronneberger, P. Fischer and T. Brox, "U-Net: convolutional networks for biomedical image segmentation" (2015),
section 2 and figure 2, where it is called the overlap-tile strategy.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import numpy as np

from minisegnet import nn
from minisegnet.arrays import Array
from minisegnet.autograd import no_grad
from minisegnet.ops.dispatch import is_cupy
from minisegnet.sizes import IntOrPair, Pair, as_pair


class Tileable(Protocol):
    """What a model says of itself so that it can be tiled; :class:`minisegnet.models.unet.UNet` does."""

    in_channels: int
    classes: int

    @property
    def grid(self) -> int:
        """Tiles start at multiples of this many pixels."""

    @property
    def halo(self) -> int:
        """The result is smaller than the input by this many pixels on each side."""

    def input_size_for(self, output_size: IntOrPair) -> Pair:
        """Size of the smallest input whose result is at least ``output_size``."""

    def peak_bytes(self, size: IntOrPair, itemsize: int = 4) -> int:
        """Bytes of the maps that are alive at a time in the forward of one input."""


def overlap_tile(model: nn.Module, image: Array, *, tile: IntOrPair | None = 256) -> Array:
    """Predict the scores of a picture of any size, tile by tile; the same numbers as of the whole at once.

    On the ``numba`` backend the scores are the same bits for every tile size. On ``numpy`` they are equal up to
    rounding: its matrix products add in an order that depends on the size of the matrix.

    The memory beside picture and scores doesn't depend on the picture: at most ``tile_bytes(model, tile)``, plus a
    kernel's own scratch memory.

    Parameters
    ----------
    model
        A model of valid convolutions. It runs in evaluation mode; afterwards it is in the mode that it was in.
    image
        (C, H, W), in the model's dtype.
    tile
        Height and width of the scores that are computed at a time: multiples of ``model.grid``. A larger tile is
        faster, since less of the work is border. None: the whole picture at once.

    Returns
    -------
    Array
        The scores, (classes, H, W).

    Examples
    --------
    >>> from minisegnet.models import build
    >>> model = build("unet", in_channels=1, classes=2, width=2, depth=1, padding="valid")
    >>> image = np.linspace(0, 1, 20 * 30, dtype=np.float32).reshape(1, 20, 30)
    >>> overlap_tile(model, image, tile=16).shape
    (2, 20, 30)
    """
    network = _tileable(model)
    _check_image(image, model, network)
    H, W = image.shape[1:]
    scores: Array = np.empty_like(image, order="C", shape=(network.classes, H, W))

    def read(rows: Array, columns: Array) -> Array:
        part: Array = np.ascontiguousarray(image[:, rows[:, None], columns])  # (C, h, w)
        return part[None]  # (1, C, h, w)

    for piece in exact_pieces(model, read, (H, W), tile):
        scores[:, piece.rows, piece.columns] = piece.scores
    return scores


class Piece(NamedTuple):
    """The scores of a part of a picture."""

    rows: slice
    columns: slice
    scores: Array  # (classes, h, w)


def exact_pieces(
    model: nn.Module, read: Callable[[Array, Array], Array], size: Pair, tile: IntOrPair | None
) -> Iterator[Piece]:
    """Predict a picture tile by tile without ever having all of it, neither picture nor scores.

    Parameters
    ----------
    model
        A model of valid convolutions. It runs in evaluation mode.
    read
        Given rows and columns of the picture, as arrays of positions, it returns that part of it, (1, C, h, w). Where
        the picture ends, positions go back: it goes on mirrored, for ever. So it doesn't matter that the model needs a
        little more than tile and halo where only some sizes fit.
    size
        (H, W) of the picture.
    tile
        As for :func:`overlap_tile`.

    Yields
    ------
    Piece
        One for each tile.
    """
    network = _tileable(model)
    H, W = size
    step_h, step_w = (H, W) if tile is None else checked_tile(tile, network)
    for top in range(0, H, step_h):
        for left in range(0, W, step_w):
            h, w = min(step_h, H - top), min(step_w, W - left)  # the last tiles may be smaller
            read_h, read_w = network.input_size_for((h, w))
            rows = mirrored(top - network.halo, read_h, H)
            columns = mirrored(left - network.halo, read_w, W)
            result = forward(model, read(rows, columns))  # (1, classes, h or more, w or more)
            yield Piece(slice(top, top + h), slice(left, left + w), result[0, :, :h, :w])


def forward(model: nn.Module, images: Array) -> Array:
    """Return the scores of pictures (N, C, H, W), in evaluation mode and without a tape."""
    with evaluating(model), no_grad():
        scores: Array = model(images).data
        return scores


def halo(model: nn.Module) -> int:
    """Say how many pixels the scores of one forward are smaller than its input, on each side: 92 in the paper's U-Net.

    So much a tile needs around it, if it is as large as the scores of an input that fits. A tile that is a multiple of
    the grid is a little smaller, and from depth 3 on its last scores see up to 4 pixels more, below and to the right.
    ``model.input_size_for(tile)`` has them in it.

    >>> from minisegnet.models import build
    >>> halo(build("unet", classes=2, padding="valid"))
    92
    """
    return _tileable(model).halo


def tile_bytes(model: nn.Module, tile: IntOrPair) -> int:
    """Bound the memory that :func:`overlap_tile` needs beside the picture and the scores.

    It counts the tile with its halo and all maps of the model that are alive at a time. Neither depends on the
    picture. What a kernel allocates for itself comes on top: in ``numba`` a block of unfolded windows for each thread
    (a quarter of a megabyte, or those of one row of pixels if that is more); in ``numpy`` a copy of one map and some
    megabytes of unfolded windows.

    >>> from minisegnet.models import build
    >>> paper = build("unet", in_channels=1, classes=2, width=64, padding="valid", initialise=False)
    >>> round(tile_bytes(paper, 384) / 2**20)                # MiB; figure 1: 388 pixels from 572
    324
    """
    network = _tileable(model)
    size = network.input_size_for(checked_tile(tile, network))
    itemsize = next(model.parameters()).dtype.itemsize
    gathered = network.in_channels * size[0] * size[1] * itemsize  # while the tile is cut out
    return gathered + network.peak_bytes(size, itemsize)


# ---------------------------------------------------------------------------------------------------------
# Cutting tiles out


def mirrored(start: int, count: int, length: int) -> Array:
    """Positions in 0..length-1 of a line that is mirrored at both ends, again and again; ends aren't repeated.

    >>> mirrored(-2, 9, 4)
    array([2, 1, 0, 1, 2, 3, 2, 1, 0])
    """
    period = max(2 * (length - 1), 1)
    positions = np.arange(start, start + count) % period
    return np.minimum(positions, period - positions) if length > 1 else positions


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch to evaluation inside the block; afterwards every module is in its own mode again."""
    modes = [(module, module.training) for _, module in model.named_modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


# ---------------------------------------------------------------------------------------------------------
# Checks


def _tileable(model: Any) -> Tileable:
    """Return the model as something that can be tiled exactly, or say why it can't."""
    name = type(model).__name__
    if not isinstance(model, nn.Module):
        raise TypeError(f"the model is a {name}; expected a module, such as models.build('unet', ...) gives")
    if getattr(model, "padding", None) == "same":
        raise ValueError(
            f"this {name} has padding='same': it puts zeros around every tile, where the whole picture has pixels, and "
            "tiles that only meet can't be exact. Build it with padding='valid'; or let tiles overlap: "
            "minisegnet.blending.blended_pieces, which Predictor.predict uses"
        )
    if not all(hasattr(model, name) for name in ("grid", "halo", "input_size_for", "peak_bytes")):
        raise ValueError(
            f"{name} can't be tiled exactly by tiles that only meet: only models of valid convolutions can, such as "
            "models.build('unet', padding='valid', ...). Give it the whole picture: model(x), or let tiles overlap: "
            "minisegnet.blending.blended_pieces"
        )
    network: Tileable = model  # type: ignore[assignment]
    return network


def _check_image(image: Any, model: nn.Module, network: Tileable) -> None:
    if not (isinstance(image, np.ndarray) or is_cupy(image)):
        raise TypeError(f"the image is a {type(image).__name__}; expected an array of shape (C, H, W)")
    if image.ndim != 3 or image.shape[0] != network.in_channels or 0 in image.shape:
        hint = ""
        if image.ndim == 3 and image.shape[2] == network.in_channels:
            hint = "; channels come first: np.moveaxis(image, 2, 0)"
        if image.ndim == 4:
            hint = "; one image at a time: images[0]"
        raise ValueError(
            f"the image has shape {image.shape}; expected ({network.in_channels}, H, W), no side empty{hint}"
        )
    dtype = next(model.parameters()).dtype
    if image.dtype != dtype:
        raise TypeError(
            f"the image is {image.dtype} and the model {dtype}; scale the image as in training, then "
            f"image.astype(np.{dtype})"
        )


def checked_tile(tile: IntOrPair, network: Tileable) -> Pair:
    """Return a tile's size as a pair, or say which sizes there are."""
    tile = as_pair(tile, "tile", 1)
    if tile[0] % network.grid or tile[1] % network.grid:
        near = tuple(max(round(length / network.grid), 1) * network.grid for length in tile)
        raise ValueError(
            f"tile is {tile}; expected multiples of {network.grid}, so that all tiles start on the grid of the max "
            f"pooling (off it, scores would be wrong); the nearest is {near}"
        )
    return tile
