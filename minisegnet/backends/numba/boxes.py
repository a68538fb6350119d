"""Non-maximum suppression, compiled. One box after the other, so there is nothing to run in parallel."""

import numpy as np

from minisegnet.arrays import Array

from .launch import exact


@np.errstate(all="ignore")  # two boxes without area: 0 / 0 is NaN, which is not above any threshold
def nms(boxes: Array, scores: Array, *, iou_threshold: float) -> Array:
    """Go from the best box to the worst; each one that stays suppresses those that overlap it too much."""
    order = np.argsort(-scores, kind="stable")  # (R,); stable: of equal scores the lower index first
    x1, y1, x2, y2 = np.ascontiguousarray(boxes[order].T)  # each (R,)
    suppressed = np.zeros(len(boxes), bool)  # (R,)
    _suppress(x1, y1, x2, y2, np.float64(iou_threshold), suppressed)  # IoU as a float64 against float64
    return order[~suppressed].astype(np.int64)  # (kept,)


@exact
def _suppress(x1, y1, x2, y2, iou_threshold, suppressed):
    """Go through boxes from the best to the worst and mark what each one that stays suppresses."""
    R, zero = len(x1), x1.dtype.type(0)
    area = (x2 - x1) * (y2 - y1)  # (R,)
    for i in range(R):
        if suppressed[i]:
            continue
        left, top, right, bottom = x1[i], y1[i], x2[i], y2[i]
        # The boxes after it.
        lefts, tops = x1[i + 1 :], y1[i + 1 :]
        rights, bottoms = x2[i + 1 :], y2[i + 1 :]
        areas, marks = area[i + 1 :], suppressed[i + 1 :]
        for j in range(R - i - 1):  # counted from 0 and without a branch: this loop runs in vector registers
            width = max(zero, min(right, rights[j]) - max(left, lefts[j]))
            height = max(zero, min(bottom, bottoms[j]) - max(top, tops[j]))
            shared = width * height
            marks[j] |= shared / (area[i] + areas[j] - shared) > iou_threshold
