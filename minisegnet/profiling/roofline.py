"""What this machine can do at best: operations a second in a matrix product, bytes a second in a copy.

The roofline (루프라인 모델): a layer that does I operations for each byte that it must move can't be faster than
min(peak, I x bandwidth) operations a second. Left of the ridge, where the two meet, memory is the limit, right of it
arithmetic.

S. Williams, A. Waterman and D. Patterson, "Roofline: an insightful visual performance model for multicore
architectures" (2009).
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

SIDE = 1024  # of the matrices
COPIED = 64 * 2**20  # bytes: more than caches hold
TRIES = 5


class Machine(NamedTuple):
    """Measured limits."""

    flops: float  # operations a second
    bandwidth: float  # bytes a second, read and written

    @property
    def ridge(self) -> float:
        """Operations for each byte at which memory and arithmetic limit alike."""
        return self.flops / self.bandwidth

    def attainable(self, intensity: float) -> float:
        """Most operations a second at so many operations for each byte.

        >>> Machine(flops=100.0, bandwidth=10.0).attainable(3.0)
        30.0
        """
        return min(self.flops, intensity * self.bandwidth)

    def shortest(self, flops: float, moved: float) -> float:
        """Seconds that so much work takes at least."""
        return max(flops / self.flops, moved / self.bandwidth)


def measure_machine(dtype: str = "float32", *, side: int = SIDE, copied: int = COPIED) -> Machine:
    """Measure the best of some matrix products, and of some copies on all cores."""
    generator = np.random.default_rng(0)
    a, b = (generator.random((side, side)).astype(dtype) for _ in range(2))
    product = _shortest(lambda: np.matmul(a, b))
    source, target = np.ones(copied, np.uint8), np.empty(copied, np.uint8)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cuts = np.linspace(0, copied, cores + 1).astype(int)
    with ThreadPoolExecutor(cores) as pool:

        def copy_piece(k: int) -> None:
            np.copyto(target[cuts[k] : cuts[k + 1]], source[cuts[k] : cuts[k + 1]])

        seconds = _shortest(lambda: list(pool.map(copy_piece, range(cores))))
    return Machine(2 * side**3 / product, 2 * copied / seconds)


def _shortest(run: Callable[[], object]) -> float:
    """Return the shortest time of some runs after a first."""
    run()
    times = []
    for _ in range(TRIES):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return max(min(times), 1e-9)
