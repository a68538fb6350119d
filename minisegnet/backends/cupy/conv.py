"""Convolution and transposed convolution in CUDA: see conv.cu (tiles) and conv_direct.cu (without).

As in the other backends three kernels serve both: y is the small map and x the large one, ``gather`` makes y from x,
``scatter`` x from y (written as a gather, too), and ``weight_gradient`` joins both.
"""

import math

from minisegnet.arrays import Array
from minisegnet.sizes import Pair, conv2d_size, conv_transpose2d_size

from . import launch
from .activation import relu, relu_backward

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


def conv2d_relu(
    x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """``relu(conv2d(x, w, b))``."""
    return relu(conv2d(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups))


def conv2d_relu_backward(
    dy: Array,
    y: Array,
    x: Array,
    w: Array,
    *,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    need_dx: bool,
) -> tuple[Array | None, Array, Array]:
    """First back through relu, then through the convolution."""
    dy = relu_backward(dy, y)
    return conv2d_backward(
        dy, x, w, stride=stride, padding=padding, dilation=dilation, groups=groups, need_dx=need_dx
    )


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
# Which kernel runs. All are right for all shapes (tests/test_cuda_tiles.py runs each); this is about what they waste.


def chosen(rows: int, pixels: int, products: int) -> str:
    """How a kernel's name ends, for so many products (groups, phases) of so many channels and pixels of the result.

    =========  =========================  ==========================================================================
    ending     when                       what a block makes
    =========  =========================  ==========================================================================
    _direct    up to 3 rows               256 pixels of one channel: depthwise convolutions, heads of few classes
    _flat      up to 32 rows              16 channels x 256 pixels
    (none)     else                       64 channels x 64 pixels
    _large     from 96 rows on, where     128 channels x 128 pixels: fewest fetches, but a quarter as many blocks
               blocks are enough
    =========  =========================  ==========================================================================
    """
    if rows <= 3:
        return "_direct"
    if rows <= 32:
        return "_flat"
    return "_large" if rows >= 96 and enough(rows, pixels, products) else ""


def chosen_for_weights(filters: int, taps: int) -> str:
    """The same for the filters' gradient, a product of (filters, pixels) and (pixels, taps) in each group."""
    if filters * taps <= 32:
        return "_direct"
    if min(filters, taps) <= 32:
        return "_small"
    return "_large" if min(filters, taps) >= 96 else ""


def enough(rows: int, pixels: int, products: int) -> bool:
    """Whether there are large tiles enough for each multiprocessor of a large GPU (H100: 132) to have one."""
    return math.ceil(rows / 128) * math.ceil(pixels / 128) * products >= 132


def tile(kind: str, like: Array) -> tuple[int, int, int]:
    """Rows, columns and threads of a block in conv.cu."""
    if kind == "_large":
        return (128, 128, 256) if like.dtype.itemsize == 4 else (64, 64, 256)
    return {"": (64, 64, 256), "_flat": (16, 256, 256), "_small": (32, 32, 64)}[kind]


# ---------------------------------------------------------------------------------------------------------
# Starting them. y is the small map and x the large one.


def gather(y: Array, x: Array, w: Array, b: Array | None, sizes: tuple[int, ...]) -> None:
    """y = b + w * x."""
    groups, rows = sizes[-1], w.shape[0] // sizes[-1]
    product = (rows, y.shape[0] * math.prod(y.shape[2:]), groups)
    _start("conv2d", chosen(*product), y, product, x, w, b, y, *sizes)


def scatter(x: Array, y: Array, w: Array, b: Array | None, sizes: tuple[int, ...]) -> None:
    """x = b + (w transposed) * y. A phase is the pixels of x that lie a stride apart: they meet the same taps."""
    groups, rows, (sh, sw) = sizes[-1], w.shape[1], sizes[9:11]
    N, _, H, W = x.shape
    pixels = N * math.ceil(H / sh) * math.ceil(W / sw)  # of the largest phase
    product = (rows, pixels, min(sh, H) * min(sw, W) * groups)
    _start("conv_transpose2d", chosen(*product), x, product, y, w, b, x, *sizes)


def weight_gradient(y: Array, x: Array, w: Array, sizes: tuple[int, ...]) -> Array:
    """The sum of y times x over all the pairs of pixels that each weight joins."""
    groups, taps = sizes[-1], math.prod(w.shape[1:])
    filters, pixels = w.shape[0] // groups, y.shape[0] * math.prod(y.shape[2:])
    kind = chosen_for_weights(filters, taps)
    blocks = w.size if kind == "_direct" else _tiles(kind, w, filters, taps, groups)
    parts, length = parts_of(pixels, blocks, w.size)
    sums = launch.empty((parts, *w.shape), w)  # (parts, K, CG, KH, KW)
    source, threads = ("conv_direct", THREADS) if kind == "_direct" else ("conv", tile(kind, w)[2])
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


def _start(op: str, kind: str, result: Array, product: tuple[int, int, int], *arguments: object) -> None:
    """Start it with enough blocks; a product is its rows, its columns, and how many such products there are."""
    if kind == "_direct":
        N, C, H, W = result.shape
        rows, columns = DIRECT_TILE
        grid = N * C * math.ceil(H / rows) * math.ceil(W / columns)
        launch.blocks("conv_direct", op + kind, grid, (columns, rows), *arguments, like=result)
    else:
        grid, threads = _tiles(kind, result, *product), tile(kind, result)[2]
        launch.blocks("conv", op + kind, grid, threads, *arguments, like=result)


def _tiles(kind: str, like: Array, rows: int, columns: int, products: int) -> int:
    """How many tiles cover so many products of so many rows and columns."""
    height, width, _ = tile(kind, like)
    return math.ceil(rows / height) * math.ceil(columns / width) * products


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
