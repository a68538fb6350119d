"""The patch classifier and its twin: the truth tests of SYSTEMS.md rows 1 and 2, and PyTorch's numbers."""

from fractions import Fraction

import numpy as np
import pytest
from golden_cases import read
from model_checks import check_same_as_pytorch

from minisegnet import functional, models, nn, optim
from minisegnet.autograd import Tensor, no_grad
from minisegnet.models.patch import PatchClassifier, PatchFCN, cut_windows, dense_to_conv
from minisegnet.ops import use_backend
from minisegnet.sizes import Layer, input_range
from minisegnet.testing import check_gradients, distinct_values


def small(seed: int = 0, **options: int) -> PatchClassifier:
    """A float64 model whose biases aren't zero."""
    model = models.build("patch", in_channels=2, classes=3, dtype="float64", seed=seed, **options)
    assert isinstance(model, PatchClassifier)
    rng = np.random.default_rng(seed)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data = rng.normal(size=parameter.shape)
    return model


# ---------------------------------------------------------------------------------------------------------
# Equal numbers at equal places


@pytest.mark.claim("S0-06", "S0-08", "S0-09", "S4-11", "S4-58")
@pytest.mark.parametrize("patch", [13, 21])
@pytest.mark.parametrize("size", [(21, 21), (29, 41), (40, 31)])
def test_twin_equals_patches(size: tuple[int, int], patch: int, backend: str) -> None:
    """Row 1: the dense network's output (i, j) is the classifier's score of the window at 4 (i, j), to 1e-12."""
    x = np.random.default_rng(1).normal(size=(2, 2, *size))
    with use_backend(backend), no_grad():
        model = small(width=2, patch=patch)
        dense = model.twin()(x).data
        assert dense.shape[2:] == model.output_size(size) == model.twin().output_size(size)
        assert np.abs(dense - model(x).data).max() < 1e-12
        for i, j in np.ndindex(dense.shape[2:]):
            window = np.ascontiguousarray(x[:, :, 4 * i : 4 * i + patch, 4 * j : 4 * j + patch])
            assert np.abs(model(window).data[:, :, 0, 0] - dense[:, :, i, j]).max() < 1e-12


def test_twin_learns_the_same() -> None:
    """Row 1: not only the scores agree, but the gradients of every weight and of the picture."""
    model = small(width=2, patch=13)
    twin = model.twin()
    x = np.random.default_rng(1).normal(size=(1, 2, 25, 22))
    gradients = []
    for network in (model, twin):
        picture = Tensor(x, requires_grad=True)
        scores = network(picture)
        scores.backward(np.random.default_rng(2).normal(size=scores.shape))
        gradients.append([picture.grad, *(parameter.grad for parameter in network.parameters())])
    for ours, theirs in zip(*gradients, strict=True):
        assert np.abs(ours - theirs.reshape(ours.shape)).max() < 1e-11


def test_padding_would_break_it() -> None:
    """Row 1 holds for valid convolutions only: with padding a patch sees zeros where the picture goes on."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(1, 1, 12, 12)), rng.normal(size=(1, 1, 3, 3))
    for padding, equal in ((0, True), (1, False)):
        whole = functional.conv2d(x, w, padding=padding).data
        window = functional.conv2d(x[:, :, 4:10, 4:10], w, padding=padding).data
        same_place = whole[:, :, 4 : 4 + window.shape[2], 4 : 4 + window.shape[3]]
        assert (np.abs(window - same_place).max() < 1e-12) == equal


def test_shifted_twins_label_every_pixel() -> None:
    """Row 1: 4 x 4 shifted pictures, put together again, give the score of every pixel (shift and stitch)."""
    model = small(width=1, patch=13)
    twin = model.twin()
    x = np.random.default_rng(1).normal(size=(1, 2, 19, 19))
    stitched = np.full((1, 3, 7, 7), np.nan)
    with no_grad():
        for top, left in np.ndindex(4, 4):
            stitched[:, :, top::4, left::4] = twin(np.ascontiguousarray(x[:, :, top:, left:])).data
        for i, j in np.ndindex(7, 7):
            window = np.ascontiguousarray(x[:, :, i : i + 13, j : j + 13])
            assert np.abs(model(window).data[0, :, 0, 0] - stitched[0, :, i, j]).max() < 1e-12


@pytest.mark.claim("S0-06")
def test_output_belongs_to_the_centre_pixel() -> None:
    """Row 1: output i sees the picture from 4 i to 4 i + 20, and the pixel in the middle is centre(i)."""
    model = PatchClassifier(1, 2)
    layers = [Layer(3), Layer(3, 2), Layer(3), Layer(3, 2), Layer(3)]
    for i in range(4):
        first, last = input_range(layers, i)
        assert (first, last) == (4 * i, 4 * i + 20)
        assert model.centre(i) == (first + last) // 2 == 4 * i + 10


# ---------------------------------------------------------------------------------------------------------
# What it costs


@pytest.mark.claim("S0-07", "S4-14", "S4-57")
def test_costs_by_hand() -> None:
    """Row 1: multiply-adds of both for 64 x 64, in integers, layer by layer."""
    model = models.build("patch", classes=2, width=8)
    assert isinstance(model, PatchClassifier)
    patch = 3 * 9 * 8 * 19**2 + 8 * 9 * 16 * 7**2 + (16 * 3 * 3) * 64 + 64 * 2
    # 64 - 3x3 -> 62 - pool -> 30 - 3x3 -> 28 - pool -> 13 - 3x3 -> 11
    dense = 3 * 9 * 8 * 62**2 + 8 * 9 * 16 * 28**2 + (16 * 3 * 3 * 64 + 64 * 2) * 11**2
    assert model.multiply_adds(64) == 121 * patch
    assert model.twin().multiply_adds(64) == dense
    assert Fraction(121 * patch, dense) == Fraction(121 * 143_768, 2_864_096)
    assert patch == 143_768 and dense == 2_864_096


@pytest.mark.claim("S0-07", "S4-14", "S4-57")
def test_savings_grow_with_the_picture() -> None:
    """Row 1: no saving on a single patch; the ratio grows towards the cost of a patch over that of one place."""
    model = models.build("patch", classes=2, width=8)
    assert isinstance(model, PatchClassifier)
    twin = model.twin()
    ratios = [Fraction(model.multiply_adds(n), twin.multiply_adds(n)) for n in (21, 33, 64, 256, 1024)]
    assert ratios[0] == 1
    assert ratios == sorted(ratios)
    place = 3 * 9 * 8 * 4**2 + 8 * 9 * 16 * 2**2 + (16 * 3 * 3) * 64 + 64 * 2
    assert 0.97 < ratios[-1] / Fraction(143_768, place) < 1


# ---------------------------------------------------------------------------------------------------------
# Dense layers as convolutions


@pytest.mark.claim("S4-11")
def test_dense_to_conv_slides() -> None:
    """Row 2: equal on the native size; on a larger map the convolution is the dense layer at every place."""
    rng = np.random.default_rng(0)
    weight, bias, x = rng.normal(size=(5, 3 * 4 * 2)), rng.normal(size=5), rng.normal(size=(2, 3, 6, 7))
    w, b = dense_to_conv(weight, bias, 3, (4, 2))
    y = functional.conv2d(x, w, b).data
    for i, j in np.ndindex(3, 6):
        flat = x[:, :, i : i + 4, j : j + 2].reshape(2, 24)
        assert np.abs(y[:, :, i, j] - (flat @ weight.T + bias)).max() < 1e-13


def test_dense_to_conv_copies_and_refuses() -> None:
    """Row 2: the classifier's own weights stay as they are."""
    weight, bias = np.ones((2, 4)), np.ones(2)
    w, b = dense_to_conv(weight, bias, 1, 2)
    w[:], b[:] = 0, 0
    assert weight.all() and bias.all()
    with pytest.raises(ValueError, match=r"expected \(K, 12\) and \(K,\) for a map of 3 channels"):
        dense_to_conv(weight, bias, 3, 2)


