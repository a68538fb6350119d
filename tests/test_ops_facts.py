"""Facts from outside: the source documents' own numbers, and identities that tie ops to one another.

The truth tests of SYSTEMS.md's rows 4 and 5 are here; tests that belong to a row name it.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_table import TABLE, Call, examples

from minisegnet import ops
from minisegnet.testing import check_adjoint


@pytest.fixture(autouse=True)
def _on_each_backend(backend: str) -> Any:
    with ops.use_backend(backend):
        yield


# ---------------------------------------------------------------------------------------------------------
# The source documents' numbers (lecture notes on SegNet and on transposed convolution)


@pytest.mark.claim("S2-29")
def test_the_notes_max_pooling_matrix() -> None:
    """Row 7 of the systems list: the maxima, and where they stood."""
    x = np.array([[1.0, 2, 6, 3], [3, 5, 2, 1], [1, 2, 2, 1], [7, 3, 4, 8]])[None, None]
    y, indices = ops.max_pool2d(x, 2)
    np.testing.assert_array_equal(y[0, 0], [[5, 6], [7, 8]])
    np.testing.assert_array_equal(indices[0, 0], [[5, 2], [12, 15]])


@pytest.mark.claim("S2-30")
def test_the_notes_unpooling_matrix() -> None:
    """Row 7 of the systems list: the values of the decoder go to those places, 0 elsewhere."""
    indices = np.array([[5, 2], [12, 15]])[None, None]
    y = ops.max_unpool2d(np.array([[1.0, 2], [3, 4]])[None, None], indices, 4)
    np.testing.assert_array_equal(y[0, 0], [[0, 0, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0], [3, 0, 0, 4]])


@pytest.mark.claim("S1-18")
@settings(max_examples=examples(15))
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 4), st.integers(0, 2**16))
def test_transposed_convolution_by_spread_pad_and_strip(k: int, s: int, p: int, n: int, seed: int) -> None:
    """Row 5 of the systems list: spread the input by the stride, pad by k-1, convolve, strip the padding."""
    if (n - 1) * s + k - 2 * p < 1:
        return
    generator = np.random.default_rng(seed)
    x, w = generator.standard_normal((1, 2, n, n)), generator.standard_normal((2, 3, k, k))
    spread = np.zeros((1, 2, (n - 1) * s + 1, (n - 1) * s + 1))
    spread[:, :, ::s, ::s] = x
    padded = ops.pad2d(spread, k - 1)
    flipped = w[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)  # a convolution's filters: out channels first
    whole = ops.conv2d(padded, flipped)
    stripped = whole[:, :, p : whole.shape[2] - p, p : whole.shape[3] - p]
    np.testing.assert_allclose(ops.conv_transpose2d(x, w, stride=s, padding=p), stripped, atol=1e-12)


@pytest.mark.parametrize(("k", "s"), [(2, 2), (4, 2), (3, 3), (6, 3), (3, 2), (5, 2), (4, 3), (5, 3)])
def test_a_transposed_convolution_paints_a_checkerboard_unless_its_stride_divides_its_kernel(
    k: int, s: int
) -> None:
    """Row 5 of the systems list: how often windows overlap at a pixel is even inside only where k mod s is 0."""
    ones, kernel = np.ones((1, 1, 9, 9)), np.ones((1, 1, k, k))
    inside = slice(k, -k)
    overlaps = ops.conv_transpose2d(ones, kernel, stride=s)[0, 0, inside, inside]
    low, high = k // s, -(-k // s)  # windows over a pixel, on one axis
    assert set(np.unique(overlaps)) == {low * low, low * high, high * high}
    assert (np.ptp(overlaps) == 0) == (k % s == 0)


# ---------------------------------------------------------------------------------------------------------
# Convolutions


@pytest.mark.claim("S0-31", "S4-73")
@settings(max_examples=examples(15))
@given(TABLE["conv2d"].calls(np.float64, True))
def test_transposed_convolution_is_the_adjoint_of_convolution(call: Call) -> None:
    """Row 5 of the systems list: <conv(x), y> = <x, conv_transpose(y)>, whatever the geometry."""
    x, w, _ = call.args
    kwargs = dict(call.kwargs)
    y = ops.conv2d(x, w, **kwargs)
    stride, padding, dilation = (np.broadcast_to(kwargs[k], 2) for k in ("stride", "padding", "dilation"))
    lost = [  # rows that no window reaches: the transposed convolution needs them as output_padding
        int(
            x.shape[2 + a]
            - ((y.shape[2 + a] - 1) * stride[a] - 2 * padding[a] + dilation[a] * (w.shape[2 + a] - 1) + 1)
        )
        for a in range(2)
    ]
    if any(lost[a] >= max(stride[a], dilation[a]) for a in range(2)):
        return  # pragma: no cover - cannot be: a convolution loses less than one stride
    check_adjoint(
        lambda a: ops.conv2d(a, w, **kwargs),
        lambda b: ops.conv_transpose2d(b, w, output_padding=tuple(lost), **kwargs),
        x,
    )


@pytest.mark.claim("S3-17", "S3-20", "S3-21")
@settings(max_examples=examples(15))
@given(TABLE["conv2d"].calls(np.float64, True))
def test_a_dilated_convolution_is_one_with_a_zero_stuffed_kernel(call: Call) -> None:
    """Row 16 of the systems list: zeros between the taps of the kernel, and no dilation."""
    x, w, b = call.args
    dh, dw = np.broadcast_to(call.kwargs["dilation"], 2)
    stuffed = np.zeros((*w.shape[:2], dh * (w.shape[2] - 1) + 1, dw * (w.shape[3] - 1) + 1))
    stuffed[:, :, ::dh, ::dw] = w
    dense = {**call.kwargs, "dilation": 1}
    np.testing.assert_allclose(
        ops.conv2d(x, w, b, **call.kwargs), ops.conv2d(x, stuffed, b, **dense), atol=1e-12
    )


def test_a_one_by_one_convolution_is_a_dense_layer_on_every_pixel() -> None:
    generator = np.random.default_rng(0)
    x, w, b = (generator.standard_normal(s) for s in ((2, 3, 4, 5), (7, 3, 1, 1), (7,)))
    dense = ops.linear(x.transpose(0, 2, 3, 1), w[:, :, 0, 0], b).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(ops.conv2d(x, w, b), dense, atol=1e-12)


def test_groups_are_separate_convolutions() -> None:
    generator = np.random.default_rng(1)
    x, w = generator.standard_normal((2, 4, 5, 6)), generator.standard_normal((6, 2, 3, 2))
    halves = [ops.conv2d(x[:, :2], w[:3]), ops.conv2d(x[:, 2:], w[3:])]
    np.testing.assert_allclose(ops.conv2d(x, w, groups=2), ops.concat(halves), atol=1e-12)


def test_first_layers_need_no_dx() -> None:
    x, w = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
    dy = np.ones((1, 1, 2, 2))
    dx, dw, db = ops.conv2d_backward(dy, x, w, need_dx=False)
    assert dx is None
    _, dw_too, db_too = ops.conv2d_backward(dy, x, w)
    np.testing.assert_array_equal(dw, dw_too)
    np.testing.assert_array_equal(db, db_too)


# ---------------------------------------------------------------------------------------------------------
# Pooling and unpooling


def test_ties_go_to_the_first_in_row_major_order() -> None:
    _, indices = ops.max_pool2d(np.zeros((1, 1, 4, 4)), 2)
    np.testing.assert_array_equal(indices[0, 0], [[0, 2], [8, 10]])


def test_nan_wins_and_the_last_one_is_named() -> None:
    x = np.array([[1.0, np.nan, np.inf], [np.nan, 5, 2], [0, 1, 2]])[None, None]
    y, indices = ops.max_pool2d(x, 2, stride=1)
    np.testing.assert_array_equal(y[0, 0], [[np.nan, np.nan], [np.nan, 5]])
    np.testing.assert_array_equal(indices[0, 0], [[3, 1], [3, 4]])
    y, indices = ops.adaptive_max_pool2d(x, 1)
    assert np.isnan(y[0, 0, 0, 0]) and indices[0, 0, 0, 0] == 3
    y, argmax = ops.roi_pool(x, np.array([[0.0, 0, 0, 2, 2]]), 1)
    assert np.isnan(y[0, 0, 0, 0]) and argmax[0, 0, 0, 0] == 3


def test_padding_never_wins() -> None:
    y, indices = ops.max_pool2d(np.full((1, 1, 3, 3), -np.inf), 3, stride=2, padding=1)
    assert (y == -np.inf).all()
    np.testing.assert_array_equal(indices[0, 0], [[0, 1], [3, 4]])
    y, _ = ops.max_pool2d(np.full((1, 1, 3, 3), -1.0), 3, padding=1)
    assert (y == -1).all(), "padding with zeros would have won"


@settings(max_examples=examples(15))
@given(TABLE["max_pool2d"].calls(np.float64, True))
def test_pooling_what_was_unpooled_gives_the_maxima_back(call: Call) -> None:
    """Row 7 of the systems list: unpooling keeps the maxima, and its backward gathers from their places."""
    (x, kernel), kwargs = call.args, call.kwargs
    y, indices = ops.max_pool2d(x, kernel, **kwargs)
    unpooled = ops.max_unpool2d(y, indices, x.shape[2:])
    np.testing.assert_array_equal(ops.max_unpool2d_backward(unpooled, indices), y)
    kept = unpooled != 0
    np.testing.assert_array_equal(unpooled[kept], x[kept])


def test_unpooling_twice_to_one_place_keeps_the_last() -> None:
    x, indices = np.array([[[[1.0, 2.0, 3.0]]]]), np.array([[[[1, 1, 0]]]])
    np.testing.assert_array_equal(ops.max_unpool2d(x, indices, (1, 2)), [[[[3, 2]]]])
    np.testing.assert_array_equal(
        ops.max_unpool2d_backward(np.array([[[[5.0, 6.0]]]]), indices), [[[[6, 6, 5]]]]
    )


def test_adaptive_pooling_to_one_is_global() -> None:
    x = np.random.default_rng(3).standard_normal((2, 3, 4, 5))
    np.testing.assert_allclose(ops.adaptive_avg_pool2d(x, 1), ops.global_avg_pool2d(x), atol=1e-15)


# ---------------------------------------------------------------------------------------------------------
# Resizing


@pytest.mark.parametrize("align_corners", [False, True])
def test_bilinear_keeps_constants_and_ramps(align_corners: bool) -> None:
    """Row 4 of the systems list: the weights sum to 1, and a straight line stays one."""
    assert np.allclose(ops.resize_bilinear(np.ones((1, 1, 3, 5)), (7, 11), align_corners=align_corners), 1)
    ramp = np.arange(8.0)[None, None, None]
    y = ops.resize_bilinear(ramp, (1, 16), align_corners=align_corners)[0, 0, 0]
    inner = slice(None) if align_corners else slice(1, -1)  # half-pixel positions clamp at the border
    steps = np.diff(y[inner])
    np.testing.assert_allclose(steps, steps[0], atol=1e-12)


@pytest.mark.claim("S1-15")
def test_a_transposed_convolution_interpolates_inside_but_not_at_the_border() -> None:
    """Rows 3 to 5 of the systems list: kernel 2s, padding s/2, bilinear weights; ones sink to these corners."""
    for s, corner in ((2, 0.5625), (8, 0.316), (32, 0.266)):
        f = (np.arange(2 * s) + 0.5) / s
        line = 1 - np.abs(f - 1)
        w = np.outer(line, line)[None, None]
        x = np.random.default_rng(4).standard_normal((1, 1, 4, 4))
        y = ops.conv_transpose2d(x, w, stride=s, padding=s // 2)
        expected = ops.resize_bilinear(x, 4 * s)
        assert y.shape == expected.shape
        inside = slice(s // 2, -(s // 2))
        np.testing.assert_allclose(y[..., inside, inside], expected[..., inside, inside], atol=1e-12)
        ones = ops.conv_transpose2d(np.ones((1, 1, 4, 4)), w, stride=s, padding=s // 2)
        assert abs(ones[0, 0, 0, 0] - corner) < 5e-4


def test_nearest_uses_integer_arithmetic() -> None:
    x = np.arange(25.0).reshape(1, 1, 1, 25)
    y = ops.resize_nearest(x, (1, 49))[0, 0, 0]
    np.testing.assert_array_equal(y, [i * 25 // 49 for i in range(49)])


@settings(max_examples=examples(15))
@given(TABLE["resize_bilinear"].calls(np.float64, True))
def test_the_backward_of_bilinear_is_its_adjoint(call: Call) -> None:
    """Row 4 of the systems list: <resize(x), y> = <x, backward(y)>."""
    x, size = call.args
    check_adjoint(
        lambda a: ops.resize_bilinear(a, size, **call.kwargs),
        lambda b: ops.resize_bilinear_backward(b, x.shape[2:], **call.kwargs),
        x,
    )


# ---------------------------------------------------------------------------------------------------------
# Regions


@pytest.mark.claim("S4-38")
def test_a_region_that_is_the_whole_map_with_a_bin_per_pixel_is_the_map() -> None:
    x = np.random.default_rng(5).standard_normal((1, 2, 4, 5))
    whole = np.array([[0.0, 0, 0, 4, 3]])  # both corners belong to it
    np.testing.assert_array_equal(ops.roi_pool(x, whole, (4, 5))[0], x)
    edges = np.array([[0.0, 0, 0, 5, 4]])
    np.testing.assert_allclose(ops.roi_align(x, edges, (4, 5), sampling_ratio=1, aligned=True), x, atol=1e-12)


def test_region_corners_round_half_away_from_zero() -> None:
    x = np.arange(36.0).reshape(1, 1, 6, 6)
    rois = np.array(
        [[0.0, 0.5, 0.5, 0.5, 0.5], [0.0, 1.5, 2.5, 1.5, 2.5], [0.0, 0.49999999999999994, 0, 0, 0]]
    )
    y, argmax = ops.roi_pool(x, rois, 1)
    np.testing.assert_array_equal(argmax.ravel(), [7, 20, 0])
    outside = np.array([[0.0, -0.5, 0, -0.5, 0]])  # rounds to -1: outside, so the bin is empty
    y, argmax = ops.roi_pool(x, outside, 1)
    assert y.item() == 0 and argmax.item() == -1


@pytest.mark.claim("S4-40")
def test_region_gradients_of_overlapping_regions_add() -> None:
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    rois = np.array([[0.0, 0, 0, 3, 3], [0.0, 2, 2, 3, 3]])
    _, argmax = ops.roi_pool(x, rois, 1)
    dx = ops.roi_pool_backward(np.array([2.0, 5.0]).reshape(2, 1, 1, 1), argmax, rois, x.shape)
    assert dx[0, 0, 3, 3] == 7 and dx.sum() == 7


@pytest.mark.claim("S4-03", "S4-48")
def test_nms_keeps_the_best_and_the_first_of_equals() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 5], [20, 20, 30, 30]])
    scores = np.array([0.5, 0.5, 0.9, 0.1])
    np.testing.assert_array_equal(ops.nms(boxes, scores, iou_threshold=0.5), [2, 0, 3])
    np.testing.assert_array_equal(ops.nms(boxes, scores, iou_threshold=0.4), [2, 3])
    flat = np.zeros((3, 4))  # no area: 0/0 suppresses nothing
    np.testing.assert_array_equal(ops.nms(flat, np.zeros(3), iou_threshold=0.0), [0, 1, 2])


@settings(max_examples=examples(15))
@given(TABLE["nms"].calls(np.float64, True))
def test_nms_is_idempotent(call: Call) -> None:
    boxes, scores = call.args
    kept = ops.nms(boxes, scores, **call.kwargs)
    again = ops.nms(boxes[kept], scores[kept], **call.kwargs)
    np.testing.assert_array_equal(again, np.arange(len(kept)))


# ---------------------------------------------------------------------------------------------------------
# Normalisation, losses, activations


def test_batch_norm_of_a_large_offset_stays_exact_in_float32() -> None:
    x = np.random.default_rng(6).standard_normal((8, 2, 9, 9)) + 1e4
    args = (None, None, np.zeros(2), np.ones(2))
    exact = ops.batch_norm(x, *args, training=True)[0]
    single = ops.batch_norm(
        x.astype(np.float32), *(a if a is None else a.astype(np.float32) for a in args), training=True
    )[0]
    assert np.abs(single - exact).max() < 5e-3  # float32 itself resolves 1e4 to 1e-3


def test_batch_norm_moves_the_running_statistics_by_the_unbiased_variance() -> None:
    x = np.array([[0.0], [2.0], [4.0]])
    _, mean, inv_std, running_mean, running_var = ops.batch_norm(
        x, None, None, np.zeros(1), np.ones(1), training=True, momentum=0.25, eps=1e-9
    )
    assert mean.item() == 2
    np.testing.assert_allclose(inv_std, 1 / np.sqrt(8 / 3), rtol=1e-8)
    np.testing.assert_allclose([running_mean.item(), running_var.item()], [0.5, 0.75 + 0.25 * 4])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_scores_neither_overflow_nor_lose_the_loss(dtype: Any) -> None:
    logits = np.array([[1e4, -1e4], [-1e4, 1e4]], dtype)
    loss, probs = ops.softmax_cross_entropy(logits, np.array([0, 0]), reduction="none")
    np.testing.assert_array_equal(loss, np.array([0, 2e4], dtype))
    np.testing.assert_array_equal(probs, [[1, 0], [0, 1]])
    loss = ops.bce_with_logits(np.array([1e4, -1e4], dtype), np.array([0, 0], dtype), reduction="none")
    np.testing.assert_array_equal(loss, np.array([1e4, 0], dtype))
    # A target just below 1: z - z t would cancel. And infinite scores on the wrong side cost infinitely much.
    logits, target = np.array([2e15, np.inf, -np.inf], dtype), np.array([1 - 2.0**-20, 0, 1], dtype)
    loss = ops.bce_with_logits(logits, target, reduction="none")
    np.testing.assert_array_equal(loss, logits * np.array([2.0**-20, 1, -1], dtype))


@pytest.mark.parametrize("case", ["all ignored", "zero weights", "empty batch"])
def test_when_nothing_counts_the_mean_is_zero_and_so_is_the_gradient(case: str) -> None:
    N = 0 if case == "empty batch" else 2
    logits = np.random.default_rng(8).standard_normal((N, 3, 2, 2))
    target = np.full((N, 2, 2), 255 if case == "all ignored" else 1)
    options: dict[str, Any] = {"ignore_index": 255, "weight": np.zeros(3) if case == "zero weights" else None}
    loss, probs = ops.softmax_cross_entropy(logits, target, **options)
    assert loss.shape == () and loss == 0
    assert not ops.softmax_cross_entropy_backward(1.0, probs, target, **options).any()
    options["weight"] = np.zeros((1, 2, 2)) if case == "zero weights" else None
    binary = np.full(logits.shape, 255.0 if case == "all ignored" else 1.0)
    assert ops.bce_with_logits(logits, binary, **options) == 0
    assert not ops.bce_with_logits_backward(1.0, logits, binary, **options).any()


def test_a_nan_at_an_ignored_pixel_touches_nothing() -> None:
    logits = np.array([[np.nan, 1.0], [0.0, 1.0]])
    target = np.array([255, 1])
    loss, probs = ops.softmax_cross_entropy(logits, target, ignore_index=255)
    np.testing.assert_allclose(loss, np.log(1 + np.exp(-1)))
    dlogits = ops.softmax_cross_entropy_backward(1.0, probs, target, ignore_index=255)
    assert not dlogits[0].any() and np.isfinite(dlogits).all()


def test_a_nan_that_counts_is_not_hidden() -> None:
    logits = np.array([[np.nan, 1.0]])
    assert np.isnan(ops.softmax_cross_entropy(logits, np.array([1]))[0])
    assert np.isnan(ops.bce_with_logits(logits, np.zeros((1, 2))))
    for op in (ops.relu, ops.sigmoid, ops.leaky_relu, ops.softmax, ops.log_softmax):
        assert np.isnan(op(logits)[0, 0]), op.__name__
    assert np.isnan(ops.relu_backward(np.array([np.nan]), np.array([1.0])))


def test_the_gradient_of_cross_entropy_sums_to_zero_over_classes() -> None:
    logits = np.random.default_rng(9).standard_normal((2, 4, 3, 3))
    target = np.random.default_rng(9).integers(0, 4, (2, 3, 3))
    _, probs = ops.softmax_cross_entropy(logits, target)
    dlogits = ops.softmax_cross_entropy_backward(2.5, probs, target)
    np.testing.assert_allclose(dlogits.sum(1), 0, atol=1e-15)


def test_infinities_in_activations() -> None:
    x = np.array([-np.inf, 0, np.inf])
    np.testing.assert_array_equal(ops.sigmoid(x), [0, 0.5, 1])
    np.testing.assert_array_equal(ops.relu(x), [0, 0, np.inf])
    np.testing.assert_array_equal(ops.leaky_relu(x, 0.5), [-np.inf, 0, np.inf])
    np.testing.assert_array_equal(ops.softmax(np.array([[-np.inf, 0.0]])), [[0, 1]])


# ---------------------------------------------------------------------------------------------------------
# Dropout: the generator's published answers, and the same bits everywhere


def test_dropout_is_a_function_of_its_key() -> None:
    x = np.ones((64, 64))
    masks = [
        ops.dropout(x, 0.5, key=key)[1] for key in ((1, 0, 0), (1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1))
    ]
    np.testing.assert_array_equal(masks[0], masks[1])
    for other in masks[2:]:
        assert 0.4 < (masks[0] != other).mean() < 0.6
    assert abs(ops.dropout(x, 0.25, key=(3, 0, 0))[1].mean() - 0.75) < 0.02


def test_dropout_keeps_the_words_of_philox() -> None:
    """Philox4x32-10's published answer for an all-zero counter and key: 6627e8d5 e169c58d bc57ac4c 9b00dbd8."""
    words = [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    for word_index, word in enumerate(words):
        below, above = (word - 1) / 2**32, (word + 1) / 2**32
        assert ops.dropout(np.ones(4), below, key=(0, 0, 0))[1][word_index]
        assert not ops.dropout(np.ones(4), above, key=(0, 0, 0))[1][word_index]


def test_dropping_everything_or_nothing() -> None:
    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(ops.dropout(x, 0.0, key=(0, 0, 0))[0], x)
    np.testing.assert_array_equal(ops.dropout(x, 1.0, key=(0, 0, 0))[0], 0 * x)
