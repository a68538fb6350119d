"""Elastic deformation (SYSTEMS row 11): one field moves picture and labels, and no label is invented."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_table import examples

from minisegnet.arrays import Array
from minisegnet.data import elastic_deform, elastic_field, warp
from minisegnet.data.elastic import _bicubic

SIZES = st.tuples(st.integers(1, 13), st.integers(1, 13))
DTYPES = (np.uint8, np.int8, np.uint16, np.int32, np.int64, np.bool_, np.float16, np.float32, np.float64)


def random_labels(size: tuple[int, int], seed: int) -> Array:
    """Few and odd values, so that any mixture of two of them would be a new one."""
    return np.random.default_rng(seed).choice(np.array([0, 3, 17, 255], np.uint8), size)


def shift(size: tuple[int, int], rows: float, columns: float) -> Array:
    field = np.empty((2, *size))
    field[0], field[1] = rows, columns
    return field


# ---------------------------------------------------------------------------------------------------------
# The truth test of row 11


@pytest.mark.claim("S3-07")
@settings(max_examples=examples(60))
@given(SIZES, st.integers(0, 2**32), st.floats(-3, 3), st.floats(0, 20), st.integers(2, 5))
def test_the_label_set_never_grows(
    size: tuple[int, int], seed: int, alpha: float, sigma: float, grid: int
) -> None:
    """Row 11 of the systems list: labels are picked, never mixed."""
    labels, image = random_labels(size, seed), np.zeros((*size, 3), np.float32)
    _, bent = elastic_deform(image, labels, alpha=alpha, sigma=sigma, grid=grid, rng=seed)
    assert bent.dtype == labels.dtype and bent.shape == labels.shape
    assert set(np.unique(bent)) <= set(np.unique(labels))
    _, bent = elastic_deform(image, labels, alpha=alpha, sigma=sigma, grid=grid, rng=seed, fill_label=99)
    assert set(np.unique(bent)) <= {*np.unique(labels), 99}


@pytest.mark.claim("S3-07")
@settings(max_examples=examples(30))
@given(SIZES, st.integers(0, 2**32), st.floats(0, 6))
def test_image_and_labels_move_by_the_same_field(size: tuple[int, int], seed: int, sigma: float) -> None:
    """Row 11 of the systems list: wherever the picture isn't mixed, it shows the label that the map has."""
    labels = random_labels(size, seed)
    field = elastic_field(size, sigma=sigma, rng=seed)
    bent_image, bent_labels = elastic_deform(labels, labels, sigma=sigma, rng=seed)
    np.testing.assert_array_equal(bent_labels, warp(labels, field, order="nearest"))
    np.testing.assert_array_equal(bent_image, warp(labels, field))
    # Each label painted as a channel: where the picture isn't mixed, it shows the label that the map has.
    painted = np.stack([labels == value for value in np.unique(labels)], axis=-1)
    for order in ("nearest", "bilinear"):
        seen = warp(painted.astype(np.float64), field, order=order)
        pure = seen.max(axis=-1) > 0.75  # the nearest of the four pixels has at least a quarter
        winner = np.unique(labels)[seen.argmax(axis=-1)]
        np.testing.assert_array_equal(winner[pure], bent_labels[pure])
    assert warp(painted, field, order="nearest").any(axis=-1).all()


def test_markers_stay_on_their_objects() -> None:
    """Row 11 of the systems list: a bright pixel at the centre of an object stays inside of its label."""
    y, x = np.mgrid[:96, :96]
    centres = [(20, 24), (30, 70), (70, 20), (68, 66)]
    labels = np.zeros((96, 96), np.uint8)
    image = np.zeros((96, 96, len(centres)), np.float32)  # a channel for each marker: one bright pixel
    for number, (cy, cx) in enumerate(centres):
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= 12**2] = number + 1
        image[cy, cx, number] = 1.0
    for seed in range(10):
        bent_image, bent_labels = elastic_deform(image, labels, sigma=4.0, rng=(seed, 0))
        assert (bent_labels != labels).any()
        for number in range(len(centres)):
            marker = bent_image[..., number] > 0
            assert marker.any() and (bent_labels[marker] == number + 1).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (7, 1, 2), (9, 12, 3), (5, 5, 1)])
def test_alpha_zero_is_exactly_the_identity(dtype: Any, shape: tuple[int, ...]) -> None:
    """Row 11 of the systems list: to the bit, in every dtype."""
    generator = np.random.default_rng(0)
    image = (generator.standard_normal(shape) * 100).astype(np.int8).astype(dtype)
    labels = random_labels(shape[:2], 1)
    same_image, same_labels = elastic_deform(image, labels, alpha=0.0, rng=3)
    np.testing.assert_array_equal(same_image, image)
    np.testing.assert_array_equal(same_labels, labels)
    assert same_image.dtype == image.dtype
    assert not np.shares_memory(same_image, image) and not np.shares_memory(same_labels, labels)
    _, outside_unused = elastic_deform(image, labels, alpha=0.0, rng=3, fill_label=77)
    np.testing.assert_array_equal(outside_unused, labels)


