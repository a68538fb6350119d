"""Every CUDA source becomes machine code for three generations of GPUs, without a warning, a spill or a stack.

A spill is a register's content put aside in slow memory because there are not enough registers; a stack in a kernel
lies in the same slow memory. Neither is wrong, but both make a kernel slow, and none of ours needs them.
"""

import itertools

import cuda_compile
import pytest

from minisegnet.backends.cupy import manifest

try:
    cuda_compile.nvrtc()
except OSError as error:
    pytestmark = pytest.mark.skip(reason=str(error))

MOST_REGISTERS = 255  # what one thread can have

EVERY_DAY = "sm_90"  # the other generations are for the slow tests

ALL = [
    pytest.param(*case, id="-".join(case), marks=[] if EVERY_DAY in case else [pytest.mark.slow])
    for case in itertools.product(manifest.sources(), manifest.REALS, cuda_compile.ARCHITECTURES)
]


@pytest.mark.parametrize(("source", "dtype", "architecture"), ALL)
def test_it_compiles_without_warnings_spills_or_stack(source: str, dtype: str, architecture: str) -> None:
    code, log = cuda_compile.compile_source(source, dtype, architecture)
    assert code.startswith(b"\x7fELF")
    assert cuda_compile.complaints(log) == []
    found = list(cuda_compile.usages(log))
    assert {usage.kernel for usage in found} == set(manifest.kernels(source)), "kernels and what launch reads"
    for usage in found:
        assert usage.stack == 0 and usage.spills == 0, usage
        assert 0 < usage.registers < MOST_REGISTERS, usage
        assert usage.shared <= 48 << 10, usage  # more than that needs another kind of launch


def test_a_warning_a_stack_and_a_spill_would_be_seen() -> None:
    """The checks above can fail: a kernel for each of them."""
    warns = 'extern "C" __global__ void k(float* x) { int unused; x[0] = 1; }'
    stacks = (
        'extern "C" __global__ void k(float* x, int j) '
        "{ float q[100]; for (int i = 0; i < 100; ++i) q[i] = x[i] * x[i]; x[0] = q[j]; }"
    )
    many = ", ".join(f"v{i} = x[threadIdx.x + {i}]" for i in range(80))
    spills = (
        'extern "C" __global__ void __launch_bounds__(1024, 2) k(float* x) { float '
        + many
        + "; __syncthreads(); for (int j = 0; j < 9; ++j) { "
        + " ".join(f"v{i} = v{i} * v{(i + 7) % 80} + x[j];" for i in range(80))
        + " } "
        + " ".join(f"x[threadIdx.x + {i}] = v{i};" for i in range(80))
        + " }"
    )
    options = ("-arch=sm_90", cuda_compile.REPORT)
    assert any(
        "unused" in line for line in cuda_compile.complaints(cuda_compile.compile_cuda(warns, options)[1])
    )
    assert next(cuda_compile.usages(cuda_compile.compile_cuda(stacks, options)[1])).stack > 0
    assert next(cuda_compile.usages(cuda_compile.compile_cuda(spills, options)[1])).spills > 0
    with pytest.raises(RuntimeError, match=r"mine.cu\(3\).*nothing"):
        cuda_compile.compile_cuda('#line 3 "mine.cu"\n__device__ int i = nothing;', options)


def test_the_table_has_every_kernel() -> None:
    text = cuda_compile.table()
    for source in manifest.sources():
        for kernel in manifest.kernels(source):
            assert any(line.split()[:2] == [source, kernel] for line in text.splitlines())
