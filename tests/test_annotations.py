"""COCO and labelme files: overlaps, holes, crowds, odd exporters; what is refused, and where paths may lead."""

import base64
import json
import os
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layout_makers import SIZE, coco_content, labelme_content, samples_of, write_json, write_picture
from PIL import Image
from test_rle import slow_text

from minisegnet.arrays import Array
from minisegnet.data import rle
from minisegnet.data.folder import Folder
from minisegnet.data.json_files import find_inside, read_json
from minisegnet.data.layouts import coco as coco_module
from minisegnet.data.layouts import find_layout
from minisegnet.data.layouts import labelme as labelme_module
from minisegnet.data.polygons import fill
from minisegnet.data.reading import read_header, read_image

H, W = 10, 12


def square(x: float, y: float, size: float) -> list[float]:
    return [x, y, x + size, y, x + size, y + size, x, y + size]


def filled(*rings: list[float]) -> Array:
    return fill([np.array(ring).reshape(-1, 2) for ring in rings], (H, W))


def picture(root: Path, name: str = "a.png") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((H, W, 3), np.uint8)).save(path)


def coco(root: Path, *annotations: dict[str, Any], **changes: Any) -> Path:
    """Write a COCO file of one picture with these annotations; ids count up, and the category is 1 unless given."""
    picture(root / "images")
    content = {
        "images": [{"id": 7, "file_name": "a.png", "height": H, "width": W}],
        "annotations": [
            {"id": k, "image_id": 7, "category_id": 1, "iscrowd": 0, **annotation}
            for k, annotation in enumerate(annotations)
        ],
        "categories": [{"id": 1, "name": "cell"}, {"id": 2, "name": "dirt"}],
    }
    write_json(root / "annotations.json", {**content, **changes})
    return root


def labels(root: Path) -> Array:
    result = Folder(root, split="all")[0].labels
    assert result is not None
    return result


def refused(root: Path, *words: str) -> None:
    with pytest.raises(ValueError, match="(?s:.*)".join(re.escape(word) for word in words)):
        Folder(root, split="all")


# ---------------------------------------------------------------------------------------------------------
# COCO: what is painted


def test_parts_and_holes(tmp_path: Path) -> None:
    rings = [square(1, 1, 6), square(2, 2, 3), square(9, 4, 2)]  # a square, a hole in it, another square
    root = coco(tmp_path, {"segmentation": rings})
    assert np.array_equal(labels(root), filled(*rings))
    assert labels(root).sum() == 36 - 9 + 4


def test_later_annotations_lie_over_earlier_ones_and_crowds_below_all(tmp_path: Path) -> None:
    a, b, crowd = square(0, 0, 5), square(3, 3, 5), np.zeros((H, W), bool)
    crowd[2:, :] = True
    root = coco(
        tmp_path,
        {"segmentation": [a], "category_id": 1},
        {"segmentation": [b], "category_id": 2},
        {"segmentation": rle.encode(crowd), "category_id": 1, "iscrowd": 1},
    )
    expected = np.where(crowd, 1, 0)
    expected[filled(a)], expected[filled(b)] = 1, 2
    assert np.array_equal(labels(root), expected)
    # In the other order the other one is on top.
    coco(root, {"segmentation": [b], "category_id": 2}, {"segmentation": [a], "category_id": 1})
    expected = np.where(filled(b), 2, 0)
    expected[filled(a)] = 1
    assert np.array_equal(labels(root), expected)


def test_run_lengths_plain_and_compressed(tmp_path: Path) -> None:
    mask = np.zeros((H, W), bool)
    mask[2:7, 3:9] = True
    plain = rle.encode(mask)
    assert np.array_equal(labels(coco(tmp_path, {"segmentation": plain})), mask)
    compressed = {**plain, "counts": slow_text(plain["counts"])}
    assert np.array_equal(labels(coco(tmp_path, {"segmentation": compressed})), mask)


