"""Make onnx_cases.npz: the ONNX operator conformance cases of the operators that minisegnet has too.

Run it as ``python tests/golden/make_onnx.py`` with ``onnx==1.23.2``. The package computes the cases' numbers;
only these are kept, with the attributes written as our keyword arguments. The numbers are float32 (a few are
rounded to four decimals), so that they are compared less closely than the others. There are no gradients
in them.

``about`` in the file lists how many cases of each operator were taken, and for each that was not taken why.
"""

import contextlib
import io
import warnings
from collections import Counter

import numpy as np
from store import Cases

VERSION = "1.23.2"
LARGEST = 200_000  # bytes of one case; the operators' rules show on small maps
FOUR_DECIMALS = (  # cases whose numbers somebody wrote down with four decimals
    "test_roialign_aligned_false",
    "test_roialign_aligned_true",
    "test_averagepool_2d_ceil_last_window_starts_on_pad",
)

try:
    import onnx
    from onnx.backend.test.case.node import collect_testcases
except ImportError as error:
    raise SystemExit(f"make_onnx.py needs onnx=={VERSION}: pip install onnx=={VERSION}") from error
if onnx.__version__ != VERSION:
    raise SystemExit(f"make_onnx.py needs onnx=={VERSION}, but onnx {onnx.__version__} is installed")


class Skip(Exception):
    """Why a case can't be said in our terms."""


def require(condition, reason):
    """Leave the case out unless the condition holds."""
    if not condition:
        raise Skip(reason)


