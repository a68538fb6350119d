import numpy as np


def conv2d(x, w):
    size = x.shape[2] + w.shape[2] - 1, x.shape[3] + w.shape[3] - 1
    product = np.einsum("nchw,kchw->nkhw", np.fft.fft2(x, size), np.fft.fft2(w, size))
    full = np.fft.ifft2(product).real
    return full[:, :, w.shape[2] - 1 : x.shape[2], w.shape[3] - 1 : x.shape[3]].astype(x.dtype)
