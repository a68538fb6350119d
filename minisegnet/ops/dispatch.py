"""Which backend runs an op.

A CuPy array goes to ``cupy``. A NumPy array goes to the CPU backend that was chosen: by
``with use_backend("numba"):``, else by ``use_backend("numba")`` as a statement, else by the environment
variable ``MINISEGNET_BACKEND``, else ``numba`` where it can run, else ``numpy``. Nothing falls back in
silence: a backend that can't run, and a kernel that a backend lacks, raise and say so.
"""

import importlib
import importlib.util
import os
import sys
import threading
from contextvars import ContextVar, Token
from functools import cache
from types import ModuleType, TracebackType
from typing import Any, TypeAlias

import numpy as np

from minisegnet.arrays import Array

Backend: TypeAlias = str | ModuleType

BACKENDS = ("reference", "numpy", "numba", "cupy", "cuda-on-cpu")

_default: "use_backend | None" = None  # the newest use_backend(...) that no `with` has entered
_chosen: ContextVar[Backend | None] = ContextVar("minisegnet_backend", default=None)  # set by `with`
_lock = threading.Lock()


# ---------------------------------------------------------------------------------------------------------
# Choosing


class use_backend:
    """Choose the backend that NumPy arrays go to, for a block or for the whole process.

    Parameters
    ----------
    backend
        ``"reference"``, ``"numpy"``, ``"numba"``, ``"cupy"``, ``"cuda-on-cpu"``, or a module of kernels (for
        example a learner's own file): its functions then serve as the ops of the same names.

    Notes
    -----
    As a statement, ``use_backend("numpy")`` sets the default of the process. In a ``with`` statement the
    choice holds inside the block only (and only in this thread), and the default is as it was before. (Python makes
    the object before it enters the block; other threads can see it as the default for that moment.)

    Examples
    --------
    >>> with use_backend("reference"):
    ...     current_backend()
    'reference'
    """

    def __init__(self, backend: Backend) -> None:
        global _default
        if isinstance(backend, str):
            require(backend)
        elif not isinstance(backend, ModuleType):
            raise TypeError(
                f"use_backend takes a name or a module of kernels; got {type(backend).__name__}. "
                f"Names: {', '.join(BACKENDS)}"
            )
        self.backend = backend
        self._entered = False
        self._tokens: list[Token[Backend | None]] = []
        with _lock:
            self._previous, _default = _default, self

    def __enter__(self) -> "use_backend":
        global _default
        with _lock:  # it was a `with` statement after all: the process's default stays what it was
            self._entered = True
            while _default is not None and _default._entered:
                _default = _default._previous
        self._tokens.append(_chosen.set(self.backend))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _chosen.reset(self._tokens.pop())


def selected_backend() -> Backend:
    """Return the backend in use: its name, or the module that was given to ``use_backend``."""
    backend = _chosen.get()
    if backend is not None:
        return backend
    default = _default
    if default is not None:
        return default.backend
    name = os.environ.get("MINISEGNET_BACKEND", "").strip()
    if name:
        try:
            require(name)
        except ValueError as error:
            raise ValueError(f"the environment variable MINISEGNET_BACKEND is {name!r}: {error}") from None
        return name
    return "numpy" if why_not("numba") else "numba"


def current_backend() -> str:
    """Name the backend that NumPy arrays go to now.

    >>> with use_backend("numpy"):
    ...     current_backend()
    'numpy'
    """
    backend = selected_backend()
    return backend if isinstance(backend, str) else backend.__name__


# ---------------------------------------------------------------------------------------------------------
# What can run here


@cache
def why_not(name: str) -> str | None:
    """Say why a backend can't run here and what to do about it; ``None`` if it can.

    >>> why_not("numpy") is None
    True
    """
    if name in ("reference", "numpy"):
        return None
    if name == "numba":
        return _why_not_numba()
    if name == "cupy":
        return _why_not_cupy()
    if name == "cuda-on-cpu":
        reason: str | None = importlib.import_module("minisegnet.backends.cuda_on_cpu.build").why_not()
        return reason
    raise ValueError(f"there is no backend named {name!r}; expected one of: {', '.join(BACKENDS)}")


