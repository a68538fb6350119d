"""A trained model that takes pictures as they come and returns labels: ``minisegnet.load(run).predict(image)``."""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minisegnet import models, nn, ops
from minisegnet.arrays import Array
from minisegnet.blending import SMALLEST, blended_pieces, default_tile, tells_layers, tiling
from minisegnet.data.statistics import Normalisation
from minisegnet.inference import Piece, checked_tile, exact_pieces, forward, halo, mirrored
from minisegnet.ops.checks import contiguous
from minisegnet.sizes import IntOrPair, Pair

LARGE = 2**21  # pixels: from there on a picture is predicted in tiles; one of full HD is just below
LEAST_VALID_TILE = 256  # pixels a side, for models of valid convolutions

__all__ = ["LARGE", "SMALLEST", "Predictor", "load", "normalisation_of", "of_checkpoint"]


class Predictor:
    """A model, and all that is needed to give it a picture.

    Made by :func:`load` from a run, or from a model that is being trained.

    Parameters
    ----------
    model
        Any of ``models.names()`` that gives a label for each pixel; or a module of one's own, which is never tiled.
    class_names, palette, ignore_index
        What the labels mean, and their colours.
    normalisation
        How the pictures were brought to mean 0 and deviation 1 in training.
    facts
        What else the checkpoint tells, such as ``facts["step"]`` and ``facts["settings"]``.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        class_names: tuple[str, ...],
        palette: tuple[tuple[int, int, int], ...],
        normalisation: Normalisation,
        ignore_index: int | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.model, self.normalisation = model, normalisation
        self.class_names, self.palette, self.ignore_index = class_names, palette, ignore_index
        self.facts = dict(facts or {})
        self.channels = len(normalisation.mean)
        self._network = model

    def fold(self) -> "Predictor":
        """Predict with a copy of the model as it is now, faster: see ``nn.folded``. ``model`` itself stays as it is."""
        self._network = nn.folded(self.model)
        return self

    # What comes out

    def predict(self, image: Array, *, tile: IntOrPair | None = None) -> Array:
        """Return the label of each pixel.

        Parameters
        ----------
        image
            (H, W) or (H, W, C), as files hold it: uint8, uint16, or floats from 0 to 1. Any size.
        tile
            Size of the tiles that the picture is cut into, see :meth:`tiles`. None: by itself, where it is large.

        Returns
        -------
        Array
            (H, W), uint8 (uint16 where there are more than 256 classes).

        Notes
        -----
        In tiles, the memory beside picture and labels doesn't grow with the picture.
        """
        labels: Array | None = None
        for piece in self.pieces(image, tile=tile):
            if labels is None:
                labels = np.empty(image.shape[:2], self.label_type)
            labels[piece.rows, piece.columns] = self.labels(piece.scores)
        assert labels is not None  # there is at least one pixel
        return labels

    def probabilities(self, image: Array, *, tile: IntOrPair | None = None) -> Array:
        """Return the probability of each class at each pixel, (classes, H, W), float32."""
        return self.probabilities_of(self.scores(image, tile=tile))

    def scores(self, image: Array, *, tile: IntOrPair | None = None) -> Array:
        """Return the score of each class at each pixel, before the softmax, (classes, H, W)."""
        return _joined(self.pieces(image, tile=tile), image.shape[:2])

    def labels(self, scores: Array) -> Array:
        """Return the class with the highest score: (…, classes, H, W) to (…, H, W), where the scores lie."""
        labels: Array = scores.argmax(axis=-3).astype(self.label_type)
        return labels

    def probabilities_of(self, scores: Array) -> Array:
        """Return the softmax of scores: (…, classes, H, W) to the same."""
        probabilities: Array = ops.to_numpy(ops.softmax(ops.to_backend(scores), axis=-3))
        return probabilities

    @property
    def label_type(self) -> Any:
        """The type of label maps: uint8, or uint16 where there are more than 256 classes."""
        return np.uint8 if len(self.class_names) <= 256 else np.uint16

    def pieces(self, image: Array, *, tile: IntOrPair | None = None) -> Iterator[Piece]:
        """Give away the scores part by part: ``piece.scores`` (classes, h, w) of ``[piece.rows, piece.columns]``.

        The parts don't overlap, and together they are the whole picture. For who wants to keep memory small.
        """
        checked = self.check(image)

        def read(rows: Array, columns: Array) -> Array:
            return self._normalised(checked[rows[:, None], columns])[None]  # (1, C, h, w)

        return self._pieces(read, (checked.shape[0], checked.shape[1]), tile)

    # Tiles

    @property
    def padded(self) -> bool:
        """Whether the model puts zeros around its maps, so that its scores have the picture's size."""
        return getattr(self.model, "padding", "same") != "valid"

    def default_tile(self) -> int:
        """Size of the tiles unless it is asked for something else."""
        if self.padded:
            return default_tile(self.model)
        grid: int = self.model.grid  # type: ignore[attr-defined]
        return math.ceil(max(4 * halo(self.model), LEAST_VALID_TILE) / grid) * grid

    def tiles(self, size: Pair, tile: IntOrPair | None = None) -> str:
        """Say in words how a picture of this size is cut into tiles; an empty text where it isn't.

        Parameters
        ----------
        size
            (H, W).
        tile
            Height and width, multiples of the grid of the model's pooling. With same padding, what the model is
            given at a time; with valid convolutions, the scores that it gives at a time. None: the whole picture
            at once up to ``LARGE`` pixels, and from there on the model's own default (with valid convolutions always).
        """
        chosen = self._tile_for(size, tile)
        if not self.padded:
            network: Any = self.model
            h, w = checked_tile(self.default_tile() if chosen is None else chosen, network)
            count = math.ceil(size[0] / h) * math.ceil(size[1] / w)
            read = f"each with {halo(self.model)} pixels around it: exact"
            return f"{count:,} tiles of {h} x {w} pixels, {read}" if count > 1 else ""
        cut = tiling(self.model, size, chosen)
        if cut.number_of_tiles == 1:
            return ""
        kind = "exact" if cut.exact else "blended"
        overlap = " x ".join(str(n) for n in sorted({cut.rows.overlap, cut.columns.overlap} - {0}))
        size_of_tiles = f"{cut.rows.tile} x {cut.columns.tile}"
        return f"{cut.number_of_tiles:,} tiles of {size_of_tiles} pixels that overlap by {overlap}: {kind}"

    def _tile_for(self, size: Pair, tile: IntOrPair | None) -> IntOrPair | None:
        if tile is not None:
            return tile
        pixels = max(size[0], SMALLEST) * max(size[1], SMALLEST)  # as the model will see it
        if not self.padded:
            return self.default_tile()
        return self.default_tile() if pixels > LARGE and tells_layers(self.model) else None

    def _pieces(
        self, read: Callable[[Array, Array], Array], size: Pair, tile: IntOrPair | None
    ) -> Iterator[Piece]:
        cut = blended_pieces if self.padded else exact_pieces
        chosen = self._tile_for(size, tile)
        for piece in cut(self._network, lambda *places: ops.to_backend(read(*places)), size, chosen):
            yield piece._replace(scores=ops.to_numpy(piece.scores))

    # What goes in

    def prepare(self, image: Array) -> Array:
        """Bring a picture (H, W) or (H, W, C) to what the model was trained on: (C, H, W), normalised."""
        return self._normalised(self.check(image))

    def _normalised(self, image: Array) -> Array:
        return np.ascontiguousarray(self.normalisation.apply(image).transpose(2, 0, 1))  # (C, H, W)

    def check(self, image: Array) -> Array:
        """Refuse what is no picture that the model can be given; return it as (H, W, C), as it is."""
        if not isinstance(image, np.ndarray):
            raise TypeError(
                f"the picture is a {type(image).__name__}; expected an array (H, W, {self.channels}). From a file: "
                "minisegnet.data.read_image(path)"
            )
        if image.ndim == 2:
            image = image[:, :, None]  # (H, W, 1)
        self.check_shape(image.shape)
        if image.dtype.kind == "f" and not (image.min() >= 0 and image.max() <= 1):
            raise ValueError(
                f"the picture's floats go from {image.min():g} to {image.max():g}; expected 0 to 1. Divide by the "
                "largest possible value (255, say), or pass uint8"
            )
        return image

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Refuse pictures (H, W, C) of other channels than the model was trained on."""
        if len(shape) == 3 and shape[2] == self.channels and 0 not in shape:
            return
        hint = ""
        if len(shape) == 3 and shape[2] == 1:
            hint = "; make a colour picture of a grey one by np.repeat(image, 3, axis=2), or save it as RGB"
        elif len(shape) == 3 and (shape[2], self.channels) == (3, 1):
            hint = "; save it as grey: in Pillow, Image.open(path).convert('L')"
        elif len(shape) == 3 and shape[0] == self.channels:
            hint = "; channels come last: np.moveaxis(image, 0, 2)"
        elif len(shape) == 3:
            hint = "; choose the channels as for training, and save them as .npy"
        raise ValueError(
            f"the picture has shape {shape}; expected (H, W, {self.channels}), as the model was trained on "
            f"{self.channels} channel{'s' * (self.channels > 1)}{hint}"
        )

    def scores_of(self, images: Array) -> Array:
        """Return the scores (N, classes, H, W) of prepared pictures (N, C, H, W), as a NumPy array."""
        return ops.to_numpy(self.scores_on_backend(images))

    def scores_on_backend(self, images: Array) -> Array:
        """Return the same, where the kernels compute: on the GPU for ``cupy``."""
        size: Pair = (images.shape[2], images.shape[3])
        if not self.padded or self._tile_for(size, None) is not None:  # one after the other
            joined = [_joined(self._pieces(_reader(image), size, None), size) for image in images]
            return ops.to_backend(np.stack(joined))
        cut = tiling(self.model, size, None)  # mirrored outwards to the grid of the pooling
        (top, left), (H, W) = cut.before, size
        rows, columns = mirrored(-top, cut.rows.length, H), mirrored(-left, cut.columns.length, W)
        large: Array = np.ascontiguousarray(images[:, :, rows[:, None], columns])
        scores = forward(self._network, ops.to_backend(large))
        return contiguous(scores[:, :, top : top + H, left : left + W])  # (N, classes, H, W)


def _reader(image: Array) -> Callable[[Array, Array], Array]:
    def read(rows: Array, columns: Array) -> Array:
        return np.ascontiguousarray(image[:, rows[:, None], columns])[None]  # (1, C, h, w)

    return read


def _joined(pieces: Iterator[Piece], size: Pair) -> Array:
    """Put the scores of parts together, (classes, H, W)."""
    scores: Array | None = None
    for piece in pieces:
        if scores is None:
            scores = np.empty((len(piece.scores), *size), piece.scores.dtype)
        scores[:, piece.rows, piece.columns] = piece.scores
    assert scores is not None  # there is at least one pixel
    return scores


def load(run: str | Path) -> Predictor:
    """Load a trained model: ``minisegnet.load("runs/shapes-unet").predict(image)``.

    Parameters
    ----------
    run
        The folder of a run (its best checkpoint is taken, else its last), or a checkpoint file.
    """
    from minisegnet.training import checkpoint, run_folder

    arrays, facts = checkpoint.load(run_folder.checkpoint_of(run))
    return of_checkpoint(arrays, facts)


def of_checkpoint(arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> Predictor:
    """Make a predictor of what a checkpoint holds."""
    told = dict(facts["model"])
    options = told.pop("options")
    model = models.build(told.pop("name"), **told, **options, initialise=False)
    model.load_state_dict(
        {name.removeprefix("model."): a for name, a in arrays.items() if name.startswith("model.")}
    )
    return Predictor(
        model.eval(),
        class_names=tuple(facts["class_names"]),
        palette=tuple((r, g, b) for r, g, b in facts["palette"]),
        normalisation=normalisation_of(facts),
        ignore_index=facts["ignore_index"],
        facts=facts,
    )


def normalisation_of(facts: Mapping[str, Any]) -> Normalisation:
    """Return the normalisation that a checkpoint tells of."""
    return Normalisation(*(tuple(facts["normalisation"][key]) for key in ("mean", "std")))
