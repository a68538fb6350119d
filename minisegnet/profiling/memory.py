"""What a step keeps for its backward: the arrays that the tape's backward functions refer to."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.autograd import Tensor

DEEPEST = 4  # functions in functions, lists in lists


def kept_arrays(function: Callable[..., Any] | None) -> Iterator[Array]:
    """Yield the arrays that a backward function keeps alive: those that own their memory, which views refer to.

    Examples
    --------
    >>> from minisegnet import functional
    >>> x = Tensor(np.zeros((1, 1, 4, 4), np.float32), requires_grad=True)
    >>> y, indices = functional.max_pool2d(x, 2)
    >>> [array.nbytes for array in kept_arrays(y.node.backward)]  # the indices, int64, and nothing else
    [32]
    """
    yield from _arrays(function, DEEPEST)


def _arrays(value: Any, depth: int) -> Iterator[Array]:
    if isinstance(value, np.ndarray):
        yield owner_of(value)
    elif isinstance(value, Tensor):
        yield owner_of(value.data)
    elif depth and isinstance(value, list | tuple):
        for part in value:
            yield from _arrays(part, depth - 1)
    elif depth and isinstance(value, dict):
        yield from _arrays(list(value.values()), depth - 1)
    elif depth and callable(value):
        cells = getattr(value, "__closure__", None) or ()
        for cell in cells:
            yield from _arrays(cell.cell_contents, depth - 1)
        yield from _arrays(getattr(value, "__defaults__", None) or (), depth - 1)


def owner_of(array: Array) -> Array:
    """Return the array whose memory this is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
