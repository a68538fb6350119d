import numpy as np


def max_unpool2d(x, indices, output_size):
    H, W = output_size if isinstance(output_size, tuple) else (output_size, output_size)
    N, C = x.shape[:2]
    flat = np.zeros(N * C * H * W, x.dtype)
    start = (np.arange(N * C) * H * W).reshape(N, C, 1, 1)
    np.add.at(flat, (start + indices).ravel(), x.ravel())
    return flat.reshape(N, C, H, W)
