"""VGG: levels of 3x3 convolutions with a 2x2 max pooling after each; the backbone of FCN."""

from collections.abc import Sequence

from minisegnet import nn
from minisegnet.autograd import Tensor
from minisegnet.models.geometry import layers_of
from minisegnet.sizes import IntOrPair, Layer, Pair, as_int, as_pair, pool2d_size

VGG16 = (2, 2, 3, 3, 3)  # convolutions of each level: 13 in all


class VGG(nn.Module):
    """The convolutions of VGG, small or the paper's; no dense layers.

    A backbone (백본) turns a picture into maps that get smaller and richer. Two 3x3 convolutions see 5x5 pixels, three
    see 7x7, with fewer weights than one large kernel and with a ReLU after each::

        x          H      2 conv   w  pool --> maps[0]   H/2
                   H/2    2 conv  2w  pool --> maps[1]   H/4
                   H/4    3 conv  4w  pool --> maps[2]   H/8    pool3
                   H/8    3 conv  8w  pool --> maps[3]   H/16   pool4
                   H/16   3 conv  8w  pool --> maps[4]   H/32   pool5

    Faithful: with ``width=64, norm=None`` these are the 13 convolutions of VGG16 (configuration D), 14,714,688
    parameters for 3 channels. The layers have torchvision's numbers, so that the ``features.*`` of its VGG16
    fit. Pooling keeps a last row or column that has no partner (``ceil_mode``), as the authors' software does.
    Simplified: nothing but the width, and the BatchNorm that ``norm="batch"`` adds (convolutions then have no bias).

    K. Simonyan and A. Zisserman, "Very deep convolutional networks for large-scale image recognition" (2015),
    section 2.

    Parameters
    ----------
    in_channels
        Channels of the pictures.
    width
        Channels of the first level.
    convolutions
        How many convolutions each level has; one number for each level.
    norm
        "batch", or None.

    Examples
    --------
    >>> import numpy as np
    >>> backbone = VGG(3, width=2)
    >>> [maps.shape for maps in backbone(np.zeros((1, 3, 64, 70), np.float32))][2:]
    [(1, 8, 8, 9), (1, 16, 4, 5), (1, 16, 2, 3)]
    >>> backbone.level_sizes((64, 70))
    [(32, 35), (16, 18), (8, 9), (4, 5), (2, 3)]
    """

    def __init__(
        self,
        in_channels: int,
        *,
        width: int = 8,
        convolutions: Sequence[int] = VGG16,
        norm: str | None = None,
    ) -> None:
        if norm not in ("batch", None):
            raise ValueError(f"norm is {norm!r}; expected 'batch' or None")
        self.in_channels, self.width = as_int(in_channels, "in_channels", 1), as_int(width, "width", 1)
        counts = [as_int(count, "convolutions", 1) for count in convolutions]
        self.channels = [width * min(2**level, 8) for level in range(len(counts))]

        layers: list[nn.Module] = []
        before = in_channels
        for count, after in zip(counts, self.channels, strict=True):
            for _ in range(count):
                layers.append(nn.Conv2d(before, after, 3, padding=1, bias=norm is None))
                if norm == "batch":
                    layers.append(nn.BatchNorm2d(after))
                layers.append(nn.ReLU())
                before = after
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        self.features = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) to the maps after each pooling, the largest first."""
        maps = []
        for layer in nn.in_turn(self.features):
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)  # (N, c, H / 2^level, W / 2^level), rounded up
        return maps

    def level_sizes(self, size: IntOrPair) -> list[Pair]:
        """Sizes of the maps that ``forward`` returns."""
        sizes, current = [], as_pair(size, "size", 1)
        for _ in self.channels:
            current = pool2d_size(current, 2, ceil_mode=True)
            sizes.append(current)
        return sizes

    def layers(self) -> list[Layer]:
        """List the layers for the functions of ``sizes``; they hold where every pooling comes out even."""
        return layers_of(self.features)
