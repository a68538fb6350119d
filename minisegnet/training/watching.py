"""Watch a step from inside: what goes into every layer, what comes out, and the gradients on the way back.

A layer is a module that has no modules in it. Nothing is changed that a step depends on, and afterwards the model is
as it was.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from minisegnet.arrays import Array
from minisegnet.autograd import Tensor, record
from minisegnet.nn.module import Module


class Observer:
    """Is told what happens at each layer; a subclass writes the methods that it needs."""

    def enters(self, call: "Call", inputs: list[Array]) -> None:
        """See the arrays of floats that go into a layer."""

    def leaves(self, call: "Call", inputs: list[Array], y: Array) -> None:
        """See what a layer returns."""

    def gradient_enters(self, call: "Call", dy: Array) -> None:
        """See the gradient of y, which arrives on the way back."""

    def gradient_leaves(self, call: "Call", dx: Array) -> None:
        """See the gradient of an input, which is passed on on the way back."""


class Call:
    """One call of a layer."""

    def __init__(self, layer: "_Watched", number: int) -> None:
        self.layer, self.number = layer, number
        self.name, self.module = layer.name, layer.module

    def __str__(self) -> str:
        call = f", call {self.number}" if self.layer.calls > 1 else ""
        return f"{self.name} ({type(self.module).__name__}{call})"


@contextmanager
def watched(model: Module, observer: Observer) -> Iterator[None]:
    """Tell the observer what happens at each layer of a model inside the ``with`` block.

    Examples
    --------
    >>> import numpy as np
    >>> from minisegnet import nn
    >>> class Sizes(Observer):
    ...     def leaves(self, call, inputs, y):
    ...         print(call, y.shape)
    >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    >>> with watched(model, Sizes()):
    ...     _ = model(np.zeros((1, 1, 4, 4), np.float32))
    0 (Conv2d) (1, 2, 2, 2)
    1 (ReLU) (1, 2, 2, 2)
    """
    with as_it_was(model):
        replace_forwards(model, lambda name, module: _Watched(name or "the model", module, observer))
        yield


def replace_forwards(
    model: Module, replacement: Callable[[str, Module], Callable[..., Any]], *, layers_only: bool = True
) -> None:
    """Put something in the place of the forward of every layer, or of every module; one that is shared comes once."""
    done: set[Module] = set()
    for name, module in model.named_modules():
        if module not in done and not (layers_only and any(module.named_children())):
            done.add(module)
            vars(module)["forward"] = replacement(name, module)


class _Watched:
    """Stands in for a layer's forward."""

    def __init__(self, name: str, module: Module, observer: Observer) -> None:
        self.name, self.module, self.forward = name, module, module.forward
        self.observer, self.calls = observer, 0

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        self.calls += 1
        call = Call(self, self.calls)
        arrays = [a for a in map(_array_of, (*inputs, *options.values())) if a is not None]
        self.observer.enters(call, arrays)
        returned = self.forward(*(self._input(call, x) for x in inputs), **options)
        y, *rest = returned if isinstance(returned, tuple) else (returned,)
        if isinstance(y, Tensor):
            self.observer.leaves(call, arrays, y.data)
            y = _with_look(y, lambda dy: self.observer.gradient_enters(call, dy))
        return (y, *rest) if isinstance(returned, tuple) else y

    def _input(self, call: Call, x: Any) -> Any:
        return (
            _with_look(x, lambda dx: self.observer.gradient_leaves(call, dx)) if isinstance(x, Tensor) else x
        )


def _with_look(x: Tensor, look: Callable[[Array], None]) -> Tensor:
    """Return the same numbers as a tensor that shows its gradient when it comes by."""

    def backward(dy: Array) -> Array:
        look(dy)
        return dy

    return record(x.data, [x], backward)


def _array_of(value: Any) -> Array | None:
    """Return the numbers of an argument of a layer; None where it has none, or has whole numbers."""
    data = value.data if isinstance(value, Tensor) else value
    return data if getattr(getattr(data, "dtype", None), "kind", None) == "f" else None


@contextmanager
def as_it_was(model: Module) -> Iterator[None]:
    """Put everything in a model back: attributes of modules (the step of a dropout), buffers, gradients.

    Not the numbers in its parameters: what is done inside doesn't change those.
    """
    modules = [(module, dict(vars(module))) for _, module in model.named_modules()]
    tensors = [tensor for kind in (model.named_parameters(), model.named_buffers()) for _, tensor in kind]
    gradients = [(tensor, tensor.grad) for tensor in tensors]
    buffers = [(buffer, buffer.data, buffer.data.copy()) for _, buffer in model.named_buffers()]
    try:
        for tensor in tensors:
            tensor.grad = None  # else the new gradients would be added to the old
        yield
    finally:
        for module, attributes in modules:
            vars(module).clear()
            vars(module).update(attributes)
        for tensor, gradient in gradients:
            tensor.grad = gradient
        for buffer, data, copy in buffers:
            if data.tobytes() != copy.tobytes():  # somebody has written into it
                data[...] = copy
            buffer.data = data