def test_what_exporters_do(tmp_path: Path) -> None:
    root = coco(
        tmp_path,
        {"segmentation": square(1, 1, 3)},  # no outer list
        {"segmentation": [square(-4, 6, 8)], "category_id": 2.0, "image_id": 7.0},  # beyond the picture
        {"segmentation": [[5, 5, 6, 6]]},  # a line: no area
        categories=[{"id": 2, "name": "dirt"}, {"id": 1, "name": "cell"}],
    )
    content = json.loads((root / "annotations.json").read_text())
    content["images"][0].update(height=float(H), width=None)  # a float, and nothing at all
    write_json(root / "annotations.json", content)
    expected = filled(square(1, 1, 3)).astype(int)
    expected[filled(square(-4, 6, 8))] = 2
    assert np.array_equal(labels(root), expected)


def test_names_of_categories(tmp_path: Path) -> None:
    categories = [
        {"id": 0, "name": "things", "supercategory": "none"},  # a group, as some exporters write it
        {"id": 5, "name": "rust", "supercategory": "things"},
        {"id": 3, "name": "Background", "supercategory": "things"},
        {"id": 4, "name": "never", "supercategory": "things"},
    ]
    a, b = square(0, 0, 6), square(2, 2, 2)
    root = coco(
        tmp_path,
        {"segmentation": [a], "category_id": 5},
        {"segmentation": [b], "category_id": 3},
        categories=categories,
    )
    dataset = Folder(root, split="all")
    assert dataset.class_names == ("background", "never", "rust")
    assert np.array_equal(labels(root), np.where(filled(a) & ~filled(b), 2, 0))
    (root / "classes.txt").write_text("rust\nbackground\nnever")
    assert Folder(root, split="all").class_names == ("rust", "background", "never")
    assert np.array_equal(labels(root), np.where(filled(a) & ~filled(b), 0, 1))
    (root / "classes.txt").write_text("never")
    refused(root, "classes.txt doesn't name rust, which the annotations have")
    (root / "classes.txt").unlink()
    renamed = Folder(root, split="all", class_names=("nothing", "a", "b"))
    assert renamed.class_names == ("nothing", "a", "b") and renamed[0].labels.max() == 2


def test_categories_of_several_files_are_joined_by_name(tmp_path: Path) -> None:
    for split, categories, category in (
        ("train", [{"id": 1, "name": "cell"}, {"id": 2, "name": "dirt"}], 2),
        ("val", [{"id": 1, "name": "dirt"}, {"id": 9, "name": "dust"}], 1),
    ):
        picture(tmp_path / split)
        content = {
            "images": [{"id": "a", "file_name": "a.png", "height": H, "width": W}],
            "annotations": [{"image_id": "a", "category_id": category, "segmentation": [square(1, 1, 3)]}],
            "categories": categories,
        }
        write_json(tmp_path / split / "_annotations.coco.json", content)
    for split in ("train", "val"):
        dataset = Folder(tmp_path, split=split)
        assert dataset.class_names == ("background", "cell", "dirt", "dust")
        assert np.array_equal(dataset[0].labels, 2 * filled(square(1, 1, 3)))


def test_a_picture_without_annotations_is_background(tmp_path: Path) -> None:
    root = coco(tmp_path, {"segmentation": [square(1, 1, 3)]})
    picture(root / "images", "b.png")
    content = json.loads((root / "annotations.json").read_text())
    content["images"].append({"id": 8, "file_name": "b.png", "height": H, "width": W})
    write_json(root / "annotations.json", content)
    assert [int(sample.labels.max()) for sample in Folder(root, split="all")] == [1, 0]


def test_grey_pictures_among_colour_ones(tmp_path: Path) -> None:
    root = coco(tmp_path, {"segmentation": [square(1, 1, 3)]})
    Image.fromarray(np.full((H, W), 9, np.uint8)).save(root / "images" / "b.png")
    content = json.loads((root / "annotations.json").read_text())
    content["images"].append({"id": 8, "file_name": "b.png", "height": H, "width": W})
    write_json(root / "annotations.json", content)
    dataset = Folder(root, split="all")
    assert dataset.channels == 3 and (dataset[1].image == 9).all() and dataset[1].image.shape == (H, W, 3)


