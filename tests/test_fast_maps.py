"""The vector texts of normalisation, softmax, losses and sigmoid, at sizes around each edge of their vectors.

They are compared with the reference's loops in float64, and where a special value comes by with the plain float32 text.
"""

import os
from typing import Any

import numpy as np
import pytest

from minisegnet import ops

reason = ops.why_not("numba")
if reason:
    pytest.skip(reason, allow_module_level=True)

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from minisegnet.backends import reference  # noqa: E402
from minisegnet.backends.numba import activation, norm  # noqa: E402
from minisegnet.backends.numba.fast import elementary, sigmoid, softmax  # noqa: E402
from minisegnet.backends.numba.fast import norm as fast_norm  # noqa: E402
from minisegnet.backends.numba.fast.vectors import LANES, load, store  # noqa: E402
from minisegnet.backends.numba.launch import helper  # noqa: E402

COMPILED = os.environ.get("NUMBA_DISABLE_JIT") != "1"
EXAMPLES = 60 if COMPILED else 3
SPECIAL = np.array([0, -0.0, np.inf, -np.inf, np.nan, 88.8, -88, -103.9, -104.1], np.float32)


def _near(*edges: int) -> st.SearchStrategy[int]:
    return st.sampled_from(sorted({max(1, edge + d) for edge in edges for d in (-1, 0, 1)}))


PIXELS = _near(1, LANES, 2 * LANES, 3 * LANES)
ROWS = _near(1, LANES, fast_norm.BLOCK, fast_norm.BLOCK + LANES, 2 * fast_norm.BLOCK)


def close(actual: Any, expected: Any, tolerance: float, what: str = "") -> None:
    assert np.shape(actual) == np.shape(expected), what
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale, err_msg=what)


def empty_like(*arrays: Any) -> Any:
    """Results that begin as NaN, so that one that is left out shows."""
    return [np.full(a.shape, np.nan, np.float32) for a in arrays]


# ---------------------------------------------------------------------------------------------------------
# Exponential and logarithm


@helper
def _each(function: Any, x: Any, y: Any) -> Any:
    for i in range(0, x.size, LANES):
        if function == 0:
            store(elementary.exp(load(x, i)), y, i)
        elif function == 1:
            store(elementary.log(load(x, i)), y, i)
        else:
            store(elementary.log_one_plus(load(x, i)), y, i)


def apply(function: int, x: Any) -> Any:
    x = np.concatenate([x, np.ones(-len(x) % LANES, np.float32)])
    y = np.empty_like(x)
    with np.errstate(all="ignore"):
        _each(function, x, y)
    return y


