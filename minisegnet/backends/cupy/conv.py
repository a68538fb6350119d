"""Convolution and transposed convolution in CUDA: see conv.cu (tiles) and conv_direct.cu (without).

As in the other backends three kernels serve both: y is the small map and x the large one, ``gather`` makes y from x, ``scatter``
x from y (written as a gather, too), and ``weight_gradient`` joins both.
"""

import math

from minisegnet.arrays import Array
from minisegnet.sizes import Pair, conv2d_size, conv_transpose2d_size

from . import launch

THREADS = 256
DIRECT_TILE = (8, 32)  # rows and columns of pixels that one block of conv_direct.cu works on


def conv2d(
    x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Each output value is the sum of the weights times the pixels that they lie on."""
    size = conv2d_size(x.shape[2:], w.shape[2:], stride=stride, padding=padding, dilation=dilation)
    y = launch.empty((x.shape[0], w.shape[0], *size), x)  # (N, K, OH, OW)
    gather(y, x, w, b, _sizes(x, y, w, stride, padding, dilation, groups))
    return y


def conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    *,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    need_dx: bool,
) -> tuple[Array | None, Array, Array]:
    """Every product of the forward, ``y += w * x``, hands ``w * dy`` to its pixel and ``x * dy`` to its weight."""
    sizes = _sizes(x, dy, w, stride, padding, dilation, groups)
    dx = None
    if need_dx:
        dx = launch.empty(x.shape, x)  # (N, C, H, W)
        scatter(dx, dy, w, None, sizes)
    return dx, weight_gradient(dy, x, w, sizes), _channel_sums(dy)


def conv_transpose2d(
    x: Array,
    w: Array,
    b: Array | None,
    *,
    stride: Pair,
    padding: Pair,
    output_padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """A convolution's gradient as a forward: x stands for dy, and what comes out for dx."""
    geometry = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    size = conv_transpose2d_size(x.shape[2:], w.shape[2:], **geometry)
    y = launch.empty((x.shape[0], w.shape[1] * groups, *size), x)  # (N, K, OH, OW)
    scatter(y, x, w, b, _sizes(y, x, w, stride, padding, dilation, groups))
    return y


def conv_transpose2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    *,
    stride: Pair,
    padding: Pair,
    output_padding: Pair,
    dilation: Pair,
    groups: int,
) -> tuple[Array, Array, Array]:
    """A convolution of dy gives dx, and in dw the two maps change places."""
    sizes = _sizes(dy, x, w, stride, padding, dilation, groups)
    dx = launch.empty(x.shape, x)  # (N, C, H, W)
    gather(dx, dy, w, None, sizes)
    return dx, weight_gradient(x, dy, w, sizes), _channel_sums(dy)


