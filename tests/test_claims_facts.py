"""Statements of the source documents that no other test shows; docs/claims has them, and the marks say which.

All of them run on small arrays and small models. What concerns kernels runs on each backend.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from model_checks import coloured, mean_iou

from minisegnet import Tensor, data, functional, models, nn, no_grad, ops, optim, sizes, viz
from minisegnet.cli import COMMANDS
from minisegnet.metrics import confusion_matrix
from minisegnet.models.fcn import FCN8s, FCN16s, FCN32s
from minisegnet.models.patch import dense_to_conv
from minisegnet.models.segnet import SegNet
from minisegnet.models.unet import UNet, UpAndAcross
from minisegnet.sizes import receptive_field

NETWORKS = [name for name in models.names() if name != "patch"]
LEAN: dict[str, Any] = {"width": 1, "fc_channels": 3, "convolutions": (1, 1, 1, 1, 1), "norm": None}


def random_weights(model: nn.Module) -> nn.Module:
    """Give every parameter a random value, also those that start at zero; positive, so that no ReLU cuts all off."""
    rng = np.random.default_rng(0)
    for parameter in model.parameters():
        parameter.data = rng.uniform(0, 0.5, parameter.shape).astype(parameter.dtype)
    return model.eval()


# ---------------------------------------------------------------------------------------------------------
# Labels, objects, and both


@pytest.mark.claim("S0-03", "S1-03", "S2-06", "S2-20", "S4-56")
@pytest.mark.parametrize("name", NETWORKS)
def test_every_pixel_gets_one_label(name: str) -> None:
    """A patch classifier gives one label for its window; these networks give one for each pixel."""
    pictures = np.random.default_rng(0).random((2, 3, 70, 81), dtype=np.float32)
    with no_grad():
        scores = random_weights(models.build(name, classes=4, width=2))(pictures).data
        window = models.build("patch", classes=4, width=2)(pictures[:, :, :21, :21]).data
    assert window.shape == (2, 4, 1, 1)
    assert scores.shape == (2, 4, 70, 81) and np.isfinite(scores).all()
    share_of_each_class = ops.softmax(scores)
    np.testing.assert_allclose(share_of_each_class.sum(axis=1), 1, rtol=1e-5)  # classes exclude each other


@pytest.mark.claim("S0-05", "S1-03")
def test_the_background_is_a_class_for_all_the_rest() -> None:
    for kind in ("shapes", "cells", "streets"):
        pictures = data.Synthetic(kind, count=4)
        for sample in pictures:
            assert sample.labels.max() < len(pictures.class_names)
    shapes = data.Synthetic("shapes", count=4)
    assert shapes.class_names[0] == "background"
    for sample in shapes:
        np.testing.assert_array_equal(sample.labels == 0, sample.instances == 0)
    with pytest.raises(ValueError, match=r"labels outside 0\.\.4: 5"):  # there is a fixed number of classes
        confusion_matrix(np.array([0, 5]), np.array([0, 0]), 5)


def touching_cars() -> tuple[np.ndarray, np.ndarray]:
    """Find a street in which two objects of one class touch: its labels, and its objects."""
    for sample in data.Synthetic("streets", count=32):
        labels, objects = sample.labels, sample.instances
        one, other = objects[:, :-1], objects[:, 1:]
        if ((one != other) & (one > 0) & (other > 0) & (labels[:, :-1] == labels[:, 1:])).any():
            return labels, objects
    raise AssertionError("no street has two objects of one class that touch")


@pytest.mark.claim("S0-04", "S0-33", "S1-04", "S1-05", "S1-06", "S2-08", "S4-56", "S4-75")
def test_semantic_labels_run_on_from_object_to_object() -> None:
    """Where two cars touch, the labels show no line, and the objects' numbers do; the ground has no number."""
    labels, objects = touching_cars()
    one, other = objects[:, :-1], objects[:, 1:]
    border = (one != other) & (one > 0) & (other > 0)
    assert (labels[:, :-1] == labels[:, 1:])[border].any()
    assert (objects == 0).any() and len(np.unique(objects)) > 2
    things = np.unique(labels[objects > 0])
    assert not np.isin(labels[objects == 0], things).any()  # every pixel of a car belongs to some car
    for sample in data.Synthetic("cells", count=4):  # all cells are one "cell", however many there are
        assert len(np.unique(sample.instances)) > 5
        assert np.unique(sample.labels[sample.instances > 0]).tolist() == [1]


