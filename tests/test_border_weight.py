"""U-Net's border weight map (SYSTEMS row 12), and the exact distance transform under it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_table import examples

from minisegnet.arrays import Array
from minisegnet.data import border_weight, squared_distance

SIZES = st.tuples(st.integers(1, 11), st.integers(1, 11))


def random_instances(size: tuple[int, int], cells: int, seed: int) -> Array:
    """Scattered pixels, in pieces and touching: the map must not mind."""
    generator = np.random.default_rng(seed)
    return np.where(generator.random(size) < 0.2, generator.integers(0, cells + 1, size), 0)


def slow_distances(mask: Array) -> Array:
    """From every pixel to every True pixel, squared."""
    i, j = np.indices(mask.shape)
    rows, columns = np.nonzero(mask)
    every = (i[..., None] - rows) ** 2 + (j[..., None] - columns) ** 2
    return every.min(axis=-1, initial=2**62).astype(np.float64)


def slow_weight(instances: Array, w0: float, sigma: float) -> Array:
    """The paper's equation, word by word."""
    weight = np.ones(instances.shape)
    cells = [np.argwhere(instances == number) for number in np.unique(instances) if number > 0]
    for pixel in np.argwhere(instances == 0):
        d = sorted(np.sqrt(((cell - pixel) ** 2).sum(axis=1)).min() for cell in cells)
        if len(d) > 1:
            weight[tuple(pixel)] += w0 * np.exp(-((d[0] + d[1]) ** 2) / (2 * sigma**2))
    return weight


def two_walls(gap: int, width: int = 64) -> Array:
    """Two cells whose rims are ``gap`` apart, from centre to centre: gap - 1 pixels of background."""
    instances = np.zeros((9, width), np.int32)
    left = width // 2 - gap // 2
    instances[:, : left + 1], instances[:, left + gap :] = 1, 2
    return instances


# ---------------------------------------------------------------------------------------------------------
# The truth test of row 12


