"""Compile CUDA sources to machine code without a GPU, by NVIDIA's run-time compiler (the wheel nvidia-cuda-nvrtc).

It is the compiler that CuPy calls, with the same text and options. To machine code (a cubin), not to the intermediate
PTX: much is wrong only there. ``python tests/cuda_compile.py`` prints the table of all kernels.
"""

import ctypes
import re
import site
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from minisegnet.backends.cupy import manifest

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")  # A100, H100 and H200, B200

# What CuPy adds to a RawModule's own options, and the report of the last stage.
CUPYS_OPTIONS = ("-ftz=true", "--device-as-default-execution-space")
REPORT = "--ptxas-options=-v"


@dataclass(frozen=True)
class Usage:
    """What one kernel takes on one architecture; stack and spills in bytes."""

    kernel: str
    registers: int
    shared: int
    stack: int
    spills: int


@cache
def nvrtc() -> Any:
    """Load the compiler's library; OSError if the wheel isn't installed."""
    for folder in (*site.getsitepackages(), site.getusersitepackages()):
        for path in sorted(Path(folder).glob("nvidia/*/lib/libnvrtc.so.*")):
            for builtins in path.parent.glob("libnvrtc-builtins.so.*"):
                ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)  # else it isn't found when it is needed
            return ctypes.CDLL(str(path))
    raise OSError("NVIDIA's compiler is not installed: pip install 'minisegnet[cuda-check]'")


def _text_of(program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _succeeds(getattr(nvrtc(), f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    content = ctypes.create_string_buffer(size.value)
    _succeeds(getattr(nvrtc(), f"nvrtcGet{what}")(program, content))
    return content.raw


def _succeeds(code: int) -> None:
    if code:
        nvrtc().nvrtcGetErrorString.restype = ctypes.c_char_p
        raise RuntimeError(nvrtc().nvrtcGetErrorString(code).decode())


def compile_cuda(text: str, options: Sequence[str]) -> tuple[bytes, str]:
    """Compile to machine code; return it and what the compiler said. RuntimeError with its words if it can't."""
    program = ctypes.c_void_p()
    _succeeds(nvrtc().nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"all.cu", 0, None, None))
    try:
        given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        failed = nvrtc().nvrtcCompileProgram(program, len(options), given)
        log = _text_of(program, "ProgramLog").rstrip(b"\0").decode(errors="replace")
        if failed:
            raise RuntimeError(log)
        return _text_of(program, "CUBIN"), log
    finally:
        nvrtc().nvrtcDestroyProgram(ctypes.byref(program))


@cache
def compile_source(source: str, dtype: str, architecture: str) -> tuple[bytes, str]:
    """Compile one of the package's sources as CuPy would."""
    options = (*manifest.options(dtype), f"-arch={architecture}", *CUPYS_OPTIONS, REPORT)
    return compile_cuda(manifest.text(source), options)


def usages(log: str) -> Iterator[Usage]:
    """Read the last stage's report: one paragraph for each kernel."""
    for paragraph in re.split(r"ptxas info\s*: Compiling entry function ", log)[1:]:

        def number(pattern: str, paragraph: str = paragraph) -> int:
            found = re.search(pattern, paragraph)
            return int(found[1]) if found else 0

        kernel = re.match(r"'(\w+)'", paragraph)
        assert kernel, paragraph
        yield Usage(
            kernel[1],
            number(r"Used (\d+) registers"),
            number(r"(\d+) bytes smem"),
            number(r"(\d+) bytes stack frame"),
            number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads"),
        )


def complaints(log: str) -> list[str]:
    """Return the lines that are no part of the report: warnings."""
    report = re.compile(r"ptxas info .*|ptxas\s+\.\s+\d+ bytes stack frame.*|\s*")
    return [line for line in log.splitlines() if not report.fullmatch(line)]


def table(architecture: str = "sm_90") -> str:
    """Lay out what all kernels take, in float32 and in float64."""
    lines = [
        f"{'source':12} {'kernel':44} registers          shared bytes   on {architecture}: float32, float64"
    ]
    for source in manifest.sources():
        single, double = (
            {u.kernel: u for u in usages(compile_source(source, d, architecture)[1])} for d in manifest.REALS
        )
        for kernel in sorted(single):
            a, b = single[kernel], double[kernel]
            lines.append(
                f"{source:12} {kernel:44} {a.registers:4d} {b.registers:4d}        {a.shared:6d} {b.shared:6d}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    for architecture in sys.argv[1:] or ["sm_90"]:
        print(table(architecture))