def units(actual: Any, exact: Any) -> Any:
    """How far apart, in units of the last place of the exact result; what is no finite float32 must be equal."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(np.float32)
        finite = np.isfinite(rounded)
        np.testing.assert_array_equal(actual[~finite], rounded[~finite])
        return np.abs(actual[finite] - exact[finite]) / np.spacing(np.abs(rounded[finite])).astype(np.float64)


def all_kinds(count: int) -> Any:
    """Numbers of all exponents and both signs, among them subnormals, infinities and NaN; and special ones."""
    bits = np.linspace(0, 2**32 - 1, count).astype(np.uint32)
    return np.concatenate([bits.view(np.float32), SPECIAL])


COUNT = 1 << 20 if COMPILED else 1 << 10


@pytest.mark.parametrize(
    ("function", "exact", "x"),
    [
        (0, np.exp, all_kinds(COUNT)),
        (0, np.exp, np.linspace(-104.5, 89.5, COUNT).astype(np.float32)),
        (1, np.log, all_kinds(COUNT)),
        (1, np.log, np.linspace(0.4, 2.1, COUNT).astype(np.float32)),
        (2, np.log1p, np.linspace(0, 1, COUNT).astype(np.float32)),
        (2, np.log1p, np.exp(np.linspace(-103, 0, COUNT)).astype(np.float32)),
    ],
    ids=["exp", "exp, its range", "log", "log, near 1", "log1p", "log1p, small"],
)
def test_errors_in_units_of_the_last_place(function: int, exact: Any, x: Any) -> None:
    with np.errstate(all="ignore"):
        expected = exact(x.astype(np.float64))
    assert units(apply(function, x)[: len(x)], expected).max() < 1.6


def test_exp_and_log_are_exact_where_they_can_be() -> None:
    assert (apply(0, SPECIAL)[:4] == [1, 1, np.inf, 0]).all()
    assert apply(0, np.float32([-103.9]))[0] == np.float32(2.0**-149)  # the smallest number above 0
    assert apply(1, np.float32([1]))[0] == 0 and apply(2, np.float32([0]))[0] == 0


# ---------------------------------------------------------------------------------------------------------
# Batch normalisation


@st.composite
def norms(draw: st.DrawFn) -> dict[str, Any]:
    N, C, L = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(ROWS)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    offset = draw(st.sampled_from([0, 3, 1000]))
    x, dy = (rng.standard_normal((N, C, L)) for _ in range(2))
    scale, shift = rng.standard_normal((2, C))
    made = {"x": x + offset, "dy": dy, "scale": scale, "shift": shift}
    return {name: a.astype(np.float32) for name, a in made.items()}


def forward(a: dict[str, Any], cut: Any) -> dict[str, Any]:
    (y,), C = empty_like(a["x"]), a["x"].shape[1]
    mean, inv_std = np.empty((2, C), np.float32)
    exact_mean, variance = np.empty((2, C))
    fast_norm.train(y, a["x"], a["scale"], a["shift"], 1e-3, cut, exact_mean, variance, mean, inv_std)
    return {"y": y, "mean": mean, "inv_std": inv_std, "exact_mean": exact_mean, "variance": variance}


def backward(a: dict[str, Any], y: Any, mean: Any, inv_std: Any, cut: Any) -> Any:
    (dx,), sums = empty_like(y), np.empty((2, len(mean)))
    fast_norm.train_backward(dx, a["dy"], y, a["x"], mean, inv_std, a["scale"] * inv_std, cut, *sums)
    return dx, *sums


@settings(max_examples=EXAMPLES)
@given(norms(), st.sampled_from([fast_norm.PLAIN, fast_norm.RELU]))
def test_batch_norm(a: dict[str, Any], cut: Any) -> None:
    found, wide = forward(a, cut), {name: v.astype(np.float64) for name, v in a.items()}
    x, mean, inv_std = wide["x"], found["exact_mean"], found["inv_std"].astype(np.float64)
    close(mean, x.mean(axis=(0, 2)), 1e-7, "mean")
    close(found["variance"], x.var(axis=(0, 2)), 2e-6, "variance")
    close(inv_std, 1 / np.sqrt(x.var(axis=(0, 2)) + 1e-3), 2e-6, "inv_std")
    assert (found["mean"] == mean.astype(np.float32)).all()

    rounded_mean = found["mean"].astype(np.float64)
    normalised = (x - rounded_mean[:, None]) * inv_std[:, None]
    y = normalised * wide["scale"][:, None] + wide["shift"][:, None]
    close(found["y"], np.maximum(y, 0) if cut == 0 else y, 1e-5, "y")

    dy = np.where(found["y"] <= cut, 0, wide["dy"])
    dx, products, total = backward(a, found["y"], found["mean"], found["inv_std"], cut)
    close(total, dy.sum(axis=(0, 2)), 2e-5, "sum of dy")
    close(products, (dy * normalised).sum(axis=(0, 2)), 5e-5, "sum of products")
    means = [v.mean(axis=(0, 2), keepdims=True) for v in (dy, dy * normalised)]
    expected = (dy - means[0] - normalised * means[1]) * (wide["scale"] * inv_std)[:, None]
    close(dx, expected, 2e-5, "dx")


def test_a_large_mean_of_many_chunks_takes_nothing_from_the_variance() -> None:
    L = 2 * fast_norm.CHUNK + LANES + 3 if COMPILED else 3 * LANES + 1
    x = np.random.default_rng(0).standard_normal((2, 2, L)).astype(np.float32)
    x[1] *= 3
    a = {"x": x + np.float32(4096), "scale": np.ones(2, np.float32), "shift": np.zeros(2, np.float32)}
    exact = a["x"].astype(np.float64)
    found = forward(a, fast_norm.PLAIN)
    np.testing.assert_allclose(found["variance"], exact.var(axis=(0, 2)), rtol=1e-5)
    np.testing.assert_allclose(found["exact_mean"], exact.mean(axis=(0, 2)), rtol=1e-10)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, 1e30])
@pytest.mark.parametrize("relu", [False, True])
def test_batch_norm_of_special_numbers_is_that_of_the_plain_text(value: float, relu: bool) -> None:
    """Also of numbers whose squares, or sums, are beyond float32."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 3, 5, LANES)).astype(np.float32)
    dy = rng.standard_normal(x.shape).astype(np.float32)
    x[:, 1, ::2] = value
    gamma, beta = np.ones((2, 3), np.float32)
    op = "batch_norm_relu" if relu else "batch_norm"

    def results() -> list[Any]:
        y, mean, inv_std, *running = getattr(ops, op)(x, gamma, beta, gamma, beta, training=True)
        extra = (y,) if relu else ()
        back = getattr(ops, op + "_backward")(dy, *extra, x, gamma, mean, inv_std, training=True)
        return [y, mean, inv_std, *running, *back]

    with ops.use_backend("numba"), pytest.MonkeyPatch.context() as patch:
        found = results()
        patch.setattr(norm, "_in_vectors", lambda values: False)
        expected = results()
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5, err_msg=str(i))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(2, 3, 9, 7), (2, 3, 2, 1), (5, 3)])
def test_fused_is_the_two_ops_to_the_bit(shape: Any, training: bool, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    gamma, beta, mean, var = np.abs(rng.standard_normal((4, 3))).astype(dtype)
    with ops.use_backend("numba"):
        normalised, *statistics = ops.batch_norm(x, gamma, beta, mean, var, training=training)
        y, *also = ops.batch_norm_relu(x, gamma, beta, mean, var, training=training)
        masked = ops.relu_backward(dy, y)
        expected = ops.batch_norm_backward(masked, x, gamma, *statistics[:2], training=training)
        found = ops.batch_norm_relu_backward(dy, y, x, gamma, *also[:2], training=training)
    assert y.min() == 0 < y.max()
    for a, b in zip((y, *also, *found), (ops.relu(normalised), *statistics, *expected), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_nan_passes_through_fused_ops_as_through_relu() -> None:
    x = np.ones((1, 1, 1, LANES), np.float32)
    x[..., 1] = np.nan
    one, half = np.ones(1, np.float32), np.full(1, 0.5, np.float32)
    with ops.use_backend("numba"):
        y, mean, inv_std, *_ = ops.batch_norm_relu(x, one, one, half, one, training=False)
        dx, *_ = ops.batch_norm_relu_backward(x * 0 + 1, y, x, one, mean, inv_std, training=False)
    assert np.isnan(y[..., 1]).all() and np.isfinite(np.delete(y, 1)).all()
    assert np.isnan(dx[..., 1]).all()  # its dy is NaN, and passes


# ---------------------------------------------------------------------------------------------------------
# Softmax and cross-entropy


@st.composite
def scores(draw: st.DrawFn) -> dict[str, Any]:
    N, C, P = draw(st.integers(1, 2)), draw(st.integers(1, 5)), draw(PIXELS)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    spread = draw(st.sampled_from([1, 30, 1e4]))
    target = rng.integers(0, C, (N, P)).astype(draw(st.sampled_from([np.int64, np.uint8, np.int32])))
    return {
        "z": (rng.standard_normal((N, C, P)) * spread).astype(np.float32),
        "dy": rng.standard_normal((N, C, P)).astype(np.float32),
        "target": np.where(rng.random((N, P)) < 0.2, 255, target).astype(target.dtype),
        "pixel_weight": rng.random((N, P)).astype(np.float32),
        "weight": rng.random(C).astype(np.float32),
    }


@settings(max_examples=EXAMPLES)
@given(scores())
def test_softmaxes(a: dict[str, Any]) -> None:
    z, dy = a["z"], a["dy"]
    y, log_y, dx = empty_like(z, z, z)
    softmax.softmax(z, y)
    softmax.log_softmax(z, log_y)
    close(y, reference.softmax(z.astype(np.float64), axis=1), 1e-6, "softmax")
    close(log_y, reference.log_softmax(z.astype(np.float64), axis=1), 1e-6, "log_softmax")
    softmax.log_softmax_backward(dy, log_y, dx)
    wide = [v.astype(np.float64) for v in (dy, log_y)]
    close(dx, reference.log_softmax_backward(*wide, axis=1), 2e-6, "its gradient")


@settings(max_examples=EXAMPLES)
@given(scores(), st.sampled_from(["mean", "sum", "none"]), st.booleans())
def test_cross_entropy(a: dict[str, Any], reduction: str, weighted: bool) -> None:
    options = {"ignore_index": 255, "reduction": reduction}
    weights = {name: a[name] if weighted else None for name in ("weight", "pixel_weight")}
    wide = {name: None if w is None else w.astype(np.float64) for name, w in weights.items()}
    dloss = a["pixel_weight"] if reduction == "none" else np.float32(1.5)
    with ops.use_backend("numba"), pytest.MonkeyPatch.context() as patch:
        patch.setattr("minisegnet.backends.numba.loss.in_vectors", lambda values: True)
        loss, probs = ops.softmax_cross_entropy(a["z"], a["target"], **weights, **options)
        dz = ops.softmax_cross_entropy_backward(dloss, probs, a["target"], **weights, **options)
    with ops.use_backend("reference"):
        z = a["z"].astype(np.float64)
        expected, p = ops.softmax_cross_entropy(z, a["target"], **wide, **options)
        dloss = np.asarray(dloss, np.float64)
        gradient = ops.softmax_cross_entropy_backward(dloss, p, a["target"], **wide, **options)
    close(probs, p, 1e-6, "probs")
    close(loss, expected, 2e-6, "loss")
    close(dz, gradient, 2e-6, "dlogits")


@pytest.mark.parametrize(
    ("classes", "pixels"),
    [
        (3, softmax.WIDE - 1),
        (2, softmax.WIDE + LANES + 1),
        (1, softmax.BLOCKS * softmax.WIDE + 1),
        (softmax.LINES // (8 * LANES), 17 * LANES + 3),  # eight vectors of each class stay in the cache
        (softmax.LINES // LANES + 1, LANES + 2),  # and here not even one
    ],
)
def test_lines_that_are_full_and_not_full(classes: int, pixels: int) -> None:
    rng = np.random.default_rng(0)
    z, target = (
        rng.standard_normal((2, classes, pixels)).astype(np.float32),
        rng.integers(0, classes, (2, pixels)),
    )
    z[1, :, -1] *= 30

    def results(z: Any) -> list[Any]:
        loss, probs = ops.softmax_cross_entropy(z, target, ignore_index=0)
        back = ops.softmax_cross_entropy_backward(np.ones_like(loss), probs, target, ignore_index=0)
        return [ops.softmax(z), ops.log_softmax(z), loss, probs, back]

    with ops.use_backend("numba"):
        found = results(z)
    with ops.use_backend("numpy"):
        expected = results(z.astype(np.float64))
    for name, a, b in zip(
        ("softmax", "log_softmax", "loss", "probs", "dlogits"), found, expected, strict=True
    ):
        close(a, b, 2e-6, name)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("classes", [1, 3])
def test_softmax_of_special_numbers_is_that_of_the_plain_text(value: float, classes: int) -> None:
    x = np.random.default_rng(0).standard_normal((1, classes, 2, LANES)).astype(np.float32)
    x[:, 0, 0, :3], x[:, -1, 1, 5:] = value, value
    target = np.zeros((1, 2, LANES), int)
    target[0, 1] = 255

    def results() -> list[Any]:
        loss, probs = ops.softmax_cross_entropy(x, target, ignore_index=255, reduction="none")
        one = np.ones_like(loss)
        back = ops.softmax_cross_entropy_backward(one, probs, target, ignore_index=255, reduction="none")
        return [ops.softmax(x), ops.log_softmax(x), ops.log_softmax_backward(x, x), loss, probs, back]

    with ops.use_backend("numba"), pytest.MonkeyPatch.context() as patch:
        found = results()
        for module in ("loss", "activation"):
            patch.setattr(f"minisegnet.backends.numba.{module}.in_vectors", lambda values: False)
        expected = results()
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=str(i))
    assert (found[-1][0, :, 1] == 0).all()  # ignored pixels get 0, NaN or not


# ---------------------------------------------------------------------------------------------------------
# Sigmoid and binary cross-entropy


@settings(max_examples=EXAMPLES)
@given(PIXELS, st.sampled_from([1, 10, 1e4]), st.booleans(), st.integers(0, 99))
def test_sigmoid_and_binary_cross_entropy(size: int, spread: float, weighted: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    z, t = (rng.standard_normal(size) * spread).astype(np.float32), rng.random(size).astype(np.float32)
    t[rng.random(size) < 0.2] = 255
    weights = rng.random(size).astype(np.float32) if weighted else np.ones(1, np.float32)
    ignored, count = np.float32(255), np.float32(7)
    y, loss, dz = empty_like(z, z, z)
    sigmoid.sigmoid(z, y)
    sigmoid.bce_with_logits(z, t, weights, ignored, loss)
    sigmoid.bce_with_logits_backward(weights[:1], z, t, weights, ignored, count, dz)

    wide, target = z.astype(np.float64), np.where(t == 255, 0, t).astype(np.float64)
    with np.errstate(over="ignore"):
        exact = 1 / (1 + np.exp(-wide))
        each = np.logaddexp(0, wide) - target * wide
    np.testing.assert_allclose(y, exact, rtol=1e-6, atol=1e-38)
    np.testing.assert_allclose(loss, np.where(t == 255, 0, weights * each), rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(
        dz, np.where(t == 255, 0, (exact - target) * weights / 7 * weights[0]), rtol=2e-6, atol=1e-7
    )


def test_sigmoid_and_binary_cross_entropy_of_special_numbers() -> None:
    z = np.resize(SPECIAL, LANES)
    y, loss, dz = empty_like(z, z, z)
    one, none = np.ones(1, np.float32), np.float32(-1)
    sigmoid.sigmoid(z, y)
    sigmoid.bce_with_logits(z, np.full_like(z, 0.5), one, none, loss)
    sigmoid.bce_with_logits_backward(one, z, np.full_like(z, 0.5), one, none, one[0], dz)
    assert y[:4].tolist() == [0.5, 0.5, 1, 0]
    assert loss[2] == loss[3] == np.inf and dz[2] == 0.5 and dz[3] == -0.5
    if LANES > 4:
        assert np.isnan([y[4], loss[4], dz[4]]).all()


def test_the_choice_of_the_text() -> None:
    few, many = np.zeros((2, 3, LANES - 1), np.float32), np.zeros((2, 3, LANES), np.float32)
    for chooses in (activation.in_vectors, norm._in_vectors):
        assert chooses(many) and not chooses(few) and not chooses(many.astype(np.float64))
