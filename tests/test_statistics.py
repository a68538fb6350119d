"""Brightness and class frequencies against their definitions."""

import numpy as np
import pytest

from minisegnet.arrays import Array
from minisegnet.data.palettes import default_palette
from minisegnet.data.sample import Dataset, Sample
from minisegnet.data.statistics import (
    Normalisation,
    as_floats,
    class_weights,
    count_labels,
    measure_normalisation,
)

RNG = np.random.default_rng(2)


class Given(Dataset):
    """Pictures and labels that are already there."""

    def __init__(self, samples: list[Sample], classes: int = 3, ignore_index: int | None = None) -> None:
        self.samples, self.name, self.ignore_index = samples, "given", ignore_index
        self.class_names = tuple(map(str, range(classes)))
        self.palette = default_palette(classes)
        self.channels = samples[0].image.shape[2] if samples else 3
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, i: int) -> Sample:
        self.asked.append(i)
        return self.samples[i]


def labelled(*labels: Array, ignore_index: int | None = None) -> Given:
    blank = [Sample(np.zeros((*a.shape, 1), np.uint8), a, None, f"p{k}") for k, a in enumerate(labels)]
    return Given(blank, ignore_index=ignore_index)


def test_as_floats() -> None:
    assert as_floats(np.arange(256, dtype=np.uint8)).tolist() == [
        float(np.float32(k / 255)) for k in range(256)
    ]
    wide = as_floats(np.array([0, 1, 65535], np.uint16))
    assert wide.dtype == np.float32 and wide.tolist() == [0.0, float(np.float32(1 / 65535)), 1.0]
    floats = RNG.random((2, 3), np.float32)
    assert as_floats(floats) is floats
    assert as_floats(floats.astype(np.float64)).dtype == np.float32
    for wrong in (np.zeros(3, np.int64), np.zeros(3, bool)):
        with pytest.raises(TypeError, match="expected uint8, uint16, or floats"):
            as_floats(wrong)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_normalisation_is_that_of_all_pixels(dtype: type) -> None:
    most = 1 if dtype is np.float32 else np.iinfo(dtype).max
    images = [(RNG.random((5 + k, 7, 3)) * most * [0.2, 0.5, 1]).astype(dtype) for k in range(9)]
    normalisation = measure_normalisation(Given([Sample(image) for image in images]))
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]).astype(np.float64) / most
    assert np.allclose(normalisation.mean, pixels.mean(axis=0), rtol=1e-6)
    assert np.allclose(normalisation.std, pixels.std(axis=0), rtol=1e-6)
    assert all(type(number) is float for part in normalisation for number in part)
    x = np.concatenate([normalisation.apply(image).reshape(-1, 3) for image in images])
    assert x.dtype == np.float32
    assert np.allclose(x.mean(axis=0), 0, atol=1e-5) and np.allclose(x.std(axis=0), 1, atol=1e-5)


def test_a_small_deviation_on_a_large_mean_survives() -> None:
    images = [np.full((50, 50, 1), 0.999, np.float32) for _ in range(4)]
    for image in images:
        image[::2] = 0.99901
    std = measure_normalisation(Given([Sample(image) for image in images])).std[0]
    assert std == pytest.approx(images[0].astype(np.float64).std(), rel=1e-9)


def test_a_constant_channel_is_not_scaled() -> None:
    images = [np.full((4, 5, 2), 100, np.uint8) for _ in range(3)]
    images[0][0, 0, 1] = 200
    normalisation = measure_normalisation(Given([Sample(image) for image in images]))
    assert normalisation.std[0] == 1.0 and 0 < normalisation.std[1] < 1
    assert np.allclose(normalisation.apply(images[1])[..., 0], 0, atol=1e-6)


def test_of_many_pictures_some_are_read_evenly() -> None:
    dataset = Given([Sample(np.full((2, 2, 1), k, np.uint8)) for k in range(10)])
    measure_normalisation(dataset, most=4)
    assert dataset.asked == [0, 2, 5, 7]
    assert measure_normalisation(dataset) == measure_normalisation(dataset, most=10)
    with pytest.raises(ValueError, match="most is 0"):
        measure_normalisation(dataset, most=0)
    with pytest.raises(ValueError, match="given has no pictures"):
        measure_normalisation(Given([]))


