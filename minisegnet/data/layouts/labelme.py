"""labelme: a JSON file for each picture, with polygons, rectangles and circles, each with the name of its class.

The rules: pixels that nobody outlined are class 0, background; the names follow in the order of the alphabet, unless
classes.txt or labels.txt lists them. Shapes are painted in their order in the file, later ones over earlier ones.
``_background_`` paints background, ``__ignore__`` what doesn't count. Lines and points have no area: they are refused.
"""

from collections.abc import Hashable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minisegnet.data.descriptions import IGNORED, Description, describe, read_text
from minisegnet.data.json_files import checked_name, checked_size, find_inside, read_json, short
from minisegnet.data.layouts.coco import MOST_CLASSES, json_files, value_of, with_background
from minisegnet.data.layouts.drawings import Drawing, ShapeStore, checked_ring
from minisegnet.data.layouts.layout import Entry, Layout, stamp
from minisegnet.data.layouts.lists import ALIASES, complete, divide_by_lists
from minisegnet.data.pairs import some
from minisegnet.data.reading import MOST_PIXELS, SUFFIXES, read_header
from minisegnet.sizes import Pair

FOLDERS = ("annotations", "annotation", "labels", "label", "json", "jsons", "labelme", "masks")
IGNORE = "__ignore__"
CORNERS = 360  # of what stands for a circle: it is off by less than a twenty-thousandth of the radius


class Parsed(NamedTuple):
    """One file: names of its classes, by the values in its store."""

    names: tuple[str, ...]
    store: ShapeStore
    size: Pair | None
    image_path: str
    embedded: bool  # it holds a copy of the picture


def find(root: Path) -> Layout | None:
    """Find labelme's files in root, or in train/ and val/ and test/."""
    told = describe(root) or _labels(root)
    divided = {
        split: there
        for split, names in ALIASES.items()
        for name in names
        if (there := _labelme_files(root / name))
    }
    here = [] if "train" in divided else _labelme_files(root)
    if not here and "train" not in divided:
        return None
    files = {"": here} if here else divided
    parsed = {path: parsed_file(path) for paths in files.values() for path in paths}
    labels = sorted({name for content in parsed.values() for name in content.names})
    names = with_background(root, (name for name in labels if name != IGNORE), told)
    parts = {
        split: [_entry(root, path, parsed[path], names) for path in paths] for split, paths in files.items()
    }
    if "" in parts:
        splits, notes = divide_by_lists(root, {entry.name: entry for entry in parts[""]})
    else:
        splits, notes = complete(parts, [])
    embedded = [
        entry.image.name for part in parts.values() for entry in part if entry.image == entry.mask.path
    ]
    if embedded:
        notes += (f"pictures that aren't there are taken from their annotation files: {some(embedded)}",)
    return Layout(
        "labelme",
        root,
        splits,
        class_names=names,
        values=tuple(range(len(names))),
        ignored=(IGNORED,) if IGNORE in labels else None,
        palette=told.palette if told is not None and told.class_names == names else None,
        notes=notes,
    )


def _labelme_files(folder: Path) -> list[Path]:
    """Return labelme's files in a folder, or in the first folder of a usual name in it."""
    for place in (folder, *(folder / name for name in FOLDERS)):
        files = json_files(place)
        if files and is_labelme(read_json(files[0])):
            return files
    return []


def is_labelme(content: object) -> bool:
    """Say whether the content of a JSON file is labelme's."""
    return (
        isinstance(content, dict)
        and "shapes" in content
        and {"imagePath", "imageData"} & content.keys() != set()
    )


def _labels(root: Path) -> Description | None:
    """Read labels.txt, the list that labelme is started with."""
    path = root / "labels.txt"
    if not path.is_file():
        return None
    names = [name for line in read_text(path).splitlines() if (name := line.strip()) and name != IGNORE]
    return Description(path, tuple("background" if name == "_background_" else name for name in names))


# ---------------------------------------------------------------------------------------------------------
# Reading


def parsed_file(path: Path) -> Parsed:
    """Read one file; one that hasn't changed is read once only."""
    return _parsed(path, stamp(path))


