import numpy as np


def nms(boxes, scores, *, iou_threshold):
    order = np.argsort(scores, kind="stable")[::-1]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while order.size:
        i, rest = order[0], order[1:]
        kept.append(i)
        width = np.minimum(boxes[i, 2], boxes[rest, 2]) - np.maximum(boxes[i, 0], boxes[rest, 0])
        height = np.minimum(boxes[i, 3], boxes[rest, 3]) - np.maximum(boxes[i, 1], boxes[rest, 1])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        order = rest[shared / (area[i] + area[rest] - shared) <= iou_threshold]
    return np.array(kept, np.int64)
