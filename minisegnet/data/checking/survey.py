"""Look at every file of a data set once, one at a time, and keep what the checks need; never its pixels."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.checking.blends import Blend, Counts, blended, count_values
from minisegnet.data.checking.fingerprints import Fingerprint, digest
from minisegnet.data.palettes import Palette
from minisegnet.data.reading import (
    MOST_PIXELS,
    SUFFIXES,
    Origin,
    PaintedMask,
    read_header,
    read_image,
    read_origin,
)
from minisegnet.sizes import Pair

DAMAGED = "can't be read: it is damaged, incomplete or no picture "  # begins many errors of reading
ADVICE = ". Copy or save it again, or take it away"  # ends many errors of reading; a finding says it once for all files


class Mask(Protocol):
    """Where a label map comes from."""

    @property
    def path(self) -> Path:
        """The file to name."""

    def read(self) -> Array:
        """Return its values, (H, W)."""


class Pairing(Protocol):
    """A picture and its label map, of any layout."""

    @property
    def name(self) -> str:
        """What the pair is called."""

    @property
    def image(self) -> Path:
        """The picture's file."""

    @property
    def mask(self) -> Mask:
        """Where the labels are."""


class SeenFile(NamedTuple):
    """What is known of a picture's file or a mask's."""

    name: str  # as it is called in the folder
    origin: Origin | None = None  # None: no picture file, or one that can't be read
    problem: str = ""  # why it can't be read
    size: Pair | None = None  # (H, W), upright
    colours: Palette = ()  # of a mask that is painted in colours without names


class SeenImage(NamedTuple):
    """What is known of a picture; of one that can't be read only the first."""

    file: SeenFile
    channels: int = 0
    numbers: str = ""  # of what kind, such as "uint8"
    fingerprint: Fingerprint | None = None


class SeenMask(NamedTuple):
    """What is known of a label map; of one that can't be read only the first."""

    file: SeenFile
    counts: Counts | None = None
    blend: Blend | None = None
    digest: bytes = b""


class SeenPair(NamedTuple):
    """A picture and its label map, looked through."""

    split: str  # "": none, the set is to be divided
    name: str
    image: SeenImage
    mask: SeenMask

    @property
    def whole(self) -> bool:
        """Whether both could be read."""
        return not self.image.file.problem and not self.mask.file.problem


def survey(
    root: Path,
    splits: Mapping[str, Iterable[Pairing]],
    *,
    max_pixels: int = MOST_PIXELS,
    fingerprints: bool = True,
    progress: Callable[[int], None] = lambda done: None,
) -> list[SeenPair]:
    """Look through all pairs of a data set.

    Parameters
    ----------
    root
        Its folder: files are called by their path below it.
    splits
        The pairs of each split.
    max_pixels
        Larger pictures are not unpacked, and count as unreadable.
    fingerprints
        Whether to keep what is needed to find duplicates.
    progress
        Is told how many pairs are done.
    """
    seen: list[SeenPair] = []
    for split, pairs in splits.items():
        for pair in pairs:
            image = _look_at_image(root, pair.image, max_pixels, fingerprints)
            mask = _look_at_mask(root, pair, max_pixels)
            seen.append(SeenPair(split, pair.name, image, mask))
            progress(len(seen))
    return seen


def _look_at_image(root: Path, path: Path, max_pixels: int, fingerprints: bool) -> SeenImage:
    file, image = _read(called(root, path), path, lambda: read_image(path, max_pixels=max_pixels))
    if image is None:
        return SeenImage(file)
    fingerprint = Fingerprint.of(image) if fingerprints else None
    return SeenImage(file, image.shape[2], image.dtype.name, fingerprint)


def _look_at_mask(root: Path, pair: Pairing, max_pixels: int) -> SeenMask:
    path, name = pair.mask.path, called(root, pair.mask.path)
    if not is_picture(path):
        name = f"{name} ({pair.name})"  # one file may hold the annotations of many pictures

    def read() -> Array:
        if is_picture(path):
            read_header(path, max_pixels=max_pixels)  # raises if it is too large
        return pair.mask.read()

    file, values = _read(name, path, read)
    if values is None:
        return SeenMask(file)
    counts = count_values(values)
    return SeenMask(file, counts, blended(values, counts), digest(values))


def _read(name: str, path: Path, read: Callable[[], Array]) -> tuple[SeenFile, Array | None]:
    """Read one file, or find out why that can't be done."""
    origin = None
    try:
        if path.stat().st_size == 0:
            return SeenFile(name, problem="is empty: it has 0 bytes"), None
        if is_picture(path) and path.suffix.lower() != ".npy":
            origin = read_origin(path)
        array = read()
    except OSError as error:
        return SeenFile(name, origin, f"can't be opened: {error.strerror or error}"), None
    except ValueError as error:
        reason = str(error).removeprefix(f"{path} ").removeprefix(DAMAGED).removesuffix(ADVICE)
        colours = error.colours if isinstance(error, PaintedMask) else ()
        return SeenFile(name, origin, reason, colours=colours), None
    return SeenFile(name, origin, size=(array.shape[0], array.shape[1])), array


def is_picture(path: Path) -> bool:
    """Say whether a file is one by its name; annotations aren't."""
    return path.suffix.lower() in SUFFIXES


def called(root: Path, path: Path) -> str:
    """Return a file's path below the data set's folder, or whole if it lies elsewhere.

    >>> called(Path("cells"), Path("cells/images/a.png"))
    'images/a.png'
    """
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


class Occurring(NamedTuple):
    """How often a value occurs in all masks together."""

    pixels: int
    masks: int
    filled: int  # pixels all of whose neighbours have the same value


def values_of(pairs: Iterable[SeenPair]) -> dict[int, Occurring]:
    """Return what values the masks hold, in order."""
    totals = np.zeros((3, 65536), np.int64)
    for pair in pairs:
        if (counts := pair.mask.counts) is not None:
            totals[:, counts.values] += [counts.pixels, np.ones_like(counts.pixels), counts.filled]
    return {value: Occurring(*totals[:, value].tolist()) for value in np.flatnonzero(totals[1]).tolist()}
