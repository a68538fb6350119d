"""Lists of names in text files, which divide pictures into training, validation and test."""

from collections.abc import Callable, Mapping
from pathlib import Path

from minisegnet.data.descriptions import read_text
from minisegnet.data.layouts.layout import Entry
from minisegnet.data.pairs import some
from minisegnet.data.reading import SUFFIXES

ALIASES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
MOST_BYTES = 2**26  # of a list


def read_list(path: Path, known: Callable[[str], bool]) -> list[str]:
    """Return the names in a list, each once: stems of files, without what else the lines say.

    A line may hold the name alone, with or without folders and suffix (``images/dog 1.jpg``), or other words after it
    (``dog_1 1 1 2``; ``images/dog_1.jpg masks/dog_1.png``). Lines that begin with ``#`` are notes.
    """
    text = read_text(path, MOST_BYTES)
    names: dict[str, None] = {}
    for line in map(str.strip, text.splitlines()):
        if not line:
            continue
        whole = stem_of(line)
        if not known(whole) and line.startswith("#"):
            continue
        names[whole if known(whole) else stem_of(line.split()[0])] = None
    return list(names)


def stem_of(text: str) -> str:
    """Return a file's name without folders and without the suffix of a picture.

    >>> stem_of("images/dog.1.jpg"), stem_of("dog.1")
    ('dog.1', 'dog.1')
    """
    name = text.replace("\\", "/").rstrip("/").rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in SUFFIXES else name


def find_lists(folder: Path) -> dict[str, Path]:
    """Return the lists of splits that a folder has: train.txt, val.txt or valid.txt, test.txt, trainval.txt."""
    found = {}
    for split, names in (*ALIASES.items(), ("trainval", ("trainval",))):
        for name in names:
            if (path := folder / f"{name}.txt").is_file():
                found[split] = path
                break
    return found


def divide_by_lists(
    folder: Path, entries: Mapping[str, Entry], lists: Mapping[str, Path] | None = None
) -> tuple[dict[str, list[Entry]], tuple[str, ...]]:
    """Divide entries, by stem, as the lists in a folder say; return the splits and notes on what was assumed.

    Without lists everything is undivided. Where there is no list for validation, what remains for training is
    undivided; where there is only one for validation or test, the others are for training.
    """
    lists = find_lists(folder) if lists is None else lists
    if not lists:
        return {"": list(entries.values())}, ()
    splits: dict[str, list[Entry]] = {}
    for split, path in lists.items():
        names = read_list(path, entries.__contains__)
        missing = [name for name in names if name not in entries]
        if missing:
            raise ValueError(f"{path} names pictures that aren't there: {some(missing)}; correct the list")
        if not names:
            raise ValueError(f"{path} names no picture; expected one a line, or no such file")
        splits[split] = [entries[name] for name in names]
    return complete(splits, list(entries.values()))


def complete(
    splits: dict[str, list[Entry]], everything: list[Entry]
) -> tuple[dict[str, list[Entry]], tuple[str, ...]]:
    """Make train and val of what a data set has of train, val, trainval and test; return splits and notes."""
    both = splits.pop("trainval", None)
    if "train" in splits and "val" in splits:
        return splits, ()
    taken = {entry.image for split in ("val", "test") for entry in splits.get(split, [])}
    source = "trainval" if both is not None else "train" if "train" in splits else "the others"
    train = both if both is not None else splits.pop("train", None)
    if train is None:
        train = [entry for entry in everything if entry.image not in taken]
    if "val" in splits:
        return {"train": [entry for entry in train if entry.image not in taken], **splits}, ()
    splits.pop("train", None)
    note = f"there is no list or folder for validation: a part of {source} is held out"
    return {"": train, **splits}, (note,)
