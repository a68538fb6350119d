"""Tests that need CuPy: the real one on a GPU, or the stand-in, which test_on_device.py puts first on the path.

Without either of them nothing here is collected.
"""

from collections.abc import Iterator

import pytest

from minisegnet import ops

collect_ignore_glob = ["test_*.py"] if ops.why_not("cupy") else []


@pytest.fixture
def on_device() -> Iterator[None]:
    """Compute on the device inside the test."""
    with ops.use_backend("cupy"):
        yield


@pytest.fixture
def waits() -> list[object]:
    """What the stand-in notes each time that the host waits for the device; empty at the beginning."""
    import cupy

    if not hasattr(cupy, "device"):
        pytest.skip("only the stand-in for CuPy notes where the host waits")
    cupy.device.waits.clear()
    found: list[object] = cupy.device.waits
    return found
