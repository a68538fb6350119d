"""Run every op on one picture on each backend that can run here, check that they agree, and draw the result.

The numpy backend is what the others are compared with. The reference backend is plain Python loops, slow on
purpose, and gets a small part of the picture only. With Numba, the first start on a machine compiles the kernels;
they are kept on disk, and later starts take a few seconds.
"""

import argparse
import itertools
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from minisegnet.cli import options

if TYPE_CHECKING:  # NumPy and all above it are imported when the command runs, so that --help is quick
    from minisegnet.cli.compare_cases import Measured
    from minisegnet.cli.compare_inputs import Picture

EXAMPLES = """\
examples:
  minisegnet compare                        all backends, picture in ./minisegnet-compare.png
  minisegnet compare --backend numba        only numba, compared with numpy
  minisegnet compare --seed 7 --out a.png   another picture, under another name
  minisegnet compare --json | tail -n 1     the result for a script
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
        default=Path("minisegnet-compare.png"),
        metavar="FILE",
        help="where the picture goes (default: minisegnet-compare.png here); an existing file is never "
        "overwritten, the new one gets a number",
    )
    parser.add_argument("--backend", metavar="NAME", help="run only this backend, compared with numpy")
    parser.add_argument(
        "--seed",
        type=options.whole,
        default=0,
        metavar="N",
        help="chooses the shapes in the picture (default: 0)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the result as one JSON object on the last line"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run, compare, draw, tell; the exit code is 1 if backends disagree."""
    from minisegnet.cli.compare_inputs import make_picture

    start = time.perf_counter()
    out = _checked_out(arguments.out)
    backends = _backends(arguments.backend)
    picture = make_picture(SIZE, arguments.seed)
    print(
        f"Every op on one picture of {SIZE[0]} x {SIZE[1]} pixels and its mirror image, forward and backward.\n"
    )
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


def _backends(only: str | None) -> list[str]:
    """Name the backends to run, numpy first: the others are compared with it."""
    from minisegnet import ops

    if only is None:
        others = (
            b for b in ops.BACKENDS if b not in ("numpy", "cuda-on-cpu")
        )  # that one is for tests, and slow
        return ["numpy", *(b for b in others if ops.why_not(b) is None)]
    reason = ops.why_not(only)
    if reason:
        raise ValueError(f"the backend {only!r} can't run: {reason}")
    return ["numpy"] if only == "numpy" else ["numpy", only]


# ---------------------------------------------------------------------------------------------------------
# Running and comparing


def _run_backend(backend: str, picture: "Picture") -> BackendRun:
    """Run all cases on a backend and say how long it took."""
    from minisegnet import ops
    from minisegnet.cli.compare_cases import cases, measure
    from minisegnet.cli.compare_inputs import busiest_part

    start = time.perf_counter()
    slow = backend == "reference"
    part = busiest_part(picture, SMALL_SIZE) if slow else picture
    results: dict[str, Measured] = {}
    with ops.use_backend(backend), _compilations(backend) as compilations:
        announced = False
        todo = cases(part)
        for number, case in enumerate(todo, start=1):
            _progress(f"{backend:<10} {number} of {len(todo)}: {case.op}")
            results[case.op] = measure(case, repeats=0 if slow else REPEATS)
            if compilations and not announced:
                announced = True
                _progress("")
                print(f"{backend:<10} compiles its kernels; later starts find them on disk ...", flush=True)
    _progress("")
    H, W = part.labels.shape
    seconds = time.perf_counter() - start
    where = f" on the {H} x {W} pixels that show most: it is plain loops" if slow else ""
    print(f"{backend:<10} {len(results)} ops in {seconds:.1f} s{where}", flush=True)
    return BackendRun(backend, (H, W), results, seconds)


def _progress(text: str) -> None:
    """Show on a terminal what is being done now, in a line that the next one replaces; empty text clears it."""
    if sys.stderr.isatty():
        print(f"\r{text:<50}\r", end="", file=sys.stderr, flush=True)


@contextmanager
def _compilations(backend: str) -> Iterator[Sized]:
    """Collect Numba's compilations while the block runs; reading a kernel from disk is none."""
    if backend != "numba":
        yield ()
        return
    from numba.core import event

    with event.install_recorder("numba:compile") as recorder:
        yield recorder.buffer


def _compare(picture: "Picture", runs: "list[BackendRun]") -> "Iterator[Comparison]":
    """Compare each backend's results with numpy's on the same pixels."""
    from minisegnet import ops
    from minisegnet.cli.compare_cases import cases, difference, measure
    from minisegnet.cli.compare_inputs import busiest_part

    numpy_run = runs[0]
    for other in runs[1:]:
        expected = numpy_run.results
        if other.size != numpy_run.size:
            with ops.use_backend("numpy"):
                expected = {
                    case.op: measure(case, repeats=0) for case in cases(busiest_part(picture, other.size))
                }
        for op, result in other.results.items():
            yield Comparison(op, other.backend, difference(expected[op], result))


# ---------------------------------------------------------------------------------------------------------
# Telling


