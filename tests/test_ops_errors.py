"""Bad arguments: each op says what came, what it expected and what to do, and no kernel ever sees them."""

from typing import Any

import numpy as np
import pytest

from minisegnet import ops

X = np.zeros((2, 3, 5, 6))
W = np.zeros((4, 3, 3, 3))
INDICES = np.zeros((2, 3, 2, 3), np.int64)
DY = np.zeros((2, 3, 2, 3))
DY4 = np.zeros((2, 4, 3, 4))
ROIS = np.array([[0.0, 0, 0, 3, 3], [1.0, 1, 1, 4, 4]])
LABELS = np.zeros((2, 5, 6), np.int64)
C3 = np.ones(3)


def with_value(a: Any, value: float) -> Any:
    changed = a.copy()
    changed.flat[1] = value
    return changed


# (op, arguments, keyword arguments, what the message says)
VALUE_ERRORS: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    # convolutions
    ("conv2d", (X[0], W), {}, r"4 axes \(N, C, H, W\); a single picture needs a batch axis: x\[None\]"),
    ("conv2d", (X[0, 0], W), {}, r"x\[None, None\]"),
    ("conv2d", (X, W[:, :2]), {}, r"x has 3 channels .* second axis must be 3"),
    ("conv2d", (X, W), {"groups": 2}, r"groups is 2.* divide the 3 input channels and the 4 output"),
    ("conv2d", (X, W, np.zeros(3)), {}, r"b has shape \(3,\); expected \(4,\)"),
    ("conv2d", (X, W), {"stride": 0}, "stride is 0; expected an integer of at least 1"),
    ("conv2d", (X, W), {"padding": -1}, "padding is -1"),
    ("conv2d", (X, W), {"dilation": (1, 0)}, r"dilation\[1\] is 0"),
    ("conv2d", (X, W), {"dilation": 3}, "larger than the padded input"),
    ("conv2d", (X, W), {"stride": (1, 2, 3)}, r"\(h, w\) pair"),
    ("conv2d", (X[:, :0], W[:, :0]), {}, "only the batch axis may be empty"),
    ("conv2d", (X, W[0]), {}, r"w has shape \(3, 3, 3\); expected 4 axes"),
    ("conv2d", (X, W[:0]), {}, "every axis to be at least 1"),
    (
        "conv2d_backward",
        (np.zeros((2, 4, 3, 3)), X, W),
        {},
        r"dy has shape \(2, 4, 3, 3\); expected \(2, 4, 3, 4\)",
    ),
    ("conv2d_backward", (np.zeros((1, 4, 3, 4)), X, W), {}, "dy has shape"),
    ("conv2d_relu", (X, W, np.zeros(3)), {}, r"conv2d_relu: b has shape \(3,\); expected \(4,\)"),
    ("conv2d_relu_backward", (DY4, DY4[:1], X, W), {}, r"conv2d_relu_backward: y has shape \(1, 4, 3, 4\)"),
    ("conv2d_relu_backward", (DY4[:1], DY4, X, W), {}, r"conv2d_relu_backward: dy has shape \(1, 4, 3, 4\)"),
    (
        "conv_transpose2d",
        (X, W),
        {},
        r"x has 3 channels but w has shape \(4, 3, 3, 3\).*first axis must be 3",
    ),
    ("conv_transpose2d", (X, W[:3]), {"groups": 2}, "divide the 3 input channels"),
    ("conv_transpose2d", (X, W[:3]), {"stride": 2, "output_padding": 2}, "below max"),
    ("conv_transpose2d", (X, W[:3]), {"padding": 9}, "less padding"),
    ("conv_transpose2d_backward", (np.zeros((2, 3, 7, 7)), X, W[:3]), {}, "dy has shape"),
    # numbers that would overflow in compiled code
    ("conv2d", (X, W), {"padding": 2**31}, "padding is 2147483648; expected at most"),
    ("max_pool2d", (X, 2), {"stride": 2**63 - 1}, "stride is 9223372036854775807; expected at most"),
    ("max_pool2d", (X, 2), {"stride": (1, 2**70)}, "expected at most"),
    ("roi_align", (X, ROIS, 2), {"sampling_ratio": 2**62}, "expected at most 1024"),
    ("roi_align", (np.float32(X), np.float32(ROIS), 2), {"spatial_scale": 1e300}, "float32 can't hold"),
    ("leaky_relu", (X, 10**400), {}, "expected a finite number"),
    # pooling
    ("max_pool2d", (X, 7), {}, "window does not fit"),
    ("max_pool2d", (X, 2), {"padding": 2}, "at most half the kernel"),
    ("max_pool2d", (X, 0), {}, "kernel_size is 0"),
    ("max_pool2d", (X[:, :, :0], 1), {}, "only the batch axis may be empty"),
    ("max_pool2d", (X[:, :, :1, :1], 2), {"padding": 1, "dilation": 2}, "nothing but padding"),
    ("max_pool2d_backward", (DY, INDICES + 30, (5, 6)), {}, "values from 30 to 30; expected 0 to 29"),
    ("max_pool2d_backward", (DY, INDICES - 1, (5, 6)), {}, "values from -1 to -1"),
    ("max_pool2d_backward", (DY, INDICES[:1], (5, 6)), {}, "indices has shape"),
    ("max_unpool2d", (DY, INDICES + 4, (2, 2)), {}, "expected 0 to 3"),
    ("max_unpool2d", (DY, INDICES, (0, 2)), {}, r"output_size\[0\] is 0"),
    ("max_unpool2d_backward", (DY, INDICES + 6), {}, "expected 0 to 5"),
    ("max_unpool2d_backward", (DY[:1], INDICES), {}, "equal N and C"),
    ("max_unpool2d_backward", (DY, INDICES[:, :, :0]), {}, "only the batch axis may be empty"),
    ("avg_pool2d", (X, 3), {"padding": 2}, "at most half the kernel"),
    ("avg_pool2d_backward", (DY, (5, 6), 3), {}, r"dy has shape \(2, 3, 2, 3\); expected \(2, 3, 1, 2\)"),
    ("global_avg_pool2d", (X[:, :, :0],), {}, "only the batch axis"),
    ("global_avg_pool2d_backward", (DY, (5, 6)), {}, r"expected \(2, 3, 1, 1\)"),
    ("adaptive_max_pool2d", (X, 0), {}, "output_size is 0"),
    ("adaptive_avg_pool2d", (X, (2, -1)), {}, r"output_size\[1\] is -1"),
    ("adaptive_avg_pool2d_backward", (DY, (0, 3)), {}, r"input_size\[0\] is 0"),
    # resizing
    ("resize_bilinear", (X, 0), {}, "size is 0"),
    ("resize_bilinear_backward", (DY, (5, 0)), {}, r"input_size\[1\] is 0"),
    ("resize_nearest", (X, (3, -3)), {}, r"size\[1\] is -3"),
    ("resize_nearest_backward", (DY, 0), {}, "input_size is 0"),
    # regions
    ("roi_pool", (X, ROIS[:, 1:], 2), {}, r"expected \(R, 5\)"),
    (
        "roi_pool",
        (X, np.add(ROIS, [2, 0, 0, 0, 0]), 2),
        {},
        "2 rois have a batch index that is no whole number from 0 to 1",
    ),
    ("roi_pool", (X, np.add(ROIS, [0.5, 0, 0, 0, 0]), 2), {}, r"batch index .*0\.5"),
    ("roi_pool", (X, with_value(ROIS, np.nan), 2), {}, "NaN, infinite or beyond"),
    ("roi_pool", (X, with_value(ROIS, 1e300), 2), {}, "beyond 2"),
    ("roi_pool", (X, ROIS, 2), {"spatial_scale": 0.0}, "positive number"),
    ("roi_pool", (X, ROIS, 2), {"spatial_scale": np.inf}, "finite number"),
    ("roi_pool", (X[:0], ROIS, 2), {}, "batch index"),
    ("roi_pool_backward", (DY, INDICES + 30, ROIS, (2, 3, 5, 6)), {}, "expected -1 to 29"),
    ("roi_pool_backward", (DY, INDICES - 2, ROIS, (2, 3, 5, 6)), {}, "values from -2"),
    ("roi_pool_backward", (DY, INDICES, ROIS[:1], (2, 3, 5, 6)), {}, "one row for each"),
    ("roi_pool_backward", (DY, INDICES, ROIS, (2, 4, 5, 6)), {}, "dy has 3 channels"),
    ("roi_pool_backward", (DY, INDICES, ROIS, (5, 6)), {}, "expected the forward's x.shape"),
    ("roi_pool_backward", (DY, INDICES, ROIS, (1, 3, 5, 6)), {}, "batch index"),
    ("roi_align", (X, ROIS[:, [0, 3, 4, 1, 2]], 2), {"aligned": True}, "x2 < x1 or y2 < y1"),
    ("roi_align", (X, with_value(ROIS, np.inf), 2), {}, "NaN, infinite"),
    ("roi_align_backward", (DY, ROIS, (1, 3, 5, 6)), {}, "batch index"),
    ("nms", (ROIS, np.zeros(2)), {"iou_threshold": 0.5}, r"expected \(R, 4\)"),
    ("nms", (ROIS[:, 1:], np.zeros(3)), {"iou_threshold": 0.5}, "one score for each box"),
    ("nms", (ROIS[:, 1:], np.array([0, np.nan])), {"iou_threshold": 0.5}, "scores holds NaN"),
    ("nms", (ROIS[:, 1:], np.zeros(2)), {"iou_threshold": 1.5}, "from 0 to 1"),
    # normalisation
    ("batch_norm", (X, C3[:2], C3, C3, C3), {"training": True}, r"gamma has shape \(2,\); expected \(3,\)"),
    ("batch_norm", (X, None, C3, C3, C3), {"training": True}, "beta is given without gamma"),
    ("batch_norm", (X, C3, C3, C3, None), {"training": True}, "pass both or neither"),
    ("batch_norm", (X, C3, C3, None, None), {"training": False}, "evaluation .* needs them"),
    ("batch_norm", (X[:1, :, :1, :1], C3, C3, C3, C3), {"training": True}, "more than one"),
    ("batch_norm", (X[:0], C3, C3, C3, C3), {"training": True}, "more than one"),
    ("batch_norm", (X[0, 0, 0], C3, C3, C3, C3), {"training": True}, r"expected \(N, C\)"),
    ("batch_norm", (X, C3, C3, C3, -C3), {"training": False}, "variances of at least 0"),
    ("batch_norm", (X, C3, C3, C3, C3), {"training": True, "eps": 0.0}, "small positive number"),
    ("batch_norm", (X, C3, C3, C3, C3), {"training": True, "momentum": 2.0}, "momentum is 2.0"),
    ("batch_norm_backward", (DY, X, C3, C3, C3), {"training": True}, "dy has shape"),
    ("batch_norm_backward", (X, X, C3, C3[:1], C3), {"training": True}, "mean has shape"),
    ("batch_norm_relu", (X, None, C3, C3, C3), {"training": True}, "batch_norm_relu: beta is given"),
    ("batch_norm_relu_backward", (X, DY, X, C3, C3, C3), {"training": True}, "y has shape"),
    ("batch_norm_relu_backward", (DY, X, X, C3, C3, C3), {"training": True}, "dy has shape"),
    # losses
    ("softmax_cross_entropy", (X, LABELS + 3), {}, r"labels outside 0\.\.2: 3 \(60 times\).*ignore_index"),
    ("softmax_cross_entropy", (X, LABELS - 1), {}, r"-1 \(60 times\)"),
    ("softmax_cross_entropy", (X, LABELS + 255), {"ignore_index": 254}, r"255 \(60 times\)"),
    (
        "softmax_cross_entropy",
        (X, LABELS),
        {"ignore_index": 2**70},
        "ignore_index is 1180591620717411303424; expected at most",
    ),
    ("softmax_cross_entropy", (X, LABELS[:, :4]), {}, r"target has shape \(2, 4, 6\); expected \(2, 5, 6\)"),
    ("softmax_cross_entropy", (X, LABELS), {"weight": np.ones(4)}, "one weight for each class"),
    ("softmax_cross_entropy", (X, LABELS), {"weight": -C3}, "weights of at least 0"),
    ("softmax_cross_entropy", (X, LABELS), {"pixel_weight": np.ones((2, 5))}, "one weight for each target"),
    ("softmax_cross_entropy", (X, LABELS), {"pixel_weight": np.full((2, 5, 6), np.nan)}, "NaN"),
    ("softmax_cross_entropy", (X, LABELS), {"reduction": "average"}, r"\['mean', 'sum', 'none'\]"),
    ("softmax_cross_entropy", (X[0, 0, 0], LABELS), {}, r"expected \(N, C\)"),
    (
        "softmax_cross_entropy_backward",
        (np.zeros(2), X, LABELS),
        {},
        r"dloss has shape \(2,\); expected \(\)",
    ),
    ("softmax_cross_entropy_backward", (1.0, X, LABELS), {"reduction": "none"}, "dloss has shape"),
    ("softmax_cross_entropy_backward", (1.0, X, LABELS + 9), {}, "labels outside"),
    ("softmax_cross_entropy_backward", (10**400, X, LABELS), {}, "too large for float64"),
    ("bce_with_logits", (X, X + 2), {}, r"180 targets lie outside 0\.\.1 .*dividing by 255"),
    ("bce_with_logits", (X, with_value(X, np.nan)), {}, "1 targets lie outside"),
    ("bce_with_logits", (X, X[0]), {}, "the logits' shape"),
    ("bce_with_logits", (X, X), {"weight": np.ones(4)}, "doesn't broadcast"),
    ("bce_with_logits", (X, X), {"weight": np.full(6, -1.0)}, "at least 0"),
    ("bce_with_logits_backward", (X, X, X), {}, r"dloss has shape \(2, 3, 5, 6\); expected \(\)"),
    # activations and the rest
    ("softmax", (X,), {"axis": 4}, "axis is 4; expected -4 to 3"),
    ("softmax", (X[:, :0],), {}, "empty along axis 1"),
    ("softmax", (np.array(1.0),), {"axis": 0}, "no axes"),
    ("log_softmax", (X,), {"axis": -5}, "axis is -5"),
    ("softmax_backward", (DY, X), {}, "dy has shape"),
    ("log_softmax_backward", (DY, X), {}, "dy has shape"),
    ("relu_backward", (DY, X), {}, "dy has shape"),
    ("leaky_relu", (X, 0.0), {}, "for 0 use relu"),
    ("leaky_relu_backward", (X, X, -0.1), {}, "positive number"),
    ("sigmoid_backward", (DY, X), {}, "dy has shape"),
    ("dropout", (X, 1.5), {"key": (0, 0, 0)}, "p is 1.5"),
    ("dropout", (X, 0.5), {"key": (0, 0)}, r"\(seed, step, layer\)"),
    ("dropout", (X, 0.5), {"key": (0, -1, 0)}, r"key\[1\] is -1"),
    ("dropout", (X, 0.5), {"key": (2**64, 0, 0)}, r"key\[0\] is 18446744073709551616; expected at most"),
    ("dropout_backward", (X, X[:1] > 0, 0.5), {}, "mask has shape"),
    ("linear", (X, np.zeros((2, 5))), {}, "last axis to be 5"),
    ("linear", (X, W), {}, r"expected 2 axes \(out, in\)"),
    ("linear", (X, np.zeros((2, 6)), np.zeros(3)), {}, "one bias for each output"),
    ("linear_backward", (X, X, np.zeros((2, 6))), {}, "dy has shape"),
    ("concat", ([X, X[:, :, :4]],), {}, r"they may differ on axis 1 only.*crop2d"),
    ("concat", ([X, X[0]],), {}, "they may differ on axis 1 only"),
    ("concat", ([np.array(1.0)],), {"axis": 0}, "no axes"),
    ("concat_backward", (X, [1, 1]), {}, r"add up to 2, but dy has 3 along axis 1"),
    ("add", (X, X[:1]), {}, "nothing is broadcast"),
    ("crop2d", (X, 6), {}, "larger than the map"),
    ("crop2d_backward", (X, (4, 4)), {}, "larger than the map"),
    ("pad2d", (X, 5), {"mode": "reflect"}, "smaller than the map"),
    ("pad2d", (X, 1), {"mode": "edge"}, r"\['zero', 'reflect'\]"),
    ("pad2d_backward", (X, 3), {}, "too small for a border"),
    ("pad2d_backward", (X, (2, 1)), {"mode": "reflect"}, "smaller than the map"),
]

