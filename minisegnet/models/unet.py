"""U-Net: down to see more, up to see where, and at every level across with what was seen on the way down."""

from minisegnet import functional, nn
from minisegnet.autograd import Tensor
from minisegnet.models.checks import check_pictures
from minisegnet.sizes import IntOrPair, Layer, Pair, as_int, as_pair, chain_size
from minisegnet.tracing import traced


class UNet(nn.Module):
    r"""Two convolutions a level down to a narrow bottom, and the mirror image up, joined by skip connections.

    The paper's network and its sizes, height = width (down: max pool 2x2; up: 2x2 transposed convolution)::

        572 =3x3=> 570 =3x3=> 568 ----------- crop to 392, concat -----------> 392 => 390 => 388 =1x1=> 388
                               | 284 => 282 => 280 --- 200 ---> 200 => 198 => 196 |
                                      | 140 => 138 => 136 - 104 -> 104 => 102 => 100 |
                                             | 68 => 66 => 64 - 56 -> 56 => 54 => 52 |
                                                          | 32 => 30 => 28 |

    A convolution is 3x3 with ReLU behind it. Going down a level doubles the channels (``width``, 2 ``width``, ...),
    going up halves them; skip connections (스킵 연결) bring the large maps across, first in the concatenation.

    ``padding="valid"`` is the paper's arithmetic: no zeros at any border, so that the result is smaller than the
    picture by ``2 * halo``, and only some sizes fit. ``padding="same"`` is the variant that most people use: one zero
    around each map, batch normalisation, and the result has the picture's size. There a picture whose sides
    are no multiples of ``2**depth`` is mirrored outwards up to the next multiple, and the result is cropped back.

    Faithful: layers, channels, sizes, concatenation, He's initialisation. As in the released network (its definition
    says so; the paper names no rate), dropout stands behind the last level before the bottom, where the skip
    leaves too, and behind the bottom. Simplified: no ReLU behind the transposed convolutions (the released
    network has one; the paper mentions none); the skip stands first in the concatenation.

    The paper's own: ``UNet(1, 2, width=64, depth=4, padding="valid", dropout=0.5)`` with 31,030,658 parameters.
    O. Ronneberger, P. Fischer and T. Brox, "U-Net: convolutional networks for biomedical image segmentation"
    (2015), section 2 and figure 1.

    Parameters
    ----------
    in_channels, classes
        Channels of the pictures, and number of score maps.
    width
        Channels of the first level.
    depth
        How many times the map is halved.
    padding
        ``"same"`` or ``"valid"``.
    norm
        ``"batch"``: (convolution without bias, batch normalisation, ReLU). None: (convolution with bias, ReLU).
        ``"default"``: ``"batch"`` with same padding, None with valid.
    dropout
        Probability, at the two places named above; the released network has 0.5.

    Examples
    --------
    >>> with nn.creating(initialise=False):
    ...     paper = UNet(1, 2, width=64, padding="valid")
    >>> paper.parameter_count(), paper.output_size(572), paper.halo
    (31030658, (388, 388), 92)
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        width: int = 16,
        depth: int = 4,
        padding: str = "same",
        norm: str | None = "default",
        dropout: float = 0.0,
    ) -> None:
        if padding not in ("same", "valid"):
            raise ValueError(f"padding is {padding!r}; expected 'same' or 'valid'")
        if norm == "default":
            norm = "batch" if padding == "same" else None
        if norm not in ("batch", None):
            raise ValueError(f"norm is {norm!r}; expected 'batch' or None")
        self.in_channels, self.classes = as_int(in_channels, "in_channels", 1), as_int(classes, "classes", 1)
        self.width, self.depth = as_int(width, "width", 1), as_int(depth, "depth", 1)
        self.padding, self.norm, self.dropout = padding, norm, dropout

        channels = [self.width * 2**level for level in range(self.depth + 1)]  # 64 128 256 512 1024
        before = [self.in_channels, *channels]
        self.encoder = nn.ModuleList(
            two_convolutions(
                before[level],
                channels[level],
                padding=padding,
                norm=norm,
                dropout=dropout if level == self.depth - 1 else 0.0,
            )
            for level in range(self.depth)
        )
        self.pool = nn.MaxPool2d(2)
        self.bottom = two_convolutions(
            channels[-2], channels[-1], padding=padding, norm=norm, dropout=dropout
        )
        self.decoder = nn.ModuleList(
            UpAndAcross(channels[level], padding=padding, norm=norm) for level in reversed(range(self.depth))
        )
        self.head = nn.Conv2d(self.width, self.classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to ``(N, classes, *output_size((H, W)))``."""
        check_pictures(x, self.in_channels)
        size = self.output_size(x.shape[2:])  # raises where the picture doesn't fit
        if self.padding == "same":
            x = mirror_to_multiple(x, self.grid)
        skips = []
        for level in self.encoder:
            x = level(x)  # (N, C, H, W)
            skips.append(x)
            x = self.pool(x)  # (N, C, H/2, W/2)
        x = self.bottom(x)
        for level in self.decoder:
            x = level(skips.pop(), x)  # (N, C/2, 2H, 2W), in valid convolutions 4 less
        x = self.head(x)  # (N, classes, OH, OW)
        return crop_mirrored(x, size)

    # Sizes

    @property
    def grid(self) -> int:
        """Distance of the pooling windows of the lowest level, in pixels: ``2**depth``."""
        return int(2**self.depth)

    @property
    def halo(self) -> int:
        """How many pixels the result is smaller than the picture, on each side.

        Two valid 3x3 convolutions take 2 pixels a side, and a pixel of level l is ``2**l`` of the picture's. They
        stand on each level twice, at the bottom once: ``2 * 2 * (2**depth - 1) + 2 * 2**depth``.
        """
        return 6 * self.grid - 4 if self.padding == "valid" else 0

    @property
    def smallest_size(self) -> int:
        """The smallest height and width that the network takes."""
        if self.padding == "valid":
            # Sizes that fit are 4 below a multiple of the grid, results therefore 4 above one: at least 4 (depth 1: 2).
            return 2 * self.halo + min(4, self.grid)
        smallest = 1
        while (-smallest % self.grid + 1) // 2 >= smallest:  # a mirror shows less than what stands before it
            smallest += 1
        return smallest

    def output_size(self, size: IntOrPair) -> Pair:
        """Size of the result for a picture of ``size``; raises where it doesn't fit, and names sizes that do.

        Same padding: the picture's own. Valid: ``size - 2 * halo`` where ``size`` is 4 below a multiple of
        ``2**depth`` and not too small. (Then every map that is pooled has an even size: a level takes 4 away and halves
        the rest, and 4 below a multiple of ``2**depth`` becomes 4 below a multiple of ``2**(depth-1)``.)
        """
        size = as_pair(size, "size", 1)
        for axis, length in enumerate(size):
            if length < self.smallest_size or (self.padding == "valid" and (length + 4) % self.grid):
                raise ValueError(self._misfit(size, axis))
        return size if self.padding == "same" else chain_size(self.layers(), size)

    def input_size_for(self, output_size: IntOrPair) -> Pair:
        """Size of the smallest picture whose result is at least ``output_size``."""
        H, W = as_pair(output_size, "output_size", 1)
        if self.padding == "same":
            return max(H, self.smallest_size), max(W, self.smallest_size)
        return self._fit(H + 2 * self.halo), self._fit(W + 2 * self.halo)

    def _fit(self, length: int) -> int:
        """Smallest length from ``length`` up that fits (valid convolutions)."""
        above = max(length - self.smallest_size, 0)
        return self.smallest_size + above + -above % self.grid

    def _misfit(self, size: Pair, axis: int) -> str:
        if self.padding == "same":
            return (
                f"a picture of {size} is too small: at depth {self.depth} both sides must be at least "
                f"{self.smallest_size}; use a larger picture or less depth"
            )
        above = self._fit(size[axis])
        near = f"{above - self.grid} or {above}" if above > self.smallest_size else f"{above}"
        return (
            f"a picture of {size} does not fit a U-Net of depth {self.depth} with valid convolutions: height and width "
            f"must be {-4 % self.grid} more than a multiple of {self.grid} and at least {self.smallest_size}; axis "
            f"{'HW'[axis]} is {size[axis]}, the nearest that fit: {near}. Crop, mirror the border outwards "
            "(inference.overlap_tile does), or use padding='same'"
        )

    def layers(self) -> list[Layer]:
        """List the layers of the longest path, down to the bottom and up again, for the functions of ``sizes``."""
        twice = [Layer(3, padding=1 if self.padding == "same" else 0)] * 2
        down, up = [*twice, Layer(2, stride=2)], [Layer(2, stride=2, transposed=True), *twice]
        return down * self.depth + twice + up * self.depth + [Layer(1)]

    def peak_bytes(self, size: IntOrPair, itemsize: int = 4) -> int:
        """Bound the bytes of all maps that one forward of one picture holds at a time, when nothing is taped.

        Walks through the forward and adds up what is alive. A kernel's scratch memory isn't in it.

        Parameters
        ----------
        size
            Of the picture. (With same padding: a multiple of ``2**depth``; the mirroring isn't in it.)
        itemsize
            4 for float32, 8 for float64.
        """
        H, W = as_pair(size, "size", 1)
        self.output_size((H, W))  # raises where it doesn't fit
        shrinks, C = 2 if self.padding == "valid" else 0, self.width

        def maps(channels: int) -> int:  # bytes of a map of the present size
            return channels * H * W * itemsize

        kept = maps(self.in_channels)  # the picture stays alive all the time, the skips join it
        peak, current, skips = 0, 0, []  # current: the map that a level starts from
        for _ in range(self.depth):
            H, W = H - shrinks, W - shrinks
            peak = max(peak, kept + current + 2 * maps(C))  # a convolution's result, and relu's
            H, W = H - shrinks, W - shrinks
            skips.append(maps(C))
            kept += skips[-1]
            H, W = H // 2, W // 2
            current = maps(C)
            peak = max(peak, kept + current + C * H * W * 8)  # max pooling makes indices too
            C *= 2
        H, W = H - shrinks, W - shrinks
        peak = max(peak, kept + current + 2 * maps(C))
        H, W = H - shrinks, W - shrinks
        current = maps(C)
        while skips:
            C, H, W = C // 2, 2 * H, 2 * W
            joined = 4 * maps(C)  # what the map became, the cropped skip, and both in one
            H, W = H - shrinks, W - shrinks
            peak = max(peak, kept + current + joined + 2 * maps(C))
            H, W = H - shrinks, W - shrinks
            kept, current = kept - skips.pop(), maps(C)
        return max(peak, kept + current + maps(self.classes))


