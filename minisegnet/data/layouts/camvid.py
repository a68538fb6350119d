"""CamVid in the forms in which it goes round: painted with 32 colours, or as SegNet's indices of 11 classes.

train/ and trainannot/ (or train_labels/) and so on; or one folder of frames and one of masks that end in ``_L`` or
``_P``, divided by lists or not at all. Masks are painted or hold indices; label_colors.txt or class_dict.csv name the
colours, codes.txt the indices.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minisegnet.data.colours import NamedColours
from minisegnet.data.descriptions import IGNORED, VOID_NAMES, Description, describe, read_text
from minisegnet.data.layouts.layout import Layout
from minisegnet.data.layouts.lists import ALIASES, complete, divide_by_lists
from minisegnet.data.layouts.pairs import Folders, match
from minisegnet.data.pairs import picture_files
from minisegnet.data.palettes import Colour
from minisegnet.data.reading import read_colours, read_mask

SEGNET = (
    "Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist",
)  # fmt: skip
SEGNET_VOID = 11
COLOURS: dict[str, Colour] = {
    "Animal": (64, 128, 64), "Archway": (192, 0, 128), "Bicyclist": (0, 128, 192), "Bridge": (0, 128, 64),
    "Building": (128, 0, 0), "Car": (64, 0, 128), "CartLuggagePram": (64, 0, 192), "Child": (192, 128, 64),
    "Column_Pole": (192, 192, 128), "Fence": (64, 64, 128), "LaneMkgsDriv": (128, 0, 192),
    "LaneMkgsNonDriv": (192, 0, 64), "Misc_Text": (128, 128, 64), "MotorcycleScooter": (192, 0, 192),
    "OtherMoving": (128, 64, 64), "ParkingBlock": (64, 192, 128), "Pedestrian": (64, 64, 0), "Road": (128, 64, 128),
    "RoadShoulder": (128, 128, 192), "Sidewalk": (0, 0, 192), "SignSymbol": (192, 128, 128), "Sky": (128, 128, 128),
    "SUVPickupTruck": (64, 128, 192), "TrafficCone": (0, 0, 64), "TrafficLight": (0, 64, 64), "Train": (192, 64, 128),
    "Tree": (128, 128, 0), "Truck_Bus": (192, 128, 192), "Tunnel": (64, 0, 64), "VegetationMisc": (192, 192, 0),
    "Void": (0, 0, 0), "Wall": (64, 192, 0),
}  # fmt: skip
FRAME = re.compile(r"(0001TP|0006R0|0016E5|Seq05VD)_", re.IGNORECASE)  # how CamVid's four films are called
OF_MASKS = ("annot", "_annot", "_labels", "_label", "_masks", "_mask", "labels", "masks")
FRAMES = ("701_StillsRaw_full", "images", "raw")
MASKS = ("LabeledApproved_full", "701_StillsLabeled_full", "labels", "masks")
STRAY = 0.01  # up to this share of a mask, colours that nobody named count as Void: the hand-painted masks have some


class Found(NamedTuple):
    """Folders of CamVid's: divided by split, or together under ""."""

    folders: dict[str, Folders]
    sure: bool  # the names of the folders alone say that it is this layout


def find(root: Path) -> Layout | None:
    """Find CamVid's folders; those with common names only if the frames or the lists beside them are CamVid's."""
    found = _divided(root) or _together(root)
    if found is None:
        return None
    frames = [path.name for folders in found.folders.values() for path in picture_files(folders.images)]
    own = bool(frames) and all(FRAME.match(name) for name in frames)
    told = describe(root)
    listed = (root / "codes.txt").is_file() or (told is not None and told.path.name.startswith("label_colo"))
    if not (found.sure or own or listed):
        return None
    return _layout(root, found, _classes(root, found, told, own), own)


def _classes(root: Path, found: Found, told: Description | None, own: bool) -> Description | None:
    """Return what is said of the classes; of a list of colours, for masks that hold indices, the numbers of its lines.

    None: nothing, or nothing that fits; then SegNet's classes may.
    """
    if told is None:
        told = _codes(root)
        return told or (_thirty_two() if own and _is_painted(found, None) else None)
    if told.colours is None or told.path.name in ("dataset.toml", "classes.txt") or _is_painted(found, told):
        return told
    first = read_mask(_first_mask(found))
    return None if SEGNET_VOID in first and first.max() == SEGNET_VOID else _by_line(told, told.colours)


