"""Outlines of masks: filled by an independent rule they give the mask again, holes and all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays

from minisegnet.data.outlines import Outline, outlines
from minisegnet.data.polygons import fill


def filled(rings: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Count the edges that a ray from each pixel's centre to the right crosses, one edge after the other."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    odd = np.zeros(size, bool)
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring.tolist(), np.roll(ring, -1, axis=0).tolist(), strict=True):
            if y0 != y1:  # a level edge is never crossed
                odd ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    return odd


def regions(mask: np.ndarray) -> list[np.ndarray]:
    """Flood each region through the sides of its pixels, from the top down."""
    left, found = mask.copy(), []
    while left.any():
        todo = [tuple(np.argwhere(left)[0].tolist())]
        region = np.zeros_like(mask)
        while todo:
            i, j = todo.pop()
            if 0 <= i < mask.shape[0] and 0 <= j < mask.shape[1] and left[i, j]:
                left[i, j], region[i, j] = False, True
                todo += [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
        found.append(region)
    return found


def twice_the_area(ring: np.ndarray) -> int:
    """Sum up the shoelace formula; it is positive where a ring runs clockwise on the screen."""
    x, y = ring.T
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def check(mask: np.ndarray) -> list[Outline]:
    found = outlines(mask)
    expected = regions(mask)
    assert len(found) == len(expected)
    for outline, region in zip(found, expected, strict=True):
        assert np.array_equal(filled([outline.outer, *outline.holes], mask.shape), region)
        areas = [twice_the_area(ring) for ring in (outline.outer, *outline.holes)]
        assert areas[0] > 0 and all(area < 0 for area in areas[1:]) and sum(areas) == 2 * region.sum()
        holes = regions_with_points(~filled([outline.outer], mask.shape) | region)
        assert len(outline.holes) == len(holes)
        for ring in (outline.outer, *outline.holes):
            check_ring(ring)
    return found


def regions_with_points(solid: np.ndarray) -> list[np.ndarray]:
    """Flood what is not solid through sides and corners: the holes."""
    left, found = ~solid, []
    while left.any():
        todo = [tuple(np.argwhere(left)[0].tolist())]
        region = np.zeros_like(solid)
        while todo:
            i, j = todo.pop()
            if 0 <= i < solid.shape[0] and 0 <= j < solid.shape[1] and left[i, j]:
                left[i, j], region[i, j] = False, True
                todo += [(i + a, j + b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
        found.append(region)
    return found


def check_ring(ring: np.ndarray) -> None:
    """Every corner is a turn, every edge is straight, and the first corner is the topmost leftmost."""
    steps = np.roll(ring, -1, axis=0) - ring
    assert ring.dtype.kind == "i" and len(ring) >= 4
    assert ((steps == 0).sum(axis=1) == 1).all()
    assert ((steps[:, 0] == 0) != (np.roll(steps[:, 0], 1) == 0)).all()
    assert tuple(ring[0][::-1]) == min((y, x) for x, y in ring.tolist())


@settings(max_examples=60)
@given(arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_any_mask_comes_back(mask: np.ndarray) -> None:
    check(mask)


@given(arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_our_own_fill_gives_any_mask_again(mask: np.ndarray) -> None:
    rings = [ring for outline in outlines(mask) for ring in (outline.outer, *outline.holes)]
    assert np.array_equal(fill(rings, mask.shape), mask)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("size", [(1, 40), (40, 1), (17, 19)])
def test_noise_comes_back(share: float, size: tuple[int, int]) -> None:
    """In noise everything happens: points, holes in holes, regions in holes."""
    check(np.random.default_rng(7).random(size) < share)


def test_rings_in_rings() -> None:
    """A region in the hole of a region is a region of its own, and not one of its holes."""
    y, x = np.mgrid[-10:11, -10:11]
    found = check((np.maximum(abs(x), abs(y)) // 2 % 2).astype(bool))
    assert [len(outline.holes) for outline in found] == [1, 1, 1]
    full = outlines(np.ones((3, 5)))
    assert [(o.outer.tolist(), o.holes) for o in full] == [([[0, 0], [5, 0], [5, 3], [0, 3]], ())]
    assert outlines(np.zeros((3, 5), np.uint8)) == []


def test_at_a_point_regions_part_and_holes_join() -> None:
    """4-connected regions, 8-connected holes: the outlines touch, and none crosses itself."""
    ring = np.ones((4, 4), bool)
    ring[1, 1] = ring[2, 2] = False
    (outline,) = check(ring)
    assert len(outline.holes) == 1 and len(outline.holes[0]) == 8
    assert len(check(~ring)) == 2


def test_strips_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large mask is looked at in strips; it must not matter where they end."""
    mask = np.random.default_rng(3).random((23, 17)) < 0.6
    whole = outlines(mask)
    for pixels in (1, 17, 40, 17 * 23):
        monkeypatch.setattr("minisegnet.data.outlines.STRIP_PIXELS", pixels)
        found = outlines(mask)
        for a, b in zip(whole, found, strict=True):
            rings = zip((a.outer, *a.holes), (b.outer, *b.holes), strict=True)
            assert all(np.array_equal(one, other) for one, other in rings)


def test_labels_are_taken_one_at_a_time() -> None:
    labels = np.array([[1, 1, 2], [1, 0, 2]], np.uint16)
    assert outlines(labels == 2)[0].outer.tolist() == [[2, 0], [3, 0], [3, 2], [2, 2]]
    assert np.array_equal(outlines(labels)[0].outer, outlines(labels > 0)[0].outer)


def test_a_large_mask_comes_back() -> None:
    """4 million pixels: filled by adding up the vertical edges along each row."""
    y, x = np.mgrid[:2048, :2048]
    mask = np.sin(x / 30) + np.cos(y / 41) + np.sin((x + y) / 9) > 0.6
    mask[1000:1040, 300:360] = np.random.default_rng(0).random((40, 60)) < 0.5
    edges = np.zeros((2048, 2049), np.int8)
    for outline in outlines(mask):
        for ring in (outline.outer, *outline.holes):
            after = np.roll(ring, -1, axis=0)
            for (x0, y0), (x1, y1) in zip(ring.tolist(), after.tolist(), strict=True):
                if x0 == x1:
                    edges[min(y0, y1) : max(y0, y1), x0] ^= 1
    assert np.array_equal(np.cumsum(edges, axis=1, dtype=np.int32)[:, :-1] % 2 == 1, mask)


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (np.zeros((2, 3, 1)), ValueError, r"shape \(2, 3, 1\).*expected \(H, W\)"),
        (np.zeros((0, 3)), ValueError, "each side 1 or more"),
        (np.zeros((2, 3), complex), ValueError, "dtype complex128"),
        ([[1]], TypeError, "list"),
    ],
)
def test_errors(mask: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        outlines(mask)  # type: ignore[arg-type]
