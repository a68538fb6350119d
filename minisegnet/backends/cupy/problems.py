"""What kernels find wrong with labels and indices, and how it becomes an error.

On the CPU such values are checked before a kernel runs. On a GPU that would mean to wait for it before each op. So a
kernel that meets a bad value stays in bounds and writes a number, that of the kind of problem, into a flag; each kernel
has a flag of its own. The flags are read where the host waits for the device anyway: when an array is copied to NumPy,
and when a training tells its losses.
"""

import importlib
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from minisegnet.arrays import Array

MOST = 64  # kernels with a flag, on one device

KINDS = {  # the numbers are those in prelude.cu
    1: "a label outside the classes; if it marks pixels that don't count, pass it as ignore_index (often 255)",
    2: "an index outside the plane; expected those that max pooling gave for maps of this size",
    3: "a region (RoI) whose batch index is no whole number from 0 to the number of pictures - 1",
    4: "a region (RoI) with a corner that is NaN, infinite or beyond 2**31; expected pixel coordinates",
    5: "a region (RoI) with x2 < x1 or y2 < y1; with aligned=True corners must be in order",
    6: "a target outside 0..1; expected probabilities (masks with 0 and 255 need dividing by 255)",
    7: "a weight that is negative, NaN or infinite; expected finite weights of at least 0",
    8: "a box or a score that is NaN or infinite; expected finite numbers",
    9: "a running variance below 0; expected variances of at least 0",
}


class Asked(NamedTuple):
    """Stands for a kernel's flag among its arguments, until ``launch`` knows which kernel it is."""

    device: int


class _Flags:
    """The flags of one device."""

    def __init__(self, device: int) -> None:
        cupy: Any = importlib.import_module("cupy")
        with cupy.cuda.Device(device):
            self.array: Array = cupy.zeros(MOST, np.int32)
        self.kernels: list[str] = []

    def of(self, kernel: str) -> Array:
        if kernel not in self.kernels:
            self.kernels.append(kernel)
        number = self.kernels.index(kernel)
        return self.array[number : number + 1]


_devices: dict[int, _Flags] = {}


def all_flags(device: int) -> Array:
    """Return the flags of all kernels on a device: 0 where nothing was found."""
    if device not in _devices:
        _devices[device] = _Flags(device)
    return _devices[device].array


@cache
def flag(device: int, kernel: str) -> Array:
    """Return the flag of a kernel: one int32 on the device."""
    all_flags(device)
    return _devices[device].of(kernel)


def found() -> dict[str, str]:
    """Read and clear all flags: what was found, for each kernel that found something. This waits for the device."""
    told = {}
    for flags in _devices.values():
        if not flags.kernels:
            continue
        codes = flags.array.get()  # type: ignore[attr-defined]
        if codes.any():
            flags.array.fill(0)
        told |= {kernel: KINDS[int(code)] for kernel, code in zip(flags.kernels, codes, strict=False) if code}
    return told


def raise_found() -> None:
    """Raise a ValueError if a kernel has found something wrong since the last time. This waits for the device."""
    told = found()
    if told:
        raise ValueError(
            "; ".join(f"{_op_of(kernel)}: on the GPU it met {kind}" for kernel, kind in told.items())
        )


def _op_of(kernel: str) -> str:
    """Name the op whose kernel this is: ``max_pool2d_backward_gather`` is one of ``max_pool2d_backward``."""
    from minisegnet import ops

    return max((op for op in ops.__all__ if kernel.startswith(op)), key=len, default=kernel)
