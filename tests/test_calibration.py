"""Calibration against plain Python: exact fractions for the bins, one pixel at a time for the sums."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from minisegnet import ops
from minisegnet.metrics import Calibration, confidence_of

IGNORED = 255


def slow_reliability(target, predicted, confidence, bins, ignored):
    """Sort each pixel into its bin by exact comparison with the bin's edges."""
    pixels, right, sums = [0] * bins, [0] * bins, [Fraction(0)] * bins
    for t, y, p in zip(target.ravel().tolist(), predicted.ravel().tolist(), confidence.ravel(), strict=True):
        if t == ignored:
            continue
        p = min(Fraction(float(p)), Fraction(1))
        b = next(b for b in range(bins) if p <= Fraction(b + 1, bins))
        pixels[b] += 1
        right[b] += t == y
        sums[b] += p
    return pixels, right, sums


def slow_ece(pixels, right, sums):
    """The definition in exact arithmetic: n_b / n |right_b / n_b - sum_b / n_b|."""
    n = sum(pixels)
    if not n:
        return math.nan
    gaps = (
        Fraction(k, n) * abs(Fraction(r, k) - s / k) for k, r, s in zip(pixels, right, sums, strict=True) if k
    )
    return float(sum(gaps))


@st.composite
def predictions(draw):
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=3, max_side=6))
    labels = arrays.arrays(np.int64, shape, elements=st.sampled_from([0, 1, 2, IGNORED]))
    bins = draw(st.integers(1, 20))
    on_the_edge = st.integers(0, bins).map(lambda k: float(np.float32(k / bins)))
    sure = st.one_of(st.floats(0, 1, width=32), on_the_edge)
    confidence = draw(arrays.arrays(np.float32, shape, elements=sure))
    return draw(labels), draw(labels) % IGNORED, confidence, bins


@given(predictions(), st.integers(0, 5))
def test_bins_and_ece_are_those_of_exact_arithmetic(case, cut):
    target, predicted, confidence, bins = case
    calibration = Calibration(bins, ignore_index=IGNORED)
    for part in (slice(0, cut), slice(cut, None)):  # two parts are as good as one
        calibration.add(target[part], predicted[part], confidence[part])
    found = calibration.reliability()
    pixels, right, sums = slow_reliability(target, predicted, confidence, bins, IGNORED)
    assert found.pixels.tolist() == pixels and found.right.tolist() == right
    for b in range(bins):
        if pixels[b]:
            assert found.confidence[b] == pytest.approx(float(sums[b] / pixels[b]), rel=1e-12)
            assert found.accuracy[b] == right[b] / pixels[b]
        else:
            assert math.isnan(found.confidence[b]) and math.isnan(found.accuracy[b])
    assert found.ece == pytest.approx(slow_ece(pixels, right, sums), abs=1e-12, nan_ok=True)
    if sum(pixels):
        assert found.mean_confidence == pytest.approx(float(sum(sums) / sum(pixels)), abs=1e-12)
        assert found.mean_accuracy == sum(right) / sum(pixels)


def test_the_worked_example_of_the_page():
    """Ten pixels: docs/report.md works this out by hand."""
    confidence = np.array([0.95] * 4 + [0.75] * 4 + [0.55] * 2)
    target = np.array([1, 1, 1, 1, 1, 1, 0, 0, 1, 0])
    calibration = Calibration(10)
    calibration.add(target, np.ones(10, int), confidence)
    found = calibration.reliability()
    assert found.pixels.tolist() == [0, 0, 0, 0, 0, 2, 0, 4, 0, 4]
    assert found.right.tolist() == [0, 0, 0, 0, 0, 1, 0, 2, 0, 4]
    assert found.ece == pytest.approx(0.4 * 0.05 + 0.4 * 0.25 + 0.2 * 0.05, abs=1e-12)  # 0.13
    assert found.mean_confidence == pytest.approx(0.79) and found.mean_accuracy == 0.7


