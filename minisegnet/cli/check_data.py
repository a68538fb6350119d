"""Look through pictures and masks before training: what is there, and what is wrong with it.

DIR is a folder of pictures and masks in any layout that `train` reads. Every problem is listed, each with what was
found, why it matters and what to do: errors, which training refuses; warnings, with which it learns less or measures
wrongly; and notes. A contact sheet shows the pictures with their masks on top.

The exit code is 0 if there are no errors, 1 if there are (with --strict also for warnings), and 2 after a wrong call.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minisegnet.cli.options import whole

if TYPE_CHECKING:
    from minisegnet.data.checking.check import Checked

EXAMPLES = """\
examples:
  minisegnet check-data my-folder                  the findings, and a contact sheet in runs/
  minisegnet check-data my-folder --write-classes  name the values of black and white masks in classes.txt
  minisegnet check-data my-folder --strict --json  for scripts: all on the last line, warnings fail
"""

SHEET, FINDINGS = "contact-sheet.png", "findings.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("data", metavar="DIR", type=Path, help="folder of pictures and masks")
    parser.add_argument(
        "--out",
        metavar="DIR",
        default="runs",
        help="where the folder with the contact sheet goes (default: runs); nothing is overwritten",
    )
    parser.add_argument("--no-sheet", action="store_true", help="draw no contact sheet, write nothing")
    parser.add_argument(
        "--write-classes",
        action="store_true",
        help="write the proposed lines into classes.txt, if there is none",
    )
    parser.add_argument("--strict", action="store_true", help="warnings, too, make the exit code 1")
    parser.add_argument("--all", action="store_true", help="name all files and values, not only the first")
    parser.add_argument(
        "--max-pixels", metavar="N", type=whole, help="refuse larger files unread (default: 250 million)"
    )
    parser.add_argument("--json", action="store_true", help="print all as one JSON object on the last line")


def run(arguments: argparse.Namespace) -> int:
    """Check, draw, tell."""
    from minisegnet.cli.check_data_text import as_dict, as_text

    if not arguments.data.is_dir():
        print(
            f"minisegnet check-data: {arguments.data} is no folder; expected one of pictures and masks",
            file=sys.stderr,
        )
        return 2
    checked = _check(arguments)
    written = _write_classes(checked) if arguments.write_classes else None
    if written is not None:
        checked = _check(arguments)
    facts = {**as_dict(checked), "classes_written": str(written) if written else None}
    folder = None if arguments.no_sheet else _draw(checked, arguments.out, facts)
    print(as_text(checked, everything=arguments.all))
    if written is not None:
        print(f"\n{written} is new: change its names as you like")
    elif checked.labels.proposal:
        print(f"\n--write-classes writes these lines into {checked.root / 'classes.txt'}")
    if folder is not None:
        print(f"\n{SHEET} and {FINDINGS} are in {folder}")
    if arguments.json:
        print(json.dumps({**facts, "contact_sheet": str(folder / SHEET) if folder else None}), flush=True)
    return 1 if checked.of("error") or (arguments.strict and checked.of("warning")) else 0


def _check(arguments: argparse.Namespace) -> "Checked":
    from minisegnet.data.checking.check import check_data
    from minisegnet.data.reading import MOST_PIXELS

    most = MOST_PIXELS if arguments.max_pixels is None else arguments.max_pixels
    checked = check_data(arguments.data, max_pixels=most, progress=_tell)
    _tell(0)
    return checked


def _tell(done: int) -> None:
    """Show a person how far it is; 0 clears the line."""
    if sys.stderr is not None and sys.stderr.isatty():
        print(f"\r{f'{done} pictures' if done else '':20}\r", end="", file=sys.stderr, flush=True)


def _write_classes(checked: "Checked") -> Path | None:
    """Write the proposed classes.txt; return it, or None where there is nothing to write."""
    from minisegnet.data.descriptions import describe
    from minisegnet.files import write_atomically

    if not checked.labels.proposal or checked.layout is None or describe(checked.layout.root) is not None:
        return None
    path = checked.layout.root / "classes.txt"
    write_atomically(path, "".join(f"{line}\n" for line in checked.labels.proposal))
    return path


def _draw(checked: "Checked", out: str, facts: dict[str, Any]) -> Path | None:
    """Draw the contact sheet into a new folder; return that, or None where there is nothing to draw."""
    from minisegnet import files
    from minisegnet.training.run_folder import new_run
    from minisegnet.viz import save
    from minisegnet.viz.data_sheet import data_sheet

    if not checked.pairs:
        return None
    figure = data_sheet(checked)
    folder = new_run(out, f"check-{checked.root.resolve().name}")
    save(figure, folder / SHEET)
    files.write_atomically(folder / FINDINGS, json.dumps(facts, indent=1) + "\n")
    return folder