# ---------------------------------------------------------------------------------------------------------
# COCO: what is refused

RINGS = [square(1, 1, 3)]


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ({"segmentation": []}, "annotations[0] has no outline: its segmentation is []. Boxes alone"),
        ({"bbox": [1, 2, 3, 4]}, "has no outline: its segmentation is None"),
        ({"segmentation": [[1, 2, 3]]}, "annotations[0], ring 0 is [1, 2, 3]; expected x, y, x, y"),
        ({"segmentation": [[1, 2, 3, "4"]]}, "holds '4'; expected numbers of at most 1e+09"),
        ({"segmentation": [[1, 2, 3, float("nan")]]}, "holds nan"),
        ({"segmentation": [[1, 2, 3, 10**400]]}, "holds 1000000"),
        ({"segmentation": [[1, 2, 3, True]]}, "holds True"),
        (
            {"segmentation": {"size": [H, W + 1], "counts": [H * (W + 1)]}},
            "size (10, 13), its image (10, 12)",
        ),
        ({"segmentation": {"size": [H, W], "counts": [3]}}, "add up to 3 pixels"),
        (
            {"segmentation": RINGS, "image_id": 8},
            "annotations[0] belongs to image 8, which isn't among the images",
        ),
        ({"segmentation": RINGS, "image_id": [7]}, "belongs to image [7]"),
        ({"segmentation": RINGS, "category_id": 3}, "has the category 3"),
        ({"segmentation": RINGS, "category_id": 1.5}, "has the category 1.5"),
        ({"segmentation": RINGS, "category_id": float("inf")}, "has the category inf"),
    ],
)
def test_annotations_that_are_refused(tmp_path: Path, annotation: dict[str, Any], words: str) -> None:
    refused(coco(tmp_path, annotation), "annotations.json: ", words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": [], "annotations": []}, "it has no images"),
        ({"images": {}}, "images is a table of nothing; expected a list"),
        ({"images": [3]}, "images[0] is 3; expected a table"),
        (
            {"images": [{"id": 7, "file_name": "a.png", "height": 10**6, "width": 10**6}]},
            "at most 250,000,000",
        ),
        (
            {"images": [{"id": 7, "file_name": "a.png", "height": -1, "width": 5}]},
            "the height of images[0] is -1",
        ),
        ({"images": [{"id": 7, "file_name": ["a"]}]}, "images[0] has the file_name ['a']"),
        ({"images": [{"id": None, "file_name": "a.png"}]}, "images[0] has the id None"),
        (
            {"images": [{"id": 7, "file_name": "gone.png"}]},
            "names pictures that aren't there: 'gone.png'; looked",
        ),
        ({"images": [{"id": 7, "file_name": "a.png", "height": 5, "width": 5}]}, "differ in size"),
        ({"categories": []}, "it has 0 categories"),
        ({"categories": [{"id": 1, "name": ""}]}, "the name of categories[0] is ''"),
        ({"categories": [{"id": 1, "name": "a\ud800"}]}, "the name of categories[0] is 'a\\ud800'"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}, "the same ids: 1, 1"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}, "the same names: a, a"),
        ({"annotations": "none"}, "annotations is 'none'; expected a list"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    refused(coco(tmp_path, {"segmentation": RINGS}, **changes), words)


def test_two_files_for_one_split(tmp_path: Path) -> None:
    root = coco(tmp_path, {"segmentation": RINGS})
    (root / "annotations.json").rename(root / "train.json")
    (root / "other_train.json").write_text((root / "train.json").read_text())
    refused(root, "has the annotation files other_train.json, train.json; expected one for each split")


def test_outlines_that_never_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from minisegnet.data.layouts import drawings

    root = coco(tmp_path, *[{"segmentation": [square(0, 0, 10)]}] * 30)
    monkeypatch.setattr(drawings, "MOST_PAINTED", 2500)
    with pytest.raises(
        ValueError, match=r"annotations\.json: the outlines of 'a\.png' paint more than 2,500"
    ):
        labels(root)


def test_a_large_file_is_kept_compactly_and_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The corners take 16 bytes each; Python's lists would take 60 to 70."""
    rng = np.random.default_rng(0)
    rings = [[round(float(x), 2) for x in rng.uniform(0, 10, 400)] for _ in range(200)]
    root = coco(tmp_path, *({"segmentation": [ring]} for ring in rings))
    tracemalloc.start()
    try:
        parsed = coco_module.parsed_file(root / "annotations.json")
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert parsed is not None and kept < 200 * 200 * 16 * 1.3 + 50_000
    monkeypatch.setattr(coco_module, "read_json", None)
    assert coco_module.parsed_file(root / "annotations.json") is parsed
    assert len(Folder(root, split="all")) == 1


# ---------------------------------------------------------------------------------------------------------
# labelme


def labelme(root: Path, *shapes: dict[str, Any], **changes: Any) -> Path:
    picture(root)
    content = {
        "shapes": [{"label": "cell", "shape_type": "polygon", **shape} for shape in shapes],
        "imagePath": "a.png",
        "imageData": None,
        "imageHeight": H,
        "imageWidth": W,
    }
    write_json(root / "a.json", {**content, **changes})
    return root


def points(ring: list[float]) -> list[list[float]]:
    return np.array(ring).reshape(-1, 2).tolist()


def test_polygons_rectangles_and_circles(tmp_path: Path) -> None:
    root = labelme(
        tmp_path,
        {"points": [[1, 1], [7, 8]], "shape_type": "rectangle"},
        {"points": [[8, 5], [8, 2]], "shape_type": "circle", "label": "round"},
        {"points": points(square(2, 2, 3)), "label": "_background_"},
        {"points": points(square(9, 0, 2)), "shape_type": None, "label": "__ignore__"},
    )
    i, j = np.mgrid[:H, :W] + 0.5
    expected = np.where((i > 1) & (i < 8) & (j > 1) & (j < 7), 1, 0)
    expected[(i - 5) ** 2 + (j - 8) ** 2 < 9] = 2
    expected[2:5, 2:5], expected[0:2, 9:11] = 0, 255
    assert np.array_equal(labels(root), expected)
    dataset = Folder(root, split="all")
    assert dataset.class_names == ("background", "cell", "round") and dataset.ignore_index == 255


def test_names_in_labels_txt(tmp_path: Path) -> None:
    root = labelme(tmp_path, {"points": points(square(2, 2, 3)), "label": "b"})
    (root / "labels.txt").write_text("__ignore__\n_background_\nc\nb\n")
    dataset = Folder(root, split="all")
    assert dataset.class_names == ("background", "c", "b") and dataset[0].labels.max() == 2
    (root / "labels.txt").write_text("_background_\nc\n")
    refused(root, "labels.txt doesn't name b")


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({"points": [[1, 1], [2, 2]], "shape_type": "line"}, "shapes[0] (cell) is a 'line' of 2 points, which has no"),
        ({"points": [[1, 1]], "shape_type": "point"}, "is a 'point' of 1 points"),
        ({"points": [[1, 1], [2, 2], [3, 3]], "shape_type": "circle"}, "is a 'circle' of 3 points"),
        ({"points": [[1, 1], [2]]}, "has the points [[1, 1], [2]]; expected pairs"),
        ({"points": [[1, "x"]]}, "holds 'x'; expected numbers"),
        ({"points": None}, "has the points None"),
        ({"points": [[1, 1e300], [2, 2]], "shape_type": "circle"}, "holds 1e+300"),
        ({"points": [[9e8, 0], [-9e8, 0]], "shape_type": "circle"}, "holds 2700000000.0; expected numbers of at most"),
        ({"points": [], "label": None}, "the label of shapes[0] is None"),
    ],
)  # fmt: skip
def test_shapes_that_are_refused(tmp_path: Path, shape: dict[str, Any], words: str) -> None:
    refused(labelme(tmp_path, shape), "a.json: ", words)


