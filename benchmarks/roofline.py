"""What this machine can do at best: multiply-adds in vector registers, and bytes in a copy, on all threads.

``minisegnet.profiling.roofline`` explains the roofline, and measures its peak by NumPy's matrix product: what a
library reaches. The peak here is the processor's own. A loop multiplies and adds in registers and touches no memory
at all, so that no kernel can be faster.
"""

import importlib.util
import mmap
import os
import time
from typing import Any

import numpy as np

from minisegnet.profiling.roofline import Machine, measure_machine

__all__ = ["Machine", "first_touch", "measure", "wake_up"]

ROUNDS = 100_000  # a few thousandths of a second
TRIES = 50
PAGE = 4096


def measure(dtype: str, threads: int) -> Machine:
    """Measure both limits; without Numba, and for float64, the peak is that of the matrix product."""
    limits = measure_machine(dtype)
    if dtype != "float32" or not _compiles():
        return limits
    return Machine(flops=peak(threads), bandwidth=limits.bandwidth)


def first_touch(size: int = 2**26) -> float:
    """Return how many seconds longer a page of memory takes when it is touched for the first time."""
    memory = np.frombuffer(mmap.mmap(-1, size), np.uint8)
    first = _seconds(memory.fill, 1)
    again = min(_seconds(memory.fill, 2) for _ in range(3))
    return max(first - again, 0.0) / (size // PAGE)


def wake_up(threads: int, tries: int = 100, pause: float = 2e-3) -> float | None:
    """Return how many seconds longer a kernel of no work takes when its threads have fallen asleep.

    None without Numba, or with one thread: then nobody is woken.
    """
    if threads < 2 or not _compiles():
        return None
    from benchmarks import peak_kernel

    results = np.zeros((threads, peak_kernel.CHAINS, peak_kernel.LANES), np.float32)
    arguments = peak_kernel.multiply_and_add, results, np.array([0.999, 0.001], np.float32), 1
    _seconds(*arguments)  # compiles
    asleep, awake = [], []
    for _ in range(tries):
        until = time.perf_counter() + pause
        while time.perf_counter() < until:  # this thread stays awake
            pass
        asleep.append(_seconds(*arguments))
        awake.append(_seconds(*arguments))
    return max(float(np.median(asleep) - np.median(awake)), 0.0)


def _compiles() -> bool:
    """Whether Numba is there, and turned on."""
    return importlib.util.find_spec("numba") is not None and os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"


def peak(threads: int, rounds: int = ROUNDS) -> float:
    """Return float32 operations a second, the best of some tries."""
    from benchmarks import peak_kernel

    results = np.zeros((threads, peak_kernel.CHAINS, peak_kernel.LANES), np.float32)
    factors = np.array([0.999, 0.001], np.float32)
    best = _seconds(peak_kernel.multiply_and_add, results, factors, rounds)  # compiles
    for _ in range(TRIES):
        best = min(best, _seconds(peak_kernel.multiply_and_add, results, factors, rounds))
    if not np.allclose(results, 1.0, atol=0.01):  # where 0.999 v + 0.001 stays as it is
        raise RuntimeError("the loop that measures the peak has not computed what it should")
    return 2 * results.size * rounds / best


def _seconds(function: Any, *arguments: Any) -> float:
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began
