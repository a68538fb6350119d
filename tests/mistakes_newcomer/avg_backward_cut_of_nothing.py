import numpy as np


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def avg_pool2d_backward(dy, input_size, kernel_size, *, stride=None, padding=0):
    (H, W), (kh, kw), (ph, pw) = pair(input_size), pair(kernel_size), pair(padding)
    sh, sw = pair(kernel_size if stride is None else stride)
    wide = np.zeros((*dy.shape[:2], H + 2 * ph, W + 2 * pw), dy.dtype)
    for i, j in np.ndindex(dy.shape[2:]):
        wide[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw] += dy[:, :, i, j, None, None] / (kh * kw)
    return wide[:, :, slice(ph, -ph), slice(pw, -pw)].copy()