def test_alpha_scales_the_field() -> None:
    image, labels = np.random.default_rng(0).random((20, 20)), random_labels((20, 20), 0)
    a = elastic_deform(image, labels, alpha=0.25, sigma=8.0, rng=5)
    b = elastic_deform(image, labels, sigma=2.0, rng=5)  # a power of two: the same field to the bit
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_array_equal(a[1], b[1])


# ---------------------------------------------------------------------------------------------------------
# The field


@settings(max_examples=examples(40))
@given(st.integers(2, 6), st.integers(2, 6), st.integers(1, 7), st.integers(1, 7), st.integers(0, 2**16))
def test_bicubic_reproduces_its_grid_points(gh: int, gw: int, down: int, across: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).standard_normal((2, gh, gw))
    field = _bicubic(vectors, (gh - 1) * down + 1, (gw - 1) * across + 1)
    np.testing.assert_array_equal(field[:, ::down, ::across], vectors)


@settings(max_examples=examples(40))
@given(st.integers(2, 6), st.integers(2, 6), SIZES, st.tuples(*[st.floats(-9, 9)] * 3))
def test_bicubic_reproduces_constants_and_ramps(
    gh: int, gw: int, size: tuple[int, int], plane: tuple[float, float, float]
) -> None:
    def ramp(h: int, w: int) -> Array:
        down, across = np.linspace(0, 1, h)[:, None], np.linspace(0, 1, w)
        return plane[0] + plane[1] * down + plane[2] * across

    np.testing.assert_allclose(_bicubic(ramp(gh, gw)[None], *size)[0], ramp(*size), atol=1e-13)
    np.testing.assert_allclose(_bicubic(np.full((2, gh, gw), plane[0]), *size), plane[0], atol=1e-13)


def test_the_cubic_by_hand() -> None:
    """Halfway between the two middle values of four: (-1, 9, 9, -1) / 16."""
    v = np.array([3.0, -1.0, 4.0, 2.0])
    line = _bicubic(np.stack([v, v])[None], 1, 7)[0, 0]
    assert line[3] == pytest.approx((-v[0] + 9 * v[1] + 9 * v[2] - v[3]) / 16)
    # In the first interval the value before it is 2 * 3 - (-1) = 7.
    assert line[1] == pytest.approx((-7 + 9 * v[0] + 9 * v[1] - v[2]) / 16)


@pytest.mark.claim("S3-07")
def test_the_field_is_smooth_across_grid_lines() -> None:
    field = elastic_field((801, 801), sigma=10.0, rng=1)
    bend = np.abs(np.diff(field, n=2, axis=1)).max()  # a kink would be a second difference of order slope
    slope = np.abs(np.diff(field, axis=1)).max()
    assert bend < 0.02 * slope


def test_displacements_have_the_asked_deviation_at_grid_points() -> None:
    field = elastic_field((513, 513), grid=129, sigma=10.0, rng=(0, 1))
    at_points = field[:, ::4, ::4]
    assert at_points.size == 2 * 129**2
    assert at_points.std() == pytest.approx(10.0, rel=0.02)
    assert abs(at_points.mean()) < 0.25
    assert abs(np.corrcoef(at_points[0].ravel(), at_points[1].ravel())[0, 1]) < 0.03
    assert not elastic_field((8, 9), sigma=0.0, rng=0).any()


def test_a_key_fixes_the_field() -> None:
    image, labels = np.random.default_rng(0).random((15, 11, 3)), random_labels((15, 11), 0)
    one = elastic_deform(image, labels, sigma=2.0, rng=(4, 2, 9))
    two = elastic_deform(image, labels, sigma=2.0, rng=[4, 2, 9])
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])
    # Keys that are easily confused: zeros at the end, and a number of two 32-bit words.
    keys: list[Any] = [
        0,
        (0, 0),
        (1,),
        (1, 0),
        (0, 1),
        (1, 0, 0),
        (2**32, 0),
        (0, 1, 0),
        (2**32,),
        (1, 2),
        (2, 1),
    ]
    fields = [elastic_field(4, rng=key).tobytes() for key in keys]
    assert len(set(fields)) == len(keys)
    assert elastic_field(4, rng=5).tobytes() == elastic_field(4, rng=(np.int64(5),)).tobytes()


def test_a_generator_moves_on() -> None:
    first, second = np.random.default_rng(3), np.random.default_rng(3)
    a, b = elastic_field(9, rng=first), elastic_field(9, rng=first)
    assert (a != b).any()
    np.testing.assert_array_equal(a, elastic_field(9, rng=second))
    np.testing.assert_array_equal(b, elastic_field(9, rng=second))


