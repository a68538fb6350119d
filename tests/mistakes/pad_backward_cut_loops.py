import numpy as np


def pad2d_backward(dy, padding, *, mode="zero"):
    ph, pw = np.broadcast_to(padding, 2)
    dx = np.zeros((*dy.shape[:2], dy.shape[2] - 2 * ph, dy.shape[3] - 2 * pw), dy.dtype)
    for n, c, h, w in np.ndindex(*dx.shape):
        dx[n, c, h, w] += dy[n, c, h + ph, w + pw]
    return dx
