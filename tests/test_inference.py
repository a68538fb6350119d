"""Overlap-tile inference: SYSTEMS.md row 10."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from minisegnet import models, nn, no_grad, ops
from minisegnet.buffers import without_reuse
from minisegnet.exactness import convolutions_are_exact
from minisegnet.inference import halo, overlap_tile, tile_bytes
from minisegnet.sizes import input_range

OVERHEAD = 32 * 1024  # bytes of Python objects that a forward makes beside its maps


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Winograd's convolution rounds differently where its tiles of 4 x 4 begin elsewhere."""
    with ops.exact_convolutions():
        yield


def build(**options: Any) -> nn.Module:
    settings = {"in_channels": 2, "classes": 3, "width": 3, "depth": 2, "padding": "valid", "seed": 5}
    return models.build("unet", **settings | options)


def picture(H: int, W: int, dtype: Any = np.float32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(2, H, W)).astype(dtype)


def whole(model: nn.Module, image: np.ndarray) -> np.ndarray:
    """Scores of the mirrored picture in one forward, by NumPy's own padding."""
    H, W = image.shape[1:]
    margin, size = halo(model), model.input_size_for((H, W))
    outside = [(margin, size[0] - H - margin), (margin, size[1] - W - margin)]
    with no_grad():
        scores = model.eval()(np.pad(image, ((0, 0), *outside), mode="reflect")[None]).data
    return scores[0, :, :H, :W]


def assert_same(found: np.ndarray, expected: np.ndarray, backend: str) -> None:
    """Compare bit for bit; up to rounding where products depend on sizes: numpy's BLAS, and Winograd's tiles."""
    if backend == "numba" and convolutions_are_exact():
        assert found.tobytes() == expected.tobytes()
    else:
        tolerance = 1e-12 if found.dtype == np.float64 else 1e-5
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.claim("S3-06")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("tile", [4, 12, (8, 20), 32, None])
@pytest.mark.parametrize("size", [(41, 50), (24, 24)])
def test_tiles_equal_the_whole_picture(size: tuple[int, int], tile: Any, dtype: str, fast: str) -> None:
    """Row 10: 0.0 apart, whatever the tile, and whether or not the picture is a multiple of it."""
    model, image = build(dtype=dtype), picture(*size, dtype=dtype)
    scores = overlap_tile(model, image, tile=tile)
    assert scores.shape == (3, *size) and scores.dtype == image.dtype
    assert_same(scores, whole(model, image), fast)


@pytest.mark.parametrize(
    ("depth", "norm", "tile"), [(1, None, 14), (2, "batch", 16), (3, None, 24), (4, None, 32)]
)
def test_other_depths_and_batch_norm(depth: int, norm: str | None, tile: int, fast: str) -> None:
    """Row 10: every depth has its own halo and grid; batch normalisation uses its running statistics."""
    model, image = build(depth=depth, norm=norm, width=2, dtype="float64"), picture(101, 97, "float64")
    assert_same(overlap_tile(model, image, tile=tile), whole(model, image), fast)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_networks_of_many_channels(dtype: str, fast: str) -> None:
    """Row 10: from 8 channels on Numba's convolutions take another way, in blocks of rows; the bits stay the same."""
    model, image = build(width=8, classes=9, dtype=dtype), picture(61, 83, dtype)
    for tile in (16, (20, 44)):
        assert_same(overlap_tile(model, image, tile=tile), whole(model, image), fast)


def test_with_winograd_the_same_up_to_rounding(fast: str) -> None:
    model, image = build(width=16, classes=9), picture(61, 83)
    with ops.exact_convolutions(False):
        assert_same(overlap_tile(model, image, tile=44), whole(model, image), fast)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (5, 30)])
def test_pictures_smaller_than_the_halo(size: tuple[int, int], fast: str) -> None:
    """Row 10: they are mirrored again and again."""
    model, image = build(dtype="float64"), picture(*size, dtype="float64")
    assert_same(overlap_tile(model, image, tile=4), whole(model, image), fast)


@pytest.mark.claim("S3-06")
def test_off_the_pooling_grid_it_would_be_wrong(fast: str) -> None:
    """Row 10: offsets 0, 4, 8, 12 of a depth-2 network give the whole's scores; 1, 2, 6 are off by whole units."""
    model = build(in_channels=1, dtype="float64").eval()
    x = np.random.default_rng(0).normal(size=(1, 1, 80, 80)) * 3
    with no_grad():
        expected = model(x).data  # (1, 3, 40, 40)
        differences = {}
        for offset in (0, 4, 8, 12, 1, 2, 6):
            part = model(np.ascontiguousarray(x[:, :, offset : offset + 60, offset : offset + 60])).data
            at_its_place = expected[:, :, offset : offset + 20, offset : offset + 20]
            differences[offset] = np.abs(part - at_its_place).max()
            if offset % 4 == 0:
                assert_same(part, np.ascontiguousarray(at_its_place), fast)
    assert max(differences[offset] for offset in (0, 4, 8, 12)) < 1e-12
    assert min(differences[offset] for offset in (1, 2, 6)) > 1
    with pytest.raises(ValueError, match=r"tile is \(10, 10\); expected multiples of 4.*nearest is \(8, 8\)"):
        overlap_tile(model, x[0], tile=10)


@pytest.mark.claim("S3-06")
def test_halo_of_the_papers_network() -> None:
    """Row 10: 92 pixels a side at depth 4; 388 pixels of scores need 572."""
    model = build(depth=4, initialise=False)
    assert halo(model) == 92
    assert model.input_size_for(388) == model.input_size_for(384) == (572, 572)
    assert [halo(build(depth=depth, initialise=False)) for depth in (1, 2, 3)] == [8, 20, 44]


