import numpy as np


def max_pool2d_backward(dy, indices, input_size):
    H, W = input_size if isinstance(input_size, tuple) else (input_size, input_size)
    N, C = dy.shape[:2]
    dx = np.zeros((N, C, H * W), dy.dtype)
    n, c = np.ogrid[:N, :C]
    dx[n[..., None], c[..., None], indices.reshape(N, C, -1)] += dy.reshape(N, C, -1)
    return dx.reshape(N, C, H, W)
