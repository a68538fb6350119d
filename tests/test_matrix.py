"""Products of matrices in register blocks, at sizes around each edge of the blocks, panels and bands."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from minisegnet import ops

reason = ops.why_not("numba")
if reason:
    pytest.skip(reason, allow_module_level=True)

from guard_pages import guarded  # noqa: E402
from hypothesis import HealthCheck, Phase, example, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from minisegnet.backends.numba.fast import matrix  # noqa: E402

ROOT = Path(__file__).parent.parent
COMPILED = os.environ.get("NUMBA_DISABLE_JIT") != "1"
compiled_only = pytest.mark.skipif(not COMPILED, reason="compilation is off")


class Case(NamedTuple):
    """A product (M, K) x (K, N), and which of the two matrices comes turned."""

    M: int
    K: int
    N: int
    turn_a: bool = False
    turn_b: bool = False


def around(*edges: int) -> st.SearchStrategy[int]:
    near = sorted({max(1, edge + d) for edge in edges for d in (-1, 0, 1)})
    return st.one_of(st.sampled_from(near), st.integers(1, 9))


lanes = matrix.LANES
cases = st.builds(
    Case,
    st.one_of(st.just(0), around(matrix.OUT, 3 * matrix.OUT)),
    around(lanes, 2 * lanes),
    around(lanes, matrix.COLUMNS, 2 * matrix.COLUMNS, matrix.WIDE * lanes),
    st.booleans(),
    st.booleans(),
)
# More blocks than a band holds, and sums longer than a panel: with edges that aren't full.
BANDS = Case(matrix.OUT * matrix.BAND + 1, 3, matrix.COLUMNS + 1, turn_b=True)
DEEP = Case(matrix.OUT + 1, 2 * matrix.DEEP + 5, 7)
LARGE = [BANDS, DEEP, DEEP._replace(turn_a=True), DEEP._replace(turn_b=True)]


def arrays(case: Case) -> tuple[Any, Any, Any, Any]:
    """a, b, the bias, and the product by NumPy in float64."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((case.M, case.K)), rng.standard_normal((case.K, case.N))
    bias = rng.standard_normal(case.N)
    a, b, bias = (array.astype(np.float32) for array in (a, b, bias))
    expected = a.astype(np.float64) @ b + bias
    a = np.ascontiguousarray(a.T) if case.turn_a else a
    return a, np.ascontiguousarray(b.T) if case.turn_b else b, bias, expected


def check(case: Case, before: bool | None = None) -> None:
    a, b, bias, expected = arrays(case)
    out = np.full((case.M, case.N), np.nan, np.float32)
    if before is not None:
        out, a, b, bias = (guarded(array, before) for array in (out, a, b, bias))
    matrix.product(out, a, b, bias, turn_a=case.turn_a, turn_b=case.turn_b)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-6 * max(8, case.K))


@settings(max_examples=150 if COMPILED else 5)
@given(cases)
def test_any_size(case: Case) -> None:
    check(case)


@compiled_only
@pytest.mark.parametrize("case", LARGE, ids=str)
def test_several_bands_and_panels(case: Case) -> None:
    check(case)


def test_integers_are_exact() -> None:
    """Small whole numbers leave nothing to rounding: each product is counted once, and the bias once."""
    rng = np.random.default_rng(1)
    for M, K, N in ((1, 7, 20), (matrix.OUT + 1, 5, 40), (3, 3, 3)):
        a, b, bias = (rng.integers(-3, 4, s).astype(np.float32) for s in ((M, K), (K, N), (N,)))
        out = np.full((M, N), np.nan, np.float32)
        matrix.product(out, a, b, bias)
        np.testing.assert_array_equal(out, a @ b + bias)


@compiled_only
def test_bits_do_not_depend_on_the_number_of_threads() -> None:
    import numba

    most, found = numba.get_num_threads(), []
    x, w, b, dy = (
        np.random.default_rng(0).standard_normal(s).astype(np.float32)
        for s in ((50, 70), (90, 70), (90,), (50, 90))
    )
    try:
        for threads in sorted({1, min(2, most), most}):
            numba.set_num_threads(threads)
            with ops.use_backend("numba"):
                found.append([ops.linear(x, w, b), *ops.linear_backward(dy, x, w), ops.linear(x[:2], w, b)])
    finally:
        numba.set_num_threads(most)
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@compiled_only
@pytest.mark.parametrize("M", [2, matrix.OUT + 3])
@pytest.mark.parametrize("turn_b", [False, True])
def test_a_nan_reaches_its_row_and_column_and_no_others(M: int, turn_b: bool) -> None:
    a, b, bias, _ = arrays(Case(M, 20, 45, turn_b=turn_b))
    a[1, 3], (b.T if turn_b else b)[4, 40] = np.nan, np.inf
    out = np.empty((M, 45), np.float32)
    matrix.product(out, a, b, bias, turn_b=turn_b)
    seen = np.zeros(out.shape, bool)
    seen[1, :] = seen[:, 40] = True
    assert (np.isfinite(out) == ~seen).all()


def guarded_cases(before: bool) -> None:
    """Run by the test below in a process of its own, which dies of a read outside."""
    examples = settings(
        max_examples=100, derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate],
    )  # fmt: skip

    @examples
    @example(BANDS)
    @example(DEEP)
    @given(cases)
    def guard(case: Case) -> None:
        print(case, file=sys.stderr, flush=True)
        check(case, before)

    guard()
    print("whole")


@pytest.mark.slow
@compiled_only
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect as Linux has it")
@pytest.mark.parametrize("before", [True, False])
def test_nothing_is_read_or_written_outside(before: bool) -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    code = f"import test_matrix; test_matrix.guarded_cases({before})"
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert out.returncode == 0 and "whole" in out.stdout, f"{out.returncode}: {out.stderr[-2000:]}"
