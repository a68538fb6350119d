"""FCN: the truth tests of SYSTEMS.md rows 2, 3, 4 and 5 that concern it, and PyTorch's numbers."""

import itertools

import numpy as np
import pytest
from golden_cases import read
from model_checks import check_same_as_pytorch, coloured, learn_by_heart

from minisegnet import functional, models, nn, optim
from minisegnet.autograd import Tensor, no_grad
from minisegnet.models.fcn import FCN8s, FCN16s, FCN32s, FixedUpsampling
from minisegnet.models.patch import dense_to_conv, flatten
from minisegnet.models.vgg import VGG
from minisegnet.nn import init
from minisegnet.testing import check_gradients, distinct_values

NAMES = ("fcn32s", "fcn16s", "fcn8s")
PAPER = {"width": 64, "fc_channels": 4096, "norm": None, "padding": "paper"}
TINY = {"width": 1, "fc_channels": 3, "convolutions": (1, 1, 1, 1, 1)}
GOLDEN = read("models/fcn")


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter that starts at zero (scores, biases) random values, so that nothing hides."""
    rng = np.random.default_rng(seed)
    for parameter in model.parameters():
        if not parameter.data.any():
            parameter.data = rng.normal(size=parameter.shape).astype(parameter.dtype)
    return model


def constant_scores(model: FCN32s, values: list[float]) -> None:
    """Make the deepest scores the same everywhere: no weights, only a bias."""
    model.score_fr.bias.data = np.array(values, model.score_fr.bias.dtype)


# ---------------------------------------------------------------------------------------------------------
# The paper's size


@pytest.mark.claim("S1-09")
def test_parameters_of_vgg16() -> None:
    """Row 3: 13 convolutions of 3x3 with biases, 14.7 million parameters."""
    with nn.creating(initialise=False):
        backbone = VGG(3, width=64)
    channels = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    by_hand = sum(9 * before * after + after for before, after in itertools.pairwise(channels))
    assert backbone.parameter_count() == by_hand == 14_714_688
    assert sum(isinstance(layer, nn.Conv2d) for layer in backbone.features) == 13


@pytest.mark.claim("S1-13", "S2-16", "S2-18")
@pytest.mark.parametrize("name", NAMES)
def test_parameters_at_the_papers_size(name: str) -> None:
    """Row 3: VGG16, fc6 and fc7 of 4096 channels, 21 classes; counted by hand."""
    fc6 = 512 * 7 * 7 * 4096 + 4096
    fc7 = 4096 * 4096 + 4096
    by_hand = 14_714_688 + fc6 + fc7 + (4096 * 21 + 21)
    if name != "fcn32s":
        by_hand += 21 * 21 * 4 * 4 + (512 * 21 + 21)  # upscore2, score_pool4
    if name == "fcn8s":
        by_hand += 21 * 21 * 4 * 4 + (256 * 21 + 21)  # upscore_pool4, score_pool3
    model = models.build(name, classes=21, initialise=False, **PAPER)
    assert model.parameter_count() == by_hand
    assert by_hand == {"fcn32s": 134_346_581, "fcn16s": 134_364_410, "fcn8s": 134_376_863}[name]


@pytest.mark.claim("S1-14", "S2-20")
def test_sizes_at_the_papers_size() -> None:
    """Row 3: a picture of 500 x 500 on the way through FCN-8s, each size by hand."""
    model = models.build("fcn8s", classes=21, initialise=False, **PAPER)
    assert isinstance(model, FCN8s)
    padded = 500 + 2 * 102  # the next multiple of 32 after 500 + 198
    pools = [352, 176, 88, 44, 22]
    scores = 22 - 6  # fc6: 7x7, valid
    doubled = [2 * 16 + 2, 2 * 34 + 2]  # a kernel of 4 reaches one beyond on each side
    final = 8 * 70 + 8
    assert [h for h, _ in model.level_sizes(500)] == [padded, *pools, scores, *doubled, final]
    assert model.output_size(500) == (500, 500)


@pytest.mark.claim("S1-09")
def test_features_have_torchvisions_numbers() -> None:
    """Weights of VGG16 from elsewhere fit by their names."""
    backbone = VGG(3, width=1)
    convolutions = [
        int(name.split(".")[1]) for name, _ in backbone.named_parameters() if name.endswith("weight")
    ]
    assert convolutions == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]


# ---------------------------------------------------------------------------------------------------------
# Any input size, and nothing shifts


@pytest.mark.claim("S0-10", "S1-14", "S2-17", "S2-20")
@pytest.mark.parametrize("padding", ["same", "paper"])
@pytest.mark.parametrize("name", NAMES)
def test_any_size_comes_back(name: str, padding: str) -> None:
    """Row 3: output_size holds for every size, and the forward agrees on some."""
    model = models.build(name, classes=2, padding=padding, **TINY)
    assert isinstance(model, FCN32s)
    for n in range(1, 300):
        assert model.output_size((n, 300 - n)) == (n, 300 - n)
        top, left = model.padding_for((n, 300 - n))
        assert (n + 2 * top) % 32 in (0, 31) and (300 - n + 2 * left) % 32 in (0, 31)
    model.eval()
    for size in [(64, 64), (65, 97), (95, 96), (127, 66)]:
        with no_grad():
            assert model(np.zeros((2, 3, *size), np.float32)).shape == (2, 2, *size)


@pytest.mark.parametrize("stepwise", [False, True])
@pytest.mark.parametrize("padding", ["same", "paper"])
@pytest.mark.parametrize("size", [(160, 160), (129, 154), (155, 191)])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_shifts(name: str, size: tuple[int, int], padding: str, stepwise: bool) -> None:
    """Rows 3 and 4: deepest scores that grow linearly across the picture come out as that straight line.

    A shift by one pixel would show as a difference of 1 / 32 here.
    """
    model = models.build(
        name, in_channels=1, classes=2, dtype="float64", padding=padding, stepwise=stepwise, **TINY
    )
    assert isinstance(model, FCN32s)
    top, left = model.padding_for(size)
    beyond = 3 if padding == "paper" else 0  # rows that fc6 takes off without padding

    def ramp(x: Tensor) -> Tensor:
        rows, columns = (np.arange(n - 2 * beyond) + beyond for n in x.shape[2:])
        # Cell i covers the padded picture's rows 32 i to 32 i + 31; its middle lies at 32 i + 15.5.
        vertical = (32 * rows[:, None] + 15.5 - top) + 0 * columns
        horizontal = (32 * columns + 15.5 - left) + 0 * rows[:, None]
        return Tensor(np.stack([vertical, horizontal])[None] / 32)

    model.coarse_scores = ramp  # type: ignore[method-assign]
    y = model(np.zeros((1, 1, *size))).data[0]
    rows, columns = np.arange(size[0]) / 32, np.arange(size[1]) / 32
    inside = slice(64, -64)  # where all four neighbouring scores exist at each doubling
    assert np.abs(y[0] - rows[:, None])[inside, inside].max() < 1e-12
    assert np.abs(y[1] - columns)[inside, inside].max() < 1e-12


@pytest.mark.claim("S0-25", "S1-20", "S2-24", "S4-67")
@pytest.mark.parametrize("padding", ["same", "paper"])
@pytest.mark.parametrize("size", [(128, 128), (99, 122), (130, 91)])
def test_skips_lie_where_the_picture_has_them(size: tuple[int, int], padding: str) -> None:
    """Row 3: a marker on one cell of pool4 or of pool3 comes out in the middle of the pixels that it stands for."""
    model = models.build("fcn8s", in_channels=1, classes=1, dtype="float64", padding=padding, **TINY)
    assert isinstance(model, FCN8s)
    top, left = model.padding_for(size)
    for skip, stride in (("score_pool4", 16), ("score_pool3", 8)):
        cell = (top + size[0] // 2) // stride, (left + size[1] // 2) // stride

        def mark(pool: Tensor, cell: tuple[int, int] = cell) -> Tensor:
            scores = np.zeros((1, 1, *pool.shape[2:]))
            scores[0, 0, *cell] = 1.0
            return Tensor(scores)

        kept = getattr(model, skip)
        setattr(model, skip, mark)
        y = model(np.zeros((1, 1, *size))).data[0, 0]
        setattr(model, skip, kept)
        weights = y / y.sum()
        centre = (weights.sum(1) @ np.arange(size[0]), weights.sum(0) @ np.arange(size[1]))
        expected = [stride * c + (stride - 1) / 2 - start for c, start in zip(cell, (top, left), strict=True)]
        assert np.abs(np.subtract(centre, expected)).max() < 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_papers_margin_keeps_constants_away_from_the_border(name: str) -> None:
    """Row 3: equal scores stay equal inside; at the border the enlargement mixes in nothing, and they shrink."""
    model = models.build(name, in_channels=1, classes=2, dtype="float64", stepwise=True, **TINY)
    assert isinstance(model, FCN32s)
    constant_scores(model, [1.0, -2.0])
    y = model(np.zeros((1, 1, 192, 192))).data[0]
    assert np.abs(y[0, 64:-64, 64:-64] - 1).max() < 1e-14 and np.abs(y[1, 64:-64, 64:-64] + 2).max() < 1e-14
    assert 0 < y[0, 0, 0] < 0.3
    assert (y.argmax(0) == 0).all()  # one factor for all classes: no label changes


# ---------------------------------------------------------------------------------------------------------
# Bilinear upsampling


@pytest.mark.claim("S1-15")
@pytest.mark.parametrize(("factor", "corner"), [(2, 0.5625), (8, 0.316), (32, 0.266)])
def test_bilinear_upsampling_is_interpolation_inside_only(factor: int, corner: float) -> None:
    """Rows 3 and 4: equal to half-pixel interpolation to 1e-15 inside; a map of ones sinks to these corners."""
    with nn.creating(dtype="float64"):
        upsampling = FixedUpsampling(1, factor, same=True)
    x = np.random.default_rng(0).uniform(-1, 1, (1, 1, 5, 6))
    found, expected = upsampling(x).data, functional.resize_bilinear(x, (5 * factor, 6 * factor)).data
    inside = slice(factor // 2, -(factor // 2))
    assert np.abs(found - expected)[..., inside, inside].max() <= 1e-15
    assert np.abs(found - expected).max() > 0.1
    assert upsampling(np.ones((1, 1, 5, 6))).data[0, 0, 0, 0] == pytest.approx(corner, abs=5e-4)


def test_two_then_two_then_eight_is_not_thirty_two() -> None:
    """Row 3: enlarging in steps gives other numbers than at once, but on straight lines."""
    steps = [FixedUpsampling(1, factor, same=True) for factor in (2, 2, 8)]
    once = FixedUpsampling(1, 32, same=True)
    for module in (*steps, once):
        module.weight.data = module.weight.data.astype(np.float64)

    def apart(x: np.ndarray) -> float:
        y = Tensor(x)
        for step in steps:
            y = step(y)
        return float(np.abs(y.data - once(x).data)[..., 64:-64, 64:-64].max())

    line = np.add.outer(np.arange(8.0), 3 * np.arange(8.0))[None, None]
    assert apart(line) < 1e-12
    assert apart(np.random.default_rng(0).uniform(-1, 1, (1, 1, 8, 8))) > 0.1


# ---------------------------------------------------------------------------------------------------------
# Skips and staged training


def trained_like(name: str, **options: object) -> nn.Module:
    """A model whose score layers aren't zero and whose running statistics have moved."""
    model = randomised(models.build(name, classes=3, dtype="float64", width=2, **options))
    model(np.random.default_rng(1).normal(size=(2, 3, 64, 64)))
    return model.eval()


