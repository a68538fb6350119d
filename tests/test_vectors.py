"""Each word for vectors means the same compiled and in plain Python, and the compiler keeps blocks in registers."""

import os
import re
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

from minisegnet.backends.numba.fast import vectors  # noqa: E402
from minisegnet.backends.numba.fast.vectors import (  # noqa: E402
    LANES,
    deinterleave,
    interleave,
    load,
    load_first,
    load_within,
    maximum,
    power_of_two,
    registers,
    split,
    spread,
    store,
    store_first,
    total,
    where,
)

ROOT = Path(__file__).parent.parent
JIT = os.environ.get("NUMBA_DISABLE_JIT") != "1"


def every_word(a: Any, b: Any, out: Any, edges: Any, within: Any) -> Any:
    """Writes what each word makes of a (3, 2 * LANES) and of small integers b into rows of ``out``."""
    u, v, w = load(a, 0, 1), load(a, 1, 0), load(b, 2, 1)
    store(u + v * 2 - spread(a, 0, 3), out, 0, 0)
    store(maximum(u, 0) - 3.0 * v, out, 1, 0)
    store(where(w == 2, u, where(u > v, v, 0.5)), out, 2, 0)
    first, second = interleave(u, v)
    store(first, out, 3, 0)
    store(second, out, 4, 0)
    first, second = deinterleave(u, v)
    store(first, out, 5, 0)
    store(second, out, 6, 0)
    block = registers(2, 3)
    for i in range(2):
        for j in range(3):
            block[i, j] += u * (3 * i + j)
    block[1, 2] -= v
    block[0, 1] *= u
    store(block[1, 2] + block[0, 1], out, 7, 0)
    store(where(u <= v, u / (v * v + 1), 1 / (u * u + 1)), out, 8, 0)
    store(power_of_two(w * 40 - 126 + 2 * w), out, 9, 0)
    first, second = split(power_of_two(w * 70 - 120) * (u * u + 0.1))
    store(first, out, 10, 0)
    store(second, out, 11, 0)
    store(where((v != v) | (u > 0), 1, 0), out, 12, 0)
    for i in range(-1, LANES + 2):
        store_first(i, load_first(i, a, 0, 0), edges, i + 1, 0)
        store_first(i, load_first(i, b, 1, 0), edges, i + 1, LANES)
    for i in range(-LANES - 1, 2 * LANES + 2):
        store(load_within(a[0], i), within, i + LANES + 1, 0)
    return total(u)


def inputs() -> tuple[Any, Any, Any, Any, Any]:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((3, 2 * LANES)).astype(np.float32)
    a[1, 2] = np.nan
    b = rng.integers(0, 4, (3, 2 * LANES)).astype(np.uint8)
    out, edges = np.full((13, LANES), 7, np.float32), np.full((LANES + 3, 2 * LANES), 7, np.float32)
    return a, b, out, edges, np.full((3 * LANES + 3, LANES), 7, np.float32)


