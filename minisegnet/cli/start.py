"""Write a file with the functions of a lesson, for you to fill in, and for `check` to mark.

Each function says what it must do: the equation, the shapes, and a first example that is small enough for paper. LESSON
is a number or a name. Nothing is ever overwritten.
"""

import argparse
from pathlib import Path

EXAMPLES = """\
examples:
  minisegnet start 02                    my_convolution.py: conv2d and conv2d_backward
  minisegnet start 05 my_pooling.py      a name of your own
  minisegnet start bilinear              a lesson by its name
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "lesson", metavar="LESSON", help="number or name of a lesson, such as 02 or convolution"
    )
    parser.add_argument(
        "file", metavar="FILE", nargs="?", type=Path, help="the new file (default: my_ and the lesson's name)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the file and say what to do with it."""
    from minisegnet.files import write_atomically
    from minisegnet.marking import stubs
    from minisegnet.marking.contract import LESSONS
    from minisegnet.training.run import program

    number = stubs.number_of(arguments.lesson)
    file = arguments.file or Path(f"my_{stubs.NAMES[number]}.py")
    text = stubs.stub(number, file.name)
    _check_name(file)
    write_atomically(file, text)
    print(f"{file} is written. To be filled in: {', '.join(LESSONS[number])}")
    called = program()  # python stands beside it: .venv/bin/python, say
    python = f"{called.removesuffix('minisegnet')}python" if called.endswith("minisegnet") else "python"
    print(f"  {python} -m doctest {file}    tries their first examples")
    print(f"  {called} check {number:02} {file}    marks them")
    return 0


def _check_name(file: Path) -> None:
    """Refuse a name that is taken, or that Python couldn't import as the learner's."""
    import os
    import sys

    if os.path.lexists(file):  # a link that leads nowhere, too
        raise ValueError(
            f"{file} is there already, and nothing was changed; choose another name or move it away"
        )
    if file.suffix != ".py":
        raise ValueError(f"a Python file's name ends in .py; got {file}. Try {file.with_suffix('.py')}")
    if file.stem in sys.stdlib_module_names or file.stem in ("numpy", "minisegnet"):
        raise ValueError(
            f"a file named {file.name} would stand in the way of Python's own {file.stem!r}; try my_{file.name}"
        )
    if not file.parent.is_dir():
        raise ValueError(f"{file} can't be written: there is no folder {file.parent}; make it first")
