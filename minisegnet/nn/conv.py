"""Convolution and transposed convolution."""

from collections.abc import Callable

from minisegnet import functional
from minisegnet.autograd import Tensor
from minisegnet.nn import init
from minisegnet.nn.module import Module, Parameter
from minisegnet.sizes import IntOrPair, as_int, as_pair


class Conv2d(Module):
    """A convolution with its weight (K, C/groups, KH, KW) and bias (K,); He's initialisation, bias 0."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrPair,
        *,
        stride: IntOrPair = 1,
        padding: IntOrPair = 0,
        dilation: IntOrPair = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        C, K, G = _channels(in_channels, out_channels, groups)
        KH, KW = as_pair(kernel_size, "kernel_size", 1)
        self.stride, self.padding = as_pair(stride, "stride", 1), as_pair(padding, "padding", 0)
        self.dilation, self.groups = as_pair(dilation, "dilation", 1), G
        self.weight = Parameter(init.new_weight((K, C // G, KH, KW), init.he_normal))
        self.bias = Parameter(init.new_constant((K,), 0)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, K, OH, OW)."""
        return self._run(functional.conv2d, x)

    def forward_relu(self, x: Tensor) -> Tensor:
        """Do what the layer and a ReLU behind it do, in one op."""
        return self._run(functional.conv2d_relu, x)

    def _run(self, op: Callable[..., Tensor], x: Tensor) -> Tensor:
        return op(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )


class ConvTranspose2d(Module):
    """A transposed convolution with its weight (C, K/groups, KH, KW) and bias (K,); He's initialisation, bias 0."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrPair,
        *,
        stride: IntOrPair = 1,
        padding: IntOrPair = 0,
        output_padding: IntOrPair = 0,
        dilation: IntOrPair = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        C, K, G = _channels(in_channels, out_channels, groups)
        KH, KW = as_pair(kernel_size, "kernel_size", 1)
        self.stride, self.padding = as_pair(stride, "stride", 1), as_pair(padding, "padding", 0)
        self.output_padding = as_pair(output_padding, "output_padding", 0)
        self.dilation, self.groups = as_pair(dilation, "dilation", 1), G
        # An output pixel is reached by only 1 / stride of the taps on each axis: that is its fan in.
        fan_in = max(1, C // G * KH * KW // (self.stride[0] * self.stride[1]))
        self.weight = Parameter(
            init.new_weight(
                (C, K // G, KH, KW),
                lambda shape, generator: init.he_normal(shape, generator, fan_in=fan_in),
            )
        )
        self.bias = Parameter(init.new_constant((K,), 0)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, K, OH, OW)."""
        return functional.conv_transpose2d(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
            dilation=self.dilation,
            groups=self.groups,
        )


def _channels(in_channels: int, out_channels: int, groups: int) -> tuple[int, int, int]:
    """Return C, K and G as Python integers; the groups must divide both kinds of channels."""
    C, K = as_int(in_channels, "in_channels", 1), as_int(out_channels, "out_channels", 1)
    G = as_int(groups, "groups", 1)
    if C % G or K % G:
        raise ValueError(
            f"groups is {G}, but it must divide the {C} input channels and the {K} output channels"
        )
    return C, K, G
