"""Non-maximum suppression in CUDA: the kernels are in boxes.cu."""

import numpy as np

from minisegnet.arrays import Array

from . import launch

BITS = 64  # boxes that one word of the mask tells of, and threads of the block that makes it


def nms(boxes: Array, scores: Array, *, iou_threshold: float) -> Array:
    """Go from the best box to the worst; each one that stays suppresses those that overlap it too much.

    How many stay is known on the device only, so that the host waits for it here.
    """
    R = len(boxes)
    words = -(-R // BITS)
    order, sorted_boxes = launch.empty(R, boxes, np.int64), launch.empty((R, 4), boxes)
    mask = launch.empty((R, words), boxes, np.uint64)
    suppressed, kept = launch.empty(words, boxes, np.uint64), launch.empty(R, boxes, np.int64)
    count = launch.zeros(1, boxes, np.int32)
    arguments = (boxes, scores, order, sorted_boxes, R, launch.problem(boxes))
    launch.each("boxes", "nms_order", R, *arguments, like=boxes)
    launch.blocks(
        "boxes", "nms_mask", words * words, BITS, sorted_boxes, mask, R, words, iou_threshold, like=boxes
    )
    arguments = (mask, order, suppressed, kept, count, R, words)
    launch.blocks("boxes", "nms_keep", 1 if R else 0, 256, *arguments, like=boxes)
    return kept[: int(count[0])].copy()  # (kept,)
