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


def gather(y: Array, x: Array, w: Array, b: Array | None, sizes: tuple[int, ...]) -> None:
    """y = b + w * x."""
    _direct("conv2d_direct", y, x, w, b, y, *sizes)


def scatter(x: Array, y: Array, w: Array, b: Array | None, sizes: tuple[int, ...]) -> None:
    """x = b + (w transposed) * y."""
    _direct("conv_transpose2d_direct", x, y, w, b, x, *sizes)


def _direct(kernel: str, result: Array, *arguments: object) -> None:
    N, C, H, W = result.shape
    rows, columns = DIRECT_TILE
    grid = N * C * math.ceil(H / rows) * math.ceil(W / columns)
    launch.blocks("conv_direct", kernel, grid, (columns, rows), *arguments, like=result)


def weight_gradient(y: Array, x: Array, w: Array, sizes: tuple[int, ...]) -> Array:
    """The sum of y times x over all the pairs of pixels that each weight joins."""
    pixels = y.shape[0] * math.prod(y.shape[2:])
    parts, length = _parts(pixels, w.size)
    sums = launch.empty((parts, *w.shape), w)  # (parts, K, CG, KH, KW)
    arguments = (y, x, sums, *sizes, parts, length)
    launch.blocks("conv_direct", "conv2d_weight_gradient_direct", parts * w.size, THREADS, *arguments, like=w)
    return _add_parts(sums)


def _channel_sums(y: Array) -> Array:
    """The bias's gradient: it was added to each pixel of its channel."""
    N, K, L = y.shape[0], y.shape[1], math.prod(y.shape[2:])
    parts, length = _parts(N * L, K)
    sums = launch.empty((parts, K), y)  # (parts, K)
    arguments = (y, sums, N, K, L, parts, length)
    launch.blocks("conv_direct", "conv2d_bias_gradient", K * parts, THREADS, *arguments, like=y)
    return _add_parts(sums)


def _parts(pixels: int, sums: int) -> tuple[int, int]:
    parts = max(1, min(math.ceil(pixels / 4096), math.ceil(1024 / sums)))
    length = max(1, math.ceil(pixels / parts))
    return parts, length


def _add_parts(sums: Array) -> Array:
    """Add along the first axis."""
    if len(sums) == 1:
        return sums[0]
    total = launch.empty(sums.shape[1:], sums)
    arguments = (sums, total, total.size, len(sums))
    launch.each("conv_direct", "conv2d_add_parts", total.size, *arguments, like=sums)
    return total
