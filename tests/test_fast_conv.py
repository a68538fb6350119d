"""The fast texts of the convolution (register blocks, Winograd), at sizes around each edge of their blocks."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minisegnet import ops

reason = ops.why_not("numba")
if reason:
    pytest.skip(reason, allow_module_level=True)

from fast_cases import Arrays, Case, arrays, convolutions, depthwises, patches, pointwises, wides, winograds  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from minisegnet.backends.numba import conv  # noqa: E402
from minisegnet.backends.numba.fast import depthwise, direct, pointwise, unfolded, vectors, winograd  # noqa: E402

ROOT = Path(__file__).parent.parent
plan_tiles = winograd.plan_tiles
COMPILED = os.environ.get("NUMBA_DISABLE_JIT") != "1"
EXAMPLES = 150 if COMPILED else 3  # plain Python takes minutes for what compiled code does in a second

compiled_only = pytest.mark.skipif(not COMPILED, reason="compilation is off")


def close(actual: Any, expected: Any, tolerance: float, what: str) -> None:
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale, err_msg=what)


def results(case: Case, given: Arrays) -> tuple[Any, Any, Any]:
    """What the register blocks say; every output begins as NaN, so that one that is left out shows."""
    options = (case.stride, case.padding, case.dilation, case.groups)
    y, dx, dw = (np.full(a.shape, np.nan, np.float32) for a in (given.y, given.dx, given.dw))
    direct.gather(y, given.x, given.w, given.b, *options)
    direct.scatter(
        dx, given.dy, given.w, np.zeros(len(dx[0]) if case.N else given.x.shape[1], np.float32), *options
    )
    direct.weight_gradient(dw, given.dy, given.x, *options)
    return y, dx, dw


@settings(max_examples=EXAMPLES)
@given(convolutions())
def test_register_blocks(case: Case) -> None:
    given = arrays(case)
    y, dx, dw = results(case, given)
    close(y, given.y, 2e-6, "y")
    close(dx, given.dx, 2e-6, "dx")
    close(dw, given.dw, 5e-6, "dw")


@settings(max_examples=EXAMPLES)
@given(convolutions())
def test_unfolded(case: Case) -> None:
    given = arrays(case._replace(groups=1))
    options = (case.stride, case.padding, case.dilation)
    y, dx, dw = (np.full(a.shape, np.nan, np.float32) for a in (given.y, given.dx, given.dw))
    unfolded.gather(y, given.x, given.w, given.b, *options)
    unfolded.scatter(dx, given.dy, given.w, np.arange(case.C, dtype=np.float32), *options)
    unfolded.weight_gradient(dw, given.dy, given.x, *options)
    close(y, given.y, 2e-6, "y")
    close(dx, given.dx + np.arange(case.C)[:, None, None], 2e-6, "dx")
    close(dw, given.dw, 5e-6, "dw")
    unfolded.gather(y, given.x, given.w, given.b, *options, np.float32(0))
    close(y, np.maximum(given.y, 0), 2e-6, "relu of y")


@settings(max_examples=EXAMPLES)
@given(winograds())
def test_winograd(case: Case) -> None:
    given = arrays(case)
    y, dx, dw = (np.full(a.shape, np.nan, np.float32) for a in (given.y, given.dx, given.dw))
    winograd.convolve(y, given.x, given.w, given.b, case.padding)
    back = (2 - case.padding[0], 2 - case.padding[1])
    winograd.convolve(dx, given.dy, given.w, np.zeros(case.C, np.float32), back, turned=True)
    winograd.weight_gradient(dw, given.dy, given.x, case.padding)
    close(y, given.y, 1e-5, "y")
    close(dx, given.dx, 1e-5, "dx")
    close(dw, given.dw, 1e-5, "dw")


@settings(max_examples=EXAMPLES)
@given(winograds(), st.integers(1, 40), st.integers(1, 40), st.sampled_from([0, 1 << 30]))
def test_winograd_in_small_pieces(case: Case, most: int, workers: int, parts_floats: int) -> None:
    """The tiles cut into tasks of all sizes, and the filters into shares, as for larger maps and more threads."""
    given = arrays(case)
    y, dw = (np.full(a.shape, np.nan, np.float32) for a in (given.y, given.dw))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "plan_tiles", lambda images, size, _: plan_tiles(images, size, most))
        patch.setattr(winograd, "get_num_threads", lambda: workers)
        patch.setattr(winograd, "PARTS_FLOATS", parts_floats)
        winograd.convolve(y, given.x, given.w, given.b, case.padding)
        winograd.weight_gradient(dw, given.dy, given.x, case.padding)
    close(y, given.y, 1e-5, "y")
    close(dw, given.dw, 1e-5, "dw")


def test_tasks_cover_the_tiles_once() -> None:
    assert tuple(plan_tiles(3, (64, 64), 100)) == (1, 6, 16, 16, 16)  # 16 rows as 6, 6 and 4
    assert tuple(plan_tiles(8, (8, 8), 32)) == (8, 2, 2, 2, 2)
    assert tuple(plan_tiles(9, (8, 8), 32)) == (5, 2, 2, 2, 2)  # 5 and 4 rather than 8 and 1
    assert tuple(plan_tiles(1, (5, 400), 32)) == (1, 1, 25, 2, 100)
    assert plan_tiles(0, (8, 8), 32).images == 1


@settings(max_examples=EXAMPLES)
@given(depthwises())
def test_depthwise(case: Case) -> None:
    given = arrays(case)
    y, dx, dw = (np.full(a.shape, np.nan, np.float32) for a in (given.y, given.dx, given.dw))
    depthwise.gather(y, given.x, given.w, given.b, case.stride, case.padding, case.dilation)
    depthwise.weight_gradient(dw, given.dy, given.x, case.stride, case.padding, case.dilation)
    close(y, given.y, 2e-6, "y")
    close(dw, given.dw, 5e-6, "dw")
    if case.stride == (1, 1):
        zeros = np.zeros(case.groups, np.float32)
        depthwise.scatter(dx, given.dy, given.w, zeros, case.padding, case.dilation)
        close(dx, given.dx, 2e-6, "dx")


@settings(max_examples=EXAMPLES)
@given(wides())
def test_wide_filters(case: Case) -> None:
    given, options = arrays(case), (case.stride, case.padding, case.dilation)
    y, dx, dw = (np.full(a.shape, np.nan, np.float32) for a in (given.y, given.dx, given.dw))
    depthwise.gather_wide(y, given.x, given.w, given.b, *options)
    depthwise.scatter_wide(dx, given.dy, given.w, np.zeros(case.groups, np.float32), *options)
    depthwise.weight_gradient_wide(dw, given.dy, given.x, *options)
    close(y, given.y, 2e-6, "y")
    close(dx, given.dx, 2e-6, "dx")
    close(dw, given.dw, 5e-6, "dw")


@settings(max_examples=EXAMPLES)
@given(pointwises())
def test_pointwise(case: Case) -> None:
    given = arrays(case)
    y, dx, dw = (np.full(a.shape, np.nan, np.float32) for a in (given.y, given.dx, given.dw))
    w = given.w[:, :, 0, 0]
    pointwise.products(y, given.x, pointwise.packed(w), given.b)
    pointwise.products(dx, given.dy, pointwise.packed(w.T), np.zeros(case.C, np.float32))
    pointwise.product_gradients(dw[:, :, 0, 0], given.dy, given.x)
    close(y, given.y, 2e-6, "y")
    close(dx, given.dx, 2e-6, "dx")
    close(dw, given.dw, 5e-6, "dw")


@settings(max_examples=EXAMPLES)
@given(patches())
def test_patches(case: Case) -> None:
    """The transposed convolution stands for the gradient of the input, the small map for the gradient that comes in."""
    given = arrays(case)
    large, small, dw = (np.full(a.shape, np.nan, np.float32) for a in (given.dx, given.y, given.dw))
    pointwise.patches(large, given.dy, given.w, np.arange(case.C, dtype=np.float32))
    close(large, given.dx + np.arange(case.C)[:, None, None], 2e-6, "y")
    pointwise.patch_gradients(small, dw, given.x, given.dy, given.w)
    close(small, given.y - given.b[:, None, None], 2e-6, "dx")
    close(dw, given.dw, 5e-6, "dw")


def test_a_filter_of_one_tap_picks_its_pixel_exactly() -> None:
    x = np.arange(60, dtype=np.float32).reshape(1, 1, 6, 10)
    for tap in range(9):
        w = np.zeros((8, 1, 3, 3), np.float32)
        w[3].flat[tap] = 1
        y = np.full((1, 8, 6, 10), np.nan, np.float32)
        direct.gather(y, x, w, np.zeros(8, np.float32), (1, 1), (1, 1), (1, 1), 1)
        padded = np.pad(x[0, 0], 1)
        np.testing.assert_array_equal(y[0, 3], padded[tap // 3 : tap // 3 + 6, tap % 3 : tap % 3 + 10])
        assert not y[0, :3].any() and not y[0, 4:].any()


@compiled_only
@pytest.mark.parametrize("parts_floats", [0, 1 << 30])
def test_bits_do_not_depend_on_the_number_of_threads(
    parts_floats: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numba

    monkeypatch.setattr(winograd, "PARTS_FLOATS", parts_floats)

    case = Case(3, 20, 50, (13, 37), (3, 3), (1, 1), (1, 1), (1, 1), 1)
    given, most = arrays(case), numba.get_num_threads()
    found = []
    try:
        for threads in sorted({1, min(2, most), most}):
            numba.set_num_threads(threads)
            y, dw = np.empty(given.y.shape, np.float32), np.empty(given.dw.shape, np.float32)
            winograd.convolve(y, given.x, given.w, given.b, case.padding)
            winograd.weight_gradient(dw, given.dy, given.x, case.padding)
            w, each, dw_each = given.w[:, :, 0, 0], np.empty_like(y), np.empty(given.w.shape[:2], np.float32)
            pointwise.products(each, given.x, pointwise.packed(w), given.b)
            pointwise.product_gradients(dw_each, each, given.x)
            rows, options = (
                [np.empty(a.shape, np.float32) for a in (y, given.x, dw)],
                ((1, 1), case.padding, (1, 1)),
            )
            unfolded.gather(rows[0], given.x, given.w, given.b, *options)
            unfolded.scatter(rows[1], given.dy, given.w, np.zeros(case.C, np.float32), *options)
            unfolded.weight_gradient(rows[2], given.dy, given.x, *options)
            found.append((*results(case, given), y, dw, each, dw_each, *rows))
    finally:
        numba.set_num_threads(most)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@compiled_only
def test_a_nan_reaches_every_output_that_sees_it_and_no_other() -> None:
    case = Case(1, 4, 9, (9, 40), (3, 3), (1, 1), (1, 1), (1, 1), 1)
    given = arrays(case)
    given.x[0, 1, 4, 17] = np.nan
    y, _, dw = results(case, given)
    seen = np.zeros((9, 40), bool)
    seen[3:6, 16:19] = True
    assert (np.isnan(y[0]) == seen).all()
    assert np.isnan(dw[:, 1]).all() and not np.isnan(dw[:, [0, 2, 3]]).any()


# ---------------------------------------------------------------------------------------------------------
# The choice


def small_and_large(channels: int, size: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, channels, size, size)).astype(np.float32)
    return x, rng.standard_normal((channels, channels, 3, 3)).astype(np.float32)


def text(
    w: tuple[int, ...], small: tuple[int, int] = (20, 20), large: tuple[int, int] = (20, 20), dtype: Any = np.float32,
    stride: Any = (1, 1), padding: Any = (1, 1), dilation: Any = (1, 1), groups: int = 1,
) -> str:  # fmt: skip
    maps = (np.empty((1, 1, *size), dtype) for size in (small, large))
    return conv.text_for(np.empty(w, dtype), *maps, stride, padding, dilation, groups)


def test_the_table_chooses() -> None:
    assert text((16, 3, 3, 3)) == "direct" and text((3, 1, 3, 3)) == "plain"
    assert text((16, 16, 3, 3), dtype=np.float64) == "columns"
    assert (
        text((16, 3, 3, 3), dtype=np.float64) == text((64, 1, 3, 3), dtype=np.float64, groups=64) == "plain"
    )


def test_depthwise_only_with_one_filter_for_each_channel() -> None:
    assert text((64, 1, 3, 3), groups=64) == text((1, 1, 5, 5)) == "depthwise"
    assert text((64, 1, 3, 3), groups=64, stride=(3, 2)) == "depthwise"
    assert text((64, 1, 3, 3), groups=64, stride=(2, 3)) == "plain"
    wide = (21, 1, 16, 2 * vectors.LANES)
    assert (
        text(wide, stride=(8, 8), groups=21)
        == text(wide, stride=(1, 2), dilation=(2, 1), groups=21)
        == "wide"
    )
    assert text(wide, groups=21) == text(wide, stride=(2, 2), dilation=(1, 2), groups=21) == "depthwise"
    assert text((64, 1, 3, 3), groups=32) == "plain" and text((64, 2, 3, 3), groups=32) == "direct"


def test_winograd_only_where_it_may() -> None:
    w = (16, 16, 3, 3)
    assert text(w) == text(w, dilation=(1, 1), padding=(0, 2)) == "winograd"
    assert text(w, stride=(2, 1)) == text(w, dilation=(1, 2)) == text(w, groups=2) == "direct"
    assert text((16, 16, 5, 5)) == text((15, 48, 3, 3)) == text((48, 15, 3, 3)) == "direct"
    assert text(w, small=(15, 17)) == "direct" and text(w, small=(16, 16)) == "winograd"
    assert text(w, dtype=np.float64) == "columns"


def test_unfolded_only_for_many_channels_on_small_maps() -> None:
    w = (128, 128, 7, 7)
    assert text(w, small=(8, 8)) == text((128, 128, 3, 3), small=(8, 8)) == "unfolded"
    assert text(w, small=(8, 9)) == text(w, small=(8, 8), groups=2) == "direct"
    assert text((127, 128, 7, 7), small=(8, 8)) == text((128, 127, 7, 7), small=(8, 8)) == "direct"
    assert text((128, 1100, 8, 8), small=(8, 8)) == "direct"  # the windows would be too large together
    assert text(w, small=(8, 8), dtype=np.float64) == "columns"


@compiled_only
@pytest.mark.parametrize("relu", [False, True])
def test_the_ops_run_what_the_table_chose_for_small_maps(relu: bool) -> None:
    """Through the ops, against float64, where another text runs."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((3, 130, 4, 5)), rng.standard_normal((128, 130, 3, 3)) / 30
    b, dy = rng.standard_normal(128), rng.standard_normal((3, 128, 4, 5))
    forward = ops.conv2d_relu if relu else ops.conv2d
    with ops.use_backend("numba"):
        found = []
        for dtype in (np.float32, np.float64):
            arrays_ = [a.astype(dtype) for a in (x, w, b, dy)]
            y = forward(*arrays_[:3], padding=1)
            turned = ops.conv_transpose2d(arrays_[3], arrays_[1], padding=1)
            found.append((y, turned, *ops.conv2d_backward(arrays_[3], *arrays_[:2], padding=1)))
    assert conv.text_for(w.astype(np.float32), dy, x, (1, 1), (1, 1), (1, 1), 1) == "unfolded"
    for fast, expected in zip(*found, strict=True):
        assert fast.dtype == np.float32
        close(fast, expected, 5e-6, "small maps")


