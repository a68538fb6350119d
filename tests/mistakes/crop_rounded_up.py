import math


def crop2d(x, size):
    h, w = size if isinstance(size, tuple) else (size, size)
    top, left = math.ceil((x.shape[2] - h) / 2), math.ceil((x.shape[3] - w) / 2)
    return x[:, :, top : top + h, left : left + w].copy()
