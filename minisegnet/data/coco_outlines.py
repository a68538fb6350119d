"""Label maps as outlines in one COCO file: what is where, as polygons with holes or as run lengths.

COCO (``instances``) has no word for a hole. Here an annotation's ``segmentation`` lists the rings of one region, first
its outer border, then its holes, and the even-odd rule says what is inside: what lies within an odd number of rings.
``minisegnet.data.polygons.fill`` follows it; programs that fill each ring by itself, such as pycocotools, paint holes
over. For them there are run lengths, which are exact everywhere: one annotation for each class of a picture.

Coordinates are corners of pixels: pixel (row i, column j) is the square from (j, i) to (j + 1, i + 1).
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data import rle
from minisegnet.data.outlines import one_by_one
from minisegnet.ops import checks

FORMS = ("polygons", "rle")
# Class 0 with one of these names is what is left over, and has no outlines.
BACKGROUND = ("background", "_background_", "__background__", "0")


class CocoOutlines:
    """The outlines of pictures, gathered one after the other.

    Parameters
    ----------
    class_names
        A name for each label. The label is the category's id.
    form
        ``"polygons"`` or ``"rle"``.

    Examples
    --------
    >>> gathered = CocoOutlines(["background", "cell"])
    >>> gathered.add("a.png", np.array([[1, 1, 0], [1, 1, 0]], np.uint8))
    >>> content = json.loads(gathered.json())
    >>> content["categories"], content["images"]
    ([{'id': 1, 'name': 'cell'}], [{'id': 1, 'file_name': 'a.png', 'width': 3, 'height': 2}])
    >>> content["annotations"][0]["segmentation"], content["annotations"][0]["area"]
    ([[0, 0, 2, 0, 2, 2, 0, 2]], 4)
    """

    def __init__(self, class_names: Sequence[str], *, form: str = "polygons") -> None:
        self.form = checks.choice(form, FORMS, "form", "CocoOutlines")
        self.names = {
            c: name for c, name in enumerate(class_names) if c > 0 or name.lower() not in BACKGROUND
        }
        self.images: list[dict[str, Any]] = []
        self.annotations: list[str] = []  # as text, which takes a tenth of the memory

    def add(self, file_name: str, labels: Array) -> None:
        """Add a picture's label map, (H, W) integers; labels without a name are left out."""
        H, W = labels.shape
        number = len(self.images) + 1
        lines: list[str] = []
        for c in self.names:
            mask = labels == c
            for region in (_regions if self.form == "polygons" else _run_lengths)(mask):
                facts = {"id": len(self.annotations) + len(lines) + 1, "image_id": number, "category_id": c}
                lines.append(json.dumps({**facts, **region, "iscrowd": 0}, separators=(",", ":")))
        self.annotations += lines
        self.images.append({"id": number, "file_name": file_name, "width": W, "height": H})

    def json(self) -> str:
        """Return the file's text, one entry a line; letters beyond ASCII are escaped, so that any name can be in it."""
        categories = [{"id": c, "name": name} for c, name in self.names.items()]
        lists: dict[str, Iterator[str]] = {
            "images": map(json.dumps, self.images),
            "categories": map(json.dumps, categories),
        }
        lists["annotations"] = iter(self.annotations)
        parts = [f'"{name}":[\n' + ",\n".join(lines) + "\n]" for name, lines in lists.items()]
        return "{" + ",\n".join(parts) + "}\n"


def _regions(mask: Array) -> Iterator[dict[str, Any]]:
    """Describe each region that is connected through the sides of pixels."""
    for outline in one_by_one(mask):
        rings = [outline.outer, *outline.holes]
        (left, top), (right, bottom) = outline.outer.min(axis=0).tolist(), outline.outer.max(axis=0).tolist()
        yield {
            "segmentation": [ring.ravel().tolist() for ring in rings],
            "area": sum(
                _area(ring) for ring in rings
            ),  # that of a hole, which runs the other way, is negative
            "bbox": [left, top, right - left, bottom - top],
        }


def _area(ring: Array) -> int:
    """Return the area within a ring, negative where it runs against the clock (shoelace formula)."""
    x, y = ring.T
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) // 2


def _run_lengths(mask: Array) -> Iterator[dict[str, Any]]:
    """Describe all of a mask in one; nothing where it is empty."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if len(rows):
        top, left = int(rows[0]), int(columns[0])
        yield {
            "segmentation": rle.encode(mask),
            "area": int(np.count_nonzero(mask)),
            "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
        }
