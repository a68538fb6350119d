"""Pooling and unpooling: max with indices, average, global and adaptive, forward and backward."""

from typing import Any

from minisegnet.arrays import Array
from minisegnet.ops import checks
from minisegnet.ops.dispatch import kernel
from minisegnet.sizes import IntOrPair, Pair, pool2d_size


def _window(
    op: str, kernel_size: IntOrPair, stride: IntOrPair | None, padding: IntOrPair
) -> tuple[Pair, Pair, Pair]:
    kernel_size = checks.pair(kernel_size, "kernel_size", op, 1)
    stride = kernel_size if stride is None else checks.pair(stride, "stride", op, 1)
    return kernel_size, stride, checks.pair(padding, "padding", op, 0)


def _indices(indices: Any, like: Array, size: Pair, op: str, like_name: str) -> Array:
    indices = checks.integers(indices, "indices", op)
    checks.shape(indices, like.shape, "indices", op, f"one index for each element of {like_name}")
    checks.index_range(
        indices,
        0,
        size[0] * size[1] - 1,
        "indices",
        op,
        f"flat positions in a plane of {size[0]} x {size[1]}",
    )
    return checks.contiguous(indices)


# ---------------------------------------------------------------------------------------------------------
# Max pooling and unpooling


def max_pool2d(
    x: Array,
    kernel_size: IntOrPair,
    *,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> tuple[Array, Array]:
    r"""Keep the largest value of each window, and remember where it was (최대 풀링).

    .. math:: y_{n,c,i,j} = \max_{u,v}\; x_{n,c,\,is-p+ud,\,js-p+vd}

    Parameters
    ----------
    x
        Input (N, C, H, W).
    kernel_size, stride, padding, dilation
        An integer or an (h, w) pair. The stride is the kernel size unless given. Padding is minus infinity
        and at most half the kernel.
    ceil_mode
        Let the last window hang over the right and bottom edge instead of leaving the rest out. A window that
        would start in the padding there is dropped.

    Returns
    -------
    y
        (N, C, OH, OW).
    indices
        int64, same shape: the flat position of each maximum in its H x W plane (padding not counted). Among
        equal values the first in row-major order wins. A NaN wins over everything; of several the last.

    Notes
    -----
    Backward: each dy goes to the position that won. V. Badrinarayanan, A. Kendall and R. Cipolla, "SegNet"
    (2017), section 3, keeps the indices for its decoder.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[[1.0, 2, 6, 3], [3, 5, 2, 1], [1, 2, 2, 1], [7, 3, 4, 8]]]])
    >>> y, indices = max_pool2d(x, 2)
    >>> y[0, 0]
    array([[5., 6.],
           [7., 8.]])
    >>> indices[0, 0]
    array([[ 5,  2],
           [12, 15]])
    """
    op = "max_pool2d"
    x = checks.maps(x, "x", op)
    kernel_size, stride, padding = _window(op, kernel_size, stride, padding)
    dilation = checks.pair(dilation, "dilation", op, 1)
    ceil_mode = checks.flag(ceil_mode, "ceil_mode", op)
    options: dict[str, Any] = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "ceil_mode": ceil_mode,
    }
    pool2d_size(x.shape[2:], kernel_size, **options)
    return kernel(op, x)(checks.contiguous(x), kernel_size, **options)


def max_pool2d_backward(dy: Array, indices: Array, input_size: IntOrPair) -> Array:
    """Gradient of :func:`max_pool2d` (and of :func:`adaptive_max_pool2d`): add each dy where its maximum was.

    Where windows overlap, one input can be the maximum of several; their gradients add.

    Parameters
    ----------
    dy
        Gradient with respect to y, (N, C, OH, OW).
    indices
        The forward's indices, of dy's shape and any integer dtype.
    input_size
        (H, W) of the forward's input.

    Returns
    -------
    dx
        (N, C, H, W).

    Examples
    --------
    >>> import numpy as np
    >>> max_pool2d_backward(np.array([[[[1.0, 2.0]]]]), np.array([[[[3, 3]]]]), (2, 2))[0, 0]
    array([[0., 0.],
           [0., 3.]])
    """
    op = "max_pool2d_backward"
    dy = checks.maps(dy, "dy", op)
    input_size = checks.pair(input_size, "input_size", op, 1)
    indices = _indices(indices, dy, input_size, op, "dy")
    return kernel(op, dy, indices)(checks.contiguous(dy), indices, input_size)


