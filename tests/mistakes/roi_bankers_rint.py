import numpy as np


def roi_pool(x, rois, output_size, *, spatial_scale=1.0):
    H, W = x.shape[2:]
    OH, OW = np.broadcast_to(output_size, 2)
    y = np.zeros((len(rois), x.shape[1], OH, OW), x.dtype)
    for r, roi in enumerate(rois):
        x1, y1, x2, y2 = np.rint(roi[1:] * spatial_scale).astype(int)
        h, w = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
        for i in range(OH):
            for j in range(OW):
                top, bottom = max(y1 + i * h // OH, 0), min(y1 + -(-(i + 1) * h // OH), H)
                left, right = max(x1 + j * w // OW, 0), min(x1 + -(-(j + 1) * w // OW), W)
                if top < bottom and left < right:
                    y[r, :, i, j] = x[int(roi[0]), :, top:bottom, left:right].max(axis=(1, 2))
    return y
