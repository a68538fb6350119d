"""Synthetic pictures: the same for ever, with labels that fit, and not to be solved by colour alone."""

import doctest
import hashlib
import importlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_table import examples

from minisegnet.arrays import Array
from minisegnet.data.sample import Sample
from minisegnet.data.synthetic import KINDS, SPLITS, Synthetic, cells, shapes, streets
from minisegnet.data.synthetic.shapes import outline
from minisegnet.metrics import Report, confusion_matrix

DRAW = {"shapes": shapes, "cells": cells, "streets": streets}

# sha256 of labels and instances of sample 0 (seed 0, training set, default size), and mean and spread of its image.
# Images are not hashed: the last bit of a sine may differ from machine to machine.
GOLDEN: dict[str, tuple[str, str, float, float]] = {
    "shapes": ("75c8dd3f8f4c46dc", "98783a4bc31c39e7", 160.10, 37.42),
    "cells": ("ea768339c12839ed", "d8c6917e3bb9acc0", 116.55, 36.49),
    "streets": ("fb129b17ba2104a4", "22d47f49a77e4bba", 134.38, 44.78),
}


def digest(array: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


# ---------------------------------------------------------------------------------------------------------
# The same for ever


@pytest.mark.parametrize("kind", KINDS)
def test_sample_0_is_what_it_always_was(kind: str) -> None:
    """Seeds in papers, lessons and bug reports stay valid. Change these only together with the pictures."""
    sample = Synthetic(kind)[0]
    labels, instances, mean, spread = GOLDEN[kind]
    assert digest(sample.labels.astype("<u1")) == labels
    assert digest(sample.instances.astype("<i4")) == instances
    assert sample.image.mean() == pytest.approx(mean, abs=0.05)
    assert sample.image.std() == pytest.approx(spread, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_depends_on_its_numbers_alone(kind: str) -> None:
    """Not on what was drawn before, nor on the count, nor on NumPy's global state."""
    first = Synthetic(kind, seed=3, size=48)
    np.random.seed(1)  # noqa: NPY002
    later = [Synthetic(kind, seed=3, size=48, count=5)[i] for i in (4, 2, 0)]
    for sample, i in zip(later, (4, 2, 0), strict=True):
        for a, b in zip(sample[:3], first[i][:3], strict=True):
            np.testing.assert_array_equal(a, b)
        assert sample.name == first[i].name == f"{kind}-train-{i:05d}"


@pytest.mark.parametrize("kind", KINDS)
def test_splits_seeds_and_numbers_share_no_picture(kind: str) -> None:
    pictures = [
        sample
        for split in SPLITS
        for seed in (0, 1, 2**64 - 1)
        for sample in Synthetic(kind, split=split, seed=seed, count=5, size=32)
    ]
    assert len({digest(sample.image) for sample in pictures}) == len(pictures) == 45
    assert len({digest(sample.labels) for sample in pictures}) == len(pictures)


# ---------------------------------------------------------------------------------------------------------
# What a sample is


def check(sample: Sample, classes: int, size: tuple[int, int], channels: int) -> None:
    """Dtypes and shapes, and that labels and instances tell the same story."""
    assert sample.labels is not None and sample.instances is not None
    assert sample.image.dtype == np.uint8 and sample.image.shape == (*size, channels)
    assert sample.labels.dtype == np.uint8 and sample.labels.shape == size
    assert sample.instances.dtype == np.int32 and sample.instances.shape == size
    assert all(array.flags.c_contiguous for array in sample[:3])
    assert int(sample.labels.max()) < classes
    pairs = np.unique(np.stack([sample.instances.ravel(), sample.labels.ravel()]), axis=1)
    objects = pairs[0][pairs[0] > 0]
    assert objects.tolist() == list(range(1, len(objects) + 1))  # no gaps, and one class for each object


THINGS = {
    "shapes": (1, 2, 3, 4),
    "cells": (1,),
    "streets": (3, 4, 5, 6),
}  # classes whose pixels belong to objects


@settings(max_examples=examples(30))
@given(st.sampled_from(KINDS), st.integers(32, 90), st.integers(32, 90), st.integers(0, 2**64 - 1))
def test_any_size_and_any_seed_give_a_sound_sample(kind: str, h: int, w: int, seed: int) -> None:
    pictures = Synthetic(kind, size=(h, w), seed=seed)
    sample = pictures[1]
    check(sample, len(pictures.class_names), (h, w), pictures.channels)
    np.testing.assert_array_equal(sample.instances > 0, np.isin(sample.labels, THINGS[kind]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(32, 32), (32, 200), (200, 32), (97, 61)])
def test_odd_sizes(kind: str, size: tuple[int, int]) -> None:
    pictures = Synthetic(kind, size=size)
    for i in range(3):
        check(pictures[i], len(pictures.class_names), size, pictures.channels)


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_set_says_of_itself(kind: str) -> None:
    pictures = Synthetic(kind)
    assert (pictures.name, len(pictures), len(Synthetic(kind, split="val"))) == (kind, 256, 64)
    assert len(pictures.palette) == len(pictures.class_names) == len(set(pictures.palette))
    assert all(0 <= value <= 255 for colour in pictures.palette for value in colour)
    assert pictures.ignore_index is None
    assert pictures[255].image.shape == (*pictures.size, pictures.channels)
    assert len(list(Synthetic(kind, count=3, size=32))) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_every_class_occurs_often_enough(kind: str) -> None:
    pictures = Synthetic(kind, count=64)
    counts = sum(np.bincount(s.labels.ravel(), minlength=len(pictures.class_names)) for s in pictures)
    assert (counts / counts.sum() >= 0.01).all(), dict(zip(pictures.class_names, counts, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_use_the_range_of_grey_values(kind: str) -> None:
    """Neither dark, nor pale, nor burnt out."""
    for sample in Synthetic(kind, count=16):
        low, high = np.percentile(sample.image, [2, 98])
        assert high - low > 70
        assert np.mean(sample.image == 255) < 0.1 and np.mean(sample.image == 0) < 0.1


# ---------------------------------------------------------------------------------------------------------
# Shapes


@pytest.mark.parametrize("label", [1, 2, 3, 4])
def test_outlines_are_signed_distances(label: int) -> None:
    """Negative inside, 0 on the outline, and growing by one a pixel away from it."""
    y, x = np.mgrid[-60:61, -60:61].astype(np.float64)
    distance = outline(label, y, x, 30.0)
    assert distance[60, 60] < 0 < distance[0, 0]
    slope = np.hypot(*np.gradient(distance))
    assert 0.97 < np.median(slope) < 1.03
    assert max(np.abs(np.diff(distance, axis=axis)).max() for axis in (0, 1)) < 1 + 1e-9
    inside = distance < 0
    assert 3.0 * 30**2 < inside.sum() < 3.2 * 30**2  # all cover as much as a circle
    # It can be turned by a full sector onto itself.
    n = {1: 7, 2: 4, 3: 3, 4: 5}[label]
    sine, cosine = np.sin(2 * np.pi / n), np.cos(2 * np.pi / n)
    again = outline(label, cosine * y - sine * x, cosine * x + sine * y, 30.0)
    np.testing.assert_allclose(again, distance, atol=1e-9)


def test_nearer_shapes_cover_farther_ones() -> None:
    """With many shapes some overlap: the later one is whole."""
    overlaps = 0
    for i in range(10):
        sample = shapes(64, (5, i), number=12)
        assert sample.instances is not None
        last = int(sample.instances.max())
        overlaps += last < 12  # one is hidden altogether
        assert (sample.instances == last).sum() > 100
    assert overlaps <= 5


@pytest.mark.parametrize("number", [1, 4, (2, 2)])
def test_the_number_of_shapes_can_be_chosen(number: Any) -> None:
    expected = number if isinstance(number, int) else number[0]
    for i in range(5):
        instances = shapes(96, i, number=number).instances
        assert instances is not None and instances.max() == expected


def test_colour_alone_does_not_tell_the_class() -> None:
    """The best that a classifier of single pixels can do stays below an mIoU of 0.5; so does one that also smooths."""
    train, held_out = Synthetic("shapes", count=200), Synthetic("shapes", split="test", count=40)
    for smooth in (False, True):
        votes = np.zeros((16**3, 5))
        for sample in train:
            np.add.at(votes, (colour_bins(sample.image, smooth).ravel(), sample.labels.ravel()), 1)
        votes = spread_over_neighbours(votes)
        for prior in (np.ones(5), votes.sum(axis=0)):  # by frequency, and with all classes equally likely
            winner = (votes / prior).argmax(axis=1)
            confusion = sum(
                confusion_matrix(sample.labels, winner[colour_bins(sample.image, smooth)], 5)
                for sample in held_out
            )
            assert Report.of(confusion, Synthetic("shapes").class_names).miou < 0.5


def colour_bins(image: Array, smooth: bool) -> Array:
    """Number the colour of each pixel (or of its 5 x 5 neighbourhood) in a 16 x 16 x 16 histogram."""
    values = image.astype(np.int64)
    if smooth:
        H, W = image.shape[:2]
        padded = np.pad(values, ((2, 2), (2, 2), (0, 0)), mode="edge")
        values = sum(padded[i : i + H, j : j + W] for i in range(5) for j in range(5)) // 25
    red, green, blue = np.moveaxis(values // 16, -1, 0)
    bins: Array = (red * 16 + green) * 16 + blue
    return bins


def spread_over_neighbours(votes: Array) -> Array:
    """Let each bin hear its neighbours, too: colours that were never seen get the votes of similar ones."""
    cube = votes.reshape(16, 16, 16, 5)
    total = cube.copy()
    for axis in range(3):
        padded = np.moveaxis(np.pad(total, [(1, 1) if a == axis else (0, 0) for a in range(4)]), axis, 0)
        total = np.moveaxis(0.25 * padded[:-2] + padded[1:-1] + 0.25 * padded[2:], 0, axis)
    return total.reshape(-1, 5)


# ---------------------------------------------------------------------------------------------------------
# Cells


def test_membranes_are_thin_and_keep_cells_apart() -> None:
    for i in range(6):
        sample = cells(128, (1, i))
        labels, instances = sample.labels, sample.instances
        assert labels is not None and instances is not None
        # No two pixels side by side belong to different cells.
        for a, b in ((instances[1:], instances[:-1]), (instances[:, 1:], instances[:, :-1])):
            assert not ((a != b) & (a > 0) & (b > 0)).any()
        # Nearly every membrane pixel has something else at most 2 pixels away.
        membrane = np.pad(labels == 2, 2, constant_values=True)
        buried = np.ones(labels.shape, bool)
        for k in range(5):
            buried &= membrane[k : k + 128, 2:130] & membrane[2:130, k : k + 128]
        assert buried.sum() < 0.02 * (labels == 2).sum()


def test_gaps_and_cell_size_can_be_chosen() -> None:
    shares = [np.mean([np.mean(cells(96, i, gaps=g).labels == 0) for i in range(6)]) for g in (0.0, 0.4)]
    assert shares[0] < 0.1 < 0.25 < shares[1]
    counts = [int(cells(96, 0, across=across).instances.max()) for across in (3, 8)]
    assert counts[0] < 20 < 50 < counts[1]


# ---------------------------------------------------------------------------------------------------------
# Streets


def test_streets_have_the_sky_above_and_the_road_below() -> None:
    for sample in Synthetic("streets", count=12):
        labels = sample.labels
        assert not np.isin(labels[60:], [0]).any()  # no sky below the horizon
        assert not np.isin(labels[:38], [1, 2]).any()  # and no ground above it
        assert np.mean(labels[-1] == 1) > 0.3


def test_the_number_of_cars_can_be_chosen() -> None:
    for number in (1, 3):
        sample = streets((96, 128), 5, cars=number)
        assert len(np.unique(sample.instances[sample.labels == 4])) <= number


# ---------------------------------------------------------------------------------------------------------
# Errors


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kind": "shape"}, ValueError, "did you mean 'shapes'"),
        ({"kind": "Streets"}, ValueError, "did you mean 'streets'"),
        ({"kind": "faces"}, ValueError, "expected one of: shapes, cells, streets"),
        ({"kind": 3}, TypeError, "int"),
        ({"split": "trian"}, ValueError, "did you mean 'train'"),
        ({"split": None}, TypeError, "NoneType"),
        ({"count": 0}, ValueError, "count is 0"),
        ({"count": 2.5}, TypeError, "count is 2.5"),
        ({"size": 31}, ValueError, r"size is \(31, 31\).*at least 32"),
        ({"size": (64, 8)}, ValueError, "at least 32"),
        ({"size": (64, 64, 3)}, ValueError, "pair"),
        ({"size": "64"}, TypeError, "size"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"seed": 2**64}, ValueError, "seed is"),
        ({"seed": 0.5}, TypeError, "seed is 0.5"),
        ({"numbr": 3}, TypeError, "no option 'numbr'.*did you mean 'number'"),
        ({"number": 0}, ValueError, "number is 0"),
        ({"number": (5, 3)}, ValueError, "fewest first"),
        ({"noise": -0.1}, ValueError, "noise is -0.1"),
        ({"noise": float("nan")}, ValueError, "noise is nan"),
        ({"noise": "low"}, TypeError, "noise"),
        ({"kind": "cells", "gaps": 1.5}, ValueError, "gaps is 1.5"),
        ({"kind": "cells", "across": "many"}, TypeError, "across"),
        ({"kind": "streets", "cars": 0}, ValueError, "cars"),
    ],
)
def test_bad_arguments_are_told_at_once(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Synthetic(**{"kind": "shapes", **arguments})


@pytest.mark.parametrize("i", [-1, 4, 10**9])
def test_a_number_beyond_the_count_is_refused(i: int) -> None:
    with pytest.raises(IndexError, match="expected 0 to 3"):
        Synthetic("shapes", count=4)[i]


def test_a_bad_key_is_refused() -> None:
    for draw in DRAW.values():
        with pytest.raises(ValueError, match="key"):
            draw(64, (0, -1))


@pytest.mark.parametrize(
    "name", ["dataset", "drawing", *KINDS, "street_view", "street_houses", "street_objects"]
)
def test_doctests(name: str) -> None:
    module = importlib.import_module(f"minisegnet.data.synthetic.{name}")
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0
