"""Predictor: arrays in, arrays out; large pictures in tiles, within a bound of memory."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from minisegnet import models, ops, predictor
from minisegnet.data import Normalisation
from minisegnet.predictor import LARGE, Predictor


def of(name: str = "unet", channels: int = 1, **options: Any) -> Predictor:
    model = models.build(name, in_channels=channels, classes=3, width=2, seed=2, **options).eval()
    return Predictor(
        model,
        class_names=("a", "b", "c"),
        palette=((0, 0, 0), (9, 9, 9), (200, 9, 9)),
        normalisation=Normalisation((0.4,) * channels, (0.2,) * channels),
    )


def picture(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(autouse=True)
def numpy_backend():
    with ops.use_backend("numpy"):
        yield


@pytest.mark.claim("S2-10")
@pytest.mark.parametrize("options", [{"depth": 1}, {"depth": 2, "padding": "valid"}])
def test_all_answers_agree(options):
    """Labels are the best scores, probabilities their softmax, and batches give what single pictures give."""
    p, images = of(**options), [picture(70, 93, 1), picture(70, 93)]
    for image in images:
        scores, labels, probabilities = p.scores(image), p.predict(image), p.probabilities(image)
        assert labels.shape == (70, 93) and labels.dtype == np.uint8
        assert np.array_equal(labels, scores.argmax(axis=0))
        e = np.exp(scores - scores.max(axis=0))
        np.testing.assert_allclose(probabilities, e / e.sum(axis=0), rtol=0, atol=1e-6)
    batch = p.scores_of(np.stack([p.prepare(image) for image in images]))
    np.testing.assert_allclose(batch, np.stack([p.scores(image) for image in images]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("options", [{"depth": 1}, {"depth": 1, "padding": "valid"}])
def test_every_way_takes_tiles(options):
    p, image = of(**options), picture(150, 170)
    for way in (p.scores, p.probabilities, p.predict):
        np.testing.assert_allclose(way(image, tile=64), way(image, tile=(256, 512)), rtol=0, atol=1e-5)


def test_large_pictures_are_tiled_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr(predictor, "LARGE", 100 * 100)
    monkeypatch.setattr("minisegnet.blending.LEAST_TILE", 64)
    p = of(depth=1)
    assert p.tiles((100, 100)) == "" and p.default_tile() == 64
    assert p.tiles((101, 100)) == "4 tiles of 64 x 64 pixels that overlap by 20: exact"
    assert p.tiles((101, 100), 128) == ""
    assert p.tiles((1, 101)) == ""  # as the model sees it: 64 x 102
    assert "4 tiles" in p.tiles((1, 160))
    largest, forward = [], p.model.forward

    def watched(x):
        largest.append(x.shape[2] * x.shape[3])
        return forward(x)

    p.model.forward = watched
    images = np.stack([p.prepare(picture(150, 170))] * 2)
    assert p.scores_of(images).shape == (2, 3, 150, 170) and max(largest) == 64 * 64


def test_tiles_in_words():
    assert of().tiles((10_000, 10_000)) == "324 tiles of 768 x 768 pixels that overlap by 224: exact"
    assert of().tiles((1000, 1000), 256) == "49 tiles of 256 x 256 pixels that overlap by 128: blended"
    assert of("fcn8s").tiles((2000, 2000)).endswith("tiles of 1536 x 1536 pixels that overlap by 512: exact")
    valid = of(padding="valid")
    assert valid.default_tile() == 368 and valid.tiles((368, 300)) == ""
    assert valid.tiles((1000, 700)) == "6 tiles of 368 x 368 pixels, each with 92 pixels around it: exact"
    assert LARGE > 1920 * 1080


def test_pieces_are_given_away_one_by_one():
    p, image = of(depth=1), picture(70, 300)
    whole, seen = p.scores(image), np.zeros((70, 300), int)
    for piece in p.pieces(image, tile=64):
        seen[piece.rows, piece.columns] += 1
        np.testing.assert_allclose(piece.scores, whole[:, piece.rows, piece.columns], rtol=0, atol=1e-5)
    assert (seen == 1).all()


@pytest.mark.parametrize(
    ("channels", "image", "error", "message"),
    [
        (3, [[0]], TypeError, "the picture is a list.*read_image"),
        (3, picture(5, 6), ValueError, r"\(5, 6, 1\).*3 channels; make a colour picture of a grey one"),
        (3, picture(3, 5, 6), ValueError, "channels come last"),
        (1, picture(5, 6, 3), ValueError, "1 channel; save it as grey"),
        (5, picture(6, 7, 4), ValueError, "5 channels; choose the channels as for training"),
        (1, picture(0, 6), ValueError, r"shape \(0, 6, 1\)"),
        (1, np.full((5, 6), 255.0), ValueError, "floats go from 255 to 255; expected 0 to 1"),
    ],
)
def test_pictures_that_are_refused(channels, image, error, message):
    p = of(channels=channels)
    for way in (p.predict, p.scores, p.probabilities, p.pieces):
        with pytest.raises(error, match=message):
            way(image)


# ---------------------------------------------------------------------------------------------------------
# Memory

# The peak is the kernel's count for this program alone. getrusage would begin with what the test's own process took.
SCRIPT = """
import re, sys
from pathlib import Path
import numpy as np
from PIL import Image
from minisegnet import models, predictor
from minisegnet.cli import main
from minisegnet.data import Normalisation

