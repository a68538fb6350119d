"""Which backend runs: choosing, threads, a learner's own kernels, and clear words when something can't run."""

import subprocess
import sys
import threading
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minisegnet import ops
from minisegnet.ops import dispatch


@pytest.fixture(autouse=True)
def _default_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_default", None)
    monkeypatch.delenv("MINISEGNET_BACKEND", raising=False)


def test_a_block_chooses_and_gives_back() -> None:
    before = ops.current_backend()
    with ops.use_backend("reference"):
        assert ops.current_backend() == "reference"
        with ops.use_backend("numpy"):
            assert ops.current_backend() == "numpy"
        assert ops.current_backend() == "reference"
    assert ops.current_backend() == before


def test_a_block_gives_back_after_an_error() -> None:
    before = ops.current_backend()
    with pytest.raises(RuntimeError, match="on purpose"), ops.use_backend("reference"):
        raise RuntimeError("on purpose")
    assert ops.current_backend() == before


def test_a_statement_sets_the_default_of_all_threads() -> None:
    ops.use_backend("reference")
    seen = []
    thread = threading.Thread(target=lambda: seen.append(ops.current_backend()))
    thread.start()
    thread.join()
    assert seen == ["reference"]
    assert ops.current_backend() == "reference"


def test_a_block_in_one_thread_leaves_others_alone() -> None:
    ops.use_backend("numpy")
    seen = []
    with ops.use_backend("reference"):
        thread = threading.Thread(target=lambda: seen.append(ops.current_backend()))
        thread.start()
        thread.join()
    assert seen == ["numpy"]


def test_blocks_that_start_at_the_same_time_leave_no_default_behind() -> None:
    """Two threads, in the worst order: both objects are made before either block is entered."""
    before = ops.current_backend()
    first, second = ops.use_backend("reference"), ops.use_backend("numpy")
    first.__enter__()
    second.__enter__()
    second.__exit__(None, None, None)
    first.__exit__(None, None, None)
    assert ops.current_backend() == before


def test_a_block_inside_keeps_the_statement_before_it() -> None:
    ops.use_backend("reference")
    with ops.use_backend("numpy"):
        pass
    assert ops.current_backend() == "reference"


def test_the_environment_variable_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINISEGNET_BACKEND", "reference")
    assert ops.current_backend() == "reference"
    with ops.use_backend("numpy"):
        assert ops.current_backend() == "numpy"


def test_a_wrong_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINISEGNET_BACKEND", "nunpy")
    with pytest.raises(
        ValueError, match=r"variable MINISEGNET_BACKEND is 'nunpy': there is no backend named 'nunpy'.*numpy"
    ):
        ops.relu(np.zeros(1))


def test_unknown_names_and_kinds_raise() -> None:
    with pytest.raises(ValueError, match="no backend named 'cuda'"):
        ops.use_backend("cuda")
    with pytest.raises(TypeError, match="name or a module"):
        ops.use_backend(3)  # type: ignore[arg-type]
    assert dispatch._default is None, "a refused backend must not become the default"


def with_cupy(monkeypatch: pytest.MonkeyPatch, devices: Callable[[], int]) -> None:
    """Put something in CuPy's place that counts the devices."""
    runtime = SimpleNamespace(getDeviceCount=devices)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))  # type: ignore[arg-type]
    monkeypatch.setattr(dispatch.importlib.util, "find_spec", lambda name: object())
    dispatch.why_not.cache_clear()


def test_cupy_without_a_device_says_that_the_device_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver() -> int:
        raise RuntimeError("cudaErrorNoDevice")

    for devices, message in [(lambda: 0, "there is no GPU"), (no_driver, "no usable GPU.*cudaErrorNoDevice")]:
        with_cupy(monkeypatch, devices)
        monkeypatch.setenv("MINISEGNET_BACKEND", "cupy")
        with pytest.raises(
            ValueError, match=f"MINISEGNET_BACKEND is 'cupy'.*CuPy is installed but.*{message}"
        ):
            ops.relu(np.zeros(1))
    dispatch.why_not.cache_clear()


