"""Augmentation: one field moves picture, labels and instances; no label is invented; the key decides on every bit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_table import examples

from minisegnet.arrays import Array
from minisegnet.data import augment, elastic_field, warp
from minisegnet.data.augment import Augmentation, Colours, Motion, build, move, names, recolour
from minisegnet.data.augment.draw import MOTIONS, stream
from minisegnet.data.augment.motion import mirrored
from minisegnet.data.sample import Sample
from minisegnet.sizes import Pair

EXACT = ("flip", "flip_vertical", "rotate90", "shift")
LABELS = (0, 3, 17, 255)  # few and odd values, so that any mixture of two of them would be a new one

SIZES = st.tuples(st.integers(1, 20), st.integers(1, 20))
WINDOWS = st.none() | st.tuples(st.integers(1, 50), st.integers(1, 50))  # up to several mirror images
SEEDS = st.integers(0, 2**32)
LAYOUTS = ("C", "F", "every other", "backwards", "read-only")


def expressions(*from_names: str) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(from_names), unique=True).map("+".join)


def laid_out(array: Array, layout: str) -> Array:
    """The same values in another memory layout."""
    if layout == "F":
        return np.asfortranarray(array)
    if layout == "every other":
        wide = np.zeros((array.shape[0], 2 * array.shape[1], *array.shape[2:]), array.dtype)
        wide[:, ::2] = array
        return wide[:, ::2]
    if layout == "backwards":
        return np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1]
    array = array.copy()
    array.setflags(write=layout != "read-only")
    return array


def random_sample(
    size: Pair, seed: int, *, channels: int = 3, dtype: Any = np.uint8, layout: str = "C"
) -> Sample:
    rng = np.random.default_rng(seed)
    values = rng.random((*size, channels))
    image = (values if dtype == np.float32 else values * (np.iinfo(dtype).max + 0.999)).astype(dtype)
    labels = rng.choice(np.array(LABELS, np.uint8), size)
    instances = rng.choice(np.array([0, 1, 70_000], np.int32), size)
    return Sample(
        laid_out(image, layout), laid_out(labels, layout), laid_out(instances, layout), f"no. {seed}"
    )


def blobs(size: Pair, seed: int) -> Array:
    """Labels in flat regions of about 4 x 4 pixels."""
    coarse = np.random.default_rng(seed).choice(
        np.array(LABELS, np.uint8), (size[0] // 4 + 1, size[1] // 4 + 1)
    )
    return np.ascontiguousarray(np.kron(coarse, np.ones((4, 4), np.uint8))[: size[0], : size[1]])


def same(a: Sample, b: Sample) -> bool:
    return a.name == b.name and all(
        x is y is None or (x is not None and y is not None and x.dtype == y.dtype and np.array_equal(x, y))
        for x, y in zip(a[:3], b[:3], strict=True)
    )


def copied(sample: Sample) -> Sample:
    labels = None if sample.labels is None else sample.labels.copy()
    instances = None if sample.instances is None else sample.instances.copy()
    return Sample(sample.image.copy(), labels, instances, sample.name)


# ---------------------------------------------------------------------------------------------------------
# Every combination


@settings(max_examples=examples(150))
@given(
    expressions(*names()),
    SIZES,
    WINDOWS,
    SEEDS,
    st.sampled_from([1, 2, 3, 5]),
    st.sampled_from([np.uint8, np.uint16, np.float32]),
    st.sampled_from(LAYOUTS),
)
def test_what_holds_for_every_augmentation(
    expression: str, size: Pair, window: Pair | None, seed: int, channels: int, dtype: Any, layout: str
) -> None:
    """No new label, the dtypes that came, C order, an untouched argument, and the same bits for the same key."""
    augmentation = build(expression)
    sample = random_sample(size, seed, channels=channels, dtype=dtype, layout=layout)
    before = copied(sample)
    result = augmentation(sample, (seed, 1, 2), size=window)
    assert same(sample, before)
    assert result.name == sample.name
    for old, new in zip(sample[:3], result[:3], strict=True):
        assert old is not None and new is not None
        assert new.dtype == old.dtype and new.flags.c_contiguous and new.flags.writeable
        assert new.shape == (*(window or size), *old.shape[2:])
        assert not np.shares_memory(new, old)
    for old, new in ((sample.labels, result.labels), (sample.instances, result.instances)):
        assert old is not None and new is not None
        assert set(np.unique(new)) <= set(np.unique(old))
    if "colour" not in expression:
        assert result.image.min() >= sample.image.min() and result.image.max() <= sample.image.max()
    elif dtype == np.float32:
        assert result.image.min() >= 0 and result.image.max() <= 1
    assert same(augmentation(before, (seed, 1, 2), size=window), result)  # the layout makes no difference


@settings(max_examples=examples(80))
@given(expressions(*EXACT), SIZES, WINDOWS, SEEDS, st.booleans())
def test_exact_steps_keep_picture_and_labels_together(
    expression: str, size: Pair, window: Pair | None, seed: int, flat: bool
) -> None:
    """A picture that shows its labels still shows them, at every pixel."""
    labels = blobs(size, seed) if flat else random_sample(size, seed).labels
    assert labels is not None
    image = np.stack([labels, 255 - labels], axis=-1)
    result = build(expression)(Sample(image, labels, labels.astype(np.int32)), (seed, 0, 0), size=window)
    assert result.labels is not None
    np.testing.assert_array_equal(result.image[..., 0], result.labels)
    np.testing.assert_array_equal(result.image[..., 1], 255 - result.labels)
    np.testing.assert_array_equal(result.instances, result.labels)


@settings(max_examples=examples(80))
@given(expressions(*MOTIONS), st.tuples(st.integers(8, 40), st.integers(8, 40)), WINDOWS, SEEDS)
def test_mixed_steps_keep_picture_and_labels_together(
    expression: str, size: Pair, window: Pair | None, seed: int
) -> None:
    """Each label painted as a channel: where the picture is hardly mixed, it shows the label that the map has."""
    labels = blobs(size, seed)
    painted = np.stack([labels == value for value in LABELS], axis=-1).astype(np.float32)
    augmentation = build(
        f"rotate+{expression}".rstrip("+") if "rotate" not in expression.split("+") else expression
    )
    result = augmentation(Sample(painted, labels), (seed, 0, 0), size=window)
    assert result.labels is not None and result.instances is None
    pure = result.image.max(axis=-1) > 0.76  # the nearest of the four pixels has at least a quarter
    winner = np.array(LABELS, np.uint8)[result.image.argmax(axis=-1)]
    np.testing.assert_array_equal(winner[pure], result.labels[pure])
    np.testing.assert_allclose(result.image.sum(axis=-1), 1, atol=1e-6)


def test_regions_stay_mostly_pure() -> None:
    """So that the test above compares something: the whole chain leaves most pixels of large regions unmixed."""
    labels = np.kron(blobs((8, 8), 1), np.ones((12, 12), np.uint8))
    painted = np.stack([labels == value for value in LABELS], axis=-1).astype(np.float32)
    for position in range(10):
        result = build("flip+rotate+scale+elastic")(Sample(painted, labels), (0, 0, position))
        assert (result.image.max(axis=-1) > 0.76).mean() > 0.9
        assert result.labels is not None and (result.labels != labels).any()


# ---------------------------------------------------------------------------------------------------------
# Motions against their plain definitions


@settings(max_examples=examples(60))
@given(SIZES, SEEDS, st.booleans(), st.booleans(), st.integers(0, 5))
def test_flips_and_turns_are_numpys(size: Pair, seed: int, flip: bool, vertical: bool, turns: int) -> None:
    sample = random_sample(size, seed)
    motion = Motion(flip=flip, flip_vertical=vertical, quarter_turns=turns)
    turned = size if turns % 2 == 0 else size[::-1]
    result = move(sample, motion, turned)
    for old, new in zip(sample[:3], result[:3], strict=True):
        assert old is not None
        old = old[:, ::-1] if flip else old
        old = old[::-1] if vertical else old
        np.testing.assert_array_equal(np.rot90(old, turns), new)


@settings(max_examples=examples(30))
@given(
    SIZES, SEEDS, st.sampled_from([Motion(flip=True), Motion(flip_vertical=True), Motion(quarter_turns=2)])
)
def test_flips_and_half_turns_undo_themselves(size: Pair, seed: int, motion: Motion) -> None:
    sample = random_sample(size, seed)
    assert same(move(move(sample, motion), motion), sample)


@settings(max_examples=examples(30))
@given(SIZES, SEEDS, st.sampled_from([np.uint8, np.uint16, np.float32]))
def test_a_motion_that_does_nothing(size: Pair, seed: int, dtype: Any) -> None:
    sample = random_sample(size, seed, dtype=dtype)
    assert same(move(sample, Motion()), sample)
    assert same(move(sample, Motion(bend=np.zeros((2, *size)))), sample)  # by way of mixing
    assert same(build("none")(sample, 0), sample)
    assert same(build("")(sample, (1, 2, 3), size=size), sample)


@settings(max_examples=examples(60))
@given(SIZES, st.tuples(st.integers(1, 40), st.integers(1, 40)), SEEDS)
def test_a_crop_is_a_slice_of_the_mirrored_picture(size: Pair, window: Pair, seed: int) -> None:
    """Every crop is a window that lies in the picture, or has the picture in it."""
    sample = random_sample(size, seed)
    assert sample.labels is not None
    result = build("none")(sample, seed, size=window)
    room = [max(w - s, 0) for w, s in zip(window, size, strict=True)]
    wide = sample.labels[mirrored(np.arange(-room[0], size[0] + room[0]), size[0])]
    wide = wide[:, mirrored(np.arange(-room[1], size[1] + room[1]), size[1])]
    views = np.lib.stride_tricks.sliding_window_view(wide, window)
    assert (views == result.labels).all(axis=(-1, -2)).any()


def test_crops_reach_every_place() -> None:
    sample = Sample(np.zeros((5, 6, 1), np.uint8), np.arange(30, dtype=np.uint8).reshape(5, 6))
    corners = {int(build("none")(sample, k, size=(3, 4)).labels[0, 0]) for k in range(200)}  # type: ignore[index]
    assert corners == {0, 1, 2, 6, 7, 8, 12, 13, 14}


def test_mirroring_is_numpys_reflect() -> None:
    sample = random_sample((5, 7), 0)
    assert sample.labels is not None
    result = move(sample, Motion(), (5 + 8, 7 + 12))  # four and six more on each side
    np.testing.assert_array_equal(result.labels, np.pad(sample.labels, ((4, 4), (6, 6)), mode="reflect"))
    np.testing.assert_array_equal(
        result.image, np.pad(sample.image, ((4, 4), (6, 6), (0, 0)), mode="reflect")
    )


def test_a_shift_moves_down_and_to_the_right() -> None:
    sample = random_sample((6, 7), 0)
    assert sample.labels is not None
    result = move(sample, Motion(shift=(2, -1)))
    assert result.labels is not None
    np.testing.assert_array_equal(result.labels[2:, :-1], sample.labels[:-2, 1:])


@settings(max_examples=examples(40))
@given(SIZES, SEEDS, st.floats(0, 8), st.sampled_from([np.uint8, np.uint16, np.float32]))
def test_bending_is_warp(size: Pair, seed: int, sigma: float, dtype: Any) -> None:
    """The sampler here and the one of ``elastic`` agree to the bit; the field in eighths, so that sums are exact."""
    sample = random_sample(size, seed, dtype=dtype)
    assert sample.labels is not None
    field = np.rint(8 * elastic_field(size, sigma=sigma, rng=seed)) / 8
    result = move(sample, Motion(bend=field))
    np.testing.assert_array_equal(result.image, warp(sample.image, field))
    np.testing.assert_array_equal(result.labels, warp(sample.labels, field, order="nearest"))


@pytest.mark.parametrize("turns", [1, 2, 3, -1])
def test_a_rotation_by_90_degrees_is_a_quarter_turn(turns: int) -> None:
    sample = random_sample((9, 9), turns % 4)
    result, expected = move(sample, Motion(angle=90 * turns)), move(sample, Motion(quarter_turns=turns))
    np.testing.assert_array_equal(result.labels, expected.labels)
    np.testing.assert_array_equal(result.image, expected.image)


def test_scale_two_of_a_ramp() -> None:
    """Twice as large: half the slope, the centre stays at the centre; half as large: twice the slope."""
    ramp = np.arange(10, dtype=np.float32)[None, :, None] / 10 * np.ones((10, 1, 1), np.float32)
    twice = move(Sample(ramp), Motion(scale=2.0)).image[0, :, 0]
    np.testing.assert_allclose(np.diff(twice), 0.05, atol=1e-6)
    assert twice.mean() == pytest.approx(
        0.45, abs=0.03
    )  # the window lies at a whole place of the enlarged picture
    half = move(Sample(ramp), Motion(scale=0.5), 5).image[0, :, 0]
    np.testing.assert_allclose(half, [0.05, 0.25, 0.45, 0.65, 0.85], atol=1e-6)


def test_all_steps_are_one_reading() -> None:
    """Turning there and back in one motion blurs nothing, as two motions would."""
    sample = random_sample((16, 16), 3, dtype=np.float32)
    there = move(sample, Motion(angle=10.0))
    back = move(there, Motion(angle=-10.0))
    composed = move(
        sample, Motion(flip=True, scale=4 / 3, angle=10.0, bend=elastic_field(16, sigma=0.5, rng=0))
    )
    assert back.image.std() < 0.8 * sample.image.std()
    assert composed.image.std() > 0.65 * sample.image.std()  # one reading: about 2/3 of white noise is left


def test_nothing_comes_from_outside() -> None:
    """Mirrored, so that a flat picture stays flat up to its corners, however it is moved."""
    sample = Sample(np.full((13, 17, 3), 7, np.uint8), np.full((13, 17), 5, np.uint8))
    for position in range(20):
        result = build("+".join(MOTIONS))(sample, (0, 0, position), size=(40, 9))
        assert np.all(result.image == 7) and np.all(result.labels == 5)


def test_rotation_is_about_the_middle_of_the_crop() -> None:
    """A crop at the border of a large picture doesn't show what is far away, nor much of the mirror image."""
    labels = np.repeat(np.arange(100, dtype=np.uint8)[:, None], 100, axis=1)
    sample = Sample(np.zeros((100, 100, 1), np.uint8), labels)
    top = move(sample, Motion(angle=15.0, place=(0.0, 0.5)), 20)
    assert top.labels is not None and top.labels.max() < 20 * 1.3


