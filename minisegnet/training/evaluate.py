"""How good a model is on pictures that it wasn't trained on."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np

from minisegnet import ops
from minisegnet.arrays import Array
from minisegnet.data.sample import Dataset, Sample
from minisegnet.losses import Loss
from minisegnet.metrics import Evaluation, Picture
from minisegnet.predictor import Predictor

Seen: TypeAlias = Callable[[Sample, Picture, Array, Array], None]


class Evaluated(NamedTuple):
    """What the pictures of a dataset say of a model."""

    evaluation: Evaluation
    loss: float  # mean over the pictures; NaN where no loss was asked for

    @property
    def miou(self) -> float:
        """Mean IoU over the classes, of all pixels of all pictures together."""
        return float(self.evaluation.report().miou)


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    *,
    loss_of: Loss | None = None,
    batch: int = 8,
    boundary: bool = False,
    seen: Seen | None = None,
) -> Evaluated:
    """Predict every picture of a dataset at its own size and compare with its labels.

    Parameters
    ----------
    predictor
        The model.
    dataset
        Pictures with labels.
    loss_of
        ``loss(scores, labels)``, to be averaged over the pictures; None: only the metrics.
    batch
        So many pictures of one size are predicted at a time.
    boundary
        Whether to compute the boundary F1 as well, which takes longer.
    seen
        Called with each picture after it was measured, in order: the sample, its counts, its predicted labels
        (H, W), and its scores (classes, H, W).
    """
    evaluation = Evaluation(
        len(predictor.class_names),
        predictor.class_names,
        ignore_index=dataset.ignore_index,
        boundary=boundary,
    )
    total = 0.0
    for samples in same_sized(dataset, batch):
        images = np.stack([predictor.prepare(sample.image) for sample in samples])  # (N, C, H, W)
        # On a GPU all three stay there, and only counts and losses come back.
        scores = predictor.scores_on_backend(images)  # (N, classes, H, W)
        targets = ops.to_backend(np.stack([labels_of(sample) for sample in samples]))  # (N, H, W)
        labels = predictor.labels(scores)  # (N, H, W)
        for i, sample in enumerate(samples):
            evaluation.add(targets[i], labels[i])
            if seen is not None:
                seen(sample, evaluation.pictures[-1], ops.to_numpy(labels[i]), ops.to_numpy(scores[i]))
        if loss_of is not None:  # picture by picture, so that it doesn't depend on which came together
            for i in range(len(samples)):
                total += loss_of(scores[i : i + 1], targets[i : i + 1]).item()
    return Evaluated(evaluation, total / max(len(dataset), 1) if loss_of is not None else float("nan"))


def same_sized(dataset: Dataset, most: int) -> Iterator[list[Sample]]:
    """Yield neighbours of one size together, up to so many at a time."""
    waiting: list[Sample] = []
    for sample in dataset:
        if waiting and (len(waiting) == most or sample.image.shape != waiting[0].image.shape):
            yield waiting
            waiting = []
        waiting.append(sample)
    if waiting:
        yield waiting


def labels_of(sample: Sample) -> Array:
    """Return the labels of a sample, (H, W); raise where there are none."""
    if sample.labels is None:
        raise ValueError(f"the picture {sample.name} has no labels to compare with")
    return sample.labels.astype(np.int64)