@pytest.mark.parametrize("padding", ["same", "paper"])
def test_a_new_skip_starts_from_the_old_scores_exactly(padding: str) -> None:
    """Row 3, wish 8: FCN-16s starts as 2x then 16x of FCN-32s's scores, FCN-8s as 2x then 8x of FCN-16s's."""
    x = np.random.default_rng(2).normal(size=(1, 3, 70, 101))
    same = padding == "same"
    cut = 1 if same else 0
    doubling = init.bilinear((3, 3, 4, 4))
    with nn.creating(dtype="float64"):
        by_16, by_8 = FixedUpsampling(3, 16, same), FixedUpsampling(3, 8, same)

    coarse = trained_like("fcn32s", padding=padding)
    assert isinstance(coarse, FCN32s)
    finer = FCN16s.from_fcn32s(coarse)
    with no_grad():
        *_, pool5 = coarse.backbone(functional.pad2d(x, coarse.padding_for((70, 101))))
        scores = coarse.coarse_scores(pool5)
        scores = functional.conv_transpose2d(scores, doubling, stride=2, padding=cut)
        expected = functional.crop2d(by_16(scores), (70, 101))
        assert np.array_equal(finer(x).data, expected.data)

    randomised(finer)
    finest = FCN8s.from_fcn16s(finer)
    with no_grad():
        *_, pool4, pool5 = finer.backbone(functional.pad2d(x, finer.padding_for((70, 101))))
        scores = finer.upscore2(finer.coarse_scores(pool5))
        scores = scores + functional.crop2d(finer.score_pool4(pool4), scores.shape[2:])
        scores = functional.conv_transpose2d(scores, doubling, stride=2, padding=cut)
        expected = functional.crop2d(by_8(scores), (70, 101))
        assert np.array_equal(finest(x).data, expected.data)


