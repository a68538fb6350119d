"""Calls of every op that are large enough for a GPU's kernels: several blocks and warps, and ragged edges everywhere.

The op table draws tiny calls, for the reference's plain loops. These are larger: sizes lie just below, at and above
multiples of a warp (32), a tile (16, 32, 64, 128) and a block (256). What they should give, NumPy's backend says.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from op_table import Call

from minisegnet.backends.cupy import conv


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng((*shape, seed)).standard_normal(shape)


def with_ties_and_nan(*shape: int) -> Any:
    """Few different values, and here and there NaN, minus infinity and minus zero."""
    x = np.round(numbers(*shape))
    which = np.random.default_rng(shape).random(shape)
    for least, value in ((0.97, np.nan), (0.94, -np.inf), (0.91, -0.0)):
        x[(which > least) & (which < least + 0.03)] = value
    return x


def all_cases(dtype: Any) -> dict[str, Call]:
    """Return all cases by name, ``op: what is special``."""
    found = {}
    for family in FAMILIES:
        for what, call in family():
            args = tuple(as_dtype(a, dtype) for a in call.args)
            kwargs = {name: as_dtype(a, dtype) for name, a in call.kwargs.items()}
            found[f"{call.op}: {what}"] = Call(call.op, args, kwargs, call.wrt)
    return found


def as_dtype(value: Any, dtype: Any) -> Any:
    if isinstance(value, list):
        return [as_dtype(v, dtype) for v in value]
    return np.asarray(value, dtype) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value


OF_NO_OP = {
    "update"
}  # sources whose kernels belong to no op, but to the training step; they have tests of their own


def prefer_large_tiles() -> None:
    """Have small maps use the convolutions' largest tiles, too: a GPU that has so little to do takes smaller ones."""
    conv.enough = lambda *sizes: True


Family = Callable[[], Iterator[tuple[str, Call]]]
FAMILIES: list[Family] = []


def family(function: Family) -> Family:
    FAMILIES.append(function)
    return function


# ---------------------------------------------------------------------------------------------------------
# Convolutions: (N, C, H, W), K, kernel, stride, padding, dilation, groups


