"""Pooling of regions of interest (관심 영역, RoI): a box of any size becomes a small map of fixed size."""

from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.ops import checks
from minisegnet.ops.dispatch import is_cupy, kernel
from minisegnet.sizes import IntOrPair

LARGEST_COORDINATE = 2**31
MOST_SAMPLES = 1024  # per cell and axis: more would only take memory


def _rois(rois: Any, like: Array, like_name: str, N: int, op: str) -> Array:
    """Check the shape and the batch index: all that roi_pool's backward reads."""
    rois = checks.floats(rois, "rois", op, like=like, like_name=like_name)
    if rois.ndim != 2 or rois.shape[1] != 5:
        raise ValueError(
            f"{op}: rois has shape {rois.shape}; expected (R, 5), each row: batch index, x1, y1, x2, y2"
        )
    if not is_cupy(rois):
        batch = rois[:, 0]
        wrong = ~((batch >= 0) & (batch < N) & (batch == np.floor(batch)))
        if wrong.any():
            raise ValueError(
                f"{op}: {int(wrong.sum())} rois have a batch index that is no whole number from 0 to {N - 1} "
                f"(the first: {float(batch[wrong][0])})"
            )
    return checks.contiguous(rois)


def _check_corners(rois: Array, spatial_scale: float, op: str) -> None:
    if is_cupy(rois):
        return
    with np.errstate(over="ignore", invalid="ignore"):
        scale = rois.dtype.type(spatial_scale)
        corners = np.abs(rois[:, 1:] * scale)
    if not np.isfinite(scale):
        raise ValueError(f"{op}: spatial_scale is {spatial_scale}, which {rois.dtype} can't hold")
    if not (corners < LARGEST_COORDINATE).all():  # NaN compares as false, too
        raise ValueError(
            f"{op}: rois has corners that are NaN, infinite or beyond 2**31; expected pixel coordinates"
        )


def _spatial_scale(value: Any, op: str) -> float:
    scale = checks.number(value, "spatial_scale", op)
    if scale <= 0:
        raise ValueError(
            f"{op}: spatial_scale is {scale}; expected a positive number, such as 1/16 after 4 poolings"
        )
    return scale


def _input_shape(value: Any, dy: Array, op: str) -> tuple[int, int, int, int]:
    if not isinstance(value, tuple | list) or len(value) != 4:
        raise ValueError(f"{op}: input_shape is {value!r}; expected the forward's x.shape, (N, C, H, W)")
    N = checks.integer(value[0], "input_shape[0]", op, 0)
    C, H, W = (checks.integer(value[axis], f"input_shape[{axis}]", op, 1) for axis in (1, 2, 3))
    if C != dy.shape[1]:
        raise ValueError(
            f"{op}: dy has {dy.shape[1]} channels (shape {dy.shape}), input_shape {tuple(value)} has {C}"
        )
    return N, C, H, W


def roi_pool(
    x: Array, rois: Array, output_size: IntOrPair, *, spatial_scale: float = 1.0
) -> tuple[Array, Array]:
    """Divide each region into a fixed grid and keep the largest value of every cell (RoI 풀링).

    Corners are multiplied by ``spatial_scale`` and rounded (halves away from zero); both belong to the region, so that
    its height is ``h = y2 - y1 + 1`` (at least 1). Cell i covers rows ``floor(i h / OH)`` to ``ceil((i+1) h / OH)``.

    Parameters
    ----------
    x
        Maps (N, C, H, W).
    rois
        (R, 5), of x's dtype; each row: batch index, x1, y1, x2, y2 in picture coordinates.
    output_size
        (OH, OW), or one integer for both.
    spatial_scale
        From picture to map coordinates: 1/16 after four poolings by 2.

    Returns
    -------
    y
        (R, C, OH, OW); a cell that lies outside the map is 0.
    argmax
        int64, same shape: flat position of each maximum in its plane, -1 for an empty cell.

    Notes
    -----
    Backward: each dy goes to the pixel that won; regions that overlap add. R. Girshick, "Fast R-CNN" (2015),
    section 2.1.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> y, argmax = roi_pool(x, np.array([[0.0, 0, 0, 3, 1]]), 2)  # the upper half
    >>> y[0, 0]
    array([[1., 3.],
           [5., 7.]])
    """
    op = "roi_pool"
    x = checks.maps(x, "x", op)
    output_size = checks.pair(output_size, "output_size", op, 1)
    spatial_scale = _spatial_scale(spatial_scale, op)
    rois = _rois(rois, x, "x", x.shape[0], op)
    _check_corners(rois, spatial_scale, op)
    return kernel(op, x, rois)(checks.contiguous(x), rois, output_size, spatial_scale=spatial_scale)


