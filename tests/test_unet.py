"""U-Net: SYSTEMS.md row 9, and what issue 3 asks of every model."""

from typing import Any

import numpy as np
import pytest
from golden_cases import Arrays, Case, read
from model_checks import coloured, disc_and_bar, learn_by_heart

from minisegnet import Tensor, functional, models, nn, no_grad, optim
from minisegnet.models.unet import UNet, crop_mirrored, mirror_to_multiple
from minisegnet.sizes import chain_size, conv2d_size, input_range, pool2d_size, receptive_field
from minisegnet.testing import check_gradients, distinct_values


def build(in_channels: int = 3, classes: int = 2, **options: Any) -> UNet:
    model = models.build("unet", in_channels=in_channels, classes=classes, **options)
    assert isinstance(model, UNet)
    return model


def paper(**options: Any) -> UNet:
    return build(1, 2, width=64, depth=4, padding="valid", initialise=False, **options)


# ---------------------------------------------------------------------------------------------------------
# The paper's network


@pytest.mark.claim("S1-26", "S1-30", "S1-31")
def test_sizes_on_the_way_are_the_papers() -> None:
    """Row 9: 572, 568, 280, 136, 64 on the way down, 28 at the bottom, 388 at the end."""
    model = paper()
    layers = model.layers()
    sizes = [chain_size(layers[:n], 572)[0] for n in range(1, len(layers) + 1)]
    down = [570, 568, 284, 282, 280, 140, 138, 136, 68, 66, 64, 32]
    up = [56, 54, 52, 104, 102, 100, 200, 198, 196, 392, 390, 388]
    assert sizes == [*down, 30, 28, *up, 388]
    assert model.output_size(572) == (388, 388)


@pytest.mark.claim("S1-26", "S1-27", "S1-30", "S1-31", "S2-33")
def test_maps_of_a_real_forward_have_these_sizes() -> None:
    """Row 9: the sizes of the maps themselves, at the paper's size with one channel a level and more."""
    model = build(1, 2, width=1, padding="valid").eval()
    seen = []
    for block in [*model.encoder, model.bottom, *model.decoder]:
        forward = block.forward
        block.forward = lambda *x, forward=forward: seen.append(forward(*x)) or seen[-1]
    with no_grad():
        y = model(np.zeros((1, 1, 572, 572), np.float32))
    assert [map.shape[2] for map in seen] == [568, 280, 136, 64, 28, 52, 100, 196, 388]
    assert [map.shape[1] for map in seen] == [1, 2, 4, 8, 16, 8, 4, 2, 1]
    assert y.shape == (1, 2, 388, 388)


@pytest.mark.claim("S1-31")
def test_parameters_and_convolutions_are_the_papers() -> None:
    """Row 9: 31,030,658 parameters for one channel in and 2 classes, 23 convolutions, no normalisation."""
    model = paper()
    kinds = [type(module) for _, module in model.named_modules()]
    assert model.parameter_count() == 31_030_658
    assert kinds.count(nn.Conv2d) + kinds.count(nn.ConvTranspose2d) == 23
    assert (kinds.count(nn.Conv2d), kinds.count(nn.ConvTranspose2d)) == (19, 4)
    assert kinds.count(nn.BatchNorm2d) == 0
    up = [level.up.weight.shape for level in model.decoder]
    assert up == [(1024, 512, 2, 2), (512, 256, 2, 2), (256, 128, 2, 2), (128, 64, 2, 2)]


def test_valid_sizes_fit_exactly_where_the_maps_do() -> None:
    """Row 9: n is 12 more than a multiple of 16 and at least 188, and loses 184; other depths by brute force."""

    def walk(n: int, depth: int) -> int | None:
        """Size of the result, or None where a map to be pooled is odd or too small."""
        try:
            n = conv2d_size(conv2d_size(n, 3), 3)[0]
            if depth:
                if n % 2:
                    return None
                below = walk(pool2d_size(n, 2)[0], depth - 1)
                n = conv2d_size(conv2d_size(2 * below, 3), 3)[0] if below else 0
            return n or None
        except ValueError:
            return None

    for depth in range(1, 6):
        model = build(1, 2, width=1, depth=depth, padding="valid", initialise=False)
        for n in range(1, 500):
            result = walk(n, depth)
            if depth == 4:
                assert (result is not None) == (n % 16 == 12 and n >= 188)
                assert result in (None, n - 184)
            if result is None:
                with pytest.raises(ValueError, match="does not fit a U-Net"):
                    model.output_size(n)
            else:
                assert model.output_size(n) == (result, result)
                assert n - result == 2 * model.halo


