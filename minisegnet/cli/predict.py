"""Label pictures with a trained model.

RUN is the folder of a run (its best checkpoint is taken) or a checkpoint file. PICTURES are files, folders or patterns
such as 'photos/*.jpg'. Each picture gets a mask NAME.png of its own size, in which each pixel is the number of its
class (with the classes' colours as a palette), and NAME-overlay.png, the mask over the picture with a legend.

A picture that can't be read is named and left out; the others are labelled all the same, and the exit code is 1.
"""

import argparse
import glob
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from minisegnet.cli import options

if TYPE_CHECKING:
    from minisegnet.predictor import Predictor

EXAMPLES = """\
examples:
  minisegnet predict runs/demo-unet photo.png                  into runs/demo-unet/predictions
  minisegnet predict runs/mine photos --out masks              a folder of pictures
  minisegnet predict runs/mine 'photos/*.tif' --no-overlay     masks only
"""

OVERLAY = "-overlay"  # what the name of an overlay ends in
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".npy")


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
    parser.add_argument("--no-overlay", action="store_true", help="write masks only")
    parser.add_argument("--backend", metavar="NAME", help=options.OPTIONS["backend"].help)


def run(arguments: argparse.Namespace) -> int:
    """Predict each picture and say what was written."""
    from minisegnet.predictor import load
    from minisegnet.training import run_folder
    from minisegnet.training.run import using_backend

    with using_backend(arguments.backend or None):
        predictor = load(arguments.run_or_checkpoint)
        found, missing = find(arguments.pictures)
        todo = list(named(found))
        for word in missing:
            complain(word, "there is no picture there; expected a file, a folder or a pattern")
        folder = arguments.out
        if folder is None and todo:
            path = Path(arguments.run_or_checkpoint)
            folder = run_folder.new_run(path if path.is_dir() else path.parent, "predictions")
        elif todo:
            folder.mkdir(parents=True, exist_ok=True)
            refuse_overwriting(folder, [name for name, _ in todo])
        failed = len(missing)
        for name, picture in todo:
            try:
                shares = label(predictor, picture, folder / name, overlay=not arguments.no_overlay)
            except (ValueError, OSError) as error:
                failed += 1
                complain(picture, " ".join(str(error).split()).removeprefix(f"{picture}: "))
                continue
            print(f"{picture}: {shares}", flush=True)
    done = len(todo) + len(missing) - failed
    print(f"{done} of {len(todo) + len(missing)} labelled{f', in {folder}' if done else ''}")
    if not done and arguments.out is None and todo:
        folder.rmdir()  # nothing went into it
    return 1 if failed else 0


def complain(picture: Path | str, words: str) -> None:
    """Say on standard error what is wrong with a picture."""
    print(f"minisegnet: {picture}: {words}", file=sys.stderr)


def label(predictor: "Predictor", picture: Path, target: Path, *, overlay: bool) -> str:
    """Write one picture's mask (and overlay); say which classes it has, the largest first."""
    from minisegnet import viz
    from minisegnet.data.reading import read_image, write_mask

    image = read_image(picture)
    labels = predictor.predict(image)
    write_mask(target.with_name(f"{target.name}.png"), labels, predictor.palette)
    if overlay:
        figure = viz.overlay_with_legend(image, labels, predictor.palette, predictor.class_names)
        viz.save(figure, target.with_name(f"{target.name}{OVERLAY}.png"))
    shares = [((labels == c).mean(), name) for c, name in enumerate(predictor.class_names)]
    return ", ".join(
        f"{name} {100 * share:.1f} %" for share, name in sorted(shares, reverse=True) if share > 0
    )


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


def refuse_overwriting(folder: Path, names: list[str]) -> None:
    """Raise where a result would replace a file."""
    results = [f"{name}{end}.png" for name in names for end in ("", OVERLAY)]
    there = [result for result in results if (folder / result).exists()]
    if there:
        more = f" and {len(there) - 3} more" if len(there) > 3 else ""
        raise ValueError(
            f"{folder} already has {', '.join(there[:3])}{more}; name another folder by --out, or move them away"
        )