# ---------------------------------------------------------------------------------------------------------
# Colours


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_colours_that_change_nothing(channels: int) -> None:
    every = np.resize(np.arange(2**16, dtype=np.uint16), (256, 256, channels))
    for image in (every, (every >> 8).astype(np.uint8), (every / 65535).astype(np.float32)):
        result = recolour(image, Colours(), np.random.default_rng(0))
        assert result.dtype == image.dtype and not np.shares_memory(result, image)
        np.testing.assert_array_equal(result, image)


def test_each_colour_change_does_what_it_says() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0.2, 0.8, (32, 32, 3)).astype(np.float32)

    def changed(**amounts: float) -> Array:
        return recolour(x, Colours(**amounts), np.random.default_rng(1))

    np.testing.assert_allclose(changed(brightness=0.1), x + 0.1, atol=1e-6)
    np.testing.assert_allclose(changed(gamma=2.0), x**2, atol=1e-6)
    np.testing.assert_allclose(changed(contrast=0.0), x.mean(), atol=1e-6)
    assert changed(contrast=1.2).std() == pytest.approx(1.2 * x.std(), rel=1e-4)
    grey = changed(saturation=0.0)
    np.testing.assert_allclose(
        grey[..., 0], x[..., 0] * 0.299 + x[..., 1] * 0.587 + x[..., 2] * 0.114, atol=1e-6
    )
    np.testing.assert_allclose(grey[..., 0], grey[..., 2], atol=1e-6)
    assert (changed(noise=0.05) - x).std() == pytest.approx(0.05, rel=0.1)
    five = np.concatenate([x, x[..., :2]], axis=-1)
    np.testing.assert_array_equal(recolour(five, Colours(saturation=0.0), rng), five)  # only red, green, blue


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_too_bright_is_cut_off_and_does_not_wrap(dtype: Any) -> None:
    image = random_sample((6, 6), 0, dtype=dtype).image
    most = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
    assert (recolour(image, Colours(brightness=1.0), np.random.default_rng(0)) == most).all()
    assert (recolour(image, Colours(brightness=-1.0), np.random.default_rng(0)) == 0).all()


