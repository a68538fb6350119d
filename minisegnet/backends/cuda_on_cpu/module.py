"""A CUDA source as a module of functions that run on the CPU, with the shape of ``cupy.RawModule``.

>>> from minisegnet.backends.cupy import manifest
>>> code = 'extern "C" __global__ void double_it(float* x) { x[threadIdx.x] *= 2; }'
>>> module = Module("example", code, manifest.kernels_in(code), "float")
>>> x = np.array([1, 2, 3], np.float32)
>>> module.get_function("double_it")((1, 1, 1), (3, 1, 1), (x,))
>>> x
array([2., 4., 6.], dtype=float32)
"""

import ctypes
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minisegnet.backends.cupy.manifest import Parameter

from .build import library

ORDERS = {"round robin": 0, "last first": 1, "random": 2}  # `Order` in fibers.h
MESSAGE_SIZE = 1024

_one_at_a_time = threading.Lock()  # the scheduler in fibers.h has one set of threads


@dataclass(frozen=True)
class Plan:
    """In which order warps run, and which of the grid's blocks.

    ``count`` 0 means all from the first on; ``first`` -3 means the last three of each grid.
    """

    order: str = "round robin"
    seed: int = 0
    first: int = 0
    count: int = 0


_plan = Plan()


@contextmanager
def planned(**changes: Any) -> Iterator[None]:
    """Run kernels in another order, or only some of their blocks, inside the block (in all Python threads).

    >>> with planned(order="random", seed=3):
    ...     pass
    """
    global _plan
    before = _plan
    _plan = replace(before, **changes)
    try:
        yield
    finally:
        _plan = before


class _Size(ctypes.Structure):
    _fields_ = (("x", ctypes.c_uint), ("y", ctypes.c_uint), ("z", ctypes.c_uint))


class _Launch(ctypes.Structure):  # `Launch` in fibers.h
    _fields_ = (
        ("grid", _Size),
        ("block", _Size),
        ("shared", ctypes.c_uint64),
        ("first", ctypes.c_uint64),
        ("count", ctypes.c_uint64),
        ("seed", ctypes.c_uint64),
        ("order", ctypes.c_int),
        ("message", ctypes.c_char_p),
        ("message_size", ctypes.c_uint64),
    )


class Module:
    """The kernels of one text, compiled for the CPU.

    Parameters
    ----------
    name
        What messages call it.
    code
        CUDA C.
    kernels
        The kernels in it, with their parameters.
    real
        The type that ``real`` stands for, ``float`` or ``double``.
    """

    def __init__(self, name: str, code: str, kernels: Mapping[str, Sequence[Parameter]], real: str) -> None:
        self.name, self.code, self.kernels, self.real = name, code, kernels, real
        self.library = library(program(code, kernels, real))

    def get_function(self, kernel: str) -> Callable[..., None]:
        """Return a function ``(grid, block, arguments, shared_mem=0)`` that runs the kernel."""
        start = self.library[f"run_{kernel}"]

        def run(
            grid: tuple[int, int, int],
            block: tuple[int, int, int],
            arguments: Sequence[Any],
            shared_mem: int = 0,
        ) -> None:
            message = ctypes.create_string_buffer(MESSAGE_SIZE)
            launch = _launch(grid, block, shared_mem, message)
            boxes = [_boxed(a) for a in arguments]
            places = (ctypes.c_void_p * len(boxes))(*(ctypes.addressof(box) for box in boxes))
            with _one_at_a_time:
                failed = start(ctypes.byref(launch), places)
            if failed:
                raise RuntimeError(f"the kernel {kernel} is wrong: {message.value.decode(errors='replace')}")

        return run


def program(code: str, kernels: Mapping[str, Sequence[Parameter]], real: str) -> str:
    """Make a C++ program of CUDA C: the words before it, and behind it a function for each kernel that Python can call.

    All of it stands in a namespace without a name, so that two libraries can't take each other's functions.
    """
    lines = [f"#define REAL {real}", '#include "words.h"', "namespace {", code, f'#line 1 "{__name__}"']
    for kernel, parameters in kernels.items():
        values = ", ".join(f"*({_type(p)}*)a[{i}]" for i, p in enumerate(parameters))
        lines.append(f"void call_{kernel}(void** a) {{ {kernel}({values}); }}")
    lines.append("}")
    for kernel in kernels:
        lines.append(
            f'extern "C" int run_{kernel}(const fibers::Launch* launch, void** a) '
            f"{{ return fibers::run(*launch, call_{kernel}, a); }}"
        )
    return "\n".join(lines) + "\n"


def _type(parameter: Parameter) -> str:
    return f"{'const ' * parameter.const}{parameter.type}{'*' * parameter.pointer}"


def _launch(grid: Any, block: Any, shared: int, message: Any) -> _Launch:
    threads = block[0] * block[1] * block[2]
    if not 1 <= threads <= 1024 or block[2] > 64:
        raise ValueError(f"a block has 1 to 1024 threads, at most 64 of them along z; got {block}")
    if not (1 <= grid[0] < 2**31 and 1 <= grid[1] < 2**16 and 1 <= grid[2] < 2**16):
        raise ValueError(
            f"a grid has at most 2^31 - 1 blocks along x and 65535 along y and z, and at least 1; got {grid}"
        )
    if shared > 232_448:  # what a block can have on sm_90; sm_80: 166 912
        raise ValueError(f"{shared} bytes of dynamic shared memory are more than any GPU has")
    plan, all_blocks = _plan, grid[0] * grid[1] * grid[2]
    return _Launch(
        _Size(*grid),
        _Size(*block),
        shared,
        plan.first if plan.first >= 0 else max(0, all_blocks + plan.first),
        plan.count,
        plan.seed,
        ORDERS[plan.order],
        ctypes.cast(message, ctypes.c_char_p),
        MESSAGE_SIZE,
    )


def _boxed(argument: Any) -> Any:
    """Put an argument where its bytes can be read: an array's address, a number itself."""
    if isinstance(argument, np.ndarray):
        return ctypes.c_void_p(argument.__array_interface__["data"][0])
    return (ctypes.c_char * argument.nbytes).from_buffer_copy(argument.tobytes())