def max_unpool2d(x: Array, indices: Array, output_size: IntOrPair) -> Array:
    """Put each value back to where its maximum once was; everything else is 0 (언풀링).

    Parameters
    ----------
    x
        Values (N, C, H, W), in SegNet the decoder's own.
    indices
        Positions from :func:`max_pool2d`, of x's shape and any integer dtype.
    output_size
        (OH, OW), the size before the pooling; it can't be known from x alone.

    Returns
    -------
    y
        (N, C, OH, OW). Where an index occurs twice, the last in row-major order stays.

    Notes
    -----
    Backward: each input reads its gradient at its own place. "SegNet" (2017), section 3, figure 3.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> indices = np.array([[[[5, 2], [12, 15]]]])
    >>> max_unpool2d(x, indices, (4, 4))[0, 0]
    array([[0., 0., 2., 0.],
           [0., 1., 0., 0.],
           [0., 0., 0., 0.],
           [3., 0., 0., 4.]])
    """
    op = "max_unpool2d"
    x = checks.maps(x, "x", op)
    output_size = checks.pair(output_size, "output_size", op, 1)
    indices = _indices(indices, x, output_size, op, "x")
    return kernel(op, x, indices)(checks.contiguous(x), indices, output_size)


def max_unpool2d_backward(dy: Array, indices: Array) -> Array:
    """Gradient of :func:`max_unpool2d`: ``dx = dy[indices]``, a gather.

    Parameters
    ----------
    dy
        Gradient with respect to y, (N, C, OH, OW).
    indices
        The forward's indices, (N, C, H, W).

    Returns
    -------
    dx
        (N, C, H, W).

    Examples
    --------
    >>> import numpy as np
    >>> max_unpool2d_backward(np.arange(4.0).reshape(1, 1, 2, 2), np.array([[[[3, 0]]]]))
    array([[[[3., 0.]]]])
    """
    op = "max_unpool2d_backward"
    dy = checks.maps(dy, "dy", op)
    indices = checks.array(indices, "indices", op)
    checks.rank(indices, 4, "indices", op)
    if indices.shape[:2] != dy.shape[:2]:
        raise ValueError(f"{op}: indices has shape {indices.shape} and dy {dy.shape}; expected equal N and C")
    if 0 in indices.shape[2:]:
        raise ValueError(f"{op}: indices has shape {indices.shape}; only the batch axis may be empty")
    size = (int(dy.shape[2]), int(dy.shape[3]))
    indices = _indices(indices, indices, size, op, "x")
    return kernel(op, dy, indices)(checks.contiguous(dy), indices)


# ---------------------------------------------------------------------------------------------------------
# Average pooling


