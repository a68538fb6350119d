"""The CUDA sources as a whole: every op has its launcher, every kernel is found, both compilers get the same text."""

import re
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minisegnet import ops
from minisegnet.backends import cupy
from minisegnet.backends.cupy import launch, manifest

NOT_OPS = {
    "BACKENDS",
    "current_backend",
    "exact_convolutions",
    "to_backend",
    "to_numpy",
    "use_backend",
    "why_not",
}


def test_every_op_of_the_contract_is_there() -> None:
    assert set(cupy.__all__) == set(ops.__all__) - NOT_OPS
    for op in cupy.__all__:
        assert getattr(cupy, op).__module__.startswith("minisegnet.backends.cupy."), (
            f"{op} is another backend's"
        )


def test_no_kernel_is_overlooked() -> None:
    """What launch reads from the text are all the kernels in it; the word __global__ stands nowhere else."""
    for source in manifest.sources():
        code = manifest._COMMENT.sub("", manifest.text(source))
        assert code.count("__global__") == len(manifest.kernels(source)), source


def test_sources_include_nothing_and_add_no_floats_atomically() -> None:
    for source in [*manifest.sources(), manifest.PRELUDE]:
        code = manifest._COMMENT.sub("", (manifest.FOLDER / f"{source}.cu").read_text(encoding="utf-8"))
        assert "#include" not in code, "NVRTC has no header files"
        assert "atomicAdd" not in code, (
            "sums by atomics come in any order: results would differ from run to run"
        )
        assert not re.search(r"\b(size_t|uint32_t|int64_t)\b", code), "types of headers"


def test_kernels_are_read_from_the_text() -> None:
    code = """
    // extern "C" __global__ void commented_out(int a);
    extern "C" __global__ void __launch_bounds__(256) first(
        const real* __restrict__ x,  // the input (of any size)
        unsigned char *flags, unsigned long long key, double eps /* small */, int* problem) {}
    __device__ void helper(int b) {}
    extern "C" __global__ __launch_bounds__(128, 2) void second(index total) {}
    """
    found = manifest.kernels_in(code)
    assert list(found) == ["first", "second"]
    assert [(p.name, p.type, p.pointer, p.const) for p in found["first"]] == [
        ("x", "real", True, True),
        ("flags", "unsigned char", True, False),
        ("key", "unsigned long long", False, False),
        ("eps", "double", False, False),
        ("problem", "int", True, False),
    ]
    with pytest.raises(
        ValueError, match=r"the kernel wrong has a parameter that can't be read: 'int x\[3\]'"
    ):
        manifest.kernels_in('extern "C" __global__ void wrong(int x[3]) {}')


def test_cupy_gets_the_text_that_is_compiled_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text and options of test_cuda_compile.py; and the arguments as NumPy scalars of the kernel's types."""
    seen: dict[str, Any] = {}

    class RawModule:
        def __init__(self, **arguments: Any) -> None:
            seen.update(arguments)

        def get_function(self, kernel: str) -> Any:
            return lambda grid, block, arguments, shared_mem=0: seen.update(
                launched=(kernel, grid, block, arguments)
            )

    class Device(np.ndarray):
        pass

    Device.__module__ = "cupy"
    module = types.ModuleType("cupy")
    module.RawModule = RawModule  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cupy", module)
    for cached in (launch._function, launch._module):
        cached.cache_clear()
    x = np.zeros((2, 300), np.float32).view(Device)
    launch.each("activation", "relu", 600, x, x, 600, like=x)
    for cached in (launch._function, launch._module):
        cached.cache_clear()
    kernel, grid, block, arguments = seen["launched"]
    assert seen["code"] == manifest.text("activation")
    assert seen["options"] == manifest.options("float32") == ("-DREAL=float", *manifest.OPTIONS)
    assert (kernel, grid, block) == ("relu", (3, 1, 1), (256, 1, 1))
    assert arguments[0] is x and type(arguments[2]) is np.int64


@pytest.mark.slow
def test_the_wheel_has_the_sources(tmp_path: Path) -> None:
    wheel_builder = pytest.importorskip("hatchling.builders.wheel", reason="pip install hatchling")
    wheel = next(wheel_builder.WheelBuilder(str(Path(__file__).parent.parent)).build(directory=str(tmp_path)))
    names = set(zipfile.ZipFile(wheel).namelist())
    for source in [*manifest.sources(), manifest.PRELUDE]:
        assert f"minisegnet/backends/cupy/{source}.cu" in names
    for header in ("fibers.h", "words.h"):
        assert f"minisegnet/backends/cuda_on_cpu/{header}" in names
