"""predict from the command line: tiles, probabilities, outlines, limits, and files that are bad in every way."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_outlines import filled

from minisegnet import files, models, predictor
from minisegnet.cli import main
from minisegnet.cli.predict import MOST_PIXELS
from minisegnet.data import Folder, Normalisation, reading

PALETTE = ((0, 0, 0), (230, 159, 0), (86, 180, 233))


def trained(
    channels: int = 3, names: tuple[str, ...] = ("background", "cell", "wall"), **options: Any
) -> Any:
    """Stand in for a trained model: weights as they start are as good for what is tested here."""
    model = models.build(
        "unet", in_channels=channels, classes=3, width=2, seed=1, **({"depth": 1} | options)
    ).eval()
    return predictor.Predictor(
        model,
        class_names=names,
        palette=PALETTE,
        normalisation=Normalisation((0.5,) * channels, (0.2,) * channels),
    )


@pytest.fixture
def load(monkeypatch):
    """Let ``predict`` find a model that nobody trained, whatever the run is called."""

    def use(p: Any) -> Any:
        monkeypatch.setattr(predictor, "load", lambda run: p)
        return p

    monkeypatch.setenv("MINISEGNET_BACKEND", "numpy")
    use(trained())
    return use


def picture(H: int, W: int, channels: int = 3) -> np.ndarray:
    """Draw smooth blobs: so there are regions to outline, with holes."""
    rng = np.random.default_rng(H * W)
    small = Image.fromarray(rng.integers(0, 256, (max(H // 6, 1), max(W // 6, 1), 3), dtype=np.uint8))
    return np.asarray(small.resize((W, H), Image.Resampling.BICUBIC))[:, :, :channels]


def save(path: Path, H: int = 40, W: int = 48) -> Path:
    Image.fromarray(picture(H, W)).save(path)
    return path


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


# ---------------------------------------------------------------------------------------------------------
# Tiles


def test_tiles_of_any_size_are_said_aloud_and_change_nothing(load, tmp_path, capsys):
    path, p = save(tmp_path / "a.png", 150, 210), load(trained())
    expected = p.predict(reading.read_image(path))
    for number, (words, said) in enumerate(
        [
            ([], None),
            (["--tile", "64"], "15 tiles of 64 x 64 pixels that overlap by 20: exact"),
            (["--tile", "96x64"], "10 tiles of 96 x 64 pixels that overlap by 20: exact"),
            (["--tile"], None),  # one tile of 768 covers it
        ]
    ):
        out = tmp_path / str(number)
        assert main(["predict", "run", str(path), "--out", str(out), "--no-overlay", *words]) == 0
        assert np.array_equal(reading.read_mask(out / "a.png"), expected)
        told = capsys.readouterr().out
        assert f"150 x 210 pixels, in {said}" in told if said else "tiles of" not in told


def test_a_large_picture_is_tiled_by_itself(load, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(predictor, "LARGE", 40 * 48)
    monkeypatch.setattr("minisegnet.blending.LEAST_TILE", 64)
    save(tmp_path / "a.png", 64, 64)
    save(tmp_path / "b.png", 200, 65)
    assert main(["predict", "run", str(tmp_path), "--out", str(tmp_path / "masks")]) == 0
    told = capsys.readouterr().out
    assert "b.png: 200 x 65 pixels, in 10 tiles of 64 x 64 pixels that overlap by 20: exact" in told
    assert "a.png: 64" not in told


def test_a_tile_off_the_grid_is_refused_once(load, tmp_path, capsys):
    for name in "ab":
        save(tmp_path / f"{name}.png")
    for kind in ("same", "valid"):
        load(trained(depth=3, padding=kind))
        assert main(["predict", "run", str(tmp_path), "--out", str(tmp_path / "m"), "--tile", "100"]) == 1
        err = capsys.readouterr().err
        assert "expected multiples of 8" in err and len(err.splitlines()) == 1
    assert not (tmp_path / "m").exists()


# ---------------------------------------------------------------------------------------------------------
# Probabilities and outlines


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_probabilities_are_those_of_the_whole_picture(padding, load, tmp_path):
    path, p = save(tmp_path / "a.png", 90, 131), load(trained(padding=padding))
    words = ["predict", "run", str(path), "--out", str(tmp_path / "m"), "--probs", "--tile", "64"]
    assert main(words) == 0
    assert names(tmp_path / "m") == ["a-overlay.png", "a-probs.npy", "a.png"]
    found = np.load(tmp_path / "m" / "a-probs.npy", mmap_mode="r")
    assert found.shape == (3, 90, 131) and found.dtype == np.float16
    expected = p.probabilities(reading.read_image(path))
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-4)
    np.testing.assert_allclose(found.astype(float).sum(axis=0), 1, rtol=0, atol=1e-3)
    sure = np.sort(expected, axis=0)[2] - np.sort(expected, axis=0)[1] > 2e-3
    assert np.array_equal(found.argmax(axis=0)[sure], reading.read_mask(tmp_path / "m" / "a.png")[sure])


def annotations(path: Path) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    of = {image["file_name"]: [] for image in content["images"]}
    file_names = {image["id"]: image["file_name"] for image in content["images"]}
    for annotation in content["annotations"]:
        of[file_names[annotation["image_id"]]].append(annotation)
    assert [a["id"] for a in content["annotations"]] == list(range(1, len(content["annotations"]) + 1))
    return content, of


def rings_of(annotation: dict[str, Any]) -> list[np.ndarray]:
    return [np.array(ring).reshape(-1, 2) for ring in annotation["segmentation"]]


def test_outlines_of_all_pictures_are_one_coco_file(load, tmp_path):
    """Filled by the even-odd rule they are the masks again, each region by itself, and area and box are right."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    pictures = [save(tmp_path / "in" / "a.png", 31, 44), save(tmp_path / "in" / "deep" / "b.png", 25, 20)]
    load(trained(names=("background", "cell", "세포벽")))
    words = [
        "predict",
        "run",
        *map(str, pictures),
        "--out",
        str(tmp_path / "m"),
        "--outlines",
        "--no-overlay",
    ]
    assert main(words) == 0
    content, of = annotations(tmp_path / "m" / "outlines.json")
    assert content["categories"] == [{"id": 1, "name": "cell"}, {"id": 2, "name": "세포벽"}]
    assert [(i["file_name"], i["width"], i["height"]) for i in content["images"]] == [
        ("a.png", 44, 31),
        ("deep/b.png", 20, 25),
    ]
    holes = 0
    for name, mask_name in (("a.png", "a.png"), ("deep/b.png", "b.png")):
        labels = reading.read_mask(tmp_path / "m" / mask_name)
        again = np.zeros_like(labels)
        for annotation in of[name]:
            rings = rings_of(annotation)
            holes += len(rings) - 1
            region = filled(rings, labels.shape)
            rows, columns = np.nonzero(region)
            left, top = columns.min(), rows.min()
            assert annotation["bbox"] == [left, top, columns.max() + 1 - left, rows.max() + 1 - top]
            assert annotation["area"] == region.sum() and annotation["iscrowd"] == 0
            assert not again[region].any()
            again[region] = annotation["category_id"]
        assert np.array_equal(again, labels) and len(np.unique(labels)) == 3
    assert holes > 3


