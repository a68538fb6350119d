"""Read some of the pictures once, and keep what the checks of the data need."""

from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.sample import Dataset
from minisegnet.data.statistics import as_floats

MOST = 64  # pictures that are read
PIECE = 192  # pixels a side: so much of the middle of each is kept


class Picture(NamedTuple):
    """What is kept of one picture."""

    name: str
    image: Array  # (h, w, C): the middle, float32 from 0 to 1
    labels: Array  # (h, w): int64, the same piece
    pixels: int  # of the whole picture
    counts: Array  # (C,): pixels of each class in the whole picture
    ignored: int  # pixels in the whole picture that count nowhere
    unknown: dict[int, int]  # labels that are no class, and their pixels
    mean: Array  # of each channel, over the whole picture
    deviation: Array  # of each channel


def survey(dataset: Dataset, most: int = MOST) -> list[Picture]:
    """Read at most so many pictures, evenly spread over all.

    >>> from minisegnet.data.synthetic import Synthetic
    >>> pictures = survey(Synthetic("shapes", count=10, size=32), most=5)
    >>> [picture.name[-2:] for picture in pictures], int(pictures[0].counts.sum())
    (['00', '02', '04', '06', '08'], 1024)
    """
    number = min(len(dataset), most)
    return [_examined(dataset, k * len(dataset) // number) for k in range(number)]


def _examined(dataset: Dataset, i: int) -> Picture:
    sample = dataset[i]
    if sample.labels is None:
        raise ValueError(f"picture {sample.name or i} has no labels; a diagnosis needs some for each picture")
    C, labels = len(dataset.class_names), sample.labels.astype(np.int64)
    values, numbers = np.unique(labels, return_counts=True)
    found = dict(zip(values.tolist(), numbers.tolist(), strict=True))
    ignored = found.pop(dataset.ignore_index, 0) if dataset.ignore_index is not None else 0
    counts = np.array([found.pop(c, 0) for c in range(C)], np.int64)
    image = as_floats(sample.image)
    rows, columns = (_middle(length) for length in labels.shape)
    return Picture(
        name=sample.name or str(i),
        image=image[rows, columns].copy(),
        labels=labels[rows, columns].copy(),
        pixels=labels.size,
        counts=counts,
        ignored=ignored,
        unknown=found,
        mean=image.mean(axis=(0, 1), dtype=np.float64),
        deviation=image.std(axis=(0, 1), dtype=np.float64),
    )


def _middle(length: int) -> slice:
    start = max((length - PIECE) // 2, 0)
    return slice(start, start + PIECE)