@family
def convolutions() -> Iterator[tuple[str, Call]]:
    for what, shape, K, kernel, stride, padding, dilation, groups in [
        ("ragged", (2, 5, 9, 11), 7, (3, 3), (1, 1), (1, 1), (1, 1), 1),
        ("over a tile of 16 and 32", (1, 17, 13, 12), 33, (3, 3), (2, 1), (1, 1), (1, 1), 1),
        ("over a tile of 64", (1, 3, 11, 12), 65, (5, 3), (1, 1), (2, 1), (1, 1), 1),
        ("exactly tiles", (2, 16, 8, 8), 64, (1, 1), (1, 1), (0, 0), (1, 1), 1),
        ("deep", (1, 70, 5, 6), 9, (3, 3), (1, 1), (1, 1), (1, 1), 1),
        ("dilated and strided", (2, 4, 14, 13), 6, (3, 2), (3, 2), (2, 3), (2, 3), 1),
        ("groups", (2, 8, 9, 7), 6, (3, 3), (1, 2), (1, 0), (1, 1), 2),
        ("groups over a tile", (1, 36, 6, 5), 40, (3, 3), (1, 1), (1, 1), (1, 1), 2),
        ("depthwise", (2, 6, 19, 17), 6, (3, 3), (1, 1), (1, 1), (1, 1), 6),
        ("depthwise, two filters, strided", (1, 5, 18, 17), 10, (3, 5), (2, 1), (1, 2), (1, 2), 5),
        ("one pixel", (3, 2, 1, 1), 3, (1, 1), (1, 1), (0, 0), (1, 1), 1),
        ("over a tile of 128", (1, 100, 5, 6), 97, (1, 1), (1, 1), (0, 0), (1, 1), 1),
        ("many pixels, one weight", (1, 1, 83, 67), 1, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    ]:
        w = numbers(K, shape[1] // groups, *kernel)
        kwargs = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        yield what, Call("conv2d", (numbers(*shape), w, numbers(K)), kwargs, (0, 1, 2))
    w, kwargs = numbers(5, 3, 3, 3), {"padding": 1}
    yield "and relu", Call("conv2d_relu", (numbers(2, 3, 9, 8), w, numbers(5)), kwargs, (0, 1, 2))


@family
def transposed_convolutions() -> Iterator[tuple[str, Call]]:
    for what, shape, K, kernel, stride, padding, output_padding, dilation, groups in [
        ("doubling", (2, 6, 7, 8), 5, (2, 2), (2, 2), (0, 0), (0, 0), (1, 1), 1),
        ("over tiles", (1, 33, 5, 6), 17, (4, 3), (2, 2), (1, 1), (0, 1), (1, 1), 1),
        ("over a tile of 64", (1, 4, 6, 5), 66, (3, 3), (1, 2), (1, 0), (0, 0), (1, 1), 1),
        ("dilated", (2, 3, 6, 5), 4, (3, 2), (2, 3), (1, 0), (1, 2), (2, 1), 1),
        ("groups", (1, 8, 6, 7), 6, (3, 3), (2, 2), (1, 1), (1, 1), (1, 1), 2),
        ("depthwise", (2, 5, 9, 8), 5, (4, 4), (2, 2), (1, 1), (0, 0), (1, 1), 5),
    ]:
        w = numbers(shape[1], K // groups, *kernel)
        kwargs = {
            "stride": stride,
            "padding": padding,
            "output_padding": output_padding,
            "dilation": dilation,
            "groups": groups,
        }
        yield what, Call("conv_transpose2d", (numbers(*shape), w, numbers(K)), kwargs, (0, 1, 2))


@family
def dense() -> Iterator[tuple[str, Call]]:
    for what, rows, features, out in [("ragged", 70, 65, 33), ("tiles", 64, 32, 16), ("thin", 257, 3, 1)]:
        args = (numbers(rows, features), numbers(out, features), numbers(out))
        yield what, Call("linear", args, {}, (0, 1, 2))
    yield "axes before", Call("linear", (numbers(2, 3, 5, 7), numbers(4, 7), numbers(4)), {}, (0, 1, 2))


# ---------------------------------------------------------------------------------------------------------
# Pools, sizes, regions


@family
def pools() -> Iterator[tuple[str, Call]]:
    for what, x, kernel, kwargs in [
        ("halving", numbers(2, 3, 18, 16), (2, 2), {}),
        (
            "overlapping, with ties and NaN",
            with_ties_and_nan(2, 3, 17, 16),
            (3, 3),
            {"stride": 2, "padding": 1},
        ),
        ("every pixel", with_ties_and_nan(1, 2, 13, 23), (3, 2), {"stride": 1, "padding": (1, 0)}),
        ("ceil_mode", with_ties_and_nan(1, 3, 17, 14), (3, 2), {"stride": (2, 3), "ceil_mode": True}),
        ("gaps", with_ties_and_nan(2, 2, 19, 18), (2, 2), {"stride": 4}),
    ]:
        yield what, Call("max_pool2d", (x, kernel), kwargs, (0,))
        if "NaN" not in what:
            kwargs = {**kwargs, "count_include_pad": what != "every pixel"}
            yield what, Call("avg_pool2d", (numbers(*x.shape), kernel), kwargs, (0,))
    dilated = {"dilation": (2, 3), "padding": 1, "stride": (1, 2)}
    yield "dilated", Call("max_pool2d", (with_ties_and_nan(2, 2, 12, 15), 3), dilated, (0,))
    for what, shape, size in [
        ("smaller", (2, 3, 17, 13), (5, 4)),
        ("larger", (1, 5, 5, 6), (9, 7)),
        ("large bins", (1, 2, 41, 35), (2, 3)),
    ]:
        yield what, Call("adaptive_max_pool2d", (with_ties_and_nan(*shape), size), {}, (0,))
        yield what, Call("adaptive_avg_pool2d", (numbers(*shape), size), {}, (0,))
    for shape in [(2, 3, 17, 19), (1, 40, 3, 3), (3, 2, 1, 1), (1, 1, 40, 40)]:
        yield f"{shape}", Call("global_avg_pool2d", (numbers(*shape),), {}, (0,))


@family
def unpools() -> Iterator[tuple[str, Call]]:
    generator = np.random.default_rng(5)
    once = np.stack([generator.permutation(12 * 14)[:42] for _ in range(6)]).reshape(2, 3, 6, 7)
    often = generator.integers(0, 30, (2, 3, 6, 7))
    for what, indices in [
        ("each place once", once),
        ("places twice", often),
        ("int32", once.astype(np.int32)),
    ]:
        yield what, Call("max_unpool2d", (numbers(2, 3, 6, 7), indices, (12, 14)), {}, (0,))


@family
def sizes() -> Iterator[tuple[str, Call]]:
    for what, shape, size in [
        ("larger", (2, 3, 9, 7), (16, 17)),
        ("smaller", (1, 2, 33, 31), (9, 8)),
        ("mixed", (2, 2, 5, 24), (17, 6)),
        ("a row", (1, 3, 1, 9), (4, 25)),
    ]:
        yield what, Call("resize_nearest", (numbers(*shape), size), {}, (0,))
        for corners in (False, True):
            named = f"{what}, align_corners={corners}"
            yield named, Call("resize_bilinear", (numbers(*shape), size), {"align_corners": corners}, (0,))


def boxes_on(N: int, H: int, W: int, count: int) -> Any:
    """Boxes of all kinds: inside, over the edges, outside, thin; on the grid and between."""
    generator = np.random.default_rng(count)
    corners = generator.uniform(-4, 1.3 * max(H, W), (count, 2, 2)).round(1)
    corners.sort(axis=1)
    corners[::7] = corners[::7].round()
    corners[3::9, 1] = corners[3::9, 0]
    return np.column_stack([generator.integers(0, N, count), corners.reshape(count, 4)])


@family
def regions() -> Iterator[tuple[str, Call]]:
    for shape, count, size in [((2, 3, 14, 13), 30, (3, 4)), ((1, 2, 9, 20), 9, (7, 7))]:
        rois = boxes_on(shape[0], *shape[2:], count)
        for scale in (1.0, 0.5):
            named = f"{shape}, scale {scale}"
            yield (
                named,
                Call("roi_pool", (with_ties_and_nan(*shape), rois, size), {"spatial_scale": scale}, (0,)),
            )
            for sampling, aligned in [(0, True), (2, False)]:
                kwargs = {"spatial_scale": scale, "sampling_ratio": sampling, "aligned": aligned}
                named = f"{shape}, {kwargs}"
                yield named, Call("roi_align", (numbers(*shape), rois, size), kwargs, (0,))


@family
def suppression() -> Iterator[tuple[str, Call]]:
    for count in (31, 70, 257):
        boxes = boxes_on(1, 20, 20, count)[:, 1:]
        scores = np.round(np.random.default_rng(count).random(count), 1)  # with ties
        for threshold in (0.1, 0.5):
            yield f"{count}, {threshold}", Call("nms", (boxes, scores), {"iou_threshold": threshold}, ())


# ---------------------------------------------------------------------------------------------------------
# Elementwise, and along an axis


@family
def elementwise() -> Iterator[tuple[str, Call]]:
    for size in (1, 255, 256, 257, 1025):
        x = with_ties_and_nan(size)
        yield f"{size}", Call("relu", (x,), {}, (0,))
        yield f"{size}", Call("leaky_relu", (x, 0.1), {}, (0,))
        yield f"{size}", Call("sigmoid", (numbers(size) * 30,), {}, (0,))
        yield f"{size}", Call("add", (numbers(size), numbers(size, seed=1)), {}, (0, 1))
        yield f"{size}", Call("dropout", (numbers(size), 0.3), {"key": (2**63 + 5, 3, 7)}, (0,))
    for shape, axis in [((2, 40, 5, 7), 1), ((3, 300), -1), ((300, 3), 1), ((5, 33, 9), 0), ((2, 1, 70), 1)]:
        yield f"{shape} {axis}", Call("softmax", (numbers(*shape) * 60,), {"axis": axis}, (0,))
        yield f"{shape} {axis}", Call("log_softmax", (numbers(*shape) * 60,), {"axis": axis}, (0,))


@family
def arranging() -> Iterator[tuple[str, Call]]:
    parts = [numbers(2, c, 9, 7) for c in (3, 1, 5)]
    yield "channels", Call("concat", (parts,), {"axis": 1}, (0,))
    yield "last axis", Call("concat", ([numbers(3, 30, w) for w in (1, 8)],), {"axis": -1}, (0,))
    for size in [(6, 5), (9, 10), (17, 3)]:
        yield f"to {size}", Call("crop2d", (numbers(2, 3, 17, 10), size), {}, (0,))
    for padding, mode in [((2, 3), "zero"), (5, "reflect"), ((8, 1), "reflect"), ((0, 2), "zero")]:
        yield f"{padding} {mode}", Call("pad2d", (numbers(2, 3, 9, 7), padding), {"mode": mode}, (0,))


# ---------------------------------------------------------------------------------------------------------
# Norms and losses


@family
def norms() -> Iterator[tuple[str, Call]]:
    for shape in [(2, 3, 17, 19), (4, 40, 3, 3), (300, 5), (2, 1, 70, 67), (3, 33, 1, 1)]:
        C = shape[1]
        x, gamma, beta = numbers(*shape) * 2 + 5, np.abs(numbers(C)) + 0.2, numbers(C, seed=1)
        running = (numbers(C, seed=2), np.abs(numbers(C, seed=3)) + 0.1)
        for training in (True, False):
            kwargs = {"training": training, "momentum": 0.1, "eps": 1e-5}
            yield (
                f"{shape} training={training}",
                Call("batch_norm", (x, gamma, beta, *running), kwargs, (0, 1, 2)),
            )
            yield (
                f"{shape} relu training={training}",
                Call("batch_norm_relu", (x, gamma, beta, *running), kwargs, (0, 1, 2)),
            )
    yield "bare", Call("batch_norm", (numbers(3, 4, 9, 9), None, None, None, None), {"training": True}, (0,))


@family
def losses() -> Iterator[tuple[str, Call]]:
    for shape in [(2, 5, 13, 17), (1, 33, 9, 8), (300, 4), (3, 2, 1000)]:
        N, C, *rest = shape
        generator = np.random.default_rng(C)
        target = generator.integers(0, C, (N, *rest))
        target[generator.random(target.shape) < 0.2] = 255
        weights = {
            "weight": generator.random(C) + 0.5,
            "pixel_weight": generator.random(target.shape) + 0.5,
            "ignore_index": 255,
        }
        logits = numbers(*shape) * 40  # so far apart that probabilities are rounded to 0
        for reduction in ("mean", "sum", "none"):
            kwargs = {**weights, "reduction": reduction}
            yield f"{shape} {reduction}", Call("softmax_cross_entropy", (logits, target), kwargs, (0,))
        plain = np.where(target == 255, 0, target).astype(np.uint8)
        yield f"{shape} uint8", Call("softmax_cross_entropy", (logits, plain), {}, (0,))
        soft = generator.random(shape)
        soft[generator.random(shape) < 0.2] = 255
        kwargs = {"pixel_weight": generator.random(shape), "ignore_index": 255}
        for reduction in ("mean", "sum", "none"):
            kwargs = {**kwargs, "reduction": reduction}
            yield f"{shape} {reduction}", Call("bce_with_logits", (logits, soft), kwargs, (0,))
