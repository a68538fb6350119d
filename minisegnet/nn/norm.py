"""Batch normalisation."""

from collections.abc import Callable
from typing import Any

from minisegnet import functional
from minisegnet.autograd import Tensor
from minisegnet.nn import init
from minisegnet.nn.module import Buffer, Module, Parameter
from minisegnet.sizes import as_int


class BatchNorm2d(Module):
    """Batch normalisation with scale ``weight``, shift ``bias`` and running statistics.

    Each forward in training moves the running statistics by ``momentum`` of the way towards those of the batch;
    evaluation uses them.

    >>> import numpy as np
    >>> norm = BatchNorm2d(1)
    >>> y = norm(np.array([[[[1.0, 3.0]]]], np.float32))  # mean 2, variance 1; unbiased 2
    >>> norm.running_mean.data.round(2), norm.running_var.data.round(2)  # 0.9 * 0 + 0.1 * 2, 0.9 * 1 + 0.1 * 2
    (array([0.2], dtype=float32), array([1.1], dtype=float32))
    """

    def __init__(self, channels: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        channels = as_int(channels, "channels", 1)
        self.weight = Parameter(init.new_constant((channels,), 1))
        self.bias = Parameter(init.new_constant((channels,), 0))
        self.running_mean = Buffer(init.new_constant((channels,), 0))
        self.running_var = Buffer(init.new_constant((channels,), 1))
        self.eps, self.momentum = eps, momentum

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays; in training the running statistics move."""
        return self._run(functional.batch_norm, x)

    def forward_relu(self, x: Tensor) -> Tensor:
        """Do what the layer and a ReLU behind it do, in one op."""
        return self._run(functional.batch_norm_relu, x)

    def _run(self, op: Callable[..., Any], x: Tensor) -> Tensor:
        y: Tensor
        y, _, _, running_mean, running_var = op(
            x,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
        )
        if self.training and running_mean is not None and running_var is not None:
            self.running_mean.data, self.running_var.data = running_mean, running_var
        return y
