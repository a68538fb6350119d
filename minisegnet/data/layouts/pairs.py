"""A folder of pictures and a folder of label maps of the same names; or both in one folder, told apart by an ending."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from minisegnet.data.descriptions import Description, describe
from minisegnet.data.finding import Finding, refuse
from minisegnet.data.layouts.layout import Entry, Layout
from minisegnet.data.layouts.lists import ALIASES, complete, divide_by_lists
from minisegnet.data.layouts.pictures import PictureMask
from minisegnet.data.pairs import by_stem, listing, picture_files, some
from minisegnet.data.reading import SUFFIXES

IMAGES = ("images", "image", "imgs", "img", "pictures", "photos")
MASKS = (
    "masks", "mask", "labels", "label", "annotations", "annotation", "labelmaps", "segmentations", "segmentation",
    "ground_truth", "groundtruth", "gt",
)  # fmt: skip
MASK_END = re.compile(
    r"[-_. ](masks?|labels?|l|p|gt|segmentation|seg|annotations?|anno|groundtruth|ground_truth|labelids|labels?ids)$",
    re.IGNORECASE,
)
IMAGE_END = re.compile(r"[-_. ](images?|img|photo|picture|sat|rgb|leftimg8bit)$", re.IGNORECASE)
LOSSY = (".jpg", ".jpeg", ".webp")


class Folders(NamedTuple):
    """Where the pictures of a split are, and where their label maps."""

    images: Path
    masks: Path


def find(root: Path) -> Layout | None:
    """Find images/ and masks/ in root, in train/ and val/ and test/, or with such folders in them."""
    divided = _divided(root)
    here = _folders(root)
    if here is None and not divided:
        return None
    told = describe(root)
    if divided:
        if here is not None and _named(root, IMAGES) != divided["train"].images.parent:
            raise ValueError(
                f"{root} has both {here.images.name}/ and train/{divided['train'].images.name}/; expected one of the "
                "two: which pictures are meant?"
            )
        parts = {split: match(folders, told) for split, folders in divided.items()}
        splits, notes = complete(parts, [])
    else:
        assert here is not None
        entries = {entry.name: entry for entry in match(here, told)}
        splits, notes = divide_by_lists(root, entries)
    return Layout("pairs", root, splits, **(told.as_layout() if told else {}), notes=notes)


def _divided(root: Path) -> dict[str, Folders]:
    """Return the folders of each split that has its own; none without training pictures."""
    found = {}
    here = _folders(root)
    for split, names in ALIASES.items():
        for name in names:
            inside = _folders(root / name)
            if inside is None and here is not None and (here.images / name).is_dir():
                inside = Folders(here.images / name, here.masks / name)
            if inside is not None and inside.masks.is_dir():
                found[split] = inside
                break
            # The organisers of a contest keep the masks of the test pictures, but no others may be missing.
            if split == "val" and "train" in found and _named(root / name, IMAGES) is not None:
                raise ValueError(without_masks(root / name))
    return found if "train" in found else {}


def without_masks(folder: Path) -> str:
    """Say that a folder has pictures and nothing else."""
    return (
        f"{folder} has no folder masks/; found {listing(folder)}; expected images/ and masks/ with files of the same "
        "names, or train/ and val/ with such folders in them"
    )


def _folders(root: Path) -> Folders | None:
    images, masks = _named(root, IMAGES), _named(root, MASKS)
    return None if images is None or masks is None else Folders(images, masks)


def _named(root: Path, names: tuple[str, ...]) -> Path | None:
    """Return the folder that has the first of these names; one of another name only with pictures somewhere in it."""
    if (root / names[0]).is_dir():
        return root / names[0]
    if not root.is_dir():
        return None
    others = [path for path in sorted(root.iterdir()) if path.name.lower() in names and path.is_dir()]
    others = [path for path in others if any(picture_files(p) for p in (path, *_split_folders(path)))]
    if len(others) > 1:
        raise ValueError(
            f"{root} has the folders {some(path.name + '/' for path in others)}; expected one of them: rename the one "
            f"that is meant to {names[0]}/"
        )
    return others[0] if others else None


def _split_folders(folder: Path) -> list[Path]:
    return [folder / name for names in ALIASES.values() for name in names]


# ---------------------------------------------------------------------------------------------------------
# Which mask is whose


def match(folders: Folders, told: Description | None, *, spare_pictures: bool = False) -> list[Entry]:
    """Return the pictures of one folder, each with the file of the same stem in another.

    Where that leaves pictures or masks alone, and all masks end alike (``_mask``, ``_L`` …), the ending is left out;
    the same goes for pictures (``_image``, ``_sat`` …). Pictures without a mask are left out if they are to be spared.
    """
    images, masks = by_stem(folders.images), by_stem(folders.masks)
    if images.keys() != masks.keys():
        short_images, short_masks = _without_end(images, IMAGE_END), _without_end(masks, MASK_END)
        for some_images in (images, short_images):
            if some_images.keys() == short_masks.keys() or (
                spare_pictures and some_images.keys() > short_masks.keys()
            ):
                images, masks = some_images, short_masks
    if spare_pictures and masks and images.keys() > masks.keys():
        images = {stem: images[stem] for stem in masks}
    refuse(
        folders.images.parent, unpaired(folders, images.keys() - masks.keys(), masks.keys() - images.keys())
    )
    if not images:
        raise ValueError(
            f"{folders.images} has no pictures; expected files that end in {', '.join(SUFFIXES)}"
        )
    return entries_of(images, masks, told)


def unpaired(folders: Folders, without: Iterable[str], alone: Iterable[str]) -> list[Finding]:
    """Say which pictures have no mask, and which masks no picture."""
    why = (
        f"Expected each picture in {folders.images.name}/ to have a mask of the same name in {folders.masks.name}/ "
        "(photo1.jpg and photo1.png), or all masks to end alike (photo1_mask.png)."
    )
    do = "Rename them, or take away what has no partner."
    told = (
        ("picture-without-mask", "pictures without a mask", tuple(sorted(without))),
        ("mask-without-picture", "masks without a picture", tuple(sorted(alone))),
    )
    return [Finding(code, "error", found, why, do, names) for code, found, names in told if names]


def entries_of(images: dict[str, Path], masks: dict[str, Path], told: Description | None) -> list[Entry]:
    """Put pictures and masks of the same keys together, in the order of the keys."""
    colours = told.colours if told else None
    both = sorted(images.keys() & masks.keys())
    return [Entry(stem, images[stem], PictureMask(masks[stem], colours)) for stem in both]


def _without_end(paths: dict[str, Path], end: re.Pattern[str]) -> dict[str, Path]:
    """Leave out the ending that all stems share; as they are if they don't, or if two would become one."""
    ends = {found[0] if (found := end.search(stem)) else "" for stem in paths}
    if len(ends) != 1:
        return paths
    short = {stem.removesuffix(next(iter(ends))): path for stem, path in paths.items()}
    return short if len(short) == len(paths) else paths


