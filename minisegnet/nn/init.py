"""Initial values of weights, and the settings under which layers are created.

A weight's *fan in* is the number of inputs that one output sums over; *fan out* the number of outputs that one
input feeds.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.ops.dispatch import to_backend
from minisegnet.sizes import as_int

DTYPES = ("float32", "float64")


@dataclass
class Creation:
    """How new layers get their arrays: dtype, random generator, and whether to fill them at all."""

    dtype: Any = np.float32
    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    seed: int = 0
    initialise: bool = True
    dropouts: int = 0  # made so far: each gets its own number, and with it its own random bits


_creation: ContextVar[Creation | None] = ContextVar("minisegnet_creation", default=None)
_outside = Creation()


def creation() -> Creation:
    """Return the settings in force."""
    return _creation.get() or _outside


@contextmanager
def creating(*, dtype: Any = np.float32, seed: int = 0, initialise: bool = True) -> Iterator[Creation]:
    """Create the layers inside the block with this dtype and from this seed.

    Parameters
    ----------
    dtype
        float32 or float64.
    seed
        The same seed gives the same weights.
    initialise
        False allocates without filling: for counting parameters, or before weights are loaded.

    Examples
    --------
    >>> from minisegnet import nn
    >>> with nn.creating(dtype="float64", seed=3):
    ...     layer = nn.Conv2d(1, 2, 3)
    >>> layer.weight.dtype
    dtype('float64')
    """
    kind, seed = _float_dtype(dtype), as_int(seed, "seed", 0)
    token = _creation.set(Creation(kind, np.random.default_rng(seed), seed, initialise))
    try:
        yield creation()
    finally:
        _creation.reset(token)


def _float_dtype(dtype: Any) -> np.dtype[Any]:
    error = ValueError(f"dtype is {dtype!r}; expected float32 or float64")
    if dtype is None:  # which NumPy would read as float64
        raise error
    try:
        kind: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        raise error from None
    if kind.name not in DTYPES or not kind.isnative:
        raise error
    return kind


# ---------------------------------------------------------------------------------------------------------
# Values


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Fan in and fan out of a weight (K, C/groups, KH, KW) or (out, in).

    >>> fans((64, 3, 3, 3)), fans((10, 20))
    ((27, 576), (20, 10))
    """
    taps = math.prod(shape[2:])
    return shape[1] * taps, shape[0] * taps


def he_normal(shape: tuple[int, ...], generator: np.random.Generator, *, fan_in: int | None = None) -> Array:
    r"""Draw from a normal distribution of variance :math:`2 / \text{fan in}`.

    It keeps the variance of activations through layers with ReLU, which halves it. K. He et al., "Delving deep
    into rectifiers" (2015), section 2.2; U-Net (2015), section 3.

    >>> w = he_normal((8, 4, 3, 3), np.random.default_rng(0))
    >>> bool(abs(w.std() - (2 / 36) ** 0.5) < 0.02)
    True
    """
    values: Array = generator.standard_normal(shape) * math.sqrt(2 / (fan_in or fans(shape)[0]))
    return values


def xavier_uniform(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    r"""Draw uniformly from :math:`\pm\sqrt{6 / (\text{fan in} + \text{fan out})}`.

    A compromise between the forward's and the backward's variance, for layers without ReLU. X. Glorot and Y.
    Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010), equation 16.

    >>> w = xavier_uniform((8, 4), np.random.default_rng(0))
    >>> bool(abs(w).max() <= (6 / 12) ** 0.5)
    True
    """
    bound = math.sqrt(6 / sum(fans(shape)))
    return generator.uniform(-bound, bound, shape)


def bilinear(shape: tuple[int, ...]) -> Array:
    r"""Fill a transposed convolution's weight (C, C, K, K) so that it interpolates, each channel by itself.

    With kernel ``2s - s % 2``, stride s and padding ``(K - s) / 2`` it makes the map s times larger. Exact inside; at
    the border it is too small, because beyond it there is nothing to mix in. J. Long et al., "Fully
    convolutional networks" (2015), section 3.3.

    >>> bilinear((1, 1, 4, 4))[0, 0, 1]
    array([0.1875, 0.5625, 0.5625, 0.1875])
    """
    C, K_channels, KH, KW = shape
    if C != K_channels:
        raise ValueError(
            f"the weight's shape is {shape}; bilinear upsampling needs as many outputs as inputs"
        )
    w = np.zeros(shape)
    for c in range(C):
        w[c, c] = np.outer(_triangle(KH), _triangle(KW))
    return w


def _triangle(K: int) -> Array:
    """Weights of linear interpolation, by their distance from the kernel's centre."""
    factor = (K + 1) // 2
    centre = factor - 1 if K % 2 else factor - 0.5
    weights: Array = 1 - np.abs(np.arange(K) - centre) / factor
    return weights


# ---------------------------------------------------------------------------------------------------------
# Arrays for layers


def new_weight(shape: tuple[int, ...], values: Any) -> Array:
    """Allocate a weight under the settings in force; ``values(shape, generator)`` fills it."""
    settings = creation()
    if not settings.initialise:
        return to_backend(np.empty(shape, settings.dtype))
    return to_backend(values(shape, settings.generator).astype(settings.dtype))


def new_constant(shape: tuple[int, ...], value: float) -> Array:
    """Allocate an array that starts as one value (a bias as 0, a scale as 1)."""
    return to_backend(np.full(shape, value, creation().dtype))
