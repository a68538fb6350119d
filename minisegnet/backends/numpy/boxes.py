"""Non-maximum suppression: of boxes that overlap much, keep the one with the best score."""

import numpy as np

from minisegnet.arrays import Array


@np.errstate(divide="ignore", over="ignore", invalid="ignore")
def nms(boxes: Array, scores: Array, *, iou_threshold: float) -> Array:
    """Keep the best candidate, drop all that overlap it too much, and go on with those that are left."""
    x1, y1, x2, y2 = boxes.T
    area = (x2 - x1) * (y2 - y1)
    candidates = np.argsort(-scores, kind="stable")  # best first; of equal scores the lower index first
    kept = []
    while len(candidates):
        # One step of the loop for each box that is kept; it meets all that are left at once.
        best, others = candidates[0], candidates[1:]
        kept.append(best)
        width = np.minimum(x2[best], x2[others]) - np.maximum(x1[best], x1[others])
        height = np.minimum(y2[best], y2[others]) - np.maximum(y1[best], y1[others])
        inter = np.maximum(width, 0) * np.maximum(height, 0)
        iou = inter / (area[best] + area[others] - inter)
        # The threshold is a Python float, so it is compared in float64; 0/0 is NaN and suppresses nothing.
        candidates = others[~(iou.astype(np.float64) > iou_threshold)]
    return np.array(kept, np.int64)
