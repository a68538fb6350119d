"""Label pictures with a trained model.

RUN is the folder of a run (its best checkpoint is taken) or a checkpoint file. PICTURES are files, folders or patterns
such as 'photos/*.jpg'. Each picture gets a mask NAME.png of its own size, in which each pixel is the number of its
class (with the classes' colours as a palette), and NAME-overlay.png, the mask over the picture with a legend.

A picture of more than 2 million pixels is predicted in tiles, so that memory doesn't grow with it; this is said.

A picture that can't be read is named and left out; the others are labelled all the same, and the exit code is 1.
"""

import argparse
import glob
import math
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from minisegnet.cli import options

if TYPE_CHECKING:
    from minisegnet.arrays import Array
    from minisegnet.predictor import Predictor

EXAMPLES = """\
examples:
  minisegnet predict runs/demo-unet photo.png                  into runs/demo-unet/predictions
  minisegnet predict runs/mine photos --out masks              a folder of pictures
  minisegnet predict runs/mine 'photos/*.tif' --no-overlay     masks only
  minisegnet predict runs/mine slide.png --tile 512            in tiles of 512 x 512 pixels
  minisegnet predict runs/mine photos --probs --outlines       probabilities, and polygons as COCO JSON
"""

OVERLAY = "-overlay"  # what the name of an overlay ends in
PROBABILITIES = "-probs"
OUTLINES = "outlines.json"
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".npy")
MOST_PIXELS = 250_000_000
# Of a larger picture only every second, third ... pixel is drawn: an overlay is shown small anyway.
OVERLAY_PIXELS, OVERLAY_SIDE = 2**20, 2**13


class Wanted(NamedTuple):
    """What shall come out, and how."""

    overlay: bool
    probabilities: bool
    tile: tuple[int, int] | None
    max_pixels: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run_or_checkpoint", metavar="RUN", help="folder of a run, or a checkpoint file")
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="file, folder or pattern")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where masks go; files that are there already are never overwritten (default: RUN/predictions, or "
        "RUN/predictions-2 ...)",
    )
    parser.add_argument("--no-overlay", action="store_true", help="write no overlays")
    parser.add_argument(
        "--probs",
        action="store_true",
        help="write NAME-probs.npy, too: the probability of each class, (classes, H, W) float16",
    )
    outlines = parser.add_mutually_exclusive_group()
    outlines.add_argument(
        "--outlines",
        action="store_const",
        const="polygons",
        help=f"write {OUTLINES}, too: one COCO file for all pictures, with polygons and their holes",
    )
    outlines.add_argument(
        "--outlines-rle",
        action="store_const",
        const="rle",
        dest="outlines",
        help="the same with run lengths instead, for programs that can't read holes in polygons",
    )
    parser.add_argument(
        "--tile",
        nargs="?",
        const=(),
        type=tile_size,
        metavar="SIZE",
        help="predict in tiles, of this size if given, such as 512 or 512x1024 (default: only pictures of more than 2 "
        "million pixels, in tiles that suit the model)",
    )
    parser.add_argument(
        "--max-pixels",
        type=options.whole,
        default=MOST_PIXELS,
        metavar="N",
        help="refuse larger pictures before they are unpacked (default: 250 million)",
    )
    parser.add_argument("--backend", metavar="NAME", help=options.OPTIONS["backend"].help)


def tile_size(text: str) -> tuple[int, int]:
    """Read the size of a tile, or say what to do where a picture came instead."""
    try:
        return options.pair(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}; without a size, write --tile at the end") from None