def _divided(root: Path) -> Found | None:
    folders = {}
    for split, names in ALIASES.items():
        for name in names:
            masks = [root / f"{name}{end}" for end in OF_MASKS if (root / f"{name}{end}").is_dir()]
            if masks and picture_files(root / name):
                folders[split] = Folders(root / name, masks[0])
                break
    return Found(folders, True) if "train" in folders else None


def _together(root: Path) -> Found | None:
    images = [root / name for name in FRAMES if picture_files(root / name)]
    masks = [root / name for name in MASKS if picture_files(root / name)]
    if not images or not masks:
        return None
    return Found({"": Folders(images[0], masks[0])}, masks[0].name == MASKS[0])


def _layout(root: Path, found: Found, told: Description | None, own: bool) -> Layout:
    notes: tuple[str, ...] = ()
    if told is not None and told.colours is not None:
        notes = _explain(told.colours)
        told = replace(told, colours=_tolerant(told.colours))
    parts = {split: match(folders, told, spare_pictures=True) for split, folders in found.folders.items()}
    frames = sum(len(picture_files(folders.images)) for folders in found.folders.values())
    spare = frames - sum(map(len, parts.values()))
    notes += (f"{spare} of {frames} frames have no mask and are left out",) * bool(spare)
    if "" in parts:
        splits, more = divide_by_lists(root, {entry.name: entry for entry in parts[""]})
    else:
        splits, more = complete(parts, [])
    said = _segnet(own) if told is None else told.as_layout()
    return Layout("camvid", root, splits, **said, notes=notes + more)


# ---------------------------------------------------------------------------------------------------------
# Classes


def _segnet(own: bool) -> dict[str, Any]:
    """Return SegNet's classes, if the masks hold them; the same folders with 12 classes may be anything."""
    return {
        "class_names": SEGNET,
        "values": tuple(range(len(SEGNET))),
        "ignored": (SEGNET_VOID,),
        "only_if_fits": True,
        "needs": frozenset() if own else frozenset({SEGNET_VOID}),
    }


def _first_mask(found: Found) -> Path:
    return picture_files(next(iter(found.folders.values())).masks)[0]


def _is_painted(found: Found, told: Description | None) -> bool:
    """Say whether the first mask has colours that are no greys; of a palette, whether all that it uses have a name."""
    picture = read_colours(_first_mask(found))
    if picture is None:
        return False
    if picture.palette is not None:
        return told is not None and told.colours is not None and not told.colours.palettes_are_values(picture)
    red, green, blue = np.moveaxis(picture.pixels, 2, 0)  # each (H, W)
    return bool((red != green).any() or (green != blue).any())


def _by_line(told: Description, colours: NamedColours) -> Description:
    """Take the number of each line in a list of colours as the value of its class."""
    lines: dict[int, list[int]] = {}
    for line, label in enumerate(colours.values):
        lines.setdefault(label, []).append(line)
    voids = tuple(lines.pop(IGNORED, ()))
    return Description(
        told.path,
        told.class_names,
        tuple(lines[label][0] for label in range(len(lines))),
        {line: label for label, of_class in lines.items() for line in of_class[1:]},
        voids or None,
        palette=told.palette,
    )


def _thirty_two() -> Description:
    """Return the 32 colours of CamVid, for painted masks that come without a list of them."""
    names = tuple(name for name in COLOURS if name != "Void")
    values = tuple(IGNORED if name == "Void" else names.index(name) for name in COLOURS)
    return Description(
        Path("label_colors.txt"),
        names,
        tuple(range(len(names))),
        ignored=(IGNORED,),
        colours=NamedColours(tuple(COLOURS.values()), values),
        palette=tuple(COLOURS[name] for name in names),
    )


def _codes(root: Path) -> Description | None:
    """Read codes.txt: the name of each index, Void among them."""
    path = root / "codes.txt"
    if not path.is_file():
        return None
    names = [name for line in read_text(path).splitlines() if (name := line.strip())]
    values = tuple(k for k, name in enumerate(names) if name.lower() not in VOID_NAMES)
    voids = tuple(k for k, name in enumerate(names) if name.lower() in VOID_NAMES)
    return Description(path, tuple(names[k] for k in values), values, ignored=voids or None)


def _tolerant(colours: NamedColours) -> NamedColours:
    return replace(colours, rest=IGNORED, share=STRAY) if IGNORED in colours.values else colours


def _explain(colours: NamedColours) -> tuple[str, ...]:
    if IGNORED not in colours.values:
        return ()
    return (f"colours without a name count as void, as long as they are less than {STRAY:.0%} of a mask",)