@pytest.mark.claim("S3-08", "S3-09")
@pytest.mark.parametrize(("gap", "extra"), [(2, 9.23), (4, 7.26), (10, 1.35), (20, 0.003)])
def test_the_extra_weight_in_the_middle_of_a_gap(gap: int, extra: float) -> None:
    """Row 12 of the systems list: gaps of 2, 4, 10 and 20 pixels add 9.23, 7.26, 1.35 and 0.003."""
    instances = two_walls(gap)
    weight = border_weight(instances)
    background = np.flatnonzero(instances[4] == 0)
    assert len(background) == gap - 1
    assert weight[4, background[len(background) // 2]] - 1 == pytest.approx(
        extra, abs=5e-3 if extra > 1 else 5e-4
    )
    # d1 + d2 = gap on the whole way from rim to rim
    np.testing.assert_allclose(weight[:, background], 1 + 10 * np.exp(-(gap**2) / 50), rtol=1e-6)
    assert (weight[instances > 0] == 1).all()


@pytest.mark.parametrize("number", [1, 7])
def test_one_instance_means_class_weights_alone(number: int) -> None:
    """Row 12 of the systems list: one cell has no gap, so that w = w_c."""
    instances = np.zeros((9, 12), np.uint8)
    instances[2:5, 3:9] = number
    assert (border_weight(instances) == 1).all()
    weight = border_weight(instances, class_weight=[0.5, 3.0])
    np.testing.assert_array_equal(weight, np.where(instances > 0, 3.0, 0.5))


@pytest.mark.claim("S3-08")
@settings(max_examples=examples(40))
@given(SIZES, st.integers(0, 5), st.integers(0, 2**16), st.floats(0, 20), st.floats(0.3, 9))
def test_against_the_equation(size: tuple[int, int], cells: int, seed: int, w0: float, sigma: float) -> None:
    """Row 12 of the systems list: the paper's equation with distances by brute force."""
    instances = random_instances(size, cells, seed)
    weight = border_weight(instances, w0=w0, sigma=sigma)
    assert weight.dtype == np.float32 and weight.shape == instances.shape
    np.testing.assert_allclose(weight, slow_weight(instances, w0, sigma), rtol=1e-6)


# ---------------------------------------------------------------------------------------------------------
# What must not matter, and how it scales


@settings(max_examples=examples(25))
@given(SIZES, st.integers(0, 2**16), st.permutations([1, 2, 3, 4, 900]))
def test_numbers_of_cells_do_not_matter(size: tuple[int, int], seed: int, numbers: list[int]) -> None:
    instances = random_instances(size, 5, seed)
    renamed = np.array([0, *numbers])[instances]
    np.testing.assert_array_equal(border_weight(renamed), border_weight(instances))


@settings(max_examples=examples(25))
@given(SIZES, st.integers(0, 2**16))
def test_turned_and_mirrored_pictures(size: tuple[int, int], seed: int) -> None:
    instances = random_instances(size, 4, seed)
    weight = border_weight(instances)
    np.testing.assert_array_equal(border_weight(instances.T), weight.T)
    np.testing.assert_array_equal(border_weight(instances[::-1]), weight[::-1])
    np.testing.assert_array_equal(border_weight(instances[:, ::-1]), weight[:, ::-1])


def test_a_symmetric_gap_has_a_symmetric_map() -> None:
    y, x = np.mgrid[:31, :41]
    instances = np.where((y - 15) ** 2 + (x - 10) ** 2 <= 64, 1, 0)
    instances[(y - 15) ** 2 + (x - 30) ** 2 <= 64] = 2
    weight = border_weight(instances)
    np.testing.assert_array_equal(weight, weight[:, ::-1])
    np.testing.assert_array_equal(weight, weight[::-1])
    assert weight.max() == weight[15, 20]  # where the two are nearest to each other


def test_a_picture_twice_as_large() -> None:
    """Twice the distances and twice the sigma: the same weights."""
    small = random_instances((9, 10), 3, 5)
    large = np.zeros((17, 19), small.dtype)
    large[::2, ::2] = small
    np.testing.assert_allclose(
        border_weight(large, sigma=6.0)[::2, ::2], border_weight(small, sigma=3.0), rtol=1e-6
    )


def test_w0_is_the_height() -> None:
    instances = two_walls(4)
    one, three = border_weight(instances, w0=1.0), border_weight(instances, w0=3.0)
    np.testing.assert_allclose(three - 1, 3 * (one - 1), rtol=1e-5)
    assert (border_weight(instances, w0=0.0) == 1).all()


# ---------------------------------------------------------------------------------------------------------
# Edges of the definition


def test_no_cell_and_no_background() -> None:
    assert (border_weight(np.zeros((3, 4), int)) == 1).all()
    assert (border_weight(np.ones((3, 4), int)) == 1).all()
    assert border_weight(np.zeros((1, 1), np.uint8)).item() == 1


def test_touching_cells_have_nothing_between_them() -> None:
    instances = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [0, 0, 0, 0]])
    weight = border_weight(instances)
    assert (weight[:2] == 1).all()
    # Under the seam one cell is 1 away, the other sqrt(2).
    np.testing.assert_allclose(weight[2, 1:3], 1 + 10 * np.exp(-((1 + 2**0.5) ** 2) / 50), rtol=1e-6)


def test_a_tiny_sigma_gives_no_warning() -> None:
    assert (border_weight(two_walls(4), sigma=1e-300) == 1).all()


def test_the_argument_is_left_alone() -> None:
    instances = two_walls(4)[::2, ::-1]
    instances.flags.writeable = False
    before = instances.copy()
    border_weight(instances, class_weight="balance")
    np.testing.assert_array_equal(instances, before)


# ---------------------------------------------------------------------------------------------------------
# Class weights


