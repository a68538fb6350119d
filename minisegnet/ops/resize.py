"""Changing the size of maps: bilinear and nearest, forward and backward."""

from minisegnet.arrays import Array
from minisegnet.ops import checks
from minisegnet.ops.dispatch import kernel
from minisegnet.sizes import IntOrPair


def resize_bilinear(x: Array, size: IntOrPair, *, align_corners: bool = False) -> Array:
    r"""Resize by linear interpolation along both axes (양선형 보간).

    Output row i reads the input at a fractional row: ``(i + 0.5) H/OH - 0.5`` (pixels are small squares; the
    default), or ``i (H-1)/(OH-1)`` with ``align_corners`` (pixels are points, and the corner points stay put).
    A row r + t with 0 <= t < 1 is :math:`(1-t)\,x_r + t\,x_{r+1}`; beyond the border the edge is repeated.

    Parameters
    ----------
    x
        Input (N, C, H, W).
    size
        (OH, OW), or one integer for both.
    align_corners
        Which of the two conventions.

    Returns
    -------
    y
        (N, C, OH, OW).

    Notes
    -----
    Backward: the transpose; each dy goes back to the four pixels that it was mixed from, with the same weights.
    Making a map smaller looks at four pixels only and doesn't average the rest.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[[0.0, 4.0]]]])
    >>> resize_bilinear(x, (1, 4))
    array([[[[0., 1., 3., 4.]]]])
    >>> resize_bilinear(x, (1, 5), align_corners=True)
    array([[[[0., 1., 2., 3., 4.]]]])
    """
    op = "resize_bilinear"
    x = checks.maps(x, "x", op)
    size = checks.pair(size, "size", op, 1)
    align_corners = checks.flag(align_corners, "align_corners", op)
    return kernel(op, x)(checks.contiguous(x), size, align_corners=align_corners)


def resize_bilinear_backward(dy: Array, input_size: IntOrPair, *, align_corners: bool = False) -> Array:
    """Gradient of :func:`resize_bilinear`: each dy goes back to the four pixels that it was mixed from.

    Parameters
    ----------
    dy
        Gradient with respect to y, (N, C, OH, OW).
    input_size
        (H, W) of the forward's input.
    align_corners
        As in the forward.

    Returns
    -------
    dx
        (N, C, H, W).

    Examples
    --------
    >>> import numpy as np
    >>> resize_bilinear_backward(np.ones((1, 1, 1, 4)), (1, 2))
    array([[[[2., 2.]]]])
    """
    op = "resize_bilinear_backward"
    dy = checks.maps(dy, "dy", op)
    input_size = checks.pair(input_size, "input_size", op, 1)
    align_corners = checks.flag(align_corners, "align_corners", op)
    return kernel(op, dy)(checks.contiguous(dy), input_size, align_corners=align_corners)


def resize_nearest(x: Array, size: IntOrPair) -> Array:
    r"""Resize by repeating or dropping pixels (최근접 이웃 보간).

    .. math:: y_{n,c,i,j} = x_{n,c,\lfloor iH/OH \rfloor,\lfloor jW/OW \rfloor}

    The only way to resize a label map: no value is made that wasn't there.

    Parameters
    ----------
    x
        Input (N, C, H, W).
    size
        (OH, OW), or one integer for both.

    Returns
    -------
    y
        (N, C, OH, OW).

    Notes
    -----
    Backward: each pixel sums the gradients of its copies.

    Examples
    --------
    >>> import numpy as np
    >>> resize_nearest(np.array([[[[1.0, 2.0]]]]), (2, 4))[0, 0]
    array([[1., 1., 2., 2.],
           [1., 1., 2., 2.]])
    """
    op = "resize_nearest"
    x = checks.maps(x, "x", op)
    return kernel(op, x)(checks.contiguous(x), checks.pair(size, "size", op, 1))


def resize_nearest_backward(dy: Array, input_size: IntOrPair) -> Array:
    """Gradient of :func:`resize_nearest`: each pixel sums the gradients of its copies.

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
    >>> resize_nearest_backward(np.ones((1, 1, 2, 4)), (1, 2))
    array([[[[4., 4.]]]])
    """
    op = "resize_nearest_backward"
    dy = checks.maps(dy, "dy", op)
    return kernel(op, dy)(checks.contiguous(dy), checks.pair(input_size, "input_size", op, 1))