@pytest.mark.claim("S1-07")
def test_a_panoptic_map_holds_both() -> None:
    labels, objects = touching_cars()
    panoptic = 1000 * labels.astype(np.int64) + objects
    np.testing.assert_array_equal(panoptic // 1000, labels)  # every pixel has a class
    np.testing.assert_array_equal(panoptic % 1000, objects)  # and objects are told apart
    assert len(np.unique(panoptic)) > len(np.unique(labels))


@pytest.mark.claim("S1-01")
def test_a_shape_says_more_than_its_box() -> None:
    """A disc and a square with the same bounding box: the boxes are equal, the masks aren't."""
    rows, columns = np.mgrid[:21, :21]
    square = (abs(rows - 10) <= 8) & (abs(columns - 10) <= 8)
    disc = (rows - 10) ** 2 + (columns - 10) ** 2 <= 64
    boxes = [
        [(place.min(), place.max()) for place in (np.flatnonzero(mask.any(axis)) for axis in (1, 0))]
        for mask in (square, disc)
    ]
    assert boxes[0] == boxes[1]
    assert 0.6 < (square & disc).sum() / (square | disc).sum() < 0.75


@pytest.mark.claim("S2-11")
def test_a_semantic_map_is_numbers_with_a_legend() -> None:
    names = ["nothing", "person", "purse", "plants", "sidewalk", "building"]
    palette = viz.default_palette(len(names))
    labels = np.array([[5, 5, 3, 3], [4, 1, 2, 4]])
    picture = viz.colourise(labels, palette)
    np.testing.assert_array_equal(picture, np.array(palette, np.uint8)[labels])
    figure = viz.overlay_with_legend(np.zeros((2, 4)), labels, palette, names)
    assert [text.get_text() for text in figure.texts] == names[1:]


@pytest.mark.claim("S2-38")
def test_the_commands_of_the_keras_guide_are_there() -> None:
    """Check a data set and show it, train, predict, evaluate; tests/test_own_pictures.py goes the whole way."""
    assert {"check-data", "train", "predict", "evaluate"} <= set(COMMANDS)


# ---------------------------------------------------------------------------------------------------------
# Dense layers and convolutions


@pytest.mark.claim("S0-08", "S1-25", "S2-17", "S4-58")
@pytest.mark.parametrize("name", NETWORKS)
def test_these_networks_have_no_dense_layer(name: str) -> None:
    modules = [module for _, module in models.build(name, classes=2, width=2).named_modules()]
    assert not [module for module in modules if isinstance(module, nn.Linear)]
    assert [module for module in modules if isinstance(module, nn.Conv2d)]


@pytest.mark.claim("S1-11", "S2-17")
def test_a_dense_layer_takes_one_size_only() -> None:
    rng = np.random.default_rng(0)
    dense = nn.Linear(8 * 7 * 7, 5)
    weight, bias = dense_to_conv(dense.weight.data, dense.bias.data, 8, 7)
    for H, W in ((7, 7), (9, 10), (20, 7)):
        maps = rng.random((1, 8, H, W), dtype=np.float32)
        assert ops.conv2d(maps, weight, bias).shape == (1, 5, H - 6, W - 6)
        if (H, W) == (7, 7):
            assert dense(maps.reshape(1, -1)).shape == (1, 5)
        else:
            with pytest.raises(ValueError):
                dense(maps.reshape(1, -1))


@pytest.mark.claim("S1-10", "S1-12", "S2-15")
def test_a_dense_layer_loses_places_and_a_convolution_keeps_them(backend: str) -> None:
    """Shuffle the pixels and the weights alike: a dense layer can't tell. A convolution's heatmap moves along."""
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(1, 144)), rng.normal(size=(3, 144))
    shuffled = rng.permutation(144)
    cat = rng.normal(size=(5, 5))
    with ops.use_backend(backend):
        dense = ops.linear(x, weight, None)
        assert dense.shape == (1, 3)  # classes, and no places
        np.testing.assert_allclose(ops.linear(x[:, shuffled], weight[:, shuffled], None), dense, atol=1e-12)
        for row, column in ((0, 0), (3, 6), (7, 2)):
            picture = np.zeros((1, 1, 12, 12))
            picture[0, 0, row : row + 5, column : column + 5] = cat
            heatmap = ops.conv2d(picture, cat[None, None])[0, 0]
            assert np.unravel_index(heatmap.argmax(), heatmap.shape) == (row, column)


