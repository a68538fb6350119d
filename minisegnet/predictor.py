"""A trained model that takes pictures as they come and returns labels: ``minisegnet.load(run).predict(image)``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minisegnet import models, nn, ops
from minisegnet.arrays import Array
from minisegnet.autograd import no_grad
from minisegnet.data.statistics import Normalisation
from minisegnet.inference import evaluating, mirrored, overlap_tile

SMALLEST = 64  # models return the picture's size from 64 x 64 up; what is smaller is mirrored outwards
TILE = 256  # pixels a side, for models of valid convolutions


class Predictor:
    """A model, and all that is needed to give it a picture.

    Made by :func:`load` from a run, or from a model that is being trained.

    Parameters
    ----------
    model
        Any of ``models.names()`` that gives a label for each pixel.
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

    def predict(self, image: Array) -> Array:
        """Return the label of each pixel.

        Parameters
        ----------
        image
            (H, W) or (H, W, C), as files hold it: uint8, uint16, or floats from 0 to 1. Any size.

        Returns
        -------
        Array
            (H, W), uint8 (uint16 where there are more than 256 classes).
        """
        return self.labels(self.scores(image))

    def probabilities(self, image: Array) -> Array:
        """Return the probability of each class at each pixel, (classes, H, W), float32."""
        probabilities: Array = ops.softmax(self.scores(image), axis=0)
        return probabilities

    def scores(self, image: Array) -> Array:
        """Return the score of each class at each pixel, before the softmax, (classes, H, W)."""
        scores: Array = self.scores_of(self.prepare(image)[None])[0]
        return scores

    def labels(self, scores: Array) -> Array:
        """Return the class with the highest score: (…, classes, H, W) to (…, H, W)."""
        kind = np.uint8 if len(self.class_names) <= 256 else np.uint16
        labels: Array = ops.to_numpy(scores).argmax(axis=-3).astype(kind)
        return labels

    def prepare(self, image: Array) -> Array:
        """Bring a picture (H, W) or (H, W, C) to what the model was trained on: (C, H, W), normalised."""
        if not isinstance(image, np.ndarray):
            raise TypeError(
                f"the picture is a {type(image).__name__}; expected an array (H, W, {self.channels}). From a file: "
                "minisegnet.data.read_image(path)"
            )
        if image.ndim == 2:
            image = image[:, :, None]  # (H, W, 1)
        if image.ndim != 3 or image.shape[2] != self.channels or 0 in image.shape:
            hint = ""
            if image.ndim == 3 and image.shape[2] == 1:
                hint = (
                    "; make a colour picture of a grey one by np.repeat(image, 3, axis=2), or save it as RGB"
                )
            elif image.ndim == 3 and image.shape[0] == self.channels:
                hint = "; channels come last: np.moveaxis(image, 0, 2)"
            raise ValueError(
                f"the picture has shape {image.shape}; expected (H, W, {self.channels}), as the model was trained on "
                f"{self.channels} channel{'s' * (self.channels > 1)}{hint}"
            )
        if image.dtype.kind == "f" and not (image.min() >= 0 and image.max() <= 1):
            raise ValueError(
                f"the picture's floats go from {image.min():g} to {image.max():g}; expected 0 to 1. Divide by the "
                "largest possible value (255, say), or pass uint8"
            )
        return np.ascontiguousarray(self.normalisation.apply(image).transpose(2, 0, 1))  # (C, H, W)

    def scores_of(self, images: Array) -> Array:
        """Return the scores (N, classes, H, W) of prepared pictures (N, C, H, W)."""
        H, W = images.shape[2:]
        top, left = max(SMALLEST - H, 0) // 2, max(SMALLEST - W, 0) // 2
        rows, columns = mirrored(-top, max(H, SMALLEST), H), mirrored(-left, max(W, SMALLEST), W)
        large: Array = np.ascontiguousarray(
            images[:, :, rows[:, None], columns]
        )  # (N, C, 64 or more, 64 or more)
        scores = self._forward(large)  # (N, classes, 64 or more, 64 or more)
        return np.ascontiguousarray(scores[:, :, top : top + H, left : left + W])  # (N, classes, H, W)

    def _forward(self, images: Array) -> Array:
        if getattr(self.model, "padding", "same") == "valid":  # its scores are smaller than the picture
            tile = max(TILE // self.model.grid, 1) * self.model.grid  # type: ignore[attr-defined]
            return np.stack([overlap_tile(self.model, image, tile=tile) for image in images])
        with evaluating(self.model), no_grad():
            scores: Array = ops.to_numpy(self.model(ops.to_backend(images)).data)
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
