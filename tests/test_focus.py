"""Crops that are laid on a class: each class equally often, and the pixel that was drawn is in the window."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_helpers import TINY

from minisegnet.data.augment import Motion, build, move
from minisegnet.data.augment.draw import MOTIONS, stream
from minisegnet.data.augment.focus import aim, draw_focus
from minisegnet.data.sample import Sample
from minisegnet.training import Session

SIDES = st.integers(1, 30)


@given(st.integers(0, 10**6), SIDES, SIDES)
def test_the_pixel_is_one_of_the_class(seed, H, W):
    rng = np.random.default_rng(seed)
    labels = rng.choice(np.array([0, 1, 2, 5, 255], np.uint8), (H, W))
    pixel = draw_focus(labels, 3, rng)
    assert pixel is None or labels[pixel] in (0, 1, 2)


def test_rare_classes_are_drawn_as_often_as_frequent_ones_and_absent_or_ignored_ones_never():
    labels = np.zeros((40, 50), np.uint8)
    labels[7, 3], labels[39, 49], labels[20] = 2, 2, 255
    drawn = [draw_focus(labels, 4, np.random.default_rng(seed)) for seed in range(2000)]
    found = [pixel for pixel in drawn if pixel is not None]
    rare = [pixel for pixel in found if labels[pixel] == 2]
    assert abs(len(found) - 1000) < 100 and abs(len(rare) - len(found) / 2) < 70  # three deviations
    assert abs(rare.count((7, 3)) - len(rare) / 2) < 50 and set(rare) == {(7, 3), (39, 49)}
    assert {labels[pixel] for pixel in found} == {0, 2}
    assert draw_focus(np.full((3, 3), 255), 2, np.random.default_rng(1)) is None


@given(
    st.integers(0, 2**32),
    st.tuples(SIDES, SIDES),
    st.tuples(SIDES, SIDES),
    st.lists(st.sampled_from(["flip", "flip_vertical", "rotate90", "shift"]), unique=True),
    st.data(),
)
def test_the_window_shows_the_very_pixel_however_the_picture_is_turned(seed, size, window, steps, data):
    pixel = data.draw(st.tuples(st.integers(0, size[0] - 1), st.integers(0, size[1] - 1)))
    labels = np.zeros(size, np.uint8)
    labels[pixel] = 1
    motion = Motion()
    for step in steps:
        motion = MOTIONS[step](motion, stream(seed, 1), size, window)
    motion = aim(motion, pixel, size, window, np.random.default_rng(seed))
    turned = size[::-1] if motion.quarter_turns % 2 else size
    if all(w <= t for w, t in zip(window, turned, strict=True)) and motion.shift == (0, 0):
        seen = move(Sample(np.zeros((*size, 1), np.uint8), labels), motion, window).labels
        assert seen.sum() == 1  # in the window, and no mirror image of it
        at = np.argwhere(seen)[0]
        corner = [round(motion.place[k] * (turned[k] - window[k] + 1) - 0.5) for k in range(2)]
        for k in range(2):
            inside = 0 < corner[k] < turned[k] - window[k]  # the picture's border didn't push the window away
            assert not inside or window[k] / 4 - 1 <= at[k] <= 3 * window[k] / 4 + 1


@given(st.integers(0, 2**32))
def test_a_spot_is_seen_through_every_motion(seed):
    image, labels = np.zeros((90, 120, 1), np.uint8), np.zeros((90, 120), np.uint8)
    row, column = np.random.default_rng(seed).integers(12, 78, 2)
    labels[row - 2 : row + 3, column - 2 : column + 3] = 1
    augmentation = build("flip+flip_vertical+rotate90+rotate+scale+elastic", focus_classes=2)
    several = [augmentation(Sample(image, labels), (seed, n), size=32) for n in range(12)]
    # The class that was drawn for a window is in it, wherever scaling and bending have moved the pixel itself.
    for n, sample in enumerate(several):
        pixel = draw_focus(labels, 2, stream((seed, n), 9))
        assert pixel is None or labels[pixel] in sample.labels


def test_without_a_focus_the_bits_are_what_they_were():
    sample = Sample(np.arange(4800, dtype=np.uint16).reshape(40, 60, 2), np.zeros((40, 60), np.uint8))
    plain, other = build("flip+scale"), build("flip+scale", focus_classes=2)
    places = [plain(sample, (0, 0, n), size=8).image.tobytes() for n in range(40)]
    same = [other(sample, (0, 0, n), size=8).image.tobytes() == places[n] for n in range(40)]
    assert 10 < sum(same) < 30  # every second one lies where it lay


def test_training_on_whole_pictures_has_nothing_to_choose():
    with pytest.raises(ValueError, match=r"sampling is 'classes'.*whole"):
        Session(TINY.with_changes(sampling="classes"))
    session = Session(TINY.with_changes(sampling="classes", size=(64, 64), crop=(32, 32)))
    assert session.loader.augmentation.focus_classes == len(session.training_set.class_names)
