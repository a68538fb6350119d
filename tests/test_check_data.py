"""check-data: each planted illness is found and named, and healthy sets have none."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import layout_makers
import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from minisegnet.arrays import Array
from minisegnet.cli import main
from minisegnet.data import Folder, Synthetic
from minisegnet.data.checking.balance import check_balance, measure
from minisegnet.data.checking.check import check_data, refuse_broken
from minisegnet.data.finding import Finding, Refused
from minisegnet.data.statistics import class_weights
from minisegnet.viz import data_sheet as sheets

FEW = {"few-pictures", "few-held-out"}  # notes that any small set has
ORIENTATION = 0x0112


def write(
    root: Path,
    kind: str = "shapes",
    count: int = 4,
    size: tuple[int, int] = (40, 56),
    split: str = "train",
    change: Callable[[Array], Array] = lambda labels: labels,
) -> Path:
    """Write a synthetic set as a folder of pairs: a.png, b.png ..."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for k, sample in enumerate(Synthetic(kind, split=split, count=count, size=size)):
        assert sample.labels is not None
        Image.fromarray(sample.image.squeeze()).save(root / "images" / f"{chr(97 + k)}.png")
        Image.fromarray(change(sample.labels)).save(root / "masks" / f"{chr(97 + k)}.png")
    return root


def black_and_white(labels: Array) -> Array:
    return (labels == 1).astype(np.uint8) * np.uint8(255)


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image.copy()


def found(root: Path, **options: Any) -> dict[str, Finding]:
    """Return the findings by code; every one says what, why and what to do."""
    findings = check_data(root, **options).findings
    by_code = {finding.code: finding for finding in findings}
    for finding in findings:
        assert finding.found and finding.why and finding.do, finding
        assert finding.severity in ("error", "warning", "note")
    return by_code


def only(root: Path, code: str, severity: str, *words: str) -> Finding:
    """Return the one finding that a set with one illness has."""
    findings = {c: f for c, f in found(root).items() if c not in FEW}
    assert set(findings) == {code}, findings
    finding = findings[code]
    assert finding.severity == severity
    for word in words:
        assert word in finding.text(), (word, finding.text())
    return finding


# ---------------------------------------------------------------------------------------------------------
# Healthy


@pytest.mark.parametrize("layout", layout_makers.LAYOUTS)
def test_healthy_sets_of_every_layout_have_no_findings(layout: str, tmp_path: Path) -> None:
    made = layout_makers.make(layout, tmp_path / "data")
    checked = check_data(tmp_path / "data")
    assert checked.layout is not None and checked.layout.kind == made.kind
    assert len(checked.pairs) == len(made.labels) and all(pair.whole for pair in checked.pairs)
    assert {f.code for f in checked.findings} <= FEW | {"absent-class"} and not checked.of("warning")
    if made.kind not in ("camvid",):  # its list of colours names a class that the small set hasn't got
        assert "absent-class" not in {f.code for f in checked.findings}
    refuse_broken(tmp_path / "data")


@pytest.mark.parametrize("kind", ["shapes", "cells", "streets"])
def test_synthetic_sets_on_the_disk_have_no_findings(kind: str, tmp_path: Path) -> None:
    assert found(write(tmp_path, kind, count=12, size=(64, 80))) == {}


