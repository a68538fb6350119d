"""Boundary F1 against every pair of pixels compared one by one."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from minisegnet.data import squared_distance
from minisegnet.metrics import boundary_counts, boundary_f1, f1_of_counts
from minisegnet.metrics.boundary import _near

NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))
IGNORED = 9


def brute_edges(labels, counts, c):
    """The boundary pixels of class c: those with a neighbour of another class, both counted."""
    H, W = labels.shape
    found = []
    for i in range(H):
        for j in range(W):
            if labels[i, j] != c or not counts[i, j]:
                continue
            near = [(i + a, j + b) for a, b in NEIGHBOURS if 0 <= i + a < H and 0 <= j + b < W]
            if any(counts[p] and labels[p] != c for p in near):
                found.append((i, j))
    return found


def brute_f1(target, predicted, C, reach, ignore_index=None):
    counts = np.ones(target.shape, bool) if ignore_index is None else target != ignore_index

    def share(points, others):
        near = [p for p in points if any(math.hypot(p[0] - q[0], p[1] - q[1]) <= reach for q in others)]
        return len(near) / len(points) if points else 0.0

    scores = []
    for c in range(C):
        truth, guess = brute_edges(target, counts, c), brute_edges(predicted, counts, c)
        precision, recall = share(guess, truth), share(truth, guess)
        if not truth and not guess:
            scores.append(math.nan)
        else:
            scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return scores


@st.composite
def pictures(draw):
    size = draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    target = draw(arrays.arrays(np.uint8, size, elements=st.sampled_from([0, 0, 0, 1, 2, IGNORED])))
    predicted = draw(arrays.arrays(np.int64, size, elements=st.sampled_from([0, 0, 1, 2])))
    return target, predicted


@given(pictures(), st.sampled_from([0, 1, 1.5, 2, 3, 100]))
def test_brute_force(pair, tolerance):
    target, predicted = pair
    scores = boundary_f1(target, predicted, 3, tolerance=tolerance, ignore_index=IGNORED)
    assert scores.dtype == np.float64 and scores.shape == (3,)
    np.testing.assert_allclose(scores, brute_f1(target, predicted, 3, tolerance, IGNORED), rtol=1e-14)


@given(pictures(), st.floats(0, 0.999))
def test_share_of_the_diagonal(pair, share):
    target, predicted = pair
    reach = share * math.hypot(*target.shape)
    scores = boundary_f1(target, predicted, 3, tolerance=share, ignore_index=IGNORED)
    np.testing.assert_allclose(scores, brute_f1(target, predicted, 3, reach, IGNORED), rtol=1e-14)


@given(arrays.arrays(bool, (2, 7, 9)), st.sampled_from([0, 1, 1.5, 2.3, 4, 20]))
def test_nearness_is_the_distance_map(masks, reach):
    points, others = masks
    near = squared_distance(others)[points] <= reach**2
    assert _near(points, others, reach) == (points.sum(), near.sum())


@given(pictures())
def test_relations(pair):
    target, predicted = np.where(pair[0] == IGNORED, 0, pair[0]).astype(np.int64), pair[1]
    same = boundary_f1(target, target, 3, tolerance=0)
    assert np.isin(same[~np.isnan(same)], 1).all()
    scores = [boundary_f1(target, predicted, 3, tolerance=t) for t in (0, 1, 2, 5)]
    np.testing.assert_allclose(scores[1], boundary_f1(predicted, target, 3, tolerance=1), rtol=1e-14)
    np.testing.assert_allclose(scores[1], boundary_f1(target.T, predicted.T, 3, tolerance=1), rtol=1e-14)
    for tight, loose in itertools.pairwise(scores):
        assert (np.nan_to_num(tight) <= np.nan_to_num(loose) + 1e-15).all()


def test_a_square_moved_by_one():
    target, predicted = np.zeros((2, 12, 12), int)
    target[3:8, 3:8] = 1
    predicted[3:8, 4:9] = 1
    assert boundary_f1(target, predicted, 2, tolerance=1).tolist() == [1, 1]
    counts = boundary_counts(target, predicted, 2, tolerance=0)
    # The rim of the square has 16 pixels; moved by one, the upper and the lower side still share 4 each.
    assert counts[1].tolist() == [16, 8, 16, 8]
    assert boundary_f1(target, predicted, 2, tolerance=0)[1] == 0.5


def test_only_one_side_has_a_boundary():
    target = np.zeros((4, 4), int)
    predicted = target.copy()
    predicted[:2] = 1
    scores = boundary_f1(target, predicted, 3)
    assert scores[:2].tolist() == [0, 0] and math.isnan(scores[2])


def test_the_edge_of_the_picture_is_no_boundary():
    everything = np.ones((5, 5), int)
    assert np.isnan(boundary_f1(everything, everything, 2)).all()


def test_counts_of_two_pictures_add_up():
    a, b = np.random.default_rng(0).integers(0, 3, (2, 2, 9, 9))
    total = boundary_counts(*a, 3) + boundary_counts(*b, 3)
    guessed, hits, true, found = total[1]
    precision, recall = hits / guessed, found / true
    assert f1_of_counts(total)[1] == pytest.approx(2 * precision * recall / (precision + recall))


def test_arguments_stay_as_they_were():
    target, predicted = np.random.default_rng(1).integers(0, 2, (2, 6, 7)).astype(np.uint8)
    target.flags.writeable = predicted.flags.writeable = False
    strided = np.asfortranarray(target)
    np.testing.assert_array_equal(boundary_f1(target, predicted, 2), boundary_f1(strided, predicted, 2))


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"tolerance": -1}, ValueError, "tolerance is -1"),
        ({"tolerance": math.nan}, ValueError, "tolerance"),
        ({"tolerance": True}, TypeError, "tolerance"),
        ({"classes": 1}, ValueError, "target holds"),
        ({"predicted": np.full((3, 3), 4)}, ValueError, "predicted holds"),
        ({"predicted": np.zeros((3, 4), int)}, ValueError, "shape"),
        (
            {"target": np.zeros((1, 3, 3), int), "predicted": np.zeros((1, 3, 3), int)},
            ValueError,
            "one by one",
        ),
        ({"target": np.zeros((3, 3))}, TypeError, "float64"),
    ],
)
def test_bad_arguments(changes, kind, text):
    arguments = {"target": np.eye(3, dtype=int), "predicted": np.eye(3, dtype=int), "classes": 2, **changes}
    with pytest.raises(kind, match=text):
        boundary_f1(**arguments)