def _table(runs: list[BackendRun], comparisons: list[Comparison]) -> str:
    """Lay out op x backend: milliseconds forward and backward, and the largest difference from numpy."""
    header = f"{'':<22}" + "".join(f"{run.backend:>18}" for run in runs) + f"{'largest':>14}"
    below = f"{'milliseconds':<22}" + f"{'fwd':>10}{'bwd':>8}" * len(runs) + f"{'difference':>14}"
    lines = [header, below]
    for op in runs[0].results:
        lines.append(
            f"{op:<22}" + "".join(_times(run.results[op]) for run in runs) + f"{_worst(op, comparisons):>14}"
        )
    if any(run.backend == "reference" for run in runs):
        share = runs[0].size[0] * runs[0].size[1] // (SMALL_SIZE[0] * SMALL_SIZE[1])
        lines.append(f"(reference: on a part of the picture, {share} times smaller)")
    return "\n".join(lines)


def _times(result: "Measured") -> str:
    backward = "-" if result.backward is None else f"{1e3 * result.backward:.2f}"
    return f"{1e3 * result.forward:>10.2f}{backward:>8}"


def _worst(op: str, comparisons: list[Comparison]) -> str:
    differences = [c.difference for c in comparisons if c.op == op]
    if not differences:
        return "-"
    worst = max(differences)
    return "none" if worst == 0 else f"{worst:.1e}" if math.isfinite(worst) else "DIFFERENT"


def _verdict(runs: list[BackendRun], comparisons: list[Comparison]) -> str:
    if not comparisons:
        return "Only numpy ran, so there was nothing to compare it with."
    *first, last = (run.backend for run in runs)
    names = f"{', '.join(first)} and {last}"
    worst = max(comparisons, key=lambda c: c.difference)
    if worst.difference <= TOLERANCE:
        return (
            f"{names} agree on all {len(runs[0].results)} ops: indices and masks are equal, and numbers differ by at "
            f"most {worst.difference:.1e} of the largest one ({worst.op}; {TOLERANCE:.0e} is allowed in float32)."
        )
    return f"{names} do not agree: the worst is {worst.op} on {worst.backend} ({_apart(worst)})."


def _apart(c: Comparison) -> str:
    if not math.isfinite(c.difference):
        return "shapes, indices or masks differ, or there is a NaN"
    return f"they differ by {c.difference:.1e} of the largest value; {TOLERANCE:.0e} is allowed"


def _what_next(path: Path) -> str:
    return f"""
Picture: {path}
Next:    minisegnet doctor                        what is installed, and what could make it faster
         minisegnet compare --seed 7              another picture
         pip install -e '.[test]' && pytest       the tests, in a clone of the project"""


def _summary(
    runs: list[BackendRun], comparisons: list[Comparison], path: Path, seconds: float
) -> dict[str, Any]:
    largest = max((c.difference for c in comparisons), default=None)
    agree = None if largest is None else largest <= TOLERANCE  # None: one backend alone, nothing to compare
    return {
        "ops": len(runs[0].results),
        "backends": [run.backend for run in runs],
        "agree": agree,
        "largest_difference": largest if largest is None or math.isfinite(largest) else None,
        "tolerance": TOLERANCE,
        "disagreements": [
            {"op": c.op, "backend": c.backend, "why": _apart(c)}
            for c in comparisons
            if not c.difference <= TOLERANCE
        ],
        "milliseconds": {
            run.backend: {op: [_ms(m.forward), _ms(m.backward)] for op, m in run.results.items()}
            for run in runs
        },
        "seconds": round(seconds, 3),
        "picture": str(path),
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1e3 * seconds, 4)


# ---------------------------------------------------------------------------------------------------------
# The picture's file


def _checked_out(out: Path) -> Path:
    """Check the file's name before the work begins."""
    if out.is_dir():
        out = out / "minisegnet-compare.png"
    if out.suffix.lower() != ".png":
        raise ValueError(f"--out is {str(out)!r}; expected a name that ends in .png")
    if not out.parent.is_dir():
        raise ValueError(
            f"--out is {str(out)!r}, but there is no folder {str(out.parent)!r}; create it first"
        )
    if not os.access(out.parent, os.W_OK):
        raise ValueError(f"--out is {str(out)!r}, but the folder {str(out.parent)!r} can't be written")
    return out


def _draw(picture: "Picture", runs: list[BackendRun], out: Path) -> Path:
    """Draw, and only when the picture is whole take a name for it."""
    from minisegnet.cli.compare_drawing import Timed, draw
    from minisegnet.files import write_atomically
    from minisegnet.viz.save import png

    content = png(draw(picture, {run.backend: Timed(run.size, run.results) for run in runs}))
    path = _claim(out)
    try:
        write_atomically(path, content)
    except BaseException:  # Ctrl-C too: an empty file is no picture
        path.unlink(missing_ok=True)
        raise
    return path


def _claim(out: Path) -> Path:
    """Take the first name that is free: name.png, name-2.png, name-3.png ... (no one else can get it then)."""
    for number in itertools.count(1):
        path = out if number == 1 else out.with_name(f"{out.stem}-{number}{out.suffix}")
        try:
            path.open("x").close()
        except FileExistsError:
            continue
        return path
    raise AssertionError("unreachable: numbers don't end")