# ---------------------------------------------------------------------------------------------------------
# FCN


@pytest.mark.claim("S2-18")
def test_as_many_heatmaps_as_classes() -> None:
    model = models.build("fcn8s", classes=21, **LEAN)
    assert isinstance(model, FCN8s)
    with no_grad():
        assert model(np.zeros((1, 3, 64, 64), np.float32)).shape == (1, 21, 64, 64)
    for scores in (model.score_fr, model.score_pool4, model.score_pool3):
        assert scores.weight.shape[0] == 21


@pytest.mark.claim("S0-10", "S0-22", "S1-20", "S1-21", "S1-22", "S1-23", "S2-20", "S2-23", "S2-24", "S4-59")
@pytest.mark.parametrize(
    ("name", "factors", "skips"),
    [
        ("fcn32s", [32], []),
        ("fcn16s", [2, 16], ["score_pool4"]),
        ("fcn8s", [2, 2, 8], ["score_pool4", "score_pool3"]),
    ],
)
def test_fcn_shrinks_by_32_and_enlarges_in_these_steps(
    name: str, factors: list[int], skips: list[str]
) -> None:
    model = models.build(name, classes=2, **LEAN)
    assert isinstance(model, FCN32s)
    H = [height for height, _ in model.level_sizes((256, 320))]
    assert H[:7] == [256, 128, 64, 32, 16, 8, 8]  # the picture, five poolings, the scores
    assert [after // before for before, after in pairwise(H[6:])] == factors
    with no_grad():  # and so in a real forward
        picture = np.zeros((1, 3, 256, 320), np.float32)
        pools = model.backbone(Tensor(picture))
        assert [maps.shape[2] for maps in pools] == H[1:6]
        assert model.coarse_scores(pools[-1]).shape == (1, 2, 8, 10)
        assert model.eval()(picture).shape == (1, 2, 256, 320)
    assert model.upscore.factor == factors[-1]
    names = [child for child, _ in model.named_children() if child.startswith("score_pool")]
    assert names == skips
    fourth, third = model.backbone.channels[3], model.backbone.channels[2]
    read = {"score_pool4": fourth, "score_pool3": third}
    assert [getattr(model, skip).weight.shape[1] for skip in skips] == [read[skip] for skip in skips]


@pytest.mark.claim("S0-24", "S1-19", "S1-20", "S2-23", "S2-25", "S4-69")
@pytest.mark.parametrize(("name", "stride"), [("fcn32s", 32), ("fcn16s", 16), ("fcn8s", 8)])
def test_scores_are_as_fine_as_the_stride(name: str, stride: int) -> None:
    """Along a row, the scores are straight lines that bend once in so many pixels: there is no finer detail."""
    model = random_weights(models.build(name, in_channels=1, classes=1, dtype="float64", **LEAN))
    with no_grad():
        row = model(np.random.default_rng(1).random((1, 1, 64, 384))).data[0, 0, 32]
    bend = np.abs(np.diff(row, n=2))[63:-63]  # 256 of them
    bends = np.flatnonzero(bend > 1e-9 * bend.max())
    assert len(set(bends % stride)) == 2  # on both sides of a place between two pixels
    assert len(bends) == 2 * 256 // stride


@pytest.mark.claim("S0-26", "S1-23", "S4-67")
def test_fcn8s_adds_up_three_results() -> None:
    """Deep scores, pool4's and pool3's, each upsampled: alone they sum to what they give together."""
    model = random_weights(models.build("fcn8s", in_channels=1, classes=2, dtype="float64", **LEAN))
    assert isinstance(model, FCN8s)
    scores = [model.score_fr, model.score_pool4, model.score_pool3]
    kept = [(layer.weight.data, layer.bias.data) for layer in scores]
    x = np.random.default_rng(1).random((1, 1, 96, 96))

    def result(*used: int) -> np.ndarray:
        for i, layer in enumerate(scores):
            layer.weight.data, layer.bias.data = (a if i in used else 0 * a for a in kept[i])
        with no_grad():
            return np.asarray(model(x).data)

    parts = [result(0), result(1), result(2)]
    assert min(np.ptp(part) for part in parts) > 0
    np.testing.assert_allclose(sum(parts), result(0, 1, 2), atol=1e-12)


@pytest.mark.claim("S0-24", "S0-27", "S1-19", "S2-24", "S2-25", "S4-69", "S4-70")
def test_more_skips_follow_finer_detail() -> None:
    """The same picture, squares of 8 pixels, and the same steps: each skip gets more of it right.

    All enlarge by 2, 2 and 8 and stay bilinear: layers that learn to enlarge can learn one picture by heart.
    """
    squares = np.random.default_rng(0).integers(0, 3, (1, 8, 8))  # no pattern that upsampling could repeat
    labels = squares.repeat(8, axis=1).repeat(8, axis=2)
    picture, reached = coloured(labels, noise=0.1), []
    for name in ("fcn32s", "fcn16s", "fcn8s"):
        model = models.build(
            name, classes=3, width=4, convolutions=(1, 1, 1, 1, 1), dropout=0.0, stepwise=True
        )
        learned = [p for key, p in model.named_parameters() if not key.startswith("upscore")]
        optimizer = optim.Adam(learned, lr=0.01)
        for _ in range(60):
            optimizer.zero_grad()
            functional.softmax_cross_entropy(model(picture), labels).backward()
            optimizer.step()
        with no_grad():
            reached.append(mean_iou(model.eval()(picture).data.argmax(1), labels))
    assert reached[0] + 0.05 < reached[1] and reached[1] + 0.2 < reached[2]  # measured: 0.29, 0.44, 0.91


@pytest.mark.claim("S0-23", "S1-28", "S4-68")
def test_receptive_fields_grow_with_depth() -> None:
    """Of VGG16's layers, and on the way down through U-Net: each sees at least as much, each level more."""
    for layers in (
        models.build("fcn32s", classes=2, **LEAN | {"convolutions": (2, 2, 3, 3, 3)}).backbone.layers(),  # type: ignore[attr-defined]
        models.build("unet", classes=2, depth=4, initialise=False).layers()[:14],  # type: ignore[attr-defined]
    ):
        seen = [receptive_field(layers[:n]).size[0] for n in range(1, len(layers) + 1)]
        assert all(before < after for before, after in pairwise(seen))


# ---------------------------------------------------------------------------------------------------------
# Making maps larger


@pytest.mark.claim("S1-16")
def test_bilinear_is_linear_on_one_axis_then_on_the_other(backend: str) -> None:
    """Against NumPy's interpolation of a line, at the places of half-pixel centres."""
    x = np.random.default_rng(0).normal(size=(4, 5))

    def stretch(line: np.ndarray, n: int) -> np.ndarray:
        places = (np.arange(n) + 0.5) * len(line) / n - 0.5
        return np.interp(places, np.arange(len(line)), line)

    rows = np.stack([stretch(line, 13) for line in x])
    expected = np.stack([stretch(line, 11) for line in rows.T]).T
    with ops.use_backend(backend):
        found = ops.resize_bilinear(x[None, None], (11, 13))[0, 0]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.claim("S1-16")
def test_old_values_stay_where_pixels_are_points_only(backend: str) -> None:
    """Three values made five, as points, keep their places; made six, as squares, the middle one is gone."""
    x = np.array([[[[0.0, 5.0, 10.0]]]])
    with ops.use_backend(backend):
        points = ops.resize_bilinear(x, (1, 5), align_corners=True).ravel()
        squares = ops.resize_bilinear(x, (1, 6)).ravel()
    np.testing.assert_allclose(points, [0, 2.5, 5, 7.5, 10], atol=1e-12)
    assert abs(squares - 5).min() > 1


@pytest.mark.claim("S1-17")
def test_a_transposed_convolution_brings_back_the_size_only(backend: str) -> None:
    """Two inputs with the same convolution: whatever is made of that, it can't be both of them."""
    w = np.random.default_rng(0).normal(size=(1, 1, 3, 3))
    with ops.use_backend(backend):
        columns = [ops.conv2d(one.reshape(1, 1, 7, 7), w, stride=2).ravel() for one in np.eye(49)]
        unseen = np.linalg.svd(np.array(columns).T)[2][-1]  # 9 outputs of 49 inputs: this one leaves no trace
        x = np.random.default_rng(1).normal(size=(1, 1, 7, 7))
        other = x + unseen.reshape(x.shape)
        small = ops.conv2d(x, w, stride=2)
        np.testing.assert_allclose(ops.conv2d(other, w, stride=2), small, atol=1e-12)
        back = ops.conv_transpose2d(small, w, stride=2)
        assert back.shape == x.shape
    assert abs(other - x).max() > 0.1
    assert min(abs(back - x).max(), abs(back - other).max()) > 0.1


@pytest.mark.claim("S0-28", "S0-29", "S4-71")
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_one_input_copies_the_filter_to_its_place(stride: int, backend: str) -> None:
    w = np.random.default_rng(0).normal(size=(1, 1, 3, 4))
    for row, column in np.ndindex(3, 2):
        x = np.zeros((1, 1, 3, 2))
        x[0, 0, row, column] = 2.5
        expected = np.zeros(((3 - 1) * stride + 3, (2 - 1) * stride + 4))
        expected[row * stride : row * stride + 3, column * stride : column * stride + 4] = 2.5 * w[0, 0]
        with ops.use_backend(backend):
            np.testing.assert_array_equal(ops.conv_transpose2d(x, w, stride=stride)[0, 0], expected)


@pytest.mark.claim("S0-30", "S4-72")
def test_where_copies_overlap_they_add(backend: str) -> None:
    """By hand: 1 2 / 3 4 with a 3x3 filter of ones and stride 2; all four copies meet in the middle."""
    x, w = np.array([[[[1.0, 2], [3, 4]]]]), np.ones((1, 1, 3, 3))
    with ops.use_backend(backend):
        y = ops.conv_transpose2d(x, w, stride=2)[0, 0]
    rows = [[1, 1, 3, 2, 2], [1, 1, 3, 2, 2], [4, 4, 10, 6, 6], [3, 3, 7, 4, 4], [3, 3, 7, 4, 4]]
    np.testing.assert_array_equal(y, rows)


@pytest.mark.claim("S0-31", "S4-73")
def test_its_forward_is_a_convolutions_backward_and_the_other_way_round(backend: str) -> None:
    rng = np.random.default_rng(0)
    x, w, dy = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(3, 2, 3, 3)), rng.normal(size=(2, 2, 9, 11))
    options = {"stride": 2, "padding": 0}
    with ops.use_backend(backend):
        dx, _, _ = ops.conv2d_backward(x, dy, w, **options)  # dy stands for the input, x for the gradient
        np.testing.assert_allclose(ops.conv_transpose2d(x, w, **options), dx, atol=1e-12)
        dx, _, _ = ops.conv_transpose2d_backward(dy, x, w, **options)
        np.testing.assert_allclose(ops.conv2d(dy, w, None, **options), dx, atol=1e-12)


