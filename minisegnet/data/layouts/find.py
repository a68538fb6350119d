"""Recognise the layout of a data set."""

from pathlib import Path

from minisegnet.data.descriptions import describe
from minisegnet.data.json_files import read_json, short
from minisegnet.data.layouts import camvid, coco, labelme, pairs, pet, voc
from minisegnet.data.layouts.layout import Layout
from minisegnet.data.pairs import listing, some

# Each returns None where its signs are missing, and raises where they are there but something is wrong. Signs that
# leave no doubt come first.
FINDERS = (voc.find, pet.find, camvid.find, pairs.find, coco.find, labelme.find, pairs.find_side_by_side)

NOT_MEANT = (".", "__MACOSX")  # folders that systems make for themselves
KNOWN = """\
  images/ and masks/ with files of the same names (photo1.jpg, photo1.png); also within train/, val/ and test/
  photo1.jpg and photo1_mask.png side by side
  PASCAL VOC: JPEGImages/, SegmentationClass/, ImageSets/Segmentation/train.txt ...
  CamVid: train/, trainannot/, val/, valannot/ ...; or images/, labels/ (*_L.png), label_colors.txt
  Oxford-IIIT Pet: images/, annotations/trimaps/
  COCO: train/_annotations.coco.json; or annotations/instances_train.json and images/
  labelme: photo1.jpg and photo1.json"""


def find_layout(root: str | Path) -> Layout:
    """Say how a data set lies on the disk, and what is in it.

    Names of files and lists are read, and annotations that are outlines; of pictures one mask at most. Where nothing is
    recognised and there is one folder inside, as in an unpacked archive, that one is meant.

    Raises
    ------
    ValueError
        It is no layout that is known, or one with something wrong in it: what was found, and what was expected.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from minisegnet.data.reading import write_mask
    >>> with tempfile.TemporaryDirectory() as root:
    ...     for name in ("images", "masks"):
    ...         Path(root, name).mkdir()
    ...         write_mask(Path(root, name, "a.png"), np.eye(4, dtype=np.uint8), [(0, 0, 0), (255, 0, 0)])
    ...     layout = find_layout(root)
    >>> layout.kind, layout.split_names(), [entry.name for entry in layout.entries()]
    ('pairs', ('train', 'val'), ['a'])
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"{root} is no folder; expected one with images/ and masks/ in it")
    folder = root
    for _ in range(3):
        for find in FINDERS:
            layout = find(folder)
            if layout is not None:
                return layout if folder == root else layout.noting(f"the data set was found in {folder}")
        inside = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(NOT_MEANT)]
        if len(inside) != 1 or describe(folder) is not None:
            break
        folder = inside[0]
    raise ValueError(_unknown(root))


def _unknown(root: Path) -> str:
    folders = [folder for folder in (root, root / "train") if (folder / "images").is_dir()]
    complaint = pairs.without_masks(folders[0]) if folders else _without_images(root)
    return f"{complaint}.{_other_json(root)} Every layout that is known:\n{KNOWN}"


def _other_json(root: Path) -> str:
    """Say what a JSON file in a usual place is not, if there is one."""
    places = (root, root / "train", root / "annotations", root / "train" / "annotations", root / "labels")
    found = [path for place in places for path in coco.json_files(place)]
    if not found:
        return ""
    content = read_json(found[0])
    keys = content if isinstance(content, dict) else {}
    told = (
        "no object"
        if not isinstance(content, dict)
        else f"one with {some(map(short, keys)) or 'nothing in it'}"
    )
    missing = [key for key in ("images", "annotations", "categories") if key not in keys]
    return (
        f" {found[0]} is {told}; expected {', '.join(missing) or 'nothing else'} to be COCO, or shapes and imagePath "
        "to be labelme."
    )


def _without_images(root: Path) -> str:
    return (
        f"{root} has no folder images/; found {listing(root)}; expected images/ and masks/ with files of the same "
        "names, or train/ and val/ with such folders in them"
    )