def test_products_only_where_filters_do_not_overlap() -> None:
    w = (8, 8, 1, 1)
    assert text(w, padding=(0, 0)) == "pointwise"
    assert text(w, padding=(0, 1)) == text(w, padding=(0, 0), stride=(2, 1)) == "direct"
    assert text((8, 4, 1, 1), padding=(0, 0), groups=2) == "plain"
    w, maps = (8, 8, 3, 2), {"small": (4, 5), "padding": (0, 0)}
    assert text(w, large=(12, 10), stride=(3, 2), **maps) == "patches"
    assert text(w, large=(11, 10), stride=(3, 2), **maps) == "direct"  # cropped, or with output_padding
    assert text(w, large=(12, 10), stride=(2, 2), **maps) == "direct"
    assert text((8, 8, 3, 3), large=(12, 15), stride=(3, 3), **maps) == "direct"


@compiled_only
def test_exact_convolutions_keep_winograd_out() -> None:
    x, w = small_and_large(48, 36)
    with ops.use_backend("numba"):
        fast = ops.conv2d(x, w, padding=1)
        with ops.exact_convolutions():
            exact = ops.conv2d(x, w, padding=1)
            with ops.exact_convolutions(False):
                again = ops.conv2d(x, w, padding=1)
    straight, tiles = np.empty_like(fast), np.empty_like(fast)
    direct.gather(straight, x, w, np.zeros(48, np.float32), (1, 1), (1, 1), (1, 1), 1)
    winograd.convolve(tiles, x, w, np.zeros(48, np.float32), (1, 1))
    np.testing.assert_array_equal(exact, straight)
    np.testing.assert_array_equal(fast, tiles)
    np.testing.assert_array_equal(again, tiles)
    assert not np.array_equal(straight, tiles)


