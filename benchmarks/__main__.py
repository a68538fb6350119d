"""The command line. It sets the number of threads before NumPy is imported, so it imports nothing heavy."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import set_threads

RESULTS = Path(__file__).parent / "results"
LOCAL_RESULTS = RESULTS / "local"  # ignored by git


def parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure minisegnet's kernels and trainings."
    )
    commands = top.add_subparsers(dest="command", required=True)
    ops = commands.add_parser("ops", help="every op, forward and backward, backends side by side")
    ops.add_argument("--ops", nargs="+", metavar="OP", help="only these, such as conv2d max_pool2d")
    ops.add_argument(
        "--backends", nargs="+", metavar="NAME", help="numpy, numba or both (default: all that can run here)"
    )
    ops.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    ops.add_argument("--repeats", type=_positive, default=7, help="of each call (default: %(default)s)")
    ops.add_argument(
        "--threads", type=_positive, default=2, help="of every library alike (default: %(default)s)"
    )
    ops.add_argument("--quick", action="store_true", help="few ops, small shapes: does the tool work?")
    ops.add_argument(
        "--reference-toy", action="store_true", help="time the plain loops too, all at a few pixels' size"
    )
    ops.add_argument(
        "--cold", action="store_true", help="compile anew instead of loading Numba's kernels from the disk"
    )
    ops.add_argument("--no-torch", action="store_true", help="leave PyTorch out even if it is installed")
    ops.add_argument(
        "--out", type=Path, default=LOCAL_RESULTS, metavar="DIR", help="folder of the record (%(default)s)"
    )
    _add_models(commands.add_parser("models", help="whole networks: a training step, and inference"))
    _add_scaling(commands.add_parser("scaling", help="time of a step over pixels and batch, 1 and 2 threads"))
    _add_errors(commands.add_parser("errors", help="float32 against float64, ops and networks"))
    picture = commands.add_parser(
        "picture", help="pictures and the page on speed, from the committed records"
    )
    picture.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="folder of the records")
    picture.add_argument(
        "--check", action="store_true", help="write nothing; say whether the page is up to date"
    )
    recipes = commands.add_parser("recipes", help="trainings on small folders: steps, minutes and scores")
    recipes.add_argument("--first", type=_positive, metavar="N", help="only the first so many")
    recipes.add_argument("--steps", type=_positive, metavar="N", help="so few steps: does the tool work?")
    recipes.add_argument(
        "--threads", type=_positive, default=2, help="of every library alike (default: %(default)s)"
    )
    recipes.add_argument(
        "--out", type=Path, default=LOCAL_RESULTS, metavar="DIR", help="folder of the record (%(default)s)"
    )
    gpu = commands.add_parser(
        "gpu", help="on a machine with an NVIDIA GPU: are the CUDA kernels right, how fast?"
    )
    gpu.add_argument(
        "--changed", action="store_true", help="only name the kernels that no GPU has run as they are now"
    )
    gpu.add_argument("--ops", nargs="+", metavar="OP", help="time only these, such as conv2d max_pool2d")
    gpu.add_argument("--no-suite", action="store_true", help="leave the tests out")
    gpu.add_argument("--toy", action="store_true", help="tiny sizes: does the tool work?")
    gpu.add_argument(
        "--threads", type=_positive, default=2, help="of every library alike (default: %(default)s)"
    )
    gpu.add_argument(
        "--out", type=Path, default=RESULTS, metavar="DIR", help="folder of the record (%(default)s)"
    )
    return top


def _add_models(models: argparse.ArgumentParser) -> None:
    models.add_argument("--networks", nargs="+", metavar="NAME", help="only these, such as unet segnet fcn8s")
    models.add_argument("--backends", nargs="+", metavar="NAME", help="numpy, numba or both (default: numba)")
    models.add_argument("--no-torch", action="store_true", help="leave PyTorch out even if it is installed")
    models.add_argument("--no-compile", action="store_true", help="leave torch.compile out: it takes minutes")
    _add_common(models)


def _add_scaling(scaling: argparse.ArgumentParser) -> None:
    scaling.add_argument("--backends", nargs=1, metavar="NAME", help="numpy or numba (default: numba)")
    _add_common(scaling)


def _add_errors(errors: argparse.ArgumentParser) -> None:
    errors.add_argument("--ops", nargs="+", metavar="OP", help="only these, and no networks")
    errors.add_argument("--no-torch", action="store_true", help="leave PyTorch out even if it is installed")
    _add_common(errors, timed=False)


def _add_common(command: argparse.ArgumentParser, *, timed: bool = True) -> None:
    if timed:
        command.add_argument(
            "--repeats", type=_positive, default=15, help="of each call (default: %(default)s)"
        )
    command.add_argument(
        "--quick", action="store_true", help="small networks and pictures: does the tool work?"
    )
    command.add_argument(
        "--threads", type=_positive, default=2, help="of every library alike (default: %(default)s)"
    )
    command.add_argument(
        "--out", type=Path, default=LOCAL_RESULTS, metavar="DIR", help="folder of the record (%(default)s)"
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = parser().parse_args(arguments)
    if "numpy" in sys.modules:
        print("NumPy is loaded already, so its threads can't be set any more: run python -m benchmarks")
        return 2
    with set_threads(getattr(options, "threads", 2), cold=getattr(options, "cold", False)):
        from benchmarks import errors, models, picture, recipes, run, scaling

        if options.command == "gpu":
            from benchmarks.gpu import command as gpu

            return gpu.run(options, arguments)
        chosen = {
            "ops": run.ops,
            "models": models.command,
            "scaling": scaling.command,
            "errors": errors.command,
            "picture": picture.command,
            "recipes": recipes.run,
        }
        return chosen[options.command](options, arguments)


if __name__ == "__main__":
    sys.exit(main())