def avg_pool2d(
    x: Array,
    kernel_size: IntOrPair,
    *,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    r"""Average each window (평균 풀링).

    .. math:: y_{n,c,i,j} = \frac{1}{\text{count}} \sum_{u,v} x_{n,c,\,is-p+u,\,js-p+v}

    Parameters
    ----------
    x
        Input (N, C, H, W).
    kernel_size, stride, padding, ceil_mode
        As in :func:`max_pool2d`; padding is 0 here.
    count_include_pad
        Whether padding counts in the divisor. Where a window hangs over the padded input (``ceil_mode``), what
        lies beyond the padding never counts.

    Returns
    -------
    y
        (N, C, OH, OW).

    Notes
    -----
    Backward: each dy spreads evenly over its window.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)[0, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    op = "avg_pool2d"
    x = checks.maps(x, "x", op)
    kernel_size, options = _average_window(
        op, x.shape[2:], kernel_size, stride, padding, ceil_mode, count_include_pad
    )
    return kernel(op, x)(checks.contiguous(x), kernel_size, **options)


def _average_window(
    op: str,
    size: tuple[int, ...],
    kernel_size: IntOrPair,
    stride: IntOrPair | None,
    padding: IntOrPair,
    ceil_mode: bool,
    count_include_pad: bool,
) -> tuple[Pair, dict[str, Any]]:
    kernel_size, stride, padding = _window(op, kernel_size, stride, padding)
    ceil_mode = checks.flag(ceil_mode, "ceil_mode", op)
    count_include_pad = checks.flag(count_include_pad, "count_include_pad", op)
    options: dict[str, Any] = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    pool2d_size(size, kernel_size, **options)
    return kernel_size, {**options, "count_include_pad": count_include_pad}


def avg_pool2d_backward(
    dy: Array,
    input_size: IntOrPair,
    kernel_size: IntOrPair,
    *,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """Gradient of :func:`avg_pool2d`: every input of a window receives dy divided by the window's count.

    Parameters
    ----------
    dy
        Gradient with respect to y, (N, C, OH, OW).
    input_size
        (H, W) of the forward's input.
    kernel_size, stride, padding, ceil_mode, count_include_pad
        As in the forward.

    Returns
    -------
    dx
        (N, C, H, W).

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool2d_backward(np.full((1, 1, 1, 1), 8.0), (2, 3), (2, 2))[0, 0]
    array([[2., 2., 0.],
           [2., 2., 0.]])
    """
    op = "avg_pool2d_backward"
    dy = checks.maps(dy, "dy", op)
    H, W = checks.pair(input_size, "input_size", op, 1)
    kernel_size, options = _average_window(
        op, (H, W), kernel_size, stride, padding, ceil_mode, count_include_pad
    )
    window = {name: options[name] for name in ("stride", "padding", "ceil_mode")}
    size = pool2d_size((H, W), kernel_size, **window)
    checks.shape(dy, (*dy.shape[:2], *size), "dy", op, "the shape of the forward's output")
    return kernel(op, dy)(checks.contiguous(dy), (H, W), kernel_size, **options)


def global_avg_pool2d(x: Array) -> Array:
    r"""Average each channel over the whole map: :math:`y_{n,c} = \frac{1}{HW} \sum_{i,j} x_{n,c,i,j}`.

    Parameters
    ----------
    x
        Input (N, C, H, W).

    Returns
    -------
    y
        (N, C, 1, 1).

    Notes
    -----
    Backward: every pixel receives dy / (H W). M. Lin, Q. Chen and S. Yan, "Network in network" (2014), section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> global_avg_pool2d(np.arange(8.0).reshape(1, 2, 2, 2))[0, :, 0, 0]
    array([1.5, 5.5])
    """
    op = "global_avg_pool2d"
    x = checks.maps(x, "x", op)
    return kernel(op, x)(checks.contiguous(x))


def global_avg_pool2d_backward(dy: Array, input_size: IntOrPair) -> Array:
    """Gradient of :func:`global_avg_pool2d`: every pixel receives dy / (H W).

    Parameters
    ----------
    dy
        Gradient with respect to y, (N, C, 1, 1).
    input_size
        (H, W) of the forward's input.

    Returns
    -------
    dx
        (N, C, H, W).

    Examples
    --------
    >>> import numpy as np
    >>> global_avg_pool2d_backward(np.full((1, 1, 1, 1), 6.0), (1, 3))
    array([[[[2., 2., 2.]]]])
    """
    op = "global_avg_pool2d_backward"
    dy = checks.maps(dy, "dy", op)
    checks.shape(dy, (*dy.shape[:2], 1, 1), "dy", op, "the shape of the forward's output")
    return kernel(op, dy)(checks.contiguous(dy), checks.pair(input_size, "input_size", op, 1))


# ---------------------------------------------------------------------------------------------------------
# Adaptive pooling


def adaptive_max_pool2d(x: Array, output_size: IntOrPair) -> tuple[Array, Array]:
    """Divide the map into output_size bins and keep each bin's largest value.

    Bin i covers rows ``floor(i H / OH)`` to ``ceil((i+1) H / OH)`` (the last not included), so that the
    bins cover the map and may overlap by one row.

    Parameters
    ----------
    x
        Input (N, C, H, W), of any size.
    output_size
        An integer or an (OH, OW) pair.

    Returns
    -------
    y, indices
        (N, C, OH, OW), values and int64 flat positions, with :func:`max_pool2d`'s rules.

    Notes
    -----
    Backward: :func:`max_pool2d_backward`. K. He et al., "Spatial pyramid pooling" (2014), section 2.2, makes
    a vector of fixed length from a map of any size with it.

    Examples
    --------
    >>> import numpy as np
    >>> y, indices = adaptive_max_pool2d(np.arange(15.0).reshape(1, 1, 3, 5), (1, 2))
    >>> y[0, 0], indices[0, 0]
    (array([[12., 14.]]), array([[12, 14]]))
    """
    op = "adaptive_max_pool2d"
    x = checks.maps(x, "x", op)
    return kernel(op, x)(checks.contiguous(x), checks.pair(output_size, "output_size", op, 1))


def adaptive_avg_pool2d(x: Array, output_size: IntOrPair) -> Array:
    """Divide the map into output_size bins (as :func:`adaptive_max_pool2d` does) and average each.

    Parameters
    ----------
    x
        Input (N, C, H, W), of any size.
    output_size
        An integer or an (OH, OW) pair.

    Returns
    -------
    y
        (N, C, OH, OW).

    Notes
    -----
    Backward: each dy spreads evenly over its bin; where bins overlap, gradients add.

    Examples
    --------
    >>> import numpy as np
    >>> adaptive_avg_pool2d(np.arange(5.0).reshape(1, 1, 1, 5), (1, 2))
    array([[[[1., 3.]]]])
    """
    op = "adaptive_avg_pool2d"
    x = checks.maps(x, "x", op)
    return kernel(op, x)(checks.contiguous(x), checks.pair(output_size, "output_size", op, 1))


def adaptive_avg_pool2d_backward(dy: Array, input_size: IntOrPair) -> Array:
    """Gradient of :func:`adaptive_avg_pool2d`: each dy spreads evenly over its bin.

    Parameters
    ----------
    dy
        Gradient with respect to y, (N, C, OH, OW).
    input_size
        (H, W) of the forward's input.

    Returns
    -------
    dx
        (N, C, H, W).

    Examples
    --------
    >>> import numpy as np
    >>> adaptive_avg_pool2d_backward(np.array([[[[3.0, 6.0]]]]), (1, 5))
    array([[[[1., 1., 3., 2., 2.]]]])
    """
    op = "adaptive_avg_pool2d_backward"
    dy = checks.maps(dy, "dy", op)
    return kernel(op, dy)(checks.contiguous(dy), checks.pair(input_size, "input_size", op, 1))
