"""COCO's annotation files: outlines of objects as polygons or run lengths, many pictures in one JSON file.

The rules: pixels that nobody outlined are class 0, background; the categories follow in the order of their ids. The
rings of one annotation are filled by the even-odd rule, so that a ring inside another is a hole. Annotations are
painted in their order in the file, later ones over earlier ones; crowds (``iscrowd``) come before all others.
"""

import re
from collections.abc import Hashable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from minisegnet.data import rle
from minisegnet.data.descriptions import Description, describe
from minisegnet.data.json_files import checked_name, checked_size, find_inside, read_json, short, whole
from minisegnet.data.layouts.drawings import Drawing, ShapeStore, checked_ring
from minisegnet.data.layouts.layout import Entry, Layout, stamp
from minisegnet.data.layouts.lists import ALIASES, complete
from minisegnet.data.pairs import some
from minisegnet.data.reading import MOST_PIXELS, read_header
from minisegnet.sizes import Pair

MOST_CLASSES = 65000
BACKGROUND = ("background", "_background_", "__background__")
ANNOTATIONS = ("annotations", "annotation", "labels", "label")


class Category(NamedTuple):
    """A category of a COCO file."""

    number: int
    name: str
    above: str  # its supercategory


class Picture(NamedTuple):
    """A picture of a COCO file, and which shapes of the store are its own, in the order in which they are painted."""

    file_name: str
    size: Pair | None  # None: the file doesn't say
    shapes: tuple[int, ...]


class Parsed(NamedTuple):
    """A COCO file, as compact as it can be; a shape's value is the position of its category."""

    categories: tuple[Category, ...]
    used: frozenset[int]  # positions of categories that some annotation has
    pictures: tuple[Picture, ...]
    store: ShapeStore


def find(root: Path) -> Layout | None:
    """Find annotation files: of each split in its folder (train/), or named for it (instances_train.json), or one."""
    files = _files(root)
    if not files:
        return None
    parsed = {path: parsed_file(path) for path in files.values()}
    told = describe(root)
    names = _class_names(root, [p for p in parsed.values() if p is not None], told)
    parts: dict[str, list[Entry]] = {}
    for split, path in files.items():
        content = parsed[path]
        assert content is not None
        parts[split] = _entries(root, split, path, content, names)
    splits, notes = (
        (parts, ()) if "" in parts else complete(parts, [e for part in parts.values() for e in part])
    )
    return Layout(
        "coco",
        root,
        splits,
        class_names=names,
        values=tuple(range(len(names))),
        palette=told.palette if told is not None and told.class_names == names else None,
        grey_as_colour=True,
        notes=notes,
    )


# ---------------------------------------------------------------------------------------------------------
# Which files


def _files(root: Path) -> dict[str, Path]:
    """Return the annotation file of each split; "" where there is one for all."""
    found: dict[str, list[Path]] = {}
    for split, names in ALIASES.items():
        for name in names:
            for folder in (root / name, *(root / name / below for below in ANNOTATIONS)):
                for path in _coco_files(folder):
                    found.setdefault(split, []).append(path)
    if not found:
        for folder in (root, *(root / below for below in ANNOTATIONS)):
            for path in _coco_files(folder):
                found.setdefault(_split_of(path.stem), []).append(path)
    twice = [some(path.relative_to(root) for path in paths) for paths in found.values() if len(paths) > 1]
    if twice or ("" in found and len(found) > 1):
        raise ValueError(
            f"{root} has the annotation files {some(p.relative_to(root) for paths in found.values() for p in paths)}; "
            "expected one for each split, such as instances_train.json and instances_val.json, or a single one; take "
            "the others away"
        )
    return {split: paths[0] for split, paths in found.items()} if "train" in found or "" in found else {}


def _coco_files(folder: Path) -> list[Path]:
    """Return the files in a folder that outline objects; of several kinds those that are named instances."""
    files = json_files(folder)
    files = [path for path in files if path.name.startswith("instances")] or files
    if len(files) > 20 and parsed_file(files[0]) is None:
        return []  # a file for each picture: another layout
    return [path for path in files if parsed_file(path) is not None]


