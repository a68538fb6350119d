import numpy as np


def max_pool2d(x, kernel_size, *, stride=None, padding=0):
    W = x.shape[3]
    kh, kw = np.broadcast_to(kernel_size, 2)
    sh, sw = (kh, kw) if stride is None else np.broadcast_to(stride, 2)
    ph, pw = np.broadcast_to(padding, 2)
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=-np.inf)
    inside = np.pad(np.ones(x.shape, bool), ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    rows, columns = (padded.shape[2] - kh) // sh + 1, (padded.shape[3] - kw) // sw + 1
    y, indices = None, None
    for u, v in np.ndindex(kh, kw):
        part = np.s_[:, :, u : u + sh * rows : sh, v : v + sw * columns : sw]
        here, real = padded[part], inside[part]
        place = (np.arange(rows) * sh + u)[:, None] * W + np.arange(columns) * sw + v - pw
        if y is None:
            y, indices = here.copy(), np.where(real, place, -1)
            continue
        better = real & ((here > y) | np.isnan(here) | (indices < 0))
        y, indices = np.where(better, here, y), np.where(better, place, indices)
    return y, indices
