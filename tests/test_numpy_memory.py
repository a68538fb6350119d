"""NumPy's convolution writes its columns a block at a time: all of them at once would be nine times the input."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minisegnet import ops

INPUT = (4, 32, 64, 64)  # 2 MB


def peak(function: Callable[[], Any]) -> int:
    """How many bytes more there were at the most while the function ran, without what it returned."""
    function()  # what is made once and kept, threads for instance
    tracemalloc.start()
    try:
        result = function()
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return most - sum(a.nbytes for a in (result if isinstance(result, tuple) else (result,)) if a is not None)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("backward", [False, True])
def test_extra_memory_stays_below_four_times_the_input(stride: int, backward: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(INPUT, np.float32)
    w = rng.standard_normal((32, INPUT[1], 3, 3), np.float32)
    options: dict[str, Any] = {"stride": stride, "padding": 1}
    with ops.use_backend("numpy"):
        dy = ops.conv2d(x, w, **options)
        function = (
            (lambda: ops.conv2d_backward(dy, x, w, **options))
            if backward
            else (lambda: ops.conv2d(x, w, **options))
        )
        assert peak(function) < 4 * x.nbytes


def test_the_measure_sees_all_columns_at_once() -> None:
    """What an im2col in one piece takes, so that the bound above is one that can be broken."""
    x = np.ones(INPUT, np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    assert peak(lambda: (windows.copy()[0, 0, 0].copy(),)) > 8 * x.nbytes
