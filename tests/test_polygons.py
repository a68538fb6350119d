"""Which pixels lie within rings: against PIL, against matplotlib, and against a count of crossings one by one."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from layout_makers import outline
from matplotlib.path import Path as Outline
from PIL import Image, ImageDraw

from minisegnet.arrays import Array
from minisegnet.data import polygons
from minisegnet.data.polygons import fill, fill_patch

SQUARE = np.array([[1, 1], [4, 1], [4, 3], [1, 3]], float)

# Eighths: exact in floating point, and half of all centres lie on some edge's coordinates.
eighths = st.integers(-24, 96).map(lambda n: n / 8)
rings_of_eighths = st.lists(
    st.lists(st.tuples(eighths, eighths), min_size=0, max_size=8).map(lambda p: np.array(p).reshape(-1, 2)),
    max_size=4,
)
anywhere = st.floats(-3, 12, allow_nan=False)
rings_anywhere = st.lists(
    st.lists(st.tuples(anywhere, anywhere), min_size=3, max_size=8).map(np.array), min_size=1, max_size=3
)


def slowly(rings: list[Array], H: int, W: int) -> Array:
    """Walk from each centre to the left, and count the edges that are crossed, one at a time."""
    mask = np.zeros((H, W), bool)
    for i in range(H):
        for j in range(W):
            x, y, crossed = j + 0.5, i + 0.5, 0
            for ring in rings:
                for k in range(len(ring)):
                    (x1, y1), (x2, y2) = ring[k - 1], ring[k]
                    if (y1 <= y) != (y2 <= y):
                        at = x1 + (y - y1) * (x2 - x1) / (y2 - y1)
                        crossed += bool(at <= x)
            mask[i, j] = crossed % 2
    return mask


@given(rings_of_eighths)
def test_every_centre_is_decided_as_by_counting(rings: list[Array]) -> None:
    # Where a crossing falls on a centre exactly, the last bit of either formula may decide otherwise.
    mask, expected = fill(rings, (9, 10)), slowly(rings, 9, 10)
    for i, j in np.argwhere(mask != expected):
        assert any(_touches(ring, j + 0.5, i + 0.5) for ring in rings)


def _touches(ring: Array, x: float, y: float) -> bool:
    for k in range(len(ring)):
        (x1, y1), (x2, y2) = ring[k - 1], ring[k]
        if min(y1, y2) <= y <= max(y1, y2) and y1 != y2:
            at = x1 + (y - y1) * (x2 - x1) / (y2 - y1)
            if abs(at - x) < 1e-9:
                return True
    return False


@given(rings_anywhere)
def test_single_rings_agree_with_matplotlib(rings: list[Array]) -> None:
    """matplotlib counts windings; for rings that don't cross themselves, such as convex ones, that is the same."""
    H, W = 9, 10
    centres = np.stack(np.meshgrid(np.arange(W) + 0.5, np.arange(H) + 0.5), axis=2).reshape(-1, 2)
    for ring in rings:
        middle = ring.mean(axis=0)
        angles = np.arctan2(*(ring - middle).T[::-1])
        star = ring[np.argsort(angles)]  # seen from the middle in order, so that it doesn't cross itself
        inside = Outline(np.vstack([star, star[:1]]), closed=True).contains_points(centres).reshape(H, W)
        mask = fill([star], (H, W))
        for i, j in np.argwhere(mask != inside):
            assert _distance(star, j + 0.5, i + 0.5) < 1e-6


def _distance(ring: Array, x: float, y: float) -> float:
    """Distance of a point from the nearest edge."""
    a, b = ring, np.roll(ring, -1, axis=0)
    along, to = b - a, np.array([x, y]) - a
    length = np.maximum((along**2).sum(axis=1), 1e-300)
    part = np.clip((to * along).sum(axis=1) / length, 0, 1)
    return float(np.sqrt(((to - part[:, None] * along) ** 2).sum(axis=1)).min())


