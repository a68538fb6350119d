"""Convolution and transposed convolution, forward and backward."""

from minisegnet.arrays import Array
from minisegnet.ops import checks
from minisegnet.ops.dispatch import kernel
from minisegnet.sizes import IntOrPair, Pair, conv2d_size, conv_transpose2d_size


def _geometry(
    op: str, stride: IntOrPair, padding: IntOrPair, dilation: IntOrPair, groups: int
) -> tuple[Pair, Pair, Pair, int]:
    return (
        checks.pair(stride, "stride", op, 1),
        checks.pair(padding, "padding", op, 0),
        checks.pair(dilation, "dilation", op, 1),
        checks.integer(groups, "groups", op, 1),
    )


def _weights(w: Array, x: Array, op: str) -> Array:
    w = checks.floats(w, "w", op, like=x)
    checks.rank(w, 4, "w", op, "(out channels, in channels, KH, KW)")
    if 0 in w.shape:
        raise ValueError(f"{op}: w has shape {w.shape}; expected every axis to be at least 1")
    return w


def _bias(b: Array | None, x: Array, K: int, op: str) -> Array | None:
    if b is None:
        return None
    b = checks.floats(b, "b", op, like=x)
    checks.shape(b, (K,), "b", op, "one bias for each output channel")
    return checks.contiguous(b)


def _conv2d_channels(op: str, x: Array, w: Array, groups: int) -> None:
    C, (K, C_of_group) = x.shape[1], w.shape[:2]
    if C % groups or K % groups:
        raise ValueError(
            f"{op}: groups is {groups}, but it must divide the {C} input channels and the {K} output channels"
        )
    if C != C_of_group * groups:
        raise ValueError(
            f"{op}: x has {C} channels and w has shape {w.shape} (K, C/groups, KH, KW); with groups={groups} "
            f"w's second axis must be {C // groups}"
        )


def conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Array:
    r"""Slide filters over the input and sum products: the convolution of deep learning (합성곱).

    .. math:: y_{n,k,i,j} = b_k + \sum_{c,u,v} w_{k,c,u,v}\; x_{n,c,\,is-p+ud,\,js-p+vd}

    with stride s, padding p and dilation d; positions outside the input count as 0. The filter isn't
    flipped, so strictly speaking this is a cross-correlation.

    Parameters
    ----------
    x
        Input (N, C, H, W).
    w
        Filters (K, C/groups, KH, KW).
    b
        Bias (K,), or None.
    stride, padding, dilation
        An integer, or an (h, w) pair.
    groups
        Channels are split into this many groups that don't see each other; ``groups=C`` is a depthwise
        convolution.

    Returns
    -------
    y
        (N, K, OH, OW) with ``OH = floor((H + 2p - d(KH-1) - 1) / s) + 1``.

    Notes
    -----
    Backward: dw sums dy times the input that each weight met; dx gives each input dy times the weights that
    it met. V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning" (2016), chapter 2.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> w = np.array([[[[1.0, 0.0], [0.0, 2.0]]]])  # this pixel, plus twice the one right below it
    >>> conv2d(x, w)[0, 0]
    array([[ 8., 11.],
           [17., 20.]])
    """
    return _forward("conv2d", x, w, b, stride, padding, dilation, groups)


def _forward(
    op: str,
    x: Array,
    w: Array,
    b: Array | None,
    stride: IntOrPair,
    padding: IntOrPair,
    dilation: IntOrPair,
    groups: int,
) -> Array:
    """Check the arguments of ``conv2d`` or ``conv2d_relu`` and run its kernel."""
    x = checks.maps(x, "x", op)
    w = _weights(w, x, op)
    stride, padding, dilation, groups = _geometry(op, stride, padding, dilation, groups)
    _conv2d_channels(op, x, w, groups)
    b = _bias(b, x, w.shape[0], op)
    conv2d_size(x.shape[2:], w.shape[2:], stride=stride, padding=padding, dilation=dilation)
    run = kernel(op, x, w, b)
    x, w = checks.contiguous(x), checks.contiguous(w)
    y: Array = run(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return y


def conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    *,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
    need_dx: bool = True,
) -> tuple[Array | None, Array, Array]:
    r"""Gradients of :func:`conv2d` with respect to input, filters and bias.

    .. math::
        db_k = \sum_{n,i,j} dy_{n,k,i,j} \qquad
        dw_{k,c,u,v} = \sum_{n,i,j} dy_{n,k,i,j}\; x_{n,c,\,is-p+ud,\,js-p+vd}

    and dx is a transposed convolution: every dy spreads a copy of the filter over the inputs that it came from.

    Parameters
    ----------
    dy
        Gradient of the loss with respect to y, (N, K, OH, OW).
    x, w, stride, padding, dilation, groups
        As in the forward.
    need_dx
        False for a first layer: dx is then None and costs nothing.

    Returns
    -------
    dx, dw, db
        Shapes of x and w, and (K,).

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> w = np.array([[[[1.0, 0.0], [0.0, 2.0]]]])
    >>> dx, dw, db = conv2d_backward(np.ones((1, 1, 2, 2)), x, w)
    >>> dx[0, 0]
    array([[1., 1., 0.],
           [1., 3., 2.],
           [0., 2., 2.]])
    >>> dw[0, 0], db
    (array([[ 8., 12.],
           [20., 24.]]), array([4.]))
    """
    geometry = stride, padding, dilation, groups
    return _backward("conv2d_backward", {"dy": dy}, x, w, *geometry, need_dx)