def test_colours_are_rounded_to_the_nearest() -> None:
    image = np.full((1, 1, 1), 100, np.uint8)
    for brightness, expected in ((0.4, 100), (0.6, 101), (-0.4, 100), (-0.6, 99)):
        assert recolour(image, Colours(brightness=brightness / 255), np.random.default_rng(0)) == expected


def test_colour_leaves_labels_alone() -> None:
    sample = random_sample((12, 10), 4)
    result = build("colour")(sample, (0, 0, 0))
    assert (result.image != sample.image).any()
    assert same(result._replace(image=sample.image), sample)


# ---------------------------------------------------------------------------------------------------------
# Keys and draws


def test_the_key_decides() -> None:
    sample = random_sample((24, 24), 0)
    augmentation = build("flip+rotate+scale+colour+elastic")
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0), (0,), (2**64 - 1, 0, 0)]
    images = [augmentation(sample, key).image.tobytes() for key in keys]
    assert len(set(images)) == len(keys)
    assert images == [augmentation(sample, key).image.tobytes() for key in keys]  # there is no state
    assert augmentation(sample, [0, 0, 1]).image.tobytes() == images[3]
    assert augmentation(sample, 0).image.tobytes() == images[5]


def test_steps_do_not_disturb_each_other() -> None:
    """Each has a random stream of its own: with colours or without, it is the same flip and the same crop."""
    sample = random_sample((24, 30), 0)
    for position in range(10):
        alone = build("flip")(sample, (3, 1, position), size=11)
        together = build("flip+colour")(sample, (3, 1, position), size=11)
        np.testing.assert_array_equal(alone.labels, together.labels)