@settings(max_examples=40)
@given(st.data())
def test_healthy_data_never_gives_errors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any label maps with all values from 0 to C - 1, of any sizes, in any depth: nothing to refuse."""
    root = tmp_path_factory.mktemp("healthy")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    C, scale = data.draw(st.integers(2, 30)), data.draw(st.sampled_from([1, 1, 3, 8]))
    ignored = data.draw(st.booleans()) and C > 2
    for name in ("images", "masks"):
        (root / name).mkdir()
    for k in range(data.draw(st.integers(2, 4))):
        H, W = data.draw(st.integers(6, 12)), data.draw(st.integers(6, 12))
        labels = rng.integers(0, C, (H, W), np.uint8)
        labels.flat[:C] = np.arange(C)
        labels = np.kron(labels, np.ones((scale, scale), np.uint8))
        if ignored:
            labels[-1, -1] = 255
        Image.fromarray(rng.integers(0, 256, (*labels.shape, 3), np.uint8)).save(root / "images" / f"{k}.png")
        Image.fromarray(labels).save(root / "masks" / f"{k}.png")
    checked = check_data(root)
    assert not checked.of("error") and not any(f.code == "blended-values" for f in checked.findings)
    refuse_broken(root)
    Folder(root)


# ---------------------------------------------------------------------------------------------------------
# Pairs and files


def test_missing_partners_are_all_named_and_the_rest_is_checked(tmp_path: Path) -> None:
    write(tmp_path / "train", count=6)
    write(tmp_path / "val", split="val", count=4)
    for part in ("train/masks/a", "train/masks/b", "train/images/c", "val/masks/d"):
        (tmp_path / f"{part}.png").unlink()
    (tmp_path / "val" / "masks" / "b.png").write_bytes(b"")
    findings = check_data(tmp_path).findings
    told = [finding.headline() for finding in findings if finding.severity == "error"]
    assert told == [
        "train/: pictures without a mask: a, b",
        "train/: masks without a picture: c",
        "val/: pictures without a mask: d",
        "empty files (0 bytes): val/masks/b.png",
    ]


def test_two_files_of_one_name(tmp_path: Path) -> None:
    write(tmp_path)
    opened(tmp_path / "images/a.png").save(tmp_path / "images/a.bmp")
    finding = only(tmp_path, "same-name", "error", "rename it")
    assert finding.headline() == "images/: there are two files of one name: a.bmp and a.png"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    write(tmp_path, count=8)
    for name, keep in (("images/a", 0.6), ("masks/b", 0.6)):
        path = tmp_path / f"{name}.png"
        path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    (tmp_path / "images/c.png").write_bytes(b"")
    (tmp_path / "masks/d.png").write_text("this is no picture")
    rgb = np.zeros((40, 56, 3), np.uint8)
    rgb[:20] = 200, 10, 0
    Image.fromarray(rgb).save(tmp_path / "masks/e.png")
    findings = found(tmp_path)
    assert findings["empty-file"].files == ("images/c.png",)
    (image,) = findings["unreadable-picture"].files
    assert image.startswith("images/a.png (") and "truncated" in image and "Copy or save" not in image
    b, d = findings["unreadable-mask"].files
    assert b.startswith("masks/b.png (") and d.startswith("masks/d.png (")
    assert findings["painted-mask"].files == ("masks/e.png (2 colours)",)
    assert {f.code for f in check_data(tmp_path).of("error")} == {
        "empty-file",
        "unreadable-picture",
        "unreadable-mask",
        "painted-mask",
    }


def test_masks_saved_as_jpeg_whatever_they_are_called(tmp_path: Path) -> None:
    write(tmp_path, "cells")
    opened(tmp_path / "masks/a.png").save(tmp_path / "masks/a.jpg")
    (tmp_path / "masks/a.png").unlink()
    opened(tmp_path / "masks/b.png").save(tmp_path / "masks/b.png", format="JPEG")
    finding = only(tmp_path, "jpeg-mask", "error", "PNG", "blurs")
    assert finding.files == ("masks/a.jpg", "masks/b.png")


def test_large_files_are_not_unpacked(tmp_path: Path) -> None:
    findings = found(write(tmp_path), max_pixels=1000)
    assert len(findings["unreadable-picture"].files) == len(findings["unreadable-mask"].files) == 4
    assert "2,240 in all; expected at most 1,000" in findings["unreadable-picture"].files[0]


@pytest.mark.parametrize("layout", layout_makers.LAYOUTS)
def test_damaged_pictures_and_masks_are_named_in_every_layout(layout: str, tmp_path: Path) -> None:
    layout_makers.make(layout, tmp_path)
    healthy = check_data(tmp_path)
    assert healthy.layout is not None
    first, second = healthy.layout.entries()[:2]
    first.image.write_bytes(first.image.read_bytes()[:200])
    errors = {"unreadable-picture"}
    if second.mask.path.suffix == ".png":
        second.mask.path.write_bytes(b"")
        errors.add("empty-file")
    checked = check_data(tmp_path)
    assert {finding.code for finding in checked.of("error")} == errors
    told = "".join(finding.headline() for finding in checked.of("error"))
    assert first.image.name in told and ("empty-file" not in errors or second.mask.path.name in told)


@pytest.mark.parametrize("layout", ["coco", "labelme"])
def test_damaged_annotations_are_named(layout: str, tmp_path: Path) -> None:
    layout_makers.make(layout, tmp_path)
    path = next(iter(sorted(tmp_path.rglob("*.json"))))
    path.write_text(path.read_text(encoding="utf-8")[:100], encoding="utf-8")
    (finding,) = (f for f in check_data(tmp_path).findings if f.severity == "error")
    assert path.name in finding.text() and finding.do


def test_a_folder_of_no_layout(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    (finding,) = check_data(tmp_path).findings
    assert finding.code == "layout" and "notes.txt" in finding.found and "images/ and masks/" in finding.found


# ---------------------------------------------------------------------------------------------------------
# Agreement


def test_sizes_that_differ_and_sizes_that_are_swapped(tmp_path: Path) -> None:
    write(tmp_path)
    opened(tmp_path / "masks/a.png").crop((0, 0, 50, 40)).save(tmp_path / "masks/a.png")
    opened(tmp_path / "masks/b.png").transpose(Image.Transpose.ROTATE_90).save(tmp_path / "masks/b.png")
    findings = found(tmp_path)
    assert findings["size-mismatch"].files == ("images/a.png (40, 56) and masks/a.png (40, 50)",)
    assert findings["orientation-mismatch"].files == ("images/b.png (40, 56) and masks/b.png (56, 40)",)
    assert set(findings) - FEW == {"size-mismatch", "orientation-mismatch"}


def turn(path: Path, orientation: int) -> None:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    opened(path).save(path, exif=tags)


def test_exif_orientations(tmp_path: Path) -> None:
    write(tmp_path)
    turn(tmp_path / "images/a.png", 6)
    only(tmp_path, "orientation-mismatch", "error", "images/a.png (56, 40) and masks/a.png (40, 56)", "EXIF")
    turn(tmp_path / "masks/a.png", 6)  # both are turned: all is well
    assert set(found(tmp_path)) <= FEW
    turn(tmp_path / "images/b.png", 3)
    only(tmp_path, "orientation", "warning", "images/b.png (upside down)", "contact sheet")


def test_channels_and_depths(tmp_path: Path) -> None:
    write(tmp_path)
    opened(tmp_path / "images/b.png").convert("L").save(tmp_path / "images/b.png")
    finding = only(tmp_path, "channels", "error", "1 with 1, 3 with 3", "those with 1: images/b.png")
    assert finding.files == ("images/b.png",)
    write(tmp_path / "deep", "cells")
    sixteen = np.asarray(opened(tmp_path / "deep/images/c.png")).astype(np.uint16) * 16
    Image.fromarray(sixteen).save(tmp_path / "deep/images/c.png")
    only(tmp_path / "deep", "bit-depth", "warning", "1 with uint16, 3 with uint8", "images/c.png", "12 bits")


# ---------------------------------------------------------------------------------------------------------
# Values


def test_black_and_white_masks_and_the_lines_to_paste(tmp_path: Path) -> None:
    write(tmp_path, "cells", change=black_and_white)
    finding = only(tmp_path, "black-and-white", "error", "0 and 255", "  0 = background\n  255 = object")
    proposal = check_data(tmp_path).labels.proposal
    assert all(line in finding.do for line in proposal)
    (tmp_path / "classes.txt").write_text("\n".join(proposal))
    assert set(found(tmp_path)) <= FEW
    assert Folder(tmp_path, split="all").class_names == ("background", "object")


def test_values_with_gaps_and_values_that_are_no_class(tmp_path: Path) -> None:
    write(tmp_path, "cells", change=lambda labels: labels * np.uint8(60))
    only(tmp_path, "gaps", "error", "0 = background\n  60 = class 60\n  120 = class 120")
    (tmp_path / "classes.txt").write_text("\n".join(check_data(tmp_path).labels.proposal))
    assert set(found(tmp_path)) <= FEW
    (tmp_path / "classes.txt").write_text("0 = ground\n60 = cell")
    only(tmp_path, "no-class", "error", "masks/a.png: 120", "There are 2 classes (ground, cell)")
    (tmp_path / "classes.txt").write_text("0 = ground\n60")
    assert "'value = name' in some lines" in check_data(tmp_path).findings[0].found


def test_masks_of_one_value(tmp_path: Path) -> None:
    only(write(tmp_path, change=np.zeros_like), "one-value", "error", "hold the value 0 and nothing else")


def test_a_mask_that_was_scaled_like_a_picture(tmp_path: Path) -> None:
    write(tmp_path, "cells", size=(64, 80), change=black_and_white)
    mask = opened(tmp_path / "masks/b.png")
    mask.resize((40, 32), Image.Resampling.BOX).resize((80, 64), Image.Resampling.NEAREST)
    mask.resize((120, 96), Image.Resampling.BILINEAR).resize((80, 64), Image.Resampling.NEAREST).save(
        tmp_path / "masks/b.png"
    )
    findings = found(tmp_path)
    assert set(findings) - FEW == {"blended-values", "black-and-white"}
    blended = findings["blended-values"]
    assert blended.severity == "error" and blended.files == ("masks/b.png",) and "NEAREST" in blended.do
    (tmp_path / "classes.txt").write_text("0 = ground\n255 = cell")
    only(tmp_path, "blended-values", "error", "masks/b.png", "only averaging can have made")
    with pytest.raises(Refused, match="only averaging can have made"):
        refuse_broken(tmp_path)


def test_named_classes_that_averaging_made_are_a_warning(tmp_path: Path) -> None:
    """With classes from 0 to 20 every number is a class, so that training would learn the false ones."""
    write(tmp_path, size=(64, 80), change=lambda labels: np.array([0, 7, 12, 16, 20], np.uint8)[labels])
    (tmp_path / "classes.txt").write_text("\n".join(f"class {k}" for k in range(21)))
    mask = opened(tmp_path / "masks/a.png")
    assert set(found(tmp_path)) <= FEW | {"absent-class"}
    mask.resize((120, 96), Image.Resampling.BILINEAR).resize((80, 64), Image.Resampling.NEAREST).save(
        tmp_path / "masks/a.png"
    )
    finding = found(tmp_path)["blended-values"]
    assert finding.severity == "warning" and finding.files == ("masks/a.png",)


def test_numbers_of_objects(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    numbers = np.kron(np.arange(60, dtype=np.uint8).reshape(6, 10), np.ones((8, 8), np.uint8))
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for k in range(3):
        Image.fromarray(rng.integers(0, 256, (48, 80), np.uint8)).save(tmp_path / f"images/{k}.png")
        Image.fromarray(numbers).save(tmp_path / f"masks/{k}.png")
    only(tmp_path, "many-classes", "warning", "60 values", "labels[labels > 0] = 1")


# ---------------------------------------------------------------------------------------------------------
# Twins


def test_duplicates_across_splits(tmp_path: Path) -> None:
    write(tmp_path / "train", count=6)
    write(tmp_path / "val", split="val")
    for part in ("images", "masks"):
        opened(tmp_path / f"train/{part}/a.png").save(
            tmp_path / f"val/{part}/x.tif"
        )  # another name and format
        shutil.copy(tmp_path / f"train/{part}/b.png", tmp_path / f"train/{part}/again.png")
    opened(tmp_path / "train/images/c.png").save(tmp_path / "val/images/y.jpg", quality=80)
    shutil.copy(tmp_path / "train/masks/c.png", tmp_path / "val/masks/y.png")
    findings = found(tmp_path)
    assert set(findings) - FEW == {
        "duplicate-across-splits",
        "duplicate-within-split",
        "near-duplicate-across-splits",
    }
    assert findings["duplicate-across-splits"].files == ("train/images/a.png = val/images/x.tif",)
    assert findings["duplicate-within-split"].files == ("train/images/again.png = train/images/b.png",)
    assert findings["near-duplicate-across-splits"].files == ("train/images/c.png = val/images/y.jpg",)
    assert findings["duplicate-across-splits"].severity == "warning"


def test_duplicates_of_an_undivided_set_and_masks_that_disagree(tmp_path: Path) -> None:
    write(tmp_path)
    shutil.copy(tmp_path / "images/a.png", tmp_path / "images/z.png")
    shutil.copy(tmp_path / "masks/b.png", tmp_path / "masks/z.png")
    findings = found(tmp_path)
    assert set(findings) - FEW == {"duplicate", "contradiction"}
    assert findings["contradiction"].files == findings["duplicate"].files == ("images/a.png = images/z.png",)


# ---------------------------------------------------------------------------------------------------------
# Balance


def test_rare_absent_and_untaught_classes(tmp_path: Path) -> None:
    def one_pixel(labels: Array) -> Array:
        labels = (labels > 0).astype(np.uint8)
        labels[0, 0] = 2
        return labels

    write(tmp_path / "train", count=3, change=one_pixel)
    write(
        tmp_path / "val",
        split="val",
        count=3,
        change=lambda labels: np.where(labels == 1, 3, labels > 0).astype(np.uint8),
    )
    (tmp_path / "classes.txt").write_text("ground\nthing\ndot\nother\nnever")
    findings = found(tmp_path)
    assert set(findings) - FEW == {"rare-class", "untaught-class", "absent-class"}
    assert "dot (0.045 % of the pixels)" in findings["rare-class"].found
    assert (
        "--weights median-frequency" in findings["rare-class"].do
        and "--loss ce+dice" in findings["rare-class"].do
    )
    assert (
        findings["untaught-class"].found.endswith(": other")
        and findings["untaught-class"].severity == "warning"
    )
    assert findings["absent-class"].found.endswith(": never") and findings["absent-class"].severity == "note"


def test_empty_masks_and_ignored_pixels(tmp_path: Path) -> None:
    write(tmp_path, count=5)
    Image.fromarray(np.zeros((40, 56), np.uint8)).save(tmp_path / "masks/c.png")
    finding = only(tmp_path, "one-class-mask", "note", "1 with 0")
    assert finding.files == ("masks/c.png",)
    write(
        tmp_path / "void",
        count=5,
        change=lambda labels: np.where(np.arange(56) < 40, 255, labels).astype(np.uint8),
    )
    findings = found(tmp_path / "void")
    assert "71 % of all pixels" in findings["mostly-ignored"].found


def test_suggested_weights_are_those_of_the_training(tmp_path: Path) -> None:
    write(tmp_path / "train", count=5)
    write(tmp_path / "val", split="val", count=2)
    checked = check_data(tmp_path)
    assert checked.labels.classes is not None
    balance = measure([pair for pair in checked.pairs if pair.split == "train"], checked.labels.classes)
    for kind, weights in balance.weights.items():
        assert np.array_equal(weights, class_weights(Folder(tmp_path, split="train"), kind))
    assert check_balance([], checked.labels.classes) == []


# ---------------------------------------------------------------------------------------------------------
# The command


def called(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, Any]:
    """Run it with --json; return exit code, text and the last line's object."""
    code = main(["check-data", *words, "--json"])
    out = capsys.readouterr().out
    return code, out, json.loads(out.splitlines()[-1])


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fine = write(tmp_path / "fine", count=12)
    assert main(["check-data", str(fine), "--no-sheet"]) == 0
    assert "Nothing is wrong." in capsys.readouterr().out
    for part in ("images", "masks"):
        shutil.copy(fine / part / "a.png", fine / part / "z.png")
    assert main(["check-data", str(fine), "--no-sheet"]) == 0
    assert "WARNING  the same picture" in capsys.readouterr().out
    assert main(["check-data", str(fine), "--no-sheet", "--strict"]) == 1
    (fine / "masks" / "b.png").unlink()
    assert main(["check-data", str(fine), "--no-sheet"]) == 1
    assert "ERROR  pictures without a mask: b" in capsys.readouterr().out
    assert main(["check-data", str(tmp_path / "nowhere")]) == 2
    with pytest.raises(SystemExit) as end:
        main(["check-data"])
    assert end.value.code == 2