# ---------------------------------------------------------------------------------------------------------
# Side by side


def find_side_by_side(root: Path) -> Layout | None:
    """Find photo1.jpg and photo1_mask.png, or photo1.jpg and photo1.png, in one folder."""
    told = describe(root)
    divided = {
        split: entries
        for split, names in ALIASES.items()
        for name in names
        if (entries := _side_by_side(root / name, told))
    }
    if "train" in divided:
        splits, notes = complete(divided, [])
    elif here := _side_by_side(root, told):
        splits, notes = divide_by_lists(root, {entry.name: entry for entry in here})
    else:
        return None
    return Layout("pairs", root, splits, **(told.as_layout() if told else {}), notes=notes)


def _side_by_side(folder: Path, told: Description | None) -> list[Entry]:
    files = picture_files(folder)
    by_end = {path.stem: path for path in files if MASK_END.search(path.stem)}
    images = {path.stem: path for path in files if path.stem not in by_end}
    masks = {MASK_END.sub("", stem): path for stem, path in by_end.items()}
    if not by_end:  # a photo and a PNG of the same name
        images = {path.stem: path for path in files if path.suffix.lower() in LOSSY}
        masks = {path.stem: path for path in files if path.suffix.lower() not in LOSSY}
    if images.keys() != masks.keys():
        images = _without_end(images, IMAGE_END)
    if not images.keys() & masks.keys():
        return []
    without, alone = (some(sorted(a.keys() - b.keys())) for a, b in ((images, masks), (masks, images)))
    if without or alone or len(masks) + len(images) < len(files):
        raise ValueError(
            f"{folder} has pictures and masks side by side, but not in pairs. Pictures without a mask: "
            f"{without or 'none'}; masks without a picture: {alone or 'none'}; {len(files)} files in all. Expected "
            "photo1.jpg and photo1_mask.png, and so on"
        )
    return entries_of(images, masks, told)