@pytest.mark.parametrize(("depth", "more"), [(1, 0), (2, 0), (3, 4), (4, 4), (5, 4)])
def test_what_a_tile_depends_on(depth: int, more: int) -> None:
    """Row 10: a tile on the grid sees one halo on each side, and from depth 3 on 4 pixels more at its end."""
    model = build(depth=depth, width=1, initialise=False)
    tile = 3 * model.grid
    ranges = [input_range(model.layers(), i) for i in range(tile)]
    assert min(ranges)[0] == 0  # counted from one halo before the tile
    assert max(last for _, last in ranges) == halo(model) + tile + halo(model) + more - 1
    assert max(last for _, last in ranges) < model.input_size_for(tile)[0]


def test_a_pixel_beyond_the_halo_has_no_say() -> None:
    """Row 10: a change within the halo reaches the tile's scores, one beyond what the tile is given does not."""
    model, image = build(dtype="float64"), picture(100, 100, "float64")
    before = overlap_tile(model, image)[:, 40:60, 40:60]
    for column, seen in ((15, False), (24, True), (75, True), (90, False)):
        changed = image.copy()
        changed[:, :, column] += 100
        same = np.array_equal(overlap_tile(model, changed)[:, 40:60, 40:60], before)
        assert same is not seen


def peak(call: Any) -> int:
    tracemalloc.start()
    with without_reuse():
        call()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


@pytest.mark.parametrize("norm", [None, "batch"])
def test_memory_stays_under_the_stated_bound(norm: str | None) -> None:
    """Row 10: the bound holds, is close, and doesn't grow with the picture."""
    if ops.why_not("numba"):
        pytest.skip(ops.why_not("numba"))
    import numba

    from minisegnet.backends.numba.fast.direct import BAND

    model = build(width=6, norm=norm)
    image, large = picture(96, 96), picture(300, 400)
    with ops.use_backend("numba"):
        overlap_tile(model, image, tile=64)  # compiled and loaded before anything is measured
        bound, scratch = tile_bytes(model, 64), numba.get_num_threads() * BAND * 4
        for a in (image, large):
            scores = 3 * a.shape[1] * a.shape[2] * a.itemsize
            used = peak(lambda a=a: overlap_tile(model, a, tile=64)) - scores
            assert 0.9 * bound < used <= bound + OVERHEAD + scratch
    assert tile_bytes(model, 64) < tile_bytes(model, 128)
    assert tile_bytes(build(width=6, dtype="float64"), 64) > 1.8 * tile_bytes(build(width=6), 64)


def test_memory_on_numpy_does_not_grow_with_the_picture() -> None:
    """Row 10: unfolded windows come on top there, but they, too, are of the tile.

    With one thread: with two it depends on the moment whether both hold their windows at once.
    """
    model = build(width=6)
    with ops.use_backend("numpy"), threadpool_limits(1):
        overlap_tile(model, picture(128, 128), tile=64)  # what is imported and made only once
        used = []
        for a in (picture(128, 128), picture(320, 384)):
            scores = 3 * a.shape[1] * a.shape[2] * a.itemsize
            used.append(peak(lambda a=a: overlap_tile(model, a, tile=64)) - scores)
    assert abs(used[1] - used[0]) < OVERHEAD


def test_modes_come_back() -> None:
    """Row 10: prediction runs in evaluation mode and leaves every module's own mode as it was."""
    model = build(norm="batch", dropout=0.5).train()
    model.bottom.eval()
    before = [module.training for _, module in model.named_modules()]
    state = model.state_dict()
    image = picture(20, 20)
    first = overlap_tile(model, image)
    assert np.array_equal(first, overlap_tile(model, image))
    assert [module.training for _, module in model.named_modules()] == before
    assert all(np.array_equal(a, state[name]) for name, a in model.state_dict().items())


def test_image_layout_does_not_matter() -> None:
    """Row 10: a view with channels last, a read-only one; the picture stays as it was."""
    model, image = build(), picture(21, 30)
    expected = overlap_tile(model, image, tile=16)
    view = np.moveaxis(np.ascontiguousarray(np.moveaxis(image, 0, 2)), 2, 0)
    view.setflags(write=False)
    scores = overlap_tile(model, view, tile=16)
    assert np.array_equal(scores, expected) and scores.flags.c_contiguous


@pytest.mark.parametrize(
    ("options", "image", "error", "message"),
    [
        ({"padding": "same"}, picture(64, 64), ValueError, r"padding='same'.*zeros around every tile"),
        ({}, picture(64, 64)[0], ValueError, r"shape \(64, 64\); expected \(2, H, W\)"),
        ({}, picture(64, 64)[None], ValueError, "one image at a time"),
        ({}, np.zeros((9, 8, 2), np.float32), ValueError, "channels come first"),
        ({}, np.zeros((2, 0, 8), np.float32), ValueError, "no side empty"),
        ({}, picture(64, 64, "float64"), TypeError, "the image is float64 and the model float32"),
        ({}, np.zeros((2, 8, 8), np.uint8), TypeError, "the image is uint8"),
        ({}, [[[0.0]]], TypeError, "the image is a list"),
    ],
)
def test_errors(options: dict[str, Any], image: Any, error: type[Exception], message: str) -> None:
    """Row 10: every bad argument says what came and what was expected."""
    with pytest.raises(error, match=message):
        overlap_tile(build(**options), image)


def test_models_that_cannot_be_tiled() -> None:
    """Row 10: refused with the reason."""
    with pytest.raises(ValueError, match="Sequential can't be tiled exactly"):
        halo(nn.Sequential(nn.Conv2d(1, 1, 3)))
    with pytest.raises(TypeError, match="the model is a function"):
        halo(lambda x: x)
    with pytest.raises(ValueError, match="can't be exact"):
        tile_bytes(build(padding="same"), 16)
