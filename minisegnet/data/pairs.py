"""Find the pictures of a folder and the label map of each, and divide them into training and validation."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from minisegnet.data.reading import SUFFIXES
from minisegnet.sizes import as_int

SPLITS = ("train", "val", "test")

T = TypeVar("T")


class Files(NamedTuple):
    """One picture and its label map, which have the same stem: photo1.jpg and photo1.png."""

    name: str  # the stem
    image: Path
    mask: Path


def find_files(root: Path) -> dict[str, list[Files]]:
    """Return the pairs of each folder of splits that there is; or of root itself, under the name "".

    Each list is in the order of the stems, which doesn't depend on the system.
    """
    if not root.is_dir():
        raise ValueError(f"{root} is no folder; expected one with images/ and masks/ in it")
    divided = _divided(root)
    if not divided:
        return {"": find_pairs(root)}
    if (root / "images").is_dir():
        raise ValueError(
            f"{root} has both images/ and train/images/; expected one of the two: which pictures are meant?"
        )
    return {split: find_pairs(root / split) for split in divided}


def split_names_of_folder(root: str | Path) -> tuple[str, ...]:
    """Say which splits a folder has; nothing in it is read."""
    return _divided(Path(root)) or ("train", "val")


def _divided(root: Path) -> tuple[str, ...]:
    """Say which splits are folders of their own."""
    there = [split for split in SPLITS if (root / split / "images").is_dir()]
    if "test" in there and not (root / "test" / "masks").is_dir():
        there.remove("test")  # the organisers of a contest keep those masks
    return tuple(there) if "train" in there else ()


def find_pairs(folder: Path) -> list[Files]:
    """Return the pictures of folder/images, each with the file of the same stem in folder/masks."""
    for name in ("images", "masks"):
        if not (folder / name).is_dir():
            raise ValueError(_layout(folder, name))
    images, masks = (_by_stem(folder / name) for name in ("images", "masks"))
    without, alone = (some(sorted(a.keys() - b.keys())) for a, b in ((images, masks), (masks, images)))
    if without or alone:
        told = [f"pictures without a mask: {without}"] * bool(without)
        told += [f"masks without a picture: {alone}"] * bool(alone)
        raise ValueError(
            f"{folder}: {'; '.join(told)}. Expected each picture in images/ to have a mask of the same name in masks/ "
            "(photo1.jpg and photo1.png); rename them, or take away what has no partner"
        )
    if not images:
        raise ValueError(
            f"{folder / 'images'} has no pictures; expected files that end in {', '.join(SUFFIXES)}"
        )
    return [Files(stem, images[stem], masks[stem]) for stem in sorted(images)]


def divide(names: Sequence[T], *, seed: int = 0, holdout: float = 0.2) -> tuple[list[T], list[T]]:
    """Divide into training and validation by chance, but always in the same way.

    Parameters
    ----------
    names
        Two or more, in an order of their own.
    seed
        Another seed divides in another way.
    holdout
        The share for validation, rounded to whole pictures; at least one goes either way.

    Returns
    -------
    train, val
        Each in the order that the names had.

    Examples
    --------
    >>> divide(["a", "b", "c", "d", "e"], seed=1, holdout=0.4)
    (['b', 'c', 'e'], ['a', 'd'])
    """
    if isinstance(holdout, bool) or not isinstance(holdout, int | float) or not 0 < holdout < 1:
        raise ValueError(f"holdout is {holdout!r}; expected a share between 0 and 1, such as 0.2")
    seed = as_int(seed, "seed", 0)
    N = len(names)
    if N < 2:
        raise ValueError(
            f"there is {N} picture; expected two or more: one to train on and one to validate with"
        )
    count = min(max(int(N * holdout + 0.5), 1), N - 1)
    order = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed))).permutation(N)
    held_out = set(order[:count].tolist())
    train, val = [n for k, n in enumerate(names) if k not in held_out], [names[k] for k in sorted(held_out)]
    return train, val


def some(things: Iterable[object], most: int = 5) -> str:
    """Name the first few, and say how many there are.

    >>> some(["a", "b", "c"], most=2)
    'a, b ... (3 in all)'
    """
    listed = [str(thing) for thing in things]
    return ", ".join(listed[:most]) + (f" ... ({len(listed)} in all)" if len(listed) > most else "")


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    twice = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(".") or not path.is_file():
            continue  # notes, hidden files of the system, folders
        if path.stem in found:
            twice.append(f"{found[path.stem].name} and {path.name}")
        found[path.stem] = path
    if twice:
        raise ValueError(
            f"{folder} has two files of one name: {some(twice)}; expected one, take the others away"
        )
    return found


def _layout(folder: Path, missing: str) -> str:
    there = sorted(
        path.name + "/" * path.is_dir() for path in folder.iterdir() if not path.name.startswith(".")
    )
    other = {"masks": ("labels", "annotations", "mask", "label"), "images": ("image", "imgs", "JPEGImages")}
    near = [name for name in other[missing] if f"{name}/" in there]
    hint = f" Is it {near[0]}/? Then rename it to {missing}/." if near else ""
    return (
        f"{folder} has no folder {missing}/; found {some(there) or 'nothing'}; expected images/ and masks/ with files "
        f"of the same names, or train/ and val/ with such folders in them.{hint}"
    )
