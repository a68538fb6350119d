"""Write synthetic pictures and their masks as a folder: something to try the other commands on.

The folder looks as one of your own would: images/, masks/ with a file of the same name for each picture, and
classes.txt.
"""

import argparse
from pathlib import Path

from minisegnet.cli import options

EXAMPLES = """\
examples:
  minisegnet sample-data streets my-folder                        40 pictures
  minisegnet sample-data cells slices --count 30 --size 512       as from a microscope
"""

COUNT = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("kind", metavar="KIND", help="shapes, cells or streets")
    parser.add_argument("folder", type=Path, metavar="DIR", help="where to write; made if it isn't there")
    options.add(parser, ("count", "size", "seed"))


def run(arguments: argparse.Namespace) -> int:
    """Write the folder and say what to do with it."""
    from minisegnet.data.synthetic import Synthetic
    from minisegnet.data.writing import write_folder
    from minisegnet.training.run import program

    told = options.told(arguments)
    pictures = Synthetic(arguments.kind, **{"count": COUNT, **told})
    folder = write_folder(pictures, arguments.folder)
    print(f"{len(pictures)} pictures and masks are in {folder}. Next: {program()} train {folder}")
    return 0
