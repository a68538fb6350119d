"""What the CUDA gathers find out by themselves, and what kernels do with values that nobody checked for them.

On the CPU the ops refuse bad indices and regions before a kernel runs; on a GPU a kernel meets them. Here the flag that
it sets there is an array of NumPy's.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minisegnet import ops
from minisegnet.backends import cuda_on_cpu, reference
from minisegnet.backends.cuda_on_cpu.module import planned
from minisegnet.backends.reference.dropout import _philox

reason = ops.why_not("cuda-on-cpu")
pytestmark = pytest.mark.skipif(reason is not None, reason=str(reason))

from minisegnet.backends.cupy import activation, boxes, launch, pool, roi  # noqa: E402

DTYPES = ["float32", "float64"]
ORDERS: list[dict[str, Any]] = [
    {"order": "round robin"},
    {"order": "last first"},
    {"order": "random", "seed": 1},
]
UNTOLD, BAD_INDEX, BAD_BATCH_INDEX, BAD_CORNER, BAD_ORDER, BAD_BOX = 0, 2, 3, 4, 5, 8  # as in prelude.cu


def numbers(*shape: int, seed: int = 0, dtype: str = "float64") -> Any:
    return np.random.default_rng((*shape, seed)).standard_normal(shape).astype(dtype)


def same(actual: Any, expected: Any, dtype: str = "float64") -> None:
    tolerance = 1e-10 if dtype == "float64" else 2e-5
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """What the first step of each gather by indices notes: the reach of windows, and whether they are crowded."""
    made: list[tuple[Any, Any]] = []
    new_notes = pool._new_notes

    def remembered(*arguments: Any) -> Any:
        made.append(new_notes(*arguments))
        return made[-1]

    monkeypatch.setattr(pool, "_new_notes", remembered)
    return made


@pytest.fixture
def flag(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The flag that kernels set where a value is bad."""
    array = np.zeros(1, np.int32)
    monkeypatch.setattr(launch, "problem", lambda like: array)
    return array


# ---------------------------------------------------------------------------------------------------------
# Which windows point where


def windows_asked(reach: Any, size: int, windows: int) -> list[tuple[int, int]]:
    """First and last window to ask, of each row of the large map."""
    return [(windows - first, last - 1) for first, last in reach.reshape(-1, 2)[:size].tolist()]


def test_the_first_step_finds_the_windows_of_each_row(notes: list[Any]) -> None:
    rising = np.arange(36.0).reshape(1, 1, 6, 6)  # the lower right pixel of each window wins
    for x in (rising, -rising):  # and the upper left one
        y, indices = pool.max_pool2d(
            x, (3, 3), stride=(2, 2), padding=(1, 1), dilation=(1, 1), ceil_mode=False
        )
        pool.max_pool2d_backward(np.ones_like(y), indices, (6, 6))
    nobody = (3, -1)
    assert windows_asked(notes[0][0], 6, 3) == [nobody, (0, 0), nobody, (1, 1), nobody, (2, 2)]
    assert windows_asked(notes[1][0], 6, 3) == [(0, 0), (1, 1), nobody, (2, 2), nobody, nobody]


@pytest.mark.parametrize(("kernel", "stride", "most"), [(2, 2, 1), (3, 2, 2), (3, 1, 3), (2, 3, 1)])
def test_no_pixel_asks_windows_that_do_not_hold_it(
    notes: list[Any], kernel: int, stride: int, most: int
) -> None:
    x = numbers(3, 5, 31, 29)
    with ops.use_backend("cuda-on-cpu"):
        y, indices = ops.max_pool2d(x, kernel, stride=stride)
        ops.max_pool2d_backward(y, indices, (31, 29))
    reach, crowded = notes[0]
    for lines, size, windows in ((reach, 31, y.shape[2]), (reach[2 * 31 :], 29, y.shape[3])):
        for r, (first, last) in enumerate(windows_asked(lines, size, windows)):
            if first <= last:
                assert last - first < most
                assert (
                    first * stride <= r < first * stride + kernel
                    and last * stride <= r < last * stride + kernel
                )
    assert not crowded[0]


# ---------------------------------------------------------------------------------------------------------
# Indices that come from no pooling: the third step


def shuffled(*shape: int, pixels: int) -> Any:
    return np.random.default_rng(shape).integers(0, pixels, shape)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("size", "third_step"), [((32, 32), False), ((41, 25), True)]
)  # 1024 and 1025 windows
def test_shuffled_indices(notes: list[Any], dtype: str, size: tuple[int, int], third_step: bool) -> None:
    indices = shuffled(2, 2, *size, pixels=7 * 9)
    indices[:, :, 0, 0] = indices[:, :, -1, -1] = (
        10  # each row and column reaches as far as can be: a corner at
    )
    indices[:, :, 0, -1] = indices[:, :, -1, 0] = 10  # either end for one pixel at least
    x = numbers(2, 2, *size, dtype=dtype)
    expected = reference.max_pool2d_backward(x, indices, (7, 9)), reference.max_unpool2d(x, indices, (7, 9))
    for order in ORDERS:
        with planned(**order):
            same(pool.max_pool2d_backward(x, indices, (7, 9)), expected[0], dtype)
            np.testing.assert_array_equal(pool.max_unpool2d(x, indices, (7, 9)), expected[1])
    assert {bool(crowded[0]) for _, crowded in notes} == {third_step}