TYPE_ERRORS: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("conv2d", (X.tolist(), W), {}, "x is a list; expected a NumPy or CuPy array. Convert it first"),
    ("conv2d", (X.astype(int), W), {}, r"x has dtype int64; expected float32 or float64"),
    ("conv2d", (X.astype(np.float16), W), {}, "dtype float16"),
    ("conv2d", (X, W.astype(np.float32)), {}, "w has dtype float32 but x has float64"),
    ("conv2d", (X, W, C3.astype(np.float32)), {}, "b has dtype float32"),
    ("conv2d", (X, W), {"stride": 1.0}, r"stride is 1\.0 \(float\); expected an integer"),
    ("conv2d", (X, W), {"groups": True}, "groups is True"),
    ("conv2d", (X, W), {"padding": "same"}, "padding is 'same'"),
    ("conv2d", (X, W), {"stride": {"h": 1, "w": 2}}, "stride is .* expected an integer"),
    ("conv2d", (X, W), {"stride": np.array(1.0)}, "stride is .* expected an integer"),
    ("softmax", (X,), {"axis": np.array([1, 2])}, "axis is .* expected an integer"),
    ("conv2d", (np.ma.masked_array(X), W), {}, "masked array"),
    ("conv2d_backward", (np.zeros((2, 4, 3, 4)), X, W), {"need_dx": 1}, "expected True or False"),
    ("conv_transpose2d", (None, W), {}, "x is a NoneType"),
    ("max_pool2d", (X, 2), {"ceil_mode": None}, "expected True or False"),
    ("max_pool2d", (X, 2.5), {}, "expected an integer"),
    ("max_pool2d_backward", (DY, INDICES.astype(float), (5, 6)), {}, "expected an integer dtype"),
    ("max_unpool2d", (DY, INDICES == 0, (5, 6)), {}, "expected an integer dtype"),
    ("avg_pool2d", (X, 2), {"count_include_pad": "no"}, "expected True or False"),
    ("resize_bilinear", (X, 4), {"align_corners": 1}, "expected True or False"),
    ("resize_nearest", (X, 2.0), {}, "expected an integer"),
    ("roi_pool", (X, ROIS.astype(np.float32), 2), {}, "rois has dtype float32"),
    ("roi_pool", (X, ROIS, 2), {"spatial_scale": "1/16"}, "expected a number"),
    ("roi_align", (X, ROIS, 2), {"sampling_ratio": 1.5}, "expected an integer"),
    ("nms", (ROIS[:, 1:], np.zeros(2, np.float32)), {"iou_threshold": 0.5}, "scores has dtype float32"),
    ("batch_norm", (X, C3, C3, C3, C3), {"training": "yes"}, "expected True or False"),
    ("batch_norm_backward", (X, X, C3, None, C3), {"training": True}, "pass what batch_norm returned"),
    (
        "batch_norm_relu_backward",
        (X, X, X, C3, None, C3),
        {"training": True},
        "pass what batch_norm_relu returned",
    ),
    ("conv2d_relu_backward", (DY4, DY4.astype(np.float32), X, W), {}, "y has dtype float32 but x has"),
    ("softmax_cross_entropy", (X, LABELS.astype(float)), {}, "expected an integer dtype"),
    ("softmax_cross_entropy", (X, LABELS), {"weight": C3.astype(np.float32)}, "weight has dtype float32"),
    ("softmax_cross_entropy", (X, LABELS), {"ignore_index": 1.0}, "expected an integer"),
    ("softmax_cross_entropy", (X, LABELS), {"reduction": None}, "expected one of"),
    ("softmax_cross_entropy_backward", (np.zeros((), np.float32), X, LABELS), {}, "dloss has dtype float32"),
    ("bce_with_logits", (X, X.astype(np.float32)), {}, "target has dtype float32"),
    ("relu", (3.0,), {}, "x is a float"),
    ("sigmoid", (X > 0,), {}, "dtype bool"),
    ("add_backward", (None,), {}, "dy is a NoneType"),
    ("softmax", (X,), {"axis": 1.0}, "expected an integer"),
    ("leaky_relu", (X, "0.1"), {}, "expected a number"),
    ("dropout", (X, "half"), {"key": (0, 0, 0)}, "expected a number"),
    ("dropout", (X, 0.5), {"key": (0, 0, 0.5)}, "expected an integer"),
    ("dropout_backward", (X, X, 0.5), {}, "bool mask"),
    ("concat", ([],), {}, "at least one array"),
    ("concat", (X,), {}, "expected a list"),
    ("concat", ([X, X.astype(np.float32)],), {}, "dtype float32"),
    ("concat_backward", (X, 3), {}, "list of lengths"),
    ("add", (X, X.astype(np.float32)), {}, "b has dtype float32"),
    ("pad2d", (X, 1), {"mode": 0}, "expected one of"),
]


