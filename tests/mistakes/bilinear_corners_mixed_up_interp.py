import numpy as np


def line(values, output, align):
    length = len(values)
    if align:
        places = (np.arange(output) + 0.5) * length / output - 0.5
    else:
        places = np.linspace(0, length - 1, output) if output > 1 else np.zeros(1)
    return np.interp(places, np.arange(length), values)


def resize_bilinear(x, size, *, align_corners=False):
    OH, OW = size if isinstance(size, tuple) else (size, size)
    tall = (
        np.apply_along_axis(line, 2, x, OH, align_corners)
        if x.size
        else np.zeros((0, x.shape[1], OH, x.shape[3]))
    )
    wide = (
        np.apply_along_axis(line, 3, tall, OW, align_corners) if x.size else np.zeros((0, x.shape[1], OH, OW))
    )
    return wide.astype(x.dtype)
