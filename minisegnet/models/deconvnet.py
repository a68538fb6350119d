"""DeconvNet: down to a waist of one point, and the same way back up with unpooling and transposed convolutions."""

from collections.abc import Sequence

from minisegnet import nn
from minisegnet.autograd import Tensor
from minisegnet.models.checks import check_pictures
from minisegnet.models.geometry import layers_of
from minisegnet.sizes import (
    IntOrPair,
    Layer,
    Pair,
    as_int,
    as_pair,
    conv2d_size,
    conv_transpose2d_size,
    pool2d_size,
)


class DeconvNet(nn.Module):
    """DeconvNet, small or the paper's.

    The encoder is that of SegNet, but it goes on to a *waist*: VGG16's dense layers kept as convolutions. ``fc6`` is
    as large as the map it meets, so that at the paper's size the whole picture becomes one point of 4096 channels.
    A transposed convolution (전치 합성곱) of the same size opens it again; from there on every step of the encoder is
    undone: unpooling with its indices, and transposed convolutions::

        224  conv, conv        --pool1-- indices ------- unpool1 --  conv_transpose x 2 -- scores 1x1
        112  conv, conv        --pool2-- indices ------- unpool2 --  conv_transpose x 2
         56  conv, conv, conv  --pool3-- indices ------- unpool3 --  conv_transpose x 3
         28  conv, conv, conv  --pool4-- indices ------- unpool4 --  conv_transpose x 3
         14  conv, conv, conv  --pool5-- indices ------- unpool5 --  conv_transpose x 3
          7                    fc6 7x7               fc6 transposed 7x7
          1                       fc7 1x1 -----------------^

    (Each layer but the last is followed by BatchNorm and ReLU.)

    The waist's kernel has no padding: it takes ``waist - 1`` rows and columns away, and its transposed twin
    gives them back. So any input fits that leaves at least ``waist`` pixels after the poolings; on a larger one
    the waist is a map of more than one point. Unpooling is told the size from before the pooling, so that odd sizes
    come back too. The output has the input's size.

    Faithful: the waist, the shared indices, BatchNorm after each layer, transposed convolutions in the decoder. The
    paper's is ``width=64, convolutions=(2, 2, 3, 3, 3), waist=7, waist_width=4096``, for inputs of 224 x 224.
    Simplified: layers have no bias where BatchNorm follows, which would take it away again. Not here: the
    object proposals whose score maps the paper merges, its two training stages, its ensemble with FCN.

    BatchNorm wants many values a channel, and a narrow waist has few. At one point and with one picture, training
    raises: one value has no variance. With a handful, evaluation differs from training, because the running
    variance is the unbiased one: M / (M - 1) times what training divided by. So the small one's waist is wide (8 x 8 to
    6 x 6 for an input of 64 x 64); narrower ones want larger batches.

    H. Noh, S. Hong and B. Han, "Learning deconvolution network for semantic segmentation" (2015), section 3.

    Parameters
    ----------
    in_channels, classes
        Channels of the pictures, and number of score maps.
    width
        Channels of the first level. Each level has twice as many as the one above, up to 8 times ``width``.
    convolutions
        How many convolutions each level has, on the way down as on the way up; one number for each level.
    waist
        Size of the kernel of fc6 and of its transposed twin.
    waist_width
        Channels of fc6 and fc7; None: as many as the last level.
    norm
        "batch", or None for no normalisation (the layers then have a bias).

    Examples
    --------
    >>> import numpy as np
    >>> model = DeconvNet(3, 2, width=2)
    >>> model(np.zeros((1, 3, 67, 64), np.float32)).shape
    (1, 2, 67, 64)
    >>> model.level_sizes(64)
    [(64, 64), (32, 32), (16, 16), (8, 8), (6, 6), (8, 8), (16, 16), (32, 32), (64, 64)]
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        width: int = 16,
        convolutions: Sequence[int] = (2, 2, 2),
        waist: int = 3,
        waist_width: int | None = None,
        norm: str | None = "batch",
    ) -> None:
        counts = [as_int(count, "convolutions", 1) for count in convolutions]
        if not counts:
            raise ValueError("convolutions is empty; expected one number for each level, such as (2, 2, 2)")
        widths = [width * min(2**level, 8) for level in range(len(counts))]
        above = [width, *widths]  # the level above the first one is the head's
        self.in_channels, self.classes, self.width = in_channels, classes, width
        self.waist = as_int(waist, "waist", 1)
        waist_width = widths[-1] if waist_width is None else as_int(waist_width, "waist_width", 1)

        self.encoder = nn.ModuleList()
        for level, count in enumerate(counts):
            before = above[level] if level else in_channels
            self.encoder.append(_level(nn.Conv2d, [before] + [widths[level]] * count, norm))
        self.pool = nn.MaxPool2d(2, return_indices=True)

        self.fc6 = nn.Sequential(*_unit(nn.Conv2d, widths[-1], waist_width, self.waist, 0, norm))
        self.fc7 = nn.Sequential(*_unit(nn.Conv2d, waist_width, waist_width, 1, 0, norm))
        self.fc6_transposed = nn.Sequential(
            *_unit(nn.ConvTranspose2d, waist_width, widths[-1], self.waist, 0, norm)
        )

        self.unpool = nn.MaxUnpool2d()
        self.decoder = nn.ModuleList()
        for level, count in reversed(list(enumerate(counts))):
            self.decoder.append(_level(nn.ConvTranspose2d, [widths[level]] * count + [above[level]], norm))
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to scores (N, classes, H, W)."""
        check_pictures(x, self.in_channels)
        self.output_size(x.shape[2:])  # refuses what is too small
        remembered = []
        for level in self.encoder:
            x = level(x)
            size = x.shape[2:]
            x, indices = self.pool(x)  # (N, c, H // 2, W // 2)
            remembered.append((indices, size))
        x = self.fc6(x)  # (N, waist_width, H - waist + 1, W - waist + 1)
        x = self.fc7(x)
        x = self.fc6_transposed(x)  # (N, c, H, W)
        for level in self.decoder:
            indices, size = remembered.pop()  # the last pooling is undone first
            x = self.unpool(x, indices, size)  # (N, c, H, W)
            x = level(x)
        scores: Tensor = self.head(x)  # (N, classes, H, W)
        return scores

    def output_size(self, size: IntOrPair) -> Pair:
        """Size of the scores: that of the input."""
        return self.level_sizes(size)[-1]

    def level_sizes(self, size: IntOrPair) -> list[Pair]:
        """Sizes of the maps on the way: the input, after each pooling, the waist, and all the way back."""
        size = as_pair(size, "size", 1)
        levels = len(self.encoder)
        smallest = self.waist * 2**levels
        if min(size) < smallest:
            raise ValueError(
                f"the input is {size[0]} x {size[1]}, too small for {levels} poolings and a waist of "
                f"{self.waist} x {self.waist}; every size from {smallest} x {smallest} up fits, odd ones too"
            )
        down = [size]
        for _ in self.encoder:
            down.append(pool2d_size(down[-1], 2))
        narrow = conv2d_size(down[-1], self.waist)
        opened = conv_transpose2d_size(narrow, self.waist)
        return [*down, narrow, opened, *reversed(down[:-1])]  # unpooling restores the sizes from before

    def layers(self) -> list[Layer]:
        """List the layers, down and up again, for the functions of ``sizes``; they hold where poolings come out even.

        Unpooling counts as a transposed layer as large as the pooling's window. Which of the window's places gets the
        value is for the index to say, and all values of the window have a say in the index: so whatever stands at a
        place of the unpooled map, a 0 too, depends on the whole window.
        """
        layers: list[Layer] = []
        for level in self.encoder:
            layers += layers_of(level, self.pool)
        layers += layers_of(self.fc6, self.fc7, self.fc6_transposed)
        for level in self.decoder:
            layers += [Layer(2, stride=2, transposed=True), *layers_of(level)]
        return [*layers, *layers_of(self.head)]


# ---------------------------------------------------------------------------------------------------------
# The parts

Convolution = type[nn.Conv2d] | type[nn.ConvTranspose2d]


def _unit(
    layer: Convolution, before: int, after: int, kernel_size: int, padding: int, norm: str | None
) -> list[nn.Module]:
    """Make one layer with what follows it."""
    if norm not in ("batch", None):
        raise ValueError(f"norm is {norm!r}; expected 'batch' or None")
    unit: list[nn.Module] = [layer(before, after, kernel_size, padding=padding, bias=norm is None)]
    if norm == "batch":
        unit.append(nn.BatchNorm2d(after))
    return [*unit, nn.ReLU()]


def _level(layer: Convolution, channels: Sequence[int], norm: str | None) -> nn.Sequential:
    """Make a chain of 3x3 layers from ``channels[0]`` to ``channels[1]`` and so on; sizes stay as they are."""
    units = [_unit(layer, channels[i], channels[i + 1], 3, 1, norm) for i in range(len(channels) - 1)]
    return nn.Sequential(*(module for unit in units for module in unit))
