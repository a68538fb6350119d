"""SegNet: an encoder that remembers where each maximum was, and a decoder that puts values back there."""

from collections.abc import Sequence

import numpy as np

from minisegnet import functional, nn
from minisegnet.arrays import Array
from minisegnet.autograd import Tensor
from minisegnet.models.checks import check_pictures
from minisegnet.models.geometry import layers_of
from minisegnet.sizes import IntOrPair, Layer, Pair, as_int, as_pair, pool2d_size


class SegNet(nn.Module):
    """SegNet, small or the paper's.

    Max pooling keeps the largest of four values and forgets which one it was. SegNet writes that down: the
    pooling indices (풀링 인덱스) of each level go across to the decoder, which unpools with them. Nothing else
    goes across; there are no skip connections, and the upsampling has no weights::

        x                                                            scores
        |                                                               ^ head: 1x1
        2 conv  w  --pool-- indices, size ---------------- unpool -- 2 conv  w
                     |                                       ^
        2 conv 2w  --pool-- indices, size ------- unpool -- 2 conv 2w, the last to w
                     |                              ^
        2 conv 4w  --pool-- indices, size - unpool -- 2 conv 4w, the last to 2w
                     |                         ^
        2 conv 8w  --pool-- indices -- unpool -- 2 conv 8w, the last to 4w

    ("conv" is a 3x3 convolution, BatchNorm and ReLU.)

    Unpooling is told the size from before the pooling, so that odd sizes come back too: the output has the input's
    size, for any input of at least 2 pixels for each time it is halved (16 x 16 for four levels).

    Faithful: the indices, BatchNorm after every convolution, the mirrored decoder. With
    ``width=64, convolutions=(2, 2, 3, 3, 3)`` it is the paper's: the 13 convolutions of VGG16 (64, 128, 256, 512,
    512 channels) and 13 that mirror them.
    Simplified: convolutions have no bias where BatchNorm follows, which would take it away again. The classifier is
    a 1x1 convolution of its own; the authors' Caffe files, as we recall them, let the last decoder convolution give the
    scores.

    V. Badrinarayanan, A. Kendall and R. Cipolla, "SegNet: a deep convolutional encoder-decoder architecture for image
    segmentation" (2017), section 3.

    Parameters
    ----------
    in_channels, classes
        Channels of the pictures, and number of score maps.
    width
        Channels of the first level. Each level has twice as many as the one above, up to 8 times ``width``.
    convolutions
        How many convolutions each level has, in the encoder as in the decoder; one number for each level.
    norm
        "batch", or None for no normalisation (the convolutions then have a bias).
    unpool
        "indices", or "nearest": the same network without indices, which repeats each value instead. It is there to be
        compared with.

    Examples
    --------
    >>> model = SegNet(3, 2, width=2)
    >>> model(np.zeros((1, 3, 67, 64), np.float32)).shape
    (1, 2, 67, 64)
    >>> model.output_size((67, 64))
    (67, 64)
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        width: int = 16,
        convolutions: Sequence[int] = (2, 2, 2, 2),
        norm: str | None = "batch",
        unpool: str = "indices",
    ) -> None:
        counts = [as_int(count, "convolutions", 1) for count in convolutions]
        if not counts:
            raise ValueError(
                "convolutions is empty; expected one number for each level, such as (2, 2, 2, 2)"
            )
        widths = [width * min(2**level, 8) for level in range(len(counts))]
        above = [width, *widths]  # the level above the first one is the head's
        self.in_channels, self.classes, self.width = in_channels, classes, width

        self.encoder = nn.ModuleList()
        for level, count in enumerate(counts):
            before = above[level] if level else in_channels
            self.encoder.append(_level([before] + [widths[level]] * count, 3, norm))
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.unpool = _unpooling(unpool)
        self.decoder = nn.ModuleList()
        for level, count in reversed(list(enumerate(counts))):
            self.decoder.append(_level([widths[level]] * count + [above[level]], 3, norm))
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
        for level in self.decoder:
            indices, size = remembered.pop()  # the last pooling is undone first
            x = self.unpool(x, indices, size)  # (N, c, H, W)
            x = level(x)
        scores: Tensor = self.head(x)  # (N, classes, H, W)
        return scores

    def output_size(self, size: IntOrPair) -> Pair:
        """Size of the scores: that of the input."""
        size = as_pair(size, "size", 1)
        levels = len(self.encoder)
        if min(size) < 2**levels:
            raise ValueError(
                f"the input is {size[0]} x {size[1]}, too small for {levels} poolings; "
                f"every size from {2**levels} x {2**levels} up fits, odd ones too"
            )
        return size

    def level_sizes(self, size: IntOrPair) -> list[Pair]:
        """Sizes of the maps before each pooling, and after the last.

        >>> SegNet(3, 2, width=2).level_sizes((97, 131))
        [(97, 131), (48, 65), (24, 32), (12, 16), (6, 8)]
        """
        sizes = [self.output_size(size)]
        for _ in self.encoder:
            sizes.append(pool2d_size(sizes[-1], 2))
        return sizes

    def layers(self) -> list[Layer]:
        """List the layers, down and up again, for the functions of ``sizes``; they hold where poolings come out even.

        Unpooling counts as a transposed layer as large as the pooling's window. Which of the window's places gets the
        value is for the index to say, and all values of the window have a say in the index: so whatever stands at a
        place of the unpooled map, a 0 too, depends on the whole window.
        """
        layers: list[Layer] = []
        for level in self.encoder:
            layers += layers_of(level, self.pool)
        for level in self.decoder:
            layers += [Layer(2, stride=2, transposed=True), *layers_of(level)]
        return [*layers, *layers_of(self.head)]


class SegNetBasic(SegNet):
    """SegNet-Basic: one 7x7 convolution a level, and as many channels everywhere.

    The paper's smaller network, made to compare ways of decoding. Its decoder has no ReLU::

        x                                                                  scores
        |                                                                     ^ head: 1x1
        conv 7x7, BN, ReLU --pool-- indices, size ---------- unpool -- conv 7x7, BN
                             |                                 ^
              ... two more levels ...                ... two more levels ...
                             |                                 ^
        conv 7x7, BN, ReLU --pool-- indices, size -- unpool -- conv 7x7, BN

    The large kernels give wide context: one pixel below the last pooling sees 106 x 106 pixels of the input.

    Faithful: four levels, BatchNorm after each convolution, no biases, no ReLU in the decoder. ``width=64`` makes it
    the paper's.
    Simplified: the contrast normalisation of the input picture is left to whoever prepares the pictures.

    V. Badrinarayanan, A. Kendall and R. Cipolla, "SegNet" (2017), section 3.1.

    Parameters
    ----------
    in_channels, classes
        Channels of the pictures, and number of score maps.
    width
        Channels of every level.
    levels
        Number of poolings.
    norm, unpool
        As in :class:`SegNet`.

    Examples
    --------
    >>> model = SegNetBasic(3, 2, width=2)
    >>> model(np.zeros((1, 3, 64, 65), np.float32)).shape
    (1, 2, 64, 65)
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        width: int = 16,
        levels: int = 4,
        norm: str | None = "batch",
        unpool: str = "indices",
    ) -> None:
        levels = as_int(levels, "levels", 1)
        self.in_channels, self.classes, self.width = in_channels, classes, width
        self.encoder = nn.ModuleList(
            _level([width if level else in_channels, width], 7, norm) for level in range(levels)
        )
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.unpool = _unpooling(unpool)
        self.decoder = nn.ModuleList(_level([width, width], 7, norm, relu=False) for _ in range(levels))
        self.head = nn.Conv2d(width, classes, 1)