def _backward(
    op: str,
    like_y: dict[str, Array],
    x: Array,
    w: Array,
    stride: IntOrPair,
    padding: IntOrPair,
    dilation: IntOrPair,
    groups: int,
    need_dx: bool,
) -> tuple[Array | None, Array, Array]:
    """Check the arguments of ``conv2d_backward`` (dy) or ``conv2d_relu_backward`` (dy, y) and run its kernel."""
    x = checks.maps(x, "x", op)
    w = _weights(w, x, op)
    stride, padding, dilation, groups = _geometry(op, stride, padding, dilation, groups)
    _conv2d_channels(op, x, w, groups)
    need_dx = checks.flag(need_dx, "need_dx", op)
    size = conv2d_size(x.shape[2:], w.shape[2:], stride=stride, padding=padding, dilation=dilation)
    given = [checks.floats(value, name, op, like=x) for name, value in like_y.items()]
    for name, value in zip(like_y, given, strict=True):
        checks.shape(value, (x.shape[0], w.shape[0], *size), name, op, "the shape of the forward's output")
    run = kernel(op, *given, x, w)
    arrays = map(checks.contiguous, (*given, x, w))
    dx, dw, db = run(
        *arrays, stride=stride, padding=padding, dilation=dilation, groups=groups, need_dx=need_dx
    )
    return dx, dw, db


