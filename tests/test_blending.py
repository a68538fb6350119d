"""Tiles for models that put zeros around their maps: exact with a margin, blended without."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies

from minisegnet import models, nn, no_grad
from minisegnet.blending import Axis, blended_pieces, default_tile, pooling_grid, reach, tiling

PADDED = [
    ("unet", {"depth": 1}),
    ("unet", {"depth": 2, "norm": None}),
    ("segnet", {"convolutions": (1, 1)}),
    ("segnet-basic", {"levels": 1}),
    ("deconvnet", {"convolutions": (1, 1)}),
    ("fcn8s", {}),
    ("fcn32s", {"padding": "paper"}),
]


def build(name: str, **options: Any) -> nn.Module:
    """Build a model whose weights and statistics are all of some size, so that everything it sees has a say."""
    model = models.build(name, in_channels=2, classes=3, width=2, dtype="float64", **options).eval()
    rng = np.random.default_rng(4)
    state = {key: rng.normal(size=a.shape) * 0.6 for key, a in model.state_dict().items()}
    for key in state:
        if "running" in key or key.endswith("norm.weight"):
            state[key] = abs(state[key]) + 0.5
    model.load_state_dict(state)
    return model


def picture(H: int, W: int) -> np.ndarray:
    return np.random.default_rng(H * W).normal(size=(2, H, W))


def predicted(model: nn.Module, image: np.ndarray, tile: Any) -> np.ndarray:
    """Put the pieces together; each pixel must come once."""
    size = image.shape[1], image.shape[2]
    scores, times = np.zeros((3, *size)), np.zeros(size, int)

    def read(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        assert rows.min() >= 0 and rows.max() < size[0] and columns.min() >= 0 and columns.max() < size[1]
        return np.ascontiguousarray(image[:, rows[:, None], columns])[None]

    for piece in blended_pieces(model, read, size, tile):
        scores[:, piece.rows, piece.columns] = piece.scores
        times[piece.rows, piece.columns] += 1
    assert (times == 1).all()
    return scores


def whole(model: nn.Module, image: np.ndarray) -> np.ndarray:
    """Predict the picture at once, mirrored outwards to the grid by NumPy's own padding, a step at a time."""
    grid, (H, W) = pooling_grid(model), image.shape[1:]
    missing = [max(-(-n // grid) * grid, -(-64 // grid) * grid) - n for n in (H, W)]
    before = [(n + 1) // 2 for n in missing]
    padded = np.pad(
        image, [(0, 0), *((b, n - b) for b, n in zip(before, missing, strict=True))], mode="reflect"
    )
    with no_grad():
        return model(padded[None]).data[0, :, before[0] : before[0] + H, before[1] : before[1] + W]


# ---------------------------------------------------------------------------------------------------------
# What a model sees


@pytest.mark.parametrize(("name", "options"), PADDED[:5])
def test_reach_is_how_far_a_change_is_felt(name: str, options: dict[str, Any]) -> None:
    """A change of one pixel is felt up to the reach and no further: the formula isn't too small, nor far too large."""
    model = build(name, **options)
    far, grid = reach(model), pooling_grid(model)
    middle = -(-(far + 8) // grid) * grid
    image = picture(2 * middle, 2 * middle)
    before, felt = whole(model, image), 0
    for offset in range(grid):
        changed = image.copy()
        changed[:, middle + offset, middle + offset] += 30
        rows = np.argwhere(np.abs(whole(model, changed) - before).max(axis=(0, 2)) > 0)
        felt = max(felt, middle + offset - rows.min(), rows.max() - middle - offset)
    assert 0.5 * far < felt <= far


@pytest.mark.parametrize("name", [name for name in models.names() if name != "patch"])
def test_default_tiles_are_exact(name: str) -> None:
    model = models.build(name, classes=2, initialise=False)
    grid, tile = pooling_grid(model), default_tile(model)
    assert tile % grid == 0 and tile >= 768
    cut = tiling(model, (3 * tile + 1, 5 * tile), tile)
    assert cut.exact and cut.rows.margin >= reach(model) and cut.rows.overlap <= tile // 3


# ---------------------------------------------------------------------------------------------------------
# Exact


@pytest.mark.parametrize(("name", "options"), PADDED[:5])
def test_with_a_margin_tiles_equal_the_whole_picture(name: str, options: dict[str, Any], fast: str) -> None:
    """At every border and every cut, in pictures that are no multiple of anything."""
    model = build(name, **options)
    margin = -(-reach(model) // pooling_grid(model)) * pooling_grid(model)
    tile = max(4 * margin, 64)
    for size in ((2 * tile + 21, tile + 3), (61, 3 * tile - 5)):
        image = picture(*size)
        assert tiling(model, size, tile).exact and tiling(model, size, tile).number_of_tiles > 2
        expected = whole(model, image)
        np.testing.assert_allclose(
            predicted(model, image, tile), expected, rtol=0, atol=1e-12 * abs(expected).max()
        )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), PADDED[5:])
def test_with_a_margin_tiles_of_a_deep_network_equal_the_whole_picture(
    name: str, options: dict[str, Any]
) -> None:
    model = build(name, **options)
    image = picture(70, 1500)
    assert tiling(model, (70, 1500), 1024).exact and tiling(model, (70, 1500), 1024).number_of_tiles == 2
    expected = whole(model, image)
    np.testing.assert_allclose(
        predicted(model, image, 1024), expected, rtol=0, atol=1e-12 * abs(expected).max()
    )


@pytest.mark.parametrize(("name", "options"), PADDED)
@pytest.mark.parametrize("size", [(97, 131), (1, 70), (3, 5)])
def test_one_tile_that_covers_all_is_the_whole_picture_bit_for_bit(
    name: str, options: dict[str, Any], size: tuple[int, int]
) -> None:
    model, image = build(name, **options), picture(*size)
    expected = whole(model, image)
    assert predicted(model, image, None).tobytes() == expected.tobytes()
    assert predicted(model, image, 160).tobytes() == expected.tobytes()


# ---------------------------------------------------------------------------------------------------------
# Blended


def blended_slowly(model: nn.Module, image: np.ndarray, tile: int, overlap: int) -> np.ndarray:
    """Add up weighted tiles of the mirrored picture and the weights themselves, and divide, all at once."""
    grid, (H, W) = pooling_grid(model), image.shape[1:]
    missing = [-n % grid for n in (H, W)]
    before = [(n + 1) // 2 for n in missing]
    padded = np.pad(
        image, [(0, 0), *((b, n - b) for b, n in zip(before, missing, strict=True))], mode="reflect"
    )
    places = np.arange(tile) - (tile - 1) / 2
    line = np.exp(-(places**2) / (2 * (tile / 8) ** 2))
    window = line[:, None] * line
    total, weight = np.zeros((3, *padded.shape[1:])), np.zeros(padded.shape[1:])
    tops, lefts = (sorted({*range(0, n - tile + 1, tile - overlap), n - tile}) for n in padded.shape[1:])
    for top in tops:
        for left in lefts:
            part = np.s_[top : top + tile, left : left + tile]
            with no_grad():
                total[:, *part] += window * model(padded[None, :, *part]).data[0]
            weight[part] += window
    return (total / weight)[:, before[0] : before[0] + H, before[1] : before[1] + W]


@pytest.mark.parametrize(("name", "tile"), [("unet", 64), ("segnet", 80), ("deconvnet", 64), ("fcn16s", 96)])
def test_blending_equals_the_textbook(name: str, tile: int) -> None:
    """More than nine tiles side by side: so the bands, too, must fit together."""
    model = build(name, **({"depth": 3} if name == "unet" else {}))
    image = picture(2 * tile + 13, 6 * tile + 21)
    cut = tiling(model, (2 * tile + 13, 6 * tile + 21), tile)
    assert not cut.exact and cut.rows.margin == 0 and cut.columns.number_of_tiles > 8
    expected = blended_slowly(model, image, tile, cut.columns.overlap)
    np.testing.assert_allclose(
        predicted(model, image, tile), expected, rtol=0, atol=1e-6 * abs(expected).max()
    )


axes = strategies.builds(
    lambda grid, tile, length, margin, part: Axis(
        (tile + length) * grid,
        tile * grid,
        2 * margin * grid if 4 * margin <= tile else int(part * tile) * grid,
        margin * grid if 4 * margin <= tile else 0,
    ),
    grid=strategies.sampled_from([1, 2, 16, 32]),
    tile=strategies.integers(2, 12),
    length=strategies.integers(1, 60),
    margin=strategies.integers(1, 4),
    part=strategies.floats(0.25, 0.5),
)


@given(axes)
@settings(max_examples=200)
def test_weights_sum_to_one_and_tiles_start_on_the_grid(axis: Axis) -> None:
    total = np.zeros(axis.length)
    for number in range(axis.number_of_tiles):
        start, (first, last) = axis.start(number), axis.used(number)
        weights = axis.weights(number)
        assert start % (axis.tile - axis.overlap) == 0 or start == axis.length - axis.tile
        assert start <= first < last <= start + axis.tile and weights.shape == (last - first,)
        assert first - start >= axis.margin or start == first == 0
        assert start + axis.tile - last >= axis.margin or last == axis.length
        assert (weights > 0).all() and weights.dtype == np.float32
        total[first:last] += weights
    np.testing.assert_allclose(total, 1, rtol=0, atol=3e-7)
    assert axis.start(axis.number_of_tiles - 1) == axis.length - axis.tile


class Constant(nn.Module):
    """Scores that don't depend on the picture, of a model that would want large margins."""

    def __init__(self) -> None:
        self.inner = models.build("unet", in_channels=2, classes=3, width=1)

    def layers(self) -> Any:
        return self.inner.layers()

    def forward(self, x: Any) -> Any:
        from minisegnet import Tensor

        scores = np.empty((x.shape[0], 3, *x.shape[2:]))
        scores[:] = np.array([0.1, -7, 1e6])[:, None, None]
        return Tensor(scores)


@pytest.mark.parametrize("size", [(97, 131), (64, 400), (200, 65)])
def test_constant_scores_stay_constant(size: tuple[int, int]) -> None:
    scores = predicted(Constant(), picture(*size), 64)
    expected = np.array([0.1, -7, 1e6])[:, None, None]
    assert (abs(scores - expected) <= 3e-7 * abs(expected)).all()


def test_far_from_cuts_blended_scores_are_those_of_the_whole_picture() -> None:
    """Depth 2, tiles of 64: a margin is 24, too much to throw away. Where each tile sees enough, nothing changes."""
    model, image = build("unet", depth=2), picture(64, 256)
    cut, far = tiling(model, (64, 256), 64), reach(model)
    assert not cut.exact
    enough = np.ones(256, bool)
    for number in range(cut.columns.number_of_tiles):
        first, last = cut.columns.used(number)
        if first > 0:
            enough[first : first + far] = False
        if last < 256:
            enough[last - far : last] = False
    assert 10 < enough.sum() < 100
    difference = abs(predicted(model, image, 64) - whole(model, image)).max(axis=(0, 1))
    assert difference[enough].max() < 1e-6 * difference.max() and difference.max() > 1e-3


@pytest.mark.parametrize(
    ("name", "options"), [("unet", {"depth": 3}), ("segnet", {"convolutions": (2, 2, 2)})]
)
def test_blending_has_no_seams(name: str, options: dict[str, Any]) -> None:
    """Where tiles begin and end, blended errors jump no more than elsewhere; if they only meet, they do."""
    model, image = build(name, **options), picture(64, 512)
    expected, blended = whole(model, image), predicted(model, image, 64)
    meeting = np.concatenate([whole(model, image[:, :, a : a + 64]) for a in range(0, 512, 64)], axis=2)
    jumps = [abs(np.diff(a - expected, axis=2)).mean(axis=(0, 1)) for a in (meeting, blended)]
    assert jumps[0][63:511:64].mean() > 2 * jumps[0].mean()
    assert jumps[1][31:511:32].mean() < 1.2 * jumps[1].mean()
    assert abs(blended - expected).mean() < 0.5 * abs(meeting - expected).mean()


@pytest.mark.parametrize(
    ("tile", "message"),
    [
        (100, r"tile is \(100, 100\); expected multiples of 16.*and 64 or more; the nearest is \(96, 96\)"),
        (48, r"the nearest is \(64, 64\)"),
        ((64, 72), r"the nearest is \(64, 64\)"),
        (0, "expected an integer of at least 1"),
    ],
)
def test_tiles_that_are_refused(tile: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiling(models.build("unet", classes=2, initialise=False), (500, 500), tile)


def test_a_model_without_layers_is_refused() -> None:
    with pytest.raises(TypeError, match="Sequential doesn't say which layers it has"):
        reach(nn.Sequential(nn.Conv2d(1, 1, 3)))
