"""Compile Numba's kernels ahead, by calling them: what the models need, or everything.

Numba compiles a kernel when it is first called with arrays of some types, and keeps the result on disk. So that a class
room, a computer without a clock to spare or a container starts at once, the calls can be made before.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from minisegnet import losses, models, ops
from minisegnet.autograd import no_grad
from minisegnet.marking.cases import FAMILIES
from minisegnet.marking.cases.case import Fill

FLOATS = ("float32", "float64")
SIZE = {"patch": 24}  # the others take 64 x 64

# The convolution has several texts, and channels, taps and stride choose (``text_for`` in backends/numba/conv.py).
CONVOLUTIONS = (  # filters, channels, taps, stride, padding, groups
    (2, 2, 3, 3, 1, 2),  # plain
    (4, 4, 3, 1, 1, 4),  # depthwise
    (4, 4, 3, 2, 1, 4),
    (4, 4, 16, 8, 4, 4),  # wide
    (8, 8, 1, 1, 0, 1),  # pointwise
    (8, 8, 2, 2, 0, 1),  # patches
    (8, 8, 3, 2, 1, 1),  # direct, with few filters and with many
    (40, 40, 3, 2, 1, 1),
    (128, 128, 3, 4, 1, 1),  # unfolded
    (16, 16, 3, 1, 1, 1),  # Winograd, with totals of each part and of all
    (64, 64, 3, 1, 1, 1),
)


def models_ahead() -> Iterator[str]:
    """Train each model for a step and let it predict, in float32. Yields what comes next."""
    for name in models.names():
        yield name
        model = models.build(name, classes=3)
        size = SIZE.get(name, 64)
        x = np.random.default_rng(0).random((2, 3, size, size), np.float32)
        scores = model(x)
        labels = np.zeros((2, *scores.shape[2:]), np.uint8)
        losses.cross_entropy(scores, labels).backward()
        model.eval()
        with no_grad():
            probabilities = ops.softmax(model(x).data)
        ops.softmax_backward(probabilities, probabilities)  # of the losses that are made of probabilities
    yield from _convolutions("float32")


def everything_ahead() -> Iterator[str]:
    """Call every op and its backward, in float32 and float64. Yields what comes next."""
    yield from models_ahead()
    for dtype in FLOATS:
        for op in sorted(FAMILIES):
            yield f"{op} ({dtype})"
            family = FAMILIES[op]
            for spec in (family.specs[0], family.specs[-1]):
                fill = Fill(family.fills[0], np.random.default_rng(0), np.dtype(dtype))
                getattr(ops, op)(**family.build({**family.least, **spec}, fill))
        yield f"dropout ({dtype})"
        ops.dropout(np.ones((2, 3), dtype), 0.5, key=(0, 0, 0))
    yield from _convolutions("float64")


def _convolutions(dtype: str) -> Iterator[str]:
    """Reach every text of the convolution, forward and backward, and of the transposed one."""
    for K, C, taps, stride, padding, groups in CONVOLUTIONS:
        yield f"convolution of {C} to {K} channels ({dtype})"
        x = np.ones((1, C, 32, 32), dtype)
        w = np.ones((K, C // groups, taps, taps), dtype)
        options: dict[str, Any] = {"stride": stride, "padding": padding, "groups": groups}
        y = ops.conv2d(x, w, **options)
        ops.conv2d_backward(y, x, w, **options)
        back = ops.conv_transpose2d(y, w, **options)
        ops.conv_transpose2d_backward(back, y, w, **options)