# ---------------------------------------------------------------------------------------------------------
# SegNet, DeconvNet and U-Net


def zeros_below(model: nn.Module) -> None:
    """Replace what comes up from the lowest maps by zeros; whatever is left has gone across."""
    if isinstance(model, SegNet):
        unpool = model.unpool.forward
        model.unpool.forward = lambda x, *place: unpool(x * 0.0, *place)  # type: ignore[method-assign]
    elif isinstance(model, UNet):
        bottom = model.bottom.forward
        model.bottom.forward = lambda x: bottom(x) * 0.0  # type: ignore[method-assign]
    elif isinstance(model, FCN16s):
        coarse = model.coarse_scores
        model.coarse_scores = lambda pool5: coarse(pool5) * 0.0  # type: ignore[method-assign]


@pytest.mark.claim("S1-25", "S2-27", "S2-34", "S3-05")
@pytest.mark.parametrize(
    ("name", "crosses"),
    [("segnet", False), ("segnet-basic", False), ("unet", True), ("fcn16s", True), ("fcn8s", True)],
)
def test_what_goes_across_by_itself(name: str, crosses: bool) -> None:
    """With nothing from below, two pictures give the same scores if no map goes across, and others if one does."""
    model = random_weights(models.build(name, in_channels=1, classes=2, width=2, dtype="float64"))
    pictures = np.random.default_rng(1).random((2, 1, 64, 64))
    with no_grad():
        one, other = model(pictures).data
        assert abs(one - other).max() > 1e-6
        zeros_below(model)
        one, other = model(pictures).data
    assert bool(abs(one - other).max() > 1e-6) == crosses


