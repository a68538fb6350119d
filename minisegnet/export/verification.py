"""Run an exported file and hold its numbers against the model's own."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minisegnet import nn, ops
from minisegnet.arrays import Array
from minisegnet.autograd import no_grad
from minisegnet.export.model_file import require
from minisegnet.export.ties import with_the_files_choices

ROUNDING = 1e-5  # what rounding may make of two equal values inside a network, as a share of values beyond 1
LIMIT = 1e-4  # largest difference in float32, of scores up to 1; of larger ones in proportion


class Verification(NamedTuple):
    """How far the file's result and the model's are apart."""

    name: str
    shape: tuple[int, ...]  # of the picture
    difference: float  # the largest. Of labels: how far the chosen class's score lies below the best one
    largest: float  # the largest score
    ties: int = 0  # pooling windows in which the file took another of values that are equal but for rounding

    @property
    def good(self) -> bool:
        """Whether the difference is at most LIMIT, for scores beyond 1 of the largest."""
        return self.difference <= LIMIT * max(1.0, self.largest)  # NaN is no good


def verify(
    path: str | Path,
    scores_of: Callable[..., Array],
    inputs: Iterable[tuple[str, Mapping[str, Array]]],
) -> list[Verification]:
    """Run ONNX Runtime on the file and compare.

    Where a model that unpools differs, it is compared once more with the file's choices among equal values; see
    ``minisegnet/export/ties.py``.

    Parameters
    ----------
    path
        The ONNX file.
    scores_of
        Computes the scores to compare with, from the same inputs; ``scores_function`` makes one of a model.
    inputs
        Names of the cases, and their arrays by the names of the file's inputs.
    """
    runtime = require("onnxruntime")
    settings = runtime.SessionOptions()
    settings.log_severity_level = 3  # errors only
    session = runtime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    found = []
    for name, arrays in inputs:
        case = _compared(name, arrays, session.run(None, dict(arrays))[0], scores_of(*arrays.values()))
        if not case.good:
            told = with_the_files_choices(path, scores_of, arrays)
            if told is not None and told.gap <= ROUNDING:
                case = _compared(name, arrays, told.result, told.scores)._replace(ties=told.ties)
        found.append(case)
    return found


def _compared(name: str, arrays: Mapping[str, Array], result: Array, scores: Array) -> Verification:
    shape = next(iter(arrays.values())).shape
    return Verification(name, shape, _apart(result, scores), float(np.abs(scores).max(initial=0)))


def scores_function(
    model: Callable[..., Any], normalise: Callable[[Array], Array] | None
) -> Callable[..., Array]:
    """Return a function of arrays that computes a model's scores, of pictures that are normalised first."""
    from minisegnet.inference import evaluating

    def scores_of(image: Array, *others: Array) -> Array:
        prepared = image if normalise is None else normalise(image)
        if not isinstance(model, nn.Module):
            result = model(prepared, *others)
        else:
            with evaluating(model), no_grad():
                result = model(*(ops.to_backend(a) for a in (prepared, *others)))
        scores: Array = ops.to_numpy(result.data)
        return scores

    return scores_of


def _apart(result: Array, scores: Array) -> float:
    if result.dtype.kind != "f":  # labels (N, H, W) of scores (N, classes, H, W)
        if result.shape != (scores.shape[0], *scores.shape[2:]):
            raise ValueError(f"the labels have shape {result.shape}; expected those of scores {scores.shape}")
        chosen = np.take_along_axis(scores, result[:, None], axis=1)[:, 0]
        return float((scores.max(axis=1) - chosen).max(initial=0))
    if result.shape != scores.shape:
        raise ValueError(f"the file's scores have shape {result.shape}; expected {scores.shape}")
    return float(np.abs(result - scores).max(initial=0))
