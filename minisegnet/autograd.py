"""The tape: a Tensor remembers how it was made, and ``backward`` walks that way back.

Every differentiable function computes its result and records one ``Node``: where each input came from, and
a function that turns the gradient of the result (dy) into the gradients of the inputs. ``backward`` starts
at the loss with dy = 1 and lets the youngest node that waits have its turn. A node is younger than all that
it was made from, so that when its turn comes, every gradient that flows into it has already arrived.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from heapq import heappop, heappush
from itertools import count
from numbers import Real
from typing import Any, TypeAlias

import numpy as np

from minisegnet import exchange, ops
from minisegnet.arrays import Array
from minisegnet.buffers import fresh_like
from minisegnet.ops.dispatch import is_cupy

Backward: TypeAlias = Callable[[Array], Array | Sequence[Array | None] | None]

_recording: ContextVar[bool] = ContextVar("recording", default=True)
_creation_numbers = count()


class Tensor:
    """An array that can ask for its gradient.

    Parameters
    ----------
    data
        A NumPy or CuPy array. It is wrapped, not copied.
    requires_grad
        Whether ``backward`` shall fill ``.grad``, an array of the same shape and dtype.

    Examples
    --------
    >>> x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    >>> y = 3 * x + x                  # x is used twice: its gradients add up
    >>> y.backward(np.array([1.0, 10.0]))
    >>> x.grad
    array([ 4., 40.])
    """

    # NumPy leaves `array + tensor` and `np.float64(2) * tensor` to the methods below.
    __array_ufunc__ = None

    def __init__(self, data: Array, requires_grad: bool = False) -> None:
        self.data = _as_array(data)
        self.grad: Array | None = None
        self.requires_grad = requires_grad
        self.node: Node | None = None  # None: a leaf, made by the user and by no recorded function
        if requires_grad and self.dtype.kind != "f":
            raise TypeError(
                f"a tensor of {self.dtype} cannot require a gradient; expected float32 or float64"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self.data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        return self.data.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.data.ndim

    def item(self) -> Any:
        """Return the only element as a Python number. On a GPU, this waits for the device."""
        return ops.to_numpy(self.data).item()

    def detach(self) -> "Tensor":
        """Return a tensor with the same array and no past: gradients stop here."""
        return Tensor(self.data)

    @classmethod
    def from_dlpack(cls, source: Any) -> "Tensor":
        """Wrap an array of another library, such as a PyTorch tensor, without copying it."""
        return Tensor(exchange.received(source))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return exchange.as_numpy(self.data, self.requires_grad, dtype, copy)

    def __dlpack__(self, **request: Any) -> Any:
        return exchange.capsule(self.data, self.requires_grad, **request)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.data.__dlpack_device__()

    def __repr__(self) -> str:
        text = repr(self.data).replace("\n", "\n" + " " * len("Tensor("))
        return f"Tensor({text}, requires_grad=True)" if self.requires_grad else f"Tensor({text})"

    def __add__(self, other: "Tensor | Array") -> "Tensor":
        if not (isinstance(other, Tensor) or _is_array(other)):
            return NotImplemented
        other_data = other.data if isinstance(other, Tensor) else other
        return record(ops.add(self.data, other_data), (self, other), ops.add_backward)

    def __radd__(self, other: Array) -> "Tensor":
        return self + other

    def __mul__(self, scalar: float) -> "Tensor":
        if not isinstance(scalar, Real):
            return NotImplemented
        factor = float(scalar)  # np.float64 would turn float32 arrays into float64
        return record(self.data * factor, (self,), lambda dy: dy * factor)

    __rmul__ = __mul__

    def backward(self, grad: Array | None = None) -> None:
        """Add the gradient of this tensor with respect to every leaf to that leaf's ``.grad``.

        Parameters
        ----------
        grad
            The gradient to start with, of this tensor's shape and dtype. May be left out where the
            tensor has one element: then it is 1.
        """
        if not self.requires_grad:
            raise RuntimeError(
                "this tensor does not require a gradient: no leaf that it was made from has "
                "requires_grad=True, or it was made under no_grad()"
            )
        if grad is None:
            if self.data.size != 1:
                raise ValueError(
                    f"backward() without a gradient is for one element, this tensor has shape {self.shape}; "
                    "reduce it to a loss first, or pass the gradient of the loss with respect to it"
                )
            grad = np.ones_like(self.data)

        gradients: dict[Node | Tensor, Array] = {}
        waiting: list[tuple[int, Node]] = []  # a heap: the youngest node first

        def arrive(source: Node | Tensor, gradient: Array) -> None:
            if gradient.shape != source.shape or gradient.dtype != source.dtype:
                raise ValueError(
                    f"a gradient of shape {gradient.shape}, {gradient.dtype} arrived for a tensor of shape "
                    f"{source.shape}, {source.dtype}; expected the tensor's own shape and dtype"
                )
            if source in gradients:  # paths join. A new array, never +=: somebody else may hold the old one
                gradients[source] = _as_array(gradients[source] + gradient)
                return
            gradients[source] = gradient
            if isinstance(source, Node):
                heappush(waiting, (-source.number, source))

        arrive(self.node or self, _as_array(grad))
        while waiting:
            _, node = heappop(waiting)
            for source, gradient in node.input_gradients(gradients.pop(node)):
                if source is not None and gradient is not None:
                    arrive(source, _as_array(gradient))

        # Only leaves are left. They get their gradients at the end, so that an error above changes none;
        # and as copies, because a backward function may hand the same array to two of them.
        for leaf, gradient in gradients.items():
            assert isinstance(leaf, Tensor)
            leaf.grad = _copy(gradient) if leaf.grad is None else _as_array(leaf.grad + gradient)


class Node:
    """One recorded step.

    Of an input that another node has made it holds that node, not the tensor. So it is the backward function
    alone that keeps arrays in memory.
    """

    def __init__(self, data: Array, inputs: "list[Node | Tensor | None]", backward: Backward) -> None:
        self.shape, self.dtype = data.shape, data.dtype
        self.inputs = inputs  # for each: the node that made it, or the leaf, or None (no gradient wanted)
        self.backward: Backward | None = backward
        self.number = next(_creation_numbers)

    def input_gradients(self, dy: Array) -> "list[tuple[Node | Tensor | None, Array | None]]":
        """Pair each input with its gradient, and let go of everything that was kept for it."""
        if self.backward is None:
            raise RuntimeError(
                "backward() came a second time to a part of the graph that the first time has freed; run the "
                "forward pass again, or add the losses up and call backward() once"
            )
        returned = self.backward(dy)
        gradients: Sequence[Any] = returned if isinstance(returned, tuple | list) else [returned]
        if len(gradients) != len(self.inputs):
            raise ValueError(
                f"a backward function returned {len(gradients)} gradients for {len(self.inputs)} inputs; "
                "expected one for each, None where there is nothing to say"
            )
        inputs = self.inputs
        self.inputs, self.backward = [], None
        return list(zip(inputs, gradients, strict=True))


def record(data: Array, inputs: Sequence[Tensor | Array | None], backward: Backward) -> Tensor:
    """Make the result of a differentiable function, and remember how to go back.

    Nothing is remembered under ``no_grad()`` or where no input requires a gradient.

    Parameters
    ----------
    data
        The result.
    inputs
        What it was computed from. Arrays and None may stand among the tensors; they get no gradient.
    backward
        Takes dy, the gradient of the result, and returns one gradient (an array or None) for each input; for
        one input the array alone will do. It must not change dy. What it refers to stays in memory until
        it is used.

    Examples
    --------
    A function of your own:

    >>> def square(x):
    ...     x_data = x.data
    ...     return record(x_data**2, [x], lambda dy: 2 * x_data * dy)
    >>> x = Tensor(np.array(3.0), requires_grad=True)
    >>> square(x).backward()
    >>> x.grad
    array(6.)
    """
    result = Tensor(data)
    sources = [(t.node or t) if isinstance(t, Tensor) and t.requires_grad else None for t in inputs]
    if _recording.get() and any(sources):
        result.requires_grad = True
        result.node = Node(result.data, sources, backward)
    return result


@contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing inside the ``with`` block, or inside a function decorated with ``@no_grad()``.

    No activation is kept for a backward that will not come. Holds for the current thread.

    >>> x = Tensor(np.ones(2), requires_grad=True)
    >>> with no_grad():
    ...     (2 * x).requires_grad
    False
    """
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)


def _is_array(value: object) -> bool:
    return isinstance(value, np.ndarray) or is_cupy(value)


def _copy(array: Array) -> Array:
    if not isinstance(array, np.ndarray):
        return array.copy()
    own = fresh_like(array)
    own[...] = array
    return own


def _as_array(value: Array) -> Array:
    """Return an array as it is and a NumPy number (which sums of 0-d arrays turn into) as a 0-d array."""
    if isinstance(value, np.generic):
        return np.asarray(value)
    if not _is_array(value):
        hint = "its .data" if isinstance(value, Tensor) else "np.asarray(value, dtype=np.float32)"
        raise TypeError(f"expected a NumPy or CuPy array, got {type(value).__name__}; pass {hint}")
    return value