@pytest.mark.claim("S0-21", "S2-28", "S4-66")
def test_only_fcns_upsampling_is_learned() -> None:
    """SegNet's unpooling has no weights, and no convolution of its decoder makes a map larger."""
    segnet = models.build("segnet", classes=2, width=2)
    assert isinstance(segnet, SegNet)
    assert segnet.unpool.parameter_count() == 0
    for _, module in segnet.decoder.named_modules():
        assert not isinstance(module, nn.ConvTranspose2d)
        if isinstance(module, nn.Conv2d):
            assert module.stride in (1, (1, 1)) and sizes.conv2d_size(9, 3, padding=1) == (9, 9)
    names = dict(models.build("fcn8s", classes=2, **LEAN).named_parameters())
    assert {"upscore2.weight", "upscore_pool4.weight"} <= set(names)


@pytest.mark.claim("S3-03", "S3-04")
def test_deconvnets_transposed_convolutions_keep_the_size() -> None:
    """What makes its maps larger above the waist is the unpooling."""
    model = models.build("deconvnet", in_channels=1, classes=2, width=2)
    grown: list[tuple[Any, Any]] = []
    for level in model.decoder:  # type: ignore[attr-defined]
        for module in level:
            if isinstance(module, nn.ConvTranspose2d):
                forward = module.forward
                module.forward = lambda x, f=forward: grown.append((x.shape[2:], f(x).shape[2:])) or f(x)  # type: ignore[method-assign]
    with no_grad():
        model.eval()(np.zeros((1, 1, 64, 64), np.float32))
    assert [before for before, _ in grown] == [(16, 16)] * 2 + [(32, 32)] * 2 + [(64, 64)] * 2
    assert all(before == after for before, after in grown)


