"""Convolution as matrix products.

The idea (im2col): write the window of every output pixel as a column of a matrix. Then one matrix product of
the filters (one per row) with these columns is the whole convolution, and the library that multiplies matrices
does the work. The same columns give the weights' gradient. The gradient that goes back to the input is again a
convolution where the stride is 1; else it is added tap by tap into the places that the windows saw (col2im).

A column repeats almost every input value KH * KW times, so that the columns of a whole batch would need much
memory. They are built a block of output rows at a time instead, and each block is used while it is in the cache.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minisegnet.arrays import Array
from minisegnet.sizes import Pair, conv2d_size, conv_transpose2d_size

BLOCK_BYTES = 2 * 2**20  # of columns at a time: about what a core's cache holds


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
    filters = w.reshape(groups, K // groups, CG * KH * KW)  # (groups, K/groups, C/groups * KH * KW)
    y = np.empty((N, groups, K // groups, OH * OW), x.dtype)
    for n in range(N):
        for pixels, columns in _column_blocks(x[n], (KH, KW), size, stride, padding, dilation, groups):
            np.matmul(filters, columns, out=y[n, :, :, pixels])  # one product for each group
    return y.reshape(N, K, OH, OW)  # (N, K, OH, OW)


def _weight_gradient(dy, x, shape, stride, padding, dilation, groups):
    """dw[k, i] = sum over pixels of dy[k, pixel] * columns[i, pixel], summed over the images."""
    (N, K, OH, OW), (_, CG, KH, KW) = dy.shape, shape
    dy = dy.reshape(N, groups, K // groups, OH * OW)  # (N, groups, K/groups, pixels)
    dw = np.zeros((groups, K // groups, CG * KH * KW), x.dtype)
    for n in range(N):
        for pixels, columns in _column_blocks(x[n], (KH, KW), (OH, OW), stride, padding, dilation, groups):
            dw += np.matmul(dy[n, :, :, pixels], columns.transpose(0, 2, 1))
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
    C = CG * groups
    taps = w.reshape(groups, K // groups, CG, KH, KW).transpose(3, 4, 0, 2, 1)
    taps = np.ascontiguousarray(taps)  # (KH, KW, groups, C/groups, K/groups)
    dy = dy.reshape(N, groups, K // groups, OH * OW)  # (N, groups, K/groups, pixels)
    dx = np.empty((N, C, H, W), dy.dtype)
    for n in range(N):
        padded = np.zeros((C, H + 2 * ph, W + 2 * pw), dy.dtype)
        windows = _windows(padded, (KH, KW), (OH, OW), stride, dilation)  # (C, KH, KW, OH, OW)
        for i in range(KH):
            for j in range(KW):  # windows overlap, but at one tap no two of them meet, so += loses nothing
                windows[:, i, j] += np.matmul(taps[i, j], dy[n]).reshape(C, OH, OW)
        dx[n] = padded[:, ph : ph + H, pw : pw + W]  # what fell on the padding is dropped
    return dx


# ---------------------------------------------------------------------------------------------------------
# Windows and blocks


def _is_pointwise(kernel_size, output_size, input_size, stride, padding):
    """With a 1x1 kernel an image is its own matrix of columns, so that nothing has to be copied."""
    return kernel_size == stride == (1, 1) and padding == (0, 0) and output_size == tuple(input_size)


def _pad(image, padding):
    """The image with a border of zeros."""
    (C, H, W), (ph, pw) = image.shape, padding
    if padding == (0, 0):
        return image
    padded = np.zeros((C, H + 2 * ph, W + 2 * pw), image.dtype)
    padded[:, ph : ph + H, pw : pw + W] = image
    return padded


def _windows(padded, kernel_size, size, stride, dilation):
    """A view, with no copying, in which [c, i, j, oh, ow] is what tap (i, j) of output pixel (oh, ow) sees."""
    extent = [d * (k - 1) + 1 for k, d in zip(kernel_size, dilation, strict=True)]
    windows = sliding_window_view(padded, extent, axis=(1, 2), writeable=padded.flags.writeable)
    windows = windows[:, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    return windows[:, : size[0], : size[1]].transpose(0, 3, 4, 1, 2)  # (C, KH, KW, OH, OW)


def _blocks(size, pixel_bytes):
    """Cut a map into blocks of rows, or pieces of rows where a row is long: (rows, cols, flat pixels)."""
    OH, OW = size
    most = max(1, BLOCK_BYTES // pixel_bytes)  # pixels in a block
    height, width = max(1, most // OW), min(most, OW)
    for top in range(0, OH, height):
        bottom = min(top + height, OH)
        for left in range(0, OW, width):
            right = min(left + width, OW)
            yield slice(top, bottom), slice(left, right), slice(top * OW + left, (bottom - 1) * OW + right)


def _column_blocks(image, kernel_size, size, stride, padding, dilation, groups):
    """Yield (flat pixels, columns) block by block; columns: (groups, C/groups * KH * KW, pixels)."""
    (C, H, W), (KH, KW), (OH, OW) = image.shape, kernel_size, size
    if _is_pointwise(kernel_size, size, (H, W), stride, padding):
        yield slice(0, OH * OW), image.reshape(groups, C // groups, OH * OW)
        return
    windows = _windows(_pad(image, padding), kernel_size, size, stride, dilation)  # (C, KH, KW, OH, OW)
    for rows, cols, pixels in _blocks(size, C * KH * KW * image.itemsize):
        block = windows[..., rows, cols]
        yield pixels, block.reshape(groups, C // groups * KH * KW, pixels.stop - pixels.start)  # copies
