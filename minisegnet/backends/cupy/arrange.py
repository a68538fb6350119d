"""Putting arrays together, adding, cropping and padding them in CUDA: the kernels are in arrange.cu."""

from collections.abc import Sequence

from minisegnet.arrays import Array
from minisegnet.sizes import Pair, crop2d_start, pad2d_size

from . import launch
from .activation import outer_axis_inner


def concat(arrays: Sequence[Array], *, axis: int) -> Array:
    """Copy one array after the other into the result."""
    shape = list(arrays[0].shape)
    shape[axis] = sum(x.shape[axis] for x in arrays)
    y = launch.empty(shape, arrays[0])
    _, A, I = outer_axis_inner(y, axis)
    start = 0
    for x in arrays:
        share = x.shape[axis]
        launch.each("arrange", "concat", x.size, x, y, x.size, share * I, A * I, start * I, like=x)
        start += share
    return y


def concat_backward(dy: Array, sizes: Sequence[int], *, axis: int) -> list[Array]:
    """Copy each array's part out of dy."""
    _, A, I = outer_axis_inner(dy, axis)
    gradients = []
    start = 0
    for share in sizes:
        dx = launch.empty((*dy.shape[:axis], share, *dy.shape[axis + 1 :]), dy)
        launch.each(
            "arrange", "concat_backward", dx.size, dy, dx, dx.size, share * I, A * I, start * I, like=dy
        )
        gradients.append(dx)
        start += share
    return gradients


def add(a: Array, b: Array) -> Array:
    """Element by element."""
    y = launch.empty(a.shape, a)
    launch.each("arrange", "add", a.size, a, b, y, a.size, like=a)
    return y


def add_backward(dy: Array) -> tuple[Array, Array]:
    """A sum passes its gradient on to both."""
    da, db = launch.empty(dy.shape, dy), launch.empty(dy.shape, dy)
    launch.each("arrange", "add_backward", dy.size, dy, da, db, dy.size, like=dy)
    return da, db


def crop2d(x: Array, size: Pair) -> Array:
    """Copy the middle of each map."""
    N, C, H, W = x.shape
    top, left = crop2d_start((H, W), size)
    y = launch.empty((N, C, *size), x)  # (N, C, h, w)
    launch.each("arrange", "crop2d", y.size, x, y, y.size, H, W, *size, top, left, like=x)
    return y


def crop2d_backward(dy: Array, input_size: Pair) -> Array:
    """Copy dy into the middle of zeros: what was cropped away has no gradient."""
    N, C, h, w = dy.shape
    top, left = crop2d_start(input_size, (h, w))
    dx = launch.empty((N, C, *input_size), dy)  # (N, C, H, W)
    launch.each("arrange", "crop2d_backward", dx.size, dy, dx, dx.size, *input_size, h, w, top, left, like=dy)
    return dx


def pad2d(x: Array, padding: Pair, *, mode: str) -> Array:
    """Each pixel of the larger map shows one of the map's own pixels, or 0."""
    N, C, H, W = x.shape
    y = launch.empty((N, C, *pad2d_size((H, W), padding)), x)  # (N, C, H + 2 ph, W + 2 pw)
    launch.each("arrange", "pad2d", y.size, x, y, y.size, H, W, *padding, mode == "reflect", like=x)
    return y


def pad2d_backward(dy: Array, padding: Pair, *, mode: str) -> Array:
    """Each pixel sums up the gradients of the places that showed it."""
    N, C, PH, PW = dy.shape
    H, W = PH - 2 * padding[0], PW - 2 * padding[1]
    dx = launch.empty((N, C, H, W), dy)  # (N, C, H, W)
    launch.each(
        "arrange", "pad2d_backward", dx.size, dy, dx, dx.size, H, W, *padding, mode == "reflect", like=dy
    )
    return dx