def roi_pool_backward(dy: Array, argmax: Array, rois: Array, input_shape: tuple[int, int, int, int]) -> Array:
    """Gradient of :func:`roi_pool` with respect to x: each dy goes to the pixel that won.

    Parameters
    ----------
    dy
        Gradient with respect to y, (R, C, OH, OW).
    argmax
        The forward's argmax, of dy's shape and any integer dtype.
    rois
        The forward's regions (R, 5); only the batch index is read.
    input_shape
        The forward's ``x.shape``.

    Returns
    -------
    dx
        (N, C, H, W).

    Examples
    --------
    >>> import numpy as np
    >>> rois = np.zeros((2, 5))  # two regions that share a pixel
    >>> dx = roi_pool_backward(np.ones((2, 1, 1, 1)), np.full((2, 1, 1, 1), 3), rois, (1, 1, 2, 2))
    >>> dx[0, 0]
    array([[0., 0.],
           [0., 2.]])
    """
    op = "roi_pool_backward"
    dy = checks.maps(dy, "dy", op)
    input_shape = _input_shape(input_shape, dy, op)
    rois = _rois(rois, dy, "dy", input_shape[0], op)
    checks.shape(rois, (dy.shape[0], 5), "rois", op, "one row for each dy[r]")
    argmax = checks.integers(argmax, "argmax", op)
    checks.shape(argmax, dy.shape, "argmax", op, "one position for each element of dy")
    last = input_shape[2] * input_shape[3] - 1
    checks.index_range(
        argmax, -1, last, "argmax", op, f"flat positions in a plane of input_shape {input_shape}"
    )
    run = kernel(op, dy, argmax, rois)
    return run(checks.contiguous(dy), checks.contiguous(argmax), rois, input_shape)


def roi_align(
    x: Array,
    rois: Array,
    output_size: IntOrPair,
    *,
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    aligned: bool = False,
) -> Array:
    """Divide each region into a fixed grid and average bilinear samples in every cell; nothing is rounded.

    Parameters
    ----------
    x
        Maps (N, C, H, W).
    rois
        (R, 5), of x's dtype; each row: batch index, x1, y1, x2, y2 in picture coordinates.
    output_size
        (OH, OW), or one integer for both.
    spatial_scale
        From picture to map coordinates: 1/16 after four poolings by 2.
    sampling_ratio
        Samples per cell and axis; 0 (or less) means as many as the cell has pixels, rounded up.
    aligned
        True shifts by half a pixel, so that pixel centres lie at whole coordinates plus a half (and boxes must have
        x2 >= x1 and y2 >= y1). False is the older convention, in which regions are at least 1 x 1.

    Returns
    -------
    y
        (R, C, OH, OW). A sample more than one pixel outside the map counts as 0.

    Notes
    -----
    Backward: each dy spreads over the pixels that its samples were mixed from. K. He et al., "Mask R-CNN" (2017),
    section 3.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> roi_align(x, np.array([[0.0, 1, 1, 3, 3]]), 2, aligned=True)[0, 0]  # whole pixels: a plain crop
    array([[ 5.,  6.],
           [ 9., 10.]])
    """
    op = "roi_align"
    x = checks.maps(x, "x", op)
    output_size = checks.pair(output_size, "output_size", op, 1)
    rois, options = _align_arguments(rois, x, "x", x.shape[0], spatial_scale, sampling_ratio, aligned, op)
    return kernel(op, x, rois)(checks.contiguous(x), rois, output_size, **options)


def _align_arguments(
    rois: Any,
    like: Array,
    like_name: str,
    N: int,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
    op: str,
) -> tuple[Array, dict[str, Any]]:
    spatial_scale = _spatial_scale(spatial_scale, op)
    sampling_ratio = max(0, checks.integer(sampling_ratio, "sampling_ratio", op, maximum=MOST_SAMPLES))
    aligned = checks.flag(aligned, "aligned", op)
    rois = _rois(rois, like, like_name, N, op)
    _check_corners(rois, spatial_scale, op)
    if aligned and not is_cupy(rois):
        inverted = (rois[:, 3] < rois[:, 1]) | (rois[:, 4] < rois[:, 2])
        if inverted.any():
            raise ValueError(
                f"{op}: {int(inverted.sum())} rois have x2 < x1 or y2 < y1 (the first is row "
                f"{int(np.argmax(inverted))}); with aligned=True corners must be in order"
            )
    return rois, {"spatial_scale": spatial_scale, "sampling_ratio": sampling_ratio, "aligned": aligned}


def roi_align_backward(
    dy: Array,
    rois: Array,
    input_shape: tuple[int, int, int, int],
    *,
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    aligned: bool = False,
) -> Array:
    """Gradient of :func:`roi_align` with respect to x: the same bilinear weights, the other way.

    Parameters
    ----------
    dy
        Gradient with respect to y, (R, C, OH, OW).
    rois
        The forward's regions (R, 5).
    input_shape
        The forward's ``x.shape``.
    spatial_scale, sampling_ratio, aligned
        As in the forward.

    Returns
    -------
    dx
        (N, C, H, W).

    Examples
    --------
    >>> import numpy as np
    >>> roi_align_backward(np.ones((1, 1, 1, 1)), np.array([[0.0, 0, 0, 1, 1]]), (1, 1, 2, 2))[0, 0]
    array([[0.25, 0.25],
           [0.25, 0.25]])
    """
    op = "roi_align_backward"
    dy = checks.maps(dy, "dy", op)
    input_shape = _input_shape(input_shape, dy, op)
    rois, options = _align_arguments(
        rois, dy, "dy", input_shape[0], spatial_scale, sampling_ratio, aligned, op
    )
    checks.shape(rois, (dy.shape[0], 5), "rois", op, "one row for each dy[r]")
    return kernel(op, dy, rois)(checks.contiguous(dy), rois, input_shape, **options)
