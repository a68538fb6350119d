"""Run every op on one picture on each backend that can run here, check that they agree, and draw the result.

The numpy backend is what the others are compared with. The reference backend is plain Python loops, slow on
purpose, and gets a small part of the picture only. With Numba, the first start on a machine compiles the kernels;
they are kept on disk, and later starts take a few seconds.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol

if TYPE_CHECKING:  # NumPy and all above it are imported when the command runs, so that --help is quick
    from minisegnet.cli.demo_cases import Measured
    from minisegnet.cli.demo_picture import Picture

EXAMPLES = """\
examples:
  minisegnet demo                        all backends, picture in ./minisegnet-demo.png
  minisegnet demo --backend numba        only numba, compared with numpy
  minisegnet demo --seed 7 --out a.png   another picture, under another name
  minisegnet demo --json | tail -n 1     the result for a script
"""

SIZE = (96, 128)  # rows and columns of the picture
SMALL_SIZE = (24, 32)  # the part that the reference backend gets
TOLERANCE = 1e-4  # float32: differences as a part of the largest value; sums in another order give about 1e-6
REPEATS = 5


class BackendRun(NamedTuple):
    """What all cases gave on one backend."""

    backend: str
    size: tuple[int, int]  # of the picture that it was given
    results: "dict[str, Measured]"  # by the op's name
    seconds: float


class Comparison(NamedTuple):
    """How far one op's result is from numpy's."""

    op: str
    backend: str
    difference: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("minisegnet-demo.png"),
        metavar="FILE",
        help="where the picture goes (default: minisegnet-demo.png here); an existing file is never "
        "overwritten, the new one gets a number",
    )
    parser.add_argument("--backend", metavar="NAME", help="run only this backend, compared with numpy")
    parser.add_argument("--seed", type=_seed, default=0, help="chooses the shapes in the picture (default: 0)")
    parser.add_argument(
        "--json", action="store_true", help="print the result as one JSON object on the last line"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run, compare, draw, tell; the exit code is 1 if backends disagree."""
    from minisegnet.cli.demo_picture import make_picture

    start = time.perf_counter()
    out = _checked_out(arguments.out)
    backends = _backends(arguments.backend)
    picture = make_picture(SIZE, arguments.seed)
    print(f"Every op on one picture of {SIZE[0]} x {SIZE[1]} pixels and its mirror image, forward and backward.\n")
    runs = [_run_backend(name, picture) for name in backends]
    comparisons = list(_compare(picture, runs))
    print(f"\n{_table(runs, comparisons)}\n")
    path = _draw(picture, runs, out)
    disagreements = [c for c in comparisons if not c.difference <= TOLERANCE]
    print(_verdict(runs, comparisons))
    print(_what_next(path))
    if arguments.json:
        print(json.dumps(_summary(runs, comparisons, path, time.perf_counter() - start)))
    for c in disagreements:
        print(f"minisegnet: {c.backend} disagrees with numpy in {c.op} ({_apart(c)})", file=sys.stderr)
    return 1 if disagreements else 0


def _seed(text: str) -> int:
    try:
        seed = int(text)
    except ValueError:
        seed = -1
    if seed < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return seed


def _backends(only: str | None) -> list[str]:
    """Name the backends to run, numpy first: the others are compared with it."""
    from minisegnet import ops

    if only is None:
        return sorted((b for b in ops.BACKENDS if ops.why_not(b) is None), key=["numba", "numpy"].index)
    reason = ops.why_not(only)
    if reason:
        raise ValueError(f"the backend {only!r} can't run: {reason}")
    return ["numpy"] if only == "numpy" else ["numpy", only]


# ---------------------------------------------------------------------------------------------------------
# Running


def _run_backend(backend: str, picture: "Picture") -> BackendRun:
    """Run all cases on a backend and say how long it took."""
    from minisegnet import ops
    from minisegnet.cli.demo_cases import cases, measure
    from minisegnet.cli.demo_picture import crop

    start = time.perf_counter()
    slow = backend == "reference"
    if slow:
        picture = crop(picture, SMALL_SIZE)
    results: dict[str, Measured] = {}
    with ops.use_backend(backend), _compilations(backend) as compiled:
        announced = False
        for case in cases(picture):
            results[case.op] = measure(case, repeats=0 if slow else REPEATS)
            if compiled and not announced:
                print("numba      is compiling its kernels, this first time only ...", flush=True)
                announced = True
    size = picture.labels.shape
    seconds = time.perf_counter() - start
    note = f" (on the middle {size[0]} x {size[1]} pixels)" if slow else ""
    print(f"{backend:<10} ran {len(results)} ops in {seconds:.1f} s{note}", flush=True)
    return BackendRun(backend, (size[0], size[1]), results, seconds)