def conv2d_relu(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Array:
    r"""Convolve and cut off what is negative, in one go: ``relu(conv2d(x, w, b))``.

    .. math:: y = \max(\text{conv2d}(x, w, b),\ 0)

    The sum of a convolution is in a register when it is finished, and to cut it off there costs nothing. As an op of
    its own, relu reads and writes the whole map once more.

    Parameters
    ----------
    x, w, b, stride, padding, dilation, groups
        As in :func:`conv2d`.

    Returns
    -------
    y
        (N, K, OH, OW), at least 0.

    Notes
    -----
    Backward: dy where y > 0, else 0; then as :func:`conv2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> w = np.array([[[[1.0, 0.0], [0.0, 2.0]]]])
    >>> conv2d_relu(x, w, np.array([-15.0]))[0, 0]
    array([[0., 0.],
           [2., 5.]])
    """
    return _forward("conv2d_relu", x, w, b, stride, padding, dilation, groups)


def conv2d_relu_backward(
    dy: Array,
    y: Array,
    x: Array,
    w: Array,
    *,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
    need_dx: bool = True,
) -> tuple[Array | None, Array, Array]:
    r"""Gradients of :func:`conv2d_relu` with respect to input, filters and bias.

    They are those of :func:`conv2d_backward` for dy where y > 0, and 0 elsewhere.

    Parameters
    ----------
    dy
        Gradient of the loss with respect to y, (N, K, OH, OW).
    y
        As the forward returned it.
    x, w, stride, padding, dilation, groups
        As in the forward.
    need_dx
        False for a first layer: dx is then None and costs nothing.

    Returns
    -------
    dx, dw, db
        Shapes of x and w, and (K,).

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> w = np.array([[[[1.0, 0.0], [0.0, 2.0]]]])
    >>> y = conv2d_relu(x, w, np.array([-15.0]))
    >>> dx, dw, db = conv2d_relu_backward(np.ones((1, 1, 2, 2)), y, x, w)
    >>> dw[0, 0], db  # the upper two outputs were cut off
    (array([[ 7.,  9.],
           [13., 15.]]), array([2.]))
    """
    geometry = stride, padding, dilation, groups
    return _backward("conv2d_relu_backward", {"dy": dy, "y": y}, x, w, *geometry, need_dx)


def _conv_transpose2d_channels(op: str, x: Array, w: Array, groups: int) -> int:
    """Check the channels and return the number of output channels."""
    C = x.shape[1]
    if w.shape[0] != C:
        raise ValueError(
            f"{op}: x has {C} channels but w has shape {w.shape}; expected (C_in, C_out/groups, KH, KW), so that "
            f"w's first axis must be {C} (a transposed convolution's filters start with the input channels)"
        )
    if C % groups:
        raise ValueError(f"{op}: groups is {groups}, but it must divide the {C} input channels")
    return int(w.shape[1]) * groups


def conv_transpose2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    output_padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Array:
    r"""Let every input pixel paint a scaled copy of the filter; where copies overlap they add (전치 합성곱).

    .. math:: y_{n,k,\,is-p+ud,\,js-p+vd} \mathrel{+}= w_{c,k,u,v}\; x_{n,c,i,j}

    It restores a convolution's input *size*, not its values: it is the convolution's gradient with respect to
    its input, used as a forward.

    Parameters
    ----------
    x
        Input (N, C, H, W).
    w
        Filters (C, K/groups, KH, KW): the input channels come first.
    b
        Bias (K,), or None.
    stride
        How far apart neighbouring copies are painted.
    padding
        How many rows and columns are stripped from each side of the result.
    output_padding
        Rows and columns kept at the bottom and right in addition; below max(stride, dilation). It picks one of
        the several input sizes that a strided convolution maps to the same output size.
    dilation, groups
        As in :func:`conv2d`.

    Returns
    -------
    y
        (N, K, OH, OW) with ``OH = (H-1)s - 2p + d(KH-1) + output_padding + 1``.

    Notes
    -----
    Backward: dx is the convolution of dy with w. J. Long, E. Shelhamer and T. Darrell, "Fully convolutional
    networks for semantic segmentation" (2015), section 3.3.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> conv_transpose2d(x, np.ones((1, 1, 3, 3)), stride=2)[0, 0]
    array([[ 1.,  1.,  3.,  2.,  2.],
           [ 1.,  1.,  3.,  2.,  2.],
           [ 4.,  4., 10.,  6.,  6.],
           [ 3.,  3.,  7.,  4.,  4.],
           [ 3.,  3.,  7.,  4.,  4.]])
    """
    op = "conv_transpose2d"
    x = checks.maps(x, "x", op)
    w = _weights(w, x, op)
    stride, padding, dilation, groups = _geometry(op, stride, padding, dilation, groups)
    output_padding = checks.pair(output_padding, "output_padding", op, 0)
    K = _conv_transpose2d_channels(op, x, w, groups)
    b = _bias(b, x, K, op)
    geometry = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    conv_transpose2d_size(x.shape[2:], w.shape[2:], **geometry)
    run = kernel(op, x, w, b)
    return run(checks.contiguous(x), checks.contiguous(w), b, **geometry, groups=groups)


def conv_transpose2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    *,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    output_padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> tuple[Array, Array, Array]:
    r"""Gradients of :func:`conv_transpose2d` with respect to input, filters and bias.

    .. math:: dx_{n,c,i,j} = \sum_{k,u,v} w_{c,k,u,v}\; dy_{n,k,\,is-p+ud,\,js-p+vd}

    which is a convolution of dy; dw is a convolution's weight gradient with x and dy in each other's place.

    Parameters
    ----------
    dy
        Gradient of the loss with respect to y, (N, K, OH, OW).
    x, w, stride, padding, output_padding, dilation, groups
        As in the forward.

    Returns
    -------
    dx, dw, db
        Shapes of x and w, and (K,).

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> dx, dw, db = conv_transpose2d_backward(np.ones((1, 1, 4, 4)), x, np.ones((1, 1, 2, 2)), stride=2)
    >>> dx[0, 0], dw[0, 0], db
    (array([[4., 4.],
           [4., 4.]]), array([[10., 10.],
           [10., 10.]]), array([16.]))
    """
    op = "conv_transpose2d_backward"
    x = checks.maps(x, "x", op)
    w = _weights(w, x, op)
    stride, padding, dilation, groups = _geometry(op, stride, padding, dilation, groups)
    output_padding = checks.pair(output_padding, "output_padding", op, 0)
    K = _conv_transpose2d_channels(op, x, w, groups)
    geometry = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    size = conv_transpose2d_size(x.shape[2:], w.shape[2:], **geometry)
    dy = checks.floats(dy, "dy", op, like=x)
    checks.shape(dy, (x.shape[0], K, *size), "dy", op, "the shape of the forward's output")
    run = kernel(op, dy, x, w)
    dy, x, w = checks.contiguous(dy), checks.contiguous(x), checks.contiguous(w)
    return run(dy, x, w, **geometry, groups=groups)