def test_streams_are_repeated_for_ever() -> None:
    """These draws were made by the first release; runs are only repeated if they stay."""
    sample = Sample(np.zeros((4, 4, 1), np.uint8), np.arange(16, dtype=np.uint8).reshape(4, 4))
    result = build("flip+flip_vertical+rotate90")(sample, (7, 1, 2), size=3)
    assert result.labels is not None
    assert result.labels.tolist() == [[14, 13, 12], [10, 9, 8], [6, 5, 4]]


def test_draws() -> None:
    """Even chances, and amounts within their limits."""
    rngs = [np.random.default_rng(k) for k in range(400)]

    def drawn(name: str, picture: Pair = (20, 20), window: Pair = (20, 20)) -> list[Motion]:
        return [MOTIONS[name](Motion(), rng, picture, window) for rng in rngs]

    assert 160 < sum(m.flip for m in drawn("flip")) < 240
    assert 160 < sum(m.flip_vertical for m in drawn("flip_vertical")) < 240
    turns = np.bincount([m.quarter_turns for m in drawn("rotate90")])
    assert len(turns) == 4 and turns.min() > 70
    angles = np.array([m.angle for m in drawn("rotate")])
    assert -15 <= angles.min() < -14 and 14 < angles.max() <= 15
    scales = np.array([m.scale for m in drawn("scale")])
    assert 0.75 <= scales.min() < 0.77 and 1.3 < scales.max() <= 4 / 3
    assert 160 < (scales < 1).sum() < 240
    assert {m.shift[0] for m in drawn("shift")} == {-2, -1, 0, 1, 2}


