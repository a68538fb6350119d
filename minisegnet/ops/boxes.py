"""Boxes: non-maximum suppression."""

import numpy as np

from minisegnet.arrays import Array
from minisegnet.ops import checks
from minisegnet.ops.dispatch import is_cupy, kernel


def nms(boxes: Array, scores: Array, *, iou_threshold: float) -> Array:
    """Keep the best of boxes that overlap: non-maximum suppression (비최대 억제, NMS).

    Go through the boxes from the highest score down. Keep a box unless its IoU (area of the intersection over
    area of the union) with one that is kept already is above the threshold.

    Parameters
    ----------
    boxes
        (R, 4), each row: x1, y1, x2, y2.
    scores
        (R,), of the boxes' dtype. Of equal scores the lower index comes first.
    iou_threshold
        Boxes with an IoU greater than this are suppressed.

    Returns
    -------
    kept
        int64 indices into boxes, best first.

    Notes
    -----
    It picks indices, so there is no backward.

    Examples
    --------
    >>> import numpy as np
    >>> boxes = np.array([[0.0, 0, 2, 2], [0, 0, 2, 1.5], [5, 5, 6, 6]])
    >>> nms(boxes, np.array([0.8, 0.9, 0.1]), iou_threshold=0.5)
    array([1, 2])
    """
    op = "nms"
    boxes = checks.floats(boxes, "boxes", op)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{op}: boxes has shape {boxes.shape}; expected (R, 4), each row x1, y1, x2, y2")
    scores = checks.floats(scores, "scores", op, like=boxes, like_name="boxes")
    checks.shape(scores, (boxes.shape[0],), "scores", op, "one score for each box")
    threshold = checks.number(iou_threshold, "iou_threshold", op)
    if not 0 <= threshold <= 1:
        raise ValueError(f"{op}: iou_threshold is {threshold}; expected a number from 0 to 1")
    for a, name in ((boxes, "boxes"), (scores, "scores")):
        if not is_cupy(a) and not np.isfinite(a).all():
            raise ValueError(f"{op}: {name} holds NaN or infinity; expected finite numbers")
    return kernel(op, boxes, scores)(
        checks.contiguous(boxes), checks.contiguous(scores), iou_threshold=threshold
    )
