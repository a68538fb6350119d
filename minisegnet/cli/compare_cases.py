"""Each op once, on one picture: run forward and backward, timed, and compared between backends."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from minisegnet import ops
from minisegnet.arrays import Array
from minisegnet.cli.compare_inputs import (
    Picture,
    bilinear_filters,
    boxes,
    colour_scores,
    edge_filters,
    fade,
    proposals,
    quarter,
)

DIFFERENT = float("inf")  # the difference of results whose shapes, dtypes, indices or labels don't agree

# Where relu's y is above 0 by less than that, backends may round to different sides of 0: no gradient comes in there.
CLEAR = 1e-3


class Case(NamedTuple):
    """One op with its inputs filled in."""

    op: str
    forward: Callable[[], Any]
    backward: Callable[..., Any] | None  # called with dy and the forward's outputs; nms has none


class Measured(NamedTuple):
    """What a case gave on one backend, and how long it took."""

    outputs: tuple[Array, ...]
    gradients: tuple[Array, ...]
    first: float  # seconds of the first calls; with Numba they may include compiling
    forward: float  # seconds, median of the repeats
    backward: float | None


# ---------------------------------------------------------------------------------------------------------
# The cases


def cases(picture: Picture) -> list[Case]:
    """Fill in every op's arguments from the picture, for the backend that is in use now."""
    both = np.stack([picture.image, picture.image[:, :, ::-1]])  # (2, 3, H, W): the picture, mirrored
    x = ops.to_backend(both)
    labels = ops.to_backend(np.stack([picture.labels, picture.labels[:, ::-1]]))  # (2, H, W)
    scores = ops.to_backend(colour_scores(both, picture))
    return [
        *_filtering(x),
        *_shrinking(x),
        *_growing(x, both),
        *_cutting_out(x, picture),
        *_deciding(scores, labels),
        *_layers(x, both),
    ]


def _filtering(x: Array) -> list[Case]:
    w = ops.to_backend(edge_filters())
    b = ops.to_backend(np.array([0.0, 0.0, 0.1, -0.1], np.float32))
    return [
        Case(
            "conv2d",
            lambda: ops.conv2d(x, w, b, padding=1),
            lambda dy, y: ops.conv2d_backward(dy, x, w, padding=1),
        ),
        Case(
            "conv2d_relu",
            lambda: ops.conv2d_relu(x, w, b, padding=1),
            lambda dy, y: ops.conv2d_relu_backward(dy * (y > CLEAR), y, x, w, padding=1),
        ),
    ]


def _shrinking(x: Array) -> list[Case]:
    size = x.shape[2:]
    pooled, indices = ops.max_pool2d(x, 4)  # (2, 3, H/4, W/4)
    return [
        Case(
            "max_pool2d",
            lambda: ops.max_pool2d(x, 4),
            lambda dy, y, indices: ops.max_pool2d_backward(dy, indices, size),
        ),
        Case(
            "max_unpool2d",
            lambda: ops.max_unpool2d(pooled, indices, size),
            lambda dy, y: ops.max_unpool2d_backward(dy, indices),
        ),
        Case(
            "avg_pool2d",
            lambda: ops.avg_pool2d(x, 8),
            lambda dy, y: ops.avg_pool2d_backward(dy, size, 8),
        ),
        Case(
            "global_avg_pool2d",
            lambda: ops.global_avg_pool2d(x),
            lambda dy, y: ops.global_avg_pool2d_backward(dy, size),
        ),
        Case(
            "adaptive_max_pool2d",
            lambda: ops.adaptive_max_pool2d(x, (5, 7)),
            lambda dy, y, indices: ops.max_pool2d_backward(dy, indices, size),
        ),
        Case(
            "adaptive_avg_pool2d",
            lambda: ops.adaptive_avg_pool2d(x, (5, 7)),
            lambda dy, y: ops.adaptive_avg_pool2d_backward(dy, size),
        ),
    ]


