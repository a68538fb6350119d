"""Putting maps together and cutting them: concatenate, add, crop and pad, forward and backward."""

from collections.abc import Sequence

from minisegnet.arrays import Array
from minisegnet.ops import checks
from minisegnet.ops.dispatch import kernel
from minisegnet.sizes import IntOrPair, Pair, crop2d_start

MODES = ("zero", "reflect")


# ---------------------------------------------------------------------------------------------------------
# Concatenate and add: the two ways to join a skip connection


def concat(arrays: Sequence[Array], *, axis: int = 1) -> Array:
    """Put arrays one after the other along an axis; axis 1 stacks channels, as U-Net's skips do.

    Parameters
    ----------
    arrays
        A list of arrays of one dtype, equal in shape but for the axis.
    axis
        Where to join; negative ones count from the end.

    Returns
    -------
    y
        Their lengths along the axis add up.

    Notes
    -----
    Backward: cut dy at the same places. O. Ronneberger et al., "U-Net" (2015), figure 1.

    Examples
    --------
    >>> import numpy as np
    >>> concat([np.zeros((1, 1)), np.ones((1, 2))])
    array([[0., 1., 1.]])
    """
    op = "concat"
    if not isinstance(arrays, list | tuple) or not arrays:
        raise TypeError(f"{op}: arrays is {type(arrays).__name__}; expected a list of at least one array")
    first = checks.floats(arrays[0], "arrays[0]", op)
    if first.ndim == 0:
        raise ValueError(f"{op}: arrays[0] has no axes; expected at least one")
    axis = checks.axis(axis, first.ndim, op)
    for i, other in enumerate(arrays[1:], start=1):
        checks.floats(other, f"arrays[{i}]", op, like=first, like_name="arrays[0]")
        expected = (
            *first.shape[:axis],
            other.shape[axis] if other.ndim == first.ndim else -1,
            *first.shape[axis + 1 :],
        )
        if other.shape != expected:
            raise ValueError(
                f"{op}: arrays[{i}] has shape {other.shape}, arrays[0] has {first.shape}; they may differ on axis "
                f"{axis} only. Crop (crop2d) or pad one of them"
            )
    return kernel(op, *arrays)([checks.contiguous(a) for a in arrays], axis=axis)


def concat_backward(dy: Array, sizes: Sequence[int], *, axis: int = 1) -> list[Array]:
    """Gradient of :func:`concat`: dy cut into the parts that it was put together from.

    Parameters
    ----------
    dy
        Gradient with respect to y.
    sizes
        Lengths of the parts along the axis, in order.
    axis
        As in the forward.

    Returns
    -------
    gradients
        A list with one array for each length.

    Examples
    --------
    >>> import numpy as np
    >>> concat_backward(np.array([[1.0, 2.0, 3.0]]), [1, 2])
    [array([[1.]]), array([[2., 3.]])]
    """
    op = "concat_backward"
    dy = checks.floats(dy, "dy", op)
    if dy.ndim == 0:
        raise ValueError(f"{op}: dy has no axes; expected at least one")
    axis = checks.axis(axis, dy.ndim, op)
    if not isinstance(sizes, list | tuple):
        raise TypeError(f"{op}: sizes is {type(sizes).__name__}; expected a list of lengths")
    lengths = [checks.integer(size, f"sizes[{i}]", op, 0) for i, size in enumerate(sizes)]
    if sum(lengths) != dy.shape[axis]:
        raise ValueError(
            f"{op}: sizes {lengths} add up to {sum(lengths)}, but dy has {dy.shape[axis]} along axis {axis} "
            f"(shape {dy.shape})"
        )
    return kernel(op, dy)(checks.contiguous(dy), lengths, axis=axis)


def add(a: Array, b: Array) -> Array:
    """Add two arrays of equal shape; nothing is broadcast. FCN joins its skips like this.

    Parameters
    ----------
    a, b
        Arrays of one shape and dtype.

    Returns
    -------
    y
        ``a + b``.

    Notes
    -----
    Backward: both receive dy. J. Long et al., "Fully convolutional networks" (2015), section 4.2.

    Examples
    --------
    >>> import numpy as np
    >>> add(np.array([1.0, 2.0]), np.array([10.0, 20.0]))
    array([11., 22.])
    """
    op = "add"
    a = checks.floats(a, "a", op)
    b = checks.floats(b, "b", op, like=a, like_name="a")
    checks.shape(b, a.shape, "b", op, "the shape of a; nothing is broadcast")
    return kernel(op, a, b)(checks.contiguous(a), checks.contiguous(b))


def add_backward(dy: Array) -> tuple[Array, Array]:
    """Gradient of :func:`add`: both inputs receive dy (two copies, so that neither can change the other).

    Parameters
    ----------
    dy
        Gradient with respect to y.

    Returns
    -------
    da, db
        Shape of dy.

    Examples
    --------
    >>> import numpy as np
    >>> add_backward(np.array([3.0]))
    (array([3.]), array([3.]))
    """
    dy = checks.floats(dy, "dy", "add_backward")
    return kernel("add_backward", dy)(checks.contiguous(dy))