def test_json_and_the_contact_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = write(tmp_path / "data"), tmp_path / "out"
    (data / "masks" / "a.png").write_bytes(b"")
    code, _, told = called([str(data), "--out", str(out)], capsys)
    assert code == 1 and told["errors"] == 1 and told["warnings"] == 0
    assert told["layout"] == "pairs" and told["pictures"] == {"": 4}
    assert told["sizes"] == {"kinds": 1, "smallest": [40, 56], "largest": [40, 56]}
    assert told["findings"][0]["code"] == "empty-file" and told["findings"][0]["files"] == ["masks/a.png"]
    assert told["values"][0]["value"] == 0 and set(told["values"][0]["weights"]) == {
        "median-frequency",
        "inverse",
    }
    masks = [np.asarray(opened(path)) for path in (data / "masks").glob("[b-d].png")]
    for row in told["values"]:
        assert row["pixels"] == sum(int((mask == row["value"]).sum()) for mask in masks)
        assert row["masks"] == sum(bool((mask == row["value"]).any()) for mask in masks)
    sheet = Path(told["contact_sheet"])
    assert opened(sheet).size[0] > 500
    before = sheet.read_bytes()
    _, _, again = called([str(data), "--out", str(out)], capsys)
    assert again["contact_sheet"] != told["contact_sheet"] and sheet.read_bytes() == before
    assert Path(again["contact_sheet"]).read_bytes() == before  # equal pictures are equal files


