"""Say what Numba compiles, so that a first start doesn't look like a stopped one."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from minisegnet.ops.dispatch import selected_backend
from minisegnet.training.display import Display


@contextmanager
def compilations(tell: Callable[[str], None]) -> Iterator[None]:
    """Call ``tell(name of the kernel)`` before each compilation inside the block.

    Kernels that are read from Numba's cache aren't compiled. With another backend nothing is told, and nothing of what
    Numba compiles for its own use.
    """
    if selected_backend() != "numba":
        yield
        return
    from numba.core import event

    class Listener(event.Listener):
        def on_start(self, event: Any) -> None:
            function = event.data["dispatcher"].py_func
            if function.__module__.startswith("minisegnet."):
                tell(function.__name__.lstrip("_"))

        def on_end(self, event: Any) -> None:
            pass

    with event.install_listener("numba:compile", Listener()):
        yield


@contextmanager
def compilations_on_stderr() -> Iterator[None]:
    """Tell them on standard error, for a command whose results go to standard output."""
    display = Display(out=sys.stderr, quiet=sys.stderr is None)
    try:
        with compilations(display.compiling):
            yield
    finally:
        display.clear()