def test_error_names_the_sizes_that_fit() -> None:
    """Row 9: the sizes that fit are computed and named in the error."""
    model = build(1, 2, padding="valid", width=1)
    with pytest.raises(ValueError, match=r"12 more than a multiple of 16 and at least 188.*: 556 or 572\."):
        model(np.zeros((1, 1, 572, 570), np.float32))
    with pytest.raises(ValueError, match=r"\(64, 572\).*axis H is 64, the nearest that fit: 188\."):
        model.output_size((64, 572))


def test_input_size_for_is_the_smallest() -> None:
    """Row 9: the input for a wanted output."""
    model = paper()
    assert model.input_size_for(388) == (572, 572)
    assert model.input_size_for((1, 389)) == (188, 588)
    assert build(initialise=False).input_size_for((97, 131)) == (97, 131)
    for depth in (1, 2, 3):
        small = build(1, 2, width=1, depth=depth, padding="valid", initialise=False)
        for wanted in range(1, 50):
            n, _ = small.input_size_for(wanted)
            assert small.output_size(n)[0] >= wanted
            with pytest.raises(ValueError):  # one grid less either doesn't fit or gives too little
                assert small.output_size(n - small.grid)[0] < wanted
                raise ValueError("too little")


def test_dropout_stands_at_the_end_of_the_contracting_path() -> None:
    """Row 9: dropout at the bottom."""
    names = [name for name, m in paper(dropout=0.5).named_modules() if isinstance(m, nn.Dropout)]
    assert names == ["encoder.3.4", "bottom.4"]
    assert not [m for _, m in paper().named_modules() if isinstance(m, nn.Dropout)]
    model = build(width=2, depth=2, dropout=0.5)
    x = np.ones((1, 3, 8, 8), np.float32)
    assert not np.array_equal(model(x).data, model(x).data)
    model.eval()
    assert np.array_equal(model(x).data, model(x).data)


# ---------------------------------------------------------------------------------------------------------
# The variant with same padding


def test_parameters_of_the_small_default() -> None:
    """Row 9 and issue 3: 1.94 M parameters at width 16 and depth 4, counted by hand."""

    def twice(before: int, after: int) -> int:  # 3x3 without bias, and a scale and a shift each
        return 9 * before * after + 9 * after * after + 4 * after

    down = twice(3, 16) + twice(16, 32) + twice(32, 64) + twice(64, 128)  # 2800 + 13952 + 55552 + 221696
    bottom = twice(128, 256)  # 885760
    up = sum(2 * c * c * 4 + c + twice(2 * c, c) for c in (128, 64, 32, 16))  # 574080 + 143680 + 36000 + 9040
    head = 16 * 21 + 21
    model = build(3, 21, initialise=False)
    assert down + bottom + up + head == 1_942_917
    assert model.parameter_count() == 1_942_917
    assert (model.width, model.depth, model.norm, model.padding) == (16, 4, "batch", "same")


def test_parameters_come_in_forward_order() -> None:
    """Issue 3: layer order and names are PyTorch's."""
    names = [name for name, _ in build(depth=1, width=2).named_parameters()]

    def block(prefix: str) -> list[str]:
        return [
            prefix + part for part in ("0.weight", "1.weight", "1.bias", "3.weight", "4.weight", "4.bias")
        ]

    up = ["decoder.0.up.weight", "decoder.0.up.bias"]
    head = ["head.weight", "head.bias"]
    assert names == block("encoder.0.") + block("bottom.") + up + block("decoder.0.convolutions.") + head
    names = [name for name, _ in build(depth=1, width=2, norm=None).named_parameters()]
    assert names[:4] == ["encoder.0.0.weight", "encoder.0.0.bias", "encoder.0.2.weight", "encoder.0.2.bias"]