def run(arguments: argparse.Namespace) -> int:
    """Predict each picture and say what was written."""
    from minisegnet.predictor import load
    from minisegnet.training.compiling import compilations_on_stderr
    from minisegnet.training.run import using_backend

    with using_backend(arguments.backend or None), compilations_on_stderr():
        predictor = load(arguments.run_or_checkpoint).fold()
        wanted = Wanted(
            overlay=not arguments.no_overlay,
            probabilities=arguments.probs,
            tile=_tile(predictor, arguments.tile),
            max_pixels=arguments.max_pixels,
        )
        found, missing = find(arguments.pictures)
        todo = list(named(found))
        for word in missing:
            complain(word, "there is no picture there; expected a file, a folder or a pattern")
        folder = _folder(arguments, [name for name, _ in todo])
        failed = len(missing) + label_all(predictor, todo, folder, wanted, arguments.outlines)
    done = len(todo) + len(missing) - failed
    print(f"{done} of {len(todo) + len(missing)} labelled{f', in {folder}' if done else ''}")
    if not done and arguments.out is None and todo:
        folder.rmdir()  # nothing went into it
    return 1 if failed else 0


def _tile(predictor: "Predictor", told: tuple[int, ...] | None) -> tuple[int, int] | None:
    """Return the size of the tiles that was asked for; a wrong one is an error now, and not one for each picture."""
    if told is None:
        return None
    tile = (told[0], told[1]) if told else (predictor.default_tile(), predictor.default_tile())
    predictor.tiles((1, 1), tile)
    return tile


def _folder(arguments: argparse.Namespace, names: list[str]) -> Path:
    """Make the folder where results go."""
    from minisegnet.training import run_folder

    if arguments.out is None:
        path = Path(arguments.run_or_checkpoint)
        parent = path if path.is_dir() else path.parent
        return run_folder.new_run(parent, "predictions") if names else parent
    folder: Path = arguments.out
    if names:
        folder.mkdir(parents=True, exist_ok=True)
        refuse_overwriting(folder, names, also=OUTLINES if arguments.outlines else None)
    return folder


def complain(picture: Path | str, words: str) -> None:
    """Say on standard error what is wrong with a picture."""
    print(f"minisegnet: {picture}: {words}", file=sys.stderr)


def label_all(
    predictor: "Predictor", todo: list[tuple[str, Path]], folder: Path, wanted: Wanted, outlines: str | None
) -> int:
    """Label pictures one after the other; return how many couldn't be."""
    from minisegnet.data.coco_outlines import CocoOutlines
    from minisegnet.files import write_atomically

    gathered = CocoOutlines(predictor.class_names, form=outlines) if outlines else None
    base = os.path.commonpath([picture.parent.absolute() for _, picture in todo]) if todo else ""
    failed = 0
    for name, picture in todo:
        try:
            told = label(predictor, picture, folder / name, wanted)
            if gathered:
                gathered.add(picture.absolute().relative_to(base).as_posix(), told.labels)
            shares = told.shares
            del told  # or it would be there still while the next picture is unpacked
        except (ValueError, OSError, MemoryError) as error:
            failed += 1
            for result in results(name):
                (folder / result).unlink(missing_ok=True)  # those of its results that were written before
            complain(picture, _told(error).removeprefix(f"{picture}: ").removeprefix(f"{picture} "))
            continue
        print(f"{picture}: {shares}", flush=True)
    if gathered and failed < len(todo):
        write_atomically(folder / OUTLINES, gathered.json())
    return failed