def ids(rows: Any) -> list[str]:
    return [f"{op}-{i}" for i, (op, *_) in enumerate(rows)]


@pytest.mark.parametrize(("op", "args", "kwargs", "says"), VALUE_ERRORS, ids=ids(VALUE_ERRORS))
def test_wrong_values(op: str, args: Any, kwargs: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        getattr(ops, op)(*args, **kwargs)
    assert str(caught.value).startswith(op) or "expected" in str(caught.value) or "use" in str(caught.value)


@pytest.mark.parametrize(("op", "args", "kwargs", "says"), TYPE_ERRORS, ids=ids(TYPE_ERRORS))
def test_wrong_kinds(op: str, args: Any, kwargs: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        getattr(ops, op)(*args, **kwargs)


def test_every_op_has_a_test_of_its_errors() -> None:
    tested = {row[0] for row in (*VALUE_ERRORS, *TYPE_ERRORS)}
    not_ops = {
        "BACKENDS",
        "current_backend",
        "exact_convolutions",
        "to_backend",
        "to_numpy",
        "use_backend",
        "why_not",
    }
    assert set(ops.__all__) - not_ops - tested == set()


def test_foreign_byte_order_is_named() -> None:
    with pytest.raises(TypeError, match="dtype >f8"):
        ops.relu(np.zeros(2, ">f8"))


def test_memory_maps_are_arrays(tmp_path: Any) -> None:
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    y = ops.relu(mapped)
    assert type(y) is np.ndarray


def test_labels_beyond_int64_are_refused() -> None:
    with pytest.raises(ValueError, match="does not fit into int64"):
        ops.softmax_cross_entropy(np.zeros((1, 2)), np.array([2**63], np.uint64))
