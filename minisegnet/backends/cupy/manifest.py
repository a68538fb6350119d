"""What the CUDA sources are: which files there are, the text that is compiled, and the kernels in it.

A source is one ``.cu`` file of this folder, by its name without the ending. What a compiler gets is the prelude and
the file, in one text; ``#line`` makes it count lines as an editor does.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
PRELUDE = "prelude"
REALS = {"float32": "float", "float64": "double"}  # NumPy's name of a dtype -> the type that `real` becomes

# How the compiler is called, here (tests/test_cuda_compile.py) and through CuPy (launch.py). CuPy adds the
# architecture and -ftz=true: numbers too small for float32's normal range become 0.
OPTIONS = ("-std=c++17",)

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_BOUNDS = r"(?:__launch_bounds__\s*\([^)]*\)\s*)?"
_KERNEL = re.compile(rf'extern\s+"C"\s+__global__\s+{_BOUNDS}void\s+{_BOUNDS}(\w+)\s*\(([^)]*)\)', re.DOTALL)
_PARAMETER = re.compile(
    r"(?P<const>const\s+)?(?P<type>unsigned long long|long long|unsigned char|signed char|unsigned int|\w+)"
    r"(?:\s+const)?\s*(?P<star>\*)?\s*(?:__restrict__\s*)?(?P<name>\w+)"
)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel, as its source declares it."""

    name: str
    type: str
    pointer: bool
    const: bool


def sources() -> list[str]:
    """Return the names of the sources: all ``.cu`` files here but the prelude."""
    return sorted(path.stem for path in FOLDER.glob("*.cu") if path.stem != PRELUDE)


@cache
def text(source: str) -> str:
    """Return the text that is compiled for a source."""
    parts = []
    for name in (PRELUDE, source):
        parts += [f'#line 1 "{name}.cu"', (FOLDER / f"{name}.cu").read_text(encoding="utf-8")]
    return "\n".join(parts)


def options(dtype: str) -> tuple[str, ...]:
    """Return the compiler's options for arrays of a dtype, ``"float32"`` or ``"float64"``."""
    return (f"-DREAL={REALS[dtype]}", *OPTIONS)


@cache
def kernels(source: str) -> dict[str, tuple[Parameter, ...]]:
    """Return the kernels of a source, each with its parameters."""
    return kernels_in(text(source))


def kernels_in(code: str) -> dict[str, tuple[Parameter, ...]]:
    """Find the kernels in a text: ``extern "C" __global__ void name(parameters)``, written out without macros.

    >>> kernels_in('extern "C" __global__ void half(const real* x, real* y, index total) { ... }')["half"][0]
    Parameter(name='x', type='real', pointer=True, const=True)
    """
    code = _COMMENT.sub(" ", code)
    return {name: _parameters(name, between) for name, between in _KERNEL.findall(code)}


def _parameters(kernel: str, between: str) -> tuple[Parameter, ...]:
    found = []
    for declared in between.split(","):
        match = _PARAMETER.fullmatch(" ".join(declared.split()))
        if match is None:
            raise ValueError(
                f"the kernel {kernel} has a parameter that can't be read: {declared.strip()!r}; write `type name` or "
                "`const type* __restrict__ name`"
            )
        found.append(
            Parameter(match["name"], match["type"], match["star"] is not None, match["const"] is not None)
        )
    return tuple(found)