def test_the_field_of_one_key_stays_what_it_is() -> None:
    """A stored seed must mean the same pictures in the next release."""
    field = elastic_field(3, rng=(0, 0, 0))
    np.testing.assert_allclose(field[:, 0, 0], [4.2960142149790626, -9.185444041643487], rtol=1e-12)


# ---------------------------------------------------------------------------------------------------------
# Reading along the field


def slow_warp(image: Array, field: Array, order: str, border: str, fill: float) -> Array:
    """The definition, pixel by pixel, on a picture that is padded so far that nothing lies outside."""
    H, W = image.shape
    P = int(np.abs(field).max()) + 2
    if border == "constant":
        padded = np.pad(image.astype(np.float64), P, constant_values=fill)
    else:
        padded = np.pad(image.astype(np.float64), P, mode="reflect")
    y = np.empty((H, W))
    for i in range(H):
        for j in range(W):
            r, c = i + field[0, i, j] + P, j + field[1, i, j] + P
            if order == "nearest":
                y[i, j] = padded[int(np.floor(r + 0.5)), int(np.floor(c + 0.5))]
            else:
                a, b = int(np.floor(r)), int(np.floor(c))
                s, t = r - a, c - b
                y[i, j] = (1 - s) * ((1 - t) * padded[a, b] + t * padded[a, b + 1]) + s * (
                    (1 - t) * padded[a + 1, b] + t * padded[a + 1, b + 1]
                )
    return y


@settings(max_examples=examples(40))
@given(SIZES, st.integers(0, 2**16), st.floats(0, 30), st.sampled_from(["reflect", "constant"]))
def test_warp_against_its_definition(size: tuple[int, int], seed: int, scale: float, border: str) -> None:
    generator = np.random.default_rng(seed)
    image, field = generator.standard_normal(size), scale * generator.standard_normal((2, *size))
    for order in ("nearest", "bilinear"):
        expected = slow_warp(image, field, order, border, 2.5)
        np.testing.assert_allclose(
            warp(image, field, order=order, border=border, fill=2.5), expected, atol=1e-12
        )


@pytest.mark.parametrize("order", ["nearest", "bilinear"])
def test_a_whole_shift_moves_pixels(order: str) -> None:
    image = np.arange(20, dtype=np.uint8).reshape(4, 5)
    y = warp(image, shift((4, 5), 1, -2), order=order, border="constant", fill=99)
    np.testing.assert_array_equal(y[:3, 2:], image[1:, :3])
    assert (y[3] == 99).all() and (y[:, :2] == 99).all()
    y = warp(image, shift((4, 5), 1, -2), order=order)
    np.testing.assert_array_equal(y, np.pad(image, 2, mode="reflect")[3:7, 0:5])


def test_a_half_goes_down_and_right() -> None:
    image = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(warp(image, shift((2, 3), 0.5, 0), order="nearest"), image[[1, 0]])
    np.testing.assert_array_equal(warp(image, shift((2, 3), 0, -0.5), order="nearest"), image)
    np.testing.assert_array_equal(warp(image, shift((2, 3), 0, -0.51), order="nearest"), image[:, [1, 0, 1]])


@settings(max_examples=examples(40))
@given(SIZES, st.sampled_from(DTYPES), st.integers(0, 2**16), st.sampled_from(["reflect", "constant"]))
def test_dtype_and_range_are_kept(size: tuple[int, int], dtype: Any, seed: int, border: str) -> None:
    generator = np.random.default_rng(seed)
    kind = np.dtype(dtype).kind
    if kind == "f":
        image = generator.standard_normal((*size, 2)).astype(dtype)
    elif kind == "b":
        image = generator.random((*size, 2)) < 0.5
    else:
        info = np.iinfo(dtype)
        ends = [max(info.min, -(2**53)), 0, min(info.max, 2**53)]
        image = generator.choice(np.array(ends, dtype), (*size, 2))
    field = elastic_field(size, rng=seed)
    bent = warp(image, field, border=border, fill=image.flat[0])
    assert bent.dtype == image.dtype and bent.shape == image.shape and bent.flags.c_contiguous
    slack = 1e-15 * np.abs(image).max() if dtype is np.float64 else 0
    assert bent.min() >= image.min() - slack and bent.max() <= image.max() + slack
    one = np.full_like(image, image.flat[0])
    np.testing.assert_array_equal(warp(one, field, border=border, fill=image.flat[0]), one)


@pytest.mark.parametrize("order", ["nearest", "bilinear"])
def test_channels_move_together_in_any_memory_layout(order: str) -> None:
    image = np.random.default_rng(0).random((4, 9, 7)).transpose(1, 2, 0)
    image.flags.writeable = False
    field = elastic_field((9, 7), sigma=3.0, rng=0).astype(np.float32)
    together = warp(image, field, order=order)
    for c in range(4):
        np.testing.assert_array_equal(together[..., c], warp(image[..., c], field, order=order))


