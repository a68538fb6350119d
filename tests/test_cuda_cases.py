"""The larger calls of cuda_cases.py: CUDA's results are right, and the same bits in whatever order warps run.

Two orders that differ in a bit mean that one thread's result depends on whether another was there before it: a race.
On a GPU it would show now and then; here it shows always.
"""

from typing import Any

import numpy as np
import pytest
from cuda_cases import OF_NO_OP, all_cases, prefer_large_tiles
from op_table import TABLE, Call
from test_ops import assert_close, run, tolerance

from minisegnet import ops
from minisegnet.backends.cuda_on_cpu.module import planned
from minisegnet.backends.cupy import conv, launch, manifest

reason = ops.why_not("cuda-on-cpu")
pytestmark = pytest.mark.skipif(reason is not None, reason=str(reason))

CASES = {dtype: all_cases(dtype) for dtype in ("float32", "float64")}
ORDERS: list[dict[str, Any]] = [
    {"order": "round robin"},
    {"order": "last first"},
    {"order": "random", "seed": 1},
]


@pytest.fixture(autouse=True)
def _large_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv, "enough", conv.enough)  # to be put back
    prefer_large_tiles()


def results(call: Call) -> list[Any]:
    outputs, gradients = run(call, "cuda-on-cpu")
    return [*outputs, *gradients]


def check(name: str, dtype: str) -> None:
    call = CASES[dtype][name]
    outputs, gradients = run(call, "numpy")
    first = None
    for order in ORDERS:
        with planned(**order):
            found = results(call)
        if first is None:
            first = found
            for i, (actual, expected) in enumerate(zip(found, (*outputs, *gradients), strict=True)):
                assert_close(actual, expected, tolerance(np.dtype(dtype)), f"{name}, result {i}")
        for i, (a, b) in enumerate(zip(first, found, strict=True)):
            same = a is b if a is None else a.tobytes() == b.tobytes()
            assert same, f"{name}, result {i}: other bits when warps run in the order {order}"


def test_every_op_has_a_case() -> None:
    assert {call.op for call in CASES["float32"].values()} == set(TABLE)


@pytest.mark.parametrize("name", CASES["float32"])
def test_right_and_the_same_bits_in_every_order(name: str) -> None:
    check(name, "float32")


def test_every_kernel_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """All kernels that there are, and those that only special sizes need, too."""
    started, find = set(), launch._function

    def noting(source: str, kernel: str, *rest: Any) -> Any:
        started.add((source, kernel))
        return find(source, kernel, *rest)

    monkeypatch.setattr(launch, "_function", noting)
    for call in CASES["float32"].values():
        results(call)
    there = {(s, kernel) for s in manifest.sources() if s not in OF_NO_OP for kernel in manifest.kernels(s)}
    assert there - started == set(), "kernels that no case runs"


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES["float64"])
def test_float64_too(name: str) -> None:
    check(name, "float64")


@pytest.mark.parametrize("op", sorted(TABLE))
def test_few_blocks_do_all_the_work(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer blocks than elements ask for, each thread goes round more often."""
    name = next(n for n in reversed(CASES["float32"]) if n.startswith(f"{op}: "))
    expected = results(CASES["float32"][name])
    monkeypatch.setattr(launch, "MOST_BLOCKS", 2)
    for a, b in zip(results(CASES["float32"][name]), expected, strict=True):
        assert (a is b) if a is None else a.tobytes() == b.tobytes()