def test_a_large_picture_is_counted_piece_by_piece(monkeypatch):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 3, 1000), rng.integers(0, 3, 1000), rng.random(1000)
    found = []
    for most in (2**20, 7):
        monkeypatch.setattr("minisegnet.metrics.calibration.AT_A_TIME", most)
        calibration = Calibration()
        calibration.add(*pixels)
        found.append(calibration.reliability())
    assert found[0].pixels.sum() == 1000
    for name in ("pixels", "right"):
        np.testing.assert_array_equal(getattr(found[0], name), getattr(found[1], name))
    np.testing.assert_allclose(found[0].confidence, found[1].confidence, rtol=1e-13)


def test_over_and_under_confidence_do_not_cancel():
    calibration = Calibration(10)
    calibration.add(np.array([1, 0]), np.array([1, 1]), np.array([0.55, 0.45]))
    found = calibration.reliability()
    assert found.mean_confidence == found.mean_accuracy == 0.5
    assert found.ece == pytest.approx(0.45)


def test_nothing_counted_is_no_number():
    calibration = Calibration(ignore_index=IGNORED)
    calibration.add(np.full((2, 2), IGNORED), np.zeros((2, 2), int), np.ones((2, 2)))
    found = calibration.reliability()
    assert found.pixels.sum() == 0 and len(found.edges) == 16
    assert all(math.isnan(value) for value in (found.ece, found.mean_confidence, found.mean_accuracy))


def test_ignored_pixels_may_hold_any_confidence():
    calibration = Calibration(ignore_index=IGNORED)
    calibration.add(np.array([0, IGNORED]), np.array([0, 0]), np.array([1.0, math.nan]))
    assert calibration.reliability().pixels.sum() == 1


@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.float64]),
        st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 4), st.integers(1, 4)),
        elements=st.floats(-200, 200, width=32),
    )
)
def test_confidence_is_the_highest_probability(scores):
    confidence = confidence_of(scores)
    assert confidence.dtype == scores.dtype and confidence.shape == scores.shape[:1] + scores.shape[2:]
    with ops.use_backend("reference"):
        expected = ops.softmax(scores.astype(np.float64), axis=1).max(axis=1)
    np.testing.assert_allclose(confidence, expected, rtol=1e-6 if scores.dtype == np.float32 else 1e-13)
    assert (confidence <= 1).all()
    np.testing.assert_array_equal(confidence_of(scores[0]), confidence[0])


def test_confidence_of_arguments():
    broken = np.zeros((2, 3, 3), np.float32)
    broken[1, 0, 0], broken[0, 2, 2] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"scores of 2 pixels are not finite"):
        confidence_of(broken)
    with pytest.raises(ValueError, match=r"expected \(..., C, H, W\)"):
        confidence_of(np.zeros((3, 3), np.float32))
    low = np.zeros((2, 1, 1), np.float32)
    low[0] = -np.inf  # a class that is ruled out
    assert confidence_of(low).tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"confidence": np.array([[0.5, 1.5]])}, ValueError, "from 0.5 to 1.5"),
        ({"confidence": np.array([[0.5, -0.1]])}, ValueError, "confidence_of"),
        ({"confidence": np.array([[0.5, math.nan]])}, ValueError, "nan"),
        ({"confidence": np.array([[1, 0]])}, TypeError, "expected floats"),
        ({"confidence": np.array([0.5, 0.5])}, ValueError, "shape of target"),
        ({"predicted": np.array([[0, 1, 0]])}, ValueError, "shape of target"),
        ({"target": np.array([[0.0, 1.0]])}, TypeError, "integer"),
    ],
)
def test_bad_arguments_leave_everything_as_it_was(changes, kind, text):
    arguments = {"target": np.array([[0, 1]]), "predicted": np.array([[0, 0]]), "confidence": np.ones((1, 2))}
    calibration = Calibration()
    with pytest.raises(kind, match=text):
        calibration.add(**{**arguments, **changes})
    assert calibration.reliability().pixels.sum() == 0


@pytest.mark.parametrize("bins", [0, 1001, 1.5])
def test_bad_bins(bins):
    with pytest.raises((ValueError, TypeError), match="bins"):
        Calibration(bins)