def _growing(x: Array, both: Array) -> list[Case]:
    size = x.shape[2:]
    small = ops.to_backend(quarter(both))  # (2, 3, H/4, W/4)
    small_size = small.shape[2:]
    w = ops.to_backend(bilinear_filters(3, 4))
    options: dict[str, Any] = {"stride": 4, "padding": 2, "groups": 3}
    return [
        Case(
            "resize_nearest",
            lambda: ops.resize_nearest(small, size),
            lambda dy, y: ops.resize_nearest_backward(dy, small_size),
        ),
        Case(
            "resize_bilinear",
            lambda: ops.resize_bilinear(small, size),
            lambda dy, y: ops.resize_bilinear_backward(dy, small_size),
        ),
        Case(
            "conv_transpose2d",
            lambda: ops.conv_transpose2d(small, w, **options),
            lambda dy, y: ops.conv_transpose2d_backward(dy, small, w, **options),
        ),
    ]


def _cutting_out(x: Array, picture: Picture) -> list[Case]:
    x_shape = x.shape
    found = boxes(picture)  # (R, 4)
    rois = ops.to_backend(np.concatenate([np.zeros((len(found), 1), np.float32), found], axis=1))  # (R, 5)
    guesses, confidence = (ops.to_backend(a) for a in proposals(picture))
    H, W = x_shape[2:]
    return [
        Case("nms", lambda: ops.nms(guesses, confidence, iou_threshold=0.5), None),
        Case(
            "roi_pool",
            lambda: ops.roi_pool(x, rois, (14, 12)),
            lambda dy, y, argmax: ops.roi_pool_backward(dy, argmax, rois, x_shape),
        ),
        Case(
            "roi_align",
            lambda: ops.roi_align(x, rois, (14, 12)),
            lambda dy, y: ops.roi_align_backward(dy, rois, x_shape),
        ),
        Case(
            "crop2d",
            lambda: ops.crop2d(x, (H // 2, W // 2)),
            lambda dy, y: ops.crop2d_backward(dy, (H, W)),
        ),
        Case(
            "pad2d",
            lambda: ops.pad2d(x, (H // 4, W // 4), mode="reflect"),
            lambda dy, y: ops.pad2d_backward(dy, (H // 4, W // 4), mode="reflect"),
        ),
    ]


def _deciding(scores: Array, labels: Array) -> list[Case]:
    # Where a shape is (1) and how much a pixel looks like one, both (2, 1, H, W).
    is_shape = ops.to_backend(ops.to_numpy(labels > 0)[:, None].astype(np.float32))
    shape_score = ops.to_backend(np.ascontiguousarray(-ops.to_numpy(scores)[:, :1]))
    options: dict[str, Any] = {"reduction": "none"}
    return [
        Case("softmax", lambda: ops.softmax(scores), ops.softmax_backward),
        Case("log_softmax", lambda: ops.log_softmax(scores), ops.log_softmax_backward),
        Case(
            "softmax_cross_entropy",
            lambda: ops.softmax_cross_entropy(scores, labels, **options),
            lambda dy, loss, probs: ops.softmax_cross_entropy_backward(dy, probs, labels, **options),
        ),
        Case(
            "bce_with_logits",
            lambda: ops.bce_with_logits(shape_score, is_shape),
            lambda dy, loss: ops.bce_with_logits_backward(dy, shape_score, is_shape),
        ),
    ]


def _layers(x: Array, both: Array) -> list[Case]:
    faded = ops.to_backend(fade(both))  # (2, 3, H, W)
    centred = ops.to_backend(both - np.float32(0.5))  # (2, 3, H, W), half of it negative
    gamma, beta, mean = (ops.to_backend(np.full(3, v, np.float32)) for v in (1.0, 0.0, 0.5))
    pixels = ops.to_backend(np.ascontiguousarray(both.transpose(0, 2, 3, 1)))  # (2, H, W, 3)
    brightness, red_against_green = (0.3, 0.6, 0.1), (0.5, -0.5, 0.0)
    w = ops.to_backend(np.array([brightness, red_against_green], np.float32))  # (2, 3)
    b = ops.to_backend(np.zeros(2, np.float32))
    key = (0, 0, 0)
    return [
        Case(
            "batch_norm",
            lambda: ops.batch_norm(faded, gamma, beta, mean, gamma, training=True),
            lambda dy, y, mean, inv_std, *_: ops.batch_norm_backward(
                dy, faded, gamma, mean, inv_std, training=True
            ),
        ),
        Case(
            "batch_norm_relu",
            lambda: ops.batch_norm_relu(faded, gamma, beta, mean, gamma, training=True),
            lambda dy, y, mean, inv_std, *_: ops.batch_norm_relu_backward(
                dy * (y > CLEAR), y, faded, gamma, mean, inv_std, training=True
            ),
        ),
        Case("relu", lambda: ops.relu(centred), ops.relu_backward),
        Case(
            "leaky_relu",
            lambda: ops.leaky_relu(centred, 0.1),
            lambda dy, y: ops.leaky_relu_backward(dy, y, 0.1),
        ),
        Case("sigmoid", lambda: ops.sigmoid(centred), ops.sigmoid_backward),
        Case(
            "dropout",
            lambda: ops.dropout(x, 0.5, key=key),
            lambda dy, y, mask: ops.dropout_backward(dy, mask, 0.5),
        ),
        Case("linear", lambda: ops.linear(pixels, w, b), lambda dy, y: ops.linear_backward(dy, pixels, w)),
        Case("concat", lambda: ops.concat([x, faded]), lambda dy, y: ops.concat_backward(dy, [3, 3])),
        Case("add", lambda: ops.add(x, faded), lambda dy, y: ops.add_backward(dy)),
    ]


# ---------------------------------------------------------------------------------------------------------
# Running and comparing


def measure(case: Case, repeats: int) -> Measured:
    """Run a case forward and backward, and time it.

    Parameters
    ----------
    case
        The op and its arguments.
    repeats
        The times are medians of so many calls after the first; with 0 they are those of the first call itself.
    """
    outputs, forward_times = _timed(lambda: _arrays(case.forward()), repeats)
    backward = case.backward
    if backward is None:
        return Measured(_on_host(outputs), (), forward_times[0], median(forward_times[repeats > 0 :]), None)
    rng = np.random.default_rng(len(case.op))
    dy = ops.to_backend(np.asarray(rng.standard_normal(outputs[0].shape), np.float32))
    gradients, backward_times = _timed(lambda: _arrays(backward(dy, *outputs)), repeats)
    return Measured(
        _on_host(outputs),
        _on_host(gradients),
        forward_times[0] + backward_times[0],
        median(forward_times[repeats > 0 :]),
        median(backward_times[repeats > 0 :]),
    )


def _timed(call: Callable[[], tuple[Array, ...]], repeats: int) -> tuple[tuple[Array, ...], list[float]]:
    times = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return result, times


def _arrays(result: Any) -> tuple[Array, ...]:
    parts = result if isinstance(result, tuple | list) else (result,)
    return tuple(part for part in parts if part is not None)


def _on_host(arrays: tuple[Array, ...]) -> tuple[Array, ...]:
    return tuple(ops.to_numpy(a) for a in arrays)


def difference(expected: Measured, got: Measured) -> float:
    """Return the largest difference of two results, as a part of the largest value; ``DIFFERENT`` if none fits.

    Indices and masks have to be equal; a NaN anywhere counts as different.
    """
    pairs = (*expected.outputs, *expected.gradients), (*got.outputs, *got.gradients)
    if len(pairs[0]) != len(pairs[1]):
        return DIFFERENT
    return max(_difference(a, b) for a, b in zip(*pairs, strict=True))


def _difference(a: Array, b: Array) -> float:
    if a.shape != b.shape or a.dtype != b.dtype:
        return DIFFERENT
    if a.dtype.kind != "f":
        return 0.0 if np.array_equal(a, b) else DIFFERENT
    if a.size == 0:
        return 0.0
    largest = float(np.abs(a).max())
    apart = float(np.abs(a - b).max()) / (largest or 1.0)
    return apart if apart == apart else DIFFERENT  # only a NaN differs from itself
