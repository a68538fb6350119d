"""PASCAL VOC: JPEGImages/, SegmentationClass/ and lists in ImageSets/Segmentation/."""

from pathlib import Path
from typing import Any

from minisegnet.data.descriptions import describe
from minisegnet.data.layouts.layout import Entry, Layout
from minisegnet.data.layouts.lists import complete, divide_by_lists, find_lists, read_list
from minisegnet.data.layouts.pictures import PictureMask
from minisegnet.data.pairs import by_stem, some

NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


def find(root: Path) -> Layout | None:
    """Find the folders JPEGImages and SegmentationClass.

    A picture without a mask is none of ours: most of VOC's are for finding objects only.
    """
    if not all((root / name).is_dir() for name in ("JPEGImages", "SegmentationClass")):
        return None
    told = describe(root)
    images, masks = by_stem(root / "JPEGImages"), by_stem(root / "SegmentationClass")
    alone = sorted(masks.keys() - images.keys())
    if alone:
        raise ValueError(
            f"{root}: masks in SegmentationClass/ without a picture in JPEGImages/: {some(alone)}"
        )
    if not masks:
        raise ValueError(
            f"{root / 'SegmentationClass'} has no masks; expected a PNG for some pictures of JPEGImages/"
        )
    colours = told.colours if told else None
    entries = {stem: Entry(stem, images[stem], PictureMask(masks[stem], colours)) for stem in sorted(masks)}
    splits, notes = _splits(root / "ImageSets" / "Segmentation", entries)
    custom: dict[str, Any] = {
        "class_names": NAMES,
        "values": tuple(range(len(NAMES))),
        "ignored": (255,),
        "only_if_fits": True,
    }
    return Layout(
        "voc", root, splits, **(told.as_layout() if told else custom), grey_as_colour=True, notes=notes
    )


def _splits(folder: Path, entries: dict[str, Entry]) -> tuple[dict[str, list[Entry]], tuple[str, ...]]:
    lists = find_lists(folder)
    if "train" in lists and "val" in lists:
        lists.pop("trainval", None)
    # The masks of VOC's own test pictures were never given out.
    if "test" in lists and not {*read_list(lists["test"], entries.__contains__)} & entries.keys():
        del lists["test"]
    if not lists:
        return complete({"train": list(entries.values())}, [])[0], ()
    return divide_by_lists(folder, entries, lists)
