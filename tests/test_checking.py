"""The parts of check-data by themselves: values that averaging made, fingerprints, counts, contact sheets."""

import io
from collections.abc import Callable

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageDraw

from minisegnet.arrays import Array
from minisegnet.data import Synthetic
from minisegnet.data.checking import blends
from minisegnet.data.checking.blends import blended, count_values
from minisegnet.data.checking.fingerprints import CELLS, Fingerprint, digest, groups, small
from minisegnet.data.palettes import default_palette
from minisegnet.viz.contact_sheet import Thumbnail, cell_side, contact_sheet, thumbnail
from minisegnet.viz.data_sheet import choose
from minisegnet.viz.overlay import overlay

SCALING = Image.Resampling


# ---------------------------------------------------------------------------------------------------------
# Counting


def slow_counts(mask: Array) -> dict[int, tuple[int, int, int]]:
    """Count pixel by pixel: how many, how many filled, how many between."""
    counts: dict[int, list[int]] = {}
    H, W = mask.shape
    for i in range(H):
        for j in range(W):
            around = mask[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
            here = counts.setdefault(int(mask[i, j]), [0, 0, 0])
            here[0] += 1
            here[1] += int((around == mask[i, j]).all())
            here[2] += int(around.min() < mask[i, j] < around.max())
    return {value: (a, b, c) for value, (a, b, c) in counts.items()}


@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.integers(0, 5),
    ),
    st.integers(1, 30),
)
def test_values_are_counted_as_a_plain_loop_counts_them(mask: Array, strip: int) -> None:
    whole = blends.STRIP
    try:
        blends.STRIP = strip  # strips of few rows, so that their seams are tried
        counts = count_values(mask)
    finally:
        blends.STRIP = whole
    columns = (counts.pixels.tolist(), counts.filled.tolist(), counts.between.tolist())
    told = dict(zip(counts.values.tolist(), zip(*columns, strict=True), strict=True))
    assert told == slow_counts(mask)


# ---------------------------------------------------------------------------------------------------------
# Values that averaging made


def discs(values: list[int], seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    picture = Image.new("L", (128, 128))
    draw = ImageDraw.Draw(picture)
    for _ in range(8):
        x, y, r = (int(n) for n in (rng.integers(0, 128), rng.integers(0, 128), rng.integers(6, 26)))
        draw.ellipse([x - r, y - r, x + r, y + r], fill=int(rng.choice(values)))
    return picture


def jpeg(picture: Image.Image, quality: int) -> Image.Image:
    memory = io.BytesIO()
    picture.save(memory, "JPEG", quality=quality)
    return Image.open(memory)


def scaled(factor: float, how: Image.Resampling) -> Callable[[Image.Image], Image.Image]:
    return lambda p: p.resize((int(p.width * factor), int(p.height * factor)), how)


SPOILT: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half, averaged": scaled(0.5, SCALING.BOX),
    "half, bilinear": scaled(0.5, SCALING.BILINEAR),
    "0.7, bilinear": scaled(0.7, SCALING.BILINEAR),
    "twice, bilinear": scaled(2, SCALING.BILINEAR),
    "four times, bicubic": scaled(4, SCALING.BICUBIC),
    "0.4, Lanczos": scaled(0.4, SCALING.LANCZOS),
    "turned": lambda p: p.rotate(5, SCALING.BILINEAR),
    "JPEG 95": lambda p: jpeg(p, 95),
    "JPEG 75": lambda p: jpeg(p, 75),
}


APART, CLOSE = (
    [[255], [128, 255], [80, 160, 240]],
    [9, 15],
)  # JPEG's values lie too near to close ones to be told


@pytest.mark.parametrize(
    ("values", "how"),
    [(values, how) for values in [*APART, CLOSE] for how in SPOILT if values != CLOSE or "JPEG" not in how],
    ids=str,
)
def test_spoilt_masks_are_found(values: list[int], how: str) -> None:
    found = []
    for seed in range(6):
        original = count_values(np.array(discs(values, seed)))
        mask = np.array(SPOILT[how](discs(values, seed)))
        made = blended(mask)
        found.append(made is not None)
        if made is not None:
            areas = original.values[original.filled > 0.05 * 128 * 128]
            assert not {*made.values} & {*areas.tolist()} and {*made.values} <= {*np.unique(mask).tolist()}
    assert sum(found) >= 5, found