def _sizes(
    x: Array, y: Array, w: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> tuple[int, ...]:
    """The 16 numbers that all kernels take: N C H W, K OH OW, KH KW, stride, padding, dilation, groups."""
    return *x.shape, *y.shape[1:], *w.shape[2:], *stride, *padding, *dilation, groups


# ---------------------------------------------------------------------------------------------------------
# Which kernel runs. `rows` are the channels of a group in what is computed: filters for y, channels for x.


def chosen(rows: int) -> str:
    """Tiles of 64 x 64 fetch least, but a tile's rows beyond the last filter are work for nothing.

    ========  ================  =====================================================================
    rows      ending            what a block makes
    ========  ================  =====================================================================
    up to 3   ``_direct``       256 pixels of one channel: depthwise convolutions, heads of few classes
    up to 32  ``_flat``         16 channels x 256 pixels
    more                        64 channels x 64 pixels
    ========  ================  =====================================================================
    """
    return "_direct" if rows <= 3 else "_flat" if rows <= 32 else ""


TILES = {"": (64, 64), "_flat": (16, 256), "_small": (32, 32)}  # rows and columns of the kernels in conv.cu


def chosen_for_weights(filters: int, taps: int) -> str:
    """The same for the filters' gradient, a product of (filters, pixels) and (pixels, taps) in each group."""
    return "_direct" if filters * taps <= 32 else "_small" if min(filters, taps) <= 32 else ""


# ---------------------------------------------------------------------------------------------------------
# Starting them. y is the small map and x the large one.


def gather(y: Array, x: Array, w: Array, b: Array | None, sizes: tuple[int, ...]) -> None:
    """y = b + w * x."""
    groups, rows = sizes[-1], w.shape[0] // sizes[-1]
    kind, pixels = chosen(rows), y.shape[0] * math.prod(y.shape[2:])
    _start("conv2d", kind, y, _tiles(kind, rows, pixels) * groups, x, w, b, y, *sizes)


def scatter(x: Array, y: Array, w: Array, b: Array | None, sizes: tuple[int, ...]) -> None:
    """x = b + (w transposed) * y. A phase is the pixels of x that lie a stride apart: they meet the same taps."""
    groups, rows, (sh, sw) = sizes[-1], w.shape[1], sizes[9:11]
    N, _, H, W = x.shape
    kind, phases = chosen(rows), min(sh, H) * min(sw, W)
    pixels = N * math.ceil(H / sh) * math.ceil(W / sw)  # of the largest phase
    _start("conv_transpose2d", kind, x, _tiles(kind, rows, pixels) * phases * groups, y, w, b, x, *sizes)


def weight_gradient(y: Array, x: Array, w: Array, sizes: tuple[int, ...]) -> Array:
    """The sum of y times x over all the pairs of pixels that each weight joins."""
    groups, taps = sizes[-1], math.prod(w.shape[1:])
    filters, pixels = w.shape[0] // groups, y.shape[0] * math.prod(y.shape[2:])
    kind = chosen_for_weights(filters, taps)
    blocks = w.size if kind == "_direct" else _tiles(kind, filters, taps) * groups
    parts, length = parts_of(pixels, blocks, w.size)
    sums = launch.empty((parts, *w.shape), w)  # (parts, K, CG, KH, KW)
    source, threads = ("conv_direct", THREADS) if kind == "_direct" else ("conv", _threads(kind))
    kernel = f"conv2d_weight_gradient{kind}"
    launch.blocks(source, kernel, parts * blocks, threads, y, x, sums, *sizes, parts, length, like=w)
    return _add_parts(sums)


def _channel_sums(y: Array) -> Array:
    """The bias's gradient: it was added to each pixel of its channel."""
    N, K, L = y.shape[0], y.shape[1], math.prod(y.shape[2:])
    parts, length = parts_of(N * L, K, K)
    sums = launch.empty((parts, K), y)  # (parts, K)
    arguments = (y, sums, N, K, L, parts, length)
    launch.blocks("conv_direct", "conv2d_bias_gradient", K * parts, THREADS, *arguments, like=y)
    return _add_parts(sums)


def _start(op: str, kind: str, result: Array, tiles: int, *arguments: object) -> None:
    if kind == "_direct":
        N, C, H, W = result.shape
        rows, columns = DIRECT_TILE
        grid = N * C * math.ceil(H / rows) * math.ceil(W / columns)
        launch.blocks("conv_direct", op + kind, grid, (columns, rows), *arguments, like=result)
    else:
        launch.blocks("conv", op + kind, tiles, _threads(kind), *arguments, like=result)


def _tiles(kind: str, rows: int, columns: int) -> int:
    """How many tiles cover so many rows and columns."""
    height, width = TILES.get(kind, (1, 1))
    return math.ceil(rows / height) * math.ceil(columns / width)


def _threads(kind: str) -> int:
    """Each thread makes 4 x 4 results of a tile."""
    height, width = TILES[kind]
    return height * width // 16


# ---------------------------------------------------------------------------------------------------------
# Long sums, in parts. How many there are depends on the shape alone: on each device the sum is the same.

ENOUGH_BLOCKS = 1024  # to keep a large GPU busy
SHORTEST_PART, LONGEST_PART = 256, 16384  # pixels
MOST_NUMBERS = 1 << 26  # of parts in memory


def parts_of(pixels: int, blocks: int, sums: int) -> tuple[int, int]:
    """Into how many parts of how many pixels a sum is cut; each part takes ``blocks`` blocks and makes ``sums`` sums.

    >>> parts_of(pixels=10_000, blocks=64, sums=1000)
    (16, 625)
    """
    parts = max(math.ceil(ENOUGH_BLOCKS / blocks), math.ceil(pixels / LONGEST_PART))
    parts = min(parts, math.ceil(pixels / SHORTEST_PART), MOST_NUMBERS // sums)
    parts = max(parts, 1)
    return parts, max(math.ceil(pixels / parts), 1)


def _add_parts(sums: Array) -> Array:
    """Add along the first axis."""
    if len(sums) == 1:
        return sums[0]
    total = launch.empty(sums.shape[1:], sums)
    arguments = (sums, total, total.size, len(sums))
    launch.each("conv_direct", "conv2d_add_parts", total.size, *arguments, like=sums)
    return total