# ---------------------------------------------------------------------------------------------------------
# Crop and pad


def crop2d(x: Array, size: IntOrPair) -> Array:
    """Cut out the centre: rows from ``(H - h) // 2`` on, columns alike.

    Parameters
    ----------
    x
        Input (N, C, H, W).
    size
        (h, w) of the part to keep, or one integer for both.

    Returns
    -------
    y
        (N, C, h, w).

    Notes
    -----
    Backward: dy in the middle of zeros. U-Net crops its skips like this, because valid convolutions shrink the maps.

    Examples
    --------
    >>> import numpy as np
    >>> crop2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)[0, 0]
    array([[ 5.,  6.],
           [ 9., 10.]])
    """
    op = "crop2d"
    x = checks.maps(x, "x", op)
    size = checks.pair(size, "size", op, 1)
    crop2d_start(x.shape[2:], size)
    return kernel(op, x)(checks.contiguous(x), size)


def crop2d_backward(dy: Array, input_size: IntOrPair) -> Array:
    """Gradient of :func:`crop2d`: dy in the middle of zeros.

    Parameters
    ----------
    dy
        Gradient with respect to y, (N, C, h, w).
    input_size
        (H, W) of the forward's input.

    Returns
    -------
    dx
        (N, C, H, W).

    Examples
    --------
    >>> import numpy as np
    >>> crop2d_backward(np.ones((1, 1, 1, 1)), (3, 3))[0, 0]
    array([[0., 0., 0.],
           [0., 1., 0.],
           [0., 0., 0.]])
    """
    op = "crop2d_backward"
    dy = checks.maps(dy, "dy", op)
    input_size = checks.pair(input_size, "input_size", op, 1)
    crop2d_start(input_size, dy.shape[2:])
    return kernel(op, dy)(checks.contiguous(dy), input_size)


def _reflects(padding: Pair, size: tuple[int, ...], op: str) -> None:
    if padding[0] >= size[0] or padding[1] >= size[1]:
        raise ValueError(
            f"{op}: padding is {padding} for a map of {tuple(size)}; a reflection needs padding smaller than the map"
        )


def pad2d(x: Array, padding: IntOrPair, *, mode: str = "zero") -> Array:
    """Put a border around each map: of zeros, or of the map reflected at its edge.

    Parameters
    ----------
    x
        Input (N, C, H, W).
    padding
        Rows above and below, columns left and right: an integer or an (h, w) pair.
    mode
        ``"zero"`` or ``"reflect"`` (the edge itself isn't repeated; padding is smaller than the map).

    Returns
    -------
    y
        (N, C, H + 2 ph, W + 2 pw).

    Notes
    -----
    Backward: cut the border off; a reflected pixel's gradient is added to the pixel that it mirrors. "U-Net" (2015),
    figure 2, extends pictures by reflection.

    Examples
    --------
    >>> import numpy as np
    >>> pad2d(np.array([[[[1.0, 2.0, 3.0]]]]), (0, 2), mode="reflect")
    array([[[[3., 2., 1., 2., 3., 2., 1.]]]])
    """
    op = "pad2d"
    x = checks.maps(x, "x", op)
    padding = checks.pair(padding, "padding", op, 0)
    mode = checks.choice(mode, MODES, "mode", op)
    if mode == "reflect":
        _reflects(padding, x.shape[2:], op)
    return kernel(op, x)(checks.contiguous(x), padding, mode=mode)


def pad2d_backward(dy: Array, padding: IntOrPair, *, mode: str = "zero") -> Array:
    """Gradient of :func:`pad2d`: the border cut off, or folded back onto the pixels that it mirrors.

    Parameters
    ----------
    dy
        Gradient with respect to y, (N, C, H + 2 ph, W + 2 pw).
    padding, mode
        As in the forward.

    Returns
    -------
    dx
        (N, C, H, W).

    Examples
    --------
    >>> import numpy as np
    >>> pad2d_backward(np.ones((1, 1, 1, 7)), (0, 2), mode="reflect")
    array([[[[2., 3., 2.]]]])
    """
    op = "pad2d_backward"
    dy = checks.maps(dy, "dy", op)
    ph, pw = padding = checks.pair(padding, "padding", op, 0)
    mode = checks.choice(mode, MODES, "mode", op)
    size = (dy.shape[2] - 2 * ph, dy.shape[3] - 2 * pw)
    if min(size) < 1:
        raise ValueError(f"{op}: dy has shape {dy.shape}, too small for a border of {padding} on each side")
    if mode == "reflect":
        _reflects(padding, size, op)
    return kernel(op, dy)(checks.contiguous(dy), padding, mode=mode)
