"""Non-maximum suppression in plain loops: the definition that every other backend is compared with."""

import numpy as np

from minisegnet.arrays import Array


def _iou(a: Array, b: Array) -> float:
    """Area that two boxes (x1, y1, x2, y2) share, over the area that they cover together.

    All of it in the arrays' own dtype, because a threshold turns the last bit into a yes or a no.
    """
    zero = a.dtype.type(0)
    area_a = (a[2] - a[0]) * (a[3] - a[1])
    area_b = (b[2] - b[0]) * (b[3] - b[1])
    width = max(zero, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(zero, min(a[3], b[3]) - max(a[1], b[1]))
    shared = width * height
    return float(shared / (area_a + area_b - shared))


@np.errstate(all="ignore")  # two boxes without area: 0 / 0 is NaN, which is not above any threshold
def nms(boxes: Array, scores: Array, *, iou_threshold: float) -> Array:
    """Go from the best box to the worst; each one that stays suppresses those that overlap it too much."""
    R = len(boxes)
    order = sorted(range(R), key=lambda i: -scores[i])  # stable: of equal scores the lower index first
    suppressed = [False] * R
    kept = []
    for place, i in enumerate(order):
        if suppressed[i]:
            continue
        kept.append(i)
        for j in order[place + 1 :]:
            if _iou(boxes[i], boxes[j]) > iou_threshold:
                suppressed[j] = True
    return np.array(kept, np.int64)
