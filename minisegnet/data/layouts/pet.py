"""Oxford-IIIT Pet: images/*.jpg and annotations/trimaps/*.png of 1 (pet), 2 (background) and 3 (the border between)."""

from pathlib import Path
from typing import Any

from minisegnet.data.descriptions import describe
from minisegnet.data.layouts.layout import Entry, Layout
from minisegnet.data.layouts.lists import divide_by_lists, find_lists
from minisegnet.data.layouts.pictures import PictureMask
from minisegnet.data.pairs import by_stem

NAMES, VALUES = ("background", "pet", "border"), (2, 1, 3)


def find(root: Path) -> Layout | None:
    """Find the folder annotations/trimaps beside images.

    trainval.txt is divided into training and validation, test.txt is for the test. A picture without a trimap is none
    of ours.
    """
    trimaps, pictures = root / "annotations" / "trimaps", root / "images"
    if not trimaps.is_dir() or not pictures.is_dir():
        return None
    told = describe(root)
    images, masks = by_stem(pictures), by_stem(trimaps)
    both = sorted(images.keys() & masks.keys())
    if not both:
        raise ValueError(f"{root}: no picture in images/ has a trimap of its name in annotations/trimaps/")
    colours = told.colours if told else None
    entries = {stem: Entry(stem, images[stem], PictureMask(masks[stem], colours)) for stem in both}
    splits, notes = divide_by_lists(root, entries, find_lists(root / "annotations"))
    custom: dict[str, Any] = {"class_names": NAMES, "values": VALUES, "only_if_fits": True}
    return Layout(
        "pet", root, splits, **(told.as_layout() if told else custom), grey_as_colour=True, notes=notes
    )
