"""The fast texts of pooling and resizing, at sizes around each edge of their blocks."""

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

from hypothesis import given, settings  # noqa: E402
from pool_cases import Pooling, maps, poolings, tables  # noqa: E402
from test_fast_conv import SETTINGS  # noqa: E402

from minisegnet.backends.numba import axes, pool  # noqa: E402
from minisegnet.backends.numba.fast import axes as fast_axes  # noqa: E402
from minisegnet.backends.numba.fast import vectors, windows  # noqa: E402

ROOT = Path(__file__).parent.parent
COMPILED = os.environ.get("NUMBA_DISABLE_JIT") != "1"
EXAMPLES = 150 if COMPILED else 8
compiled_only = pytest.mark.skipif(not COMPILED, reason="compilation is off")


def pooled(text: Any, case: Pooling, x: Any) -> tuple[Any, Any]:
    """Run one text; outputs begin as values that no right result has, so that one that is left out shows."""
    y, indices = np.full((len(x), *case.output), 777, np.float32), np.full((len(x), *case.output), -7)
    text(y, indices, x, case.kernel, case.stride, case.padding, case.dilation)
    return y, indices


@settings(max_examples=EXAMPLES)
@given(poolings())
def test_max_pooling_equals_the_plain_text(case: Pooling) -> None:
    x = maps(case)
    y, indices = pooled(windows.max_pool2d, case, x)
    expected, places = pooled(pool._max_pool2d, case, x)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(indices, places)


def test_max_pooling_is_chosen_where_distances_are_exact() -> None:
    x = np.empty((1, 1, 2, 1 << 23), np.float32)
    assert windows.suits(x, (2, 2), (1, 1))
    assert not windows.suits(x, (3, 1), (1, 1)) and not windows.suits(x, (2, 1), (2, 1))
    assert not windows.suits(x.astype(np.float16).astype(np.float64)[..., :4], (2, 2), (1, 1))


@settings(max_examples=EXAMPLES)
@given(tables())
def test_rows_and_columns_equal_two_dense_matrices(case: Any) -> None:
    """y = R x C', in double precision, with the tables written out as matrices."""
    (rows, H), (columns, W) = case
    x = np.random.default_rng(0).standard_normal((2, H, W)).astype(np.float32)
    R, C = dense(rows, H), dense(columns, W)
    y = np.full((2, len(R), len(C)), np.nan, np.float32)
    axes.apply(y, x, rows, columns)
    expected = R @ x.astype(np.float64) @ C.T
    np.testing.assert_allclose(y, expected, rtol=0, atol=4e-6 * max(1, np.abs(expected).max()))
    wide = np.full(y.shape, np.nan)
    axes.apply(wide, x.astype(np.float64), rows, columns)
    np.testing.assert_allclose(wide, expected, rtol=0, atol=1e-12 * max(1, np.abs(expected).max()))


@settings(max_examples=EXAMPLES)
@given(tables())
def test_turned_is_the_transposed_matrix(case: Any) -> None:
    for taps, size in case:
        np.testing.assert_array_equal(dense(axes.turned(taps, size), taps.at.shape[1]), dense(taps, size).T)


def dense(taps: axes.Taps, size: int) -> Any:
    matrix = np.zeros((taps.at.shape[1], size + 1))
    for at, weight in zip(taps.at, taps.weight, strict=True):
        np.add.at(matrix, (np.arange(len(matrix)), at), weight)
    return matrix[:, :size]