def test_a_stranger_among_labelme_files(tmp_path: Path) -> None:
    root = labelme(tmp_path, {"points": points(square(2, 2, 3))})
    write_json(root / "b.json", {"notes": []})
    refused(root, "b.json isn't labelme's, as its neighbours are")


def test_the_embedded_picture_is_taken_only_where_there_is_no_other(tmp_path: Path) -> None:
    sample = samples_of("train", 1)[0]
    write_picture(tmp_path / "own.png", sample)
    data = base64.b64encode((tmp_path / "own.png").read_bytes()).decode()
    write_json(tmp_path / "a.json", {**labelme_content(sample, "C:\\pictures\\a.png"), "imageData": data})
    (tmp_path / "own.png").unlink()
    dataset = Folder(tmp_path, split="all")
    assert np.array_equal(dataset[0].image, sample.image) and "a.json" in dataset.notes[0]
    assert read_header(tmp_path / "a.json") == (SIZE, 3)
    Image.fromarray(255 - sample.image).save(tmp_path / "a.png")
    dataset = Folder(tmp_path, split="all")
    assert np.array_equal(dataset[0].image, 255 - sample.image) and dataset.notes == ()
    (tmp_path / "a.png").unlink()
    write_json(tmp_path / "a.json", {**labelme_content(sample, "a.png"), "imageData": "aGVsbG8="})
    refused(tmp_path, "a.json can't be read: it is damaged, incomplete or no picture")
    write_json(tmp_path / "a.json", labelme_content(sample, "a.png"))
    refused(
        tmp_path,
        "a.json belongs to the picture 'a.png', which isn't there; looked in",
        "Put it beside the file",
    )
    with pytest.raises(ValueError, match=r"a\.json holds no picture"):
        read_image(tmp_path / "a.json")