@pytest.mark.claim("S2-35", "S3-33")
def test_unet_hands_each_levels_whole_map_across(monkeypatch: pytest.MonkeyPatch) -> None:
    """The very output of each encoder level arrives at its partner, and is convolved beside what comes up."""
    model = models.build("unet", in_channels=1, classes=2, width=2, depth=3)
    assert isinstance(model, UNet)
    made, given = [], []
    for level in model.encoder:
        forward = level.forward
        level.forward = lambda x, f=forward: made.append(f(x)) or made[-1]  # type: ignore[method-assign]
    across = UpAndAcross.forward
    monkeypatch.setattr(
        UpAndAcross, "forward", lambda self, skip, x: given.append(skip) or across(self, skip, x)
    )
    with no_grad():
        model.eval()(np.zeros((1, 1, 64, 64), np.float32))
    assert len(made) == len(given) == 3
    assert all(one is other for one, other in zip(made, given[::-1], strict=True))
    for level, skip in zip(model.decoder, given, strict=True):
        first = level.convolutions[0]
        assert first.weight.shape[1] == 2 * skip.shape[1]  # as many channels from below as from across


@pytest.mark.claim("S1-29", "S2-32")
def test_unet_sees_both_near_and_far() -> None:
    """Across, a score depends on 9 pixels; from below, on all that the receptive field says."""
    seen = {}
    for path in ("across", "below"):
        model = models.build("unet", in_channels=1, classes=1, width=1, depth=3, norm=None, dtype="float64")
        assert isinstance(model, UNet)
        for parameter in model.parameters():  # nothing is cut off or cancels out
            parameter.data = np.abs(parameter.data) + 0.1
        top = model.decoder[-1]
        C = model.width
        blocked = slice(C, None) if path == "across" else slice(0, C)  # what comes up stands behind the skip
        top.convolutions[0].weight.data[:, blocked] = 0
        x = Tensor(np.ones((1, 1, 128, 128)), requires_grad=True)
        dy = np.zeros((1, 1, 128, 128))
        dy[0, 0, 64, 64] = 1
        model(x).backward(dy)
        rows = np.flatnonzero(x.grad[0, 0].any(axis=1))
        seen[path] = int(rows[-1] - rows[0] + 1)
    assert seen["across"] == 9  # four 3x3 convolutions
    assert seen["below"] > 60


