"""The pictures of a folder by name, and their division into training and validation."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from minisegnet.data.finding import Finding, refuse
from minisegnet.data.finding import some as some  # others take it from here
from minisegnet.data.reading import SUFFIXES
from minisegnet.sizes import as_int

SPLITS = ("train", "val", "test")

T = TypeVar("T")


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
        raise ValueError(too_few(N).text())
    count = min(max(int(N * holdout + 0.5), 1), N - 1)
    order = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed))).permutation(N)
    held_out = set(order[:count].tolist())
    train, val = [n for k, n in enumerate(names) if k not in held_out], [names[k] for k in sorted(held_out)]
    return train, val


def too_few(count: int) -> Finding:
    """Say that so few pictures can't be divided."""
    return Finding(
        "too-few-pictures",
        "error",
        f"there {'is 1 picture' if count == 1 else f'are {count} pictures'}; expected two or more",
        "One is for training and one to validate with.",
        "Add more, ten at least.",
    )


def by_stem(folder: Path) -> dict[str, Path]:
    """Return the pictures of a folder by the stem of their names, in an order that doesn't depend on the system."""
    found: dict[str, Path] = {}
    twice = []
    for path in picture_files(folder):
        if path.stem in found:
            twice.append(f"{found[path.stem].name} and {path.name}")
        found[path.stem] = path
    if twice:
        refuse(folder, [same_name(twice)])
    return found


def same_name(files: Sequence[str]) -> Finding:
    """Say which files have one name."""
    return Finding(
        "same-name",
        "error",
        "there are two files of one name",
        "Picture and mask find each other by their names, and one of these would be left out.",
        "Expected one of each: take the other away, or rename it.",
        tuple(files),
    )


def picture_files(folder: Path) -> list[Path]:
    """Return what looks like a picture; not notes, hidden files of the system (``._photo.png``), folders."""
    if not folder.is_dir():
        return []
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]


def listing(folder: Path, most: int = 8) -> str:
    """Say what is in a folder, for an error: folders with a slash, hidden files left out."""
    there = sorted(
        path.name + "/" * path.is_dir() for path in folder.iterdir() if not path.name.startswith(".")
    )
    return some(there, most) or "nothing"