@pytest.mark.parametrize("padding", ["same", "paper"])
def test_stepwise_a_new_skip_changes_no_bit(padding: str) -> None:
    """Row 3, wish 8: enlarged by 2, 2 and 8 from the beginning, the output is the same right after each step."""
    x = np.random.default_rng(2).normal(size=(1, 3, 70, 101))
    coarse = trained_like("fcn32s", padding=padding, stepwise=True)
    assert isinstance(coarse, FCN32s)
    rng = np.random.default_rng(3)
    coarse.upscore2.weight.data += 0.1 * rng.normal(size=(3, 3, 4, 4))  # what it has learned stays, too
    finer = FCN16s.from_fcn32s(coarse)
    finest = FCN8s.from_fcn16s(finer)
    with no_grad():
        before = coarse(x).data
        assert np.ptp(before) > 0.1
        assert np.array_equal(finer(x).data, before)
        assert np.array_equal(finest(x).data, before)


def test_without_stepwise_some_labels_change() -> None:
    """Row 3, wish 8: 32x at once and 2x then 16x differ; of random scores, the worst case, 6 % of the labels."""
    coarse = trained_like("fcn32s", padding="paper")
    assert isinstance(coarse, FCN32s)
    x = np.random.default_rng(2).normal(size=(1, 3, 160, 160))
    rng = np.random.default_rng(4)

    def random_scores(pool5: Tensor) -> Tensor:
        return Tensor(rng.normal(size=(1, 3, pool5.shape[2] - 6, pool5.shape[3] - 6)))

    finer = FCN16s.from_fcn32s(coarse)
    outputs = []
    for model in (coarse, finer):
        rng = np.random.default_rng(4)
        model.coarse_scores = random_scores  # type: ignore[method-assign]
        with no_grad():
            outputs.append(model(x).data)
    assert np.abs(outputs[0] - outputs[1]).max() > 0.01
    assert (outputs[0].argmax(1) != outputs[1].argmax(1)).mean() == pytest.approx(0.06, abs=0.005)