@pytest.mark.parametrize("size", [(64, 64), (97, 131), (65, 80), (70, 64)])
def test_any_size_comes_back(size: tuple[int, int]) -> None:
    """Issue 3: same padding returns the input's size, from 64 x 64 up."""
    model = build(width=2)
    seen = []
    model.encoder[0].forward, forward = (
        (lambda x: seen.append(x.shape[2:]) or forward(x)),
        model.encoder[0].forward,
    )
    assert model(np.ones((2, 3, *size), np.float32)).shape == (2, 2, *size)
    assert model.output_size(size) == size
    assert seen == [tuple(-(-n // 16) * 16 for n in size)]  # 97 x 131 becomes 112 x 144


def test_odd_size_is_the_mirrored_picture_cropped_back() -> None:
    """Row 9: 97 x 131 is mirrored to 112 x 144 and the scores are those at the picture's own place."""
    model = build(width=2).eval()
    x = np.random.default_rng(0).normal(size=(1, 3, 97, 131)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (0, 0), (8, 7), (7, 6)), mode="reflect")
    assert padded.shape == (1, 3, 112, 144)
    with no_grad():
        assert np.array_equal(model(x).data, model(padded).data[:, :, 8 : 8 + 97, 7 : 7 + 131])


@pytest.mark.parametrize("size", [(6, 6), (6, 7), (7, 9), (8, 8), (9, 12), (13, 11)])
def test_cropping_undoes_mirroring(size: tuple[int, int], fast: str) -> None:
    """Row 9: what crosses the network unchanged comes back in its place, and so do its gradients."""
    x = Tensor(distinct_values((1, 2, *size)), requires_grad=True)
    mirrored = mirror_to_multiple(x, 8)
    assert mirrored.shape[2] % 8 == mirrored.shape[3] % 8 == 0
    y = crop_mirrored(mirrored, size)
    assert np.array_equal(y.data, x.data)
    y.backward(x.data)
    assert np.array_equal(x.grad, x.data)


def test_smallest_size_of_same_padding() -> None:
    """Row 9: below it there is too little to mirror, and the error says so."""
    model = build(width=1)
    assert model.smallest_size == 6
    model.eval()
    model(np.ones((1, 3, 6, 6), np.float32))
    with pytest.raises(ValueError, match=r"\(5, 64\) is too small.*at least 6"):
        model(np.ones((1, 3, 5, 64), np.float32))


# ---------------------------------------------------------------------------------------------------------
# What an output pixel sees


@pytest.mark.claim("S1-28", "S4-68")
@pytest.mark.parametrize("depth", [1, 2])
def test_receptive_field_is_what_a_change_reaches(depth: int, fast: str) -> None:
    """Rows 6 and 9: change one pixel; the scores that change are those whose receptive field holds it."""
    model = build(1, 1, width=1, depth=depth, padding="valid", dtype="float64")
    for parameter in model.parameters():  # nothing is cut off or cancels out
        parameter.data = np.abs(parameter.data) + 0.1
    n = model.smallest_size + 2 * model.grid
    OH, _ = model.output_size(n)
    layers = model.layers()
    ranges = [input_range(layers, i) for i in range(OH)]
    column = receptive_field(layers).size[0] // 2
    reached = [[] for _ in range(OH)]
    with no_grad():
        before = model(np.ones((1, 1, n, n))).data[0, 0]
        for row in range(n):
            x = np.ones((1, 1, n, n))
            x[0, 0, row, column] = 1e6
            changed = np.any(model(x).data[0, 0] != before, axis=1)
            for i in np.flatnonzero(changed):
                reached[i].append(row)
    assert [(rows[0], rows[-1]) for rows in reached] == ranges
    assert max(last - first + 1 for first, last in ranges) == receptive_field(layers).size[0]
    assert min(ranges)[0] == 0 and max(ranges)[1] == n - 1


@pytest.mark.claim("S1-28")
def test_what_the_papers_network_sees() -> None:
    """Rows 6, 9 and 10: a score sees 188 or 204 pixels, up to 107 to a side; all scores of 572 stay inside the 572."""
    layers = paper().layers()
    ranges = [input_range(layers, i) for i in range(388)]
    assert {last - first + 1 for first, last in ranges} == {188, 204}
    assert receptive_field(layers).size == (204, 204)
    assert max(i + 92 - first for i, (first, _) in enumerate(ranges)) == 107
    assert max(last - (i + 92) for i, (_, last) in enumerate(ranges)) == 107
    assert (ranges[0][0], ranges[-1][1]) == (0, 571)


# ---------------------------------------------------------------------------------------------------------
# Gradients and learning


@pytest.mark.parametrize(
    "options",
    [
        {"padding": "same"},
        {"padding": "same", "norm": None},
        {"padding": "valid"},
        {"padding": "valid", "norm": "batch"},
    ],
    ids=["same", "same-bias", "valid", "valid-norm"],
)
def test_gradients_of_the_whole_model(options: dict[str, Any], fast: str) -> None:
    """Issue 3: random projection in float64, with respect to the picture and all parameters."""
    depth = 2 if options["padding"] == "same" else 1
    model = build(2, 3, width=2, depth=depth, dtype="float64", seed=1, **options)
    size = (7, 9) if options["padding"] == "same" else model.input_size_for(2)
    x = Tensor(distinct_values((2, 2, *size), gap=0.01), requires_grad=True)
    check_gradients(lambda x, *_: model(x), x, *model.parameters(), step=1e-6, rtol=1e-5, atol=1e-7)


@pytest.mark.claim("S2-04")
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_overfits_one_picture(padding: str, fast: str) -> None:
    """Issue 3: a disc and a bar in noise, mean IoU 1.0 within seconds."""
    depth = 2 if padding == "same" else 1  # so that numpy, too, needs no more than seconds
    model = build(3, 3, width=8, depth=depth, padding=padding, seed=2)
    labels = disc_and_bar(32)
    margin = model.halo
    outside = [(margin, length - 32 - margin) for length in model.input_size_for(32)]
    x = np.pad(coloured(labels, noise=0.2), ((0, 0), (0, 0), *outside), mode="reflect")
    learn_by_heart(lambda: functional.crop2d(model(x), 32), model, labels, limit=120)


# ---------------------------------------------------------------------------------------------------------
# PyTorch's numbers


GOLDEN = list(read("models/unet").values())  # made by golden/make_unet.py
ONCE = [case for case in GOLDEN if case.op == "unet"]
TRAINING = [case for case in GOLDEN if case.op == "unet_training"]


def starting_from(inputs: Arrays, options: dict[str, Any]) -> UNet:
    model = build(dtype="float64", initialise=False, **options)
    model.load_state_dict({k.removeprefix("state."): a for k, a in inputs.items() if k.startswith("state.")})
    return model


@pytest.mark.parametrize("case", ONCE, ids=lambda case: case.kwargs["padding"])
def test_outputs_and_gradients_are_pytorchs(case: Case, fast: str) -> None:
    """Issue 3: a model with PyTorch's weights gives PyTorch's outputs, loss, gradients and running statistics."""
    inputs, expected = case.inputs, case.expected
    model = starting_from(inputs, case.kwargs)
    x = Tensor(inputs["x"], requires_grad=True)
    y = model(x)
    loss = functional.softmax_cross_entropy(y, inputs["target"])
    loss.backward()
    found = {"y": y.data, "loss": loss.data, "grad.x": x.grad}
    found |= {f"grad.{name}": parameter.grad for name, parameter in model.named_parameters()}
    found |= {f"after.{name}": buffer.data for name, buffer in model.named_buffers()}
    assert sorted(found) == sorted(expected)
    for name, a in expected.items():
        np.testing.assert_allclose(found[name], a, rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("case", TRAINING, ids=lambda case: case.line["optimiser"])
def test_training_follows_pytorchs_losses(case: Case, fast: str) -> None:
    """Issue 3: same initial weights, batches and optimiser: the same losses to 1e-9 over eight steps."""
    inputs, expected = case.inputs, case.expected
    model = starting_from(inputs, case.kwargs)
    optimiser = getattr(optim, case.line["optimiser"])(model.parameters(), **case.line["settings"])
    losses = []
    for step in range(len(expected["losses"])):
        x, target = (inputs[name][step % len(inputs["x"])] for name in ("x", "target"))
        optimiser.zero_grad()
        loss = functional.softmax_cross_entropy(model(x), target)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert len(losses) == 8
    np.testing.assert_allclose(losses, expected["losses"], rtol=0, atol=1e-9)
    state = model.state_dict()
    for name, a in expected.items():
        if name.startswith("after."):
            np.testing.assert_allclose(state[name.removeprefix("after.")], a, rtol=0, atol=1e-9, err_msg=name)


# ---------------------------------------------------------------------------------------------------------
# Errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding": "full"}, "padding is 'full'; expected 'same' or 'valid'"),
        ({"norm": "layer"}, "norm is 'layer'; expected 'batch' or None"),
        ({"depth": 0}, "depth is 0; expected an integer of at least 1"),
        ({"dropout": 1.5}, "p is 1.5; expected a probability"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    """Row 9: every bad argument says what came and what was expected."""
    with pytest.raises(ValueError, match=message):
        build(**options)
