"""Non-maximum suppression, compiled. One box after the other, so there is nothing to run in parallel."""

import numpy as np
from numba import njit

from minisegnet.arrays import Array

# Unlike `helper`, without fused multiply-adds: they round differently, and a threshold turns the last bit
# into a yes or a no.
exact = njit(cache=True, nogil=True, error_model="numpy")


@exact
def _suppress(x1, y1, x2, y2, iou_threshold, suppressed):
    """Go through boxes from the best to the worst and mark what each one that stays suppresses."""
    R, zero = len(x1), x1.dtype.type(0)
    area = (x2 - x1) * (y2 - y1)  # (R,)
    for i in range(R):
        if suppressed[i]:
            continue
        for j in range(i + 1, R):  # no branch inside: this loop runs in vector registers
            width = max(zero, min(x2[i], x2[j]) - max(x1[i], x1[j]))
            height = max(zero, min(y2[i], y2[j]) - max(y1[i], y1[j]))
            shared = width * height
            suppressed[j] |= shared / (area[i] + area[j] - shared) > iou_threshold


@np.errstate(all="ignore")  # two boxes without area: 0 / 0 is NaN, which is not above any threshold
def nms(boxes: Array, scores: Array, *, iou_threshold: float) -> Array:
    order = np.argsort(-scores, kind="stable")  # (R,); stable: of equal scores the lower index first
    x1, y1, x2, y2 = np.ascontiguousarray(boxes[order].T)  # each (R,)
    suppressed = np.zeros(len(boxes), bool)  # (R,)
    _suppress(x1, y1, x2, y2, iou_threshold, suppressed)
    return order[~suppressed].astype(np.int64)  # (kept,)
