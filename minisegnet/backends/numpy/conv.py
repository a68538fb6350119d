"""Convolution as matrix products.

The idea (im2col): write the window of every output pixel as a column of a matrix. Then one matrix product of
the filters (one per row) with these columns is the whole convolution, and the library that multiplies matrices
does the work. The same columns give the weights' gradient. The gradient that goes back to the input is again a
convolution where the stride is 1; else it is added tap by tap into the places that the windows saw (col2im).

A column repeats almost every input value KH * KW times, so that the columns of a whole batch would need much
memory. They are built a block of output rows at a time instead, and each block is used while it is in the cache.
Blocks are also the tasks that the threads share (threads.py). How they are cut depends on the sizes of the arrays
alone: another cut would round differently.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minisegnet.arrays import Array
from minisegnet.sizes import Pair, conv2d_size, conv_transpose2d_size

from .activation import relu, relu_backward
from .threads import in_parallel, pieces

BLOCK_BYTES = 2 * 2**20  # of columns at a time: about what a core's cache holds
PARTIAL_BYTES = 16 * 2**20  # of the sums for the weight gradient that are added up at the end


@np.errstate(over="ignore", invalid="ignore")
def conv2d(
    x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """The filters times the columns (im2col)."""
    size = conv2d_size(x.shape[2:], w.shape[2:], stride=stride, padding=padding, dilation=dilation)
    y = _correlate(x, w, size, stride, padding, dilation, groups)  # (N, K, OH, OW)
    if b is not None:
        y += b[:, None, None]
    return y


@np.errstate(over="ignore", invalid="ignore")
def conv2d_backward(
    dy: Array, x: Array, w: Array, *, stride: Pair, padding: Pair, dilation: Pair, groups: int, need_dx: bool
) -> tuple[Array | None, Array, Array]:
    """dx spreads dy through the filters, dw is dy times the columns, db sums dy."""
    dx = _spread(dy, w, x.shape[2:], stride, padding, dilation, groups) if need_dx else None  # (N, C, H, W)
    dw = _weight_gradient(dy, x, w.shape, stride, padding, dilation, groups)  # (K, C/groups, KH, KW)
    return dx, dw, dy.sum(axis=(0, 2, 3), dtype=np.float64).astype(dy.dtype)


# The transposed convolution is the backward of a convolution to its input, used as a forward. So its own
# backward to its input is that convolution, and in the weight gradient the roles of x and dy are swapped.


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


@np.errstate(over="ignore", invalid="ignore")
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
    """Spread x through the filters."""
    size = conv_transpose2d_size(
        x.shape[2:],
        w.shape[2:],
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
    )
    y = _spread(x, w, size, stride, padding, dilation, groups)  # (N, K, OH, OW)
    if b is not None:
        y += b[:, None, None]
    return y


@np.errstate(over="ignore", invalid="ignore")
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
    """dx is a convolution of dy; in dw the two maps change places."""
    dx = _correlate(dy, w, x.shape[2:], stride, padding, dilation, groups)  # (N, C, H, W)
    dw = _weight_gradient(x, dy, w.shape, stride, padding, dilation, groups)  # (C, K/groups, KH, KW)
    return dx, dw, dy.sum(axis=(0, 2, 3), dtype=np.float64).astype(dy.dtype)


# ---------------------------------------------------------------------------------------------------------
# The three products. `size` is the size of the resulting map. It is given and not worked out, because with
# `output_padding` the map of a transposed convolution can have room for more windows than there are inputs.


def _correlate(x, w, size, stride, padding, dilation, groups):
    """The filters times the columns of x: y[k, pixel] = sum over i of w[k, i] * columns[i, pixel]."""
    N, (K, CG, KH, KW), (OH, OW) = x.shape[0], w.shape, size
    columns = _column_maker(x, (KH, KW), size, stride, padding, dilation, groups)
    blocks = _blocks(size, CG * groups * KH * KW * x.itemsize, fewest=32)
    some_filters = pieces(K // groups, most=2 if len(blocks) == 1 else 1, shortest=64)
    filters = w.reshape(groups, K // groups, CG * KH * KW)  # (groups, K/groups, C/groups * KH * KW)
    y = np.empty((N, groups, K // groups, OH * OW), x.dtype)

    def multiply(n, some, block):
        np.matmul(filters[:, some], columns(n, block), out=y[n, :, some, block.pixels])  # one for each group

    in_parallel(multiply, list(product(range(N), some_filters, blocks)))
    return y.reshape(N, K, OH, OW)  # (N, K, OH, OW)


def _weight_gradient(dy, x, shape, stride, padding, dilation, groups):
    """dw[k, i] = sum over pixels of dy[k, pixel] * columns[i, pixel], summed over the images."""
    (N, K, OH, OW), (_, CG, KH, KW) = dy.shape, shape
    columns = _column_maker(x, (KH, KW), (OH, OW), stride, padding, dilation, groups)
    blocks = list(product(range(N), _blocks((OH, OW), CG * groups * KH * KW * x.itemsize, fewest=256)))
    runs, some_filters = _shares(len(blocks), K // groups, K * CG * KH * KW * x.itemsize)
    dy = dy.reshape(N, groups, K // groups, OH * OW)  # (N, groups, K/groups, pixels)
    sums = np.empty((len(runs), groups, K // groups, CG * KH * KW), x.dtype)  # one for each run of blocks

    def add_up(r, some):
        total = sums[r, :, some]
        total[...] = 0
        for n, block in blocks[runs[r]]:
            total += np.matmul(dy[n, :, some, block.pixels], columns(n, block).transpose(0, 2, 1))

    in_parallel(add_up, list(product(range(len(runs)), some_filters)))
    dw = sums[0]
    for partial in sums[1:]:  # always in this order
        dw += partial
    return dw.reshape(shape)  # (K, C/groups, KH, KW)


def _spread(dy, w, size, stride, padding, dilation, groups):
    """The transpose of `_correlate`: each output pixel is spread over the window that it saw."""
    reach = [d * (k - 1) - p for k, d, p in zip(w.shape[2:], dilation, padding, strict=True)]
    covered = [o + r - p for o, r, p in zip(dy.shape[2:], reach, padding, strict=True)]
    if stride == (1, 1) and min(reach) >= 0 and covered == list(size):
        # Spread with stride 1, the windows make again a convolution, with each filter turned by 180 degrees.
        # It is one matrix product a block instead of KH * KW small ones. (Where `output_padding` adds pixels
        # that no window reaches, it would not fill the map.)
        return _correlate(dy, _turned(w, groups), size, (1, 1), tuple(reach), dilation, groups)
    return _spread_by_taps(dy, w, size, stride, padding, dilation, groups)


def _turned(w, groups):
    """Turn each filter by 180 degrees, and let inputs and outputs change places."""
    K, CG, KH, KW = w.shape
    turned = w[:, :, ::-1, ::-1].reshape(groups, K // groups, CG, KH, KW).transpose(0, 2, 1, 3, 4)
    return turned.reshape(groups * CG, K // groups, KH, KW)  # (C, K/groups, KH, KW)


def _spread_by_taps(dy, w, size, stride, padding, dilation, groups):
    """Add to the map, for each tap, the product of that tap's weights with the whole of dy (col2im)."""
    (N, K, OH, OW), (_, CG, KH, KW), (H, W), (ph, pw) = dy.shape, w.shape, size, padding
    taps = w.reshape(groups, K // groups, CG, KH, KW).transpose(3, 4, 0, 2, 1)
    taps = np.ascontiguousarray(taps)  # (KH, KW, groups, C/groups, K/groups)
    dy = dy.reshape(N, groups, K // groups, OH * OW)  # (N, groups, K/groups, pixels)
    dx = np.empty((N, groups, CG, H, W), dy.dtype)

    def spread(n, some):
        channels = some.stop - some.start
        padded = np.zeros((groups, channels, H + 2 * ph, W + 2 * pw), dy.dtype)
        windows = _windows(padded, (KH, KW), (OH, OW), stride, dilation)  # (groups, channels, KH, KW, OH, OW)
        at_tap = np.empty((groups, channels, OH, OW), dy.dtype)
        flat = at_tap.reshape(groups, channels, OH * OW)
        for i in range(KH):
            for j in range(KW):  # windows overlap, but at one tap no two of them meet, so += loses nothing
                np.matmul(taps[i, j, :, some], dy[n], out=flat)
                windows[:, :, i, j] += at_tap
        dx[n, :, some] = padded[:, :, ph : ph + H, pw : pw + W]  # what fell on the padding is dropped

    in_parallel(spread, list(product(range(N), pieces(CG, most=4, shortest=16))))
    return dx.reshape(N, groups * CG, H, W)  # (N, C, H, W)


def _shares(blocks, filters, weight_bytes):
    """How the weight gradient is shared out: runs of blocks, each with a sum of its own, and slices of the filters.

    Sums of small weights cost little. Large weights come with many filters: these are cut then.
    """
    some_filters = pieces(filters, most=4 if weight_bytes > PARTIAL_BYTES // 8 else 1, shortest=128)
    runs = min(8, PARTIAL_BYTES // max(weight_bytes, 1)) if len(some_filters) == 1 else 1
    return pieces(blocks, most=max(runs, 1), shortest=1), some_filters


# ---------------------------------------------------------------------------------------------------------
# Windows and blocks


class Block(NamedTuple):
    """A part of the output map: rows and columns of it, and the same as flat pixels."""

    rows: slice
    cols: slice
    pixels: slice


def _is_pointwise(kernel_size, output_size, input_size, stride, padding):
    """With a 1x1 kernel an image is its own matrix of columns, so that nothing has to be copied."""
    return kernel_size == stride == (1, 1) and padding == (0, 0) and output_size == tuple(input_size)


def _pad(images, padding):
    """The images with a border of zeros."""
    (N, C, H, W), (ph, pw) = images.shape, padding
    if padding == (0, 0):
        return images
    padded = np.zeros((N, C, H + 2 * ph, W + 2 * pw), images.dtype)
    padded[:, :, ph : ph + H, pw : pw + W] = images
    return padded


def _windows(padded, kernel_size, size, stride, dilation):
    """A view, with no copying, in which [n, c, i, j, oh, ow] is what tap (i, j) of output pixel (oh, ow) sees."""
    extent = [d * (k - 1) + 1 for k, d in zip(kernel_size, dilation, strict=True)]
    windows = sliding_window_view(padded, extent, axis=(2, 3), writeable=padded.flags.writeable)
    windows = windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    return windows[:, :, : size[0], : size[1]].transpose(0, 1, 4, 5, 2, 3)  # (N, C, KH, KW, OH, OW)


def _blocks(size, pixel_bytes, fewest):
    """Cut a map into blocks of rows, or pieces of rows where a row is long.

    An image alone shall keep several threads busy: it makes four blocks, or two, if so few pixels a block are left.
    """
    OH, OW = size
    least = max((number for number in (1, 2, 4) if OH * OW >= number * fewest), default=1)
    most = max(1, min(BLOCK_BYTES // pixel_bytes, -(-OH * OW // least)))  # pixels in a block
    bands = -(-OH // max(1, most // OW))
    return [
        Block(rows, cols, slice(rows.start * OW + cols.start, (rows.stop - 1) * OW + cols.stop))
        for rows in pieces(OH, most=bands, shortest=1)
        for cols in pieces(OW, most=-(-OW // most), shortest=1)
    ]


def _column_maker(x, kernel_size, size, stride, padding, dilation, groups):
    """A function that makes the columns of a block of image n: (groups, C/groups * KH * KW, pixels)."""
    (N, C, H, W), (KH, KW), (OH, OW) = x.shape, kernel_size, size
    if _is_pointwise(kernel_size, size, (H, W), stride, padding):
        flat = x.reshape(N, groups, C // groups, OH * OW)
        return lambda n, block: flat[n, ..., block.pixels]
    windows = _windows(_pad(x, padding), kernel_size, size, stride, dilation)  # (N, C, KH, KW, OH, OW)

    def columns(n, block):
        part = windows[n, ..., block.rows, block.cols]
        return part.reshape(groups, C // groups * KH * KW, block.pixels.stop - block.pixels.start)  # copies

    return columns
