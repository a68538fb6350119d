"""Mistakes in resizing, in regions of interest and in non-maximum suppression."""

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from minisegnet.marking.suspects.suspect import right, suspect

# ---------------------------------------------------------------------------------------------------------
# resize_bilinear: as a matrix for each axis, so that the backward is its transpose

Place = Callable[[int, int, int, bool], float]


def _half_pixel(o: int, size: int, output: int, align: bool) -> float:
    if align:
        return o * (size - 1) / (output - 1) if output > 1 else 0.0
    return (o + 0.5) * size / output - 0.5


def _matrix(size: int, output: int, align: bool, place: Place, clamp: str = "both") -> Any:
    """Write the interpolation of one axis as a matrix (output, size)."""
    matrix = np.zeros((output, size))
    for o in range(output):
        source = place(o, size, output, align)
        if clamp == "both":
            source = max(source, 0.0)
        low = math.floor(source)
        fraction = source - low
        for index, weight in ((low, 1 - fraction), (low + 1, fraction)):
            if clamp == "zeros":  # what lies outside counts as 0
                if 0 <= index < size:
                    matrix[o, index] += weight
            elif clamp == "wraps":
                matrix[o, index % size] += weight
            else:
                matrix[o, min(max(index, 0), size - 1)] += weight
        if clamp == "extrapolates" and (low < 0 or low >= size - 1) and size > 1:
            matrix[o] = 0
            low = min(max(low, 0), size - 2)
            matrix[o, low], matrix[o, low + 1] = 1 - (source - low), source - low
    return matrix


def _resized(a: SimpleNamespace, matrix: Callable[[int, int, bool], Any]) -> Any:
    rows = matrix(a.x.shape[2], a.size[0], a.align_corners)
    columns = matrix(a.x.shape[3], a.size[1], a.align_corners)
    return np.einsum("oh,pw,nchw->ncop", rows, columns, a.x)


def _resized_back(a: SimpleNamespace, matrix: Callable[[int, int, bool], Any]) -> Any:
    rows = matrix(a.input_size[0], a.dy.shape[2], a.align_corners)
    columns = matrix(a.input_size[1], a.dy.shape[3], a.align_corners)
    return np.einsum("oh,pw,ncop->nchw", rows, columns, a.dy)


def _no_shift(o: int, size: int, output: int, align: bool) -> float:
    return _half_pixel(o, size, output, True) if align else o * size / output


def _rounded(o: int, size: int, output: int, align: bool) -> float:
    return float(min(math.floor(max(_half_pixel(o, size, output, align), 0.0) + 0.5), size - 1))


def _floored(o: int, size: int, output: int, align: bool) -> float:
    return float(min(math.floor(max(_half_pixel(o, size, output, align), 0.0)), size - 1))


def _plain_matrix(place: Place, clamp: str = "both") -> Callable[[int, int, bool], Any]:
    return lambda size, output, align: _matrix(size, output, align, place, clamp)


BILINEAR: tuple[tuple[str, str, Callable[[int, int, bool], Any]], ...] = (
    (
        "half-pixel-forgotten",
        """the shift by half a pixel is missing: with align_corners=False output place o lies at (o + 0.5) * H
        / OH - 0.5 of
        the input, not at o * H / OH; the pixels' edges fall on each other, not their corners""",
        _plain_matrix(_no_shift),
    ),
    (
        "border-not-clamped",
        """places before the first pixel aren't clamped: a place below 0 counts as 0 (max(source, 0)); yours
        goes on the
        other way, with a negative weight""",
        _plain_matrix(_half_pixel, "extrapolates"),
    ),
    (
        "border-zeros",
        """what lies outside of the map counts as 0 here; it repeats the edge: clamp the neighbours to 0..H-1""",
        _plain_matrix(_half_pixel, "zeros"),
    ),
    (
        "border-wraps",
        """beyond the edge the opposite side of the map is seen: index -1 is the last one in Python. Clamp
        source to at least
        0 and the second neighbour to at most H-1""",
        _plain_matrix(_half_pixel, "wraps"),
    ),
    (
        "nearest",
        """this takes the nearest pixel; a place between two pixels is a blend of both, by its distances""",
        _plain_matrix(_rounded),
    ),
    (
        "floor",
        """this takes the pixel above and to the left; a place between two pixels is a blend of both: the lower
        neighbour
        weighs 1 - fraction, the upper one fraction""",
        _plain_matrix(_floored),
    ),
    (
        "weights-swapped",
        """the two weights are swapped: near the lower neighbour the fraction is small, and it weighs 1 - fraction""",
        lambda size, output, align: _swapped_weights(size, output, align),
    ),
)


