"""Pooling, and unpooling by indices."""

from typing import Any

from minisegnet import functional
from minisegnet.arrays import Array
from minisegnet.autograd import Tensor
from minisegnet.nn.module import Module
from minisegnet.sizes import IntOrPair, as_pair


class MaxPool2d(Module):
    """Max pooling; with ``return_indices`` it returns ``(y, indices)``."""

    def __init__(
        self,
        kernel_size: IntOrPair,
        *,
        stride: IntOrPair | None = None,
        padding: IntOrPair = 0,
        dilation: IntOrPair = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> None:
        self.kernel_size = as_pair(kernel_size, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else as_pair(stride, "stride", 1)
        self.padding, self.dilation = as_pair(padding, "padding", 0), as_pair(dilation, "dilation", 1)
        self.ceil_mode, self.return_indices = ceil_mode, return_indices

    def forward(self, x: Tensor) -> Any:
        """(N, C, H, W) to (N, C, OH, OW)."""
        y, indices = functional.max_pool2d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            ceil_mode=self.ceil_mode,
        )
        return (y, indices) if self.return_indices else y


class MaxUnpool2d(Module):
    """Put values back to where their maxima were, and 0 elsewhere: ``unpool(x, indices, output_size)``.

    >>> import numpy as np
    >>> y, indices = MaxPool2d(2, return_indices=True)(np.array([[[[1.0, 2.0], [4.0, 3.0]]]]))
    >>> MaxUnpool2d()(10 * y, indices, 2).data[0, 0]
    array([[ 0.,  0.],
           [40.,  0.]])
    """

    def forward(self, x: Tensor, indices: Array, output_size: IntOrPair) -> Tensor:
        """(N, C, H, W) to ``(N, C, *output_size)``."""
        return functional.max_unpool2d(x, indices, output_size)


class AvgPool2d(Module):
    """Average pooling."""

    def __init__(
        self,
        kernel_size: IntOrPair,
        *,
        stride: IntOrPair | None = None,
        padding: IntOrPair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size = as_pair(kernel_size, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else as_pair(stride, "stride", 1)
        self.padding = as_pair(padding, "padding", 0)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, OH, OW)."""
        return functional.avg_pool2d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            ceil_mode=self.ceil_mode,
            count_include_pad=self.count_include_pad,
        )
