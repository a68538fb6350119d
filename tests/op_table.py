"""The one table that drives the op tests: for each public op, how to draw a call and how to run its backward.

``TABLE[op].calls(dtype, smooth)`` is a hypothesis strategy of `Call`. With ``smooth`` the inputs stay clear of
ties and kinks, so that numerical gradients exist; without, they hold ties, and NaN and infinity where the op
promises something about them.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from minisegnet import ops, sizes
from minisegnet.testing import distinct_values

CPU_BACKENDS = ("reference", "numpy", "numba", "cuda-on-cpu")
SAMPLED = {
    "cuda-on-cpu": 0.4
}  # the share of examples that slow backends get; test_cuda_sweep.py draws more of them


def examples(usual: int, backend: str = "") -> int:
    """How many examples hypothesis draws; MINISEGNET_EXAMPLES multiplies it for a longer search."""
    share = SAMPLED.get(backend, 1.0)
    return max(1, round(usual * share * float(os.environ.get("MINISEGNET_EXAMPLES", "1"))))


def moved(value: Any) -> Any:
    """Move arrays to where the backend wants them: to the GPU under cupy, else they stay as they are."""
    if isinstance(value, tuple | list):
        return type(value)(moved(v) for v in value)
    if isinstance(value, dict):
        return {name: moved(v) for name, v in value.items()}
    return ops.to_backend(value) if isinstance(value, np.ndarray) else value


def back(results: tuple[Any, ...]) -> tuple[Any, ...]:
    """Move results to where they can be compared."""
    return tuple(r if r is None else ops.to_numpy(r) for r in results)


@dataclass(frozen=True)
class Call:
    """Arguments of one forward call, and which of them get a gradient."""

    op: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    wrt: tuple[int, ...]

    def inputs(self) -> list[Any]:
        """Return the arrays that get a gradient."""
        return list(self.args[0]) if self.op == "concat" else [self.args[i] for i in self.wrt]

    def with_inputs(self, arrays: Sequence[Any]) -> tuple[Any, ...]:
        """Return the forward's arguments with other arrays in the places of ``inputs()``."""
        if self.op == "concat":
            return (list(arrays),)
        args = list(self.args)
        for i, array in zip(self.wrt, arrays, strict=True):
            args[i] = array
        return tuple(args)

    def outputs(self, args: tuple[Any, ...] | None = None) -> tuple[Any, ...]:
        """Run the forward; always a tuple."""
        args, kwargs = moved(self.args if args is None else args), moved(self.kwargs)
        result = getattr(ops, self.op)(*args, **kwargs)
        return back(result if isinstance(result, tuple) else (result,))

    def gradients(
        self, dy: Any, outputs: tuple[Any, ...], args: tuple[Any, ...] | None = None
    ) -> tuple[Any, ...]:
        """Run the backward; one gradient for each position in ``wrt``."""
        args, kwargs = moved(self.args if args is None else args), moved(self.kwargs)
        found = TABLE[self.op].backward(moved(dy), moved(outputs), args, kwargs)
        return back(tuple(found) if isinstance(found, tuple | list) else (found,))


@dataclass(frozen=True)
class Op:
    """A row of the table."""

    calls: Callable[[Any, bool], st.SearchStrategy[Call]]
    backward: Callable[..., Any] | None
    backward_name: str | None


TABLE: dict[str, Op] = {}