def test_the_third_step_leaves_alone_what_the_second_has_done(notes: list[Any]) -> None:
    """Where nothing is crowded it must not write: it would add everything once more, or in another order."""
    dy, indices = numbers(1, 2, 4, 4), shuffled(1, 2, 4, 4, pixels=64)
    dx = pool.max_pool2d_backward(dy, indices, (8, 8))
    assert not notes[0][1][0]
    marked = np.full_like(dx, 7)
    for kernel in ("max_pool2d_backward_in_order", "max_unpool2d_in_order"):
        launch.each("pool", kernel, 2, dy, indices, marked, 2, 64, 16, np.zeros(1, np.int32), like=dy)
    assert (marked == 7).all()


# ---------------------------------------------------------------------------------------------------------
# Bad values: a flag, and nothing else is touched


@pytest.mark.parametrize("bad", [-1, 63, 2**40, -(2**62)])
@pytest.mark.parametrize("size", [(6, 7), (41, 27)])  # by the gather, and by the third step
def test_a_bad_index_points_nowhere(flag: Any, bad: int, size: tuple[int, int]) -> None:
    indices = shuffled(1, 2, *size, pixels=63)
    x, wrong = numbers(1, 2, *size), np.array(indices)
    wrong[0, 1, 2, 3] = bad
    without = x.copy()
    without[0, 1, 2, 3] = 0  # a gradient of 0 changes no sum
    same(pool.max_pool2d_backward(x, wrong, (7, 9)), reference.max_pool2d_backward(without, indices, (7, 9)))
    assert flag[0] == BAD_INDEX

    flag[0] = UNTOLD
    found = pool.max_unpool2d(x, wrong, (7, 9))
    expected = np.zeros((1, 2, 63))
    for plane in range(2):
        for where, value in zip(wrong[0, plane].reshape(-1), x[0, plane].reshape(-1), strict=True):
            if 0 <= where < 63:
                expected[0, plane, where] = value
    np.testing.assert_array_equal(found.reshape(1, 2, 63), expected)
    assert flag[0] == BAD_INDEX

    flag[0] = UNTOLD
    dy = numbers(1, 2, 7, 9)
    found = pool.max_unpool2d_backward(dy, wrong)
    expected = reference.max_unpool2d_backward(dy, indices)
    expected[0, 1, 2, 3] = 0
    np.testing.assert_array_equal(found, expected)
    assert flag[0] == BAD_INDEX


def test_good_indices_set_no_flag(flag: Any) -> None:
    indices = np.array([[[[0, 62]]]])
    pool.max_pool2d_backward(np.ones((1, 1, 1, 2)), indices, (7, 9))
    pool.max_unpool2d(np.ones((1, 1, 1, 2)), indices, (7, 9))
    pool.max_unpool2d_backward(np.ones((1, 1, 7, 9)), indices)
    roi.roi_pool_backward(np.ones((1, 1, 1, 2)), np.array([[[[-1, 62]]]]), np.zeros((1, 5)), (1, 1, 7, 9))
    assert flag[0] == UNTOLD


ALIGN: dict[str, Any] = {"spatial_scale": 1.0, "sampling_ratio": 2, "aligned": True}
GOOD = [1.0, 0, 0, 3, 3]