def _swapped_weights(size: int, output: int, align: bool) -> Any:
    matrix = np.zeros((output, size))
    for o in range(output):
        source = max(_half_pixel(o, size, output, align), 0.0)
        low = min(math.floor(source), size - 1)
        matrix[o, low] += source - low
        matrix[o, min(low + 1, size - 1)] += 1 - (source - low)
    return matrix


for _name, _hint, _rule in BILINEAR:
    suspect(f"resize_bilinear.{_name}", "resize_bilinear", "y", _hint)(
        lambda a, rule=_rule: _resized(a, rule)
    )
    suspect(f"resize_bilinear_backward.{_name}", "resize_bilinear_backward", "dx", _hint)(
        lambda a, rule=_rule: _resized_back(a, rule)
    )

RESIZED_BACK = """dx is dy resized back to the input's size. That is no gradient: each output pixel hands dy
        times its weight to
    the pixels that it was blended from, and what arrives at one pixel adds up (the transpose of the forward)"""
suspect("resize_bilinear_backward.resized-back", "resize_bilinear_backward", "dx", RESIZED_BACK)(
    lambda a: right(
        "resize_bilinear", SimpleNamespace(x=a.dy, size=a.input_size, align_corners=a.align_corners)
    )
)


def _bilinear_overwritten(a: SimpleNamespace, order: Sequence[tuple[int, int]]) -> Any:
    H, W = a.input_size
    OH, OW = a.dy.shape[2:]
    dx = np.zeros((*a.dy.shape[:2], H, W))
    for oh, ow in np.ndindex(OH, OW):
        y, x = (max(_half_pixel(*axis, a.align_corners), 0.0) for axis in ((oh, H, OH), (ow, W, OW)))
        top, left = min(int(y), H - 1), min(int(x), W - 1)
        for i, j in order:
            weight = (y - top if i else 1 - y + top) * (x - left if j else 1 - x + left)
            dx[:, :, min(top + i, H - 1), min(left + j, W - 1)] = weight * a.dy[:, :, oh, ow]
    return dx


suspect("resize_bilinear_backward.overwritten", "resize_bilinear_backward", "dx", """every share replaces what
        was there; shares add up:
    is there an `=` where `+=` should be?""")(
    lambda a: _bilinear_overwritten(a, ((0, 0), (0, 1), (1, 0), (1, 1)))
)  # fmt: skip


def _buffered(a: SimpleNamespace) -> Any:
    """Add with an array of places at once: NumPy adds once for each place."""
    H, W = a.input_size
    OH, OW = a.dy.shape[2:]
    dx = np.zeros((*a.dy.shape[:2], H, W))
    y, x = (
        np.maximum([_half_pixel(o, size, out, a.align_corners) for o in range(out)], 0.0)
        for size, out in ((H, OH), (W, OW))
    )
    top, left = np.minimum(y.astype(int), H - 1), np.minimum(x.astype(int), W - 1)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = np.outer(y - top if i else 1 - y + top, x - left if j else 1 - x + left)
        rows, columns = np.minimum(top + i, H - 1), np.minimum(left + j, W - 1)
        dx[:, :, rows[:, None], columns[None, :]] += weight * a.dy
    return dx


suspect("resize_bilinear_backward.overwritten", "resize_bilinear_backward", "dx", """`dx[:, :, rows, columns]
        += ...` with arrays of
    places adds only once where a place comes several times; np.add.at adds every one""")(_buffered)  # fmt: skip


# ---------------------------------------------------------------------------------------------------------
# resize_nearest


