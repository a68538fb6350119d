import numpy as np


def linear_backward(dy, x, w):
    N, OUT = dy.shape
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros(OUT, x.dtype)
    for n in range(N):
        for o in range(OUT):
            db[o] += dy[n, o] / N
            dx[n] += dy[n, o] * w[o]
            dw[o] += dy[n, o] * x[n]
    return dx, dw, db