def test_balance_gives_each_class_the_same_say() -> None:
    instances = np.zeros((10, 10), int)
    instances[0, :5] = 3
    weight = border_weight(instances, class_weight="balance")
    assert weight[instances > 0].sum() == pytest.approx(50) and weight[instances == 0].sum() == pytest.approx(
        50
    )
    assert weight.mean() == pytest.approx(1)
    labels = np.array([[0, 9, 9], [4, 4, 9]])  # classes that are absent don't count
    weight = border_weight(np.zeros((2, 3), int), labels=labels, class_weight="balance")
    np.testing.assert_allclose(weight, [[2, 2 / 3, 2 / 3], [1, 1, 2 / 3]], rtol=1e-6)
    assert (border_weight(np.zeros((2, 3), int), class_weight="balance") == 1).all()


def test_class_weights_add_to_the_gap() -> None:
    instances = two_walls(4)
    labels = (np.arange(64) % 3 * np.ones((9, 1), int)).astype(np.uint8)
    weight = border_weight(instances, labels=labels, class_weight=np.array([0.0, 1.0, 2.0]))
    np.testing.assert_allclose(weight, border_weight(instances) - 1 + labels, rtol=1e-6)


# ---------------------------------------------------------------------------------------------------------
# The distance transform


@settings(max_examples=examples(60))
@given(SIZES, st.sampled_from([0.0, 0.02, 0.1, 0.5, 1.0]), st.integers(0, 2**16))
def test_distances_are_exact(size: tuple[int, int], share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random(size) < share
    expected = slow_distances(mask) if mask.any() else np.full(size, np.inf)
    np.testing.assert_array_equal(squared_distance(mask), expected)


def test_distances_far_away_are_exact() -> None:
    mask = np.zeros((3, 2000), bool)
    mask[2, 0] = True
    assert squared_distance(mask)[0, 1999] == 1999**2 + 4
    np.testing.assert_array_equal(squared_distance(mask.T), squared_distance(mask).T)


# ---------------------------------------------------------------------------------------------------------
# Errors

CELLS = np.zeros((4, 5), int)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: border_weight([[0, 1]]), TypeError, "list"),  # type: ignore[arg-type]
        (lambda: border_weight(CELLS > 0), TypeError, "bool"),
        (lambda: border_weight(CELLS * 1.0), TypeError, "float64"),
        (lambda: border_weight(CELLS[None]), ValueError, r"\(H, W\)"),
        (lambda: border_weight(CELLS[:0]), ValueError, r"\(H, W\)"),
        (lambda: border_weight(CELLS - 1), ValueError, "-1"),
        (lambda: border_weight(CELLS, w0=-1), ValueError, "w0"),
        (lambda: border_weight(CELLS, sigma=0), ValueError, "sigma"),
        (lambda: border_weight(CELLS, sigma=np.inf), ValueError, "sigma"),
        (lambda: border_weight(CELLS, labels=CELLS), ValueError, "class_weight"),
        (lambda: border_weight(CELLS, class_weight="median"), ValueError, "balance"),
        (lambda: border_weight(CELLS, class_weight=2.0), ValueError, "per class"),  # type: ignore[arg-type]
        (lambda: border_weight(CELLS, class_weight={"cell": 2}), TypeError, "per class"),  # type: ignore[arg-type]
        (lambda: border_weight(CELLS, class_weight=[1, np.nan]), ValueError, "per class"),
        (lambda: border_weight(CELLS, class_weight=[1, -1]), ValueError, "per class"),
        (lambda: border_weight(CELLS, labels=CELLS + 2, class_weight=[1, 1]), ValueError, "2 numbers"),
        (lambda: border_weight(CELLS, labels=CELLS[1:], class_weight=[1]), ValueError, "labels"),
        (lambda: border_weight(CELLS, labels=CELLS * 0.5, class_weight=[1]), TypeError, "labels"),
        (lambda: squared_distance(CELLS), TypeError, "bool"),
        (lambda: squared_distance(CELLS[0] > 0), ValueError, r"\(H, W\)"),
    ],
)
def test_bad_arguments_say_so(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
