import numpy as np


def roi_pool(x, rois, output_size, *, spatial_scale=1.0):
    C, H, W = x.shape[1:]
    OH, OW = np.broadcast_to(output_size, 2)
    y, argmax = np.zeros((len(rois), C, OH, OW), x.dtype), np.full((len(rois), C, OH, OW), -1)
    for r, (n, *corners) in enumerate(rois):
        x1, y1, x2, y2 = (round(float(v) * spatial_scale) for v in corners)
        h, w = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
        for c, i, j in np.ndindex(C, OH, OW):
            rows = np.clip([y1 + i * h // OH, y1 - (-(i + 1) * h // OH)], 0, H)
            columns = np.clip([x1 + j * w // OW, x1 - (-(j + 1) * w // OW)], 0, W)
            best = None
            for row in range(*rows):
                for column in range(*columns):
                    value = x[int(n), c, row, column]
                    if best is None or value > best or value != value:
                        best = value
                        y[r, c, i, j], argmax[r, c, i, j] = value, row * W + column
    return y, argmax