def _picked(a: SimpleNamespace, rule: Callable[[int, int, int], int]) -> Any:
    H, W = a.x.shape[2:]
    rows = [rule(o, H, a.size[0]) for o in range(a.size[0])]
    columns = [rule(o, W, a.size[1]) for o in range(a.size[1])]
    return a.x[:, :, rows][:, :, :, columns]


def _picked_back(a: SimpleNamespace, rule: Callable[[int, int, int], int], add: bool) -> Any:
    (H, W), (OH, OW) = a.input_size, a.dy.shape[2:]
    dx = np.zeros((*a.dy.shape[:2], H, W))
    for oh, ow in np.ndindex(OH, OW):
        row, column = rule(oh, H, OH), rule(ow, W, OW)
        dx[:, :, row, column] = a.dy[:, :, oh, ow] + (dx[:, :, row, column] if add else 0)
    return dx


def _nearest(o: int, size: int, output: int) -> int:
    return o * size // output


NEAREST: dict[str, tuple[str, Callable[[int, int, int], int]]] = {
    "rounded": (
        """the source is rounded; it is floor(o * H / OH), written in whole numbers o * H // OH""",
        lambda o, size, output: min(round(o * size / output), size - 1),
    ),
    "half-pixel": (
        """the source is taken from the middle of the output pixel; resize_nearest takes floor(o * H / OH),
        without the half
        pixel""",
        lambda o, size, output: min(int((o + 0.5) * size / output), size - 1),
    ),
    "align-corners": (
        """first and last pixels are aligned; resize_nearest takes floor(o * H / OH)""",
        lambda o, size, output: round(o * (size - 1) / max(output - 1, 1)),
    ),
    "whole-factor": (
        """each pixel is repeated OH // H times; where OH isn't a multiple of H that is wrong: take pixel o * H
        // OH""",
        lambda o, size, output: min(o // max(output // size, 1), size - 1),
    ),
}
for _name, (_hint, _pick) in NEAREST.items():
    suspect(f"resize_nearest.{_name}", "resize_nearest", "y", _hint)(lambda a, rule=_pick: _picked(a, rule))
    suspect(f"resize_nearest_backward.{_name}", "resize_nearest_backward", "dx", _hint)(
        lambda a, rule=_pick: _picked_back(a, rule, add=True)
    )
suspect("resize_nearest_backward.overwritten", "resize_nearest_backward", "dx", """a pixel that was copied
        several times gets only one
    copy's gradient; they add up: `+=`, and np.add.at where the places are an array""")(
    lambda a: _picked_back(a, _nearest, add=False)
)  # fmt: skip
suspect("resize_nearest_backward.resized-back", "resize_nearest_backward", "dx", RESIZED_BACK)(
    lambda a: right("resize_nearest", SimpleNamespace(x=a.dy, size=a.input_size))
)


def _mean_of_copies(a: SimpleNamespace) -> Any:
    ones = SimpleNamespace(dy=np.ones_like(a.dy), input_size=a.input_size)
    count = right("resize_nearest_backward", ones)
    return right("resize_nearest_backward", a) / np.maximum(count, 1)


suspect("resize_nearest_backward.mean", "resize_nearest_backward", "dx", """dx is the mean of the copies'
        gradients; a copy passes its
    gradient on undivided, so that dx is their sum""")(_mean_of_copies)  # fmt: skip


# ---------------------------------------------------------------------------------------------------------
# roi_pool


def _half_away(value: float) -> int:
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def _ceiled(i: int, extent: int, bins: int) -> int:
    return -(-(i + 1) * extent // bins)


def _roi_pooled(
    a: SimpleNamespace,
    rounding: Callable[[float], int] = _half_away,
    more: int = 1,
    end: Callable[[int, int, int], int] = _ceiled,
    empty: float = 0.0,
    picture: Callable[[float], int] = int,
    order: Sequence[int] = (1, 2, 3, 4),
    in_bin: bool = False,
) -> tuple[Any, Any]:
    C, H, W = a.x.shape[1:]
    OH, OW = a.output_size
    y = np.zeros((len(a.rois), C, OH, OW))
    argmax = np.full(y.shape, -1)
    for r, roi in enumerate(a.rois):
        x1, y1, x2, y2 = (rounding(float(roi[i]) * a.spatial_scale) for i in order)
        h, w = max(y2 - y1 + more, 1), max(x2 - x1 + more, 1)
        for i, j in np.ndindex(OH, OW):
            top, bottom = (min(max(y1 + v, 0), H) for v in (i * h // OH, end(i, h, OH)))
            left, right_ = (min(max(x1 + v, 0), W) for v in (j * w // OW, end(j, w, OW)))
            for c in range(C):
                window = a.x[picture(roi[0]), c, top:bottom, left:right_]
                if not window.size:
                    y[r, c, i, j] = empty
                    continue
                at = int(np.argmax(window))
                row, column = divmod(at, window.shape[1])
                y[r, c, i, j] = window[row, column]
                argmax[r, c, i, j] = at if in_bin else (top + row) * W + left + column
    return y, argmax


ROI: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "corners-floored",
        """the corners are cut off (int or floor); they are rounded to the nearest pixel, halves away from zero""",
        {"rounding": math.floor},
    ),
    (
        "bankers-rounding",
        """Python's round (and np.round) rounds 0.5 to 0 and 2.5 to 2, to the even neighbour; the corners round
        halves away
        from zero: math.floor(v + 0.5) for v >= 0""",
        {"rounding": round},
    ),
    (
        "extent-not-inclusive",
        """the last row and column are missing: both corners belong to the region, its height is y2 - y1 + 1""",
        {"more": 0},
    ),
    (
        "bin-end-floored",
        """the bins end too early: bin i ends before ceil((i + 1) * h / OH), so that neighbours may share a row""",
        {"end": lambda i, extent, bins: (i + 1) * extent // bins},
    ),
    ("empty-bin", """an empty bin, one outside of the map, gives 0 (and argmax -1), not minus
        infinity""", {"empty": -math.inf}),
    ("empty-bin", """an empty bin, one outside of the map, gives 0 (and argmax -1), not NaN""", {"empty": math.nan}),
    (
        "first-picture",
        """every region looks at the first picture: rois[r, 0] says which one""",
        {"picture": lambda number: 0},
    ),
    (
        "x-y-swapped",
        """x and y are swapped: a region is (picture, x1, y1, x2, y2), x counts columns, y counts rows""",
        {"order": (2, 1, 4, 3)},
    ),
)  # fmt: skip
for _name, _hint, _change in ROI:
    for _part, _output in enumerate(("y", "argmax")):
        suspect(f"roi_pool.{_name}", "roi_pool", _output, _hint)(
            lambda a, part=_part, change=_change: _roi_pooled(a, **change)[part]
        )
suspect("roi_pool.argmax-in-bin", "roi_pool", "argmax", """argmax counts inside the bin; it is a position in
        the map: row * W +
    column""")(lambda a: _roi_pooled(a, in_bin=True)[1])  # fmt: skip


def _roi_back(a: SimpleNamespace, add: bool = True, first: bool = False, wraps: bool = False) -> Any:
    N, C, H, W = a.input_shape
    dx = np.zeros((N, C, H * W))
    for r, c, i, j in np.ndindex(*a.dy.shape):
        n, at = 0 if first else int(a.rois[r, 0]), int(a.argmax[r, c, i, j])
        if at >= 0 or wraps:
            dx[n, c, at] = a.dy[r, c, i, j] + (dx[n, c, at] if add else 0)
    return dx.reshape(a.input_shape)


suspect("roi_pool_backward.overwritten", "roi_pool_backward", "dx", """where several bins or regions chose the
        same pixel, only the last
    one's gradient is left; they add up (`+=`, or np.add.at)""")(lambda a: _roi_back(a, add=False))  # fmt: skip
suspect("roi_pool_backward.first-picture", "roi_pool_backward", "dx", """all gradients go to the first picture:
        rois[r, 0] says which
    one""")(lambda a: _roi_back(a, first=True))  # fmt: skip
suspect("roi_pool_backward.empty-bin", "roi_pool_backward", "dx", """empty bins send their gradient to the last
        pixel: their argmax is
    -1, which Python takes for the last place. Leave them out""")(lambda a: _roi_back(a, wraps=True))  # fmt: skip
suspect("roi_align.first-picture", "roi_align", "y", """every region looks at the first picture: rois[r, 0]
        says which one""")(
    lambda a: right("roi_align", a, rois=a.rois * np.array([0, 1, 1, 1, 1], a.rois.dtype))
)  # fmt: skip
suspect("roi_align.x-y-swapped", "roi_align", "y", """x and y are swapped: a region is (picture, x1, y1, x2,
        y2), x counts
    columns, y counts rows""")(lambda a: right("roi_align", a, rois=a.rois[:, [0, 2, 1, 4, 3]]))  # fmt: skip
suspect("roi_align_backward.first-picture", "roi_align_backward", "dx", """all gradients go to the first
        picture: rois[r, 0] says
    which one""")(
    lambda a: right("roi_align_backward", a, rois=a.rois * np.array([0, 1, 1, 1, 1], a.rois.dtype))
)  # fmt: skip


def _last_region(a: SimpleNamespace) -> Any:
    dx = np.zeros(a.input_shape)
    for r in range(len(a.rois)):
        one = right("roi_align_backward", a, dy=a.dy[r : r + 1], rois=a.rois[r : r + 1])
        n = int(a.rois[r, 0])
        dx[n] = one[n]
    return dx


suspect("roi_align_backward.overwritten", "roi_align_backward", "dx", """only one region's gradient is left in
        each picture: the gradients
    of regions add up (`+=`)""")(_last_region)  # fmt: skip


# ---------------------------------------------------------------------------------------------------------
# nms


def _suppressed(
    a: SimpleNamespace,
    at_least: bool = False,
    last_tie: bool = False,
    more: float = 0.0,
    by_suppressed: bool = False,
    over: str = "union",
    worst: bool = False,
) -> Any:
    boxes = a.boxes.astype(float)
    places = range(len(boxes))
    order = sorted(places, key=lambda i: (a.scores[i] if worst else -a.scores[i], -i if last_tie else i))
    kept, gone = [], [False] * len(boxes)
    for place, i in enumerate(order):
        if not gone[i]:
            kept.append(i)
        elif not by_suppressed:
            continue
        for j in order[place + 1 :]:
            iou = _overlap(boxes[i], boxes[j], more, over)
            if iou > a.iou_threshold or (at_least and iou >= a.iou_threshold):
                gone[j] = True
    return np.array(kept, np.int64)


def _overlap(a: Any, b: Any, more: float, over: str) -> float:
    area_a, area_b = ((c[2] - c[0] + more) * (c[3] - c[1] + more) for c in (a, b))
    width = max(min(a[2], b[2]) - max(a[0], b[0]) + more, 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]) + more, 0)
    whole = area_a + area_b - width * height if over == "union" else min(area_a, area_b)
    return float(width * height / whole) if whole else math.nan


NMS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "at-least",
        """a box whose IoU equals the threshold is suppressed; only IoU > threshold suppresses, so that `>=` is
        one too
        many""",
        {"at_least": True},
    ),
    (
        "ties-last-first",
        """of equal scores the later box comes first; the lower index comes first. np.argsort(scores)[::-1] turns ties
        around: sort -scores with kind="stable" instead""",
        {"last_tie": True},
    ),
    (
        "one-pixel-more",
        """widths are counted as x2 - x1 + 1; here corners are coordinates, and a width is x2 - x1""",
        {"more": 1.0},
    ),
    (
        "suppressed-suppress",
        """a box that is suppressed suppresses others still; only boxes that are kept do""",
        {"by_suppressed": True},
    ),
    (
        "over-smaller-box",
        """the shared area is divided by the smaller box; IoU divides by the union, area_a + area_b - shared""",
        {"over": "smaller"},
    ),
    ("worst-first", """it begins with the lowest score; go from the best to the worst""", {"worst": True}),
)  # fmt: skip
for _name, _hint, _change in NMS:
    suspect(f"nms.{_name}", "nms", "kept", _hint)(lambda a, change=_change: _suppressed(a, **change))
suspect("nms.sorted-by-index", "nms", "kept", """the right boxes are kept, but in the order of their indices;
        the best score comes
    first""")(lambda a: np.sort(right("nms", a)))  # fmt: skip
