"""The device that isn't there: where the host waits, what is recorded, and from which pool memory comes."""

import threading
import traceback
import weakref
from pathlib import Path

import numpy as np

WATCHED = "minisegnet"  # the stack of a wait is told from the package's own files

waits = []  # one Wait for each time that the host waited for the device
launches = []  # the name of each kernel that was started, or recorded
local = threading.local()


class CUDARuntimeError(RuntimeError):
    """What CuPy raises where CUDA refuses."""


class Wait:
    """The host waited for the device."""

    def __init__(self, kind):
        self.kind = kind
        frames = traceback.extract_stack()[:-2]
        ours = [f for f in frames if WATCHED in Path(f.filename).parts]
        self.stack = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in ours]

    def __repr__(self):
        return f"{self.kind} in {' < '.join(reversed(self.stack[-4:])) or 'the test itself'}"


def wait(kind):
    """Note that the host waits; where a graph is recorded that is an error, as in CUDA."""
    if recording() is not None:
        raise CUDARuntimeError(f"{kind}: the host can't wait while a stream is captured")
    waits.append(Wait(kind))


def refuse_while_recording(what):
    """Raise for something whose host memory a graph would keep the address of."""
    if recording() is not None:
        raise CUDARuntimeError(f"{what} while a stream is captured: the graph would read memory that is gone")


# ---------------------------------------------------------------------------------------------------------
# Memory


class Memory:
    """One allocation. Views share it; it is gone when the last of them is."""

    def __init__(self, nbytes):
        self.nbytes, self.pool = nbytes, weakref.ref(pool())


class MemoryPool:
    """Where allocations come from: only who asked is kept, so that a graph can tell whether its memory is still its."""

    def malloc(self, size):
        return Memory(size)

    def free_all_blocks(self):
        pass

    def used_bytes(self):
        return 0

    def total_bytes(self):
        return 0


default_pool = MemoryPool()


def pool():
    return getattr(local, "pool", None) or default_pool


class using_allocator:
    """Let allocations in this thread come from a pool (``pool.malloc``) inside the block."""

    def __init__(self, allocator):
        self.pool = allocator.__self__

    def __enter__(self):
        self.before, local.pool = getattr(local, "pool", None), self.pool

    def __exit__(self, *_):
        local.pool = self.before


def poison(array):
    """Fill with what no right result has."""
    if array.dtype.kind == "f":
        array.fill(np.nan)
    elif array.dtype.kind in "iu":
        array.fill(np.iinfo(array.dtype).max // 3)
    return array


# ---------------------------------------------------------------------------------------------------------
# Work


class Recording:
    """What a captured stream was given: pieces of work, and the memory that they use."""

    def __init__(self):
        self.work, self.memories = [], {}

    def add(self, function, memories):
        self.work.append(function)
        for memory in memories:
            self.memories[id(memory)] = (weakref.ref(memory), memory.pool)


def recording():
    """The recording of the current stream, or None."""
    return stream().recording


def stream():
    return getattr(local, "stream", None) or null_stream()


def null_stream():
    from . import cuda

    return cuda.Stream.null


def run(function, memories):
    """Do a piece of work now, or write it down where the current stream is captured."""
    found = recording()
    if found is None:
        function()
    else:
        found.add(function, memories)
