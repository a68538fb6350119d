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
    y = launch.empty((N, C, *size), x)  # (N, C, h, w)
    lines = N * C * size[0]
    arguments = (x, y, lines, H, W, *size, *crop2d_start((H, W), size))
    launch.blocks("arrange", "crop2d", *launch.rows(lines, size[1]), *arguments, like=x)
    return y


def crop2d_backward(dy: Array, input_size: Pair) -> Array:
    """Copy dy into the middle of zeros: what was cropped away has no gradient."""
    N, C, h, w = dy.shape
    H, W = input_size
    dx = launch.empty((N, C, H, W), dy)  # (N, C, H, W)
    lines = N * C * H
    arguments = (dy, dx, lines, H, W, h, w, *crop2d_start(input_size, (h, w)))
    launch.blocks("arrange", "crop2d_backward", *launch.rows(lines, W), *arguments, like=dy)
    return dx


def pad2d(x: Array, padding: Pair, *, mode: str) -> Array:
    """Each pixel of the larger map shows one of the map's own pixels, or 0."""
    N, C, H, W = x.shape
    PH, PW = pad2d_size((H, W), padding)
    y = launch.empty((N, C, PH, PW), x)  # (N, C, PH, PW)
    lines = N * C * PH
    arguments = (x, y, lines, H, W, PH, PW, *padding, mode == "reflect")
    launch.blocks("arrange", "pad2d", *launch.rows(lines, PW), *arguments, like=x)
    return y


def pad2d_backward(dy: Array, padding: Pair, *, mode: str) -> Array:
    """Each pixel sums up the gradients of the places that showed it."""
    N, C, PH, PW = dy.shape
    H, W = PH - 2 * padding[0], PW - 2 * padding[1]
    dx = launch.empty((N, C, H, W), dy)  # (N, C, H, W)
    lines = N * C * H
    arguments = (dy, dx, lines, H, W, PH, PW, *padding, mode == "reflect")
    launch.blocks("arrange", "pad2d_backward", *launch.rows(lines, W), *arguments, like=dy)
    return dx