def row(backward_name: str | None, backward: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """Register a composite strategy under its own name, with the backward that goes with the op."""

    def register(strategy: Callable[..., Any]) -> Callable[..., Any]:
        TABLE[strategy.__name__] = Op(strategy, backward, backward_name)
        return strategy

    return register


# ---------------------------------------------------------------------------------------------------------
# Drawing numbers, sizes and arrays


def integers(draw: Any, low: int, high: int) -> int:
    return draw(st.integers(low, high))


def two(draw: Any, low: int, high: int) -> Any:
    """Draw one integer, or a pair that is often unequal."""
    if draw(st.booleans()):
        return integers(draw, low, high)
    return integers(draw, low, high), integers(draw, low, high)


def as_pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def normal(draw: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    generator = np.random.default_rng(integers(draw, 0, 2**16))
    return np.asarray(generator.standard_normal(shape), dtype)


def positive(draw: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    return np.asarray(np.abs(normal(draw, shape, dtype)) + 0.1, dtype)


def kinked(draw: Any, shape: tuple[int, ...], dtype: Any, smooth: bool) -> Any:
    """Values for ops that compare: all distinct when smooth; else with ties, and now and then NaN and infinity."""
    if smooth:
        return distinct_values(shape, seed=integers(draw, 0, 2**16), dtype=dtype)
    x = np.asarray(np.round(normal(draw, shape, dtype)))  # few different values: many ties
    special = draw(st.sampled_from(["none", "nan", "-inf", "all -inf"]))
    if special == "all -inf":
        return np.full_like(x, -np.inf)
    if special != "none":
        generator = np.random.default_rng(integers(draw, 0, 2**16))
        x[generator.random(shape) < 0.25] = float(special)
    return x


def batch(draw: Any) -> int:
    return draw(st.sampled_from([1, 2, 2, 0]))


# ---------------------------------------------------------------------------------------------------------
# Convolutions


def _groups(draw: Any) -> tuple[int, int, int]:
    """Draw groups, channels of a group in, channels of a group out: mostly few, sometimes many (numba/fast)."""
    if draw(st.sampled_from([False, False, True])):
        return draw(st.sampled_from([(1, 9, 10), (1, 8, 11), (2, 8, 9)]))
    return draw(st.sampled_from([1, 1, 2, 3])), integers(draw, 1, 2), integers(draw, 1, 2)


def clear_of_zero(op: str, call: Call, smooth: bool) -> Call:
    """Make the same call of an op that cuts off at 0: no number is so near to 0 that rounding, or a small step, decides."""
    with ops.use_backend("numpy"):
        before = call.outputs()[0]
    assume(before.size == 0 or np.abs(before).min() > (1e-3 if smooth else 1e-5))
    return Call(op, call.args, call.kwargs, call.wrt)


@row("conv2d_backward", lambda dy, out, args, kwargs: ops.conv2d_backward(dy, *args[:2], **kwargs))
@st.composite
def conv2d(draw: Any, dtype: Any, smooth: bool) -> Call:
    groups, c, k = _groups(draw)
    kernel, stride, dilation = two(draw, 1, 3), two(draw, 1, 4), two(draw, 1, 2)
    padding = two(draw, 0, 3)
    size = [  # at least as large as the dilated kernel after padding
        max(1, d * (f - 1) + 1 - 2 * p) + integers(draw, 0, 3)
        for f, d, p in zip(as_pair(kernel), as_pair(dilation), as_pair(padding), strict=True)
    ]
    x = normal(draw, (batch(draw), groups * c, *size), dtype)
    w = normal(draw, (groups * k, c, *as_pair(kernel)), dtype)
    b = normal(draw, (groups * k,), dtype)
    kwargs = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return Call("conv2d", (x, w, b), kwargs, (0, 1, 2))


@row(
    "conv2d_relu_backward",
    lambda dy, out, args, kwargs: ops.conv2d_relu_backward(dy, out[0], *args[:2], **kwargs),
)
@st.composite
def conv2d_relu(draw: Any, dtype: Any, smooth: bool) -> Call:
    return clear_of_zero("conv2d_relu", draw(TABLE["conv2d"].calls(dtype, smooth)), smooth)


@row(
    "conv_transpose2d_backward",
    lambda dy, out, args, kwargs: ops.conv_transpose2d_backward(dy, *args[:2], **kwargs),
)
@st.composite
def conv_transpose2d(draw: Any, dtype: Any, smooth: bool) -> Call:
    groups, c, k = _groups(draw)
    kernel, stride, dilation = two(draw, 1, 3), two(draw, 1, 3), two(draw, 1, 2)
    x_size, padding, output_padding = [], [], []
    for f, s, d in zip(as_pair(kernel), as_pair(stride), as_pair(dilation), strict=True):
        length = integers(draw, 1, 4)
        extra = integers(draw, 0, max(s, d) - 1)
        full = (length - 1) * s + d * (f - 1) + extra + 1
        x_size.append(length)
        output_padding.append(extra)
        padding.append(integers(draw, 0, min(2, (full - 1) // 2)))
    x = normal(draw, (batch(draw), groups * c, *x_size), dtype)
    w = normal(draw, (groups * c, k, *as_pair(kernel)), dtype)
    b = normal(draw, (groups * k,), dtype)
    kwargs = {
        "stride": stride,
        "padding": tuple(padding),
        "output_padding": tuple(output_padding),
        "dilation": dilation,
        "groups": groups,
    }
    return Call("conv_transpose2d", (x, w, b), kwargs, (0, 1, 2))


# ---------------------------------------------------------------------------------------------------------
# Pooling


def _window(draw: Any, dilated: bool) -> tuple[Any, dict[str, Any], list[int]]:
    """Draw a window that fits, and the size of its input."""
    kernel, stride = two(draw, 1, 3), draw(st.sampled_from([None, 1, 2, 4, (2, 1), (1, 3)]))
    padding = tuple(integers(draw, 0, f // 2) for f in as_pair(kernel))
    kwargs = {"stride": stride, "padding": padding, "ceil_mode": draw(st.booleans())}
    if dilated:
        kwargs["dilation"] = two(draw, 1, 2)
    size = [integers(draw, 1, 6), integers(draw, 1, 6)]
    try:
        sizes.pool2d_size(size, kernel, **kwargs)
    except ValueError:
        assume(False)
    return kernel, kwargs, size


@row(
    "max_pool2d_backward",
    lambda dy, out, args, kwargs: ops.max_pool2d_backward(dy, out[1], args[0].shape[2:]),
)
@st.composite
def max_pool2d(draw: Any, dtype: Any, smooth: bool) -> Call:
    kernel, kwargs, size = _window(draw, dilated=True)
    x = kinked(draw, (batch(draw), integers(draw, 1, 3), *size), dtype, smooth)
    return Call("max_pool2d", (x, kernel), kwargs, (0,))


@row("max_unpool2d_backward", lambda dy, out, args, kwargs: ops.max_unpool2d_backward(dy, args[1]))
@st.composite
def max_unpool2d(draw: Any, dtype: Any, smooth: bool) -> Call:
    shape = (batch(draw), integers(draw, 1, 2), integers(draw, 1, 3), integers(draw, 1, 3))
    H, W = shape[2] * 2 + integers(draw, 0, 1), shape[3] * 2
    generator = np.random.default_rng(integers(draw, 0, 2**16))
    indices = np.zeros(shape, dtype=draw(st.sampled_from([np.int64, np.int32, np.uint8])))
    for n in range(shape[0]):
        for c in range(shape[1]):
            # Smooth: no index twice. A repeated one is overwritten, but still reads a gradient (by design).
            drawn = generator.choice(H * W, shape[2] * shape[3], replace=not smooth)
            indices[n, c] = drawn.reshape(shape[2:])
    return Call("max_unpool2d", (normal(draw, shape, dtype), indices, (H, W)), {}, (0,))


@row(
    "avg_pool2d_backward",
    lambda dy, out, args, kwargs: ops.avg_pool2d_backward(dy, args[0].shape[2:], args[1], **kwargs),
)
@st.composite
def avg_pool2d(draw: Any, dtype: Any, smooth: bool) -> Call:
    kernel, kwargs, size = _window(draw, dilated=False)
    kwargs["count_include_pad"] = draw(st.booleans())
    x = normal(draw, (batch(draw), integers(draw, 1, 3), *size), dtype)
    return Call("avg_pool2d", (x, kernel), kwargs, (0,))


@row(
    "global_avg_pool2d_backward",
    lambda dy, out, args, kwargs: ops.global_avg_pool2d_backward(dy, args[0].shape[2:]),
)
@st.composite
def global_avg_pool2d(draw: Any, dtype: Any, smooth: bool) -> Call:
    return Call("global_avg_pool2d", (_maps(draw, dtype),), {}, (0,))


def _maps(draw: Any, dtype: Any) -> Any:
    shape = (batch(draw), integers(draw, 1, 3), integers(draw, 1, 6), integers(draw, 1, 6))
    return normal(draw, shape, dtype)


@row(
    "max_pool2d_backward",
    lambda dy, out, args, kwargs: ops.max_pool2d_backward(dy, out[1], args[0].shape[2:]),
)
@st.composite
def adaptive_max_pool2d(draw: Any, dtype: Any, smooth: bool) -> Call:
    shape = (batch(draw), integers(draw, 1, 3), integers(draw, 1, 6), integers(draw, 1, 6))
    return Call("adaptive_max_pool2d", (kinked(draw, shape, dtype, smooth), two(draw, 1, 7)), {}, (0,))


@row(
    "adaptive_avg_pool2d_backward",
    lambda dy, out, args, kwargs: ops.adaptive_avg_pool2d_backward(dy, args[0].shape[2:]),
)
@st.composite
def adaptive_avg_pool2d(draw: Any, dtype: Any, smooth: bool) -> Call:
    return Call("adaptive_avg_pool2d", (_maps(draw, dtype), two(draw, 1, 7)), {}, (0,))


# ---------------------------------------------------------------------------------------------------------
# Resizing


@row(
    "resize_bilinear_backward",
    lambda dy, out, args, kwargs: ops.resize_bilinear_backward(dy, args[0].shape[2:], **kwargs),
)
@st.composite
def resize_bilinear(draw: Any, dtype: Any, smooth: bool) -> Call:
    return Call(
        "resize_bilinear", (_maps(draw, dtype), two(draw, 1, 9)), {"align_corners": draw(st.booleans())}, (0,)
    )


@row(
    "resize_nearest_backward",
    lambda dy, out, args, kwargs: ops.resize_nearest_backward(dy, args[0].shape[2:]),
)
@st.composite
def resize_nearest(draw: Any, dtype: Any, smooth: bool) -> Call:
    return Call("resize_nearest", (_maps(draw, dtype), two(draw, 1, 9)), {}, (0,))


# ---------------------------------------------------------------------------------------------------------
# Regions


def _rois(draw: Any, dtype: Any, N: int, ordered: bool) -> Any:
    """Draw boxes, some on half pixels, outside of the map, empty or (unless ordered) inverted."""
    R = integers(draw, 0, 3) if N else 0
    rois = np.zeros((R, 5), dtype)
    quarter = st.integers(-16, 40).map(lambda q: q / 4)
    for r in range(R):
        x1, x2, y1, y2 = (draw(quarter) for _ in range(4))
        if ordered:
            x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
        rois[r] = integers(draw, 0, N - 1), x1, y1, x2, y2
    return rois


@row(
    "roi_pool_backward",
    lambda dy, out, args, kwargs: ops.roi_pool_backward(dy, out[1], args[1], args[0].shape),
)
@st.composite
def roi_pool(draw: Any, dtype: Any, smooth: bool) -> Call:
    shape = (batch(draw), integers(draw, 1, 2), integers(draw, 1, 6), integers(draw, 1, 6))
    x = kinked(draw, shape, dtype, smooth)
    rois = _rois(draw, dtype, shape[0], ordered=False)
    return Call(
        "roi_pool",
        (x, rois, two(draw, 1, 4)),
        {"spatial_scale": draw(st.sampled_from([1.0, 0.5, 0.3]))},
        (0,),
    )


@row(
    "roi_align_backward",
    lambda dy, out, args, kwargs: ops.roi_align_backward(dy, args[1], args[0].shape, **kwargs),
)
@st.composite
def roi_align(draw: Any, dtype: Any, smooth: bool) -> Call:
    x = _maps(draw, dtype)
    aligned = draw(st.booleans())
    kwargs = {
        "spatial_scale": draw(st.sampled_from([1.0, 0.5])),
        "sampling_ratio": integers(draw, 0, 2),
        "aligned": aligned,
    }
    return Call(
        "roi_align", (x, _rois(draw, dtype, x.shape[0], ordered=aligned), two(draw, 1, 3)), kwargs, (0,)
    )


@row(None)
@st.composite
def nms(draw: Any, dtype: Any, smooth: bool) -> Call:
    R = integers(draw, 0, 8)
    corner = st.integers(0, 12).map(lambda q: q / 2)
    boxes = np.zeros((R, 4), dtype)
    for r in range(R):
        x1, y1, width, height = (draw(corner) for _ in range(4))
        boxes[r] = x1, y1, x1 + width, y1 + height
    scores = np.array([draw(st.integers(0, 4)) / 4 for _ in range(R)], dtype)
    return Call("nms", (boxes, scores), {"iou_threshold": draw(st.sampled_from([0.0, 0.3, 0.5, 1.0]))}, ())


# ---------------------------------------------------------------------------------------------------------
# Normalisation and losses


def _batch_norm_backward(dy: Any, out: Any, args: Any, kwargs: Any) -> Any:
    dx, dgamma, dbeta = ops.batch_norm_backward(dy, args[0], args[1], *out[1:3], training=kwargs["training"])
    if args[1] is None:
        assert dgamma is None and dbeta is None
        return (dx,)
    return dx, dgamma, dbeta


@row("batch_norm_backward", _batch_norm_backward)
@st.composite
def batch_norm(draw: Any, dtype: Any, smooth: bool) -> Call:
    training, affine = draw(st.booleans()), draw(st.booleans())
    N, C = integers(draw, 2, 4) if training else batch(draw), integers(draw, 1, 3)
    spatial = draw(st.sampled_from([(), (3,), (2, 5), (1, 1)]))
    x = np.asarray(normal(draw, (N, C, *spatial), dtype) + 3, dtype)
    gamma, beta = (positive(draw, (C,), dtype), normal(draw, (C,), dtype)) if affine else (None, None)
    running = (None, None)
    if not training or draw(st.booleans()):
        running = (normal(draw, (C,), dtype), positive(draw, (C,), dtype))
    kwargs = {"training": training, "momentum": draw(st.sampled_from([0.1, 0.5])), "eps": 1e-3}
    return Call("batch_norm", (x, gamma, beta, *running), kwargs, (0, 1, 2) if affine else (0,))


def _batch_norm_relu_backward(dy: Any, out: Any, args: Any, kwargs: Any) -> Any:
    dx, dgamma, dbeta = ops.batch_norm_relu_backward(
        dy, out[0], args[0], args[1], *out[1:3], training=kwargs["training"]
    )
    if args[1] is None:
        assert dgamma is None and dbeta is None
        return (dx,)
    return dx, dgamma, dbeta


@row("batch_norm_relu_backward", _batch_norm_relu_backward)
@st.composite
def batch_norm_relu(draw: Any, dtype: Any, smooth: bool) -> Call:
    return clear_of_zero("batch_norm_relu", draw(TABLE["batch_norm"].calls(dtype, smooth)), smooth)


@row(
    "softmax_cross_entropy_backward",
    lambda dy, out, args, kwargs: ops.softmax_cross_entropy_backward(dy, out[1], args[1], **kwargs),
)
@st.composite
def softmax_cross_entropy(draw: Any, dtype: Any, smooth: bool) -> Call:
    N, C = batch(draw), integers(draw, 1, 4)
    spatial = draw(st.sampled_from([(), (4,), (2, 3)]))
    scale = 1.0 if smooth else draw(st.sampled_from([1.0, 100.0, 1e4]))
    logits = np.asarray(normal(draw, (N, C, *spatial), dtype) * scale, dtype)
    generator = np.random.default_rng(integers(draw, 0, 2**16))
    target = generator.integers(0, C, (N, *spatial)).astype(
        draw(st.sampled_from([np.int64, np.int32, np.uint8]))
    )
    ignore_index = draw(st.sampled_from([None, 0, 255]))
    if ignore_index == 255:
        share = draw(st.sampled_from([0.3, 1.0]))
        target = np.where(generator.random(target.shape) < share, 255, target).astype(np.uint8)
    kwargs = {
        "weight": positive(draw, (C,), dtype) if draw(st.booleans()) else None,
        "pixel_weight": positive(draw, target.shape, dtype) if draw(st.booleans()) else None,
        "ignore_index": ignore_index,
        "reduction": draw(st.sampled_from(["mean", "sum", "none"])),
    }
    return Call("softmax_cross_entropy", (logits, target), kwargs, (0,))


@row(
    "bce_with_logits_backward",
    lambda dy, out, args, kwargs: ops.bce_with_logits_backward(dy, args[0], args[1], **kwargs),
)
@st.composite
def bce_with_logits(draw: Any, dtype: Any, smooth: bool) -> Call:
    shape = draw(st.sampled_from([(3,), (2, 3), (2, 1, 2, 3), (0, 2, 2, 2), ()]))
    scale = 1.0 if smooth else draw(st.sampled_from([1.0, 1e4]))
    logits = np.asarray(normal(draw, shape, dtype) * scale, dtype)
    generator = np.random.default_rng(integers(draw, 0, 2**16))
    target = np.asarray(generator.random(shape), dtype)
    ignore_index = draw(st.sampled_from([None, 1, 255]))
    if ignore_index is not None:
        target = np.asarray(np.where(generator.random(shape) < 0.4, ignore_index, target), dtype)
    kwargs = {
        "weight": positive(draw, shape[-1:], dtype) if draw(st.booleans()) else None,
        "pixel_weight": positive(draw, shape, dtype) if draw(st.booleans()) else None,
        "ignore_index": ignore_index,
        "reduction": draw(st.sampled_from(["mean", "sum", "none"])),
    }
    return Call("bce_with_logits", (logits, target), kwargs, (0,))


# ---------------------------------------------------------------------------------------------------------
# Activations, dropout, dense


def _any_shape(draw: Any, minimum_rank: int = 0) -> tuple[int, ...]:
    shapes = [(), (5,), (3, 4), (2, 3, 4), (2, 3, 2, 3), (0, 3), (1, 2, 1, 2, 3)]
    return draw(st.sampled_from([s for s in shapes if len(s) >= minimum_rank]))


def _softmax_call(op: str, draw: Any, dtype: Any, smooth: bool) -> Call:
    shape = _any_shape(draw, minimum_rank=1)
    axis = integers(draw, -len(shape), len(shape) - 1)
    if shape[axis] == 0:
        axis = 1
    scale = 1.0 if smooth else draw(st.sampled_from([1.0, 1e4]))
    return Call(op, (np.asarray(normal(draw, shape, dtype) * scale, dtype),), {"axis": axis}, (0,))


@row("softmax_backward", lambda dy, out, args, kwargs: ops.softmax_backward(dy, out[0], **kwargs))
@st.composite
def softmax(draw: Any, dtype: Any, smooth: bool) -> Call:
    return _softmax_call("softmax", draw, dtype, smooth)


@row("log_softmax_backward", lambda dy, out, args, kwargs: ops.log_softmax_backward(dy, out[0], **kwargs))
@st.composite
def log_softmax(draw: Any, dtype: Any, smooth: bool) -> Call:
    return _softmax_call("log_softmax", draw, dtype, smooth)


@row("relu_backward", lambda dy, out, args, kwargs: ops.relu_backward(dy, out[0]))
@st.composite
def relu(draw: Any, dtype: Any, smooth: bool) -> Call:
    return Call("relu", (kinked(draw, _any_shape(draw), dtype, smooth),), {}, (0,))


@row("leaky_relu_backward", lambda dy, out, args, kwargs: ops.leaky_relu_backward(dy, out[0], args[1]))
@st.composite
def leaky_relu(draw: Any, dtype: Any, smooth: bool) -> Call:
    slope = draw(st.sampled_from([0.01, 0.3]))
    return Call("leaky_relu", (kinked(draw, _any_shape(draw), dtype, smooth), slope), {}, (0,))


@row("sigmoid_backward", lambda dy, out, args, kwargs: ops.sigmoid_backward(dy, out[0]))
@st.composite
def sigmoid(draw: Any, dtype: Any, smooth: bool) -> Call:
    scale = 1.0 if smooth else draw(st.sampled_from([1.0, 1e4]))
    return Call("sigmoid", (np.asarray(normal(draw, _any_shape(draw), dtype) * scale, dtype),), {}, (0,))


@row("dropout_backward", lambda dy, out, args, kwargs: ops.dropout_backward(dy, out[1], args[1]))
@st.composite
def dropout(draw: Any, dtype: Any, smooth: bool) -> Call:
    p = draw(st.sampled_from([0.0, 0.2, 0.5, 1.0]))
    key = (draw(st.integers(0, 2**64 - 1)), integers(draw, 0, 9), integers(draw, 0, 9))
    return Call("dropout", (normal(draw, _any_shape(draw), dtype), p), {"key": key}, (0,))


@row("linear_backward", lambda dy, out, args, kwargs: ops.linear_backward(dy, *args[:2]))
@st.composite
def linear(draw: Any, dtype: Any, smooth: bool) -> Call:
    leading = draw(st.sampled_from([(), (3,), (0,), (2, 2)]))
    features, out = integers(draw, 1, 4), integers(draw, 1, 3)
    args = (
        normal(draw, (*leading, features), dtype),
        normal(draw, (out, features), dtype),
        normal(draw, (out,), dtype),
    )
    return Call("linear", args, {}, (0, 1, 2))


# ---------------------------------------------------------------------------------------------------------
# Arranging


def _concat_backward(dy: Any, out: Any, args: Any, kwargs: Any) -> Any:
    axis = kwargs["axis"]
    return ops.concat_backward(dy, [a.shape[axis] for a in args[0]], axis=axis)


@row("concat_backward", _concat_backward)
@st.composite
def concat(draw: Any, dtype: Any, smooth: bool) -> Call:
    shape = list(_any_shape(draw, minimum_rank=1))
    axis = integers(draw, -len(shape), len(shape) - 1)
    arrays = []
    for _ in range(integers(draw, 1, 3)):
        shape[axis] = integers(draw, 0, 3)
        arrays.append(normal(draw, tuple(shape), dtype))
    return Call("concat", (arrays,), {"axis": axis}, (0,))


@row("add_backward", lambda dy, out, args, kwargs: ops.add_backward(dy))
@st.composite
def add(draw: Any, dtype: Any, smooth: bool) -> Call:
    shape = _any_shape(draw)
    return Call("add", (normal(draw, shape, dtype), normal(draw, shape, dtype)), {}, (0, 1))


@row("crop2d_backward", lambda dy, out, args, kwargs: ops.crop2d_backward(dy, args[0].shape[2:]))
@st.composite
def crop2d(draw: Any, dtype: Any, smooth: bool) -> Call:
    x = _maps(draw, dtype)
    size = (integers(draw, 1, x.shape[2]), integers(draw, 1, x.shape[3]))
    return Call("crop2d", (x, size), {}, (0,))


@row("pad2d_backward", lambda dy, out, args, kwargs: ops.pad2d_backward(dy, args[1], **kwargs))
@st.composite
def pad2d(draw: Any, dtype: Any, smooth: bool) -> Call:
    x = _maps(draw, dtype)
    mode = draw(st.sampled_from(["zero", "reflect"]))
    limit = (x.shape[2] - 1, x.shape[3] - 1) if mode == "reflect" else (3, 3)
    padding = (integers(draw, 0, min(3, limit[0])), integers(draw, 0, min(3, limit[1])))
    return Call("pad2d", (x, padding), {"mode": mode}, (0,))
