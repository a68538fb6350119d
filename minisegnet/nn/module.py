"""Module: something with parameters and a forward, made of other modules."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.autograd import Tensor
from minisegnet.ops.dispatch import is_cupy


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
    assignment, which is the order of the forward in every model here.

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

    def __call__(self, *inputs: Any) -> Any:
        """Run ``forward``; arrays become tensors on the way in."""
        return self.forward(
            *(x if isinstance(x, Tensor) or not _is_float_array(x) else Tensor(x) for x in inputs)
        )

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

    def _named_tensors(self, kind: type[Tensor]) -> Iterator[tuple[str, Any]]:
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, kind):
                    yield (f"{prefix}.{name}" if prefix else name), value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield names and parameters, in forward order."""
        return self._named_tensors(Parameter)

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Yield names and buffers, in forward order."""
        return self._named_tensors(Buffer)

    def parameters(self) -> Iterator[Parameter]:
        """Yield the parameters, in forward order."""
        for _, parameter in self.named_parameters():
            yield parameter

    def parameter_count(self) -> int:
        """Count the numbers that are learned."""
        return sum(parameter.data.size for parameter in self.parameters())

    # Modes

    def train(self, mode: bool = True) -> "Module":
        """Switch this and all modules below to training (batch statistics, dropout), or out of it."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> "Module":
        """Switch to evaluation: running statistics, no dropout."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    # State

    def state_dict(self) -> dict[str, Array]:
        """Copy all parameters and buffers into a dict by name, with PyTorch's names and in its order."""
        state = {}
        for prefix, module in self.named_modules():
            for kind in (Parameter, Buffer):
                for name, value in vars(module).items():
                    if isinstance(value, kind):
                        state[f"{prefix}.{name}" if prefix else name] = value.data.copy()
        return state

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
        own = dict([*self.named_parameters(), *self.named_buffers()])
        given = {name: a for name, a in state.items() if not name.endswith("num_batches_tracked")}
        problems = []
        if strict:
            problems += [f"missing: {name} {own[name].shape}" for name in own if name not in given]
            for name in given:
                if name not in own:
                    near = get_close_matches(name, own, n=1)
                    problems.append(f"unknown: {name}" + (f" (did you mean {near[0]}?)" if near else ""))
        for name, a in given.items():
            if name in own and tuple(a.shape) != own[name].shape:
                problems.append(f"wrong shape: {name} is {tuple(a.shape)}, expected {own[name].shape}")
            elif name in own and a.dtype.kind != "f":
                problems.append(f"wrong dtype: {name} is {a.dtype}, expected floating point")
        if problems:
            shown = "\n  ".join(problems[:10]) + (
                f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
            )
            raise ValueError(f"the state does not fit {type(self).__name__}; nothing was changed\n  {shown}")
        for name, a in given.items():
            if name in own:
                own[name].data = a.astype(own[name].dtype, order="C", copy=True)


def _is_float_array(value: Any) -> bool:
    return (isinstance(value, np.ndarray) or is_cupy(value)) and value.dtype.kind == "f"