def test_what_is_steady() -> None:
    o, L = np.arange(8 * vectors.LANES), vectors.LANES
    size = 16 * L + 5

    def found(*at: Any) -> tuple[int, int, int, int]:
        return tuple(fast_axes.steady(np.array(at), size))

    assert found(o, o + 1) == (fast_axes.SAME, 0, 8 * L, 2)
    assert found(2 * o + 3) == (fast_axes.HALF, 0, 8 * L, 1)
    assert found(o // 2, (o + 1) // 2) == (fast_axes.DOUBLE, 0, 8 * L, 2)
    assert found(3 * o) == (fast_axes.UNEVEN, 0, 0, 0)
    edges = o.copy()
    edges[0], edges[-1] = 5, size  # the last has no tap
    assert found(edges) == (fast_axes.SAME, 1, 8 * L - 1, 1)
    assert found(np.where(o % 2, size, o // 2))[0] == fast_axes.UNEVEN  # every second one has no tap
    assert found(o[: L - 1])[0] == fast_axes.UNEVEN and found(o[:L])[0] == fast_axes.SAME
    assert found(o[:1])[0] == fast_axes.UNEVEN


def test_many_terms_are_added_in_double_precision() -> None:
    x = np.full((1, 1, 512, 512), 0.1, np.float32)
    with ops.use_backend("numba"):
        y = ops.adaptive_avg_pool2d(x, 1)
    assert y[0, 0, 0, 0] == np.float32(0.1)


@compiled_only
def test_bits_do_not_depend_on_the_number_of_threads() -> None:
    import numba

    x = np.random.default_rng(0).standard_normal((3, 2, 70, 67)).astype(np.float32)
    most, found = numba.get_num_threads(), []
    try:
        for threads in sorted({1, min(2, most), most}):
            numba.set_num_threads(threads)
            with ops.use_backend("numba"):
                y, indices = ops.max_pool2d(x, 3, stride=2)
                found.append(
                    [y, ops.max_pool2d_backward(y, indices, (70, 67)), ops.max_unpool2d(y, indices, (70, 67))]
                    + [ops.resize_bilinear(x, size) for size in ((140, 134), (35, 33))]
                    + [ops.resize_bilinear_backward(x, size) for size in ((140, 134), (35, 33))]
                )
    finally:
        numba.set_num_threads(most)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


# ---------------------------------------------------------------------------------------------------------
# Bounds, other processors, and no compiler

GUARD = """
import sys
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from guard_pages import guarded
from pool_cases import maps, poolings, tables
from minisegnet.backends.numba import axes
from minisegnet.backends.numba.fast import windows

before = sys.argv[1] == "before"
examples = settings(max_examples=150, derandomize=True, database=None, deadline=None,
                    suppress_health_check=list(HealthCheck), phases=[Phase.generate])

def room(shape, dtype):
    return guarded(np.zeros(shape, dtype), before)

@examples
@given(poolings())
def pool(case):
    print(case, file=sys.stderr, flush=True)
    x = guarded(maps(case), before)
    shape = (len(x), *case.output)
    windows.max_pool2d(room(shape, np.float32), room(shape, np.int64), x, case.kernel, case.stride,
                       case.padding, case.dilation)

@examples
@given(tables())
def linear(case):
    print(case, file=sys.stderr, flush=True)
    (rows, H), (columns, W) = case
    y = room((2, rows.at.shape[1], columns.at.shape[1]), np.float32)
    axes.apply(y, room((2, H, W), np.float32), rows, columns)

pool()
linear()
print("whole")
"""


def run(*command: str, **environment: str) -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    out = subprocess.run(
        [sys.executable, *command], env={**os.environ, "PYTHONPATH": path, **environment}, cwd=ROOT,
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert out.returncode == 0, f"{out.returncode}: {out.stdout[-3000:]} {out.stderr[-2000:]}"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect as Linux has it")
@pytest.mark.parametrize("side", ["before", "behind"])
def test_nothing_is_read_or_written_outside(side: str) -> None:
    run("-c", GUARD, side)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_the_same_on_other_processors(name: str, tmp_path: Path) -> None:
    if "AVX2" in name and vectors.LANES < 16:
        pytest.skip("this processor can't show more than it has")
    files = [str(ROOT / "tests" / "test_fast_pool.py"), "-p", "no:cacheprovider", "-m", "not slow"]
    run("-m", "pytest", "-q", *files, NUMBA_CACHE_DIR=str(tmp_path), **SETTINGS[name])
