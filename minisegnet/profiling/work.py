"""How much work a kernel's call is: operations, and bytes that must move.

Bytes are those of every array that goes in and every array that comes out, each counted once: no kernel can move
fewer, most move more.

Operations are those of the definition, whatever the algorithm: two (a product and a sum) for each weight that meets a
value. That is exact for convolutions and the linear layer, where nearly all of the work is. Of the others a simple
count per number is taken (``PER_NUMBER``); memory limits them anyway.
"""

import math
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from minisegnet.arrays import Array

# Operations for each number of the largest array that takes part.
PER_NUMBER = {
    "batch_norm": 8,  # mean 1, variance 3, normalise 2, scale and shift 2
    "batch_norm_backward": 10,
    "batch_norm_relu": 9,
    "batch_norm_relu_backward": 11,
    "softmax": 5,
    "softmax_backward": 4,
    "log_softmax": 5,
    "log_softmax_backward": 4,
    "softmax_cross_entropy": 5,
    "softmax_cross_entropy_backward": 2,
    "resize_bilinear": 7,
    "resize_bilinear_backward": 7,
    "sigmoid": 4,
    "sigmoid_backward": 3,
}
MOVES_ONLY = (
    "concat",
    "crop2d",
    "pad2d",
    "max_unpool2d",
    "resize_nearest",
)  # and their backwards: nothing is computed


class Work(NamedTuple):
    """Operations and bytes; they add up."""

    flops: int = 0
    bytes: int = 0

    def plus(self, other: "Work") -> "Work":
        """Return the sum."""
        return Work(self.flops + other.flops, self.bytes + other.bytes)

    @property
    def intensity(self) -> float:
        """Operations for each byte; 0 where nothing moves."""
        return self.flops / self.bytes if self.bytes else 0.0


def work_of(op: str, arguments: tuple[Any, ...], options: dict[str, Any], result: Any) -> Work:
    """Count the work of one call of a kernel.

    Examples
    --------
    A convolution of 3 to 2 channels, 3x3, on 4x4 pixels that give 2x2: 2 x 2 outputs x 2 channels x 27 weights, two
    operations each.

    >>> x, w = np.zeros((1, 3, 4, 4), np.float32), np.zeros((2, 3, 3, 3), np.float32)
    >>> work_of("conv2d", (x, w, None), {}, np.zeros((1, 2, 2, 2), np.float32))
    Work(flops=432, bytes=440)
    """
    moved = {id(a): a.nbytes for a in _arrays((*arguments, *options.values(), result))}
    return Work(_flops(op, arguments, options, result), sum(moved.values()))


def _flops(op: str, arguments: tuple[Any, ...], options: dict[str, Any], result: Any) -> int:
    if op in ("conv2d", "conv2d_relu"):
        _, w, b = arguments
        cut = int(result.size) if op == "conv2d_relu" else 0
        return _products(result, math.prod(w.shape[1:])) + _sums(result, b) + cut
    if op in ("conv2d_backward", "conv2d_relu_backward"):
        dy, *_, w = arguments
        times = 2 if result[0] is not None else 1  # to the input, to the weights
        cut = int(dy.size) if op == "conv2d_relu_backward" else 0
        return times * _products(dy, math.prod(w.shape[1:])) + _sums(dy, dy) + cut
    if op == "conv_transpose2d":
        x, w, b = arguments
        return _products(x, math.prod(w.shape[1:])) + _sums(result, b)
    if op == "conv_transpose2d_backward":
        dy, x, w = arguments
        return 2 * _products(x, math.prod(w.shape[1:])) + _sums(dy, dy)
    if op == "linear":
        _, w, b = arguments
        return _products(result, w.shape[1]) + _sums(result, b)
    if op == "linear_backward":
        dy, _, w = arguments
        return 2 * _products(dy, w.shape[1]) + _sums(dy, dy)
    if op.removesuffix("_backward") in MOVES_ONLY:
        return 0
    largest = max((int(a.size) for a in _arrays((*arguments, result)) if a.dtype.kind == "f"), default=0)
    return PER_NUMBER.get(op, 1) * largest


def _products(outputs: Array, weights: int) -> int:
    """Two operations for each weight of each output."""
    return 2 * int(outputs.size) * weights


def _sums(outputs: Array, bias: Array | None) -> int:
    """One operation for each number that a bias is added to, or that its gradient sums."""
    return 0 if bias is None else int(outputs.size)


def _arrays(value: Any) -> Iterator[Array]:
    """Yield the arrays in a value, through lists and tuples."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _arrays(part)


class CountingBackend(ModuleType):
    """A backend that hands every call on to another and tells how much work it was.

    Parameters
    ----------
    backend
        The kernels.
    tell
        Is called with the op's name and its :class:`Work` after each call.

    Examples
    --------
    >>> from minisegnet import ops, use_backend
    >>> from minisegnet.backends import numpy as kernels
    >>> with use_backend(CountingBackend(kernels, lambda op, work: print(op, work))):
    ...     ops.relu(np.array([-1.0, 2.0]))
    relu Work(flops=2, bytes=32)
    array([0., 2.])
    """

    def __init__(self, backend: ModuleType, tell: Callable[[str, Work], None]) -> None:
        super().__init__(f"counting.{backend.__name__}")
        self._backend, self._tell = backend, tell

    def __getattr__(self, op: str) -> Any:
        if op.startswith("_"):
            raise AttributeError(op)
        kernel = getattr(self._backend, op)

        def counted(*arguments: Any, **options: Any) -> Any:
            result = kernel(*arguments, **options)
            self._tell(op, work_of(op, arguments, options, result))
            return result

        return counted
