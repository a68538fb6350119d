"""Write down what a model calls: the ops with their arguments and results, so that it can be rebuilt elsewhere.

All ops find their kernels by name in the backend that is in use. So a backend that writes down each call before it
passes the call on sees everything that is computed, whatever the model's Python looks like. Functions that only move
numbers have no kernel; those that the models need are marked with :func:`traced`.

>>> import numpy as np
>>> from minisegnet import functional, use_backend
>>> from minisegnet.backends import numpy as kernels
>>> recorder = Recorder(kernels)
>>> with use_backend(recorder):
...     y = functional.relu(functional.crop2d(np.ones((1, 1, 4, 4)), 2))
>>> [call.op for call in recorder.calls]
['crop2d', 'relu']
>>> recorder.calls[0].arguments["size"], recorder.calls[1].results[0] is y.data
((2, 2), True)
"""

import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple, ParamSpec, TypeVar

from minisegnet.autograd import Tensor
from minisegnet.ops.dispatch import selected_backend

P = ParamSpec("P")
R = TypeVar("R")


class Call(NamedTuple):
    """One call of an op."""

    op: str
    arguments: dict[str, Any]  # by the kernel's names; sizes are pairs, Tensors are their arrays
    results: tuple[Any, ...]  # arrays; the very objects that later calls are given


class Recorder(ModuleType):
    """A backend for ``use_backend`` that writes down each call and lets other kernels do the work.

    Parameters
    ----------
    *kernels
        Modules of kernels; the first that has the op runs it. The last one has all ops, and knows their arguments by
        name.
    """

    def __init__(self, *kernels: ModuleType) -> None:
        super().__init__("recorder")
        self.kernels = kernels
        self.calls: list[Call] = []

    def __getattr__(self, op: str) -> Callable[..., Any]:
        if op.startswith("__"):  # what Python asks of any module
            raise AttributeError(op)
        named = getattr(self.kernels[-1], op)  # an op that no kernel knows: AttributeError, as for any module
        run = next(getattr(module, op) for module in self.kernels if hasattr(module, op))

        def call(*arguments: Any, **options: Any) -> Any:
            result = run(*arguments, **options)
            self.note(named, arguments, options, result)
            return result

        return call

    def note(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any], result: Any
    ) -> None:
        """Write down a call."""
        bound = inspect.signature(function).bind(*arguments, **options)
        bound.apply_defaults()
        plain = {name: _array(value) for name, value in bound.arguments.items()}
        results = result if isinstance(result, tuple) else (result,)
        self.calls.append(Call(function.__name__, plain, tuple(map(_array, results))))


def traced(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function that moves numbers without a kernel, so that a recorder sees it like an op."""

    @functools.wraps(function)
    def call(*arguments: P.args, **options: P.kwargs) -> R:
        result = function(*arguments, **options)
        backend = selected_backend()
        if isinstance(backend, Recorder):
            backend.note(function, arguments, options, result)
        return result

    return call


def _array(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else value
