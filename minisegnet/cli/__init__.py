"""The command line: ``minisegnet COMMAND``.

A new command is one line in ``COMMANDS`` and one file beside this one. The file has a docstring (the command's
description), ``EXAMPLES`` (shown below its help), ``add_arguments(parser)`` and ``run(arguments) -> exit code``.
Only the file of the command that was named is imported, so that help appears at once.
"""

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Sequence

from minisegnet import __version__

# The file of "check-something" is check_something.py.
COMMANDS = {
    "start": "write a file with the functions of a lesson, for you to fill in",
    "demo": "train a small network on synthetic pictures and show what it learned, in about a minute",
    "check-data": "look through pictures and masks for what is wrong with them, and draw them all on one sheet",
    "train": "train a model on a synthetic set or on a folder of pictures and masks",
    "predict": "label pictures with a trained model",
    "evaluate": "measure a trained model on labelled pictures",
    "export": "write a trained model as an ONNX file, for other programs",
    "import": "make a run of weights that were trained in PyTorch",
    "sample-data": "write synthetic pictures and masks as a folder, to try the other commands on",
    "diagnose": "say why a training doesn't learn, and what to try",
    "profile": "show where the time and memory of a training step go, layer by layer",
    "check": "mark your own kernels: what passes, the smallest case that fails, the likely mistake",
    "models": "list the models: parameters, receptive field, size of the result",
    "compare": "run every op on one picture on each backend, compare them and draw the result",
    "warmup": "compile Numba's kernels ahead, so that the first training starts at once",
    "doctor": "say what is installed, which backends can run and what to do about the others",
}
# "import" can't be the name of a file that Python imports.
FILES = {"import": "import_weights"}

EXAMPLES = """\
examples:
  minisegnet demo                   see what this is: a network that learns, a table and pictures
  minisegnet train my-folder        your own pictures: my-folder/images and my-folder/masks
  minisegnet doctor                 check the installation
  minisegnet train --help           what a command can do

MINISEGNET_BACKEND=numpy (or reference, numba, cupy) chooses the backend for one run.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    0 is success, 1 a failure (told on standard error), 2 a wrong call, 130 an interruption (Ctrl-C).

    Parameters
    ----------
    argv
        The words after the program's name; those of this process unless given.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if argv is None:  # this is a program of its own: a warning is for the person, not for a programmer
        warnings.formatwarning = lambda message, *place, **_: f"minisegnet: warning: {message}\n"
    try:
        parser = _parser(words)
        arguments = parser.parse_args(words)
        if arguments.command is None:
            parser.print_help(sys.stderr)
            return 2
        code: int = arguments.run(arguments)
        if sys.stdout is not None:  # it may be closed
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("minisegnet: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output (head, less) has gone; there is no one to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"minisegnet: {told(error)}", file=sys.stderr)
        return 1


def _parser(words: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="minisegnet",
        description="Image segmentation from the arithmetic up: kernels by hand, forward and backward.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"minisegnet {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    named = next((word for word in words if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        _add_command(commands, name, summary, load=name == named)
    return parser


def _add_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, summary: str, load: bool
) -> None:
    parser = commands.add_parser(
        name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    if load:
        module = importlib.import_module(f"minisegnet.cli.{FILES.get(name, name).replace('-', '_')}")
        parser.description = module.__doc__
        parser.epilog = module.EXAMPLES
        module.add_arguments(parser)
        parser.set_defaults(run=module.run)


def told(error: Exception) -> str:
    """Return what an error says, with what was noted on its way; lines stay lines, for they may be a layout."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return "\n".join([str(error), *getattr(error, "__notes__", [])])
