"""How Python functions become compiled kernels here, and how they are started safely.

Three decorators. ``parallel_kernel`` compiles a function whose outer loop is a ``prange``: its iterations
run on all cores. ``helper`` compiles a small function that kernels call, ``exact`` one whose last bit matters.
All keep the compiled code on disk, so that the second start of a program compiles nothing, and let other
Python threads run meanwhile (``nogil``).

Of the compiler's liberties with floating point we take only two. ``contract`` may turn ``a * b + c`` into one
fused instruction. ``reassoc`` may sum in another order, which is what lets a sum run in vector registers;
a kernel asks for it by ``parallel_kernel(reassociate=True)``. Both leave NaN and infinity alone. (The
full ``fastmath=True`` would make ``isnan`` always false.)
"""

import os
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

import numba
import numpy as np
from numba import config, njit

from minisegnet.arrays import Array

# Between two kernels the threads of OpenMP wait. To wake one that sleeps takes 40 to 90 millionths of a second here,
# and a training step starts hundreds of kernels; one that spins (asks again and again whether there is work) starts at
# once. But a spinning thread keeps a core from other programs: by default it would go on for some 8 ms. So it spins for
# about a tenth of a millisecond, as long as most pauses between two kernels are, and then sleeps.
# (A step of U-Net with one picture: 42 ms instead of 59; two programs that share both cores: 35% slower than with 0.)
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "5000")

SAFE_LAYERS = ("tbb", "omp")  # these let several Python threads start parallel kernels at once

_one_at_a_time = threading.Lock()
_layer_is_safe = False

OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",  # a division by zero gives inf or NaN as in NumPy, and loops can be vectorised
}


def helper(function: Callable[..., Any]) -> Any:
    """Compile a small function that kernels call."""
    return njit(fastmath={"contract"}, **OPTIONS)(function)


def exact(function: Callable[..., Any]) -> Any:
    """Compile a small function without fused multiply-adds, because they round differently.

    It shows where a comparison or a rounding down turns the last bit into a yes or a no, or into another pixel.
    """
    return njit(**OPTIONS)(function)


def parallel_kernel(function: Callable[..., Any] | None = None, *, reassociate: bool = False) -> Any:
    """Compile a kernel whose ``prange`` loop uses all cores, and guard its start.

    Numba's ``workqueue`` layer kills the process when two Python threads start parallel kernels at the
    same time. Which layer is in use is known only after the first start, so that starts take turns until
    the layer has shown itself to be one of the safe ones.
    """
    if function is None:
        return lambda f: parallel_kernel(f, reassociate=reassociate)
    if config.DISABLE_JIT:
        # Plain Python: nothing runs in parallel, and NaN and infinity are no news, as when compiled.
        return np.errstate(all="ignore")(function)
    liberties = {"contract", "reassoc"} if reassociate else {"contract"}
    compiled = njit(parallel=True, fastmath=liberties, **OPTIONS)(function)

    @wraps(function)
    def start(*args: Any) -> Any:
        global _layer_is_safe
        for argument in args:
            if isinstance(argument, np.ndarray) and not argument.flags.writeable:
                args = tuple(map(_as_writable, args))
                break
        if _layer_is_safe:
            return compiled(*args)
        with _one_at_a_time:
            result = compiled(*args)
            _layer_is_safe = numba.threading_layer() in SAFE_LAYERS
            return result

    start.compiled = compiled  # type: ignore[attr-defined]
    return start


def takes_vectors(dtype: Any) -> bool:
    """Whether arrays of this dtype go to the texts in vector registers (``fast/``): float32, unless MINISEGNET_PLAIN=1.

    The switch is for who wants to compare: with it float32 takes the same plain loops as float64.
    """
    return dtype == np.float32 and os.environ.get("MINISEGNET_PLAIN", "") != "1"


class _Writable:
    """Describes an array's memory as writable (and keeps the array alive)."""

    def __init__(self, array: Array) -> None:
        self.owner = array
        memory = array.__array_interface__
        self.__array_interface__ = {**memory, "data": (memory["data"][0], False)}


def _as_writable(argument: Any) -> Any:
    """Hand a read-only array to a kernel under the type of a writable one.

    Numba would compile every kernel a second time for read-only arrays. Kernels never write to their
    inputs (tests check it, and run once without compilation, where a write would raise).
    """
    if isinstance(argument, np.ndarray) and not argument.flags.writeable:
        return np.asarray(_Writable(argument))
    return argument
