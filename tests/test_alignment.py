"""Masks on pictures, and labels guessed from other pictures: against slow versions, and against chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minisegnet.data import Synthetic
from minisegnet.diagnosis.alignment import TRANSFORMS, agreements, align, borders, edge_ranks
from minisegnet.diagnosis.meaning import _box, _explained, meaning
from minisegnet.diagnosis.survey import Picture, survey

shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))


def random_picture(seed, size=(40, 40), classes=2):
    """Noise, and a mask of blocks that knows nothing of it."""
    random = np.random.default_rng(seed)
    labels = np.kron(random.integers(0, classes, (size[0] // 8, size[1] // 8)), np.ones((8, 8), int))
    image = random.random((*size, 1)).astype(np.float32)
    counts = np.bincount(labels.ravel(), minlength=classes)
    return Picture(
        str(seed), image, labels, labels.size, counts, 0, {}, image.mean((0, 1)), image.std((0, 1))
    )


@settings(max_examples=30)
@given(shapes, st.integers(0, 4), st.integers(0, 10**6))
def test_agreements_of_all_shifts_at_once(size, reach, seed):
    random = np.random.default_rng(seed)
    ranks, border = random.random(size), random.random(size) < 0.4
    found = agreements(ranks, border, reach)
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            values = [
                ranks[y + down, x + right]
                for y, x in zip(*np.nonzero(border), strict=True)
                if 0 <= y + down < size[0] and 0 <= x + right < size[1]
            ]
            expected = np.mean(values) if values else 0.5
            assert found[down + reach, right + reach] == pytest.approx(expected, abs=1e-9)


@settings(max_examples=30)
@given(shapes, st.integers(0, 10**6))
def test_edge_ranks(size, seed):
    image = np.random.default_rng(seed).integers(0, 3, (*size, 2)).astype(np.float32)
    H, W = size
    strength = np.zeros(size)
    for y in range(H):
        for x in range(W):
            down = image[min(y + 1, H - 1), x] - image[max(y - 1, 0), x]
            right = image[y, min(x + 1, W - 1)] - image[y, max(x - 1, 0)]
            strength[y, x] = (down**2 + right**2).sum()
    flat = strength.ravel()
    expected = [((flat < s).sum() + (flat == s).sum() / 2) / flat.size for s in flat]
    assert np.allclose(edge_ranks(image).ravel(), expected)
    assert edge_ranks(image).mean() == pytest.approx(0.5)  # so that chance is 0.5


@settings(max_examples=30)
@given(shapes, st.integers(0, 10**6))
def test_borders(size, seed):
    labels = np.random.default_rng(seed).integers(0, 3, size)
    expected = np.zeros(size, bool)
    for y in range(size[0]):
        for x in range(size[1]):
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= v < size[0] and 0 <= u < size[1]:
                    expected[y, x] |= labels[v, u] != labels[y, x]
    assert (borders(labels, 3) == expected).all()


def test_a_band_of_ignored_pixels_around_an_object_is_its_border():
    labels = np.zeros((12, 12), int)
    labels[3:9, 3:9] = 255
    labels[5:7, 5:7] = 1
    marked = borders(labels, 2)
    assert marked.any()
    rows, columns = np.nonzero(marked)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 8, 3, 8)  # in the middle of the band
    assert not borders(np.full((9, 9), 255), 2).any()


@pytest.mark.parametrize("seed", range(6))
def test_chance_is_not_taken_for_a_shift_or_a_turn(seed):
    pictures = [random_picture(100 * seed + k) for k in range(4 + 2 * seed)]
    found = align(pictures)
    assert not found.moved and found.turned is None
    assert found.belongs is False
    assert found.own == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_few_pictures(number):
    pictures = survey(Synthetic("shapes", count=number, size=48))
    found = align(pictures)
    assert found.belongs is None and not found.moved and found.turned is None
    moved = [p._replace(labels=np.roll(p.labels, 6, axis=1)) for p in pictures]
    assert align(moved).moved and align(moved).shift == (0, -6)


def test_every_transformation_is_found():
    pictures = survey(Synthetic("cells", count=8, size=64))
    inverse = dict.fromkeys(TRANSFORMS)
    for name, turn in TRANSFORMS.items():
        found = align([p._replace(labels=turn(p.labels)) for p in pictures])
        assert found.turned is not None
        inverse[name] = found.turned
    swapped = {"turned by 90 degrees to the left": "turned by 90 degrees to the right"}
    swapped |= {right: left for left, right in swapped.items()}
    assert inverse == {name: swapped.get(name, name) for name in TRANSFORMS}  # what undoes it


def test_sizes_that_differ_and_nothing_to_compare():
    mixed = [survey(Synthetic("shapes", count=2, size=size))[1] for size in (32, (40, 56), 64)]
    found = align(mixed)
    assert found.others is None and found.reach == 8
    assert found.turns.keys() == {n for n in TRANSFORMS if "90" not in n and "transposed" not in n}
    flat = random_picture(0)._replace(labels=np.zeros((40, 40), int))
    assert align([flat]) is None
    assert align([random_picture(0)._replace(image=np.zeros((40, 40, 1), np.float32))]) is None
    assert align([random_picture(0, size=(8, 8))]) is None


# ---------------------------------------------------------------------------------------------------------
# Meaning


def test_the_explained_share_leaves_each_picture_out():
    random = np.random.default_rng(0)
    features, labels = random.normal(size=(5, 30, 4)), random.integers(0, 3, (5, 30))
    labels[2, :7] = 255
    targets = np.eye(3)[np.where(labels == 255, 0, labels)]
    missed = varied = 0.0
    for i in range(5):
        rest = [k for k in range(5) if k != i]
        known = labels[rest] != 255
        A, T = features[rest][known], targets[rest][known]
        weights = np.linalg.solve(A.T @ A + 1e-2 * len(A) * np.eye(4), A.T @ T)
        own = labels[i] != 255
        missed += ((targets[i][own] - features[i][own] @ weights) ** 2).sum()
        varied += ((targets[i][own] - T.mean(axis=0)) ** 2).sum()
    assert _explained(features, labels, 3, None) == pytest.approx(1 - missed / varied)
    labels = np.minimum(labels, 2)
    grams = features.swapaxes(1, 2) @ features
    assert _explained(features, labels, 3, grams) == pytest.approx(_explained(features, labels, 3, None))


def test_means_of_windows():
    plane = np.random.default_rng(0).random((11, 12))
    padded = np.pad(plane, 2, mode="reflect")
    expected = [[padded[y : y + 5, x : x + 5].mean() for x in range(12)] for y in range(11)]
    assert np.allclose(_box(plane, 5), expected)


def test_meaning_of_noise_and_of_too_little():
    pictures = [random_picture(k) for k in range(8)]
    assert not meaning(pictures).consistent
    assert meaning(pictures[:5]) is None
    assert meaning([p._replace(labels=p.labels * 0) for p in pictures]) is None
