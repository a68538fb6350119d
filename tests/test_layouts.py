"""Every layout, in the forms in which it is met: what is recognised, and that its labels come out exactly."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from layout_makers import (
    CAMVID_NAMES,
    COLOURS,
    LAYOUTS,
    NAMES,
    SIZE,
    VOC_NAMES,
    frame,
    make,
    pages,
    samples_of,
    with_border,
    write_camvid_colours,
    write_painted,
    write_picture,
    write_text,
    write_values,
)
from PIL import Image

from minisegnet import ops
from minisegnet.cli import main
from minisegnet.data.folder import Folder
from minisegnet.data.layouts import find_layout
from minisegnet.data.palettes import voc_palette


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_recognised_and_its_labels_are_exact(name: str, tmp_path: Path) -> None:
    expected = make(name, tmp_path / "data")
    layout = find_layout(tmp_path / "data")
    assert layout.kind == expected.kind and layout.split_names() == expected.split_names
    there = {split: [entry.name for entry in entries] for split, entries in layout.splits.items()}
    assert there == {split: sorted(names) for split, names in expected.names.items()}
    for split in (*expected.split_names, "all"):
        dataset = Folder(tmp_path / "data", split=split)
        assert dataset.class_names == expected.class_names and len(dataset) > 0
        for sample in dataset:
            assert np.array_equal(sample.labels, expected.labels[sample.name]), sample.name


def refused(root: Path, *words: str) -> None:
    with pytest.raises(ValueError, match="(?s:.*)".join(re.escape(word) for word in words)):
        find_layout(root)


def names(root: Path) -> dict[str, list[str]]:
    return {split: [entry.name for entry in entries] for split, entries in find_layout(root).splits.items()}


def test_nothing_that_is_known(tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "notes.txt").write_text("notes")
    refused(tmp_path, "has no folder images/; found notes.txt, other/, some/;", "COCO", "labelme")
    refused(tmp_path / "notes.txt", "notes.txt is no folder")


@pytest.mark.parametrize("name", ["pairs", "voc", "camvid", "pet", "coco", "labelme"])
def test_an_unpacked_archive_has_a_folder_in_between(name: str, tmp_path: Path) -> None:
    expected = make(name, tmp_path / "download" / "archive")
    (tmp_path / "download" / "__MACOSX").mkdir()
    (tmp_path / "download" / "LICENSE").write_text("as you like")
    layout = find_layout(tmp_path)
    assert layout.kind == expected.kind and layout.root == tmp_path / "download" / "archive"
    assert f"found in {layout.root}" in layout.notes[-1]


@pytest.mark.parametrize("name", LAYOUTS)
def test_nothing_is_read_but_names_and_annotations(name: str, tmp_path: Path) -> None:
    """All pictures are broken; only the first mask of a CamVid may have been looked at."""
    make(name, tmp_path)
    masks = {entry.mask.path for entry in find_layout(tmp_path).entries()}
    for path in tmp_path.rglob("*"):
        if (
            path.is_file()
            and path.suffix.lower() in (".png", ".jpg")
            and not (name.startswith("camvid") and path in masks)
        ):
            path.write_bytes(b"broken")
    assert find_layout(tmp_path).kind == name.split("-")[0]
    with pytest.raises(ValueError, match=r"(png|jpg|JPG) can't be read"):
        Folder(tmp_path, split="all")


# ---------------------------------------------------------------------------------------------------------
# Pairs


@pytest.mark.parametrize(
    "end", ["_mask", "-mask", "_L", "_label", "_labels", "_P", "_gt", ".mask", "_segmentation"]
)
@pytest.mark.parametrize("beside", [False, True])
def test_masks_that_end_alike(tmp_path: Path, end: str, beside: bool) -> None:
    samples = samples_of("train", 3)
    images, masks = (tmp_path, tmp_path) if beside else (tmp_path / "images", tmp_path / "masks")
    for sample in samples:
        write_picture(images / f"{sample.name}.jpg", sample)
        write_values(masks / f"{sample.name}{end}.png", sample.labels)
    assert names(tmp_path) == {"": [sample.name for sample in samples]}
    dataset = Folder(tmp_path, split="all")
    assert all(np.array_equal(a.labels, b.labels) for a, b in zip(dataset, samples, strict=True))


def test_pictures_that_end_alike_too(tmp_path: Path) -> None:
    for sample in samples_of("train", 2):
        write_picture(tmp_path / "a" / f"{sample.name}_sat.jpg", sample)
        write_values(tmp_path / "a" / f"{sample.name}_mask.png", sample.labels)
        write_picture(tmp_path / "b" / "images" / f"{sample.name}_image.png", sample)
        write_values(tmp_path / "b" / "masks" / f"{sample.name}_mask.png", sample.labels)
    expected = {"": ["shapes-train-00000", "shapes-train-00001"]}
    assert names(tmp_path / "a") == expected and names(tmp_path / "b") == expected


def test_a_photo_and_a_png_of_one_name(tmp_path: Path) -> None:
    for sample in samples_of("train", 2):
        write_picture(tmp_path / f"{sample.name}.JPG", sample)
        write_values(tmp_path / f"{sample.name}.png", sample.labels)
    assert len(names(tmp_path)[""]) == 2
    write_picture(tmp_path / "alone.jpg", sample)
    refused(
        tmp_path,
        "side by side, but not in pairs. Pictures without a mask: alone; masks without a picture: none",
    )


@pytest.mark.parametrize(
    "folders", [("image", "labels"), ("imgs", "annotations"), ("Images", "mask"), ("img", "GT")]
)
def test_folders_by_other_names(tmp_path: Path, folders: tuple[str, str]) -> None:
    for sample in samples_of("train", 2):
        write_picture(tmp_path / folders[0] / f"{sample.name}.jpg", sample)
        write_values(tmp_path / folders[1] / f"{sample.name}.png", sample.labels)
    assert len(names(tmp_path)[""]) == 2
    for sample in samples_of("train", 2):
        write_values(tmp_path / "label" / f"{sample.name}.png", sample.labels)
    refused(tmp_path, "expected one of them: rename the one that is meant to masks/")
    for sample in samples_of("train", 2):
        write_values(tmp_path / "masks" / f"{sample.name}.png", sample.labels)
    assert {entry.mask.path.parent.name for entry in find_layout(tmp_path).entries()} == {"masks"}


def test_lists_divide_pairs(tmp_path: Path) -> None:
    make("pairs", tmp_path)
    everything = names(tmp_path)[""]
    write_text(tmp_path / "val.txt", f"images/{everything[3]}.jpg", everything[1], "")
    assert names(tmp_path) == {
        "train": [everything[k] for k in (0, 2, 4, 5)],
        "val": [everything[3], everything[1]],
    }
    write_text(tmp_path / "test.txt", f"{everything[0]}.jpg masks/{everything[0]}.png")
    assert names(tmp_path)["train"] == [everything[k] for k in (2, 4, 5)]
    write_text(tmp_path / "train.txt", everything[5])
    assert {split: len(part) for split, part in names(tmp_path).items()} == {"train": 1, "val": 2, "test": 1}
    write_text(tmp_path / "train.txt", everything[5], "../../somewhere/else")
    refused(tmp_path, "train.txt names pictures that aren't there: else")
    write_text(tmp_path / "train.txt")
    refused(tmp_path, "train.txt names no picture")
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe")
    refused(tmp_path, "train.txt is no UTF-8 text")


def test_train_and_test_without_val(tmp_path: Path) -> None:
    make("pairs-split", tmp_path)
    shutil.rmtree(tmp_path / "valid")
    layout = find_layout(tmp_path)
    assert (
        layout.split_names() == ("train", "val", "test") and "a part of train is held out" in layout.notes[0]
    )
    sizes = {split: len(Folder(tmp_path, split=split)) for split in ("train", "val", "test")}
    assert sizes == {"train": 3, "val": 1, "test": 2}


def test_a_split_without_masks(tmp_path: Path) -> None:
    make("pairs-split", tmp_path)
    shutil.rmtree(tmp_path / "test" / "labels")  # as contests give them
    assert find_layout(tmp_path).split_names() == ("train", "val")
    shutil.rmtree(tmp_path / "valid" / "labels")
    refused(tmp_path, "valid has no folder masks/; found images/;")
    shutil.rmtree(tmp_path / "train" / "labels")
    refused(tmp_path, "train has no folder masks/; found images/;")


# ---------------------------------------------------------------------------------------------------------
# VOC


def test_voc_without_lists_or_with_other_classes(tmp_path: Path) -> None:
    expected = make("voc", tmp_path)
    shutil.rmtree(tmp_path / "ImageSets")
    assert list(names(tmp_path)) == [""] and len(names(tmp_path)[""]) == 6
    write_text(tmp_path / "ImageSets" / "Segmentation" / "trainval.txt", *expected.labels)
    assert len(names(tmp_path)[""]) == 6
    dataset = Folder(tmp_path, split="all")
    assert (
        dataset.class_names == VOC_NAMES
        and "those that voc has by custom: background, aeroplane" in dataset.notes[-1]
    )
    assert dataset.palette == voc_palette(21)
    write_text(tmp_path / "classes.txt", "0 = nothing", "2 = two", "6 = six", "15 = fifteen", "20 = twenty")
    dataset = Folder(tmp_path, split="all")
    assert dataset.class_names == ("nothing", "two", "six", "fifteen", "twenty") and len(dataset.notes) == 1


def test_voc_with_values_that_are_not_its_own(tmp_path: Path) -> None:
    make("voc", tmp_path)
    for k, path in enumerate(sorted((tmp_path / "SegmentationClass").iterdir())):
        write_values(path, np.full(SIZE, 20 + k))
    with pytest.raises(ValueError, match="hold the values 20, 21, 22, 23"):
        Folder(tmp_path, split="all")
    for path in sorted((tmp_path / "SegmentationClass").iterdir()):
        write_values(path, np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) % 2 * 255)
    with pytest.raises(ValueError, match="hold 0 and 255 and nothing else"):  # not VOC's void
        Folder(tmp_path, split="all")


def test_voc_painted_with_a_label_map(tmp_path: Path) -> None:
    samples = samples_of("train", 3)
    for sample in samples:
        write_picture(tmp_path / "JPEGImages" / f"{sample.name}.jpg", sample)
        write_painted(tmp_path / "SegmentationClass" / f"{sample.name}.png", sample.labels, COLOURS)
    lines = (f"{name}:{','.join(map(str, colour))}::" for name, colour in zip(NAMES, COLOURS, strict=True))
    write_text(tmp_path / "labelmap.txt", "# label:color_rgb:parts:actions", *lines)
    write_text(tmp_path / "ImageSets" / "Segmentation" / "default.txt", *(sample.name for sample in samples))
    dataset = Folder(tmp_path, split="all")
    assert dataset.class_names == NAMES and dataset.palette == COLOURS
    assert all(np.array_equal(a.labels, b.labels) for a, b in zip(dataset, samples, strict=True))
    (tmp_path / "JPEGImages" / f"{samples[0].name}.jpg").unlink()
    refused(tmp_path, "masks in SegmentationClass/ without a picture in JPEGImages/: shapes-train-00000")


# ---------------------------------------------------------------------------------------------------------
# CamVid


def test_camvid_painted_without_any_list(tmp_path: Path) -> None:
    """The frames' names are enough: then the colours are CamVid's 32."""
    expected = make("camvid-painted", tmp_path)
    (tmp_path / "label_colors.txt").unlink()
    dataset = Folder(tmp_path, split="all")
    assert (
        len(dataset.class_names) == 31 and "Void" not in dataset.class_names and dataset.ignore_index == 255
    )
    there = {dataset.class_names[k] for sample in dataset for k in np.unique(sample.labels) if k != 255}
    listed = {
        expected.class_names[k] for labels in expected.labels.values() for k in np.unique(labels) if k != 255
    }
    assert there == listed
    for sample in dataset:
        labels = expected.labels[sample.name]
        renamed = np.array([dataset.class_names.index(name) for name in expected.class_names])
        known = np.where(labels == 255, 0, labels)
        assert np.array_equal(sample.labels, np.where(labels == 255, 255, renamed[known]))


def test_camvid_by_codes(tmp_path: Path) -> None:
    """images/, labels/ with _P, codes.txt and valid.txt."""
    codes = ("Animal", "Road", "Void", "Sky", "Car", "Tree")
    values = np.array([3, 1, 5, 4, 0], np.uint8)
    samples = [sample._replace(name=frame(sample)) for sample in samples_of("train", 4)]
    for sample in samples:
        write_picture(tmp_path / "images" / f"{sample.name}.png", sample)
        write_values(tmp_path / "labels" / f"{sample.name}_P.png", with_border(values[sample.labels], 2))
    write_text(tmp_path / "codes.txt", *codes)
    write_text(tmp_path / "valid.txt", f"{samples[1].name}.png")
    assert find_layout(tmp_path).kind == "camvid" and names(tmp_path)["val"] == [samples[1].name]
    dataset = Folder(tmp_path, split="val")
    assert dataset.class_names == ("Animal", "Road", "Sky", "Car", "Tree") and dataset.ignore_index == 255
    expected = np.array([2, 1, 4, 3, 0], np.uint8)[samples[1].labels]
    assert np.array_equal(dataset[0].labels, with_border(expected))


@pytest.mark.parametrize("segnet", [False, True])
def test_camvid_indices_beside_a_list_of_colours(tmp_path: Path, segnet: bool) -> None:
    """With a list of colours, indices are SegNet's where 11 is the largest, and else the numbers of its lines."""
    expected = make("camvid", tmp_path)
    write_camvid_colours(tmp_path, table=False)  # Void first, then six
    if segnet:
        assert Folder(tmp_path, split="all").class_names == expected.class_names
        return
    for path in tmp_path.rglob("*annot/*.png"):
        values = np.asarray(Image.open(path))
        write_values(path, np.where(values == 11, 0, np.searchsorted([0, 3, 5, 8, 10], values) + 1))
    dataset = Folder(tmp_path, split="all")
    assert dataset.class_names == CAMVID_NAMES and dataset.ignore_index == 255
    for sample in dataset:
        labels = expected.labels[sample.name]
        shapes = np.searchsorted([0, 3, 5, 8, 10], np.where(labels == 255, 0, labels))
        assert np.array_equal(sample.labels, np.where(labels == 255, 255, shapes))