def test_labelme_files_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = labelme(tmp_path, {"points": points(square(2, 2, 3))})
    assert labels(root).max() == 1
    read: list[Path] = []
    monkeypatch.setattr(labelme_module, "_parse", lambda content: read.append(content))
    assert labels(root).max() == 1 and not read


# ---------------------------------------------------------------------------------------------------------
# Paths


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A picture outside the data set, which no annotation may reach."""
    picture(tmp_path / "outside", "secret.png")
    return tmp_path / "outside" / "secret.png"


@pytest.mark.parametrize("where", ["coco", "labelme"])
@pytest.mark.parametrize("how", ["absolute", "up", "up windows", "drive", "url", "nul", "long", "many"])
def test_no_path_leads_outside(tmp_path: Path, secret: Path, where: str, how: str) -> None:
    told = {
        "absolute": str(secret),
        "up": "../outside/secret.png",
        "up windows": "..\\outside\\secret.png",
        "drive": f"C:{secret}",
        "url": "https://example.org/../outside/secret.png",
        "nul": "a\0/../outside/secret.png",
        "long": "x" * 5000 + ".png",
        "many": "../" * 5000 + "secret.png",
    }[how]
    root = tmp_path / "data"
    if where == "coco":
        coco(root, {"segmentation": RINGS}, images=[{"id": 7, "file_name": told, "height": H, "width": W}])
        refused(root, "annotations.json names pictures that aren't there")
        picture(root / "images", "secret.png")  # of the same name, inside: that one is taken
    else:
        labelme(root, {"points": points(RINGS[0])}, imagePath=told)
        (root / "a.png").unlink()
        refused(root, "a.json belongs to the picture", "which isn't there")
        picture(root, "secret.png")
    if how == "long":
        return
    layout = find_layout(root)
    assert [e.image.resolve().is_relative_to(root.resolve()) for e in layout.entries()] == [True]
    assert layout.entries()[0].image.name == "secret.png"


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("where", ["coco", "labelme"])
def test_links_that_lead_outside_are_refused(tmp_path: Path, secret: Path, where: str) -> None:
    root = tmp_path / "data"
    if where == "coco":
        coco(root, {"segmentation": RINGS})
        (root / "images" / "a.png").unlink()
        (root / "images" / "a.png").symlink_to(secret)
        refused(root, "annotations.json: a file_name is 'a.png', which leads out of", "through a link")
        (root / "images" / "a.png").unlink()
        (root / "images").rmdir()
        (root / "images").symlink_to(secret.parent)
        content = json.loads((root / "annotations.json").read_text())
        content["images"][0]["file_name"] = "secret.png"
        write_json(root / "annotations.json", content)
        refused(root, "which leads out of")
    else:
        labelme(root, {"points": points(RINGS[0])})
        (root / "a.png").unlink()
        (root / "a.png").symlink_to(secret)
        refused(root, "a.json: imagePath is 'a.png', which leads out of", "through a link")


def test_links_inside_are_fine(tmp_path: Path) -> None:
    root = coco(tmp_path / "data", {"segmentation": RINGS})
    (root / "images").rename(root / "elsewhere")
    (root / "images").symlink_to(root / "elsewhere")
    (tmp_path / "link").symlink_to(root)
    for folder in (root, tmp_path / "link"):
        assert labels(folder).sum() == 9


def test_looking_up_by_fewer_and_fewer_folders(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "b", "a.png")
    picture(tmp_path / "images", "a.png")
    folders = [tmp_path, tmp_path / "images"]
    found = {
        told: find_inside(tmp_path, folders, told, "it")
        for told in ("b/a.png", "x/b/a.png", "x/y/a.png", "a.png", "c.png", "./images//a.png")
    }
    inner, outer = tmp_path / "images" / "b" / "a.png", tmp_path / "images" / "a.png"
    assert list(found.values()) == [inner, inner, outer, outer, None, outer]
    for wrong in (None, "", 3, [], "a/" * 40 + "a.png"):
        with pytest.raises(ValueError, match=r"it (is|has)"):
            find_inside(tmp_path, folders, wrong, "it")


# ---------------------------------------------------------------------------------------------------------
# JSON


def test_json_within_limits(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("\ufeff" + '{"ä": 1}', encoding="utf-8")  # as Windows does
    assert read_json(path) == {"ä": 1}
    with pytest.raises(ValueError, match=r"a\.json has 12 bytes; expected at most 11"):
        read_json(path, most=11)
    for text, words in (("[" * 10**5, "nested too deeply"), ("{", "no JSON"), ("9" * 5000, "no JSON")):
        path.write_text(text)
        with pytest.raises(ValueError, match=rf"a\.json can't be read: .*{words}"):
            read_json(path)
    path.write_bytes(b'{"\xe4": 1}')
    with pytest.raises(ValueError, match=r"a\.json can't be read: .*UnicodeDecodeError"):
        read_json(path)


def test_json_that_is_neither(tmp_path: Path) -> None:
    picture(tmp_path)
    write_json(tmp_path / "a.json", {"images": [], "annotations": [], "info": {}})
    refused(tmp_path, "a.json is one with 'images', 'annotations', 'info'; expected categories to be COCO")
    write_json(tmp_path / "a.json", [1])
    refused(tmp_path, "a.json is no object; expected images, annotations, categories to be COCO, or shapes")


def test_the_makers_content_is_what_tests_believe() -> None:
    content = coco_content(samples_of("train", 4))
    kinds = {type(annotation["segmentation"]) for annotation in content["annotations"]}
    assert kinds == {list, dict} and {a["iscrowd"] for a in content["annotations"]} == {0, 1}


def test_more_labels_than_a_mask_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (labelme_module, coco_module):
        monkeypatch.setattr(module, "MOST_CLASSES", 3)
    shapes = [{"points": points(square(k, k, 2)), "label": f"c{k}"} for k in range(4)]
    refused(labelme(tmp_path, *shapes), "a.json: its shapes have more than 3 labels")
    refused(labelme(tmp_path, *shapes[:3]), "the annotations have 4 classes; expected at most 3")
