import numpy as np


def max_pool2d(x, kernel_size):
    N, C, H, W = x.shape
    K = kernel_size
    OH, OW = H // K, W // K
    y = np.full((N, C, OH, OW), np.nan, x.dtype)
    for i in range(K):
        for j in range(K):
            y = np.where(
                (x[:, :, i : OH * K : K, j : OW * K : K] > y) | (y != y),
                x[:, :, i : OH * K : K, j : OW * K : K],
                y,
            )
    return y
