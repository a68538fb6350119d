"""Arrays of more than 2^31 elements: a place in them that was computed in 32 bits is wrong. Run by test_cuda_wide.py.

Such an array takes 9 GB of addresses but no memory: the system gives a page its memory when it is first touched (and
reads nothing but zeros from the others). Only the last few blocks of a launch are run, where the places are largest;
they touch a handful of pages. So each case takes milliseconds.
"""

import json
import math
import mmap
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from cuda_processes import outcome

from minisegnet.backends import cuda_on_cpu as cuda
from minisegnet.backends.cuda_on_cpu.module import planned
from minisegnet.backends.cupy import launch, loss

MAP_NORESERVE = 0x4000
WIDE = 2**31 + 5000  # elements
MAPS = (1, 2100, 1024, 1024)  # 2.2e9 elements in ordinary maps
HALVES = (1, 2100, 512, 512)
LAST = (-1, -1, -1, -1)

CASES: dict[str, Callable[[], None]] = {}


def case(function: Callable[[], None]) -> Callable[[], None]:
    CASES[function.__name__] = function
    return function


def sparse(shape: int | tuple[int, ...], dtype: Any = np.float32) -> Any:
    """Zeros that take no memory until they are written to."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    count = math.prod(shape)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
    memory = mmap.mmap(-1, max(1, count) * np.dtype(dtype).itemsize, flags=flags)
    return np.frombuffer(memory, dtype, count).reshape(shape)


def sparse_like(shape: Any, like: Any, dtype: Any = None) -> Any:
    return sparse(shape, like.dtype if dtype is None else dtype)


def marked(shape: tuple[int, ...] | int, value: float = 5.0) -> Any:
    """A sparse array with one value at its very end."""
    x = sparse(shape)
    x.reshape(-1)[-1] = value
    return x


def run_case(name: str) -> None:
    launch.empty = launch.zeros = sparse_like
    launch.MOST_BLOCKS = loss.MOST_BLOCKS = (
        2**31 - 1
    )  # one element a thread: the last blocks have the last ones
    find = launch._function
    launch._function = lambda *which: last_blocks(find(*which))  # type: ignore[assignment]
    CASES[name]()


def last_blocks(function: Callable[..., None]) -> Callable[..., None]:
    """Run only the last two blocks of a large grid; of a small one (a table of weights, say) all."""

    def start(grid: tuple[int, int, int], *arguments: Any, **options: Any) -> None:
        with planned(first=-2 if math.prod(grid) > 1000 else 0):
            function(grid, *arguments, **options)

    return start


def ends_with(y: Any, value: float) -> None:
    assert y.reshape(-1)[-1] == value, f"the last element is {y.reshape(-1)[-1]}, not {value}"


# ---------------------------------------------------------------------------------------------------------
# Elementwise and arranging


@case
def relu() -> None:
    x = marked(WIDE)
    ends_with(cuda.relu(x), 5)
    ends_with(cuda.relu_backward(x, x), 5)


@case
def leaky_relu() -> None:
    x = marked(WIDE, -4)
    ends_with(cuda.leaky_relu(x, 0.5), -2)
    ends_with(cuda.leaky_relu_backward(x, x, 0.5), -2)


@case
def sigmoid() -> None:
    x = marked(WIDE, 100)
    ends_with(cuda.sigmoid(x), 1)
    ends_with(cuda.sigmoid_backward(marked(WIDE), marked(WIDE, 0.5)), 1.25)


@case
def add() -> None:
    ends_with(cuda.add(marked(WIDE, 5), marked(WIDE, 2)), 7)


@case
def dropout() -> None:
    y, mask = cuda.dropout(marked(WIDE), 0.0, key=(1, 2, 3))
    ends_with(y, 5)
    ends_with(cuda.dropout_backward(y, marked_mask(mask.dtype), 0.0), 5)


def marked_mask(dtype: Any) -> Any:
    mask = sparse(WIDE, dtype)
    mask[-1] = 1
    return mask


@case
def softmax() -> None:
    x = marked(MAPS, 1e4)
    ends_with(cuda.softmax(x, axis=1), 1)
    ends_with(cuda.log_softmax(x, axis=1), 0)
    ends_with(cuda.softmax_backward(x, marked(MAPS, 1), axis=1), 0)


@case
def softmax_of_long_rows() -> None:
    ends_with(cuda.softmax(marked((2**21 + 1, 1024), 1e4), axis=1), 1)


@case
def concat() -> None:
    x = marked(MAPS)
    ends_with(cuda.concat([sparse((1, 1, 1024, 1024)), x], axis=1), 5)
    ends_with(cuda.concat_backward(x, [1, 2099], axis=1)[1], 5)


@case
def crop_and_pad() -> None:
    x = sparse(MAPS)
    x[0, -1, -2, -2] = 5
    ends_with(cuda.pad2d(x, (1, 1), mode="reflect"), 5)
    ends_with(cuda.pad2d_backward(inside(), (1, 1), mode="zero"), 5)
    ends_with(cuda.crop2d(inside(), (1024, 1024)), 5)
    ends_with(cuda.crop2d_backward(marked(HALVES), (513, 512)), 0)  # a row more below, which gets nothing
    ends_with(cuda.crop2d_backward(marked(MAPS), (1024, 1024)), 5)


def inside() -> Any:
    x = sparse((1, 2100, 1026, 1026))
    x[0, -1, -2, -2] = 5
    return x


# ---------------------------------------------------------------------------------------------------------
# Pools, sizes, regions


WINDOW: dict[str, Any] = {"stride": (2, 2), "padding": (0, 0), "ceil_mode": False}


@case
def max_pool2d() -> None:
    y, indices = cuda.max_pool2d(marked(MAPS), (2, 2), dilation=(1, 1), **WINDOW)
    ends_with(y, 5)
    ends_with(indices, 1024 * 1024 - 1)
    dy, places = marked(HALVES), sparse(HALVES, np.int64)
    places[LAST] = 1024 * 1024 - 1
    ends_with(cuda.max_pool2d_backward(dy, places, (1024, 1024)), 5)
    ends_with(cuda.max_unpool2d(dy, places, (1024, 1024)), 5)
    ends_with(cuda.max_unpool2d_backward(marked(MAPS), places), 5)


@case
def avg_pool2d() -> None:
    ends_with(cuda.avg_pool2d(marked(MAPS, 8), (2, 2), count_include_pad=True, **WINDOW), 2)
    dx = cuda.avg_pool2d_backward(marked(HALVES, 8), (1024, 1024), (2, 2), count_include_pad=True, **WINDOW)
    ends_with(dx, 2)


@case
def adaptive_pools() -> None:
    y, _ = cuda.adaptive_max_pool2d(marked(MAPS), (512, 512))
    ends_with(y, 5)
    ends_with(cuda.adaptive_avg_pool2d(marked(MAPS, 8), (512, 512)), 2)
    ends_with(cuda.adaptive_avg_pool2d_backward(marked(HALVES, 8), (1024, 1024)), 2)


@case
def global_avg_pool2d() -> None:
    ends_with(cuda.global_avg_pool2d(marked((1, 2**21 + 9, 32, 32), 1024)), 1)
    ends_with(cuda.global_avg_pool2d_backward(marked((1, 2**21 + 9, 1, 1), 1024), (32, 32)), 1)


@case
def resize_nearest() -> None:
    ends_with(cuda.resize_nearest(marked(HALVES), (1024, 1024)), 5)
    ends_with(cuda.resize_nearest_backward(marked(MAPS), (512, 512)), 5)


@case
def resize_bilinear() -> None:
    for corners in (False, True):
        ends_with(cuda.resize_bilinear(marked(HALVES), (1024, 1024), align_corners=corners), 5)
    ends_with(cuda.resize_bilinear(marked(MAPS, 8), (512, 512), align_corners=False), 2)
    dx = cuda.resize_bilinear_backward(marked(HALVES, 8), (1024, 1024), align_corners=False)
    ends_with(dx, 2)


@case
def regions() -> None:
    x = sparse(MAPS)
    x[0, -1, 1000:, 1000:] = 5
    rois = np.array([[0, 1004, 1004, 1010, 1010]], np.float32)
    y, argmax = cuda.roi_pool(x, rois, (1, 1), spatial_scale=1.0)
    ends_with(y, 5)
    ends_with(argmax, 1004 * 1024 + 1004)
    aligned: dict[str, Any] = {"spatial_scale": 1.0, "sampling_ratio": 2, "aligned": True}
    ends_with(cuda.roi_align(x, rois, (1, 1), **aligned), 5)


@case
def regions_backward() -> None:
    rois = np.array([[0, 1023, 1023, 1023, 1023]], np.float32)
    dy, argmax = np.ones((1, 2100, 1, 1), np.float32), np.full((1, 2100, 1, 1), 1024 * 1024 - 1)
    ends_with(cuda.roi_pool_backward(dy, argmax, rois, MAPS), 1)
    aligned: dict[str, Any] = {"spatial_scale": 1.0, "sampling_ratio": 1, "aligned": False}
    corner = np.array(
        [[0, 1022.5, 1022.5, 1023.5, 1023.5]], np.float32
    )  # its one sample lies on the last pixel
    ends_with(cuda.roi_align_backward(dy, corner, MAPS, **aligned), 1)


# ---------------------------------------------------------------------------------------------------------
# Convolutions, norms, losses

ONE: dict[str, Any] = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
MANY = (2100, 1, 1024, 1024)  # one map each
THIN = (1, 2**21 + 64, 32, 32)  # small maps, many channels


@case
def conv2d_of_many_maps() -> None:
    w = np.full((1, 1, 1, 1), 3, np.float32)
    ends_with(cuda.conv2d(marked(MANY), w, np.ones(1, np.float32), **ONE), 16)
    w = np.zeros((1, 1, 3, 3), np.float32)
    w[0, 0, 1, 1] = 3
    ends_with(cuda.conv2d(marked(MANY), w, None, **{**ONE, "padding": (1, 1)}), 15)


@case
def conv2d_by_tiles() -> None:
    w = np.full((4, 1, 1, 1), 3, np.float32)  # few filters: a flat tile
    ends_with(cuda.conv2d(marked(MANY), w, np.ones(4, np.float32), **ONE), 16)
    w = np.full((33, MAPS[1], 1, 1), 3, np.float32)  # many: a square one
    ends_with(cuda.conv2d(marked(MAPS), w, None, **ONE), 15)
    w = np.full((64, 1, 1, 1), 3, np.float32)
    ends_with(cuda.conv2d(marked((33, 1, 1024, 1024)), w, None, **ONE), 15)


@case
def conv2d_by_tiles_backward() -> None:
    dy, w = marked((1, 33, 32, 32), 2), marked((33, THIN[1], 1, 1), 3)
    dx, dw, _ = cuda.conv2d_backward(dy, marked(THIN), w, need_dx=True, **ONE)
    ends_with(dx, 6)
    ends_with(dw, 10)


@case
def conv2d_depthwise() -> None:
    w, grouped = marked((THIN[1], 1, 1, 1), 3), {**ONE, "groups": THIN[1]}
    ends_with(cuda.conv2d(marked(THIN), w, None, **grouped), 15)
    dx, dw, db = cuda.conv2d_backward(marked(THIN, 2), marked(THIN), w, need_dx=True, **grouped)
    ends_with(dx, 6)
    ends_with(dw, 10)
    ends_with(db, 2)


@case
def conv_transpose2d_of_many_maps() -> None:
    w = np.full((1, 1, 2, 2), 3, np.float32)
    kwargs = {**ONE, "stride": (2, 2), "output_padding": (0, 0)}
    x = marked((2100, 1, 512, 512))
    ends_with(cuda.conv_transpose2d(x, w, np.ones(1, np.float32), **kwargs), 16)
    ends_with(cuda.conv_transpose2d(x, np.repeat(w, 4, axis=1), np.ones(4, np.float32), **kwargs), 16)


@case
def linear() -> None:
    rows = (2**31 + 4096) // 512
    w, b = np.full((3, 512), 2, np.float32), np.ones(3, np.float32)
    ends_with(cuda.linear(marked((rows, 512)), w, b), 11)  # its backward is the same kernel


@case
def batch_norm() -> None:
    x, ones = marked(MAPS, 8), np.ones(2100, np.float32)
    y, *_ = cuda.batch_norm(x, ones * 2, ones, ones, ones * 4, training=False, momentum=0.1, eps=0.0)
    ends_with(y, (8 - 1) / 2 * 2 + 1)
    dx, dgamma, _ = cuda.batch_norm_backward(x, x, ones * 2, ones, ones / 2, training=False)
    ends_with(dx, 8)
    ends_with(dgamma, 8 * (8 - 1) / 2)


@case
def batch_norm_training() -> None:
    x = sparse(THIN)
    x[0, -1] = np.where(np.arange(1024).reshape(32, 32) % 2, 3, 1)
    C = THIN[1]
    y, mean, inv_std, *_ = cuda.batch_norm(x, None, None, None, None, training=True, momentum=0.1, eps=0.0)
    ends_with(y, 1)
    ends_with(mean, 2)
    ends_with(inv_std, 1)
    dx, *_ = cuda.batch_norm_backward(marked(THIN, 1024), x, None, marked(C, 2), marked(C, 1), training=True)
    ends_with(dx, 1024 - 1 - 1)


LOSS: dict[str, Any] = {"weight": None, "pixel_weight": None, "ignore_index": None, "reduction": "none"}


@case
def softmax_cross_entropy() -> None:
    target = sparse((1, 1024, 1024), np.int64)
    target[...] = 2099
    loss, probs = cuda.softmax_cross_entropy(marked(MAPS, 1e4), target, **LOSS)
    ends_with(probs, 1)
    ends_with(loss, 0)
    dlogits = cuda.softmax_cross_entropy_backward(
        marked((1, 1024, 1024), 3), marked(MAPS, 0.5), target, **LOSS
    )
    ends_with(dlogits, -1.5)


@case
def bce_with_logits() -> None:
    target = marked(WIDE, 1)
    loss = cuda.bce_with_logits(marked(WIDE, -100), target, **LOSS)
    ends_with(loss, 100)
    ends_with(cuda.bce_with_logits_backward(marked(WIDE, 2), marked(WIDE, -1e4), target, **LOSS), -2)


if __name__ == "__main__":
    wanted = sys.argv[1:] or list(CASES)
    print(json.dumps({name: outcome(lambda name=name: run_case(name)) for name in wanted}))
