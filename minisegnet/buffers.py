"""Memory for large results and scratch, used again instead of asked for anew.

A program that wants memory gets *pages* of 4096 bytes from the system. Each page that is touched for the first time
interrupts the program: the system must find it and fill it with zeros. That is slow (one to four millionths of a second
a page were measured, 8 thousandths for a map of 8 MB, as long as a convolution takes to compute it), and a
training step asks for the same sizes again and again. So blocks that come back are kept, and lent to the next who asks.

``fresh(shape, dtype)`` is ``np.empty`` with such memory. When a block comes back is decided by NumPy alone: each array
keeps the owner of its memory alive, as does each view of it, and each view of a view. Only when the last one has
gone does the owner's ``__del__`` return the block. No block is ever taken back while somebody can look at it.

Arrays begin at a multiple of 64 bytes, a *line* of the cache, so that no vector lies across two of them.

What is kept makes nobody's memory larger: lent and idle blocks together never exceed what was lent at the busiest
moment so far (and idle ones never ``MOST_IDLE``). ``forget()`` gives all idle blocks back to the system.
"""

import math
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from minisegnet.arrays import Array

SMALLEST = 1 << 16  # bytes; what is smaller comes from memory that the program has anyway
PAGE = 1 << 12  # bytes
LINE = 64  # bytes
MOST_IDLE = 1 << 30  # bytes


def fresh(shape: int | Sequence[int], dtype: Any = np.float32) -> Array:
    """Return an array with arbitrary contents, C-contiguous, perhaps in memory that was used before."""
    dtype = np.dtype(dtype)
    shape = tuple(shape) if isinstance(shape, Sequence) else (shape,)
    size = math.prod(shape) * dtype.itemsize
    ordinary = size < SMALLEST or not POOL.in_use
    array = np.empty(shape, dtype) if ordinary else np.asarray(_Loan(POOL, size, shape, dtype))
    if POOL.poison and size:
        array.reshape(-1).view(np.uint8)[:] = 255
    return array


def fresh_like(array: Array) -> Array:
    """Return a fresh array of the same shape and dtype."""
    return fresh(array.shape, array.dtype)


@contextmanager
def without_reuse() -> Iterator[None]:
    """Make ``fresh`` the same as ``np.empty``, so that a tool that counts what Python allocates sees everything."""
    before, POOL.in_use = POOL.in_use, False
    try:
        yield
    finally:
        POOL.in_use = before


def forget() -> None:
    """Give all blocks that nobody uses back to the system."""
    POOL.shrink(0)


class Pool:
    """Blocks of memory that come and go.

    ``__del__`` may run at any moment, in any thread, even in the middle of ``lend``. So returning a block does one
    thing that can't be interrupted, an ``append``; the books are kept by the next ``lend``.
    """

    def __init__(self, most_idle: int) -> None:
        self.most_idle = most_idle  # bytes, as all numbers here
        self.lent = self.most_lent = self.idle = 0
        self.in_use = True
        self.poison = False  # for tests: fill what is lent with NaN
        self.returned: deque[Array] = deque()
        self._idle_blocks: dict[int, list[Array]] = {}  # by size; the size that came back last stands last
        self._lock = threading.Lock()

    def lend(self, size: int) -> Array:
        """Return a block of at least ``size`` bytes: the smallest idle one that isn't far too large, or a new one."""
        with self._lock:
            self._take_back()
            size = -(-size // PAGE) * PAGE
            fitting = size if size in self._idle_blocks else self._somewhat_larger(size)
            if fitting:
                block = self._take(fitting)
            else:
                self._drop_until(max(0, self.most_lent - self.lent - size))
                block = np.empty(size, np.uint8)
            self.lent += block.nbytes
            self.most_lent = max(self.most_lent, self.lent)
            return block

    def _somewhat_larger(self, size: int) -> int:
        return min((s for s in self._idle_blocks if size <= s <= size + size // 4), default=0)

    def shrink(self, most_idle: int) -> None:
        """Drop idle blocks, those first whose size came back longest ago, until so many bytes are left."""
        with self._lock:
            self._take_back()
            self._drop_until(most_idle)

    def _take_back(self) -> None:
        while self.returned:
            block = self.returned.popleft()
            self.lent -= block.nbytes
            self.idle += block.nbytes
            blocks = self._idle_blocks.pop(block.nbytes, [])  # taken out and put in again: now it stands last
            blocks.append(block)
            self._idle_blocks[block.nbytes] = blocks
        self._drop_until(self.most_idle)

    def _take(self, size: int) -> Array:
        blocks = self._idle_blocks[size]
        block = blocks.pop()
        if not blocks:
            del self._idle_blocks[size]
        self.idle -= size
        return block

    def _drop_until(self, most_idle: int) -> None:
        while self.idle > most_idle:
            self._take(next(iter(self._idle_blocks)))


class _Loan:
    """The owner of a lent block, as NumPy sees it; when the last array that looks at it goes, it goes, too."""

    def __init__(self, pool: Pool, size: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.pool = pool
        self.block = pool.lend(size + LINE)
        address = self.block.__array_interface__["data"][0]
        self.__array_interface__ = {
            "version": 3,
            "data": (-(-address // LINE) * LINE, False),
            "shape": shape,
            "typestr": dtype.str,
        }

    def __del__(self) -> None:
        if hasattr(self, "block"):  # there was memory enough for one
            self.pool.returned.append(self.block)


POOL = Pool(MOST_IDLE)