def test_classes_are_written_only_where_there_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "data", "cells", count=12, change=black_and_white)
    words = [str(data), "--no-sheet"]
    code, out, told = called(words, capsys)
    assert code == 1 and told["proposal"] == ["0 = background", "255 = object"] and "--write-classes" in out
    code, out, told = called([*words, "--write-classes"], capsys)
    assert code == 0 and told["classes_written"] == str(data / "classes.txt") and told["findings"] == []
    assert (data / "classes.txt").read_text() == "0 = background\n255 = object\n"
    (data / "classes.txt").write_text("0 = a\n1 = b\n")
    code, _, told = called([*words, "--write-classes"], capsys)
    assert code == 1 and told["classes_written"] is None
    assert (data / "classes.txt").read_text() == "0 = a\n1 = b\n"


def test_the_colours_of_painted_masks_are_proposed_as_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "data", "cells", count=12)
    colours = np.array([(0, 0, 0), (255, 0, 0), (0, 200, 0), (9, 9, 90)], np.uint8)
    paths = sorted((data / "masks").iterdir())
    for path in paths:
        Image.fromarray(colours[np.array(opened(path))]).save(path)
    Image.fromarray(np.zeros_like(np.array(opened(paths[0])))).save(
        paths[0]
    )  # all black, so it could be grey
    words = [str(data), "--no-sheet"]
    code, out, told = called(words, capsys)
    assert code == 1 and [f["code"] for f in told["findings"]] == ["painted-mask"]
    assert told["proposal"][0] == "#000000 = background" and "#ff0000 = class" in out
    code, _, told = called([*words, "--write-classes"], capsys)
    assert code == 0 and told["errors"] == 0
    soft = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    (data / "classes.txt").unlink()
    Image.fromarray(soft).save(paths[1])
    _, out, told = called(words, capsys)
    assert told["proposal"] == [] and "more than 256 colours" in out and "hard edges" in out


