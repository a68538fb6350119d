"""What ``python -m benchmarks ops`` does, once the number of threads is set."""

import argparse
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from time import perf_counter
from typing import Any

from benchmarks import cases, machine, measure, report, roofline
from minisegnet import ops as kernels

CPU_BACKENDS = ("numpy", "numba")


def ops(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Measure, print while measuring, and write the record; return the exit status."""
    scale: cases.Scale = "toy" if options.reference_toy else "quick" if options.quick else "full"
    try:
        chosen = cases.select(options.ops, scale)
        backends = choose_backends(options.backends)
    except ValueError as error:
        print(f"error: {error}")
        return 2
    if options.reference_toy:
        backends.insert(0, "reference")
    settings = measure.Settings(dtype=options.dtype, scale=scale, repeats=options.repeats)
    torch = None if options.no_torch else measure.torch_peer(options.threads)
    start = perf_counter()
    try:
        record = measure_ops(chosen, backends, torch, settings, options.threads)
    except measure.Disagreement as error:
        print(f"error: the backends disagree, so nothing more was timed.\n{error}")
        return 1
    record["command"] = " ".join(["python -m benchmarks", *arguments])
    record["numba_cache"] = "empty at the start" if options.cold else "as it was found"
    record["seconds"] = round(perf_counter() - start, 1)
    for path in report.write(record, options.out, "ops"):
        print(f"wrote {path}")
    return 0


def choose_backends(names: Sequence[str] | None) -> list[measure.Backend]:
    """Return the backends to measure; a named one that can't run here raises and says why."""
    if names is None:
        return [name for name in CPU_BACKENDS if kernels.why_not(name) is None]
    for name in names:
        if name not in CPU_BACKENDS:
            raise ValueError(f"--backends takes {' and '.join(CPU_BACKENDS)}; got {name!r}")
        if reason := kernels.why_not(name):
            raise ValueError(f"the backend {name!r} can't run: {reason}")
    return list(dict.fromkeys(names))


def measure_ops(
    chosen: Sequence[cases.Case],
    backends: Sequence[measure.Backend],
    torch: measure.TorchPeer | None,
    settings: measure.Settings,
    threads: int,
) -> dict[str, Any]:
    """Measure the cases, print each when it is done, and return the record."""
    names = [measure.name_of(backend) for backend in backends]
    if "numba" in names:
        set_numba_threads(threads)
    for backend in backends:
        measure.warm_up(backend, settings.dtype)
    runners = [*names, "torch"] if torch else names
    ceilings = roofline.measure(settings.dtype, threads)
    record: dict[str, Any] = {
        "schema": 1,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "threads": {"asked for": threads, **actual_threads(names, torch)},
        "settings": {"dtype": settings.dtype, "scale": settings.scale, "repeats": settings.repeats},
        "runners": runners,
        "baseline": "torch" if torch else names[0],
        "memory": machine.why_no_memory() or report.MEMORY_MEANS,
        "roofline": {
            "flops_per_s": ceilings.flops,
            "bytes_per_s": ceilings.bandwidth,
            "first_touch_s": roofline.first_touch(),
            "wake_up_s": roofline.wake_up(threads),
        },
        "rows": [],
    }
    print(report.heading(record), end="\n\n")
    print(report.table_head())
    for case in chosen:
        rows = measure.measure(case, backends, torch, settings, ceilings)
        record["rows"] += rows
        for row in rows:
            print(report.table_lines(record, row), flush=True)
    print("\n" + report.summary(record))
    return record


def set_numba_threads(threads: int) -> None:
    """Give Numba its threads (it can't have more than it was started with)."""
    numba: Any = import_module("numba")
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))


def actual_threads(names: Sequence[str], torch: measure.TorchPeer | None) -> dict[str, Any]:
    """Ask the libraries how many threads they have."""
    found: dict[str, Any] = {"BLAS variable": os.environ.get("OPENBLAS_NUM_THREADS", "not set")}
    if "numba" in names:
        numba: Any = import_module("numba")
        found["numba"] = numba.get_num_threads()
        with suppress(ValueError):  # unknown where nothing ran in parallel, as with NUMBA_DISABLE_JIT
            found["numba layer"] = numba.threading_layer()
    if torch:
        found["torch"] = torch.torch.get_num_threads()
    return found
