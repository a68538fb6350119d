"""The switch between the fastest convolution and the one that rounds least."""

import os
from contextvars import ContextVar, Token
from types import TracebackType

_exact: ContextVar[bool | None] = ContextVar("minisegnet_exact", default=None)  # set by `with`


class exact_convolutions:
    """Add up float32 convolutions product by product inside this block.

    Wide 3 x 3 convolutions of float32 are otherwise computed by Winograd's method on the Numba backend: with a quarter
    of the multiplications, and about twice the rounding error. With the environment variable ``MINISEGNET_EXACT=1`` all
    of a program is exact. (Exact means: each product is computed, and rounded as float32 rounds.)

    >>> with exact_convolutions():
    ...     convolutions_are_exact()
    True

    Parameters
    ----------
    on
        ``False`` allows Winograd's method in a block inside an exact one.
    """

    def __init__(self, on: bool = True) -> None:
        self.on = on
        self._tokens: list[Token[bool | None]] = []

    def __enter__(self) -> "exact_convolutions":
        self._tokens.append(_exact.set(self.on))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _exact.reset(self._tokens.pop())


def convolutions_are_exact() -> bool:
    """Whether convolutions must add up product by product here."""
    chosen = _exact.get()
    return os.environ.get("MINISEGNET_EXACT", "") == "1" if chosen is None else chosen