def test_train_refuses_in_the_same_words_and_all_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "data")
    (data / "masks" / "a.png").unlink()
    opened(data / "masks/b.png").crop((0, 0, 50, 40)).save(data / "masks/b.png")
    (data / "images" / "c.png").write_bytes(b"")
    assert main(["train", str(data), "--steps", "1", "--out", str(tmp_path / "runs")]) == 1
    told = capsys.readouterr().err
    errors = check_data(data).of("error")
    assert len(errors) == 3
    for finding in errors:
        assert finding.text() in told
    assert "minisegnet check-data" in told and not (tmp_path / "runs").exists()
    with pytest.raises(Refused) as refused:
        Folder(data)
    assert refused.value.findings[0] == errors[0]


def test_a_sheet_of_every_layout_can_be_drawn(tmp_path: Path) -> None:
    for layout in ("voc", "camvid-painted", "coco", "labelme"):
        layout_makers.make(layout, tmp_path / layout)
        figure = sheets.data_sheet(check_data(tmp_path / layout))
        texts = [text.get_text() for text in figure.texts]
        assert texts[0].startswith(layout)


def test_a_sheet_of_broken_pictures(tmp_path: Path) -> None:
    write(tmp_path, "cells", change=black_and_white)
    (tmp_path / "images/a.png").write_bytes(b"")
    (tmp_path / "masks/b.png").write_bytes(b"")
    opened(tmp_path / "masks/c.png").crop((0, 0, 50, 40)).save(tmp_path / "masks/c.png")
    texts = [text.get_text() for text in sheets.data_sheet(check_data(tmp_path)).texts]
    assert texts[1:] == [
        "a.png",
        "empty file",
        "b.png",
        "empty file",
        "c.png",
        "size mismatch",
        "d.png",
        "value 0",
        "value 255",
    ]


