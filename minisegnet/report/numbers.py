"""What a report says, as plain numbers, texts, lists and dictionaries: ``report.json``, of which the page is made."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.metrics import Evaluation, Picture, Reliability, Report

FORMAT = "minisegnet report 1"
PER_CLASS = ("iou", "accuracy", "precision", "dice", "boundary_f1")
SINGLE = (
    "miou",
    "miou_per_image",
    "pixel_accuracy",
    "mean_accuracy",
    "mean_precision",
    "mean_dice",
    "mean_boundary_f1",
    "frequency_weighted_iou",
)


def numbers_of(
    evaluation: Evaluation,
    names: Sequence[str],
    palette: Sequence[Sequence[int]],
    reliability: Reliability,
    *,
    data: Mapping[str, Any],
    model: Mapping[str, Any],
    date: str | None = None,
) -> dict[str, Any]:
    """Put together all the numbers of a report. What is not a number is None.

    Parameters
    ----------
    evaluation
        Of all pictures, with their boundaries.
    names
        Of the pictures, one for each.
    palette
        A colour for each class.
    reliability
        How sure the model was of the same pixels.
    data, model
        What else there is to say of them, such as the split and the step.
    date
        When it was measured; None: nothing is said of it, so that the same measurement is the same file.
    """
    report, pictures = evaluation.report(), evaluation.pictures
    pixels = sum(math.prod(picture.size) for picture in pictures)
    counted = int(report.support.sum())
    return {
        "format": FORMAT,
        "date": date,
        "data": {
            **data,
            "pictures": len(pictures),
            "pixels": pixels,
            "counted_pixels": counted,
            "ignored_pixels": pixels - counted,
        },
        "model": dict(model),
        "scores": {
            **{name: plain(getattr(report, name)) for name in SINGLE},
            "miou_of_each_image": spread(picture.miou for picture in pictures),
        },
        "boundary_tolerance": evaluation.tolerance,
        "classes": _classes(report, pictures, palette),
        "confusion": report.confusion.tolist(),
        "calibration": _calibration(reliability),
        "pictures": [_picture(*pair, report.class_names) for pair in zip(names, pictures, strict=True)],
    }


def plain(value: float) -> float | None:
    """Return a number for JSON; nan becomes None.

    >>> plain(np.float64(0.5)), plain(math.nan)
    (0.5, None)
    """
    return None if math.isnan(value) else float(value)


def spread(values: Iterable[float]) -> dict[str, Any]:
    """Say how numbers are spread; those that aren't numbers are left out.

    >>> spread([0.5, 1.0, math.nan])["pictures"], spread([0.5, 1.0])["mean"], spread([0.5, 1.0])["deviation"]
    (2, 0.75, 0.25)
    """
    numbers = np.array([value for value in values if not math.isnan(value)], np.float64)
    names = ("lowest", "lower_quartile", "median", "upper_quartile", "highest")
    if not numbers.size:
        return {"pictures": 0, "mean": None, "deviation": None, **dict.fromkeys(names)}
    five = np.quantile(numbers, [0, 0.25, 0.5, 0.75, 1]).tolist()
    whole = {"pictures": numbers.size, "mean": float(numbers.mean()), "deviation": float(numbers.std())}
    return whole | dict(zip(names, five, strict=True))


def _classes(
    report: Report, pictures: Sequence[Picture], palette: Sequence[Sequence[int]]
) -> list[dict[str, Any]]:
    total, guessed = int(report.support.sum()), report.confusion.sum(axis=0)
    of_pictures, in_truth = _by_class(pictures, len(report.class_names))
    found = []
    for c, name in enumerate(report.class_names):
        pixels = int(report.support[c])
        found.append(
            {
                "name": name,
                "colour": [int(part) for part in palette[c]],
                "pixels": pixels,
                "share": pixels / total if total else None,
                "pictures": in_truth[c],
                "predicted_pixels": int(guessed[c]),
                **{key: plain(_of(report, key)[c]) for key in PER_CLASS},
                "of_each_image": {key: spread(of_pictures[key][c]) for key in PER_CLASS},
            }
        )
    return found


def _of(report: Report, key: str) -> Array:
    values = getattr(report, key)
    return np.full(len(report.class_names), np.nan) if values is None else values


def _by_class(pictures: Sequence[Picture], C: int) -> tuple[dict[str, list[list[float]]], list[int]]:
    """Sort the pictures' numbers by class, and count the pictures in whose truth each class is."""
    sorted_: dict[str, list[list[float]]] = {key: [[] for _ in range(C)] for key in PER_CLASS}
    in_truth = [0] * C
    for picture in pictures:
        values = {key: getattr(picture, key).tolist() for key in PER_CLASS}
        for k, c in enumerate(picture.classes.tolist()):
            in_truth[c] += bool(picture.support[k])
            for key in PER_CLASS:
                sorted_[key][c].append(values[key][k])
    return sorted_, in_truth


def _calibration(found: Reliability) -> dict[str, Any]:
    accuracy, edges = found.accuracy, found.edges.tolist()
    bins = [
        {
            "above": edges[b],
            "up_to": edges[b + 1],
            "pixels": int(found.pixels[b]),
            "right": int(found.right[b]),
            "accuracy": plain(accuracy[b]),
            "confidence": plain(found.confidence[b]),
        }
        for b in range(len(found.pixels))
    ]
    single = ("ece", "mean_confidence", "mean_accuracy")
    return {**{name: plain(getattr(found, name)) for name in single}, "bins": bins}


def _picture(name: str, picture: Picture, class_names: Sequence[str]) -> dict[str, Any]:
    H, W = picture.size
    counted = int(picture.support.sum())
    there = (class_names[c] for c in picture.classes.tolist())
    return {
        "name": name,
        "height": H,
        "width": W,
        "counted_pixels": counted,
        "ignored_pixels": H * W - counted,
        "pixel_accuracy": plain(picture.pixel_accuracy),
        "miou": plain(picture.miou),
        "iou": dict(zip(there, picture.iou.tolist(), strict=True)),
    }