model = models.build("unet", in_channels=1, classes=2, width=1, depth=1, norm=None, seed=2).eval()
p = predictor.Predictor(
    model, class_names=("a", "b"), palette=((0, 0, 0), (255, 255, 255)), normalisation=Normalisation((0.4,), (0.2,))
)
predictor.load = lambda run: p
for name in sys.argv[1:]:
    print(main(["predict", "run", name + ".png", "--out", name]))
    print("peak", 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
@pytest.mark.skipif(bool(ops.why_not("numba")), reason="numpy takes too long")
def test_a_picture_of_100_megapixels_takes_no_more_memory_than_two_bytes_a_pixel(tmp_path, monkeypatch):
    """Beside what a picture of 4 megapixels takes. A float32 copy would be 4 bytes a pixel, scores of two classes 8."""
    monkeypatch.setenv("MINISEGNET_BACKEND", "numba")
    from PIL import Image

    from minisegnet.data import read_mask

    line = np.random.default_rng(0).integers(0, 256, (2, 10_000), dtype=np.uint8)
    content = line[0][:, None] // 2 + line[1] // 2
    for name, side in (("first", 2000), ("small", 2000), ("large", 10_000)):
        Image.fromarray(content[:side, :side]).save(tmp_path / f"{name}.png", compress_level=1)
    for names in (["first"], ["small", "large"]):  # in the first process the kernels may have to be compiled
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *names],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stderr == "" and "10000 x 10000 pixels, in 196 tiles" in done.stdout
    small, large = (int(row.split()[1]) for row in done.stdout.splitlines() if row.startswith("peak"))
    assert large - small < 2 * 10_000**2 + 30 * 2**20
    assert large < 600 * 2**20
    labels = read_mask(tmp_path / "large" / "large.png")
    assert labels.shape == (10_000, 10_000)
    assert np.array_equal(labels[:1900, :1900], read_mask(tmp_path / "small" / "small.png")[:1900, :1900])
    model = models.build("unet", in_channels=1, classes=2, width=1, depth=1, norm=None, seed=2).eval()
    p = Predictor(
        model, class_names=("a", "b"), palette=((0, 0, 0),) * 2, normalisation=Normalisation((0.4,), (0.2,))
    )
    for top, left in ((9700, 9700), (4000, 700), (0, 6100)):  # what is there, as a picture of its own
        alone = p.predict(content[top : top + 300, left : left + 300])
        middle = np.s_[20:280, 20:280]
        assert np.array_equal(labels[top : top + 300, left : left + 300][middle], alone[middle])
    assert 0.01 < labels.mean() < 0.99
