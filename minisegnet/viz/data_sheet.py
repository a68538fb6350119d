"""The contact sheet of a data set that was checked: which pictures to show, and in which colours."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from minisegnet.arrays import Array
from minisegnet.data.checking.check import Checked
from minisegnet.data.checking.survey import SeenPair, values_of
from minisegnet.data.layouts import Entry
from minisegnet.data.palettes import default_palette
from minisegnet.data.reading import read_image
from minisegnet.viz.colours import Palette
from minisegnet.viz.contact_sheet import Thumbnail, cell_side, contact_sheet, thumbnail
from minisegnet.viz.overlay import WRONG

MOST = 48  # pictures on a sheet
MOST_VALUES = 24  # that get a colour of their own where nobody says what they mean
IGNORED = 65535  # the label here of what doesn't count


class Key(NamedTuple):
    """Which value is drawn in which colour."""

    names: tuple[str, ...]
    colours: Palette
    table: Array  # (65536,): the label of each value


def data_sheet(checked: Checked) -> Figure:
    """Draw a contact sheet of a data set: all pictures of a small one, of a large one those with findings and others.

    What a finding names is marked in red. One picture at a time is in memory.
    """
    if checked.layout is None or not checked.pairs:
        raise ValueError(f"{checked.root} has no pictures with masks to draw")
    entries, remarks = checked.layout.entries(), [remark_of(checked, pair) for pair in checked.pairs]
    chosen = choose([bool(remark) for remark in remarks])
    key, side = _key(checked), cell_side(len(chosen))
    seen: set[int] = set()
    thumbnails = [_draw(entries[k], checked.pairs[k], key, side, remarks[k], seen) for k in chosen]
    used = sorted(seen - {IGNORED}) or [0]
    title = f"{checked.root.resolve().name}: {len(checked.pairs)} pictures with masks"
    if len(chosen) < len(entries):
        title += f", {len(chosen)} of them here"
    return contact_sheet(
        thumbnails, [key.names[c] for c in used], [key.colours[c] for c in used], title=title, side=side
    )


def choose(marked: Sequence[bool], most: int = MOST) -> list[int]:
    """Choose which pictures to show: half of the places for marked ones, the rest evenly from the others.

    >>> choose([False] * 4), choose([False, True] * 4, most=4)
    ([0, 1, 2, 3], [0, 1, 4, 5])
    """
    if len(marked) <= most:
        return list(range(len(marked)))
    wrong = [k for k, is_marked in enumerate(marked) if is_marked]
    right = [k for k, is_marked in enumerate(marked) if not is_marked]
    places = max(most // 2, most - len(right))
    return sorted(_evenly(wrong, places) + _evenly(right, most - min(places, len(wrong))))


def _evenly(numbers: list[int], count: int) -> list[int]:
    count = min(count, len(numbers))
    return [numbers[k * len(numbers) // count] for k in range(count)]


def remark_of(checked: Checked, pair: SeenPair) -> str:
    """Say what the worst finding is that names a picture or its mask; nothing if none does."""
    names = (pair.image.file.name, pair.mask.file.name)
    for finding in checked.findings:
        if finding.severity != "note" and any(
            f" {name} " in f" {told} " for told in finding.files for name in names
        ):
            return finding.code.removesuffix("-across-splits").replace("-", " ")
    return ""


def _draw(entry: Entry, pair: SeenPair, key: Key, side: int, remark: str, seen: set[int]) -> Thumbnail:
    name = pair.image.file.name.rpartition("/")[2]
    if pair.image.file.problem:
        return Thumbnail(name, None, remark)
    image = read_image(entry.image)
    labels = np.full(image.shape[:2], IGNORED, np.uint16)  # without labels the picture alone is drawn
    if pair.whole and pair.image.file.size == pair.mask.file.size:
        labels = key.table[entry.mask.read()]
        seen.update(key.table[pair.mask.counts.values].tolist() if pair.mask.counts else [])
    return thumbnail(name, image, labels, key.colours, side=side, ignore_index=IGNORED, remark=remark)


def _key(checked: Checked) -> Key:
    """Give the classes their colours; where they aren't known, the most frequent values."""
    classes = checked.labels.classes
    if classes is not None:
        table = classes.table()
        table[list(classes.ignored)] = IGNORED
        table[table < 0] = len(classes.names)
        names, colours = classes.names, classes.palette or default_palette(len(classes.names))
    else:
        found = values_of(checked.pairs)
        frequent = sorted(found, key=lambda v: (v in checked.labels.blends, -found[v].pixels))[:MOST_VALUES]
        frequent = sorted(v for v in frequent if v not in checked.labels.blends)
        table = np.full(65536, len(frequent), np.int32)
        table[frequent] = np.arange(len(frequent))
        names, colours = (
            tuple(f"value {v}" for v in frequent),
            default_palette(max(len(frequent), 1))[: len(frequent)],
        )
    return Key((*names, "other values"), (*colours, WRONG), table.astype(np.uint16))
