"""How fast the device copies and multiplies: what kernels are held against. And how its time is taken."""

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

ROUNDS = 5
LEAST = 2e-3  # seconds that a measurement lasts: shorter calls are repeated


def cupy() -> Any:
    """Return CuPy."""
    import cupy

    return cupy


def finish() -> None:
    """Wait until the device has done all its work, whoever gave it."""
    cupy().cuda.Device().synchronize()


def seconds_of(run: Callable[[], Any], *, rounds: int = ROUNDS, done: Callable[[], Any] = finish) -> float:
    """Return the median time of a call, with the device's work in it.

    Parameters
    ----------
    run
        The call. The first ones get it warm and show how often it must be repeated to be measured.
    rounds
        How many measurements.
    done
        Waits for the device.
    """
    run()
    done()
    calls = max(round(LEAST / max(_seconds(run, 1, done), 1e-9)), 1)
    return median(_seconds(run, min(calls, 1000), done) for _ in range(rounds))


def _seconds(run: Callable[[], Any], calls: int, done: Callable[[], Any]) -> float:
    began = perf_counter()
    for _ in range(calls):
        run()
    done()
    return (perf_counter() - began) / calls


def measure(numbers: int, side: int) -> dict[str, float]:
    """Measure a copy of so many float32 numbers, in bytes a second (read and written), and a matrix product."""
    xp = cupy()
    x = xp.ones(numbers, np.float32)
    y = xp.zeros(numbers, np.float32)

    def copy() -> None:
        y[...] = x

    a = xp.ones((side, side), np.float32)
    return {
        "copy_bytes_per_s": 2 * x.nbytes / seconds_of(copy),
        "matrix_flops_per_s": 2 * side**3 / seconds_of(lambda: xp.matmul(a, a)),
    }


def device() -> dict[str, Any]:
    """Name the device and the versions that it runs with."""
    runtime = cupy().cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    return {
        "name": properties["name"].decode(),
        "compute_capability": f"{properties['major']}.{properties['minor']}",
        "multiprocessors": properties["multiProcessorCount"],
        "memory_bytes": properties["totalGlobalMem"],
        "runtime": runtime.runtimeGetVersion(),
        "driver": runtime.driverGetVersion(),
        "cupy": cupy().__version__,
    }