def region_results(x: Any, rois: Any) -> list[Any]:
    """All that the four ops on regions return."""
    y, argmax = roi.roi_pool(x, rois, (2, 2), spatial_scale=1.0)
    align = roi.roi_align(x, rois, (2, 2), **ALIGN)
    pool_dx = roi.roi_pool_backward(np.ones_like(y), argmax, rois, x.shape)
    return [y, argmax, align, pool_dx, roi.roi_align_backward(np.ones_like(y), rois, x.shape, **ALIGN)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("picture", [-1.0, 2.0, 0.5, 1e30, np.nan, np.inf])
def test_a_region_without_a_picture_is_empty(flag: Any, dtype: str, picture: float) -> None:
    x = numbers(2, 2, 5, 6, dtype=dtype)
    rois = np.array([GOOD, [picture, 0, 0, 3, 3]], dtype)
    y, argmax, align, pool_dx, align_dx = region_results(x, rois)
    assert flag[0] == BAD_BATCH_INDEX
    assert (y[1] == 0).all() and (argmax[1] == -1).all() and (align[1] == 0).all()
    for found, expected in zip(
        (y[:1], argmax[:1], align[:1], pool_dx, align_dx), region_results(x, rois[:1]), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("corner", [np.nan, np.inf, -np.inf, 1e30, -(2.0**31)])
@pytest.mark.parametrize("which", [1, 2, 3, 4])
def test_a_corner_that_is_no_number_counts_as_0(flag: Any, dtype: str, corner: float, which: int) -> None:
    x = numbers(2, 2, 5, 6, dtype=dtype)
    rois, mended = np.array([GOOD, GOOD], dtype), np.array([GOOD, GOOD], dtype)
    rois[1, which], mended[1, which] = corner, 0
    for found, expected in zip(region_results(x, rois), region_results(x, mended), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert flag[0] == BAD_CORNER


def test_inverted_regions_are_told(flag: Any) -> None:
    x, inverted = numbers(1, 1, 5, 6), np.array([[0.0, 3, 0, 1, 2]])
    y = roi.roi_align(x, inverted, (2, 2), **{**ALIGN, "aligned": False})
    assert flag[0] == UNTOLD and np.isfinite(y).all()
    assert np.isfinite(roi.roi_align(x, inverted, (2, 2), **ALIGN)).all()
    assert flag[0] == BAD_ORDER
    assert np.isfinite(roi.roi_align_backward(np.ones((1, 1, 2, 2)), inverted, x.shape, **ALIGN)).all()


@pytest.mark.parametrize("bad", [-2, 30, 2**40])
def test_a_bad_argmax_points_nowhere(flag: Any, bad: int) -> None:
    rois, argmax = np.zeros((1, 5)), np.array([[[[3, bad], [29, 3]]]])
    dx = roi.roi_pool_backward(np.ones((1, 1, 2, 2)), argmax, rois, (1, 1, 5, 6))
    expected = np.zeros(30)
    expected[[3, 29]] = 2, 1
    np.testing.assert_array_equal(dx.reshape(-1), expected)
    assert flag[0] == BAD_INDEX


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_boxes_and_scores_that_are_no_numbers(flag: Any, bad: float) -> None:
    corners = np.tile(np.array([0.0, 0, 1, 1]), (70, 1)) + 3 * np.arange(70)[:, None]  # none overlaps another
    scores = np.linspace(0, 1, 70)
    for wrong in (5, 64):
        flag[0] = UNTOLD
        told = scores.copy()
        told[wrong] = bad
        kept = boxes.nms(corners, told, iou_threshold=0.5)
        others = [i for i in reversed(range(70)) if i != wrong]
        assert kept.tolist() == [*others, wrong], "what is no number comes last"
        assert flag[0] == BAD_BOX

        flag[0] = UNTOLD
        boxes_told = corners.copy()
        boxes_told[wrong, 2] = bad
        assert sorted(boxes.nms(boxes_told, scores, iou_threshold=0.5).tolist()) == list(range(70))
        assert flag[0] == BAD_BOX


# ---------------------------------------------------------------------------------------------------------
# Ways that a launcher chooses between, and large numbers


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_both_ways_through_a_softmax_agree(monkeypatch: pytest.MonkeyPatch, dtype: str, axis: int) -> None:
    """A thread a row, and a block a row; the rows have more elements than a block has threads."""
    shape = [3, 3, 3]
    shape[axis] = 270
    x, dy = 5 * numbers(*shape, dtype=dtype), numbers(*shape, seed=1, dtype=dtype)
    found = []
    for blocks in (False, True):
        monkeypatch.setattr(activation, "_block_a_row", lambda O, A, I, blocks=blocks: blocks)
        y, z = activation.softmax(x, axis=axis), activation.log_softmax(x, axis=axis)
        backward = activation.softmax_backward, activation.log_softmax_backward
        found.append([y, z, *(f(dy, a, axis=axis) for f, a in zip(backward, (y, z), strict=True))])
    for a, b in zip(*found, strict=True):
        same(a, b, dtype)
    same(found[1][0], reference.softmax(x, axis=axis), dtype)
    same(found[1][2], reference.softmax_backward(dy, found[1][0], axis=axis), dtype)
    same(found[1][1], reference.log_softmax(x, axis=axis), dtype)
    same(found[1][3], reference.log_softmax_backward(dy, found[1][1], axis=axis), dtype)


def test_long_rows_with_nan_and_infinity() -> None:
    x = np.zeros((4, 300))
    x[0, 299], x[1, 7], x[2], x[3, 1:] = np.nan, np.inf, -np.inf, -np.inf
    y = activation.softmax(x, axis=1)
    assert np.isnan(y[:3]).all()
    np.testing.assert_array_equal(y[3], [1, *[0] * 299])


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (3, 1)])
def test_both_ways_through_adaptive_pools_agree(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    """A thread a bin, and a warp a bin: with ties and NaN, whose rules a warp has to keep across its lanes."""
    generator = np.random.default_rng(3)
    x = generator.integers(0, 3, (6, 5, 13, 37)).astype(np.float64)
    x[generator.random(x.shape) < 0.01] = np.nan
    x[:, 0] = -np.inf
    x[:2, 1] = generator.integers(0, 2, (2, 13, 37))  # ties only
    with np.errstate(invalid="ignore"):
        expected = *reference.adaptive_max_pool2d(x, size), reference.adaptive_avg_pool2d(x, size)
    assert np.isnan(expected[0]).any() and not np.isnan(expected[0]).all()
    for large in (False, True):
        monkeypatch.setattr(pool, "_bins_are_large", lambda *sizes, large=large: large)
        for order in ORDERS:
            with planned(**order):
                y, indices = pool.adaptive_max_pool2d(x, size)
                mean = pool.adaptive_avg_pool2d(x, size)
            np.testing.assert_array_equal(y, expected[0])
            np.testing.assert_array_equal(indices, expected[1])
            np.testing.assert_allclose(mean, expected[2], rtol=1e-12)


def test_adaptive_pools_choose_by_the_size_of_bins() -> None:
    assert pool._bins_are_large((16, 16), (2, 2)) and not pool._bins_are_large((16, 15), (2, 2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sampling_ratio", [0, 3])
def test_regions_of_a_thousand_million_pixels(dtype: str, sampling_ratio: int) -> None:
    x = numbers(1, 2, 6, 7, dtype=dtype)
    rois = np.array([[0, -1e9, -1e9, 1e9, 1e9], [0, -2e9, 1, 5, 4], [0, 2, -4, 2e9, 6]], dtype)
    options: dict[str, Any] = {"spatial_scale": 1.0, "sampling_ratio": sampling_ratio, "aligned": False}
    y = roi.roi_align(x, rois, (3, 3), **options)
    np.testing.assert_allclose(y, reference.roi_align(x, rois, (3, 3), **options), rtol=1e-5, atol=1e-12)
    dy = numbers(3, 2, 3, 3, dtype=dtype) * 1e9  # divided by as many samples
    found = roi.roi_align_backward(dy, rois, x.shape, **options)
    expected = reference.roi_align_backward(dy, rois, x.shape, **options)
    assert np.abs(expected).max() > 0 or sampling_ratio
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    y, argmax = roi.roi_pool(x, rois, (3, 3), spatial_scale=1.0)
    expected_y, expected_argmax = reference.roi_pool(x, rois, (3, 3), spatial_scale=1.0)
    np.testing.assert_array_equal(y, expected_y)
    np.testing.assert_array_equal(argmax, expected_argmax)


@pytest.mark.parametrize(("begin", "end"), [(-712_617_664, -27), (-183_470_928, 5)])
def test_samples_that_rounding_moves_back_onto_the_map(begin: float, end: float) -> None:
    """In float32 the coordinates of such a box are multiples of 64 or so: its last samples lie behind its end."""
    rois = np.array([[0, begin, begin, end, end]], np.float32)
    dy = np.full((1, 1, 6, 6), 1e12, np.float32)
    options: dict[str, Any] = {"spatial_scale": 1.0, "sampling_ratio": 0, "aligned": False}
    expected = reference.roi_align_backward(dy, rois, (1, 1, 5, 6), **options)
    assert expected.any()
    np.testing.assert_allclose(roi.roi_align_backward(dy, rois, (1, 1, 5, 6), **options), expected, rtol=1e-5)


BEYOND_32_BITS = """
import sys
import cuda_wide
from minisegnet.backends import cuda_on_cpu as cuda
from minisegnet.backends.cuda_on_cpu.module import planned
from minisegnet.backends.cupy import launch
launch.empty = cuda_wide.sparse_like
launch.MOST_BLOCKS = 2**31 - 1
with planned(first=-1):
    y, mask = cuda.dropout(cuda_wide.sparse(4 * 2**32 + 1024), 0.5, key=(2**63 + 5, 3, 7))
print("".join(str(int(kept)) for kept in mask[-1024:]))
"""


def test_dropout_counts_beyond_32_bits() -> None:
    """Element 2^34 is in block 2^32, whose number has a second word; blocks that differ in it only differ in bits."""
    done = subprocess.run(
        [sys.executable, "-c", BEYOND_32_BITS],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    words = [word for block in range(256) for word in _philox(block, 1, 3, 7, 5, 2**31)]
    assert done.stdout.strip() == "".join(str(int(word >= 2**31)) for word in words)
    start = cuda_on_cpu.dropout(np.zeros(1024), 0.5, key=(2**63 + 5, 3, 7))[1]
    assert done.stdout.strip() != "".join(str(int(kept)) for kept in start)