def _told(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"there isn't enough memory for it; try smaller tiles: --tile 256 {error}".strip()
    return " ".join(str(error).split())


# ---------------------------------------------------------------------------------------------------------
# One picture


class Labelled(NamedTuple):
    """What one picture came to."""

    labels: "Array"
    shares: str  # which classes it has, the largest first


def label(predictor: "Predictor", picture: Path, target: Path, wanted: Wanted) -> Labelled:
    """Write one picture's results."""
    from minisegnet.data.reading import read_header, read_image, write_mask

    header = read_header(picture, max_pixels=wanted.max_pixels)
    predictor.check_shape((*header.size, header.channels))  # before anything is unpacked
    image = read_image(picture, max_pixels=wanted.max_pixels)
    H, W = image.shape[:2]
    cut = predictor.tiles((H, W), wanted.tile)
    if cut and (wanted.tile or _is_large(H, W)):
        print(f"{picture}: {H} x {W} pixels, in {cut}", flush=True)
    labels, counts = predict(predictor, image, target, wanted)
    if wanted.overlay:
        write_overlay(predictor, image, labels, target.with_name(f"{target.name}{OVERLAY}.png"))
    del image  # before the mask is packed
    write_mask(target.with_name(f"{target.name}.png"), labels, predictor.palette)
    shares = sorted(zip((counts / counts.sum()).tolist(), predictor.class_names, strict=True), reverse=True)
    return Labelled(labels, ", ".join(f"{name} {100 * share:.1f} %" for share, name in shares if share > 0))


def _is_large(H: int, W: int) -> bool:
    from minisegnet.predictor import LARGE

    return H * W > LARGE


def predict(predictor: "Predictor", image: "Array", target: Path, wanted: Wanted) -> "tuple[Array, Array]":
    """Predict a picture part by part; return its labels and the number of pixels of each class."""
    import numpy as np

    from minisegnet.data.npy_parts import written_npy

    C = len(predictor.class_names)
    labels = np.zeros(image.shape[:2], predictor.label_type)
    counts = np.zeros(C, np.int64)
    done = 0
    with ExitStack() as stack:
        file = None
        if wanted.probabilities:
            path = target.with_name(f"{target.name}{PROBABILITIES}.npy")
            file = stack.enter_context(written_npy(path, (C, *image.shape[:2]), np.float16))
        for piece in predictor.pieces(image, tile=wanted.tile):
            part = predictor.labels(piece.scores)
            labels[piece.rows, piece.columns] = part
            counts += np.bincount(part.ravel(), minlength=C)
            if file:
                file.put(piece.rows, piece.columns, predictor.probabilities_of(piece.scores))
            done += part.size
            show_progress(done, labels.size)
    return labels, counts


def show_progress(done: int, pixels: int) -> None:
    """Say on a terminal how much of a large picture is done, in a line that the next one replaces."""
    if sys.stderr is not None and sys.stderr.isatty() and _is_large(1, pixels):
        print(
            f"{100 * done / pixels:3.0f} %",
            end="\r" if done < pixels else "\r    \r",
            file=sys.stderr,
            flush=True,
        )


def write_overlay(predictor: "Predictor", image: "Array", labels: "Array", path: Path) -> None:
    """Draw the labels over the picture; of a large one only every second, third ... pixel."""
    from minisegnet import viz

    step = math.ceil(max(math.sqrt(labels.size / OVERLAY_PIXELS), max(labels.shape) / OVERLAY_SIDE))
    small, shown = image[::step, ::step], labels[::step, ::step]
    viz.save(viz.overlay_with_legend(small, shown, predictor.palette, predictor.class_names), path)


# ---------------------------------------------------------------------------------------------------------
# Names


def find(words: list[str]) -> tuple[list[Path], list[str]]:
    """List the pictures that files, folders and patterns stand for, each once; and the words that stand for none."""
    found: dict[Path, None] = {}
    missing = []
    for word in words:
        path = Path(word)
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
        elif path.exists():
            inside = [path]
        else:
            inside = sorted(Path(p) for p in glob.glob(word))
        if not inside:
            missing.append(word)
        found |= dict.fromkeys(inside)
    return list(found), missing


def named(pictures: list[Path]) -> Iterator[tuple[str, Path]]:
    """Give each picture the name of its result: its own stem, with a number where two have the same."""
    taken: set[str] = set()
    for picture in pictures:
        name, number = picture.stem, 1
        while taken & {name, name + OVERLAY}:
            number += 1
            name = f"{picture.stem}-{number}"
        taken |= {name, name + OVERLAY}
        yield name, picture


def results(name: str) -> list[str]:
    """List the files that can come out for one picture."""
    return [f"{name}.png", f"{name}{OVERLAY}.png", f"{name}{PROBABILITIES}.npy"]


def refuse_overwriting(folder: Path, names: list[str], *, also: str | None = None) -> None:
    """Raise where a result would replace a file."""
    there = [r for name in names for r in results(name) if (folder / r).exists()]
    if also is not None and (folder / also).exists():
        there.append(also)
    if there:
        more = f" and {len(there) - 3} more" if len(there) > 3 else ""
        raise ValueError(
            f"{folder} already has {', '.join(there[:3])}{more}; name another folder by --out, or move them away"
        )