def json_files(folder: Path) -> list[Path]:
    """Return the JSON files of a folder, by name; not the hidden ones of the system."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() == ".json" and not path.name.startswith(".") and path.is_file()
    )


def _split_of(stem: str) -> str:
    """Say which split a file's name tells of.

    >>> _split_of("instances_val2017"), _split_of("result")
    ('val', '')
    """
    words = re.split(r"[^a-z]+", stem.lower())
    return next((split for split, names in ALIASES.items() if {*names} & {*words}), "")


# ---------------------------------------------------------------------------------------------------------
# Reading


def parsed_file(path: Path) -> Parsed | None:
    """Read a COCO file; None if it is JSON of another kind. A file that hasn't changed is read once only."""
    return _parsed(path, stamp(path))


@lru_cache(maxsize=16)
def _parsed(path: Path, identity: Hashable) -> Parsed | None:
    content = read_json(path)
    if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= content.keys():
        return None
    try:
        return _parse(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _parse(content: dict[str, Any]) -> Parsed:
    categories = _categories(content["categories"])
    position = {category.number: k for k, category in enumerate(categories)}
    images = _images(content["images"])
    own: dict[Any, tuple[list[int], list[int]]] = {number: ([], []) for number in images}  # crowds, others
    store, used = ShapeStore(), set()
    for k, annotation in enumerate(_tables(content["annotations"], "annotations")):
        what = f"annotations[{k}]"
        image, category = annotation.get("image_id"), annotation.get("category_id")
        if not _is_key(image) or image not in images:
            raise ValueError(f"{what} belongs to image {short(image)}, which isn't among the images")
        if not _is_key(category) or category not in position:
            raise ValueError(f"{what} has the category {short(category)}, which isn't among the categories")
        size = _add(store, position[category], annotation.get("segmentation"), images[image][1], what)
        images[image] = (images[image][0], size)
        used.add(position[category])
        crowd = annotation.get("iscrowd", 0)
        own[image][0 if crowd in (1, True) else 1].append(len(store) - 1)
    pictures = tuple(
        Picture(name, size, (*own[number][0], *own[number][1])) for number, (name, size) in images.items()
    )
    if not pictures:
        raise ValueError("it has no images; expected one or more")
    return Parsed(categories, frozenset(used), pictures, store)


def _is_key(value: object) -> bool:
    """Say whether a value can be an id; 3.0 is the same as 3, and both are met."""
    return isinstance(value, int | str) or (isinstance(value, float) and value.is_integer())


def _tables(value: object, what: str) -> Iterable[dict[str, Any]]:
    if not isinstance(value, list):
        raise ValueError(f"{what} is {short(value)}; expected a list")
    for k, table in enumerate(value):
        if not isinstance(table, dict):
            raise ValueError(f"{what}[{k}] is {short(table)}; expected a table")
        yield table


def _categories(value: object) -> tuple[Category, ...]:
    """Return the categories in the order of their ids."""
    found = []
    for k, table in enumerate(_tables(value, "categories")):
        number = whole(table.get("id"), f"the id of categories[{k}]")
        above = table.get("supercategory")
        name = checked_name(table.get("name"), f"the name of categories[{k}]")
        found.append(Category(number, name, above if isinstance(above, str) else ""))
    if not 0 < len(found) <= MOST_CLASSES:
        raise ValueError(f"it has {len(found)} categories; expected 1 to {MOST_CLASSES}")
    for what, told in (("ids", [c.number for c in found]), ("names", [c.name for c in found])):
        if len({*told}) < len(told):
            raise ValueError(f"two categories have the same {what}: {some(sorted(told), most=8)}")
    return tuple(sorted(found))


def _images(value: object) -> dict[Any, tuple[str, Pair | None]]:
    """Return file name and size of each image, by its id."""
    found: dict[Any, tuple[str, Pair | None]] = {}
    for k, table in enumerate(_tables(value, "images")):
        what, number, name = f"images[{k}]", table.get("id"), table.get("file_name")
        if not _is_key(number) or number in found:
            raise ValueError(
                f"{what} has the id {short(number)}; expected a number or a text, another for each"
            )
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"{what} has the file_name {short(name)}; expected the name of a picture")
        size = None
        if table.get("height") is not None and table.get("width") is not None:
            size = checked_size(table["height"], table["width"], what, MOST_PIXELS)
        found[number] = (name, size)
    return found


