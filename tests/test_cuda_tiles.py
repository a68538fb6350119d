"""The CUDA kernels that work in tiles and in parts: edges of tiles, every kernel of the table, sums cut into parts.

Inputs are small whole numbers. Then all sums are exact in whatever order they are made, and results must be equal, to
the last bit, to what NumPy computes in another way.
"""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_table import examples

from minisegnet import ops
from minisegnet.backends.cuda_on_cpu.module import planned
from minisegnet.backends.cupy import conv, launch, loss, norm
from minisegnet.backends.cupy.linear import product

reason = ops.why_not("cuda-on-cpu")
pytestmark = pytest.mark.skipif(reason is not None, reason=str(reason))

ORDERS: list[dict[str, Any]] = [
    {"order": "round robin"},
    {"order": "last first"},
    {"order": "random", "seed": 2},
]
DTYPES = ["float32", "float64"]
KINDS = ["_direct", "_flat", "", "_large"]  # of conv.py's table
WEIGHT_KINDS = ["_direct", "_small", "", "_large"]


def whole(*shape: int, dtype: Any = np.float64, seed: int = 0) -> Any:
    return np.random.default_rng((*shape, seed)).integers(-4, 5, shape).astype(dtype)


# ---------------------------------------------------------------------------------------------------------
# The dense layer's product


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("M", "K", "N"),
    [(63, 15, 65), (64, 16, 64), (65, 17, 63), (1, 1, 1), (1, 33, 130), (129, 1, 1), (5, 0, 3), (0, 4, 3)],
)
def test_a_product_around_the_edges_of_tiles(M: int, K: int, N: int, dtype: str) -> None:
    """Both matrices as they lie in memory and turned around: neighbours along the side, or along the sum."""
    a, b, bias = whole(M, K, dtype=dtype), whole(K, N, dtype=dtype, seed=1), whole(N, dtype=dtype)
    for left in (a, np.ascontiguousarray(a.T).T):
        for right in (b, np.ascontiguousarray(b.T).T):
            np.testing.assert_array_equal(product(left, right), a @ b)
            np.testing.assert_array_equal(product(left, right, bias), a @ b + bias)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order["order"])
def test_a_product_needs_both_barriers(order: dict[str, Any]) -> None:
    """Without the second barrier a fast warp overwrites the slice that a slow one still reads."""
    a, b = whole(70, 90), whole(90, 66)
    with planned(**order):
        np.testing.assert_array_equal(product(a, b), a @ b)


# ---------------------------------------------------------------------------------------------------------
# Convolutions: three other texts, tap by tap


Geometry = dict[str, Any]


def taps_of(x: Any, size: tuple[int, int], kernel: tuple[int, int], g: Geometry) -> Any:
    """Yield for each tap the padded map's pixels that it meets, as a view (N, C, OH, OW), and the map around it."""
    (ph, pw), (sh, sw), (dh, dw) = g["padding"], g["stride"], g["dilation"]
    wide = np.pad(x, ((0, 0), (0, 0), (ph, ph + sh * size[0]), (pw, pw + sw * size[1])))
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            rows, columns = i * dh, j * dw
            view = wide[:, :, rows : rows + sh * size[0] : sh, columns : columns + sw * size[1] : sw]
            yield i, j, view[:, :, : size[0], : size[1]], wide


