"""Memory for large results and scratch, used again instead of asked for anew.

A program that wants memory gets *pages* of 4096 bytes from the system. Each page that is touched for the first time
interrupts the program: the system must find it and fill it with zeros. That is slow (one to four millionths of a second
a page were measured, 8 thousandths for a map of 8 MB, as long as a convolution takes to compute it), and a
training step asks for the same sizes again and again. So memory that comes back is kept, and lent to the next who asks.

``fresh(shape, dtype)`` is ``np.empty`` with such memory. When it comes back is decided by NumPy alone: each array
keeps the owner of its memory alive, as does each view of it, and each view of a view. Only when the last one has
gone does the owner's ``__del__`` return it. Nothing is ever taken back while somebody can look at it.

Arrays begin at a multiple of 64 bytes, a *line* of the cache, so that no vector lies across two of them.

The system gives *chunks* of memory, and what is lent is a piece of one: cut off the smallest free part that is large
enough. Pieces that come back grow together with free neighbours. So sizes that change from layer to layer find room
where others were, and hardly more memory is touched than was lent at the busiest moment. (A list of free blocks for
each size does worse: to keep few, it gives blocks back to the system for each layer, and two thousand pages of a
SegNet were touched anew for each picture.) The rest of a chunk costs nothing until it is touched. A chunk goes back
to the system when nobody uses any of it and it is too small for the next who asks, or when more than ``MOST_IDLE``
bytes are idle, or by ``forget()``.
"""

import math
import threading
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from minisegnet.arrays import Array

SMALLEST = 1 << 16  # bytes; what is smaller comes from memory that the program has anyway
PAGE = 1 << 12  # bytes
LINE = 64  # bytes
CHUNK = 1 << 27  # bytes, at least
MOST_IDLE = 1 << 30  # bytes


def fresh(shape: int | Sequence[int], dtype: Any = np.float32) -> Array:
    """Return an array with arbitrary contents, C-contiguous, perhaps in memory that was used before."""
    dtype = np.dtype(dtype)
    if type(shape) is not tuple:
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
    """Give all chunks that nobody uses back to the system."""
    POOL.shrink(0)


class Chunk:
    """Memory from the system, and which parts of it are free."""

    def __init__(self, size: int) -> None:
        self.memory = np.empty(size + LINE, np.uint8)
        address: int = self.memory.__array_interface__["data"][0]
        self.address = -(-address // LINE) * LINE
        self.size = size  # bytes, as all numbers here
        self.touched = 0  # from the start; what lies behind has never been lent
        # The free parts three times: by size (and place), by where they begin, by where they end. No two of them touch.
        self.free: list[tuple[int, int]] = []
        self.end_of: dict[int, int] = {}
        self.begin_of: dict[int, int] = {}
        self._add(0, size)

    def take(self, size: int) -> int | None:
        """Cut a piece off the smallest free part that is large enough; return where it begins."""
        i = bisect_left(self.free, (size, 0))
        if i == len(self.free):
            return None
        there, begin = self.free.pop(i)
        self._strike(begin, begin + there)
        if size < there:
            self._add(begin + size, begin + there)
        self.touched = max(self.touched, begin + size)
        return begin

    def take_back(self, begin: int, size: int) -> None:
        """Make a piece free again, and one part of it and the free parts that it touches."""
        end = begin + size
        behind, before = self.end_of.get(end), self.begin_of.get(begin)
        if behind is not None and self._remove(end, behind):
            end = behind
        if before is not None and self._remove(before, begin):
            begin = before
        self._add(begin, end)

    def is_idle(self) -> bool:
        """Whether nobody uses any of it."""
        return self.free == [(self.size, 0)]

    # Ctrl-C can come between any two lines. Then a part may be missing in one of the three books, and at worst it is
    # never lent again. But what stands in `free` is free: so `free` is asked before two parts are joined.

    def _add(self, begin: int, end: int) -> None:
        insort(self.free, (end - begin, begin))
        self.end_of[begin], self.begin_of[end] = end, begin

    def _remove(self, begin: int, end: int) -> bool:
        i = bisect_left(self.free, (end - begin, begin))
        if self.free[i : i + 1] != [(end - begin, begin)]:
            return False
        del self.free[i]
        self._strike(begin, end)
        return True

    def _strike(self, begin: int, end: int) -> None:
        self.end_of.pop(begin, None)
        self.begin_of.pop(end, None)


class Piece(NamedTuple):
    """A part of a chunk that is lent."""

    chunk: Chunk
    begin: int
    size: int


class Pool:
    """Chunks of memory that are lent piece by piece.

    ``__del__`` may run at any moment, in any thread, even in the middle of ``lend``. So returning a piece does one
    thing that can't be interrupted, an ``append``; the books are kept by the next ``lend``.
    """

    def __init__(self, most_idle: int) -> None:
        self.most_idle = most_idle  # bytes, as all numbers here
        self.lent = self.most_lent = 0
        self.in_use = True
        self.poison = False  # for tests: fill what is lent with NaN
        self.returned: deque[Piece] = deque()
        self.chunks: list[Chunk] = []
        self._lock = threading.Lock()

    @property
    def idle(self) -> int:
        """What has been touched and is not lent now."""
        return sum(chunk.touched for chunk in self.chunks) - self.lent

    def lend(self, size: int) -> Piece:
        """Return a piece of at least ``size`` bytes."""
        with self._lock:
            if self.returned:
                self._take_back()
            size = -(-size // PAGE) * PAGE
            piece = self._piece(size)
            self.lent += size
            self.most_lent = max(self.most_lent, self.lent)
            return piece

    def _piece(self, size: int) -> Piece:
        for chunk in self.chunks:
            begin = chunk.take(size)
            if begin is not None:
                return Piece(chunk, begin, size)
        self._drop(0)  # the chunks that are idle are too small
        try:
            chunk = Chunk(max(size, CHUNK))
        except MemoryError:  # where what isn't touched counts, too
            chunk = Chunk(size)
        self.chunks.append(chunk)
        return Piece(chunk, chunk.take(size) or 0, size)

    def shrink(self, most_idle: int) -> None:
        """Give chunks that nobody uses back to the system, until so many bytes are idle."""
        with self._lock:
            self._take_back()
            self._drop(most_idle)

    def _take_back(self) -> None:
        while self.returned:
            chunk, begin, size = self.returned.popleft()
            chunk.take_back(begin, size)
            self.lent -= size
        self._drop(self.most_idle)

    def _drop(self, most_idle: int) -> None:
        """Drop the youngest first: small pieces are lent from the oldest."""
        for chunk in reversed(self.chunks):
            if self.idle <= most_idle:
                return
            if chunk.is_idle():
                self.chunks.remove(chunk)


class _Loan:
    """The owner of a lent piece, as NumPy sees it; when the last array that looks at it goes, it goes, too."""

    def __init__(self, pool: Pool, size: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.pool = pool
        self.piece = pool.lend(size)
        chunk, begin, _ = self.piece
        self.__array_interface__ = {
            "version": 3,
            "data": (chunk.address + begin, False),
            "shape": shape,
            "typestr": dtype.str,
        }

    def __del__(self) -> None:
        if hasattr(self, "piece"):  # there was memory enough for one
            self.pool.returned.append(self.piece)


POOL = Pool(MOST_IDLE)