def _add(store: ShapeStore, value: int, told: object, size: Pair | None, what: str) -> Pair | None:
    """Add one annotation to the store; return the picture's size, as far as it is known."""
    if isinstance(told, dict):
        try:
            its_size, counts = rle.checked(told, max_pixels=MOST_PIXELS)
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from None
        if size is not None and its_size != size:
            raise ValueError(
                f"{what} has run lengths of size {its_size}, its image {size}; expected the same (H, W)"
            )
        store.add_runs(value, counts)
        return its_size
    if not isinstance(told, list) or not told:
        raise ValueError(
            f"{what} has no outline: its segmentation is {short(told)}. Boxes alone don't say which pixels are meant; "
            "export polygons or run lengths"
        )
    rings = told if isinstance(told[0], list) else [told]  # some exporters leave the outer list out
    store.add_rings(value, [checked_ring(ring, f"{what}, ring {k}") for k, ring in enumerate(rings)])
    return size


# ---------------------------------------------------------------------------------------------------------
# Classes and pictures


def _class_names(root: Path, files: list[Parsed], told: Description | None) -> tuple[str, ...]:
    """Return the names of all classes, background first; classes.txt may put them in another order."""
    above = {c.above for p in files for c in p.categories if c.above != c.name}
    used = {p.categories[k].name for p in files for k in p.used}
    names = [
        c.name
        for p in files
        for c in p.categories
        if c.name in used or c.name not in above  # a group of categories that nothing belongs to is no class
    ]
    return with_background(root, dict.fromkeys(names), told)


def with_background(root: Path, found: Iterable[str], told: Description | None) -> tuple[str, ...]:
    """Put the background before the names that outlines have, or take what a file says instead, if it names all."""
    names = ("background", *(name for name in found if name.lower() not in BACKGROUND))
    if len(names) > MOST_CLASSES:
        raise ValueError(
            f"{root}: the annotations have {len(names):,} classes; expected at most {MOST_CLASSES:,}"
        )
    if told is None or told.class_names is None:
        return names
    listed = told.class_names
    if not any(name.lower() in BACKGROUND for name in listed):
        listed = ("background", *listed)
    missing = [name for name in names[1:] if name not in listed]
    if missing:
        raise ValueError(
            f"{told.path} doesn't name {some(missing)}, which the annotations have; it names "
            f"{some(told.class_names, most=20)}. Add the missing names"
        )
    return listed


def value_of(name: str, names: tuple[str, ...]) -> int:
    """Return the value of a name; that of the background by any of its names.

    >>> value_of("_background_", ("background", "cell")), value_of("cell", ("background", "cell"))
    (0, 1)
    """
    if name in names:
        return names.index(name)
    return next((k for k, other in enumerate(names) if other.lower() in BACKGROUND), 0)


def _entries(root: Path, split: str, path: Path, content: Parsed, names: tuple[str, ...]) -> list[Entry]:
    folders = _image_folders(root, split, path)
    table = tuple(value_of(category.name, names) for category in content.categories)
    nothing = value_of("background", names)
    entries, missing = [], []
    for picture in content.pictures:
        try:
            image = find_inside(root, folders, picture.file_name, "a file_name")
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        if image is None:
            missing.append(picture.file_name)
            continue
        size = picture.size or read_header(image).size
        drawing = Drawing(path, image.name, size, content.store, picture.shapes, table, nothing)
        entries.append(Entry(image.stem, image, drawing))
    if missing:
        raise ValueError(
            f"{path} names pictures that aren't there: {some(map(short, missing))}; looked for them in "
            f"{some((f'{folder.name}/' for folder in folders), most=8)}"
        )
    return sorted(_named_apart(root, entries), key=lambda entry: entry.name)


def _named_apart(root: Path, entries: list[Entry]) -> list[Entry]:
    """Give pictures of one name in several folders names of their own."""
    if len({entry.name for entry in entries}) == len(entries):
        return entries
    paths = [entry.image.relative_to(root) for entry in entries]
    return [e._replace(name="-".join((*p.parts[:-1], p.stem))) for e, p in zip(entries, paths, strict=True)]


def _image_folders(root: Path, split: str, path: Path) -> list[Path]:
    """Return where a file's pictures may be; what is named after its split comes first."""
    named = []
    for folder in (root, root / "images"):
        if split and folder.is_dir():
            named += [p for p in sorted(folder.iterdir()) if p.is_dir() and _split_of(p.name) == split]
    named += [folder / "images" for folder in named]
    here = [path.parent, path.parent / "images", path.parent.parent / "images", root / "images", root]
    found = [folder for folder in (*named, *here) if folder.is_dir() and folder.is_relative_to(root)]
    return list(dict.fromkeys(found))
