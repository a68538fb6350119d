"""Say what Numba compiles, so that a first start doesn't look like a stopped one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from minisegnet.ops.dispatch import selected_backend


@contextmanager
def compilations(tell: Callable[[str], None]) -> Iterator[None]:
    """Call ``tell(name of the kernel)`` before each compilation inside the block.

    Kernels that are read from Numba's cache aren't compiled. With another backend nothing is told.
    """
    if selected_backend() != "numba":
        yield
        return
    from numba.core import event

    class Listener(event.Listener):
        def on_start(self, event: Any) -> None:
            tell(event.data["dispatcher"].py_func.__name__.lstrip("_"))

        def on_end(self, event: Any) -> None:
            pass

    with event.install_listener("numba:compile", Listener()):
        yield
