"""Threads of every library, and what a record says of the machine. Imports neither NumPy nor Numba itself."""

import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("minisegnet", "numpy", "numba", "llvmlite", "torch", "torchvision", "onnx", "onnxruntime")
PREFIXES = (
    "OMP_",
    "GOMP_",
    "OPENBLAS_",
    "MKL_",
    "KMP_",
    "NUMBA_",
    "MALLOC_",
    "VECLIB_",
    "BLIS_",
    "MINISEGNET_",
)

# Each library reads its own variable, once, when it is loaded.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",  # PyTorch, and Numba's omp layer
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)

# Threads that have finished must soon sleep. If they spin, waiting for more work, they take a core from
# whichever library is measured next: OpenBLAS would go on for a tenth of a second after each product, OpenMP (PyTorch
# and Numba) for some 8 ms. A tenth of a millisecond is enough for either to find its threads awake from one
# kernel to the next.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "5000", "OPENBLAS_THREAD_TIMEOUT": "4"}

# These make OpenBLAS take this machine for another one, with narrower registers; they are removed, and recorded.
DISGUISES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
_removed: dict[str, str] = {}


@contextmanager
def set_threads(threads: int, *, cold: bool) -> Iterator[None]:
    """Give every library the same number of threads; with ``cold`` also an empty Numba cache for this run."""
    os.environ.update({name: str(threads) for name in THREAD_VARIABLES} | WAITING)
    _removed.update({name: os.environ.pop(name) for name in DISGUISES if name in os.environ})
    if not cold:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="benchmark-numba-cache-") as folder:
        os.environ["NUMBA_CACHE_DIR"] = folder
        yield


def describe() -> dict[str, object]:
    """Say on what and with what this process runs."""
    from minisegnet.cli.doctor import (
        cpu_model,
    )  # here, because it imports NumPy, which reads the threads' number

    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := installed_version(name))},
        "environment": {
            name: "(a folder)" if name.endswith("_DIR") else value
            for name, value in sorted(os.environ.items())
            if name.startswith(PREFIXES)
        },
        "removed from the environment": dict(_removed),
    }


def installed_version(package: str) -> str | None:
    """Return the version of a package, or None where it isn't installed."""
    if package in sys.modules and hasattr(sys.modules[package], "__version__"):
        return str(sys.modules[package].__version__)
    try:
        return version(package)
    except PackageNotFoundError:
        return None


# ---------------------------------------------------------------------------------------------------------
# Memory, as the operating system sees it


def why_no_memory() -> str | None:
    """Say why peak memory can't be measured here; None if it can."""
    try:
        _reset_peak()
        _status("VmHWM")
    except (OSError, KeyError) as error:
        return f"peak memory needs Linux's /proc/self/clear_refs ({type(error).__name__})"
    return None


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")  # from here on VmHWM is the peak since now


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


class ExtraMemory:
    """Measure by how much this process grows, at its highest point, inside a ``with`` block.

    This is the resident memory that the system counts, so it sees every allocator alike: NumPy's, Numba's,
    BLAS's and PyTorch's. (Python's tracemalloc would see NumPy's arrays only.) It is exact to a few hundred kB.
    """

    def __enter__(self) -> "ExtraMemory":
        _return_free_memory()
        _reset_peak()
        self._before = _status("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        self.bytes = max(_status("VmHWM") - self._before, 0)


def _return_free_memory() -> None:
    """Give back what we and the C library keep from earlier calls; reused memory would count as nothing."""
    import ctypes
    import gc

    gc.collect()
    from minisegnet import buffers

    buffers.forget()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)
