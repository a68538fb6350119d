"""Ten thousand damaged pictures and annotation files: each is read, or refused with an error that names the file."""

import base64
import copy
import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layout_makers import (
    coco_content,
    labelme_content,
    make,
    pages,
    samples_of,
    voc_palette_picture,
    write_json,
    write_picture,
)
from PIL import Image

from minisegnet.data.layouts import find_layout
from minisegnet.data.reading import read_colours, read_header, read_image, read_mask, read_palette

pytestmark = pytest.mark.slow

PICTURES, ANNOTATIONS, TEXTS = 5200, 4000, 800  # 10,000 in all
NUMBERS = (0, -1, 1, 2**31, 2**63, 10**30, 1e308, -1e308, 0.5, 1e9, float("nan"), float("inf"), 250_000_001)
OTHERS = (
    None,
    True,
    False,
    "",
    "a",
    "../../../etc/passwd",
    "\ud800",
    "\0",
    "x" * 5000,
    [],
    {},
    [[]],
    [None],
    {"a": 1},
)


def outcome(path: Path, read: Callable[[], object]) -> str:
    """Read, and say what came of it; anything but success or one clear error fails."""
    try:
        read()
    except ValueError as error:
        assert path.name in str(error), f"the error doesn't name {path.name}: {error}"
        assert len(str(error)) < 4000, f"an error of {len(str(error))} letters"
        return "refused"
    return "read"


def damaged_bytes(whole: bytes, rng: np.random.Generator) -> bytes:
    """Flip bits, cut off, leave out, repeat or overwrite a part; mostly near the beginning, where the headers are."""
    content = bytearray(whole)
    for _ in range(int(rng.integers(1, 4))):
        reach = len(content) if rng.random() < 0.5 else min(len(content), 120)
        at = int(rng.integers(0, max(reach, 1)))
        kind = rng.integers(0, 6)
        if kind <= 1 and content:
            content[at % len(content)] ^= 1 << int(rng.integers(0, 8))
        elif kind == 2:
            del content[at:]
        elif kind == 3:
            del content[at : at + int(rng.integers(1, 20))]
        elif kind == 4:
            content[at:at] = content[at : at + int(rng.integers(1, 40))]
        else:
            content[at : at + 4] = rng.choice(
                [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\x40\0"]
            )
    return bytes(content)


# ---------------------------------------------------------------------------------------------------------
# Pictures


def picture_files(folder: Path) -> list[Path]:
    """Write a picture of every kind."""
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (24, 20, 3), np.uint8)
    grey, deep = colour[..., 0], rng.integers(0, 65536, (24, 20), np.uint16)
    for suffix in ("png", "jpg", "tif", "webp", "bmp", "gif", "jp2", "ppm"):
        Image.fromarray(colour).save(folder / f"colour.{suffix}")
        Image.fromarray(grey).save(folder / f"grey.{'pgm' if suffix == 'ppm' else suffix}")
    for suffix in ("png", "tif"):
        Image.fromarray(deep).save(folder / f"deep.{suffix}")
        voc_palette_picture(grey % 21).save(folder / f"palette.{suffix}")
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.fromarray(colour).save(folder / "turned.jpg", exif=tags)
    Image.fromarray(colour).save(folder / "packed.tif", compression="tiff_lzw", exif=tags)
    pages(folder / "pages.tif", grey, 255 - grey, grey)
    pages(folder / "deep-pages.tif", deep, deep, compression="tiff_deflate")
    np.save(folder / "array.npy", colour)
    np.save(folder / "deep.npy", deep)
    return sorted(folder.iterdir())


READERS = (read_image, read_mask, read_header, read_palette, read_colours)