def test_memory_layout_does_not_matter() -> None:
    images = [RNG.integers(0, 256, (33, 65, 3), np.uint8) for _ in range(3)]
    plain = measure_normalisation(Given([Sample(image) for image in images]))
    strided = [np.asfortranarray(image) for image in images]
    assert measure_normalisation(Given([Sample(image) for image in strided])) == plain
    a, b = plain.apply(images[0]), plain.apply(strided[0])
    assert np.array_equal(a, b) and b.flags.c_contiguous


def test_apply_changes_nothing_and_checks_channels() -> None:
    normalisation = Normalisation((0.5,), (0.25,))
    image = RNG.random((3, 4, 1), np.float32)
    image.flags.writeable = False
    assert np.allclose(normalisation.apply(image), (image - 0.5) / 0.25)
    for shape in ((3, 4), (3, 4, 3)):
        with pytest.raises(ValueError, match=r"expected \(H, W, 1\)"):
            normalisation.apply(np.zeros(shape, np.uint8))


def test_counts() -> None:
    a = np.array([[0, 0, 1], [0, 255, 255]], np.uint8)
    b = np.array([[1, 1], [1, 1]], np.uint16)
    pixels, of_pictures = count_labels(labelled(a, b, ignore_index=255))
    assert pixels.tolist() == [3, 5, 0] and of_pictures.tolist() == [4, 8, 0]
    assert pixels.dtype == of_pictures.dtype == np.int64
    # An ignored label may be that of a class, too.
    pixels, of_pictures = count_labels(labelled(b, np.array([[0, 1]], np.uint8), ignore_index=1))
    assert pixels.tolist() == [1, 0, 0] and of_pictures.tolist() == [1, 0, 0]


def test_labels_that_cannot_be_counted() -> None:
    with pytest.raises(
        ValueError, match=r"'p0' has label 3, 9 at 3 pixels; expected 0 to 2, or 255 to be ignored"
    ):
        count_labels(labelled(np.array([[0, 3, 9, 9]], np.uint8), ignore_index=255))
    with pytest.raises(ValueError, match=r"has label 255 at 1 pixels; expected 0 to 2$"):
        count_labels(labelled(np.array([[0, 255]], np.uint8)))
    with pytest.raises(ValueError, match="'x' has no labels"):
        count_labels(Given([Sample(np.zeros((2, 2, 1), np.uint8), name="x")]))


def test_median_frequency_weights_by_hand() -> None:
    a = np.array([[0, 0, 0, 1]], np.uint8)  # frequencies: 0 has 3 / 4, 1 has 1 / 4 ...
    b = np.array([[2, 2]], np.uint8)  # ... and 2, whose picture holds nothing else, 1
    weights = class_weights(labelled(a, b), "median-frequency")
    assert weights.dtype == np.float32 and np.allclose(weights, [1, 3, 0.75])


def test_inverse_weights_balance_the_classes() -> None:
    labels = RNG.choice(3, size=(40, 50), p=[0.7, 0.25, 0.05]).astype(np.uint8)
    dataset = labelled(labels)
    weights, pixels = class_weights(dataset, "inverse"), count_labels(dataset).pixels
    assert np.allclose(weights * pixels, labels.size / 3)
    assert np.isclose((weights[labels]).mean(), 1)


@pytest.mark.parametrize("kind", ["median-frequency", "inverse"])
def test_an_absent_class_weighs_nothing(kind: str) -> None:
    weights = class_weights(labelled(np.array([[0, 2, 2, 2, 255]], np.uint8), ignore_index=255), kind)
    assert weights[1] == 0 and weights[0] > weights[2] > 0
    with pytest.raises(ValueError, match="no pixel with a class"):
        class_weights(labelled(np.array([[255]], np.uint8), ignore_index=255), kind)


def test_unknown_weights() -> None:
    with pytest.raises(
        ValueError, match=r"kind is 'median'; expected one of \['median-frequency', 'inverse'\]"
    ):
        class_weights(labelled(np.array([[0]], np.uint8)), "median")