def test_camvid_with_stray_colours_and_frames_without_a_mask(tmp_path: Path) -> None:
    expected = make("camvid-painted", tmp_path)
    first = sorted((tmp_path / "LabeledApproved_full").iterdir())[0]
    painted = np.array(Image.open(first))
    painted[5, 5:15] = (1, 2, 3)  # 10 of 1584 pixels
    Image.fromarray(painted).save(first)
    sorted((tmp_path / "LabeledApproved_full").iterdir())[-1].unlink()
    dataset = Folder(tmp_path, split="all")
    assert len(dataset) == 5 and (dataset[0].labels[5, 5:15] == 255).all()
    labels = expected.labels[dataset[0].name].copy()
    labels[5, 5:15] = 255
    assert np.array_equal(dataset[0].labels, labels)
    assert any("1 of 6 frames have no mask" in note for note in dataset.notes)
    assert any("colours without a name count as void" in note for note in dataset.notes)
    painted[5:7] = (1, 2, 3)
    Image.fromarray(painted).save(first)
    with pytest.raises(ValueError, match=r"holds colours that have no name: #010203 \(88 pixels\)"):
        Folder(tmp_path, split="all")


def test_segnets_folders_with_other_pictures_are_nobodys_classes(tmp_path: Path) -> None:
    make("camvid", tmp_path)
    for path in [*tmp_path.rglob("*.png")]:
        path.rename(
            path.with_name(path.name.replace("0001TP_", "x").replace("0016E5_", "y").replace("Seq05VD_", "z"))
        )
        if "annot" in path.parent.name:
            new = path.with_name(
                path.name.replace("0001TP_", "x").replace("0016E5_", "y").replace("Seq05VD_", "z")
            )
            values = np.asarray(Image.open(new))
            write_values(new, np.where(values == 11, 10, values) // 2)
    dataset = Folder(tmp_path, split="all")
    assert dataset.class_names == ("0", "1", "2", "3", "4", "5") and dataset.ignore_index is None


# ---------------------------------------------------------------------------------------------------------
# Oxford-IIIT Pet


def test_pet_without_lists_and_with_pictures_to_spare(tmp_path: Path) -> None:
    expected = make("pet", tmp_path)
    for name in ("trainval.txt", "test.txt"):
        (tmp_path / "annotations" / name).unlink()
    write_picture(tmp_path / "images" / "spare.jpg", samples_of("train", 1)[0])
    (tmp_path / "images" / "Abyssinian_100.mat").write_bytes(b"")
    assert len(names(tmp_path)[""]) == len(expected.labels) == 7
    (tmp_path / "dataset.toml").write_text(
        'ignored = 3\n[[classes]]\nname = "background"\nvalue = 2\n[[classes]]\nname = "pet"\nvalue = 1\n'
    )
    dataset = Folder(tmp_path, split="all")
    assert dataset.class_names == ("background", "pet")
    for sample in dataset:
        labels = expected.labels[sample.name]
        assert np.array_equal(sample.labels, np.where(labels == 2, 255, labels))


# ---------------------------------------------------------------------------------------------------------
# Training


@pytest.mark.parametrize(
    "name", [n if n in ("camvid", "coco") else pytest.param(n, marks=pytest.mark.slow) for n in LAYOUTS]
)
def test_training_takes_a_layout_as_it_comes(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = make(name, tmp_path / "data")
    words = ["train", str(tmp_path / "data"), "--width", "2", "--depth", "1", "--crop", "16", "--batch", "2"]
    with ops.use_backend("numpy"):
        assert main([*words, "--steps", "2", "--out", str(tmp_path / "runs"), "--json"]) == 0
    said = capsys.readouterr()
    result = json.loads(said.out.splitlines()[-1])
    assert set(result["iou"]) == set(expected.class_names)
    assert result["split"] == ("test" if "test" in expected.split_names else "val")
    assert (tmp_path / "runs" / "data-unet" / "best.safetensors").exists()
    told = find_layout(tmp_path / "data").notes
    assert all(f"note: {note}" in said.err + said.out for note in told)


@pytest.mark.parametrize("kind", ["pages", "array"])
def test_pictures_of_many_channels(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    stacks = {}
    for sample in samples_of("train", 3):
        stacks[sample.name] = rng.integers(0, 65536, (*SIZE, 6), np.uint16)
        (tmp_path / "images").mkdir(exist_ok=True)
        if kind == "pages":
            pages(tmp_path / "images" / f"{sample.name}.tif", *np.moveaxis(stacks[sample.name], 2, 0))
        else:
            np.save(tmp_path / "images" / f"{sample.name}.npy", stacks[sample.name])
        write_values(tmp_path / "masks" / f"{sample.name}.png", sample.labels)
    dataset = Folder(tmp_path, split="all")
    assert dataset.channels == 6
    assert all(np.array_equal(sample.image, stacks[sample.name]) for sample in dataset)