@pytest.mark.claim("S0-21", "S1-20", "S4-66")
def test_a_new_skip_learns_at_once() -> None:
    """Row 3: zero skip scores are no dead end; their gradient isn't zero."""
    model = FCN8s.from_fcn16s(FCN16s.from_fcn32s(trained_like("fcn32s")))  # type: ignore[arg-type]
    x = np.random.default_rng(2).normal(size=(1, 3, 64, 64))
    functional.softmax_cross_entropy(model(x), np.zeros((1, 64, 64), int)).backward()
    assert model.score_pool4.weight.grad.any() and model.score_pool3.weight.grad.any()
    assert model.upscore2.weight.grad.any() and model.upscore_pool4.weight.grad.any()


@pytest.mark.claim("S0-22")
def test_the_last_enlargement_is_frozen() -> None:
    """Row 3: it is saved with the model, but no optimiser sees it."""
    model = models.build("fcn8s", classes=2, **TINY)
    assert "upscore.weight" in model.state_dict()
    assert "upscore.weight" not in dict(model.named_parameters())
    before = model.state_dict()["upscore.weight"]
    optimiser = optim.SGD(model.parameters(), lr=1.0)
    functional.softmax_cross_entropy(
        model(np.ones((2, 3, 64, 64), np.float32)), np.ones((2, 64, 64), int)
    ).backward()
    optimiser.step()
    assert np.array_equal(model.state_dict()["upscore.weight"], before)


