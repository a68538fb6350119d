"""What every layout of a data set comes to: pictures, a label map for each, splits, and what is said of the classes."""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Protocol

from minisegnet.arrays import Array
from minisegnet.data.palettes import Palette
from minisegnet.sizes import Pair


class MaskFacts(NamedTuple):
    """What a label map holds."""

    size: Pair
    values: tuple[int, ...]  # each once, in order


class MaskSource(Protocol):
    """Where a label map comes from: a picture file, or the outlines in an annotation file. Equal ones have one hash."""

    @property
    def path(self) -> Path:
        """The file to name in errors."""

    def read(self) -> Array:
        """Return the values as they stand in the file, (H, W) uint8 or uint16; a new array each time."""

    def facts(self) -> MaskFacts:
        """Return size and values. What has been looked through once isn't read again until its file changes.

        Of outlines the values are those that are drawn, whether or not another outline covers them.
        """

    def __hash__(self) -> int: ...


class Entry(NamedTuple):
    """One picture and its label map."""

    name: str
    image: Path
    mask: MaskSource


@dataclass(frozen=True)
class Layout:
    """A data set as it lies on the disk. Nothing of its pictures is in memory."""

    kind: str  # "pairs", "voc", "camvid", "pet", "coco" or "labelme"
    root: Path
    splits: dict[
        str, list[Entry]
    ]  # "train", "val", "test"; what lies under "" is to be divided into train and val
    class_names: tuple[str, ...] | None = None  # for each label; None: nobody says
    values: tuple[int, ...] | None = None  # what stands for each label in the masks; None: nobody says
    merged: dict[int, int] = field(default_factory=dict)  # further values, and the label that each becomes
    ignored: tuple[int, ...] | None = None  # values that don't count; None: 255, unless it is a class
    palette: Palette | None = None  # a colour for each label; None: nobody says
    only_if_fits: bool = (
        False  # names and values are a custom, to be dropped where the masks hold other values
    )
    needs: frozenset[int] = frozenset()  # of such a custom: values without which it isn't believed
    grey_as_colour: bool = False  # a grey picture among colour ones is taken as colour
    notes: tuple[str, ...] = ()  # what a user should be told: what was assumed

    def entries(self) -> list[Entry]:
        """Return the pictures of all splits."""
        return [entry for part in self.splits.values() for entry in part]

    def split_names(self) -> tuple[str, ...]:
        """Say which splits can be asked for.

        >>> Layout("pairs", Path("cells"), {"": [], "test": []}).split_names()
        ('train', 'val', 'test')
        """
        there = {"train", "val", *self.splits} if "" in self.splits else {*self.splits}
        return tuple(name for name in ("train", "val", "test") if name in there)

    def noting(self, *notes: str) -> "Layout":
        """Return the same layout with further notes."""
        return replace(self, notes=self.notes + notes)


def stamp(path: Path) -> Hashable:
    """Return what changes when a file does."""
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