def test_elastic_suits_the_size() -> None:
    """10 pixels for 512, as in the U-Net paper: the same bending, relative to the picture, at every size."""
    rng = np.random.default_rng(0)
    for side in (64, 512):
        bends = [MOTIONS["elastic"](Motion(), rng, (side, side), (side, side)).bend for _ in range(60)]
        deviation = np.std([bend[:, 0, 0] for bend in bends if bend is not None])  # at a grid point
        assert deviation == pytest.approx(10 * side / 512, rel=0.25)


def test_quarter_turns_of_pictures_that_are_not_square() -> None:
    """Lying on its side a picture wouldn't fill its own window: half turns only. It may fill a smaller one."""
    sample = random_sample((8, 14), 0)
    assert sample.labels is not None
    halves = {move(sample, Motion(quarter_turns=k)).labels.tobytes() for k in (0, 2)}  # type: ignore[union-attr]
    seen = {build("rotate90")(sample, k).labels.tobytes() for k in range(40)}  # type: ignore[union-attr]
    assert seen == halves
    rngs = [np.random.default_rng(k) for k in range(40)]
    assert {MOTIONS["rotate90"](Motion(), rng, (8, 14), (8, 8)).quarter_turns for rng in rngs} == {0, 1, 2, 3}


# ---------------------------------------------------------------------------------------------------------
# Expressions and errors