def grouped(a: Any, axis: int, groups: int) -> Any:
    """Split an axis of channels into (groups, channels of a group)."""
    return a.reshape(*a.shape[:axis], groups, a.shape[axis] // groups, *a.shape[axis + 1 :])


def forward(x: Any, w: Any, size: tuple[int, int], g: Geometry) -> Any:
    G, y = g["groups"], 0
    for i, j, met, _ in taps_of(x, size, w.shape[2:], g):
        weights, values = grouped(w, 0, G)[..., i, j], grouped(met, 1, G)  # (G, KG, CG), (N, G, CG, OH, OW)
        y = y + np.einsum("gkc,ngchw->ngkhw", weights, values)
    return np.reshape(y, (x.shape[0], w.shape[0], *size))


def gradient_of_x(dy: Any, x: Any, w: Any, g: Geometry) -> Any:
    G, (ph, pw) = g["groups"], g["padding"]
    for i, j, met, around in taps_of(np.zeros_like(x), dy.shape[2:], w.shape[2:], g):
        weights, values = grouped(w, 0, G)[..., i, j], grouped(dy, 1, G)
        met += np.einsum("gkc,ngkhw->ngchw", weights, values).reshape(met.shape)
        wide = around  # the same for all taps
    return wide[:, :, ph : ph + x.shape[2], pw : pw + x.shape[3]]


def gradient_of_w(dy: Any, x: Any, w: Any, g: Geometry) -> Any:
    G = g["groups"]
    dw = np.empty_like(w)
    for i, j, met, _ in taps_of(x, dy.shape[2:], w.shape[2:], g):
        summed = np.einsum("ngkhw,ngchw->gkc", grouped(dy, 1, G), grouped(met, 1, G))
        dw[:, :, i, j] = summed.reshape(w.shape[:2])
    return dw


@st.composite
def convolutions(draw: Any, most_channels: int = 5) -> tuple[Any, Any, Any, Any, Geometry]:
    """Draw x, w, b, dy and the geometry, of anything that may meet an edge."""
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    groups, CG, KG = (
        draw(st.integers(1, 3)),
        draw(st.integers(1, most_channels)),
        draw(st.integers(1, most_channels)),
    )
    kernel, stride, dilation = draw(pair), draw(pair), draw(pair)
    padding = draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    size = [
        max(1, d * (k - 1) + 1 - 2 * p) + draw(st.integers(0, 9))
        for k, d, p in zip(kernel, dilation, padding, strict=True)
    ]
    dtype, N = draw(st.sampled_from(DTYPES)), draw(st.sampled_from([1, 2, 3]))
    x, w = whole(N, groups * CG, *size, dtype=dtype), whole(groups * KG, CG, *kernel, dtype=dtype)
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y = ops.conv2d(x, w, **geometry)
    return x, w, whole(groups * KG, dtype=dtype), whole(*y.shape, dtype=dtype, seed=1), geometry


def check_convolution(x: Any, w: Any, b: Any, dy: Any, g: Geometry) -> None:
    """All that a convolution and the transposed one compute; the latter is the former's gradient, and back."""
    size, options = dy.shape[2:], {name: g[name] for name in ("stride", "padding", "dilation", "groups")}
    with ops.use_backend("cuda-on-cpu"):
        y = ops.conv2d(x, w, b, **options)
        dx, dw, db = ops.conv2d_backward(dy, x, w, **options)
    np.testing.assert_array_equal(y, forward(x, w, size, g) + b[:, None, None])
    np.testing.assert_array_equal(dx, gradient_of_x(dy, x, w, g))
    np.testing.assert_array_equal(dw, gradient_of_w(dy, x, w, g))
    np.testing.assert_array_equal(db, dy.sum((0, 2, 3)))
    check_transposed(dy, x, w, g, options)


def check_transposed(y: Any, x: Any, w: Any, g: Geometry, options: Geometry) -> None:
    """From y's size to x's, where an output_padding leads there (else not all of x is met)."""
    extent = [(f - 1) * d + 1 for f, d in zip(w.shape[2:], g["dilation"], strict=True)]
    sizes = zip(x.shape[2:], y.shape[2:], g["stride"], g["padding"], extent, strict=True)
    extra = tuple(H - ((OH - 1) * s - 2 * p + e) for H, OH, s, p, e in sizes)
    if any(e >= max(s, d) for e, s, d in zip(extra, g["stride"], g["dilation"], strict=True)):
        return
    bias = whole(x.shape[1], dtype=x.dtype, seed=3)
    with ops.use_backend("cuda-on-cpu"):
        painted = ops.conv_transpose2d(y, w, bias, output_padding=extra, **options)
        dx, dw, db = ops.conv_transpose2d_backward(x, y, w, output_padding=extra, **options)
    np.testing.assert_array_equal(painted, gradient_of_x(y, x, w, g) + bias[:, None, None])
    np.testing.assert_array_equal(dx, forward(x, w, y.shape[2:], g))
    np.testing.assert_array_equal(dw, gradient_of_w(y, x, w, g))
    np.testing.assert_array_equal(db, x.sum((0, 2, 3)))


@pytest.mark.parametrize(("kind", "weight_kind"), list(zip(KINDS, WEIGHT_KINDS, strict=True)))
def test_every_kernel_is_right_for_every_shape(
    kind: str, weight_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table chooses by what pays; each of its kernels could do all of the work."""
    monkeypatch.setattr(conv, "chosen", lambda rows, pixels, products: kind)
    monkeypatch.setattr(conv, "chosen_for_weights", lambda filters, taps: weight_kind)
    monkeypatch.setattr(conv, "SHORTEST_PART", 7)  # so that even these few pixels are cut into parts

    @settings(max_examples=examples(15))
    @given(convolutions(), st.sampled_from(ORDERS))
    def check(drawn: tuple[Any, Any, Any, Any, Geometry], order: dict[str, Any]) -> None:
        with planned(**order):
            check_convolution(*drawn)

    check()


@pytest.mark.parametrize("weight_kind", WEIGHT_KINDS)
@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order["order"])
def test_a_part_of_many_pixels(
    weight_kind: str, order: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several slices, rows and images in one part: threads go on from pixel to pixel, and wait for each other."""
    monkeypatch.setattr(conv, "chosen_for_weights", lambda filters, taps: weight_kind)
    monkeypatch.setattr(conv, "ENOUGH_BLOCKS", 1)
    x, w, dy = whole(5, 2, 13, 11), whole(4, 2, 3, 2), whole(5, 4, 11, 10, seed=1)
    with planned(**order), ops.use_backend("cuda-on-cpu"):
        _, dw, db = ops.conv2d_backward(dy, x, w, need_dx=False)
    g = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
    np.testing.assert_array_equal(dw, gradient_of_w(dy, x, w, g))
    np.testing.assert_array_equal(db, dy.sum((0, 2, 3)))


@pytest.mark.parametrize("channels", [3, 4, 16, 17, 32, 33, 64, 65, 97, 129])
def test_channels_around_the_edges_of_tiles(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more or fewer than fills a tile, and than the table's limits; in, out, and in groups."""
    monkeypatch.setattr(conv, "enough", lambda rows, pixels, products: True)
    geometry: Geometry = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 1}
    for C, K in [(channels, 5), (5, channels), (2 * channels, 2 * channels)]:
        g = {**geometry, "groups": 2 if K == C else 1}
        x, w = whole(1, C, 5, 7, dtype="float32"), whole(K, C // g["groups"], 2, 3, dtype="float32")
        size = ops.conv2d(x, w, **g).shape
        check_convolution(x, w, whole(K, dtype="float32"), whole(*size, dtype="float32", seed=1), g)


@pytest.mark.parametrize("pixels", [63, 64, 65, 127, 128, 129, 255, 256, 257])
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_around_the_edges_of_tiles(pixels: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of pixels, and pixels of several images in one tile."""
    monkeypatch.setattr(conv, "chosen", lambda rows, pixels, products: kind)
    g = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
    for x in (whole(1, 2, 1, pixels), whole(pixels, 2, 1, 1)):
        check_convolution(x, whole(4, 2, 1, 1), whole(4), whole(len(x), 4, *x.shape[2:], seed=1), g)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("stride", "dilation"), [((3, 5), (2, 3)), ((4, 6), (6, 4)), ((3, 4), (3, 2)), ((5, 2), (7, 3))]
)
def test_strides_and_dilations_that_share_no_or_some_factor(
    stride: tuple[int, int], dilation: tuple[int, int], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which taps a row of x meets, and where: each residue of the stride has its own."""
    monkeypatch.setattr(conv, "chosen", lambda rows, pixels, products: kind)
    g: Geometry = {"stride": stride, "padding": (2, 1), "dilation": dilation, "groups": 1}
    x, w = whole(1, 2, 24, 23), whole(3, 2, 4, 3)
    check_convolution(x, w, whole(3), whole(*ops.conv2d(x, w, **g).shape, seed=1), g)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("size", "kernel", "geometry"),
    [
        ((2, 3), (1, 1), {"stride": 2**31 - 1, "padding": 2**31 - 1}),
        ((2, 3), (1, 1), {"stride": 2**31 - 2, "padding": (2**31 - 2, 2**30)}),
        ((4, 3), (3, 3), {"padding": 2**31 - 1, "dilation": 2**31 - 1}),
        (
            (3, 2),
            (2, 3),
            {"stride": (2**30, 1), "padding": (2**30, 2**30 + 1), "dilation": (2**30 + 1, 2**30)},
        ),
        ((1, 1), (2, 2), {"padding": 2**31 - 1, "dilation": 2**31 - 1, "stride": 2**29 + 7}),
    ],
)
def test_sizes_near_two_to_the_31(
    kind: str,
    size: tuple[int, int],
    kernel: tuple[int, int],
    geometry: Geometry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows are computed in 32 bits: none may wrap around into the map."""
    monkeypatch.setattr(conv, "chosen", lambda rows, pixels, products: kind)
    x, w = whole(1, 2, *size), whole(3, 2, *kernel)
    dy = whole(*ops.conv2d(x, w, **geometry).shape, seed=1)
    found = []
    for backend in ("reference", "cuda-on-cpu"):
        with ops.use_backend(backend):
            found.append((ops.conv2d(x, w, **geometry), *ops.conv2d_backward(dy, x, w, **geometry)))
    for expected, actual in zip(*found, strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_long_sums_in_float32_keep_their_digits() -> None:
    """The longest sums there are, of numbers of one sign: each addition to a large sum loses digits."""
    generator = np.random.default_rng(4)
    a, b = (generator.random(shape).astype(np.float32) for shape in [(2, 20_000), (20_000, 3)])
    np.testing.assert_allclose(product(a, b), a.astype(np.float64) @ b, rtol=2e-5)
    x, dy = (generator.random((1, c, 128, 128)).astype(np.float32) for c in (2, 20))
    assert conv.parts_of(128 * 128, conv.ENOUGH_BLOCKS, 40) == (1, conv.LONGEST_PART)
    with ops.use_backend("cuda-on-cpu"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "ENOUGH_BLOCKS", 1)
        _, dw, db = ops.conv2d_backward(dy, x, np.ones((20, 2, 1, 1), np.float32), need_dx=False)
    exact = np.einsum("nkhw,nchw->kc", dy.astype(np.float64), x)[..., None, None]
    np.testing.assert_allclose(dw, exact, rtol=2e-5)
    np.testing.assert_allclose(db, dy.sum((0, 2, 3), dtype=np.float64), rtol=1e-6)


@given(st.integers(0, 10**7), st.integers(1, 10**5), st.integers(1, 10**8))
def test_parts_cover_all_pixels(pixels: int, blocks: int, sums: int) -> None:
    parts, length = conv.parts_of(pixels, blocks, sums)
    assert parts * length >= pixels
    assert parts == 1 or parts * sums <= conv.MOST_NUMBERS
    assert parts == 1 or length >= conv.SHORTEST_PART // 2


# ---------------------------------------------------------------------------------------------------------
# Batch norm: parts put together


@pytest.mark.parametrize("shape", [(2, 3, 300), (600, 2), (7, 1, 90), (3, 2, 1, 129), (1, 2, 513)])
@pytest.mark.parametrize(("dtype", "offset"), [("float32", 0.0), ("float64", 1e8)])
def test_statistics_put_together_from_parts(
    shape: tuple[int, ...], dtype: str, offset: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part far from the others, all far from 0: nothing may cancel. What should come out, Python's `fsum` says."""
    monkeypatch.setattr(norm, "PART", 128)
    x = np.random.default_rng(3).standard_normal(shape)
    x = (x + np.arange(x.size).reshape(shape) / x.size * 100 + offset).astype(dtype)
    with ops.use_backend("cuda-on-cpu"):
        found = ops.batch_norm(x, None, None, None, None, training=True, eps=1e-30)
    for c in range(shape[1]):
        values = x[:, c].astype(np.float64).ravel().tolist()
        mean = math.fsum(values) / len(values)
        variance = math.fsum((v - mean) ** 2 for v in values) / len(values)
        tolerance = 1e-6 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(found[1][c], mean, rtol=tolerance)
        np.testing.assert_allclose(found[2][c], 1 / math.sqrt(variance), rtol=tolerance * 5)


@pytest.mark.parametrize("place", [0, 7, 200])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_channel_with_infinity_or_nan_is_what_the_reference_says(place: int, value: float) -> None:
    """The first value is where the others are measured from; an infinite one must not be."""
    x = whole(2, 2, 150)
    x[place // 150, 0, place % 150] = value
    found = []
    for backend in ("reference", "cuda-on-cpu"):
        with ops.use_backend(backend):
            found.append(ops.batch_norm(x, None, None, np.zeros(2), np.ones(2), training=True))
    for expected, actual in zip(*found, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


def test_backward_sums_put_together_from_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    x, dy = whole(3, 2, 257), whole(3, 2, 257, seed=1)
    monkeypatch.setattr(norm, "PART", 64)
    with ops.use_backend("cuda-on-cpu"):
        _, dgamma, dbeta = ops.batch_norm_backward(
            dy, x, np.ones(2), np.ones(2), np.full(2, 0.5), training=True
        )
    np.testing.assert_array_equal(dbeta, dy.sum((0, 2)))
    np.testing.assert_array_equal(dgamma, (dy * (x - 1) / 2).sum((0, 2)))


# ---------------------------------------------------------------------------------------------------------
# Losses: bad values that only the device can see


def reported(kernel: str, total: int, *arguments: Any, like: Any) -> int:
    problem = np.zeros(1, np.int32)
    launch.blocks("loss", kernel, 1, 256, *arguments, problem, like=like)
    return int(problem[0])


@pytest.mark.parametrize("bad", [-1, 3, 2**40, -(2**40), 2**63 - 1])
def test_a_label_outside_is_reported_and_counts_nothing(bad: int) -> None:
    logits, target = whole(1, 3, 4), np.array([0, bad, 2, 255])
    probs, losses = np.full_like(logits, np.nan), np.full(4, np.nan)
    sizes = (4, 3, 4, True, 255)
    forwards = (logits, target, None, None, probs, losses, None, *sizes)
    assert reported("softmax_cross_entropy", 4, *forwards, like=logits) == 1
    expected, expected_probs = ops.softmax_cross_entropy(
        logits, np.array([[0, 255, 2, 255]]), ignore_index=255, reduction="none"
    )
    np.testing.assert_allclose(losses, expected[0], rtol=1e-12)
    np.testing.assert_allclose(probs, expected_probs, rtol=1e-12)
    dlogits = np.full_like(logits, np.nan)
    backwards = (np.ones(()), probs, target, None, None, None, dlogits, 4, 3, 4, 0, True, 255)
    assert reported("softmax_cross_entropy_backward", 4, *backwards, like=logits) == 1
    assert not dlogits[0, :, [1, 3]].any() and dlogits[0, :, [0, 2]].all()
    parts = np.full((1, 2), np.nan)
    assert (
        reported("softmax_cross_entropy_counted", 4, target, None, None, parts, 4, 3, True, 255, like=logits)
        == 1
    )
    np.testing.assert_array_equal(parts, [[0, 2]])
    fine = np.array([0, 1, 2, 255])
    assert reported("softmax_cross_entropy", 4, logits, fine, *forwards[2:], like=logits) == 0


@pytest.mark.parametrize("bad", [-0.1, 1.5, np.nan, np.inf])
def test_a_bad_target_or_weight_is_reported(bad: float) -> None:
    logits, good = whole(4), np.array([0.0, 1.0, 0.5, 255.0])
    losses, flags = np.full(4, np.nan), (None, 4, True, 255)
    target = np.array([0.0, bad, 0.5, 255.0])
    assert reported("bce_with_logits", 4, logits, target, None, None, losses, *flags, like=logits) == 6
    assert losses[1] == 0 and np.isfinite(losses).all()
    assert reported("bce_with_logits", 4, logits, good, None, None, losses, *flags, like=logits) == 0
    weight = np.array([1.0, bad, 1.0, 1.0])
    code = reported("bce_with_logits", 4, logits, good, None, weight, losses, *flags, like=logits)
    assert code == (0 if bad == 1.5 else 7)
    probs, labels, sizes = np.full((4, 2), np.nan), np.array([0, 1, 0, 1]), (4, 2, 1, False, 0)
    arguments = (whole(4, 2), labels, None, weight, probs, losses, None, *sizes)
    assert reported("softmax_cross_entropy", 4, *arguments, like=logits) == (0 if bad == 1.5 else 7)


@pytest.mark.parametrize("total", [1, 255, 256, 257, 1000])
def test_losses_of_several_blocks(total: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "MOST_BLOCKS", 3)  # so that threads go round more often
    logits, target = whole(total, 2) * 0, np.arange(total) % 2
    with ops.use_backend("cuda-on-cpu"):
        value, probs = ops.softmax_cross_entropy(logits, target, reduction="sum", weight=np.array([0.0, 2.0]))
        binary = ops.bce_with_logits(logits[:, 0], np.zeros(total), reduction="mean")
        dlogits = ops.softmax_cross_entropy_backward(1.0, probs, target)
    np.testing.assert_allclose(value, 2 * (total // 2) * math.log(2), rtol=1e-12)
    np.testing.assert_allclose(binary, math.log(2), rtol=1e-12)
    np.testing.assert_allclose(dlogits, (0.5 - np.eye(2)[target]) / total, rtol=1e-12)


@pytest.mark.parametrize("mean", [False, True])
def test_the_last_block_adds_up_more_blocks_than_it_has_threads(mean: bool) -> None:
    parts = np.abs(whole(600, 2))
    value, counted = np.full((), np.nan), np.full((), np.nan)
    launch.blocks("loss", "loss_of_parts", 1, 256, parts, 600, mean, value, counted, like=value)
    assert counted == parts[:, 1].sum()
    assert value == parts[:, 0].sum() / (counted if mean else 1)
