"""DeconvNet against what the paper says, against PyTorch, and against finite differences."""

import numpy as np
import pytest
from golden_cases import read
from model_checks import check_same_as_pytorch, check_whole_model, coloured, disc_and_bar, learn_by_heart

from minisegnet import functional, models
from minisegnet.autograd import no_grad
from minisegnet.ops import use_backend
from minisegnet.testing import distinct_values

GOLDEN = read("models/segnet")  # made by golden/make_segnet.py
PAPER = {"width": 64, "convolutions": (2, 2, 3, 3, 3), "waist": 7, "waist_width": 4096}

# ---------------------------------------------------------------------------------------------------------
# Row 8: sizes and counts of the paper's network, by hand


@pytest.mark.claim("S3-01", "S3-02", "S3-04")
def test_row_8_sizes_of_the_paper() -> None:
    """Row 8: 224 down to 7, 1 at the waist, 7 again, and back to 224."""
    model = models.build("deconvnet", classes=21, initialise=False, **PAPER)
    sides = [224, 112, 56, 28, 14, 7, 1, 7, 14, 28, 56, 112, 224]
    assert model.level_sizes(224) == [(side, side) for side in sides]
    assert model.output_size((224, 224)) == (224, 224)
    assert model.level_sizes((320, 257))[6:8] == [
        (4, 2),
        (10, 8),
    ]  # a larger picture: a waist of more than one point


@pytest.mark.claim("S3-02", "S3-31")
def test_row_8_parameters_of_the_paper() -> None:
    """Row 8: almost all weights are in the waist, which makes it 8.5 times as large as SegNet."""
    model = models.build("deconvnet", classes=21, initialise=False, **PAPER)
    down = 14_710_464  # VGG16's 13 convolutions, without biases
    up = down - 3 * 64 * 9 + 64 * 64 * 9  # mirrored; the last one ends at 64 channels instead of 3
    fc6 = 512 * 4096 * 7 * 7
    fc7 = 4096 * 4096
    assert (fc6, fc7) == (102_760_448, 16_777_216)
    norms = 2 * (2 * 64 + 2 * 128 + 3 * 256 + 6 * 512)  # down
    norms += 2 * (4096 + 4096 + 512)  # waist
    norms += 2 * (5 * 512 + 3 * 256 + 2 * 128 + 3 * 64)  # up
    head = 64 * 21 + 21
    assert model.parameter_count() == down + fc6 + fc7 + fc6 + up + norms + head == 251_788_949

    assert model.fc6_transposed.parameter_count() == fc6 + 2 * 512
    segnet = models.build(
        "segnet", classes=21, width=64, convolutions=PAPER["convolutions"], initialise=False
    )
    extra = 2 * fc6 + fc7 + 2 * (4096 + 4096 + 512)
    assert model.parameter_count() - segnet.parameter_count() == extra  # the waist is the only difference
    assert model.parameter_count() / segnet.parameter_count() == pytest.approx(8.54, abs=0.01)


@pytest.mark.claim("S3-01", "S3-02", "S3-03")
def test_row_8_layers_of_the_paper() -> None:
    """Row 8: the waist is 7x7, 1x1 and 7x7 again, and the decoder has 13 transposed convolutions of 3x3."""
    model = models.build("deconvnet", classes=21, initialise=False, **PAPER)
    kernels = {name: p.shape for name, p in model.named_parameters() if p.ndim == 4}
    assert kernels["fc6.0.weight"] == (4096, 512, 7, 7)
    assert kernels["fc7.0.weight"] == (4096, 4096, 1, 1)
    assert kernels["fc6_transposed.0.weight"] == (4096, 512, 7, 7)  # of a transposed convolution: from, to
    up = [(512, 512)] * 5 + [(512, 256), (256, 256), (256, 256), (256, 128)]
    up += [(128, 128), (128, 64), (64, 64), (64, 64)]
    assert [shape for name, shape in kernels.items() if name.startswith("decoder")] == [
        (*pair, 3, 3) for pair in up
    ]
    assert len([name for name in kernels if name.startswith("encoder")]) == 13


def test_row_8_sizes_of_the_small_one() -> None:
    """Row 8: the same way on a smaller scale, from odd sizes too."""
    model = models.build("deconvnet", classes=2, initialise=False)
    assert [H for H, _ in model.level_sizes(64)] == [64, 32, 16, 8, 6, 8, 16, 32, 64]
    assert [H for H, _ in model.level_sizes(97)] == [97, 48, 24, 12, 10, 12, 24, 48, 97]