def test_damaged_pictures(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    files = picture_files(tmp_path / "whole")
    contents = [path.read_bytes() for path in files]
    for path in files:
        read_image(path)  # what isn't damaged is read
    rng = np.random.default_rng(1)
    outcomes: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # Pillow's, on metadata; as errors they would be refused as damage anyway
        for k in range(PICTURES):
            path = tmp_path / f"damaged-{k}{files[k % len(files)].suffix}"
            path.write_bytes(damaged_bytes(contents[k % len(files)], rng))
            readers = READERS if k % 10 == 0 else READERS[:2]
            for read in readers:
                result = outcome(
                    path, lambda read=read, path=path: read(path, **FEW if read in LIMITED else {})
                )
                outcomes[f"{read.__name__} {result}"] += 1
            path.unlink()
    print(f"\n{PICTURES} damaged pictures of {len(files)} kinds: {dict(outcomes)}")
    assert outcomes["read_image refused"] > 1000 and outcomes["read_image read"] > 500


LIMITED = (read_image, read_mask, read_header, read_colours)
FEW = {"max_pixels": 4_000_000}  # what a damaged header claims above that is refused before it takes memory


# ---------------------------------------------------------------------------------------------------------
# Annotations


def places(content: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value in nested tables and lists."""
    yield at
    items = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for key, value in items:
        yield from places(value, (*at, key))


def damaged_content(content: Any, ways: list[tuple[Any, ...]], rng: np.random.Generator) -> Any:
    """Put something else in a place or two: another kind, a giant number, another number, nothing at all."""
    content = copy.deepcopy(content)
    for _ in range(int(rng.integers(1, 3))):
        way = ways[int(rng.integers(1, len(ways)))]
        if rng.random() < 0.5:  # deep places are mostly coordinates; the others are as interesting
            way = way[: int(rng.integers(1, len(way) + 1))]
        inside = content
        try:
            for key in way[:-1]:
                inside = inside[key]
            kind = rng.integers(0, 5)
            if kind == 0:
                del inside[way[-1]]
            elif kind == 1:
                inside[way[-1]] = OTHERS[int(rng.integers(0, len(OTHERS)))]
            elif kind == 2:
                inside[way[-1]] = NUMBERS[int(rng.integers(0, len(NUMBERS)))]
            elif kind == 3:
                inside[way[-1]] = int(rng.integers(-100, 200))
            else:
                inside[way[-1]] = [inside[way[-1]]] * int(rng.integers(0, 4))
        except (KeyError, IndexError, TypeError):  # an earlier damage has taken that place away
            continue
    return content


def read_everything(root: Path) -> None:
    layout = find_layout(root)
    for entry in layout.entries():
        entry.mask.facts()
        labels = entry.mask.read()
        assert labels.ndim == 2 and labels.dtype in (np.uint8, np.uint16)
        read_header(entry.image)


def annotation_cases(root: Path) -> list[tuple[Path, Any]]:
    """Write small data sets; return annotation files of them and what may stand there."""
    samples = samples_of("train", 2)
    first, second = samples
    compressed = coco_content(samples)
    compressed["annotations"][-1]["segmentation"] = {"size": [36, 44], "counts": "d?T1hb04PJ"}
    for sample in samples:
        write_picture(root / "coco" / "images" / f"{sample.name}.jpg", sample)
        write_picture(root / "labelme" / f"{sample.name}.jpg", sample)
        write_json(root / "labelme" / f"{sample.name}.json", labelme_content(sample, f"{sample.name}.jpg"))
    picture = base64.b64encode((root / "labelme" / f"{second.name}.jpg").read_bytes()).decode()
    (root / "labelme" / f"{second.name}.jpg").unlink()
    embedded = {**labelme_content(second, "gone.jpg"), "imageData": picture}
    write_json(root / "labelme" / f"{second.name}.json", embedded)
    instances = root / "coco" / "annotations.json"
    return [
        (instances, coco_content(samples)),
        (instances, compressed),
        (root / "labelme" / f"{first.name}.json", labelme_content(first, f"{first.name}.jpg")),
        (root / "labelme" / f"{second.name}.json", embedded),
    ]


def test_damaged_annotations(tmp_path: Path) -> None:
    cases = annotation_cases(tmp_path)
    ways = [list(places(content)) for _, content in cases]
    rng = np.random.default_rng(2)
    outcomes: Counter[str] = Counter()
    for path, content in cases:
        write_json(path, content)
        read_everything(path.parent)  # what isn't damaged is read
    for k in range(ANNOTATIONS):
        path, content = cases[k % len(cases)]
        whole = path.read_bytes()
        if k % 3 == 0:
            path.write_bytes(damaged_bytes(json.dumps(content).encode(), rng))
        else:
            write_json(path, damaged_content(content, ways[k % len(cases)], rng))
        result = outcome(path, lambda path=path: read_everything(path.parent))
        outcomes[f"{path.parent.name} {result}"] += 1
        path.write_bytes(whole)
    print(f"\n{ANNOTATIONS} damaged annotation files: {dict(outcomes)}")
    assert min(outcomes.values()) > 100


WRONG_SHAPES = (
    "[" * 100_000,
    '{"a":' * 100_000,
    '{"images": [' + "[" * 50_000,
    "1" * 100_000,
    '{"shapes": [], "imagePath": ' + "9" * 5000 + "}",
    '{"images": 1e999, "annotations": -1e999, "categories": Infinity}',
    *("NaN", "", "{", "null", "[]", "\0"),
)


@pytest.mark.parametrize("text", WRONG_SHAPES)
def test_annotations_of_the_wrong_shape(tmp_path: Path, text: str) -> None:
    for path, content in annotation_cases(tmp_path)[::2]:
        write_json(path, content)
        path.write_text(text)
        with pytest.raises(ValueError, match=path.name):
            read_everything(path.parent)


# ---------------------------------------------------------------------------------------------------------
# Descriptions and lists


def test_damaged_descriptions_and_lists(tmp_path: Path) -> None:
    cases = []
    for layout, name in (
        ("pairs", "classes.txt"),
        ("pairs-beside", "dataset.toml"),
        ("camvid-painted", "label_colors.txt"),
        ("camvid-table", "class_dict.csv"),
        ("voc", "ImageSets/Segmentation/train.txt"),
        ("pet", "annotations/test.txt"),
    ):
        make(layout, tmp_path / layout)
        cases.append((tmp_path / layout, tmp_path / layout / name))
    rng = np.random.default_rng(3)
    outcomes: Counter[str] = Counter()
    for k in range(TEXTS):
        root, path = cases[k % len(cases)]
        whole = path.read_bytes()
        path.write_bytes(damaged_bytes(whole, rng))
        result = outcome(root, lambda root=root: find_layout(root))  # the folder's name is part of every path
        outcomes[f"{path.name} {result}"] += 1
        path.write_bytes(whole)
    print(f"\n{TEXTS} damaged descriptions and lists: {dict(outcomes)}")