@pytest.mark.parametrize("form", ["--outlines", "--outlines-rle"])
def test_our_own_reader_reads_the_outlines_again(form, load, tmp_path):
    """Pictures and outlines.json in one folder are a data set in COCO's layout: IoU 1, with the classes' names."""
    p = load(trained(names=("background", "cell", "세포벽")))
    root = tmp_path / "again"
    root.mkdir()
    for name, size in (("a", (61, 80)), ("b", (33, 20))):
        save(root / f"{name}.png", *size)
    out = tmp_path / "m"
    assert main(["predict", "run", str(root), "--out", str(out), "--no-overlay", form]) == 0
    (out / "outlines.json").rename(root / "annotations.json")
    data = Folder(root, split="all")
    assert data.class_names == p.class_names and len(data) == 2
    for sample in data:
        assert np.array_equal(sample.labels, reading.read_mask(out / f"{sample.name}.png"))
        assert len(np.unique(sample.labels)) == 3


def test_run_lengths_instead_of_polygons(load, tmp_path):
    path = save(tmp_path / "a.png", 31, 44)
    words = ["predict", "run", str(path), "--out", str(tmp_path / "m"), "--outlines-rle"]
    assert main(words) == 0
    _, of = annotations(tmp_path / "m" / "outlines.json")
    labels = reading.read_mask(tmp_path / "m" / "a.png")
    again = np.zeros_like(labels)
    for annotation in of["a.png"]:
        assert annotation["segmentation"]["size"] == [31, 44]
        flat = []
        for k, count in enumerate(annotation["segmentation"]["counts"]):
            flat += [k % 2] * count
        region = np.array(flat, bool).reshape(44, 31).T
        rows, columns = np.nonzero(region)
        left, top = columns.min(), rows.min()
        assert annotation["bbox"] == [left, top, columns.max() + 1 - left, rows.max() + 1 - top]
        assert annotation["area"] == region.sum()
        again[region] = annotation["category_id"]
    assert np.array_equal(again, labels)


