"""The layers: each holds its parameters and makes one call into ``functional``."""

from collections.abc import Iterator
from typing import Any

from minisegnet import functional
from minisegnet.arrays import Array
from minisegnet.autograd import Tensor
from minisegnet.nn import init
from minisegnet.nn.module import Buffer, Module, Parameter
from minisegnet.sizes import IntOrPair, as_int, as_pair

# ---------------------------------------------------------------------------------------------------------
# Convolutions and dense layer


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
        kernel_size = as_pair(kernel_size, "kernel_size", 1)
        _divides(groups, in_channels, out_channels)
        self.weight = Parameter(
            init.new_weight((out_channels, in_channels // groups, *kernel_size), init.he_normal)
        )
        self.bias = Parameter(init.new_constant((out_channels,), 0)) if bias else None
        self.stride, self.padding = as_pair(stride, "stride", 1), as_pair(padding, "padding", 0)
        self.dilation, self.groups = as_pair(dilation, "dilation", 1), groups

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, K, OH, OW)."""
        return functional.conv2d(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )


class ConvTranspose2d(Module):
    """A transposed convolution with its weight (C, K/groups, KH, KW) and bias (K,)."""

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
        KH, KW = as_pair(kernel_size, "kernel_size", 1)
        self.stride, self.padding = as_pair(stride, "stride", 1), as_pair(padding, "padding", 0)
        self.output_padding = as_pair(output_padding, "output_padding", 0)
        self.dilation, self.groups = as_pair(dilation, "dilation", 1), groups
        _divides(groups, in_channels, out_channels)
        # An output pixel is reached by only 1 / stride of the taps on each axis: that is its fan in.
        fan_in = max(1, in_channels // groups * KH * KW // (self.stride[0] * self.stride[1]))
        self.weight = Parameter(
            init.new_weight(
                (in_channels, out_channels // groups, KH, KW),
                lambda shape, generator: init.he_normal(shape, generator, fan_in=fan_in),
            )
        )
        self.bias = Parameter(init.new_constant((out_channels,), 0)) if bias else None

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


class Linear(Module):
    """A dense layer with its weight (out, in) and bias (out,)."""

    def __init__(self, in_features: int, out_features: int, *, bias: bool = True) -> None:
        self.weight = Parameter(init.new_weight((out_features, in_features), init.he_normal))
        self.bias = Parameter(init.new_constant((out_features,), 0)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        return functional.linear(x, self.weight, self.bias)


def _divides(groups: int, in_channels: int, out_channels: int) -> None:
    groups = as_int(groups, "groups", 1)
    in_channels, out_channels = as_int(in_channels, "in_channels", 1), as_int(out_channels, "out_channels", 1)
    if in_channels % groups or out_channels % groups:
        raise ValueError(
            f"groups is {groups}, but it must divide the {in_channels} input channels and the {out_channels} "
            "output channels"
        )


# ---------------------------------------------------------------------------------------------------------
# Normalisation and dropout


class BatchNorm2d(Module):
    """Batch normalisation with scale ``weight``, shift ``bias`` and running statistics."""

    def __init__(self, channels: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        channels = as_int(channels, "channels", 1)
        self.weight, self.bias = (
            Parameter(init.new_constant((channels,), 1)),
            Parameter(init.new_constant((channels,), 0)),
        )
        self.running_mean = Buffer(init.new_constant((channels,), 0))
        self.running_var = Buffer(init.new_constant((channels,), 1))
        self.eps, self.momentum = eps, momentum

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays; in training the running statistics move."""
        y, _, _, running_mean, running_var = functional.batch_norm(
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


class Dropout(Module):
    """Dropout in training, nothing in evaluation.

    The random bits are a function of ``(seed, step, layer)``. Seed and layer number are given when the model is
    created; the step moves on with every forward in training, and a training loop may set it
    (``set_step``), so that a resumed run drops what it would have dropped.
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"p is {p}; expected a probability from 0 to 1")
        settings = init.creation()
        self.p, self.seed, self.layer, self.step = p, settings.seed, settings.dropouts, 0
        settings.dropouts += 1

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        if not self.training or self.p == 0:
            return x
        y, _ = functional.dropout(x, self.p, key=(self.seed, self.step, self.layer))
        self.step += 1
        return y


def set_step(model: Module, step: int) -> None:
    """Set the step of every dropout in a model."""
    for _, module in model.named_modules():
        if isinstance(module, Dropout):
            module.step = as_int(step, "step", 0)


# ---------------------------------------------------------------------------------------------------------
# Pooling and resizing


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
    """Put values back to where their maxima were: ``unpool(x, indices, output_size)``."""

    def forward(self, x: Tensor, indices: Array, output_size: IntOrPair) -> Tensor:
        """(N, C, H, W) to (N, C, *output_size)."""
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


class Upsample(Module):
    """Make maps ``scale_factor`` times larger, or of a given ``size``, by bilinear or nearest interpolation."""

    def __init__(
        self,
        *,
        scale_factor: IntOrPair | None = None,
        size: IntOrPair | None = None,
        mode: str = "bilinear",
        align_corners: bool = False,
    ) -> None:
        if (scale_factor is None) == (size is None):
            raise ValueError("Upsample needs scale_factor or size, and not both")
        if mode not in ("bilinear", "nearest"):
            raise ValueError(f"mode is {mode!r}; expected 'bilinear' or 'nearest'")
        self.scale_factor = None if scale_factor is None else as_pair(scale_factor, "scale_factor", 1)
        self.size = None if size is None else as_pair(size, "size", 1)
        self.mode, self.align_corners = mode, align_corners

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, OH, OW)."""
        size = self.size
        if size is None:
            assert self.scale_factor is not None
            size = x.shape[2] * self.scale_factor[0], x.shape[3] * self.scale_factor[1]
        if self.mode == "nearest":
            return functional.resize_nearest(x, size)
        return functional.resize_bilinear(x, size, align_corners=self.align_corners)


# ---------------------------------------------------------------------------------------------------------
# Activations


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


# ---------------------------------------------------------------------------------------------------------
# Containers


class Identity(Module):
    """Return the input."""

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        return x


class ModuleList(Module):
    """A list of modules, which are named by their numbers."""

    def __init__(self, modules: Any = ()) -> None:
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> None:
        """Add a module at the end."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__} takes modules; got {type(module).__name__}")
        setattr(self, str(len(self)), module)

    def __len__(self) -> int:
        return sum(1 for _ in self.named_children())

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self.named_children())

    def __getitem__(self, index: int) -> Module:
        return list(self)[index]


class Sequential(ModuleList):
    """Modules that run one after the other."""

    def __init__(self, *modules: Module) -> None:
        super().__init__(modules)

    def forward(self, x: Any) -> Any:
        """Feed each module with what the one before it returned."""
        for module in self:
            x = module(x)
        return x
