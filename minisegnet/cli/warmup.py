"""Compile Numba's kernels ahead, so that the first training or prediction starts at once.

Numba compiles a kernel when it is first needed and keeps it on disk, for this processor and this version. At the first
`demo` that takes up to a minute. Here it is done in one go, for all models. What is there already takes no time.
"""

import argparse
import time

EXAMPLES = """\
examples:
  minisegnet warmup                                  what the models' training and prediction need
  minisegnet warmup --all                            every op, in float64 too: some minutes
  NUMBA_CACHE_DIR=/srv/kernels minisegnet warmup     into another folder (set it later on, too)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--all", action="store_true", help="every op, in float32 and float64")


def run(arguments: argparse.Namespace) -> int:
    """Compile and say what was done."""
    from minisegnet import ops
    from minisegnet.cli.doctor import numba_cache
    from minisegnet.training import Display
    from minisegnet.training.compiling import compilations
    from minisegnet.warmup import everything_ahead, models_ahead

    reason = ops.why_not("numba")
    if reason:
        raise ValueError(f"only Numba's kernels are compiled ahead, and it can't run here: {reason}")
    cache = numba_cache()
    if cache is None:
        raise ValueError("NUMBA_DISABLE_JIT is set, so that nothing is compiled; unset it")
    if not cache["writable"]:
        raise ValueError(
            f"Numba can't write to {cache['folder']}, so that nothing would be kept; set NUMBA_CACHE_DIR to a "
            "folder of yours"
        )
    began, display, compiled = time.perf_counter(), Display(), []

    def tell(kernel: str) -> None:
        compiled.append(kernel)
        display.compiling(kernel)

    try:
        with ops.use_backend("numba"), compilations(tell):
            for _ in everything_ahead() if arguments.all else models_ahead():
                pass
    finally:
        display.clear()
    what = "every op in float32 and float64" if arguments.all else "all models in float32"
    done = f"{len(compiled)} kernels compiled" if compiled else "nothing was left to compile"
    print(f"{what}: {done}, {time.perf_counter() - began:.0f} seconds\nkept in {cache['folder']}")
    return 0