@pytest.mark.parametrize("values", [[1], [255], [1, 2, 3], [3, 255], [9, 15], [20, 5, 12, 7]], ids=str)
def test_masks_scaled_by_the_nearest_pixel_are_left_alone(values: list[int]) -> None:
    for seed in range(4):
        for how in (
            scaled(0.7, SCALING.NEAREST),
            scaled(3, SCALING.NEAREST),
            lambda p: p.rotate(30, SCALING.NEAREST),
        ):
            assert blended(np.array(how(discs(values, seed)))) is None


def regions(rng: np.random.Generator, size: int, count: int, classes: int) -> Array:
    """Divide a mask among the nearest of some points, each of a random class."""
    points, labels = rng.random((count, 2)) * size, rng.integers(0, classes, count)
    y, x = np.mgrid[:size, :size]
    nearest = ((y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2).argmin(axis=2)
    drawn: Array = labels[nearest].astype(np.uint8)
    return drawn


def scene(rng: np.random.Generator, classes: int) -> Array:
    """Draw a few large regions and many tiny objects and thin lines, all of random classes."""
    picture = Image.fromarray(regions(rng, 64, 6, classes))
    draw = ImageDraw.Draw(picture)
    for _ in range(30):
        x, y, a, b = (int(n) for n in rng.integers(0, (64, 64, 5, 5)))
        draw.ellipse([x - a, y - b, x + a, y + b], fill=int(rng.integers(0, classes)))
    for _ in range(5):
        ends = [int(n) for n in rng.integers(0, 64, 4)]
        draw.line(ends, fill=int(rng.integers(0, classes)), width=int(rng.integers(1, 3)))
    return np.array(picture)


def test_masks_of_many_true_classes_are_left_alone() -> None:
    """Of 240 masks with tiny objects and thin lines not one is suspected."""
    wrong = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        masks = [scene(rng, C) for C in (8, 30, 150)] + [
            regions(rng, 64, n, C) for n, C in ((40, 20), (200, 20), (400, 40))
        ]
        wrong += [mask for mask in masks if blended(mask) is not None]
    assert not wrong


@pytest.mark.parametrize("width", [1, 2])
def test_a_border_class_that_was_drawn_is_left_alone(width: int) -> None:
    """0 outside, 255 inside, 128 between them everywhere: somebody drew that line."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        picture = Image.new("L", (128, 128))
        draw = ImageDraw.Draw(picture)
        for _ in range(6):
            x, y, r = (int(n) for n in (rng.integers(0, 128), rng.integers(0, 128), rng.integers(6, 25)))
            draw.ellipse([x - r, y - r, x + r, y + r], fill=255, outline=128, width=width)
        assert blended(np.array(picture)) is None


@pytest.mark.parametrize("kind", ["shapes", "cells", "streets"])
@pytest.mark.parametrize("step", [1, 2, 4])
def test_synthetic_masks_are_left_alone(kind: str, step: int) -> None:
    assert all(
        blended(s.labels[::step, ::step]) is None for s in Synthetic(kind, count=10) if s.labels is not None
    )


# ---------------------------------------------------------------------------------------------------------
# Fingerprints


def as_array(picture: Image.Image) -> Array:
    a = np.array(picture)
    return a[:, :, None] if a.ndim == 2 else a


@pytest.mark.parametrize("kind", ["shapes", "cells", "streets"])
def test_pictures_that_were_saved_again_are_recognised_and_others_not(kind: str) -> None:
    images = [sample.image for sample in Synthetic(kind, count=12)]
    prints = [Fingerprint.of(image) for image in images]
    assert groups(prints) == ([], [])
    for k, image in enumerate(images[:4]):
        picture = Image.fromarray(image.squeeze())
        again = [
            jpeg(picture, 75),
            picture.convert("L"),
            scaled(0.5, SCALING.BOX)(picture),
            scaled(2, SCALING.BICUBIC)(picture),
        ]
        others = [Fingerprint.of(as_array(p)) for p in again]
        same, nearly = groups([*prints, *others])
        copies = [k, *range(12, 16)]
        equal = kind == "cells"  # grey is grey already: the same pixels
        assert same == ([[k, 13]] if equal else [])
        assert nearly == [[n for n in copies if not (equal and n == 13)]]


def test_the_same_pixels_in_another_type_or_shape_are_others() -> None:
    a = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    assert digest(a) == digest(a.copy()) == digest(np.asfortranarray(a))
    assert len({digest(a), digest(a.astype(np.uint16)), digest(a.reshape(4, 3, 1)), digest(a + 1)}) == 4


def test_pictures_without_contrast_are_never_nearly_the_same() -> None:
    flat = [np.full((20, 30, 1), value, np.uint8) for value in (100, 100, 101)]
    assert groups([Fingerprint.of(a) for a in flat]) == ([[0, 1]], [])


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 4), st.sampled_from(["u1", "u2", "f4"]))
def test_cells_are_weighted_means(H: int, W: int, C: int, kind: str) -> None:
    """Enlarged to a common multiple, each cell is the plain mean of its pixels."""
    rng = np.random.default_rng(H * 71 + W)
    image = rng.random((H, W, C)) * {"u1": 255, "u2": 65535, "f4": 1}[kind]
    image = image.astype(kind)
    weights = np.array([0.299, 0.587, 0.114]) if C == 3 else np.full(C, 1 / C)
    grey = image.astype(np.float64) @ weights / {"u1": 1, "u2": 257, "f4": 1 / 255}[kind]
    enlarged = np.kron(grey, np.ones((CELLS, CELLS)))
    means = enlarged.reshape(CELLS, H, CELLS, W).mean(axis=(1, 3))
    np.testing.assert_allclose(small(image), means, rtol=1e-4, atol=1e-3)


# ---------------------------------------------------------------------------------------------------------
# Contact sheets


def test_a_small_picture_is_enlarged_and_its_outlines_stay_thin() -> None:
    labels = np.zeros((4, 6), np.uint8)
    labels[:, 3:] = 1
    image, palette = np.full((4, 6, 1), 200, np.uint8), default_palette(2)
    rgb = thumbnail("a", image, labels, palette, side=60).rgb
    enlarged = [np.kron(a, np.ones((10, 10), np.uint8)) for a in (image[:, :, 0], labels)]
    assert rgb is not None and np.array_equal(rgb, overlay(*enlarged, palette, alpha=0.45))
    assert (rgb == palette[1]).all(axis=2).sum() == 40  # a line one pixel wide


@pytest.mark.parametrize("size", [(3, 900), (900, 3), (700, 500), (50, 70), (1, 1)])
def test_thumbnails_fit_and_keep_their_proportions(size: tuple[int, int]) -> None:
    rgb = thumbnail(
        "a", np.zeros((*size, 3), np.uint8), np.zeros(size, int), default_palette(2), side=120
    ).rgb
    assert rgb is not None
    h, w = rgb.shape[:2]
    assert max(h, w) <= 120 < max(h, w) + max(size) and abs(h * size[1] - w * size[0]) <= max(size)


@pytest.mark.parametrize("count", [1, 3, 40])
def test_a_sheet_names_every_picture(count: int) -> None:
    side = cell_side(count)
    pictures = [Thumbnail(f"p{k}.png", np.zeros((side, side, 3), np.uint8)) for k in range(count - 1)]
    figure = contact_sheet(
        [*pictures, Thumbnail("broken.png", None, "damaged")], ["a", "b"], default_palette(2), title="t"
    )
    texts = [text.get_text() for text in figure.texts]
    assert texts == ["t", *(f"p{k}.png" for k in range(count - 1)), "broken.png", "damaged", "a", "b"]
    places = [text.get_position() for text in figure.texts]
    assert len(set(places)) == len(places) and all(0 <= x <= 1 and 0 <= y <= 1 for x, y in places)


def test_an_empty_sheet_is_refused() -> None:
    with pytest.raises(ValueError, match="no thumbnails"):
        contact_sheet([], ["a"], default_palette(1))


@given(st.lists(st.booleans(), max_size=40), st.integers(2, 12))
def test_marked_pictures_have_half_of_the_places(marked: list[bool], most: int) -> None:
    chosen = choose(marked, most)
    assert chosen == sorted(set(chosen)) and len(chosen) == min(len(marked), most)
    assert sum(marked[k] for k in chosen) >= min(sum(marked), most // 2)
