"""Pooling of regions of interest: a box of any size becomes a map of a fixed size.

The loops run over regions and their bins, which are few; each step works on all channels at once.
"""

import math

import numpy as np

from minisegnet.arrays import Array
from minisegnet.sizes import Pair

from .pool import add_at, maximum_and_place
from .threads import one_blas_thread

# ---------------------------------------------------------------------------------------------------------
# RoI max pooling


@np.errstate(over="ignore", invalid="ignore")
def roi_pool(x: Array, rois: Array, output_size: Pair, *, spatial_scale: float) -> tuple[Array, Array]:
    """The maximum of each bin of each region, over all channels at once, and where it was."""
    (_, C, H, W), R, (OH, OW) = x.shape, rois.shape[0], output_size
    y = np.zeros((R, C, OH, OW), x.dtype)  # an empty bin gives 0
    argmax = np.full((R, C, OH, OW), -1, np.int64)  # and came from nowhere
    corners = _round_half_away(rois[:, 1:] * float(spatial_scale)).tolist()  # (R, 4), Python integers
    for r, (x1, y1, x2, y2) in enumerate(corners):
        image = x[int(rois[r, 0])]  # (C, H, W)
        rows = [_bin(y1, y2, i, OH, H) for i in range(OH)]
        cols = [_bin(x1, x2, j, OW, W) for j in range(OW)]
        for i, (top, bottom) in enumerate(rows):
            for j, (left, right) in enumerate(cols):
                if top < bottom and left < right:
                    y[r, :, i, j], place = maximum_and_place(image[:, top:bottom, left:right])
                    argmax[r, :, i, j] = (top + place // (right - left)) * W + left + place % (right - left)
    return y, argmax


def _round_half_away(values):
    """Round to integers, halves away from zero (NumPy's `round` takes them to the even neighbour)."""
    whole = np.floor(np.abs(values))
    whole += np.abs(values) - whole >= 0.5  # exact, where floor(value + 0.5) is not just below a half
    return np.copysign(whole, values).astype(np.int64)


def _bin(first, last, i, bins, size):
    """Rows (or columns) start to stop of bin i, clipped to the map; both ends of the roi belong to it."""
    extent = max(last - first + 1, 1)
    start, stop = first + i * extent // bins, first - (-(i + 1) * extent // bins)
    return min(max(start, 0), size), min(max(stop, 0), size)


@np.errstate(over="ignore", invalid="ignore")
def roi_pool_backward(dy: Array, argmax: Array, rois: Array, input_shape: tuple[int, int, int, int]) -> Array:
    """Add each gradient where its maximum was."""
    N, C, H, W = input_shape
    dx = np.empty((N, C, H, W), dy.dtype)
    batch = rois[:, 0].astype(np.int64)
    positions = np.arange(C).reshape(C, 1, 1) * (H * W) + argmax  # (R, C, OH, OW), in an image's flat C*H*W
    for n in range(N):
        counts = (batch == n)[:, None, None, None] & (argmax >= 0)  # (R, C, OH, OW)
        dx[n] = add_at(positions[counts], dy[counts], C * H * W).reshape(C, H, W)
    return dx


# ---------------------------------------------------------------------------------------------------------
# RoI align. The samples of a bin form a grid, and bilinear interpolation is separable. So a bin's sum is a
# weighted sum of a few rows, and then of a few columns of the result. The backward uses the same weights.


@np.errstate(over="ignore", invalid="ignore")
@one_blas_thread()
def roi_align(
    x: Array, rois: Array, output_size: Pair, *, spatial_scale: float, sampling_ratio: int, aligned: bool
) -> Array:
    """A weighted sum of each bin's rows, and then of the columns of what came out."""
    (_, C, H, W), R, (OH, OW) = x.shape, rois.shape[0], output_size
    y = np.empty((R, C, OH, OW), x.dtype)
    for r in range(R):
        image = x[int(rois[r, 0])]  # (C, H, W)
        _, x1, y1, x2, y2 = rois[r]
        rows = _bin_weights(y1, y2, OH, H, spatial_scale, sampling_ratio, aligned)
        cols = _bin_weights(x1, x2, OW, W, spatial_scale, sampling_ratio, aligned)
        span, cols = _span(cols)
        for i, (row, row_weight) in enumerate(rows):
            strip = np.matmul(row_weight, image[:, row, span])  # (C, width of the roi): the bin's rows as one
            for j, (col, col_weight) in enumerate(cols):
                y[r, :, i, j] = np.matmul(strip[:, col], col_weight)
    return y


@np.errstate(over="ignore", invalid="ignore")
def roi_align_backward(
    dy: Array,
    rois: Array,
    input_shape: tuple[int, int, int, int],
    *,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Array:
    """The same weights the other way: first to the columns, and then to the rows."""
    (_, C, H, W), (R, _, OH, OW) = input_shape, dy.shape
    dx = np.zeros(input_shape, dy.dtype)
    for r in range(R):
        image = dx[int(rois[r, 0])]  # (C, H, W)
        _, x1, y1, x2, y2 = rois[r]
        rows = _bin_weights(y1, y2, OH, H, spatial_scale, sampling_ratio, aligned)
        cols = _bin_weights(x1, x2, OW, W, spatial_scale, sampling_ratio, aligned)
        span, cols = _span(cols)
        for i, (row, row_weight) in enumerate(rows):
            strip = np.zeros((C, span.stop - span.start), dy.dtype)
            for j, (col, col_weight) in enumerate(cols):
                strip[:, col] += dy[r, :, i, j, None] * col_weight  # a bin's columns are all different,
            image[:, row, span] += strip[:, None, :] * row_weight[:, None]  # and so are its rows: += is right
    return dx


def _bin_weights(first, last, bins, size, spatial_scale, sampling_ratio, aligned):
    """For each bin on one axis: which rows (or columns) its samples touch, and with what weight."""
    dtype = first.dtype
    offset = 0.5 if aligned else 0.0
    start = first * dtype.type(spatial_scale) - dtype.type(offset)
    extent = last * dtype.type(spatial_scale) - dtype.type(offset) - start
    if not aligned:
        extent = max(extent, dtype.type(1))
    length = extent / dtype.type(bins)  # of a bin
    grid = sampling_ratio if sampling_ratio > 0 else math.ceil(length)  # samples in a bin
    result = []
    for i in range(bins):
        begin = start + dtype.type(i) * length
        t = _steps_near_map(begin, length, grid, size).astype(dtype)
        position = begin + (t + dtype.type(0.5)) * length / dtype.type(max(grid, 1))
        result.append(_interpolation_weights(position, size, max(grid, 1)))
    return result


def _span(cols):
    """The columns from the first to the last that any bin touches, and each bin's columns counted from there."""
    touched = np.concatenate([col for col, _ in cols])
    if touched.size == 0:
        return slice(0, 0), cols
    first = int(touched.min())
    return slice(first, int(touched.max()) + 1), [(col - first, weight) for col, weight in cols]


def _steps_near_map(begin, length, grid, size):
    """The steps of a bin's samples without those that are far outside the map, which may be billions."""
    begin, length = float(begin), float(length)
    if grid <= 2 * size + 4 or not length > 0:
        return np.arange(grid)
    rounding = 1 + 1e-6 * (abs(begin) + length)  # what float32 may move a position
    first = math.floor((-1 - rounding - begin) / length * grid)
    stop = math.ceil((size + rounding - begin) / length * grid)
    return np.arange(max(first, 0), min(max(stop, 0), grid))


def _interpolation_weights(position, size, grid):
    """Bilinear weights on one axis, added up over a bin's samples and divided by their number."""
    position = position[(position >= -1) & (position <= size)]  # samples outside count as 0
    position = np.minimum(np.maximum(position, 0), size - 1)
    low = position.astype(np.int64)
    high = np.minimum(low + 1, size - 1)
    fraction = position - low
    touched, place = np.unique(np.concatenate([low, high]), return_inverse=True)
    weight = np.bincount(place, weights=np.concatenate([1 - fraction, fraction]), minlength=len(touched))
    return touched, (weight / grid).astype(position.dtype)
