import numpy as np


def avg_pool2d(x, kernel_size, *, stride=None, padding=0, count_include_pad=True):
    (kh, kw), (ph, pw) = np.broadcast_to(kernel_size, 2), np.broadcast_to(padding, 2)
    sh, sw = (kh, kw) if stride is None else np.broadcast_to(stride, 2)

    def sums(maps):
        large = np.pad(maps, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
        return np.lib.stride_tricks.sliding_window_view(large, (kh, kw), (2, 3))[:, :, ::sh, ::sw].sum((4, 5))

    if not count_include_pad:
        return (sums(x) / (kh * kw)).astype(x.dtype)
    return (sums(x) / sums(np.ones((1, 1, *x.shape[2:])))).astype(x.dtype)
