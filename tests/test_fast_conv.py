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

from fast_cases import Arrays, Case, arrays, convolutions, winograds  # noqa: E402
from hypothesis import given, settings  # noqa: E402

from minisegnet.backends.numba import conv  # noqa: E402
from minisegnet.backends.numba.fast import direct, vectors, winograd  # noqa: E402

ROOT = Path(__file__).parent.parent
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
@given(winograds())
def test_winograd(case: Case) -> None:
    given = arrays(case)
    y, dx = (np.full(a.shape, np.nan, np.float32) for a in (given.y, given.dx))
    winograd.convolve(y, given.x, given.w, given.b, case.padding)
    back = (2 - case.padding[0], 2 - case.padding[1])
    winograd.convolve(dx, given.dy, given.w, np.zeros(case.C, np.float32), back, turned=True)
    close(y, given.y, 1e-5, "y")
    close(dx, given.dx, 1e-5, "dx")


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
def test_bits_do_not_depend_on_the_number_of_threads() -> None:
    import numba

    case = Case(3, 20, 50, (13, 37), (3, 3), (1, 1), (1, 1), (1, 1), 1)
    given, most = arrays(case), numba.get_num_threads()
    found = []
    try:
        for threads in sorted({1, min(2, most), most}):
            numba.set_num_threads(threads)
            y = np.empty(given.y.shape, np.float32)
            winograd.convolve(y, given.x, given.w, given.b, case.padding)
            found.append((*results(case, given), y))
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


def test_the_table_chooses() -> None:
    def text(K: int, C: int, k: int, dtype: Any = np.float32, groups: int = 1) -> str:
        return conv.text_for(np.empty((K, C, k, k), dtype), groups)

    assert text(16, 3, 3) == "direct" and text(21, 16, 1) == "direct"
    assert text(1, 1, 3) == "plain" and text(64, 1, 3, groups=64) == "plain"
    assert text(16, 16, 3, np.float64) == "columns" and text(16, 3, 3, np.float64) == "plain"


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
    _, w = small_and_large(48, 36)
    y = np.empty((1, 48, 36, 36), np.float32)
    assert conv.suits_winograd(y, w, (1, 1), (1, 1), 1)
    monkeypatch.setenv("MINISEGNET_EXACT", "1")
    assert not conv.suits_winograd(y, w, (1, 1), (1, 1), 1)


def test_winograd_only_where_it_may() -> None:
    y, w = np.empty((1, 48, 36, 36), np.float32), np.zeros((48, 48, 3, 3), np.float32)
    assert conv.suits_winograd(y, w, (1, 1), (1, 1), 1)
    assert not conv.suits_winograd(y, w, (2, 1), (1, 1), 1)
    assert not conv.suits_winograd(y, w, (1, 1), (1, 2), 1)
    assert not conv.suits_winograd(y, w, (1, 1), (1, 1), 2)
    assert not conv.suits_winograd(y, w.astype(np.float64), (1, 1), (1, 1), 1)
    assert not conv.suits_winograd(y, np.empty((48, 48, 5, 5), np.float32), (1, 1), (1, 1), 1)


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
    files = [
        str(ROOT / "tests" / file) for file in ("test_fast_conv.py", "test_fast_maps.py", "test_vectors.py")
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *files]
    out = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert out.returncode == 0, out.stdout[-4000:]