def test_one_point_and_one_picture_have_no_variance() -> None:
    """Row 8: at a waist of 1 x 1, training needs two pictures; evaluation doesn't."""
    model = models.build("deconvnet", classes=2, width=2, convolutions=(1, 1), waist=4)
    pictures = np.random.default_rng(0).normal(size=(2, 3, 16, 16)).astype(np.float32)
    with pytest.raises(ValueError, match="training needs more than one to have a variance"):
        model(pictures[:1])
    assert model(pictures).shape == (2, 2, 16, 16)
    assert model.eval()(pictures[:1]).shape == (1, 2, 16, 16)


# ---------------------------------------------------------------------------------------------------------
# Row 8: what the decoder shares with the encoder


@pytest.mark.claim("S2-31", "S3-31")
def test_row_8_unpooling_shares_the_indices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 8: each unpooling gets the very indices of its pooling, the last pooling's first, and its size."""
    given, used = [], []
    pool, unpool = functional.max_pool2d, functional.max_unpool2d

    def watched_pool(x, *arguments, **keywords):  # type: ignore[no-untyped-def]
        y, indices = pool(x, *arguments, **keywords)
        given.append((id(indices), x.shape[2:]))
        kept.append(indices)
        return y, indices

    def watched_unpool(x, indices, size):  # type: ignore[no-untyped-def]
        used.append((id(indices), size))
        return unpool(x, indices, size)

    kept: list[np.ndarray] = []  # so that no two arrays can have had the same id
    monkeypatch.setattr(functional, "max_pool2d", watched_pool)
    monkeypatch.setattr(functional, "max_unpool2d", watched_unpool)
    model = models.build("deconvnet", in_channels=1, classes=2, width=2)
    model(np.ones((1, 1, 67, 70), np.float32))
    assert used == given[::-1]
    assert len(used) == len(model.encoder)


# ---------------------------------------------------------------------------------------------------------
# The contract of all models


@pytest.mark.claim("S3-04")
@pytest.mark.parametrize("size", [(64, 64), (65, 64), (97, 131)])
@pytest.mark.parametrize("training", [True, False])
def test_output_has_the_input_size(size: tuple[int, int], training: bool) -> None:
    """Row 8: the waist takes away what its transposed twin gives back, whatever the size."""
    model = models.build("deconvnet", in_channels=1, classes=5, width=2).train(training)
    with no_grad():
        assert model(np.ones((1, 1, *size), np.float32)).shape == (1, 5, *size)
    assert model.output_size(size) == size


def test_a_small_input_is_refused_by_name() -> None:
    model = models.build("deconvnet", classes=2, width=2, convolutions=(1, 1), waist=7)
    assert model.output_size(28) == (28, 28)
    with pytest.raises(
        ValueError, match="27 x 64, too small for 2 poolings and a waist of 7 x 7; every size from 28 x 28 up"
    ):
        model(np.ones((1, 3, 27, 64), np.float32))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "layer"}, "norm is 'layer'"),
        ({"convolutions": ()}, "convolutions is empty"),
        ({"waist": 0}, "waist is 0"),
        ({"waist_width": 0}, "waist_width is 0"),
    ],
)
def test_bad_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        models.build("deconvnet", classes=2, **options)


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in GOLDEN if "deconvnet" in name])
def test_same_as_pytorch(name: str, backend: str) -> None:
    """Row 8: with PyTorch's weights come PyTorch's scores, loss, gradients and running statistics."""
    with use_backend(backend):
        check_same_as_pytorch(GOLDEN[name])


@pytest.mark.parametrize("norm", ["batch", None])
def test_gradients_of_the_whole_model(norm: str | None, fast: str) -> None:
    """Row 8: the backward through convolutions, waist, unpooling and transposed convolutions together is right."""
    options = {"convolutions": (1, 1), "waist": 2, "norm": norm, "width": 2}
    model = models.build("deconvnet", in_channels=1, classes=2, dtype="float64", seed=1, **options)
    check_whole_model(model, distinct_values((2, 1, 12, 13)))


def test_overfits_one_picture() -> None:
    """Row 8: the small model learns one picture by heart, to a mean IoU of 1."""
    model, labels = models.build("deconvnet", classes=3, width=8), disc_and_bar(64)
    picture = coloured(labels, noise=0.05) - np.float32(0.5)
    learn_by_heart(lambda: model(picture), model, labels)