class UpAndAcross(nn.Module):
    """One level of the way up: twice the size with half the channels, the skip beside it, two convolutions."""

    def __init__(self, channels: int, *, padding: str, norm: str | None) -> None:
        self.up = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
        self.convolutions = two_convolutions(2 * channels, channels, padding=padding, norm=norm)

    def forward(self, skip: Tensor, x: Tensor) -> Tensor:
        """(N, C, H', W') and (N, 2C, H/2, W/2) to (N, C, H, W), in valid convolutions 4 less."""
        x = self.up(x)  # (N, C, H, W)
        if skip.shape != x.shape:  # valid convolutions made x smaller: only the skip's middle has a partner
            skip = functional.crop2d(skip, x.shape[2:])  # (N, C, H, W)
        result: Tensor = self.convolutions(functional.concat([skip, x]))  # (N, 2C, H, W) to (N, C, ...)
        return result


def two_convolutions(
    in_channels: int, channels: int, *, padding: str, norm: str | None, dropout: float = 0.0
) -> nn.Sequential:
    """Make the block that every level has: twice (3x3 convolution, batch normalisation or none, ReLU)."""
    modules: list[nn.Module] = []
    for before in (in_channels, channels):
        around = 1 if padding == "same" else 0
        modules.append(nn.Conv2d(before, channels, 3, padding=around, bias=norm is None))
        if norm == "batch":  # which has a shift of its own: a bias before it would be subtracted again
            modules.append(nn.BatchNorm2d(channels))
        modules.append(nn.ReLU())
    if dropout:
        modules.append(nn.Dropout(dropout))
    return nn.Sequential(*modules)