@pytest.mark.claim("S3-34")
def test_unet_is_larger_than_segnet() -> None:
    """At the papers' sizes, both with 3 channels in and 11 classes."""
    unet = models.build("unet", classes=11, width=64, padding="valid", initialise=False)
    segnet = models.build("segnet", classes=11, width=64, convolutions=(2, 2, 3, 3, 3), initialise=False)
    assert unet.parameter_count() / segnet.parameter_count() == pytest.approx(1.05, abs=0.005)


# ---------------------------------------------------------------------------------------------------------
# Parts of systems that aren't whole yet


@pytest.mark.claim("S3-14")
def test_squeezing_is_the_mean_of_each_channel(backend: str) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    shuffled = x.reshape(2, 3, 20)[:, :, np.random.default_rng(1).permutation(20)].reshape(x.shape)
    with ops.use_backend(backend):
        y = ops.global_avg_pool2d(x)
        np.testing.assert_allclose(ops.global_avg_pool2d(shuffled), y, atol=1e-15)
    assert y.shape == (2, 3, 1, 1)
    np.testing.assert_allclose(y[:, :, 0, 0], x.mean(axis=(2, 3)), atol=1e-15)


@pytest.mark.claim("S3-21", "S3-22")
def test_rates_choose_the_resolution(backend: str) -> None:
    """Rate 1 is the plain convolution. Without a stride of 2 and with rate 2, the same values, on a denser map."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(1, 2, 14, 16)), rng.normal(size=(3, 2, 3, 3))
    with ops.use_backend(backend):
        np.testing.assert_array_equal(ops.conv2d(x, w, dilation=1), ops.conv2d(x, w))
        coarse = ops.conv2d(np.ascontiguousarray(x[:, :, ::2, ::2]), w)
        dense = ops.conv2d(x, w, dilation=2)
    assert dense.size > 3 * coarse.size
    np.testing.assert_allclose(dense[:, :, ::2, ::2], coarse, atol=1e-12)


@pytest.mark.claim("S3-23")
def test_a_separable_convolution_is_a_cheap_dense_one(backend: str) -> None:
    """One filter for each channel, then 1x1: a dense convolution whose kernel is their product."""
    rng = np.random.default_rng(0)
    x, depthwise, pointwise = (rng.normal(size=s) for s in ((1, 4, 7, 8), (4, 1, 3, 3), (6, 4, 1, 1)))
    with ops.use_backend(backend):
        separable = ops.conv2d(ops.conv2d(x, depthwise, groups=4), pointwise)
        dense = ops.conv2d(x, pointwise * depthwise[None, :, 0])
    np.testing.assert_allclose(separable, dense, atol=1e-12)
    N, k = 256, 3  # multiplications at each place, for N channels in and out
    assert (N * k**2 + N * N) / (N * N * k**2) == pytest.approx(1 / N + 1 / k**2)
    assert 1 / N + 1 / k**2 == pytest.approx(0.115, abs=5e-4)


def pyramid(maps: np.ndarray) -> np.ndarray:
    """Spatial pyramid pooling: maxima of 4x4, 2x2 and 1x1 parts, in a row."""
    parts = [ops.adaptive_max_pool2d(maps, n)[0].reshape(len(maps), -1) for n in (4, 2, 1)]
    return np.asarray(ops.concat(parts))


@pytest.mark.claim("S4-37")
def test_a_pyramid_of_maxima_has_one_length_for_all_sizes(backend: str) -> None:
    rng = np.random.default_rng(0)
    with ops.use_backend(backend):
        for size in ((4, 4), (5, 9), (13, 7)):
            assert pyramid(rng.normal(size=(2, 3, *size))).shape == (2, 21 * 3)
        assert pyramid(np.zeros((1, 256, 6, 6))).shape == (1, 5376)
        maps = rng.normal(size=(1, 1, 8, 12))
        found = pyramid(maps)
    plane = maps[0, 0]
    expected = [
        plane[i * 8 // n : (i + 1) * 8 // n, j * 12 // n : (j + 1) * 12 // n].max()
        for n in (4, 2, 1)
        for i, j in np.ndindex(n, n)
    ]
    np.testing.assert_array_equal(found[0], expected)


@pytest.mark.claim("S4-38", "S4-39")
def test_a_region_is_projected_split_and_its_maxima_taken(backend: str) -> None:
    """A region of the picture, 16 pixels to a place of the map, split by a grid of 2x3; any region, one size."""
    maps = np.random.default_rng(0).normal(size=(1, 2, 10, 12))
    regions = np.array([[0.0, 32, 16, 112, 79], [0.0, 0, 0, 176, 144], [0.0, 48, 64, 80, 80]])
    with ops.use_backend(backend):
        y, _ = ops.roi_pool(maps, regions, (2, 3), spatial_scale=1 / 16)
    assert y.shape == (3, 2, 2, 3)
    part = maps[0, :, 1:6, 2:8]  # rows 1 to round(79/16) = 5, columns 2 to 7
    rows, columns = ((0, 3), (2, 5)), ((0, 2), (2, 4), (4, 6))  # 5 rows in 2: the middle one belongs to both
    for (i, (top, bottom)), (j, (left, right)) in (
        (a, b) for a in enumerate(rows) for b in enumerate(columns)
    ):
        np.testing.assert_array_equal(y[0, :, i, j], part[:, top:bottom, left:right].max(axis=(1, 2)))


@pytest.mark.claim("S4-45")
def test_a_padded_3x3_convolution_keeps_the_size(backend: str) -> None:
    w = np.ones((4, 2, 3, 3))
    with ops.use_backend(backend):
        for size in ((1, 1), (5, 8), (40, 60)):
            assert ops.conv2d(np.ones((1, 2, *size)), w, padding=1).shape == (1, 4, *size)
            if min(size) > 2:
                assert ops.conv2d(np.ones((1, 2, *size)), w).shape == (1, 4, size[0] - 2, size[1] - 2)