def test_one_picture_at_a_time_is_in_memory(tmp_path: Path) -> None:
    """Ten pictures of a megapixel: the peak is that of a few, not of all."""
    import tracemalloc

    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    rng = np.random.default_rng(0)
    for k in range(10):
        Image.fromarray(rng.integers(0, 256, (1000, 1000, 3), np.uint8)).save(tmp_path / f"images/{k}.bmp")
        Image.fromarray(np.eye(1000, dtype=np.uint8)).save(tmp_path / f"masks/{k}.png")
    check_data(tmp_path, essential=True)
    tracemalloc.start()
    check_data(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24e6  # all pictures together have 30 million bytes


def test_the_page_explains_every_finding() -> None:
    import re

    import minisegnet

    package = Path(minisegnet.__file__).parent
    source = "".join(path.read_text(encoding="utf-8") for path in sorted((package / "data").rglob("*.py")))
    codes = set(re.findall(r'(?:Finding|_finding|_unreadable)\(\s*"([a-z-]+)"', source))
    codes |= set(re.findall(r'\(\s*"([a-z]+-[a-z-]+)",\s*"(?:[a-z ]+)",', source))
    for code in ("duplicate", "near-duplicate"):
        codes |= {code, f"{code}-across-splits", f"{code}-within-split"}
    page = (package.parent / "docs" / "check-data.md").read_text(encoding="utf-8")
    told = {
        name
        for line in page.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([a-z-]+)`", line.split("|")[1])
    }
    assert len(codes) > 30 and told == codes, told ^ codes
