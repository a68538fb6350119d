"""A longer search on CUDA: more of the op table's calls, in random orders of warps, and with fused multiply-adds."""

import ctypes
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from op_table import TABLE, Call, examples
from test_ops import assert_close, run, tolerance

from minisegnet import ops
from minisegnet.backends.cuda_on_cpu import build
from minisegnet.backends.cuda_on_cpu.module import planned
from minisegnet.backends.cupy import launch

reason = ops.why_not("cuda-on-cpu")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(reason is not None, reason=str(reason))]

DTYPES = ["float32", "float64"]


def has_fused() -> bool:
    facts = Path("/proc/cpuinfo")
    return platform.machine() == "x86_64" and facts.exists() and " fma " in facts.read_text(encoding="utf-8")


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the compiler make one instruction of a * b + c, rounded once, as NVIDIA's compiler does wherever it can."""
    if not has_fused():
        pytest.skip("this processor has no fused multiply-add")
    flags = tuple(flag for flag in build.FLAGS if not flag.startswith("-ffp-contract"))
    monkeypatch.setattr(build, "FLAGS", (*flags, "-O2", "-mfma", "-ffp-contract=fast"))
    launch._function.cache_clear()
    launch._module.cache_clear()
    yield
    launch._function.cache_clear()
    launch._module.cache_clear()


def search(op: str, dtype: str, count: int) -> None:
    seeds = iter(range(10**6))

    @settings(max_examples=examples(count))
    @given(TABLE[op].calls(np.dtype(dtype), False))
    def check(call: Call) -> None:
        expected_outputs, expected_gradients = run(call, "reference")
        with planned(order="random", seed=next(seeds)):
            outputs, gradients = run(call, "cuda-on-cpu")
        found, expected = (*outputs, *gradients), (*expected_outputs, *expected_gradients)
        for i, (a, b) in enumerate(zip(found, expected, strict=True)):
            assert_close(a, b, tolerance(np.dtype(dtype)), f"{op}, result {i}")

    check()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", sorted(TABLE))
def test_equals_the_reference_in_random_orders(op: str, dtype: str) -> None:
    search(op, dtype, 60)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", sorted(TABLE))
def test_equals_the_reference_with_fused_multiply_adds(op: str, dtype: str, fused: Any) -> None:
    search(op, dtype, 30)


def test_fused_multiply_adds_are_fused(fused: Any) -> None:
    """And those that are written out as separate are not: 1 + 2^-30 times itself, less its rounded square."""
    text = (
        '#define REAL double\n#include "words.h"\n'
        'extern "C" double difference(double x, double square) { return x * x - square; }\n'
        'extern "C" double apart(double x, double square) { return __dsub_rn(__dmul_rn(x, x), square); }\n'
    )
    library = build.library(text)
    x = 1 + 2.0**-30
    for name, expected in (("difference", 2.0**-60), ("apart", 0.0)):
        function = library[name]
        function.restype, function.argtypes = ctypes.c_double, (ctypes.c_double, ctypes.c_double)
        assert function(x, x * x) == expected
