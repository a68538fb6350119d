"""Mark your own kernels: what passes, the smallest case that fails, and the likely mistake.

FILE is a Python file (or a module's dotted name, or a folder of files) with functions of the lessons, such as conv2d
and conv2d_backward, in any subset. Each is called with many small cases and compared with the reference and with
numerical gradients: stride, padding, dilation and groups, maps that aren't square, slices and read-only arrays,
float32, ties, NaN, an empty batch. The file runs in a process of its own, with limits of time and memory.

The number of a lesson in front says which functions come first and which are still missing. The exit code is 0 if all
passes, 1 if something fails, and 2 after a wrong call.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from minisegnet.cli.options import duration

if TYPE_CHECKING:
    from minisegnet.marking import Limits, Report

EXAMPLES = """\
examples:
  minisegnet check 02 my_conv.py            lesson 2: conv2d and conv2d_backward
  minisegnet check my_kernels.py            whatever functions the file defines
  minisegnet check 05 class/*.py            one line for each file
  minisegnet check 05 class --json          a folder, for scripts: one JSON object a line
  minisegnet check --as-backend my_kernels.py   train the demo model with them
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "words",
        metavar="[LESSON] FILE",
        nargs="+",
        help="the lesson's number (optional), then files, folders or modules",
    )
    parser.add_argument(
        "--as-backend",
        action="store_true",
        help="mark the one file, then train the demo model with its kernels",
    )
    parser.add_argument(
        "--seconds",
        metavar="S",
        type=duration,
        default=10.0,
        help="how long one call may take (default: 10); the whole file may take 30 times that",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object for each file, a line each"
    )


def run(arguments: argparse.Namespace) -> int:
    """Mark, tell."""
    lesson, targets = _parted(arguments.words)
    try:
        targets = _files(targets)
        lesson_number = _lesson(lesson)
    except ValueError as error:
        print(f"minisegnet check: {error}", file=sys.stderr)
        return 2
    if arguments.as_backend and len(targets) != 1:
        print("minisegnet check: --as-backend takes one file", file=sys.stderr)
        return 2
    limits = _limits(arguments.seconds)
    reports = []
    for target in targets:
        try:
            reports.append(_marked(target, lesson_number, limits))
        except FileNotFoundError as error:
            print(f"minisegnet check: {error.filename}: {error.strerror}", file=sys.stderr)
            return 2
        _tell(reports[-1], alone=len(targets) == 1, as_json=arguments.json)
    if len(targets) > 1 and not arguments.json:
        print(f"\n{sum(report.passed for report in reports)} of {len(reports)} files pass")
    passed = all(report.passed for report in reports)
    if arguments.as_backend:
        from minisegnet.marking import as_backend

        trained: int = as_backend.run(targets[0], report=reports[0], as_json=arguments.json)
        return max(trained, 0 if passed else 1)
    return 0 if passed else 1


def _parted(words: list[str]) -> tuple[str | None, list[str]]:
    """Tell the lesson's number from the files."""
    if words[0].isdecimal() and not Path(words[0]).exists():
        return words[0], words[1:]
    return None, words


def _lesson(word: str | None) -> int | None:
    from minisegnet.marking.contract import expected

    if word is None:
        return None
    expected(int(word))
    return int(word)


def _files(targets: list[str]) -> list[str]:
    """Look into folders; raise where there is nothing to mark."""
    if not targets:
        raise ValueError("the file is missing; for example: minisegnet check 02 my_conv.py")
    found: list[str] = []
    for target in targets:
        if not Path(target).is_dir():
            found.append(target)
            continue
        inside = sorted(str(path) for path in Path(target).glob("*.py") if path.name != "__init__.py")
        if not inside:
            raise ValueError(f"{target} is a folder without Python files (*.py)")
        found += inside
    return found


def _limits(seconds: float) -> "Limits":
    from minisegnet.marking import Limits

    return Limits(importing=max(30.0, 3 * seconds), call=seconds, whole=30 * seconds)


def _marked(target: str, lesson: int | None, limits: "Limits") -> "Report":
    from minisegnet.marking import mark

    return mark(target, lesson, limits)


def _tell(report: "Report", alone: bool, as_json: bool) -> None:
    from minisegnet.marking.text import as_dict, as_line, as_text

    if as_json:
        print(json.dumps(as_dict(report)), flush=True)
    else:
        print(as_text(report) if alone else as_line(report), flush=True)