# ---------------------------------------------------------------------------------------------------------
# The parts


class NearestUnpool2d(nn.Module):
    """Upsample by repeating values; takes unpooling's place to show what the indices are worth."""

    def forward(self, x: Tensor, indices: Array, output_size: IntOrPair) -> Tensor:
        """(N, C, H, W) to ``(N, C, *output_size)``; the indices are not looked at."""
        return functional.resize_nearest(x, output_size)


def _unpooling(kind: str) -> nn.Module:
    if kind not in ("indices", "nearest"):
        raise ValueError(f"unpool is {kind!r}; expected 'indices' or 'nearest'")
    return nn.MaxUnpool2d() if kind == "indices" else NearestUnpool2d()


def _level(
    channels: Sequence[int], kernel_size: int, norm: str | None, *, relu: bool = True
) -> nn.Sequential:
    """Make a chain of convolutions from ``channels[0]`` to ``channels[1]`` and so on; sizes stay as they are."""
    if norm not in ("batch", None):
        raise ValueError(f"norm is {norm!r}; expected 'batch' or None")
    layers: list[nn.Module] = []
    for i in range(len(channels) - 1):
        before, after = channels[i], channels[i + 1]
        layers.append(nn.Conv2d(before, after, kernel_size, padding=kernel_size // 2, bias=norm is None))
        if norm == "batch":
            layers.append(nn.BatchNorm2d(after))
        if relu:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


# ---------------------------------------------------------------------------------------------------------
# What the indices cost


def pack_indices(indices: Array, size: IntOrPair) -> Array:
    """Write each index of a 2x2 pooling as 2 bits, four to a byte.

    A window has four places, so that 2 bits say which one: 2 * (row odd) + (column odd). The window itself is known
    from where the index stands. This is what the paper counts when it says that the indices cost 2 bits each.

    Parameters
    ----------
    indices
        (N, C, H // 2, W // 2), from ``max_pool2d`` with kernel and stride 2 and no padding.
    size
        (H, W) before the pooling.

    Examples
    --------
    >>> indices = np.array([[[[1, 2], [8, 15]]]])  # in a map of 4 x 4: right above, left above, left above, ...
    >>> [f"{byte:08b}" for byte in pack_indices(indices, 4)]
    ['11000001']
    """
    _, W = as_pair(size, "size", 2)
    places = (indices // W % 2 * 2 + indices % W % 2).astype(np.uint8).reshape(-1)
    places = np.concatenate([places, np.zeros(-len(places) % 4, np.uint8)])
    packed: Array = places[0::4] | places[1::4] << 2 | places[2::4] << 4 | places[3::4] << 6
    return packed


def unpack_indices(packed: Array, shape: Sequence[int], size: IntOrPair) -> Array:
    """Turn what :func:`pack_indices` wrote back into flat indices.

    Parameters
    ----------
    packed
        Bytes from :func:`pack_indices`.
    shape
        Of the indices, (N, C, H // 2, W // 2).
    size
        (H, W) before the pooling.

    Examples
    --------
    >>> unpack_indices(np.array([0b11000001], np.uint8), (1, 1, 2, 2), 4)
    array([[[[ 1,  2],
             [ 8, 15]]]])
    """
    _, W = as_pair(size, "size", 2)
    N, C, OH, OW = shape
    flat = np.stack([packed >> shift & 3 for shift in (0, 2, 4, 6)], axis=1).reshape(-1)
    places = flat[: N * C * OH * OW].reshape(N, C, OH, OW).astype(np.int64)
    rows = 2 * np.arange(OH)[:, None] + places // 2
    columns = 2 * np.arange(OW) + places % 2
    indices: Array = rows * W + columns
    return indices