@lru_cache(maxsize=100_000)
def _parsed(path: Path, identity: Hashable) -> Parsed:
    content = read_json(path)
    if not is_labelme(content):
        raise ValueError(
            f"{path} isn't labelme's, as its neighbours are: expected shapes and imagePath; take it away"
        )
    try:
        return _parse(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _parse(content: dict[str, Any]) -> Parsed:
    shapes = content["shapes"]
    if not isinstance(shapes, list):
        raise ValueError(f"shapes is {short(shapes)}; expected a list")
    names: dict[str, int] = {}
    store = ShapeStore()
    for k, shape in enumerate(shapes):
        if not isinstance(shape, dict):
            raise ValueError(f"shapes[{k}] is {short(shape)}; expected a table")
        name = checked_name(shape.get("label"), f"the label of shapes[{k}]")
        ring = _ring(shape, f"shapes[{k}] ({name})")
        if len(names) == MOST_CLASSES and name not in names:
            raise ValueError(f"its shapes have more than {MOST_CLASSES:,} labels; expected names of classes")
        store.add_rings(names.setdefault(name, len(names)), [ring])
    size = None
    if content.get("imageHeight") is not None and content.get("imageWidth") is not None:
        size = checked_size(content["imageHeight"], content["imageWidth"], "the picture", MOST_PIXELS)
    told = content.get("imagePath")
    return Parsed(
        tuple(names), store, size, told if isinstance(told, str) else "", bool(content.get("imageData"))
    )


def _ring(shape: dict[str, Any], what: str) -> list[float]:
    """Return the numbers of a shape's outline, x, y, x, y and so on."""
    kind, points = shape.get("shape_type") or "polygon", shape.get("points")
    if not isinstance(points, list) or not all(isinstance(p, list) and len(p) == 2 for p in points):
        raise ValueError(f"{what} has the points {short(points)}; expected pairs of x and y")
    ring = checked_ring([number for point in points for number in point], what)
    if kind == "polygon":
        return ring
    if kind in ("rectangle", "circle") and len(points) == 2:
        x1, y1, x2, y2 = ring
        corners = [x1, y1, x2, y1, x2, y2, x1, y2] if kind == "rectangle" else _circle(x1, y1, x2, y2)
        return checked_ring(corners, what)
    if kind == "rectangle" and len(points) == 4:
        return ring
    raise ValueError(
        f"{what} is a {short(kind)} of {len(points)} points, which has no area that could be filled; expected polygon, "
        "rectangle (2 points) or circle (2 points). Draw it again, or delete it"
    )


def _circle(x: float, y: float, edge_x: float, edge_y: float) -> list[float]:
    """Return the corners of what stands for a circle around a point, through another."""
    angles = np.arange(CORNERS) * (2 * np.pi / CORNERS)
    radius = np.hypot(edge_x - x, edge_y - y)
    corners = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)  # (corners, 2)
    return [float(number) for number in corners.ravel()]


# ---------------------------------------------------------------------------------------------------------
# Pictures


def _entry(root: Path, path: Path, content: Parsed, names: tuple[str, ...]) -> Entry:
    image = _image(root, path, content)
    size = content.size or read_header(image).size
    table = tuple(IGNORED if name == IGNORE else value_of(name, names) for name in content.names)
    shapes = tuple(range(len(content.store)))
    drawing = Drawing(path, image.name, size, content.store, shapes, table, value_of("background", names))
    return Entry(path.stem, image, drawing)


def _image(root: Path, path: Path, content: Parsed) -> Path:
    """Return the picture of a file: what imagePath names, or what has its name; else the copy that it holds itself."""
    above = path.parent.parent if path.parent != root else root
    folders = [path.parent, path.parent / "images", above / "images", above, root / "images", root]
    folders = [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
    found = None
    try:
        if content.image_path.strip():
            found = find_inside(root, folders, content.image_path, "imagePath")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    for suffix in SUFFIXES:
        for ending in (suffix, suffix.upper()):
            found = found or find_inside(root, folders, path.stem + ending, "the picture's name")
    if found is not None:
        return found
    if content.embedded:
        return path
    raise ValueError(
        f"{path} belongs to the picture {short(content.image_path)}, which isn't there; looked in "
        f"{some(f'{folder.name}/' for folder in folders)}. Put it beside the file"
    )