def test_rounding_is_to_the_nearest_integer() -> None:
    y = warp(np.array([[0, 255]], np.uint8), shift((1, 2), 0, [0.51, -0.01]))
    np.testing.assert_array_equal(y, [[130, 252]])


def test_a_nan_is_not_hidden() -> None:
    image = np.zeros((3, 5))
    image[1, 2], image[1, 4] = np.nan, np.inf
    np.testing.assert_array_equal(warp(image, shift((3, 5), 0, 0))[1, :4], image[1, :4])
    y = warp(image, shift((3, 5), 0.25, 0.25))
    assert np.isnan(y[:2, 1:3]).all() and not np.isnan(y[:, 0]).any()


# ---------------------------------------------------------------------------------------------------------
# Errors


IMAGE, FIELD = np.zeros((4, 6, 3), np.float32), np.zeros((2, 4, 6))
LABELS = np.zeros((4, 6), np.uint8)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: elastic_field((0, 4), rng=0), ValueError, "size"),
        (lambda: elastic_field(4, grid=1, rng=0), ValueError, "grid"),
        (lambda: elastic_field(4, sigma=-1, rng=0), ValueError, "sigma"),
        (lambda: elastic_field(4, sigma=np.nan, rng=0), ValueError, "sigma"),
        (lambda: elastic_field(4, rng=None), TypeError, "seed, epoch, position"),  # type: ignore[arg-type]
        (lambda: elastic_field(4, rng=(1, 0.5)), TypeError, "seed, epoch, position"),  # type: ignore[arg-type]
        (lambda: elastic_field(4, rng=-1), ValueError, "rng"),
        (lambda: elastic_field(4, rng=2**64), ValueError, "at most"),
        (lambda: elastic_field(4, rng=np.random), TypeError, "Generator"),  # type: ignore[arg-type]
        (lambda: warp([[1.0]], FIELD), TypeError, "list"),  # type: ignore[arg-type]
        (lambda: warp(np.zeros((4, 6), complex), FIELD), TypeError, "complex"),
        (lambda: warp(np.ma.zeros((4, 6)), FIELD), TypeError, "masked"),
        (lambda: warp(np.zeros(4), FIELD), ValueError, r"\(H, W, C\)"),
        (lambda: warp(np.zeros((4, 6, 0)), FIELD), ValueError, r"\(H, W, C\)"),
        (lambda: warp(IMAGE, FIELD[:, :3]), ValueError, "field"),
        (lambda: warp(np.zeros((3, 4, 6)), FIELD), ValueError, "transpose"),
        (lambda: warp(IMAGE, FIELD.astype(int)), TypeError, "float32"),
        (lambda: warp(IMAGE, FIELD + np.nan), ValueError, "NaN"),
        (lambda: warp(IMAGE, FIELD + 2.0**31), ValueError, "2\\*\\*31"),
        (lambda: warp(IMAGE, FIELD, order="cubic"), ValueError, "nearest"),
        (lambda: warp(IMAGE, FIELD, border="wrap"), ValueError, "reflect"),
        (lambda: warp(LABELS, FIELD, border="constant", fill=256), ValueError, "uint8"),
        (lambda: warp(LABELS, FIELD, border="constant", fill=0.5), ValueError, "uint8"),
        (lambda: warp(LABELS, FIELD, border="constant", fill=np.nan), ValueError, "uint8"),
        (lambda: warp(IMAGE, FIELD, border="constant", fill=1e300), ValueError, "float32"),
        (lambda: warp(IMAGE, FIELD, border="constant", fill="0"), TypeError, "number"),  # type: ignore[arg-type]
        (lambda: warp(np.full((4, 6), 2**53 + 2), FIELD), ValueError, "nearest"),
        (lambda: elastic_deform(IMAGE, LABELS[:3], rng=0), ValueError, r"expected \(4, 6\)"),
        (lambda: elastic_deform(np.zeros((3, 4, 6)), LABELS, rng=0), ValueError, "transpose"),
        (lambda: elastic_deform(IMAGE, LABELS.astype(float), rng=0), TypeError, "labels"),
        (lambda: elastic_deform(IMAGE, LABELS, alpha=np.inf, rng=0), ValueError, "alpha"),
        (lambda: elastic_deform(IMAGE, LABELS, fill_label=-1, rng=0), ValueError, "fill_label"),
    ],
)
def test_bad_arguments_say_so(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_big_labels_move_exactly() -> None:
    labels = np.array([[2**62 + 1, -(2**62)]])
    np.testing.assert_array_equal(warp(labels, shift((1, 2), 0, 1), order="nearest"), labels[:, [1, 0]])
