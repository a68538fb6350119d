"""Threads for matrix products, such that no bit of a result depends on how many there are.

NumPy gives its matrix products to a BLAS library, which splits one product among threads of its own. How it splits
decides in which order it adds, so that the last bits depend on the number of threads. Here it is the other way
round: the work is cut into tasks by the sizes of the arrays alone, several tasks run at once, and in each of them
BLAS works with one thread. A task writes where no other does; sums over tasks are added up later, in their order.

The limit of one thread belongs to the process, not to a thread of Python. So it holds only while an op runs and is
put back after it, and ops that are called from several Python threads take turns (each uses all cores anyway).
Other code that uses BLAS at that very moment has one thread, too; if it changes the number then, that change is
lost or lets an op run with more threads.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache
from typing import Any

import threadpoolctl

MOST_THREADS = 64

_turn = threading.RLock()  # reentrant, because a signal handler may call an op in the middle of another


@contextmanager
def one_blas_thread() -> Iterator[int]:
    """Let BLAS work with one thread in the ``with`` block; gives the number that it had before."""
    with _turn:
        libraries = _blas_libraries()
        before = [library.num_threads for library in libraries]
        try:
            _limit()
            yield max(before, default=_usable_cores())
        finally:
            for library, number in zip(libraries, before, strict=True):
                _set_threads(library, number)
                if hasattr(library, "clear_controlling_thread"):
                    library.clear_controlling_thread()  # from now on any thread may change the number again


def in_parallel(function: Callable[..., None], tasks: Sequence[tuple[Any, ...]]) -> None:
    """Call ``function(*task)`` for every task, with as many threads as BLAS was told to use.

    That is one for each core, or ``OPENBLAS_NUM_THREADS`` (or what the library's own variable is). The thread that
    calls takes part; each takes the next task when it is done with one.
    """
    waiting = deque(tasks)

    def work() -> None:
        _limit()  # where BLAS uses OpenMP, every thread has its own limit
        while True:
            try:
                task = waiting.popleft()
            except IndexError:  # none is left
                return
            function(*task)

    with one_blas_thread() as threads:
        helpers = _start_helpers(work, min(threads, len(tasks), MOST_THREADS) - 1)
        try:
            work()
        finally:
            waiting.clear()  # after an error in one task, no further one is begun
            running = [helper for helper in helpers if not helper.cancel()]
            errors = [helper.exception() for helper in running]  # waits for them
        for error in errors:
            if error is not None:
                raise error


def _start_helpers(work: Callable[[], None], number: int) -> list[Future[None]]:
    """Let so many further threads do the work, too."""
    helpers: list[Future[None]] = []
    try:
        for _ in range(number):
            # A thread doesn't see np.errstate or any other ContextVar of its caller unless it gets a copy.
            helpers.append(_pool().submit(copy_context().run, work))
    except RuntimeError:
        pass  # no new thread can be started, as when Python is about to end: then those that there are do it all
    return helpers


def _limit() -> None:
    for library in _blas_libraries():
        _set_threads(library, 1)


def _set_threads(library: threadpoolctl.LibController, number: int) -> None:
    """Set the number of threads. Newer versions of threadpoolctl let one thread do that and ignore the others."""
    library.set_num_threads(number)
    if library.num_threads != number and hasattr(library, "clear_controlling_thread"):
        library.clear_controlling_thread(force=True)
        library.set_num_threads(number)


@cache
def _blas_libraries() -> tuple[threadpoolctl.LibController, ...]:
    """Find the BLAS libraries in this process. Apple's Accelerate is not among them, because it has no such limit."""
    found = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
    return tuple(library for library in found if library.num_threads is not None)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="minisegnet-numpy")


@cache
def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# ---------------------------------------------------------------------------------------------------------
# A fork copies only the thread that forks. It waits for the op that is running, so that the child finds the limit
# put back; and the child forgets the pool, whose threads it doesn't have.


def _forget_threads() -> None:
    global _turn
    _turn = threading.RLock()
    _pool.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _turn.acquire(),
        after_in_parent=lambda: _turn.release(),
        after_in_child=_forget_threads,
    )


# ---------------------------------------------------------------------------------------------------------
# Cutting


def pieces(length: int, *, most: int, shortest: int) -> list[slice]:
    """Cut a length into so many pieces at most, nearly equal, none shorter than ``shortest`` (but into one at least).

    >>> pieces(10, most=4, shortest=3)
    [slice(0, 3, None), slice(3, 6, None), slice(6, 10, None)]
    """
    number = max(1, min(most, length // shortest))
    return [slice(i * length // number, (i + 1) * length // number) for i in range(number)]