def _why_not_numba() -> str | None:
    if importlib.util.find_spec("numba") is None:
        return (
            "Numba is not installed; install it with: pip install 'minisegnet[numba]' "
            f"(this is Python {sys.version_info.major}.{sys.version_info.minor}; Numba needs some time to "
            "support a new Python)"
        )
    try:
        importlib.import_module("numba")
    except Exception as error:  # whatever is wrong with the installation, tell it in its own words
        return f"Numba is installed but can't be imported ({type(error).__name__}: {error}); reinstall it"
    return None


def _why_not_cupy() -> str | None:
    if importlib.util.find_spec("cupy") is None:
        return (
            "CuPy is not installed; on a machine with an NVIDIA GPU install it with: "
            "pip install 'minisegnet[cuda13]' (or cuda12, after the driver's version)"
        )
    try:
        cupy: Any = importlib.import_module("cupy")
        devices = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        return (
            f"CuPy is installed but finds no usable GPU ({type(error).__name__}: {error}); check nvidia-smi"
        )
    if devices == 0:
        return "CuPy is installed but there is no GPU; check nvidia-smi"
    return None


def require(name: str) -> None:
    """Raise if the backend can't run here, with what to install."""
    reason = why_not(name)
    if reason:
        raise ValueError(f"the backend {name!r} can't run: {reason}")


# ---------------------------------------------------------------------------------------------------------
# Finding the kernel


def is_cupy(array: object) -> bool:
    """Whether this is a CuPy array (without importing CuPy)."""
    kind = type(array)
    return kind is not np.ndarray and kind.__module__.partition(".")[0] == "cupy"


def array_module(array: Array) -> Any:
    """Return the module that the array comes from, ``numpy`` or ``cupy``: its functions take the array.

    >>> array_module(np.zeros(2)).__name__
    'numpy'
    """
    return importlib.import_module("cupy") if is_cupy(array) else np


@cache
def _load(name: str) -> ModuleType:
    require(name)
    return importlib.import_module(f"minisegnet.backends.{name.replace('-', '_')}")


def kernel(op: str, *arrays: Array | None) -> Any:
    """Find the kernel named ``op`` for these arrays."""
    backend = backend_for(op, arrays)
    module = _load(backend) if isinstance(backend, str) else backend
    found = getattr(module, op, None)
    if found is None:
        name = backend if isinstance(backend, str) else backend.__name__
        raise ValueError(
            f"the backend {name!r} has no kernel named {op!r}; choose another by use_backend(...)"
        )
    return found


def backend_for(op: str, arrays: tuple[Array | None, ...]) -> Backend:
    """Choose the backend for these arrays; raises where they lie in different places."""
    given = [a for a in arrays if a is not None]
    on_device = [is_cupy(a) for a in given]
    if any(on_device) and not all(on_device):
        raise ValueError(
            f"{op} got NumPy and CuPy arrays in one call; move them all by to_backend or to_numpy"
        )
    if any(on_device):
        return "cupy"
    backend = selected_backend()
    if backend == "cupy":
        raise ValueError(
            f"the backend is cupy, but {op} got NumPy arrays; move them to the GPU by to_backend(array)"
        )
    return backend


# ---------------------------------------------------------------------------------------------------------
# Moving arrays


def to_backend(array: Array) -> Array:
    """Return the array where the current backend wants it: on the GPU for ``cupy``, else as a NumPy array."""
    if selected_backend() == "cupy":
        cupy: Any = importlib.import_module("cupy")
        return cupy.asarray(array)
    return to_numpy(array)


def to_numpy(array: Array) -> Array:
    """Return the array as a NumPy array; one that lies on the GPU is copied.

    The copy waits for the GPU. So this is also where bad labels and indices come to light that kernels have met since
    the last time: they raise here.
    """
    if not is_cupy(array):
        return np.asarray(array)
    copy: Array = array.get()  # type: ignore[attr-defined]
    problems = importlib.import_module("minisegnet.backends.cupy.problems")
    problems.raise_found()
    return copy
