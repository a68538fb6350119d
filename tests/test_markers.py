"""Nothing is shifted: bright pixels come out where they went in, through every model, at any size, in tiles or not.

The weights are set by hand so that a model says "bright" of bright pixels and of nothing else: in each layer the centre
of the kernel passes the first channel on. FCN can't say it of single pixels; there what it says must lie around the
centre of the marker's block of 32 pixels.
"""

from typing import Any

import numpy as np
import pytest

from minisegnet import models, nn
from minisegnet.blending import tiling
from minisegnet.data import Normalisation
from minisegnet.models.fcn import FCN32s
from minisegnet.predictor import Predictor

UNETS: list[tuple[str, dict[str, Any]]] = [
    ("unet", {"depth": 2}),
    ("unet", {"depth": 4}),
    ("unet", {"depth": 2, "padding": "valid"}),
    ("unet", {"depth": 3, "padding": "valid"}),
]
UNPOOLING: list[tuple[str, dict[str, Any]]] = [
    ("segnet", {}),
    ("segnet-basic", {}),
    ("deconvnet", {"waist_width": 9}),
]
FCNS = ["fcn32s", "fcn16s", "fcn8s"]
SIZES = [(97, 131), (64, 64), (33, 40), (1, 90), (75, 1), (1, 1), (63, 190)]


def predictor(name: str, options: dict[str, Any]) -> Predictor:
    """Make a predictor of a model that passes brightness on, and calls it class 1 above a half."""
    model = models.build(name, in_channels=1, classes=2, width=2, **options).eval()
    for module_name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            pass_on(module_name, module)
    if isinstance(model, FCN32s):
        pass_on_coarsely(model)
    else:
        judge(model.head)
    return Predictor(
        model,
        class_names=("dark", "bright"),
        palette=((0, 0, 0), (255, 255, 255)),
        normalisation=Normalisation((0.0,), (1.0,)),
    )


def pass_on(name: str, layer: Any) -> None:
    weight = layer.weight.data
    weight[...] = 0
    if layer.bias is not None:
        layer.bias.data[...] = 0
    if name.startswith("fc6"):  # the waist has no padding: nine channels, one for each place of its kernel
        for channel in range(9):
            place = divmod(channel, 3)
            weight[(channel, 0, *place)] = 1  # down: (out, in); up: (in, out)
    elif name.startswith("fc7"):
        weight[np.arange(9), np.arange(9), 0, 0] = 1
    elif not name.endswith("up"):  # of U-Net: only what comes across counts
        kh, kw = weight.shape[2:]
        weight[0, 0, kh // 2, kw // 2] = 1


def judge(head: Any) -> None:
    """Score class 0 with 0, and class 1 with the brightness minus a half."""
    head.weight.data[...] = 0
    head.weight.data[1, 0] = 1
    head.bias.data[...] = (0, -0.5)


def pass_on_coarsely(model: Any) -> None:
    """Score class 1 by the brightest pixel of each block of 32, and enlarge as a new model does."""
    fresh = models.build(
        {0: "fcn32s", 1: "fcn16s", 2: "fcn8s"}[model.skips], in_channels=1, classes=2, width=2
    ).state_dict()
    state = model.state_dict()
    state |= {key: fresh[key] for key in state if key.startswith("upscore")}
    for key in ("fc6", "fc7"):
        state[f"{key}.weight"] = np.zeros_like(state[f"{key}.weight"])
        side = state[f"{key}.weight"].shape[2]
        state[f"{key}.weight"][0, 0, side // 2, side // 2] = 1
    for key in [key for key in state if key.startswith("score")]:
        state[key] = np.zeros_like(state[key])
    state["score_fr.weight"][1, 0], state["score_fr.bias"][1] = 1, -0.3
    model.load_state_dict(state)


def markers(size: tuple[int, int], apart: int) -> np.ndarray:
    """Mark corners, ends of rows and columns, and places elsewhere, with at least so many pixels between them."""
    H, W = size
    rng = np.random.default_rng(H * 1000 + W)
    wanted = [(0, 0), (0, W - 1), (H - 1, 0), (H - 1, W - 1)]
    wanted += [(int(rng.integers(H)), int(rng.integers(W))) for _ in range(40)]
    marked: list[tuple[int, int]] = []
    for row, column in wanted:
        if all(max(abs(row - r), abs(column - c)) >= apart for r, c in marked):
            marked.append((row, column))
    mask = np.zeros(size, bool)
    mask[tuple(zip(*marked, strict=True))] = True
    return mask


def crosses(size: tuple[int, int]) -> np.ndarray:
    """Draw crosses with arms of four lengths, in corners and elsewhere, cut off by the border."""
    H, W = size
    mask = np.zeros(size, bool)
    for row, column in [(0, 0), (0, W - 1), (H - 1, 0), (H - 1, W - 1), (H // 3, W // 2), (H // 2, W // 5)]:
        mask[max(row - 1, 0) : row + 5, column] = True
        mask[row, max(column - 2, 0) : column + 4] = True
    return mask


def as_picture(mask: np.ndarray) -> np.ndarray:
    return mask.astype(np.uint8) * np.uint8(255)


@pytest.mark.claim("S2-37")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "options"), UNETS)
def test_unet_gives_back_every_shape(name: str, options: dict[str, Any], size: tuple[int, int]) -> None:
    p = predictor(name, options)
    for mask in (crosses(size), markers(size, 2)):
        for tile in (None, 64, (96, 128)):
            assert np.array_equal(p.predict(as_picture(mask), tile=tile), mask)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "options"), UNPOOLING)