@pytest.mark.parametrize("seed", range(6))
def test_large_polygons_agree_with_pil_away_from_the_edge(seed: int) -> None:
    """PIL paints the edge's pixels as well, so only what is more than a pixel away from an edge must agree."""
    rng = np.random.default_rng(seed)
    H, W, corners = 80, 100, 9
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = rng.uniform(15, 39, corners)
    ring = np.stack([50 + radius * np.cos(angles), 40 + radius * np.sin(angles)], axis=1)
    picture = Image.new("L", (W, H))
    ImageDraw.Draw(picture).polygon([tuple(point) for point in ring], fill=1)
    mask, painted = fill([ring], (H, W)), np.asarray(picture) > 0
    differs = np.argwhere(mask != painted)
    assert mask.sum() > 500
    assert all(_distance(ring, j + 0.5, i + 0.5) < 1.5 for i, j in differs)


@given(st.lists(st.booleans(), min_size=42, max_size=42))
def test_outlines_along_the_pixels_give_the_mask_back(bits: list[bool]) -> None:
    mask = np.array(bits).reshape(6, 7)
    assert np.array_equal(fill([np.array(ring) for ring in outline(mask)], (6, 7)), mask)


def test_a_square_its_hole_and_its_neighbour() -> None:
    mask = fill([SQUARE], (4, 6))
    assert mask.sum() == 6 and mask[1:3, 1:4].all()
    assert np.array_equal(fill([SQUARE[::-1]], (4, 6)), mask)  # the other way round
    assert np.array_equal(fill([SQUARE, SQUARE], (4, 6)), np.zeros((4, 6), bool))  # twice is outside again
    half = SQUARE + 0.5  # all its edges run through centres
    right, below = half + np.array([3, 0]), half + np.array([0, 2])
    shared = [fill([ring], (8, 9)).astype(int) for ring in (half, right, below)]
    assert sum(shared).max() == 1 and [m.sum() for m in shared] == [6, 6, 6]  # neighbours share no pixel
    assert shared[0][1, 1] == 1 and shared[0][3, 4] == 0  # left and top edges belong to it


def test_what_lies_outside_is_cut_off() -> None:
    everywhere = np.array([[-1e9, -1e9], [1e9, -1e9], [1e9, 1e9], [-1e9, 1e9]])
    assert fill([everywhere], (5, 4)).all()
    for ring in (SQUARE + 50, SQUARE - 50, SQUARE + np.array([50, 0]), SQUARE - np.array([0, 50])):
        assert not fill([ring], (4, 6)).any()
    assert np.array_equal(
        fill([SQUARE - np.array([3, 2])], (4, 6)), np.pad(np.ones((1, 1), bool), ((0, 3), (0, 5)))
    )


@pytest.mark.parametrize(
    "rings", [[], [np.zeros((0, 2))], [SQUARE[:1]], [SQUARE[:2]], [SQUARE[:2], SQUARE[2:]]]
)
def test_what_has_no_area_is_empty(rings: list[Array]) -> None:
    assert not fill(rings, (4, 6)).any() and fill(rings, (4, 6)).shape == (4, 6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e308, -1.1e9])
def test_numbers_that_are_no_places_are_refused(bad: float) -> None:
    ring = SQUARE.copy()
    ring[2, 1] = bad
    with pytest.raises(ValueError, match="expected finite numbers of at most 1e\\+09"):
        fill([ring], (4, 6))
    with pytest.raises(ValueError, match=r"shape \(4, 3\); expected \(P, 2\)"):
        fill([np.zeros((4, 3))], (4, 6))


def test_edges_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    zigzag = np.stack([np.arange(1000) % 7.0, np.arange(1000) % 2 * 50.0], axis=1)
    assert fill([zigzag], (50, 7)).shape == (50, 7)
    monkeypatch.setattr(polygons, "MOST_CROSSINGS", 10_000)
    with pytest.raises(ValueError, match=r"cross 50,000 rows within 50 x 6 pixels; expected at most 11,200"):
        fill([zigzag], (50, 7))


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rings = [rng.uniform(-2, 30, (40, 2)) for _ in range(3)]
    whole = fill(rings, (25, 28))
    assert np.array_equal(whole, slowly(rings, 25, 28))
    monkeypatch.setattr(polygons, "CHUNK", 7)
    assert np.array_equal(fill(rings, (25, 28)), whole)


def test_a_patch_is_the_part_that_the_rings_reach() -> None:
    top, left, inside = fill_patch([SQUARE], (400, 600))
    assert (top, left, inside.shape) == (1, 1, (2, 3)) and inside.all()