def test_cupy_can_run_where_there_is_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with_cupy(monkeypatch, lambda: 1)
    assert ops.why_not("cupy") is None
    dispatch.why_not.cache_clear()


def test_cuda_on_cpu_without_a_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    dispatch.why_not.cache_clear()
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match=r"'cuda-on-cpu' can't run: .*apt install g\+\+"):
        ops.use_backend("cuda-on-cpu")
    dispatch.why_not.cache_clear()


def test_without_cupy_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(dispatch.importlib.util, "find_spec", lambda name: None)
    assert "minisegnet[cuda13]" in dispatch._why_not_cupy()  # type: ignore[operator]
    assert "minisegnet[numba]" in dispatch._why_not_numba()  # type: ignore[operator]


def test_a_broken_numba_is_told_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise ImportError("Numba needs NumPy 2.3 or less")

    monkeypatch.setattr(dispatch.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(dispatch.importlib, "import_module", broken)
    assert "Numba needs NumPy 2.3 or less" in str(dispatch._why_not_numba())


def test_a_learners_module_of_kernels_is_a_backend() -> None:
    mine = ModuleType("my_kernels")
    seen: list[Any] = []

    def relu(x: Any) -> Any:
        seen.append(x)
        return x * (x > 0)

    mine.relu = relu  # type: ignore[attr-defined]
    with ops.use_backend(mine):
        assert ops.current_backend() == "my_kernels"
        np.testing.assert_array_equal(ops.relu(np.array([[-1.0, 2.0]]).T), [[-0.0], [2.0]])
        with pytest.raises(ValueError, match=r"'my_kernels' has no kernel named 'sigmoid'"):
            ops.sigmoid(np.zeros(2))
    assert seen[0].flags.c_contiguous, "kernels get C-contiguous arrays"


def test_kernels_get_pairs() -> None:
    mine = ModuleType("mine")
    seen: dict[str, Any] = {}
    mine.conv2d = lambda x, w, b, **kwargs: seen.update(kwargs)  # type: ignore[attr-defined]
    with ops.use_backend(mine):
        ops.conv2d(np.zeros((1, 1, 4, 4)), np.zeros((1, 1, 2, 2)), stride=np.int64(2), padding=[0, 1])
    assert seen == {"stride": (2, 2), "padding": (0, 1), "dilation": (1, 1), "groups": 1}
    assert all(type(v) is int for v in seen["stride"])


class FakeCuPyArray:
    """Stands in for a CuPy array: dispatch looks at the module's name only."""

    def __init__(self, a: Any) -> None:
        self.dtype, self.shape, self.ndim = a.dtype, a.shape, a.ndim


FakeCuPyArray.__module__ = "cupy._core.core"


def test_arrays_of_both_kinds_in_one_call_raise() -> None:
    a = np.zeros(2)
    with pytest.raises(ValueError, match="NumPy and CuPy arrays in one call"):
        ops.add(a, FakeCuPyArray(a))  # type: ignore[arg-type]


def test_a_cupy_array_goes_to_cupy_whatever_is_chosen() -> None:
    with pytest.raises(ValueError, match="'cupy' can't run"), ops.use_backend("numpy"):
        ops.relu(FakeCuPyArray(np.zeros(2)))  # type: ignore[arg-type]


def test_numpy_arrays_under_cupy_name_to_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "selected_backend", lambda: "cupy")
    with pytest.raises(ValueError, match="to_backend"):
        ops.relu(np.zeros(2))


def test_moving_arrays_on_the_cpu_changes_nothing() -> None:
    a = np.zeros(2)
    assert ops.to_backend(a) is a
    assert ops.to_numpy(a) is a


def test_importing_the_ops_imports_no_backend() -> None:
    code = (
        "import sys, minisegnet.ops; "
        "print([m for m in sys.modules if m in ('numba', 'cupy', 'matplotlib') or '.backends.' in m])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