def test_staged_training_refuses_what_does_not_fit() -> None:
    """Wish 8: the stages come in their order."""
    with pytest.raises(TypeError, match=r"got a FCN32s; expected a trained FCN16s"):
        FCN8s.from_fcn16s(FCN32s(3, 2, width=1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="five levels"):
        FCN32s(3, 2, convolutions=(1, 1))
    with pytest.raises(ValueError, match="'same' or 'paper'"):
        FCN32s(3, 2, padding="valid")
    with pytest.raises(ValueError, match="'batch' or None"):
        FCN32s(3, 2, norm="group")


# ---------------------------------------------------------------------------------------------------------
# Dense layers as convolutions


@pytest.mark.claim("S1-09", "S1-13", "S2-16", "S4-11")
def test_dense_layers_become_fc6_and_fc7() -> None:
    """Row 2: VGG's dense layers on 224 x 224 and the 7x7 and 1x1 convolutions give one and the same score.

    The notes speak of 1x1 convolutions only; the first of them must be 7x7, because the map that it sees is.
    """
    rng = np.random.default_rng(0)
    with nn.creating(dtype="float64", seed=1):
        model = FCN32s(3, 5, width=1, fc_channels=6, norm=None, padding="paper").eval()
        dense = [nn.Linear(8 * 7 * 7, 6), nn.Linear(6, 6), nn.Linear(6, 5)]
    for layer in dense:
        layer.bias.data = rng.normal(size=layer.bias.shape)
    for layer, name, channels, size in zip(
        dense, ("fc6", "fc7", "score_fr"), (8, 6, 6), (7, 1, 1), strict=True
    ):
        convolution = getattr(model, name)
        weight, bias = dense_to_conv(layer.weight.data, layer.bias.data, channels, size)
        assert weight.shape == convolution.weight.shape
        convolution.weight.data, convolution.bias.data = weight, bias

    def classify(pool5: np.ndarray) -> np.ndarray:
        y = functional.relu(dense[0](flatten(Tensor(pool5))))
        scores: np.ndarray = dense[2](functional.relu(dense[1](y))).data
        return scores

    with no_grad():
        *_, pool5 = model.backbone(rng.normal(size=(1, 3, 224, 224)))
        assert pool5.shape == (1, 8, 7, 7)
        assert np.abs(model.coarse_scores(pool5).data[:, :, 0, 0] - classify(pool5.data)).max() < 1e-12
        larger = rng.normal(size=(1, 8, 9, 10))
        scores = model.coarse_scores(Tensor(larger)).data
        assert scores.shape == (1, 5, 3, 4)
        for i, j in np.ndindex(3, 4):
            window = np.ascontiguousarray(larger[:, :, i : i + 7, j : j + 7])
            assert np.abs(scores[:, :, i, j] - classify(window)).max() < 1e-12


@pytest.mark.claim("S2-21", "S2-22")
def test_a_pixels_label_is_its_largest_score() -> None:
    """Row 3: the notes' vector dog .45, cat .94, tree .02, pc .05, tiger .21 is a cat; it is no softmax."""
    labels = ["dog", "cat", "tree", "pc", "tiger"]
    scores = np.array([0.45, 0.94, 0.02, 0.05, 0.21]).reshape(1, 5, 1, 1)
    assert labels[int(scores.argmax(1)[0, 0, 0])] == "cat"
    assert scores.sum() == pytest.approx(1.67)
    probabilities = functional.softmax(scores).data
    assert probabilities.sum() == pytest.approx(1.0)
    assert (probabilities.argmax(1) == scores.argmax(1)).all()


# ---------------------------------------------------------------------------------------------------------
# PyTorch's numbers, gradients, and learning


@pytest.mark.parametrize(
    "name", [name for name in GOLDEN if "fcn8s" in name or "16s" in name or "32s" in name]
)
def test_same_as_pytorch(name: str, fast: str) -> None:
    """Row 3: scores, loss, gradients and running statistics of the twin in golden/make_fcn.py."""
    check_same_as_pytorch(GOLDEN[name], every=3, dropout=0.0)


@pytest.mark.parametrize(
    ("name", "norm", "fast"),
    [
        pytest.param("fcn32s", None, "numpy", marks=pytest.mark.slow),  # a kernel of 64 x 64, tap by tap
        ("fcn32s", None, "numba"),
        ("fcn16s", None, "numpy"),
        ("fcn16s", None, "numba"),
        ("fcn8s", "batch", "numpy"),
        ("fcn8s", "batch", "numba"),
    ],
    indirect=["fast"],
)
def test_gradients_of_the_whole_model(name: str, norm: str | None, fast: str) -> None:
    """Row 3: every parameter and the picture, against numerical derivatives."""
    model = models.build(
        name,
        in_channels=1,
        classes=2,
        dtype="float64",
        seed=3,
        norm=norm,
        dropout=0.0,
        **TINY,
    )
    randomised(model)
    x = Tensor(distinct_values((1, 1, 64, 64), gap=1e-3), requires_grad=True)
    check_gradients(lambda x, *_: model(x), x, *model.parameters(), step=1e-6, rtol=1e-5)


@pytest.mark.claim("S2-04", "S2-19")
@pytest.mark.parametrize(("name", "cell"), [("fcn32s", None), ("fcn16s", 32), ("fcn8s", 16)])
def test_learns_one_picture(name: str, cell: int | None) -> None:
    """Row 3: overfits one picture to a mean IoU of 1, with details twice as large as the finest scores."""
    rows, columns = np.indices((64, 64)) // (cell or 32)  # None: a left and a right half
    labels = ((rows + 2 * columns) % 3 if cell else columns)[None]
    model, picture = models.build(name, classes=3, width=4, dropout=0.0), coloured(labels, noise=0.1)
    learn_by_heart(lambda: model(picture), model, labels)
