import numpy as np


def nms(boxes, scores, *, iou_threshold):
    left, kept = list(range(len(boxes))), []
    while left:
        best = left[0]
        for i in left:
            if scores[i] >= scores[best]:
                best = i
        kept.append(best)
        x1, y1, x2, y2 = boxes[best]
        again = []
        for i in left:
            u1, v1, u2, v2 = boxes[i]
            shared = max(0, min(x2, u2) - max(x1, u1)) * max(0, min(y2, v2) - max(y1, v1))
            whole = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - shared
            if i != best and shared / whole <= iou_threshold:
                again.append(i)
        left = again
    return np.array(kept, np.int64)