def test_a_first_class_that_is_no_background_is_outlined(load, tmp_path):
    load(trained(names=("sky", "road", "car")))
    path = save(tmp_path / "a.png", 20, 30)
    assert main(["predict", "run", str(path), "--out", str(tmp_path / "m"), "--outlines"]) == 0
    content, of = annotations(tmp_path / "m" / "outlines.json")
    assert [c["id"] for c in content["categories"]] == [0, 1, 2]
    assert sum(a["area"] for a in of["a.png"]) == 600


def test_outlines_that_are_there_are_not_overwritten(load, tmp_path, capsys):
    words = ["predict", "run", "--out", str(tmp_path / "m"), "--outlines"]
    assert main([*words, str(save(tmp_path / "a.png"))]) == 0
    before = (tmp_path / "m" / "outlines.json").read_text()
    assert main([*words, str(save(tmp_path / "b.png"))]) == 1
    assert "already has outlines.json" in capsys.readouterr().err
    assert (tmp_path / "m" / "outlines.json").read_text() == before
    assert main([*words[:-1], str(tmp_path / "b.png")]) == 0


# ---------------------------------------------------------------------------------------------------------
# Bad files


def bad_files(folder: Path) -> dict[str, str]:
    """Write files that are bad in every way; return what must be said of each."""
    good = save(folder / "good.png").read_bytes()
    (folder / "truncated.png").write_bytes(good[: len(good) // 2])
    (folder / "text.png").write_text("this is not a picture\n")
    (folder / "empty.jpg").write_bytes(b"")
    Image.fromarray(picture(40, 48)[:, :, 0]).save(folder / "grey.png")
    np.save(folder / "five.npy", np.zeros((40, 48, 5), np.uint8))
    Image.fromarray(np.zeros((300, 301), np.uint8)).save(folder / "large.png")
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6, 3)}
    with (folder / "claims-terabytes.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with (folder / "many-channels.npy").open(
        "wb"
    ) as file:  # a file with a hole in it: it really is that large
        np.lib.format.write_array_header_1_0(file, header | {"shape": (100, 100, 10**7)})
        file.truncate(file.tell() + 10**11)
    with (folder / "pickle.npy").open("wb") as file:
        np.save(file, np.array([[{"a": 1}]]), allow_pickle=True)
    (folder / "folder.png").mkdir()
    return {
        "truncated.png": "damaged, incomplete or no picture",
        "text.png": "damaged, incomplete or no picture",
        "empty.jpg": "damaged, incomplete or no picture",
        "grey.png": "expected (H, W, 3), as the model was trained on 3 channels; make a colour picture of a grey one",
        "five.npy": "the picture has shape (40, 48, 5); expected (H, W, 3)",
        "large.png": "300 x 301 pixels large (height x width), 90,300 in all; expected at most 90,000",
        "claims-terabytes.npy": "damaged, incomplete or no picture",
        "many-channels.npy": "the picture has shape (100, 100, 10000000); expected (H, W, 3)",
        "pickle.npy": "damaged, incomplete or no picture",
        "folder.png": "Is a directory",
    }


def test_bad_files_are_named_and_left_out_and_the_rest_goes_on(load, tmp_path, capsys):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    expected = bad_files(pictures)
    words = ["predict", "run", str(pictures), "--out", str(tmp_path / "m"), "--probs", "--outlines"]
    assert main([*words, "--max-pixels", "90000"]) == 1
    out, err = capsys.readouterr()
    lines = dict(
        line.removeprefix(f"minisegnet: {pictures}{os.sep}").split(": ", 1) for line in err.splitlines()
    )
    assert set(lines) == set(expected)
    for name, words_of in expected.items():
        assert words_of in lines[name]
    assert f"1 of {len(expected) + 1} labelled" in out
    assert names(tmp_path / "m") == ["good-overlay.png", "good-probs.npy", "good.png", "outlines.json"]


def test_a_grey_model_says_how_to_make_a_picture_grey(load, tmp_path, capsys):
    load(trained(channels=1))
    assert main(["predict", "run", str(save(tmp_path / "a.png")), "--out", str(tmp_path / "m")]) == 1
    assert "save it as grey" in capsys.readouterr().err
    load(trained(channels=5))
    np.save(tmp_path / "b.npy", np.zeros((40, 48, 5), np.uint8))
    assert main(["predict", "run", str(tmp_path / "b.npy"), "--out", str(tmp_path / "m")]) == 0
    assert names(tmp_path / "m") == ["b-overlay.png", "b.png"]