@pytest.mark.skipif(not JIT, reason="there is nothing to compare with: compilation is off")
def test_compiled_words_mean_what_the_plain_ones_do() -> None:
    from numba import njit

    a, b, out, edges, within = inputs()
    plain_out, plain_edges, plain_within = out.copy(), edges.copy(), within.copy()
    plain_total = every_word(a, b, plain_out, plain_edges, plain_within)
    compiled_total = njit(every_word)(a, b, out, edges, within)
    np.testing.assert_allclose(out, plain_out, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(edges, plain_edges)
    np.testing.assert_array_equal(within, plain_within)
    np.testing.assert_allclose(compiled_total, plain_total, rtol=1e-5)


def test_the_plain_words_by_numpy() -> None:
    a, b, out, edges, within = inputs()
    every_word(a, b, out, edges, within)
    padded = np.pad(a[0], 2 * LANES + 2)
    for i in range(-LANES - 1, 2 * LANES + 2):
        start = 2 * LANES + 2 + i
        np.testing.assert_array_equal(within[i + LANES + 1], padded[start : start + LANES])
    u, v, w = a[0, 1 : LANES + 1], a[1, :LANES], b[2, 1 : LANES + 1]
    np.testing.assert_allclose(out[0], u + v * 2 - a[0, 3], rtol=1e-6)
    np.testing.assert_allclose(out[1], np.maximum(u, 0) - 3 * v, rtol=1e-6)
    np.testing.assert_array_equal(out[2], np.where(w == 2, u, np.where(u > v, v, np.float32(0.5))))
    np.testing.assert_array_equal(out[3:5].ravel()[0::2], u)
    np.testing.assert_array_equal(out[3:5].ravel()[1::2], v)
    np.testing.assert_array_equal(out[5:7], np.stack([np.concatenate([u, v])[i::2] for i in (0, 1)]))
    quotients = np.where(u <= v, u / (v * v + 1), 1 / (u * u + 1))
    np.testing.assert_allclose(out[8], quotients, rtol=1e-6)
    np.testing.assert_array_equal(out[9], np.float32(2.0) ** (42.0 * w - 126))
    whole = np.float32(2.0) ** (70.0 * w - 120) * (u * u + np.float32(0.1))
    assert (np.sqrt(0.5) <= out[10]).all() and (out[10] < np.sqrt(2)).all()
    np.testing.assert_allclose(out[10].astype(np.float64) * 2.0 ** out[11], whole, rtol=1e-6)
    np.testing.assert_array_equal(out[12], np.isnan(v) | (u > 0))
    for i in range(-1, LANES + 2):
        n = min(max(i, 0), LANES)
        np.testing.assert_array_equal(edges[i + 1, :n], a[0, :n])
        np.testing.assert_array_equal(edges[i + 1, LANES : LANES + n], b[1, :n])
        assert (edges[i + 1, n:LANES] == 7).all() and (edges[i + 1, LANES + n :] == 7).all()


@pytest.mark.parametrize("word", [load, lambda a, *i: store(np.zeros(LANES, np.float32), a, *i)])
def test_plain_loads_and_stores_stay_inside(word: Any) -> None:
    a = np.zeros((2, LANES + 1), np.float32)
    word(a, 1, 1)
    with pytest.raises(AssertionError, match="past the end"):
        word(a, 1, 2)
    with pytest.raises(AssertionError, match="begins before"):
        word(a, 1, -1)


@pytest.mark.skipif(not JIT, reason="compilation is off")
def test_a_block_whose_size_is_not_constant_is_refused() -> None:
    from numba import njit
    from numba.core.errors import TypingError

    with pytest.raises(TypingError, match="constants of the source"):
        njit(lambda n: registers(n)[0])(3)


COUNT = """
import re, sys
import numpy as np
from minisegnet.backends.numba.fast import direct, pointwise
f = np.float32
{call}
assembly = max({kernel}.inspect_asm().values(), key=len)
blocks = [b for b in re.split(r"\\n(?=\\.LBB)", assembly)]
inner = max(blocks, key=lambda b: len(re.findall(r"vfmadd", b)))
spills = len(re.findall(r"[xyz]mm\\d+, \\d*\\(%rsp\\)|\\(%rsp\\), %[xyz]mm", inner))
print(len(re.findall(r"vfmadd", inner)), spills)
"""
CALLS = {
    "direct.sum_block": "direct.sum_block(np.zeros((direct.OUT, 99), f), np.zeros(999, f), 0, np.arange(9),"
    " np.zeros((9, direct.OUT), f), np.zeros(direct.OUT, f))",
    "direct.gradient_block": "direct.gradient_block(np.zeros((36, 64), f), np.zeros(999, f), np.zeros((9, 64), f), 9,"
    " np.arange(36), 0, 0)",
    "direct.few_block": "direct.few_block(np.zeros((36, 8, direct.LANES), f), np.zeros(999, f),"
    " np.zeros((8, 99), f), 9, np.arange(36), 0, 0)",
    "pointwise.products_block": "pointwise.products_block(np.zeros((1, 8, 99), f), 0, 0, 0,"
    " np.zeros((1, 9999), f), 0, 0, np.zeros((1, 9, direct.OUT), f), 0, np.zeros(8, f), f(0))",
}


@pytest.mark.slow
@pytest.mark.skipif(vectors.LANES < 8, reason="this processor has no fused multiply-add to look for")
@pytest.mark.parametrize("kernel", CALLS)
def test_the_inner_loop_is_in_registers(kernel: str, tmp_path: Path) -> None:
    """All products of a block stand in one straight piece of machine code, and nothing goes to the stack."""
    code = COUNT.format(call=CALLS[kernel], kernel=kernel)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path)}
    out = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
    )
    assert out.returncode == 0, out.stderr[-2000:]
    found, spills = map(int, out.stdout.split())
    from minisegnet.backends.numba.fast import direct

    expected = {
        "direct.sum_block": direct.OUT * direct.ACROSS,
        "direct.gradient_block": direct.TAPS * direct.ALONG,
        "direct.few_block": direct.FEW_TAPS * direct.FEW_FILTERS,
        "pointwise.products_block": direct.OUT * direct.ACROSS,
    }[kernel]
    assert found >= expected and found % expected == 0, (found, expected)
    assert spills == 0


def test_the_width_is_one_of_three() -> None:
    assert LANES in (4, 8, 16)
    assert re.fullmatch(r"vector(4|8|16)", vectors.Vector().name)
