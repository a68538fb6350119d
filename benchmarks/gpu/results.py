"""Results of the kernels on hardware, for the run of the same sources on the CPU to be compared with.

The arguments aren't kept: they are drawn from a seed, as :mod:`benchmarks.cases` says.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import Case
from benchmarks.gpu.ops import fetched, placed
from benchmarks.measure import check_agreement, directions
from minisegnet import ops
from minisegnet.arrays import Array


def results(
    cases: Sequence[Case], backend: str, dtype: str
) -> Iterator[tuple[str, tuple[str, ...], tuple[Array, ...]]]:
    """Yield what the kernels of a backend return for each case at toy size: a name, the results' names, the results."""
    for case in cases:
        problem = case.problem("toy", dtype)
        with ops.use_backend("numpy"):
            saved = fetched(problem.forward.run())
        for direction in directions(problem):
            call = problem.forward if direction == "forward" else problem.backward(*saved)  # type: ignore[misc]
            with ops.use_backend(backend):
                yield (
                    f"{case.op} ({case.name}), {direction}, {dtype}",
                    call.returns,
                    fetched(placed(call).run()),
                )


def write(path: Path, cases: Sequence[Case], dtypes: Sequence[str] = ("float32", "float64")) -> None:
    """Write what the device returns."""
    kept: dict[str, Any] = {}
    for dtype in dtypes:
        for what, names, arrays in results(cases, "cupy", dtype):
            kept |= {f"{what}: {name}": a for name, a in zip(names, arrays, strict=False)}
    np.savez_compressed(path, **kept)


def compare(path: Path, cases: Sequence[Case], dtypes: Sequence[str] = ("float32", "float64")) -> int:
    """Compare what the CPU makes of the CUDA sources with a record; return how many arrays that were.

    A result that differs raises :class:`benchmarks.measure.Disagreement`.
    """
    count = 0
    with np.load(path, allow_pickle=False) as kept:
        for dtype in dtypes:
            for what, names, arrays in results(cases, "cuda-on-cpu", dtype):
                recorded = tuple(kept[f"{what}: {name}"] for name, _ in zip(names, arrays, strict=False))
                check_agreement(what, names, recorded, arrays, "the CPU", "the GPU", dtype)
                count += len(recorded)
    return count