def test_a_picture_that_needs_too_much_memory_is_left_out(load, tmp_path, monkeypatch, capsys):
    for name in "ab":
        save(tmp_path / f"{name}.png")
    p, times = trained(), []
    pieces = p.pieces

    def failing(image, *, tile=None):
        times.append(tile)
        if len(times) == 1:
            raise MemoryError("Unable to allocate 3 TiB")
        return pieces(image, tile=tile)

    p.pieces = failing
    load(p)
    words = ["predict", "run", str(tmp_path), "--out", str(tmp_path / "m"), "--no-overlay", "--probs"]
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert "a.png: there isn't enough memory for it; try smaller tiles" in err and "3 TiB" in err
    assert "1 of 2 labelled" in out and names(tmp_path / "m") == ["b-probs.npy", "b.png"]


@pytest.mark.parametrize("fails", ["a-probs.npy", "a-overlay.png", "a.png"])
def test_of_a_picture_that_fails_nothing_remains(fails, load, tmp_path, monkeypatch, capsys):
    """A disk that is full at whichever of the files: the others of that picture go, too."""
    for name in "ab":
        save(tmp_path / f"{name}.png")
    replace = files.os.replace

    def full(source, target):
        if os.path.basename(target) == fails:
            raise OSError(28, "No space left on device", str(source))
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", full)
    words = ["predict", "run", str(tmp_path), "--out", str(tmp_path / "m"), "--probs", "--outlines"]
    assert main(words) == 1
    assert "No space left" in capsys.readouterr().err
    assert names(tmp_path / "m") == ["b-overlay.png", "b-probs.npy", "b.png", "outlines.json"]
    _, of = annotations(tmp_path / "m" / "outlines.json")
    assert set(of) == {"b.png"}


STANDING_IN = """
import os, resource, signal, sys
from minisegnet import predictor
from minisegnet import models
from minisegnet.cli import main
from minisegnet.data import Normalisation
model = models.build("unet", in_channels=3, classes=3, width=2, depth=1).eval()
settings = dict(class_names=tuple("abc"), palette=((0, 0, 0),) * 3, normalisation=Normalisation((0.5,) * 3, (0.2,) * 3))
predictor.load = lambda run: predictor.Predictor(model, **settings)
"""
FULL = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
sys.exit(main(["predict", "run", {picture!r}, "--out", {out!r}, "--probs", "--no-overlay"]))
"""


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="limits on files and reserved room need Linux")
def test_a_full_disk_leaves_no_half_file(tmp_path):
    """The system's own limit: 200 x 300 probabilities of three classes are 360 kB, and 50 kB are allowed."""
    path, out = save(tmp_path / "a.png", 200, 300), tmp_path / "m"
    script = STANDING_IN + FULL.format(picture=str(path), out=str(out))
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | {"MINISEGNET_BACKEND": "numpy"},
    )
    assert done.returncode == 1 and "File too large" in done.stderr and "a-probs.npy" in done.stderr
    assert "0 of 1 labelled" in done.stdout and names(out) == []


KILLED = """
from minisegnet.data.npy_parts import NpyParts
put, calls = NpyParts.put, []
def killing(self, rows, columns, values):
    put(self, rows, columns, values)
    calls.append(1)
    if len(calls) == 20:
        os.kill(os.getpid(), signal.SIGKILL)
NpyParts.put = killing
main(["predict", "run", {folder!r}, "--out", {out!r}, "--probs", "--outlines", "--no-overlay", "--tile", "64"])
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kill -9 needs Unix")
def test_killed_in_the_middle_only_whole_files_have_names(tmp_path):
    """Of 15 parts of the first picture all are written, of those of the second five."""
    (tmp_path / "in").mkdir()
    for name in "ab":
        save(tmp_path / "in" / f"{name}.png", 150, 210)
    script = STANDING_IN + KILLED.format(folder=str(tmp_path / "in"), out=str(tmp_path / "m"))
    done = subprocess.run([sys.executable, "-c", script], env=os.environ | {"MINISEGNET_BACKEND": "numpy"})
    assert done.returncode == -9
    there = names(tmp_path / "m")
    hidden = [name for name in there if files.TEMPORARY.fullmatch(name)]
    assert len(hidden) == 1 and hidden[0].startswith(".b-probs.npy.")
    assert sorted({*there} - {*hidden}) == ["a-probs.npy", "a.png"]
    assert reading.read_mask(tmp_path / "m" / "a.png").shape == (150, 210)
    assert (np.load(tmp_path / "m" / "a-probs.npy").astype(float).sum(axis=0) > 0.99).all()


def test_a_picture_where_a_size_was_expected(load, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["predict", "run", "--tile", str(save(tmp_path / "a.png"))])
    assert "a.png' is not a size" in capsys.readouterr().err
    assert main(["predict", "run", str(tmp_path / "a.png"), "--out", str(tmp_path / "m"), "--tile"]) == 0


def test_the_default_limit_is_that_of_reading():
    assert MOST_PIXELS == reading.MOST_PIXELS == 250_000_000