# ---------------------------------------------------------------------------------------------------------
# Sizes, PyTorch's numbers, gradients, learning


def test_sizes_that_fit_are_named() -> None:
    """Row 1: a picture smaller than a patch, a patch without a centre."""
    model = PatchClassifier(1, 2)
    assert model.output_size((64, 21)) == (11, 1)
    with pytest.raises(ValueError, match="every size from 21 x 21 up fits"):
        model(np.zeros((1, 1, 20, 30), np.float32))
    for wrong in (12, 20, 23):
        for make in (PatchClassifier, PatchFCN):
            with pytest.raises(ValueError, match="patch is"):
                make(1, 2, patch=wrong)


def test_state_keeps_dtype_and_mode() -> None:
    """Row 1: the twin is of the same dtype, and a batch may be empty."""
    model = small(width=1)
    assert model.eval().twin().training is False
    assert (
        model.twin()(np.zeros((0, 2, 30, 30))).shape == model(np.zeros((0, 2, 30, 30))).shape == (0, 3, 3, 3)
    )
    assert PatchClassifier(1, 2).twin().fc1.weight.dtype == np.float32


def test_same_as_pytorch(fast: str) -> None:
    """Row 1: scores of all patches, loss and gradients of the twin in golden/make_fcn.py."""
    (case,) = (case for case in read("models/fcn").values() if case.op == "patch")
    check_same_as_pytorch(case, every=3)


def test_gradient_of_cutting() -> None:
    """Row 1: where windows overlap, their gradients add up."""
    check_gradients(lambda x: cut_windows(x, 3, 2), Tensor(distinct_values((2, 2, 6, 7)), requires_grad=True))


@pytest.mark.parametrize("twin", [False, True])
def test_gradients_of_the_whole_model(fast: str, twin: bool) -> None:
    """Row 1: every parameter and the picture, against numerical derivatives."""
    model: nn.Module = small(seed=1, width=1, patch=13)
    if twin:
        model = model.twin()  # type: ignore[operator]
    x = Tensor(distinct_values((1, 2, 18, 21), gap=2e-3), requires_grad=True)
    check_gradients(lambda x, *_: model(x), x, *model.parameters(), step=1e-6, rtol=1e-5)


@pytest.mark.claim("S0-06")
def test_learns_one_picture() -> None:
    """Row 1: trained as a classifier of patches, its twin then labels the picture, mean IoU 1."""
    rng = np.random.default_rng(0)
    labels = (np.indices((64, 64)).sum(0) // 24 % 2)[None]
    picture = (labels[:, None] + rng.normal(0, 0.2, (1, 3, 64, 64))).astype(np.float32)
    model = models.build("patch", classes=2)
    assert isinstance(model, PatchClassifier)
    centres = [model.centre(i) for i in range(11)]
    target = labels[:, centres][:, :, centres]
    optimiser = optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        functional.softmax_cross_entropy(model(picture), target).backward()
        optimiser.step()
    assert np.array_equal(model.twin()(picture).data.argmax(1), target)
