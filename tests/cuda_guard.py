"""Run CUDA kernels on arrays that end (or begin) at a page of memory which nobody may touch. Run by test_cuda_guard.py.

    ... | a page  [the array] | no access |        a read behind the end: the system ends the process
    | no access | [the array] ...                  a read before the beginning: the same

For each launch every array is copied between such pages, and copied back afterwards. A process that is ended says so
by its signal, and the last line that it printed names the kernel and the case.
"""

import faulthandler
import sys
from collections.abc import Callable
from typing import Any

import guard_pages
import numpy as np
from cuda_cases import all_cases, prefer_large_tiles
from test_ops import run

from minisegnet.backends.cupy import launch


class Between:
    """A copy of an array's memory right before, or right behind, a page without access."""

    def __init__(self, array: Any, side: str) -> None:
        self.array = guard_pages.guarded(array, before=side == "before")
        self.original = array

    def back(self) -> None:
        if self.original.flags.writeable:
            self.original[...] = self.array


def guarded(function: Callable[..., None], side: str, kernel: str) -> Callable[..., None]:
    """Wrap a kernel so that its arrays lie between such pages."""

    def start(grid: Any, block: Any, arguments: Any, shared_mem: int = 0) -> None:
        print(f"  {kernel}", flush=True)
        copies = {id(a): Between(a, side) for a in arguments if isinstance(a, np.ndarray) and a.size}
        placed = tuple(copies[id(a)].array if id(a) in copies else a for a in arguments)
        function(grid, block, placed, shared_mem=shared_mem)
        for copy in copies.values():
            copy.back()

    return start


def guard_all(side: str) -> None:
    """Have every launch from now on use guarded arrays; ``side`` is ``"before"`` or ``"behind"``."""
    find = launch._function
    launch._function = lambda source, kernel, *rest: guarded(  # type: ignore[assignment]
        find(source, kernel, *rest), side, f"{kernel} in {source}.cu"
    )


def main(side: str, part: str) -> None:
    """Run all cases, or those of some ops."""
    faulthandler.enable()
    guard_all(side)
    prefer_large_tiles()
    for name, call in all_cases("float32").items():
        if part in ("all", call.op):
            print(name, flush=True)
            run(call, "cuda-on-cpu")
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