def test_the_whole_program_can_be_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    assert text((48, 48, 3, 3)) == "winograd"
    monkeypatch.setenv("MINISEGNET_EXACT", "1")
    assert text((48, 48, 3, 3)) == "direct"


# ---------------------------------------------------------------------------------------------------------
# Other processors, and no compiler

AVX2 = "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2,+popcnt,+cmov,+cx8,+fxsr,+mmx,+x87,+lzcnt"
SETTINGS = {
    "plain Python, lanes of this processor": {"NUMBA_DISABLE_JIT": "1"},
    "plain Python, 8 lanes": {"NUMBA_DISABLE_JIT": "1", "NUMBA_CPU_FEATURES": "+avx"},
    "plain Python, 4 lanes": {"NUMBA_DISABLE_JIT": "1", "NUMBA_CPU_FEATURES": "+sse2"},
    "compiled for AVX2": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": AVX2},
    "compiled for SSE2": {
        "NUMBA_CPU_NAME": "x86-64",
        "NUMBA_CPU_FEATURES": "+sse,+sse2,+cmov,+cx8,+fxsr,+mmx,+x87",
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_the_same_on_other_processors(name: str, tmp_path: Path) -> None:
    if "compiled" in name and vectors.LANES < 16 and "AVX2" in name:
        pytest.skip("this processor can't show more than it has")
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": path, "NUMBA_CACHE_DIR": str(tmp_path), **SETTINGS[name]}
    names = ("test_fast_conv.py", "test_fast_maps.py", "test_matrix.py", "test_vectors.py")
    files = [str(ROOT / "tests" / file) for file in names]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *files]
    out = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert out.returncode == 0, out.stdout[-4000:]