def mirror_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Mirror the borders outwards until height and width are multiples; an odd pixel goes to the top or left.

    >>> import numpy as np
    >>> mirror_to_multiple(Tensor(np.arange(12.0).reshape(1, 1, 4, 3)), 4).data[0, 0, 0]
    array([1., 0., 1., 2.])
    """
    H, W = x.shape[2:]
    missing = -H % multiple, -W % multiple
    if missing == (0, 0):
        return x
    x = functional.pad2d(x, ((missing[0] + 1) // 2, (missing[1] + 1) // 2), mode="reflect")
    return functional.crop2d(x, (H + missing[0], W + missing[1]))  # takes an odd pixel away below or right


def crop_mirrored(y: Tensor, size: Pair) -> Tensor:
    """Cut out what belongs to the picture itself: the way back from ``mirror_to_multiple``."""
    for axis in (2, 3):
        if (y.shape[axis] - size[axis - 2]) % 2:
            # Put back the row that was taken away, so that the picture is in the middle. Its values don't matter.
            y = functional.concat([y, last_line(y, axis)], axis=axis)
    return y if y.shape[2:] == size else functional.crop2d(y, size)


@traced
def last_line(y: Tensor, axis: int) -> Tensor:
    """Copy the last row (axis 2) or column (axis 3), as numbers without a gradient."""
    return Tensor((y.data[:, :, -1:] if axis == 2 else y.data[:, :, :, -1:]).copy())
