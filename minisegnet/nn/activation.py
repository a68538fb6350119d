"""Activation functions as modules, and the module that does nothing."""

from minisegnet import functional
from minisegnet.autograd import Tensor
from minisegnet.nn.module import Module


class ReLU(Module):
    """``max(x, 0)``."""

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        return functional.relu(x)


class LeakyReLU(Module):
    """``x if x > 0 else slope * x``."""

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        return functional.leaky_relu(x, self.slope)


class Sigmoid(Module):
    """``1 / (1 + exp(-x))``."""

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        return functional.sigmoid(x)


class Identity(Module):
    """Return the input."""

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        return x
