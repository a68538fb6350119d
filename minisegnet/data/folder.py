"""A data set of one's own: a folder of pictures and a folder of label maps.

All label maps are read once, one at a time, when the folder is opened: to know the classes, and so that a wrong file
is found before the training and not in the middle of it.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minisegnet.data.classes import IGNORED, find_classes
from minisegnet.data.pairs import SPLITS, Files, divide, find_files, some
from minisegnet.data.palettes import Palette, default_palette
from minisegnet.data.reading import read_header, read_image, read_mask, read_palette
from minisegnet.data.sample import Dataset, Sample
from minisegnet.sizes import Pair


class Folder(Dataset):
    """Pictures in ``root/images``, and in ``root/masks`` a label map of the same name (stem) for each.

    Where ``root/train/images`` exists, the folders ``train``, ``val`` and ``test`` in root are the splits. Otherwise
    some pictures are held out for validation: which ones is a pure function of the pictures' names and the seed.

    A pixel's value in the mask is its label. The classes come from the first of these that is there:

    - ``class_names`` and ``label_values``;
    - ``root/classes.txt``: one name a line, the first is that of label 0. Or ``value = name`` on every line, where
      masks hold values other than 0, 1, 2 …: they become the labels 0, 1, 2 … in the order of the lines;
    - the values found in all masks: from 0 to the largest, named "0", "1", …; if most of those never occur, it raises.

    255 means a pixel that doesn't count, unless it is one of the classes. Masks that hold 0 and 255 only are refused
    until it is said that 255 is a class.

    Parameters
    ----------
    root
        The folder.
    split
        ``"train"``, ``"val"``, ``"all"``; ``"test"`` where there is such a folder.
    seed, holdout
        Of a folder without splits: which pictures, and what share of them, are held out.
    class_names
        A name for each label.
    label_values
        Which value in the masks is label 0, 1, 2 …: ``(0, 255)`` makes 0 of 0 and 1 of 255. Other values raise, except
        255.

    Examples
    --------
    >>> import tempfile
    >>> from minisegnet.data.reading import write_image, write_mask
    >>> with tempfile.TemporaryDirectory() as root:
    ...     for name in ("images", "masks"):
    ...         Path(root, name).mkdir()
    ...     for name in ("a.png", "b.png"):
    ...         write_image(Path(root, "images", name), np.zeros((4, 6, 3), np.uint8))
    ...         write_mask(Path(root, "masks", name), np.eye(4, 6, dtype=np.uint8), default_palette(2))
    ...     dataset = Folder(root, split="all")
    ...     len(dataset), dataset.class_names, dataset[1].name, dataset[1].image.shape
    (2, ('0', '1'), 'b', (4, 6, 3))
    """

    def __init__(
        self,
        root: str | Path,
        *,
        split: str = "train",
        seed: int = 0,
        holdout: float = 0.2,
        class_names: Sequence[str] | None = None,
        label_values: Sequence[int] | None = None,
    ) -> None:
        self.root, self.split = Path(root), split
        self.name = self.root.resolve().name
        splits = find_files(self.root)
        everything = [files for part in splits.values() for files in part]
        self._files = _choose(self.root, splits, split, seed, holdout)
        self.channels = _same_channels(everything)
        facts = {files.mask: scan_mask(files.mask) for files in everything}
        _same_sizes(everything, facts)
        self._sizes = {facts[files.mask].size for files in self._files}
        found = {mask: fact.values for mask, fact in facts.items()}
        classes = find_classes(self.root, found, class_names, label_values)
        self.class_names, self.ignore_index = classes.names, IGNORED if classes.ignores else None
        self.palette = _palette(everything[0].mask, classes.values)
        self._table = classes.table()

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, i: int) -> Sample:
        files = self._files[i]
        image, values = read_image(files.image), read_mask(files.mask)
        if image.shape[:2] != values.shape or image.shape[2] != self.channels:
            raise ValueError(
                f"{files.image} has shape {image.shape} and {files.mask} {values.shape}; expected (H, W, "
                f"{self.channels}) and (H, W). Has one of them changed since the folder was opened?"
            )
        labels = self._table[values]  # (H, W)
        if labels.min() < 0:
            raise ValueError(
                f"{files.mask} holds the value {values[labels < 0][0]}, which is no class. Has it changed since the "
                "folder was opened?"
            )
        return Sample(
            image, labels.astype(np.uint8 if len(self.class_names) <= 256 else np.uint16), None, files.name
        )

    def sizes(self) -> set[Pair]:
        """Return the sizes (H, W) of the pictures, each once."""
        return set(self._sizes)


def _choose(root: Path, splits: dict[str, list[Files]], split: str, seed: int, holdout: float) -> list[Files]:
    """Return the pairs of one split."""
    if split not in (*SPLITS, "all"):
        raise ValueError(f"split is {split!r}; expected one of {', '.join(SPLITS)}, all")
    if split == "all":
        return [files for part in splits.values() for files in part]
    if split in splits:
        return splits[split]
    if "" not in splits:
        raise ValueError(
            f"{root} has no pictures for {split!r}; found {', '.join(f'{name}/images' for name in splits)}; expected "
            f"{split}/images and {split}/masks"
        )
    if split == "test":
        raise ValueError(
            f"{root} has no pictures set aside for 'test': of images/, some are for training and the others for "
            "validation. Take 'val' or 'all', or move pictures and masks into train/, val/ and test/"
        )
    train, val = divide(splits[""], seed=seed, holdout=holdout)
    return train if split == "train" else val


# ---------------------------------------------------------------------------------------------------------
# Looking through the files


class MaskFacts(NamedTuple):
    """What a label map holds."""

    size: Pair
    values: tuple[int, ...]  # each once, in order


def scan_mask(path: Path) -> MaskFacts:
    """Read a label map and return what is in it; a file that hasn't changed is read once only."""
    stat = path.stat()
    return _scan(path, (stat.st_ino, stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=100_000)  # train and val look at the same files, one after the other
def _scan(path: Path, identity: tuple[int, int, int]) -> MaskFacts:
    mask = read_mask(path)
    seen = np.zeros(65536, bool)
    seen[mask] = True
    return MaskFacts((mask.shape[0], mask.shape[1]), tuple(np.flatnonzero(seen).tolist()))


def _same_channels(everything: list[Files]) -> int:
    names: dict[int, list[str]] = {}
    for files in everything:
        names.setdefault(read_header(files.image).channels, []).append(files.image.name)
    if len(names) > 1:
        told = "; ".join(f"{count} in {some(names[count], most=3)}" for count in sorted(names))
        raise ValueError(
            f"pictures differ in the number of channels: {told}. Expected the same for all: convert the grey ones to "
            "colour, or the colour ones to grey"
        )
    return next(iter(names))


def _same_sizes(everything: list[Files], facts: dict[Path, MaskFacts]) -> None:
    wrong = []
    for files in everything:
        size = facts[files.mask].size
        # A header may not tell yet that the picture lies on its side, so a difference is looked at again.
        if read_header(files.image).size != size and (there := read_image(files.image).shape[:2]) != size:
            wrong.append(f"{files.image.name} {there} and {files.mask.name} {size}")
    if wrong:
        raise ValueError(
            f"picture and mask differ in size (H, W): {some(wrong, most=3)}. Expected the same; scale the mask by the "
            "nearest pixel, so that no new labels appear"
        )


def _palette(mask: Path, values: tuple[int, ...]) -> Palette:
    """Take the masks' own colours if every class has one and no two the same."""
    own = read_palette(mask) or ()
    if max(values) < len(own):
        palette = tuple(own[value] for value in values)
        if len(set(palette)) == len(palette):
            return palette
    return default_palette(len(values))
