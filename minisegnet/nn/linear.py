"""The dense layer."""

from minisegnet import functional
from minisegnet.autograd import Tensor
from minisegnet.nn import init
from minisegnet.nn.module import Module, Parameter
from minisegnet.sizes import as_int


class Linear(Module):
    """A dense layer with its weight (out, in) and bias (out,); He's initialisation, bias 0."""

    def __init__(self, in_features: int, out_features: int, *, bias: bool = True) -> None:
        shape = as_int(out_features, "out_features", 1), as_int(in_features, "in_features", 1)
        self.weight = Parameter(init.new_weight(shape, init.he_normal))
        self.bias = Parameter(init.new_constant(shape[:1], 0)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        return functional.linear(x, self.weight, self.bias)
