"""Module: something with parameters and a forward, made of other modules."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from minisegnet.arrays import Array
from minisegnet.autograd import Tensor
from minisegnet.ops.dispatch import is_cupy, to_backend
from minisegnet.words import nearest

SHOWN = 10  # so many problems of a state that doesn't fit are listed


class Parameter(Tensor):
    """A tensor that is learned."""

    def __init__(self, data: Array) -> None:
        super().__init__(data, requires_grad=True)


class Buffer(Tensor):
    """A tensor that belongs to the model's state but isn't learned, such as a running mean."""


class Module:
    """Base of all layers and models.

    Assign parameters, buffers and other modules to attributes in ``__init__``, write a ``forward``, and call the
    module like a function. Names follow the attributes: ``encoder.0.weight``. Their order is the order of
    assignment, which is the order of the forward in every model here. Modules in a plain Python list are not
    found: put them into a ``ModuleList``.

    Examples
    --------
    >>> class Scale(Module):
    ...     def __init__(self):
    ...         self.factor = Parameter(np.array([2.0]))
    ...
    ...     def forward(self, x):
    ...         return x + self.factor
    >>> scale = Scale()
    >>> scale(np.array([1.0]))
    Tensor(array([3.]), requires_grad=True)
    >>> [name for name, _ in scale.named_parameters()]
    ['factor']
    """

    training = True

    def forward(self, *inputs: Any) -> Any:
        """Compute the output; every module writes its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward; write one")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Run ``forward``; arrays of floats become tensors on the way in."""
        return self.forward(*(Tensor(x) if _is_float_array(x) else x for x in inputs), **options)

    # What it is made of

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """Yield the modules that are attributes of this one, in the order of assignment."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """Yield this module (under the name prefix) and all below it, depth first."""
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def _named_tensors(self) -> Iterator[tuple[str, Parameter | Buffer]]:
        """Yield every parameter and buffer, module by module; one that is shared comes under all its names."""
        for prefix, module in self.named_modules():
            for kind in (Parameter, Buffer):
                for name, value in vars(module).items():
                    if isinstance(value, kind):
                        yield (f"{prefix}.{name}" if prefix else name), value

    def _first_names(self, kind: type[Tensor]) -> Iterator[tuple[str, Any]]:
        """Yield each parameter or buffer once, so that an optimiser doesn't step twice on one that is shared."""
        seen: set[int] = set()
        for name, value in self._named_tensors():
            if isinstance(value, kind) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield names and parameters, in forward order; one that is shared comes once, under its first name."""
        return self._first_names(Parameter)

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Yield names and buffers, in forward order; one that is shared comes once, under its first name."""
        return self._first_names(Buffer)

    def parameters(self) -> Iterator[Parameter]:
        """Yield the parameters, in forward order."""
        for _, parameter in self.named_parameters():
            yield parameter

    def parameter_count(self) -> int:
        """Count the numbers that are learned."""
        return sum(parameter.data.size for parameter in self.parameters())

    # Modes

    def train(self, mode: bool = True) -> Self:
        """Switch this and all modules below to training (batch statistics, dropout), or out of it."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch to evaluation: running statistics, no dropout."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    # State

    def state_dict(self) -> dict[str, Array]:
        """Copy all parameters and buffers into a dict by name, with PyTorch's names and in its order."""
        return {name: value.data.copy() for name, value in self._named_tensors()}

    def load_state_dict(self, state: Mapping[str, Array], *, strict: bool = True) -> None:
        """Take over parameters and buffers from a dict of arrays.

        Everything is checked before anything is changed. PyTorch's ``num_batches_tracked`` is ignored.

        Parameters
        ----------
        state
            Names and arrays, for example from ``state_dict()`` or from PyTorch. Floats are converted to this
            model's dtype.
        strict
            Whether missing and unknown names are errors. Wrong shapes always are.
        """
        own = dict(self._named_tensors())
        given = {name: a for name, a in state.items() if name.rpartition(".")[2] != "num_batches_tracked"}
        problems = _misfits(own, given, strict)
        if problems:
            more = len(problems) - SHOWN
            shown = problems[:SHOWN] + ([f"and {more} more"] if more > 0 else [])
            raise ValueError(
                "\n  ".join([f"the state does not fit {type(self).__name__}; nothing was changed", *shown])
            )
        for name, a in given.items():
            if name in own:
                own[name].data = to_backend(a.astype(own[name].dtype, order="C", copy=True))


def _misfits(own: Mapping[str, Tensor], given: Mapping[str, Array], strict: bool) -> list[str]:
    """Say what keeps the given arrays from going into a model's own tensors, one line each."""
    problems = []
    if strict:
        unknown = [name for name in given if name not in own]
        problems += [f"unknown: {name}{_did_you_mean(name, own)}" for name in unknown]
        problems += [f"missing: {name} {own[name].shape}" for name in own if name not in given]
    for name, a in given.items():
        if name not in own:
            continue
        if not (isinstance(a, np.ndarray) or is_cupy(a)):
            problems.append(
                f"wrong type: {name} is a {type(a).__name__}, expected an array (tensor.numpy()?)"
            )
        elif tuple(a.shape) != own[name].shape:
            problems.append(f"wrong shape: {name} is {tuple(a.shape)}, expected {own[name].shape}")
        elif a.dtype.kind != "f":
            problems.append(f"wrong dtype: {name} is {a.dtype}, expected floating point")
    return problems


def _did_you_mean(name: str, known: Mapping[str, Tensor]) -> str:
    near = nearest(name, known)
    return f" (did you mean {near}?)" if near else ""


def _is_float_array(value: Any) -> bool:
    return (isinstance(value, np.ndarray) or is_cupy(value)) and value.dtype.kind == "f"
