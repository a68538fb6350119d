"""Arrays that end right before memory which nobody may touch, or begin right after it."""

import ctypes
import mmap
from typing import Any

import numpy as np

PAGE = mmap.PAGESIZE
_libc = ctypes.CDLL(None, use_errno=True)


def guarded(array: Any, before: bool = False) -> Any:
    """Copy the array to where the next byte (``before``: the byte before it) can't be touched without a fault."""
    size = -(-max(array.nbytes, 1) // PAGE) * PAGE
    memory = mmap.mmap(-1, size + PAGE)
    address = np.frombuffer(memory, np.uint8).ctypes.data
    forbidden = address if before else address + size
    if _libc.mprotect(ctypes.c_void_p(forbidden), ctypes.c_size_t(PAGE), 0) != 0:
        raise OSError(ctypes.get_errno(), "mprotect")
    offset = PAGE if before else size - array.nbytes
    copy = np.frombuffer(memory, array.dtype, count=array.size, offset=offset).reshape(array.shape)
    copy[...] = array
    return copy
