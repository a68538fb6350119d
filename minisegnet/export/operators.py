"""What each op is in ONNX: one function an op, named like it, which adds nodes to a graph.

An op's arguments come as its kernel gets them: sizes are pairs, everything is checked. Where a size depends on
that of the picture, the node says *how*: a crop is told how much to cut off each side, an unpooling reads the size of
the map before the pooling. So a graph that was made of one picture is right for others, too.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from minisegnet.arrays import Array
from minisegnet.export.graph import Graph
from minisegnet.sizes import Pair, adaptive_bin
from minisegnet.tracing import Call

Writer: TypeAlias = Callable[..., None]

WRITERS: dict[str, Writer] = {}


def write(graph: Graph, call: Call) -> None:
    """Add one recorded call to the graph."""
    writer = WRITERS.get(call.op)
    if writer is None:
        raise ValueError(f"{call.op} can't be exported: {WHY_NOT.get(call.op, 'ONNX has nothing like it')}")
    writer(graph, call.results, **call.arguments)


WHY_NOT = {
    "adaptive_max_pool2d": "its bins differ in size, and the windows of ONNX's MaxPool do not; use max_pool2d",
    "dropout": "it is random, and an exported model is for evaluation; call model.eval() or use nn.Dropout",
    "nms": "it picks boxes after the network; apply it to the network's results",
    "softmax_cross_entropy": "a loss is for training; export the model that computes the scores",
    "bce_with_logits": "a loss is for training; export the model that computes the scores",
}


def _writes(writer: Writer) -> Writer:
    WRITERS[writer.__name__] = writer
    return writer


def _both_sides(padding: Pair) -> list[int]:
    return [*padding, *padding]  # ONNX: top, left, bottom, right


# ---------------------------------------------------------------------------------------------------------
# Convolution and linear


@_writes
def conv2d(
    graph: Graph,
    results: tuple[Array, ...],
    x: Array,
    w: Array,
    b: Array | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> None:
    """Conv."""
    names = [graph.name_of(a) for a in (x, w, b) if a is not None]
    graph.call(
        "Conv",
        names,
        results,
        kernel_shape=list(w.shape[2:]),
        strides=list(stride),
        pads=_both_sides(padding),
        dilations=list(dilation),
        group=groups,
    )


@_writes
def conv2d_relu(graph: Graph, results: tuple[Array, ...], x: Array, **arguments: Any) -> None:
    """Conv, then Relu."""
    y = np.empty_like(results[0])  # stands for what is between the two
    conv2d(graph, (y,), x, **arguments)
    relu(graph, results, y)


@_writes
def conv_transpose2d(
    graph: Graph,
    results: tuple[Array, ...],
    x: Array,
    w: Array,
    b: Array | None,
    stride: Pair,
    padding: Pair,
    output_padding: Pair,
    dilation: Pair,
    groups: int,
) -> None:
    """ConvTranspose, whose weight has our layout: (C_in, C_out / groups, KH, KW)."""
    names = [graph.name_of(a) for a in (x, w, b) if a is not None]
    graph.call(
        "ConvTranspose",
        names,
        results,
        kernel_shape=list(w.shape[2:]),
        strides=list(stride),
        pads=_both_sides(padding),
        output_padding=list(output_padding),
        dilations=list(dilation),
        group=groups,
    )


@_writes
def linear(graph: Graph, results: tuple[Array, ...], x: Array, w: Array, b: Array | None) -> None:
    """Gemm: x wᵀ + b."""
    graph.call("Gemm", [graph.name_of(a) for a in (x, w, b) if a is not None], results, transB=1)


# ---------------------------------------------------------------------------------------------------------
# Pooling and unpooling


@_writes
def max_pool2d(
    graph: Graph,
    results: tuple[Array, ...],
    x: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    ceil_mode: bool,
) -> None:
    """MaxPool. Its indices count through all of (N, C, H, W), ours through one plane; see :func:`max_unpool2d`."""
    name = graph.name_of(x)
    _, indices = graph.call(
        "MaxPool",
        [name],
        results,
        kernel_shape=list(kernel_size),
        strides=list(stride),
        pads=_both_sides(padding),
        dilations=list(dilation),
        ceil_mode=int(ceil_mode),
    )
    graph.pooled[indices] = name


@_writes
def max_unpool2d(
    graph: Graph, results: tuple[Array, ...], x: Array, indices: Array, output_size: Pair
) -> None:
    """ScatterElements into zeros of the shape that the map had before the pooling.

    ONNX has a MaxUnpool, too, but what it does with maps of odd size is told in different ways, and few programs
    know it. Scattering is clear: all maps as one row, each value to its index. MaxPool's indices count through
    (N, C, H, W), and so they are places in this row where the unpooled maps have the shape of those before the pooling.
    """
    pooled = graph.pooled.get(graph.name_of(indices))
    before = None if pooled is None else graph.array_of(pooled)
    if pooled is None or before is None or before.shape != (*x.shape[:2], *output_size):
        raise ValueError(
            f"max_unpool2d to {output_size} can't be exported: expected the indices of a max_pool2d, and the shape "
            "from before that pooling"
        )
    shape = graph.call("Shape", [pooled])[0]
    zeros = graph.call("ConstantOfShape", [graph.call("ReduceProd", [shape], keepdims=1)[0]])[0]
    row = graph.constant([-1])
    places, values = (graph.call("Reshape", [graph.name_of(a), row])[0] for a in (indices, x))
    scattered = graph.call("ScatterElements", [zeros, places, values], axis=0)[0]
    graph.call("Reshape", [scattered, shape], results)


@_writes
def avg_pool2d(
    graph: Graph,
    results: tuple[Array, ...],
    x: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
) -> None:
    """AveragePool; with ``ceil_mode``, ONNX counts what hangs over the edge in another way in each version."""
    if ceil_mode:
        raise ValueError(
            "avg_pool2d with ceil_mode can't be exported: versions of ONNX disagree on it; pad instead"
        )
    graph.call(
        "AveragePool",
        [graph.name_of(x)],
        results,
        kernel_shape=list(kernel_size),
        strides=list(stride),
        pads=_both_sides(padding),
        count_include_pad=int(count_include_pad),
    )


@_writes
def global_avg_pool2d(graph: Graph, results: tuple[Array, ...], x: Array) -> None:
    """GlobalAveragePool."""
    graph.call("GlobalAveragePool", [graph.name_of(x)], results)


@_writes
def adaptive_avg_pool2d(graph: Graph, results: tuple[Array, ...], x: Array, output_size: Pair) -> None:
    """MatMul twice, A x Bᵀ: A averages the rows of each bin, B the columns; for this size only."""
    A, B = (_averaging(bins, size) for bins, size in zip(output_size, x.shape[2:], strict=True))
    rows = graph.call("MatMul", [graph.constant(A, "float32"), graph.name_of(x)])[0]  # (N, C, OH, W)
    graph.call("MatMul", [rows, graph.constant(B.T, "float32")], results)  # (N, C, OH, OW)


def _averaging(bins: int, size: int) -> Array:
    matrix = np.zeros((bins, size), np.float32)
    for i in range(bins):
        start, stop = adaptive_bin(i, size, bins)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix


# ---------------------------------------------------------------------------------------------------------
# Sizes and places


@_writes
def resize_bilinear(
    graph: Graph, results: tuple[Array, ...], x: Array, size: Pair, align_corners: bool
) -> None:
    """Resize, linear."""
    graph.call(
        "Resize",
        [graph.name_of(x), "", "", _whole_shape(graph, x, size)],
        results,
        mode="linear",
        coordinate_transformation_mode="align_corners" if align_corners else "half_pixel",
    )


@_writes
def resize_nearest(graph: Graph, results: tuple[Array, ...], x: Array, size: Pair) -> None:
    """Pick rows, then columns, by number: floor(i H / OH) in integers, where ONNX's Resize would round floats."""
    name, target = graph.name_of(x), _size(graph, x, size)
    own = graph.size_of(name)
    for axis in (0, 1):
        OH, H = (graph.call("Gather", [s, graph.constant(axis)])[0] for s in (target, own))
        numbers = graph.call("Range", [graph.constant(0), OH, graph.constant(1)])[0]
        places = graph.call("Div", [graph.call("Mul", [numbers, H])[0], OH])[0]  # (OH,)
        name = graph.call("Gather", [name, places], results if axis else (None,), axis=2 + axis)[0]