def test_indices_bring_every_pixel_back(name: str, options: dict[str, Any], size: tuple[int, int]) -> None:
    """One pixel in a window of 16: of two, pooling would keep one. So none may meet its own mirror image, either."""
    p = predictor(name, options)
    mask = markers(size, 16)
    H, W = size
    mask[1:16] = mask[max(H - 16, 1) : H - 1] = mask[:, 1:16] = mask[:, max(W - 16, 1) : W - 1] = False
    assert mask.any()
    for tile in (None, 64, (96, 128)):
        assert np.array_equal(p.predict(as_picture(mask), tile=tile), mask)


@pytest.mark.parametrize("size", [(97, 131), (200, 173), (75, 230)])
@pytest.mark.parametrize("name", FCNS)
def test_fcn_answers_around_the_centre_of_a_block(name: str, size: tuple[int, int]) -> None:
    p = predictor(name, {})
    (top, left), (H, W) = tiling(p.model, size, None).before, size
    rng = np.random.default_rng(1)
    for _ in range(2):
        row, column = int(rng.integers(H)), int(rng.integers(W))
        picture = np.zeros(size, np.uint8)
        picture[row, column] = 255
        for tile in (None, 96):
            rows, columns = (np.flatnonzero(p.predict(picture, tile=tile).any(axis=axis)) for axis in (1, 0))
            for place, before, length, found in ((row, top, H, rows), (column, left, W, columns)):
                first = (place + before) // 32 * 32 - before  # the block goes from here to first + 31
                if first - 32 < 0 or first + 64 > length:
                    continue  # it is cut off by the border, or meets its mirror image
                assert found[0] + found[-1] == 2 * first + 31 and abs(found[0] - first) < 16


@pytest.mark.parametrize("name", [name for name in models.names() if name != "patch"])
def test_a_shift_by_the_stride_shifts_the_scores(name: str) -> None:
    """With weights as they start: what lies in the middle comes out the same, as many pixels further on."""
    model = models.build(name, in_channels=1, classes=3, width=2, seed=1).eval()
    rng = np.random.default_rng(0)
    for _, parameter in model.named_parameters():
        parameter.data[...] = rng.normal(size=parameter.shape) * 0.3
    p = Predictor(
        model,
        class_names=("a", "b", "c"),
        palette=((0, 0, 0),) * 3,
        normalisation=Normalisation((0.5,), (0.25,)),
    )
    scene = rng.integers(0, 256, (640, 704), dtype=np.uint8)
    one, other = p.scores(scene[:576, :640]), p.scores(scene[32:608, 64:704])
    middle = one[:, 288:320, 304:336]
    np.testing.assert_allclose(
        other[:, 256:288, 240:272], middle, rtol=0, atol=1e-5 * max(abs(middle).max(), 1e-3)
    )
    assert middle.std() > 0


def test_a_mirrored_picture_gives_mirrored_labels() -> None:
    """A kernel that is its own mirror image: sizes that are multiples of the grid have no side that is special."""
    p = predictor("unet", {"depth": 2})
    model: Any = p.model
    for _, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and module.weight.shape[2] == 3:
            module.weight.data[...] = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    picture = np.random.default_rng(3).integers(0, 256, (64, 96), dtype=np.uint8)
    for flipped in (np.s_[::-1], np.s_[:, ::-1], np.s_[::-1, ::-1]):
        expected = p.scores(picture)[:, *(flipped if isinstance(flipped, tuple) else (flipped,))]
        np.testing.assert_allclose(p.scores(picture[flipped]), expected, rtol=0, atol=1e-5)
