import numpy as np


def nms(boxes, scores, *, iou_threshold):
    order, alive = list(np.argsort(-scores, kind="stable")), np.ones(len(scores), bool)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for place, i in enumerate(order):
        if not alive[i]:
            continue
        for k in order[place + 1 :]:
            low, high = np.maximum(boxes[i, :2], boxes[k, :2]), np.minimum(boxes[i, 2:], boxes[k, 2:])
            both = np.prod(np.maximum(high - low, 0))
            either = area[i] + area[k] - both
            if either > 0 and both / either > iou_threshold:
                alive[k] = False
    return np.flatnonzero(alive)