def _size(graph: Graph, x: Array, size: Pair) -> str:
    """Name of an (H, W): that of the first maps that have it, or a multiple of x's own, or a fixed one."""
    like = graph.first_of_size(size)
    if like is not None:
        return graph.size_of(like)
    H, W = x.shape[2:]
    if size[0] % H == 0 and size[1] % W == 0:
        factors = graph.constant([size[0] // H, size[1] // W])
        return graph.call("Mul", [graph.size_of(graph.name_of(x)), factors])[0]
    return graph.constant(size)


def _whole_shape(graph: Graph, x: Array, size: Pair) -> str:
    shape = graph.call("Shape", [graph.name_of(x)])[0]
    outer = graph.call("Slice", [shape, graph.constant([0]), graph.constant([2]), graph.constant([0])])[0]
    return graph.call("Concat", [outer, _size(graph, x, size)], axis=0)[0]


@_writes
def crop2d(graph: Graph, results: tuple[Array, ...], x: Array, size: Pair) -> None:
    """Slice, told how much goes on each side."""
    starts = [(whole - part) // 2 for whole, part in zip(x.shape[2:], size, strict=True)]
    ends = [part + start - whole for whole, part, start in zip(x.shape[2:], size, starts, strict=True)]
    graph.slice(graph.name_of(x), starts, ends, [2, 3], results[0])


@_writes
def last_line(graph: Graph, results: tuple[Array, ...], y: Array, axis: int) -> None:
    """Slice: the last row or column."""
    graph.slice(graph.name_of(y), [-1], [0], [axis], results[0])


@_writes
def pad2d(graph: Graph, results: tuple[Array, ...], x: Array, padding: Pair, mode: str) -> None:
    """Pad."""
    pads = graph.constant([0, 0, *padding, 0, 0, *padding])
    graph.call("Pad", [graph.name_of(x), pads], results, mode={"zero": "constant"}.get(mode, mode))


@_writes
def concat(graph: Graph, results: tuple[Array, ...], arrays: list[Array], axis: int) -> None:
    """Concat."""
    graph.call("Concat", [graph.name_of(a) for a in arrays], results, axis=axis)


@_writes
def add(graph: Graph, results: tuple[Array, ...], a: Array, b: Array) -> None:
    """Add."""
    graph.call("Add", [graph.name_of(a), graph.name_of(b)], results)


# The patch classifier's own moves


@_writes
def cut_windows(graph: Graph, results: tuple[Array, ...], x: Array, size: int, stride: int) -> None:
    """Gather the rows of all windows, then their columns, and bring the windows to the front."""
    name = graph.name_of(x)
    whole = graph.size_of(name)
    counts = []
    for axis in (0, 1):
        H = graph.call("Gather", [whole, graph.constant(axis)])[0]
        last = graph.call("Add", [H, graph.constant(1 - size)])[0]
        starts = graph.call("Range", [graph.constant(0), last, graph.constant(stride)])[0]  # (OH,)
        counts.append(graph.call("Shape", [starts])[0])
        column = graph.call("Unsqueeze", [starts, graph.constant([1])])[0]  # (OH, 1)
        places = graph.call("Add", [column, graph.constant(np.arange(size))])[0]  # (OH, size)
        # (N, C, H, W) to (N, C, OH, size, W) to (N, C, OH, size, OW, size)
        name = graph.call("Gather", [name, places], axis=2 + 2 * axis)[0]
    graph.windows = graph.call("Concat", counts, axis=0)[0]
    name = graph.call("Transpose", [name], perm=[0, 2, 4, 1, 3, 5])[0]  # (N, OH, OW, C, size, size)
    graph.call("Reshape", [name, graph.constant([-1, x.shape[1], size, size])], results)


@_writes
def flatten(graph: Graph, results: tuple[Array, ...], x: Array) -> None:
    """Flatten."""
    graph.call("Flatten", [graph.name_of(x)], results, axis=1)


@_writes
def windows_to_maps(graph: Graph, results: tuple[Array, ...], y: Array, N: int, size: Pair) -> None:
    """(N OH OW, K) to (N, K, OH, OW)."""
    if graph.windows is None:
        raise ValueError("windows_to_maps can't be exported without the cut_windows that it undoes")
    shape = graph.call("Concat", [graph.constant([-1]), graph.windows, graph.constant([y.shape[1]])], axis=0)[
        0
    ]
    maps = graph.call("Reshape", [graph.name_of(y), shape])[0]
    graph.call("Transpose", [maps], results, perm=[0, 3, 1, 2])


# ---------------------------------------------------------------------------------------------------------
# Regions of interest


@_writes
def roi_pool(
    graph: Graph,
    results: tuple[Array, ...],
    x: Array,
    rois: Array,
    output_size: Pair,
    spatial_scale: float,
) -> None:
    """MaxRoiPool, which has no argmax."""
    graph.call(
        "MaxRoiPool",
        [graph.name_of(x), graph.name_of(rois)],
        results[:1],
        pooled_shape=list(output_size),
        spatial_scale=spatial_scale,
    )


@_writes
def roi_align(
    graph: Graph,
    results: tuple[Array, ...],
    x: Array,
    rois: Array,
    output_size: Pair,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> None:
    """RoiAlign, which wants the batch index apart from the corners, as a whole number."""
    table = graph.name_of(rois)
    first = graph.call("Gather", [table, graph.constant(0)], axis=1)[0]  # (R,)
    batch = graph.call("Cast", [first], to=7)[0]  # 7: int64
    corners = graph.slice(table, [1], [0], [1], None)  # (R, 4)
    graph.call(
        "RoiAlign",
        [graph.name_of(x), corners, batch],
        results,
        mode="avg",
        output_height=output_size[0],
        output_width=output_size[1],
        sampling_ratio=sampling_ratio,
        spatial_scale=spatial_scale,
        coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
    )


# ---------------------------------------------------------------------------------------------------------
# Normalisation and activations


@_writes
def batch_norm(
    graph: Graph,
    results: tuple[Any, ...],
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    running_mean: Array | None,
    running_var: Array | None,
    training: bool,
    momentum: float,
    eps: float,
) -> None:
    """BatchNormalization, by the running statistics."""
    if training or running_mean is None or running_var is None:
        raise ValueError("batch_norm in training can't be exported; call model.eval() first")
    C = x.shape[1]
    scale = graph.constant(np.ones(C), "float32") if gamma is None else graph.name_of(gamma)
    shift = graph.constant(np.zeros(C), "float32") if beta is None else graph.name_of(beta)
    names = [graph.name_of(x), scale, shift, graph.name_of(running_mean), graph.name_of(running_var)]
    graph.call("BatchNormalization", names, results[:1], epsilon=eps)


@_writes
def batch_norm_relu(graph: Graph, results: tuple[Any, ...], x: Array, **arguments: Any) -> None:
    """BatchNormalization, then Relu."""
    y = np.empty_like(results[0])  # stands for what is between the two
    batch_norm(graph, (y, *results[1:]), x, **arguments)
    relu(graph, results[:1], y)


@_writes
def relu(graph: Graph, results: tuple[Array, ...], x: Array) -> None:
    """Relu."""
    graph.call("Relu", [graph.name_of(x)], results)


@_writes
def leaky_relu(graph: Graph, results: tuple[Array, ...], x: Array, slope: float) -> None:
    """LeakyRelu."""
    graph.call("LeakyRelu", [graph.name_of(x)], results, alpha=slope)


@_writes
def sigmoid(graph: Graph, results: tuple[Array, ...], x: Array) -> None:
    """Sigmoid."""
    graph.call("Sigmoid", [graph.name_of(x)], results)


@_writes
def softmax(graph: Graph, results: tuple[Array, ...], x: Array, axis: int) -> None:
    """Softmax."""
    graph.call("Softmax", [graph.name_of(x)], results, axis=axis)


@_writes
def log_softmax(graph: Graph, results: tuple[Array, ...], x: Array, axis: int) -> None:
    """LogSoftmax."""
    graph.call("LogSoftmax", [graph.name_of(x)], results, axis=axis)
