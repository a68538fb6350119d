"""A folder of pictures and masks: what is paired, divided, named and numbered, and what is refused."""

import re
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from PIL import Image

from minisegnet.arrays import Array
from minisegnet.data.descriptions import describe
from minisegnet.data.folder import Folder, split_names_of_folder
from minisegnet.data.layouts import pictures as module
from minisegnet.data.pairs import divide
from minisegnet.data.palettes import default_palette, voc_palette
from minisegnet.data.reading import write_image, write_mask

RNG = np.random.default_rng(1)


def picture(H: int = 4, W: int = 6, channels: int = 3) -> Array:
    return RNG.integers(0, 256, (H, W, channels), np.uint8)


def mask(values: list[int], H: int = 4, W: int = 6) -> Array:
    return np.resize(np.array(values), (H, W)).astype(np.uint16 if max(values) > 255 else np.uint8)


def make(root: Path, masks: dict[str, list[int]], names: str | None = None) -> Path:
    """Write a picture and a mask of these values for each name."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True, exist_ok=True)
    for name, values in masks.items():
        write_image(root / "images" / f"{name}.png", picture())
        Image.fromarray(mask(values)).save(root / "masks" / f"{name}.png")
    if names is not None:
        (root / "classes.txt").write_text(names, encoding="utf-8")
    return root


def refused(root: Path, *words: str, **options: object) -> None:
    with pytest.raises(ValueError, match="(?s:.*)".join(re.escape(word) for word in words)):
        Folder(root, **{"split": "all", **options})  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------------
# Pairs


def test_pictures_and_masks_are_paired_by_stem(tmp_path: Path) -> None:
    make(tmp_path, {"a": [0, 1], "b": [2]})
    image = picture()
    Image.fromarray(image).save(tmp_path / "images" / "c.bmp")
    np.save(tmp_path / "masks" / "c.npy", mask([1, 2]))
    (tmp_path / "images" / "notes.txt").write_text("not a picture")
    (tmp_path / "images" / ".hidden.png").write_text("the system's own")
    (tmp_path / "masks" / "old.png").mkdir()
    dataset = Folder(tmp_path, split="all")
    assert len(dataset) == 3 and [sample.name for sample in dataset] == ["a", "b", "c"]
    assert dataset.name == tmp_path.name and dataset.channels == 3 and dataset.ignore_index is None
    assert dataset.class_names == ("0", "1", "2") and dataset.palette == default_palette(3)
    sample = dataset[2]
    assert np.array_equal(sample.image, image) and sample.instances is None
    assert sample.labels is not None and sample.labels.dtype == np.uint8
    assert np.array_equal(sample.labels, mask([1, 2]))
    again = dataset[2]
    assert np.array_equal(again.image, sample.image) and again.image is not sample.image
    with pytest.raises(IndexError):
        dataset[3]


def test_holes_in_the_pairs_are_named(tmp_path: Path) -> None:
    make(tmp_path, {name: [0, 1] for name in "abcdefgh"})
    for name in "abcdef":
        (tmp_path / "masks" / f"{name}.png").rename(tmp_path / "masks" / f"{name}_mask.png")
    refused(
        tmp_path,
        "pictures without a mask: a, b, c, d, e ... (6 in all)",
        "masks without a picture: a_mask, b_mask",
    )
    for name in "abcdef":
        (tmp_path / "masks" / f"{name}_mask.png").unlink()
    refused(tmp_path, "pictures without a mask: a, b, c, d, e ... (6 in all). Expected")


def test_two_files_of_one_name(tmp_path: Path) -> None:
    make(tmp_path, {"a": [0, 1], "b": [0, 1]})
    Image.fromarray(picture()).save(tmp_path / "images" / "a.bmp")
    refused(tmp_path, "images: there are two files of one name: a.bmp and a.png")


def test_other_layouts_are_explained(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "nowhere is no folder")
    refused(tmp_path, "has no folder images/; found nothing; expected images/ and masks/")
    make(tmp_path, {"a": [0, 1]})
    (tmp_path / "masks").rename(tmp_path / "labels")
    assert len(Folder(tmp_path, split="all")) == 1  # by another name
    (tmp_path / "labels").rename(tmp_path / "truth")
    refused(tmp_path, "has no folder masks/; found images/, truth/;", "Every layout that is known")
    empty = tmp_path / "empty"
    make(empty, {})
    refused(empty, "images has no pictures; expected files that end in .png")


def test_sizes_that_differ(tmp_path: Path) -> None:
    make(tmp_path, {"a": [0, 1], "b": [0, 1]})
    write_image(tmp_path / "images" / "b.png", picture(4, 5))
    refused(tmp_path, "differ in size (H, W): b.png (4, 5) and b.png (4, 6)")


def test_channels_that_differ(tmp_path: Path) -> None:
    make(tmp_path, {"a": [0, 1], "b": [0, 1]})
    write_image(tmp_path / "images" / "b.png", picture(channels=1))
    refused(tmp_path, "number of channels (1 with 1, 1 with 3); those with 1: b.png")


def test_a_picture_that_lies_on_its_side(tmp_path: Path) -> None:
    make(tmp_path, {"a": [0, 1]})
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.fromarray(picture(6, 4)).save(tmp_path / "images" / "a.png", exif=tags)
    sample = Folder(tmp_path, split="all")[0]
    assert sample.image.shape == (4, 6, 3)
    assert sample.labels is not None and sample.labels.shape == (4, 6)


def test_a_damaged_mask_is_found_when_the_folder_is_opened(tmp_path: Path) -> None:
    make(tmp_path, {"a": [0, 1], "b": [0, 1]})
    path = tmp_path / "masks" / "b.png"
    path.write_bytes(path.read_bytes()[:50])
    refused(tmp_path, "b.png can't be read")


def test_files_that_change_later_are_noticed(tmp_path: Path) -> None:
    dataset = Folder(make(tmp_path, {"a": [0, 1], "b": [0, 1]}), split="all")
    Image.fromarray(mask([0, 7])).save(tmp_path / "masks" / "a.png")
    write_image(tmp_path / "images" / "b.png", picture(8, 8))
    with pytest.raises(ValueError, match=r"a\.png holds the value 7, which is no class"):
        dataset[0]
    with pytest.raises(ValueError, match=r"b\.png has shape \(8, 8, 3\)"):
        dataset[1]


def test_masks_are_looked_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = module.read_mask
    monkeypatch.setattr(module, "read_mask", lambda path: read.append(path.name) or real(path))  # type: ignore[func-returns-value]
    make(tmp_path, {"a": [0, 1], "b": [0, 1]})
    for split in ("train", "val", "all"):
        Folder(tmp_path, split=split)
    assert read == ["a.png", "b.png"]
    Image.fromarray(mask([0, 1, 2])).save(tmp_path / "masks" / "b.png")
    assert len(Folder(tmp_path).class_names) == 3 and read[2:] == ["b.png"]


def test_sizes(tmp_path: Path) -> None:
    make(tmp_path, {"a": [0, 1], "b": [0, 1]})
    assert Folder(tmp_path, split="all").sizes() == {(4, 6)}
    write_image(tmp_path / "images" / "b.png", picture(8, 6))
    Image.fromarray(mask([0, 1], 8)).save(tmp_path / "masks" / "b.png")
    assert Folder(tmp_path, split="all").sizes() == {(4, 6), (8, 6)}


# ---------------------------------------------------------------------------------------------------------
# Splits


@given(st.sets(st.text(max_size=5), min_size=2, max_size=40), st.integers(0, 2**70), st.floats(0.01, 0.99))
def test_a_split_is_a_partition_and_a_pure_function(names: set[str], seed: int, holdout: float) -> None:
    train, val = divide(sorted(names), seed=seed, holdout=holdout)
    assert train and val and sorted(train + val) == sorted(names)
    assert train == sorted(train) and val == sorted(val)
    assert abs(len(val) - holdout * len(names)) <= 0.5 + 1e-9 or len(val) == 1 or len(train) == 1
    assert divide(sorted(names), seed=seed, holdout=holdout) == (train, val)


def test_another_seed_divides_otherwise() -> None:
    names = [str(k) for k in range(100)]
    assert divide(names, seed=0) != divide(names, seed=1)
    assert len(divide(names)[1]) == 20
    assert divide(list(range(10)), seed=0) == (
        [1, 2, 3, 4, 5, 6, 7, 9],
        [0, 8],
    )  # runs are repeated by it: stays for ever


@pytest.mark.parametrize("holdout", [0, 1, 1.5, -0.1, float("nan"), "0.2", True])
def test_impossible_shares(holdout: float) -> None:
    with pytest.raises(ValueError, match="expected a share between 0 and 1"):
        divide(["a", "b"], holdout=holdout)


def test_a_folder_is_divided_by_names_alone(tmp_path: Path) -> None:
    masks = {f"p{k}": [0, 1] for k in range(10)}
    one, other = make(tmp_path / "one", masks), make(tmp_path / "other", dict(reversed(masks.items())))
    for seed in (0, 3):
        parts = {}
        for split in ("train", "val", "all"):
            a, b = (Folder(root, split=split, seed=seed, holdout=0.3) for root in (one, other))
            parts[split] = [sample.name for sample in a]
            assert parts[split] == [sample.name for sample in b]
        assert len(parts["val"]) == 3 and sorted(parts["train"] + parts["val"]) == parts["all"]
    assert split_names_of_folder(one) == ("train", "val")
    refused(one, "no pictures set aside for 'test'", split="test")
    refused(one, "split is 'training'; expected one of train, val, test, all", split="training")


def test_one_picture_cannot_be_divided(tmp_path: Path) -> None:
    make(tmp_path, {"a": [0, 1]})
    assert len(Folder(tmp_path, split="all")) == 1
    refused(tmp_path, "there is 1 picture; expected two or more", split="train")


def test_splits_that_are_folders(tmp_path: Path) -> None:
    make(tmp_path / "train", {"a": [0, 1], "b": [0, 1]})
    make(tmp_path / "val", {"c": [2]})
    assert split_names_of_folder(tmp_path) == ("train", "val")
    refused(tmp_path, "no pictures for 'test'; found train/images, val/images;", split="test")
    (tmp_path / "test" / "images").mkdir(parents=True)  # without masks, as contests give them
    assert split_names_of_folder(tmp_path) == ("train", "val")
    make(tmp_path / "test", {"a": [1]})
    assert split_names_of_folder(tmp_path) == ("train", "val", "test")
    names = {
        split: [s.name for s in Folder(tmp_path, split=split)] for split in ("train", "val", "test", "all")
    }
    assert names == {"train": ["a", "b"], "val": ["c"], "test": ["a"], "all": ["a", "b", "c", "a"]}
    # The classes are those of all splits: train doesn't hold 2.
    assert all(Folder(tmp_path, split=split).class_names == ("0", "1", "2") for split in names)
    make(tmp_path, {"a": [0, 1]})
    refused(tmp_path, "both images/ and train/images/")


# ---------------------------------------------------------------------------------------------------------
# Classes


def test_names_of_classes(tmp_path: Path) -> None:
    make(tmp_path, {"a": [0, 2, 255]}, names="background\nnerve cell\nMembran \n 세포\n\n")
    dataset = Folder(tmp_path, split="all")
    assert dataset.class_names == ("background", "nerve cell", "Membran", "세포")
    assert dataset.ignore_index == 255 and dataset[0].labels is not None
    assert sorted(set(dataset[0].labels.ravel().tolist())) == [0, 2, 255]
    assert Folder(tmp_path, split="all", class_names=("a", "b", "c")).class_names == ("a", "b", "c")


def test_values_beyond_the_names(tmp_path: Path) -> None:
    make(tmp_path, {"a": [0, 1], "b": [0, 2, 3], "c": [7]}, names="one\ntwo\n")
    refused(
        tmp_path, "no class: b.png: 2, 3, c.png: 7. There are 2 classes (one, two), with the values 0 to 1"
    )


def test_files_of_names_that_are_refused(tmp_path: Path) -> None:
    make(tmp_path, {"a": [0, 1]}, names="one\n\ntwo")
    refused(tmp_path, "classes.txt has no name in line 2")
    for text, words in {
        "one": "the class names are one; expected two or more, all different",
        "": "the class names are none",
        "one\none": "the class names are one, one",
        "0 = one\ntwo": "'value = name' in some lines and not in line 2 ('two')",
        "0 = one\n0 = two": "the label values are 0, 0",
        "0 = one\n70000 = two": "label_values holds 70000",
    }.items():
        (tmp_path / "classes.txt").write_text(text)
        refused(tmp_path, words)
    (tmp_path / "classes.txt").write_bytes("Gebäude\nStraße".encode("latin-1"))
    refused(tmp_path, "classes.txt is no UTF-8 text")
    (tmp_path / "classes.txt").write_text("one\ntwo", encoding="utf-8-sig")  # as Windows does
    told = describe(tmp_path)
    assert told is not None and told.class_names == ("one", "two") and told.values is None
    refused(
        tmp_path,
        "3 class names and 2 label values",
        class_names=("abc", "d", "e"),
        label_values=(0, 1),
    )
    with pytest.raises(TypeError, match="class_names is 'cell'"):
        Folder(tmp_path, split="all", class_names="cell")


@pytest.mark.parametrize("values", [[0, 255], [255]])
@pytest.mark.parametrize("names", [None, "background\ncell"])
def test_black_and_white_masks_are_refused(tmp_path: Path, values: list[int], names: str | None) -> None:
    make(tmp_path, {"a": values, "b": values}, names)
    refused(
        tmp_path,
        f"hold {' and '.join(map(str, values))} and nothing else",
        "0 = background\n  255 = object",
        "(0, 255)",
    )


@pytest.mark.parametrize("by_file", [True, False])
def test_black_and_white_masks_with_a_mapping(tmp_path: Path, by_file: bool) -> None:
    make(tmp_path, {"a": [0, 255]}, "0 = background\n255=cell" if by_file else None)
    dataset = Folder(tmp_path, split="all", label_values=None if by_file else (0, 255))
    assert dataset.class_names == (("background", "cell") if by_file else ("0", "255"))
    assert dataset.ignore_index is None and dataset[0].labels is not None
    assert np.array_equal(dataset[0].labels, mask([0, 1]))


def test_any_values_can_be_mapped(tmp_path: Path) -> None:
    make(tmp_path, {"a": [50, 0, 400], "b": [255]})
    dataset = Folder(tmp_path, split="all", label_values=(50, 400, 0), class_names=("x", "y", "z"))
    assert dataset.ignore_index == 255 and dataset.class_names == ("x", "y", "z")
    labels = [sample.labels for sample in dataset]
    assert (
        labels[0] is not None and np.array_equal(labels[0], mask([0, 2, 1])) and labels[0].dtype == np.uint8
    )
    assert labels[1] is not None and (labels[1] == 255).all()
    refused(tmp_path, "255 marks pixels", "label 255, too", label_values=range(256, 800))
    refused(tmp_path, "no class: a.png: 400", "values 50, 0.", label_values=(50, 0))


def test_values_with_large_gaps_are_refused(tmp_path: Path) -> None:
    make(tmp_path, {"a": [0, 15, 255]})
    refused(
        tmp_path,
        "hold the values 0, 15, so that 14 of 16 classes would never occur",
        "0 = background\n  15 = object",
    )
    assert Folder(tmp_path, split="all", label_values=(0, 15)).ignore_index == 255
    (tmp_path / "classes.txt").write_text("\n".join(f"class {k}" for k in range(21)))
    assert len(Folder(tmp_path, split="all").class_names) == 21


def test_small_gaps_are_classes_that_do_not_occur(tmp_path: Path) -> None:
    make(tmp_path, {"a": [1, 3], "b": [2, 255]})
    dataset = Folder(tmp_path, split="all")
    assert dataset.class_names == ("0", "1", "2", "3") and dataset.ignore_index == 255


def test_one_value_is_no_task(tmp_path: Path) -> None:
    refused(make(tmp_path, {"a": [0], "b": [0]}), "hold the value 0 and nothing else. Expected two classes")


def test_255_is_a_class_among_many(tmp_path: Path) -> None:
    make(tmp_path / "a", {"a": list(range(256))})
    np.save(tmp_path / "a" / "masks" / "a.npy", np.arange(256, dtype=np.uint8).reshape(16, 16))
    (tmp_path / "a" / "masks" / "a.png").unlink()
    write_image(tmp_path / "a" / "images" / "a.png", picture(16, 16))
    dataset = Folder(tmp_path / "a", split="all")
    assert len(dataset.class_names) == 256 and dataset.ignore_index is None
    np.save(tmp_path / "a" / "masks" / "a.npy", np.arange(256, dtype=np.uint16).reshape(16, 16) + 50)
    many = Folder(tmp_path / "a", split="all")
    assert len(many.class_names) == 306 and many.ignore_index is None
    assert many[0].labels is not None and many[0].labels.dtype == np.uint16 and many[0].labels.max() == 305
    np.save(
        tmp_path / "a" / "masks" / "a.npy",
        np.where(np.arange(256) < 254, np.arange(256), 255).reshape(16, 16),
    )
    assert Folder(tmp_path / "a", split="all").ignore_index == 255


def test_the_masks_own_colours(tmp_path: Path) -> None:
    make(tmp_path, {"a": [0, 1, 2]})
    for palette, expected in (
        (voc_palette(256), voc_palette(3)),
        ([(k, k, k) for k in range(256)], default_palette(3)),  # greys
        ([(0, 0, 0), (9, 0, 0), (9, 0, 0)], default_palette(3)),  # two the same
    ):
        write_mask(tmp_path / "masks" / "a.png", mask([0, 1, 2]), palette)
        assert Folder(tmp_path, split="all").palette == expected
    write_mask(tmp_path / "masks" / "a.png", mask([0, 15]), voc_palette(256))
    assert Folder(tmp_path, split="all", label_values=(0, 15)).palette == ((0, 0, 0), (192, 128, 128))


@pytest.mark.parametrize("change", [lambda p: p.unlink(), lambda p: p.write_bytes(b"")])
def test_only_names_and_facts_are_kept(tmp_path: Path, change: Callable[[Path], object]) -> None:
    dataset = Folder(make(tmp_path, {"a": [0, 1]}), split="all")
    change(tmp_path / "images" / "a.png")
    with pytest.raises((FileNotFoundError, ValueError), match=r"a\.png"):
        dataset[0]