def test_build() -> None:
    assert build("flip + rotate") == build("rotate+flip") == Augmentation(("rotate", "flip"))
    assert build("none") == build("") == build("  ") == Augmentation()
    assert repr(build("colour+flip")) == "build('flip+colour')" and repr(build("")) == "build('none')"
    assert eval(repr(build("colour+flip")), {"build": build}) == build("flip+colour")
    assert build("+".join(names())).steps == tuple(names())
    assert (
        set(augment.STREAMS) == {"place", *names(), "focus"}
        and len(set(augment.STREAMS.values())) == len(names()) + 2
    )


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("flip+rotat", "'rotat'; did you mean 'rotate'"),
        ("color", "did you mean 'colour'"),
        ("Flip", "did you mean 'flip'"),
        ("zzz", "no augmentation named 'zzz'. Expected names joined by"),
        ("flip+", "no augmentation named ''"),
        ("flip+none", "no augmentation named 'none'"),
        ("flip+crop", "a crop needs no name"),
        ("flip+scale+flip", "'flip' is there 2 times"),
    ],
)
def test_expressions_that_are_wrong(expression: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(expression)


def test_wrong_arguments() -> None:
    sample = random_sample((4, 5), 0)
    assert sample.labels is not None
    augmentation = build("flip")
    with pytest.raises(TypeError, match="expected names such as"):
        build(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"'no. 0': image is float64; expected"):
        augmentation(sample._replace(image=sample.image / 255), 0)
    with pytest.raises(TypeError, match="image is list"):
        augmentation(Sample([[0]]), 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"shape \(4, 5\); expected \(H, W, C\)"):
        augmentation(Sample(sample.labels), 0)
    with pytest.raises(
        ValueError, match=r"labels have shape \(3, 5\), the image \(4, 5, 3\); expected \(4, 5\)"
    ):
        augmentation(sample._replace(labels=sample.labels[:3]), 0)
    with pytest.raises(TypeError, match="instances are float32; expected"):
        augmentation(sample._replace(instances=np.zeros((4, 5), np.float32)), 0)
    for size in (0, (3, 0), (1, 2, 3)):
        with pytest.raises(ValueError, match="size"):
            augmentation(sample, 0, size=size)
    for key in (-1, (0, 2**64)):
        with pytest.raises(ValueError, match="key"):
            augmentation(sample, key)
    with pytest.raises(TypeError, match="key"):
        stream(0.5, 0)  # type: ignore[arg-type]
