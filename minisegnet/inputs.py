"""What differentiable functions take: Tensors and arrays, mixed."""

from typing import TypeAlias, overload

from minisegnet.arrays import Array
from minisegnet.autograd import Tensor

Input: TypeAlias = Tensor | Array


@overload
def array_of(value: Input) -> Array: ...
@overload
def array_of(value: Input | None) -> Array | None: ...
def array_of(value: Input | None) -> Array | None:
    """Return the array of a Tensor; an array (or None) as it is."""
    return value.data if isinstance(value, Tensor) else value


@overload
def constant_of(value: Input, name: str) -> Array: ...
@overload
def constant_of(value: Input | None, name: str) -> Array | None: ...
def constant_of(value: Input | None, name: str) -> Array | None:
    """Return the array of an argument that no gradient flows to."""
    if requires_grad(value):
        raise ValueError(
            f"{name} requires a gradient, but the function is not differentiable with respect to it; "
            f"pass {name}.detach()"
        )
    return array_of(value)


def requires_grad(value: Input | None) -> bool:
    """Say whether a gradient shall flow to this argument."""
    return isinstance(value, Tensor) and value.requires_grad
