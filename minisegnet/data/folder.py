"""A data set of one's own: a folder of pictures and what is known of each pixel, in any of the known layouts.

All label maps are looked through once, one at a time, when the folder is opened: to know the classes, and so that a
wrong file is found before the training and not in the middle of it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.checking.agreement import Compared, channels_differ, sizes_differ
from minisegnet.data.classes import Classes, find_classes
from minisegnet.data.descriptions import IGNORED
from minisegnet.data.finding import refuse
from minisegnet.data.layouts import Entry, Layout, MaskFacts, MaskSource, find_layout
from minisegnet.data.pairs import SPLITS, divide
from minisegnet.data.palettes import Palette, default_palette
from minisegnet.data.reading import read_header, read_image, read_palette
from minisegnet.data.sample import Dataset, Sample
from minisegnet.sizes import Pair


class Folder(Dataset):
    """Pictures and label maps in a folder: ``root/images`` and ``root/masks``, or another layout (docs/layouts.md).

    Folders or lists of the splits ``train``, ``val`` and ``test`` are used where there are any. Otherwise some pictures
    are held out for validation: which ones is a pure function of the pictures' order by name and the seed.

    A pixel's value in the mask is its label. The classes come from the first of these that is there:

    - ``class_names`` and ``label_values``;
    - ``root/dataset.toml``, or ``root/classes.txt``: one name a line, the first is that of label 0. Or ``value = name``
      on every line, where masks hold values other than 0, 1, 2 …: they become the labels 0, 1, 2 … in the order of the
      lines. Or ``#rrggbb = name``, where masks are painted;
    - what the layout says: the categories of COCO, the names of VOC;
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
        layout = find_layout(self.root)
        everything = layout.entries()
        self._entries = _choose(layout, split, seed, holdout)
        self.channels = _same_channels(self.root, everything, layout.grey_as_colour)
        facts = {entry.mask: entry.mask.facts() for entry in everything}
        _same_sizes(self.root, everything, facts)
        self._sizes = {facts[entry.mask].size for entry in self._entries}
        classes = find_classes(layout, _values(everything, facts), class_names, label_values)
        self.class_names, self.ignore_index = classes.names, IGNORED if classes.ignored else None
        self.palette = classes.palette or _palette(everything[0].mask.path, classes)
        self.notes = layout.notes + classes.notes
        self._table = classes.table()

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, i: int) -> Sample:
        entry = self._entries[i]
        image, values = self._picture(entry), entry.mask.read()
        if image.shape[:2] != values.shape or image.shape[2] != self.channels:
            raise ValueError(
                f"{entry.image} has shape {image.shape} and {entry.mask.path} {values.shape}; expected (H, W, "
                f"{self.channels}) and (H, W). Has one of them changed since the folder was opened?"
            )
        labels = self._table[values]  # (H, W)
        if labels.min() < 0:
            raise ValueError(
                f"{entry.mask.path} holds the value {values[labels < 0][0]}, which is no class. Has it changed since "
                "the folder was opened?"
            )
        return Sample(
            image, labels.astype(np.uint8 if len(self.class_names) <= 256 else np.uint16), None, entry.name
        )

    def _picture(self, entry: Entry) -> Array:
        image = read_image(entry.image)
        if image.shape[2] == 1 and self.channels == 3:
            image = np.repeat(image, 3, axis=2)  # (H, W, 3): grey as colour
        return image

    def sizes(self) -> set[Pair]:
        """Return the sizes (H, W) of the pictures, each once."""
        return set(self._sizes)


def split_names_of_folder(root: str | Path) -> tuple[str, ...]:
    """Say which splits a folder has."""
    return find_layout(root).split_names()


def _choose(layout: Layout, split: str, seed: int, holdout: float) -> list[Entry]:
    """Return the pictures of one split."""
    root, splits = layout.root, layout.splits
    if split not in (*SPLITS, "all"):
        raise ValueError(f"split is {split!r}; expected one of {', '.join(SPLITS)}, all")
    if split == "all":
        return layout.entries()
    if split in splits:
        return splits[split]
    if "" not in splits:
        there = ", ".join(f"{name}/images" if layout.kind == "pairs" else name for name in splits)
        raise ValueError(
            f"{root} has no pictures for {split!r}; found {there}; expected {split}/images and {split}/masks, or one "
            "of the splits that are there"
        )
    if split == "test":
        raise ValueError(
            f"{root} has no pictures set aside for 'test': some are for training and the others for validation. Take "
            "'val' or 'all', or move pictures and masks into train/, val/ and test/"
        )
    train, val = divide(splits[""], seed=seed, holdout=holdout)
    return train if split == "train" else val


# ---------------------------------------------------------------------------------------------------------
# Looking through the files


def _values(
    everything: list[Entry], facts: Mapping[MaskSource, MaskFacts]
) -> list[tuple[str, tuple[int, ...]]]:
    """Return what to call each mask and its values; masks in one annotation file are called by their picture, too."""
    names = [entry.mask.path.name for entry in everything]
    shared = len({entry.mask.path for entry in everything}) < len(names)
    return [
        (f"{name} ({entry.name})" if shared else name, facts[entry.mask].values)
        for name, entry in zip(names, everything, strict=True)
    ]


def _same_channels(root: Path, everything: list[Entry], grey_as_colour: bool) -> int:
    names: dict[int, list[str]] = {}
    for entry in everything:
        names.setdefault(read_header(entry.image).channels, []).append(entry.image.name)
    if grey_as_colour and names.keys() == {1, 3}:
        return 3
    if len(names) > 1:
        refuse(root, [channels_differ(names)])
    return next(iter(names))


def _same_sizes(root: Path, everything: list[Entry], facts: Mapping[MaskSource, MaskFacts]) -> None:
    compared = []
    for entry in everything:
        size, there = facts[entry.mask].size, read_header(entry.image).size
        if (
            there != size
        ):  # a header may not tell yet that the picture lies on its side, so it is looked at again
            shape = read_image(entry.image).shape
            there = shape[0], shape[1]
        compared.append(Compared(entry.image.name, there, entry.mask.path.name, size))
    refuse(root, sizes_differ(compared))


def _palette(mask: Path, classes: Classes) -> Palette:
    """Take the masks' own colours if every class has one and no two the same."""
    own = (None if mask.suffix.lower() == ".json" else read_palette(mask)) or ()
    if max(classes.values) < len(own):
        palette = tuple(own[value] for value in classes.values)
        if len(set(palette)) == len(palette):
            return palette
    return default_palette(len(classes.values))