def window(attributes, x, kernel_size):
    """Turn the attributes of a convolution or pooling into ours; padding must be equal on both sides."""
    require(x.ndim == 4, "not two-dimensional")
    kernel_size = list(attributes.get("kernel_shape", kernel_size))
    stride, dilation = attributes.get("strides", [1, 1]), attributes.get("dilations", [1, 1])
    pads = attributes.get("pads", [0, 0, 0, 0])
    auto = attributes.get("auto_pad", b"NOTSET").decode()
    if auto.startswith("SAME"):
        total = [
            max((-(-x.shape[2 + a] // stride[a]) - 1) * stride[a] + dilation[a] * (kernel_size[a] - 1) + 1
                - x.shape[2 + a], 0) for a in range(2)
        ]  # fmt: skip
        require(all(t % 2 == 0 for t in total), "auto_pad with uneven padding")
        pads = [t // 2 for t in total] * 2
    require(pads[:2] == pads[2:], "uneven padding")
    return {"kernel_size": kernel_size, "stride": stride, "padding": pads[:2], "dilation": dilation}


def conv(a, x, w, b=None):
    kwargs = window(a, x, w.shape[2:])
    del kwargs["kernel_size"]
    return "conv2d", kwargs | {"groups": a.get("group", 1)}, {"x": x, "w": w, "b": b}, ["y"]


def conv_transpose(a, x, w, b=None):
    require("output_shape" not in a, "output_shape decides the padding")
    require("auto_pad" not in a, "auto_pad decides the padding")
    kwargs = window(a, x, w.shape[2:])
    del kwargs["kernel_size"]
    kwargs |= {"output_padding": a.get("output_padding", [0, 0]), "groups": a.get("group", 1)}
    return "conv_transpose2d", kwargs, {"x": x, "w": w, "b": b}, ["y"]


def max_pool(a, x):
    require(x.dtype == np.float32, "not a float map")
    require(a.get("storage_order", 0) == 0, "indices in column-major order")
    kwargs = window(a, x, None) | {"ceil_mode": bool(a.get("ceil_mode", 0))}
    require(all(2 * p <= k for p, k in zip(kwargs["padding"], kwargs["kernel_size"], strict=True)),
            "padding above half the kernel")  # fmt: skip
    return "max_pool2d", kwargs, {"x": x}, ["y", "indices"]


def max_unpool(a, x, indices, output_shape=None):
    k, s, p = a["kernel_shape"], a.get("strides", [1, 1]), a.get("pads", [0, 0, 0, 0])
    size = [(x.shape[2 + i] - 1) * s[i] - p[i] - p[2 + i] + k[i] for i in range(2)]
    # ONNX counts indices in the pooled plane's own size even if the output is made larger.
    require(
        output_shape is None or list(output_shape[2:]) == size, "indices of another size than the output's"
    )
    plane = size[0] * size[1]
    first = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], 1, 1) * plane
    return "max_unpool2d", {"output_size": size}, {"x": x, "indices": indices - first}, ["y"]


def average_pool(a, x):
    kwargs = window(a, x, None) | {"ceil_mode": bool(a.get("ceil_mode", 0))}
    require(kwargs.pop("dilation") == [1, 1], "dilation")
    require(all(2 * p <= k for p, k in zip(kwargs["padding"], kwargs["kernel_size"], strict=True)),
            "padding above half the kernel")  # fmt: skip
    return "avg_pool2d", kwargs | {"count_include_pad": bool(a.get("count_include_pad", 0))}, {"x": x}, ["y"]


def resize(a, x, roi=None, scales=None, sizes=None):
    require(a.get("mode", b"nearest") in (b"linear", b"nearest"), "cubic")
    require("antialias" not in a, "antialias")
    require("keep_aspect_ratio_policy" not in a, "keep_aspect_ratio_policy")
    axes = a.get("axes", [0, 1, 2, 3])
    H, size, exact = x.shape[2:], list(x.shape[2:]), True
    for i, axis in enumerate(axes):
        full = float(scales[i]) * x.shape[axis] if scales is not None else int(sizes[i])
        exact = exact and full == int(full)
        if axis >= 2:
            size[axis - 2] = int(full)
        else:
            require(int(full) == x.shape[axis], "resizes batch or channels")
    require(exact, "a scale that doesn't lead to a whole size")
    coordinates = a.get("coordinate_transformation_mode", b"half_pixel").decode()
    if a.get("mode", b"nearest") == b"linear":
        require(coordinates in ("half_pixel", "pytorch_half_pixel", "align_corners"), coordinates)
        require(coordinates != "pytorch_half_pixel" or 1 not in size, "pytorch_half_pixel to one pixel")
        return (
            "resize_bilinear",
            {"size": size, "align_corners": coordinates == "align_corners"},
            {"x": x},
            ["y"],
        )
    rounding = a.get("nearest_mode", b"round_prefer_floor").decode()
    require(all(onnx_pixels(coordinates, rounding, H[i], size[i]) for i in range(2)),
            f"nearest by {coordinates} and {rounding} reads other pixels than floor(i*H/OH)")  # fmt: skip
    return "resize_nearest", {"size": size}, {"x": x}, ["y"]


def onnx_pixels(coordinates, rounding, H, OH):
    """Say whether ONNX's rule for the nearest pixel gives floor(i*H/OH) at this size."""
    i = np.arange(OH)
    if coordinates == "half_pixel":
        source = (i + 0.5) * H / OH - 0.5
    elif coordinates == "asymmetric":
        source = i * H / OH
    elif coordinates == "align_corners":
        source = i * (H - 1) / max(OH - 1, 1)
    else:
        return False
    rules = {"floor": np.floor, "ceil": np.ceil}
    rules |= {
        "round_prefer_floor": lambda v: np.ceil(v - 0.5),
        "round_prefer_ceil": lambda v: np.floor(v + 0.5),
    }
    return bool((np.clip(rules[rounding](source), 0, H - 1) == i * H // OH).all())


def roi_align(a, x, rois, batch):
    require(a.get("mode", b"avg") == b"avg", "maximum of the samples")
    rois = np.concatenate([batch[:, None].astype(np.float32), rois], axis=1)
    kwargs = {"output_size": [a.get("output_height", 1), a.get("output_width", 1)]}
    kwargs |= {"spatial_scale": a.get("spatial_scale", 1.0), "sampling_ratio": a.get("sampling_ratio", 0)}
    kwargs["aligned"] = a.get("coordinate_transformation_mode", b"half_pixel") == b"half_pixel"
    return "roi_align", kwargs, {"x": x, "rois": rois}, ["y"]


def batch_norm(a, x, gamma, beta, mean, var):
    kwargs = {"training": bool(a.get("training_mode", 0)), "eps": a.get("epsilon", 1e-5)}
    kwargs["momentum"] = 1.0 - a.get("momentum", 0.9)  # ONNX names the share of the old statistics
    inputs = {"x": x, "gamma": gamma, "beta": beta, "running_mean": mean, "running_var": var}
    return "batch_norm", kwargs, inputs, ["y", "running_mean"]  # ONNX's running variance is the biased one


def cross_entropy(a, logits, target, weight=None):
    kwargs = {"reduction": a.get("reduction", b"mean").decode(), "ignore_index": a.get("ignore_index")}
    inputs = {"logits": logits, "target": target.astype(np.int64), "weight": weight}
    return "softmax_cross_entropy", kwargs, inputs, ["loss"]


def gemm(a, x, w, b=None):
    x = x.T if a.get("transA", 0) else x
    w = w if a.get("transB", 0) else w.T
    require(a.get("alpha", 1.0) == 1.0 and a.get("beta", 1.0) == 1.0, "factors alpha and beta")
    if b is not None:
        require(b.ndim == 0 or b.size == b.shape[-1], "a matrix as bias")
        b = np.broadcast_to(b.ravel(), (w.shape[0],))
    return "linear", {}, {"x": x, "w": w, "b": b}, ["y"]


def matmul(a, x, w):
    require(x.ndim == 2 and w.ndim == 2, "not two matrices")
    return "linear", {}, {"x": x, "w": w.T}, ["y"]


def pad(a, x, pads, value=None, axes=None):
    mode = a.get("mode", b"constant").decode()
    require(mode in ("constant", "reflect"), f"mode {mode}")
    full, axes = np.zeros((x.ndim, 2), int), range(x.ndim) if axes is None else axes
    for axis, before, after in zip(axes, pads[: len(pads) // 2], pads[len(pads) // 2 :], strict=True):
        full[axis] = before, after
    require(x.ndim == 4 and not full[:2].any(), "pads other axes than height and width")
    require((full[:, 0] == full[:, 1]).all(), "uneven padding")
    kwargs = {"padding": full[2:, 0].tolist(), "mode": "reflect" if mode == "reflect" else "zero"}
    return "pad2d", kwargs, {"x": x.astype(np.float32)}, ["y"]


def concat(a, *arrays):
    return "concat", {"axis": a["axis"]}, {f"x{i}": x for i, x in enumerate(arrays)}, ["y"]


def add(a, x, y):
    require(x.dtype == np.float32, "not floats")
    require(x.shape == y.shape, "shapes that are not equal")
    return "add", {}, {"a": x, "b": y}, ["y"]


def nms(a, boxes, scores, most=None, threshold=None, lowest=None):
    require(scores.shape[:2] == (1, 1), "several classes or pictures")
    boxes, scores = boxes[0], scores[0, 0]
    if a.get("center_point_box", 0):  # centre x, centre y, width, height
        boxes = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
    else:  # y1, x1, y2, x2
        boxes = boxes[:, [1, 0, 3, 2]]
    require((boxes[:, :2] <= boxes[:, 2:]).all(), "flipped corners")
    return "nms", {"iou_threshold": float(threshold[0])}, {"boxes": boxes, "scores": scores}, ["kept"]


def plain(op):
    """Convert an operator that has one input and no attributes."""
    return lambda a, x: (op, {}, {"x": x}, ["y"])


def softmax(op):
    """Convert softmax or its logarithm."""
    return lambda a, x: (op, {"axis": a.get("axis", -1)}, {"x": x}, ["y"])


CONVERT = {
    "Add": add,
    "AveragePool": average_pool,
    "BatchNormalization": batch_norm,
    "Concat": concat,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "GlobalAveragePool": plain("global_avg_pool2d"),
    "LeakyRelu": lambda a, x: ("leaky_relu", {"slope": a.get("alpha", 0.01)}, {"x": x}, ["y"]),
    "LogSoftmax": softmax("log_softmax"),
    "MatMul": matmul,
    "MaxPool": max_pool,
    "MaxUnpool": max_unpool,
    "NonMaxSuppression": nms,
    "Pad": pad,
    "Relu": plain("relu"),
    "Resize": resize,
    "RoiAlign": roi_align,
    "Sigmoid": plain("sigmoid"),
    "Softmax": softmax("softmax"),
    "SoftmaxCrossEntropyLoss": cross_entropy,
}


def convert(node, inputs, outputs):
    """Say one case in our terms: op, keyword arguments, inputs, and the outputs under our names."""
    require(sum(a.nbytes for a in (*inputs, *outputs)) <= LARGEST, f"larger than {LARGEST} bytes")
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    given = iter(inputs)
    op, kwargs, arrays, names = CONVERT[node.op_type](
        attributes, *[next(given) if name else None for name in node.input]
    )
    expected = dict(zip(names, outputs, strict=False))
    if op == "nms":
        expected["kept"] = outputs[0][:, 2]  # each row is picture, class, box
    if op == "softmax_cross_entropy" and len(outputs) == 2:
        expected["probs"] = np.exp(outputs[1])
    if op == "pad2d":
        expected["y"] = outputs[0].astype(np.float32)
    return op, kwargs, arrays, expected


def main():
    """Make the file."""
    cases, taken, skipped = Cases(), Counter(), {}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the package's own
        found = [case for case in collect_testcases(None) if len(case.model.graph.node) == 1]
    for case in sorted(found, key=lambda case: case.name):
        node = case.model.graph.node[0]
        if node.op_type not in CONVERT:
            continue
        inputs, outputs = (list(map(np.asarray, arrays)) for arrays in case.data_sets[0])
        try:
            op, kwargs, arrays, expected = convert(node, inputs, outputs)
        except Skip as reason:
            skipped[case.name] = str(reason)
            continue
        more = {"name": case.name, "tolerance": 2e-4 if case.name in FOUR_DECIMALS else 2e-6}
        if op == "nms" and (len(outputs[0]) == inputs[2][0] or (inputs[1] <= inputs[4]).any()):
            more["first"] = len(outputs[0])  # ONNX's limits on number and score cut off the worst, at the end
        cases.add(op, kwargs, arrays, expected, **more)
        taken[node.op_type] += 1
    about = {"made_by": "make_onnx.py", "onnx": onnx.__version__, "numpy": np.__version__}
    cases.write("onnx_cases.npz", about | {"taken": dict(taken), "skipped": skipped})
    print(dict(taken), *(f"{name}: {reason}" for name, reason in skipped.items()), sep="\n")


if __name__ == "__main__":
    main()
