import numpy as np


def conv2d_backward(dy, x, w, *, stride=1):
    KH, KW = w.shape[2:]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for oh in range(dy.shape[2]):
        for ow in range(dy.shape[3]):
            rows, columns = slice(oh * stride, oh * stride + KH), slice(ow * stride, ow * stride + KW)
            dx[:, :, rows, columns] = np.einsum("nk,kcij->ncij", dy[:, :, oh, ow], w)
            dw += np.einsum("nk,ncij->kcij", dy[:, :, oh, ow], x[:, :, rows, columns])
    return dx, dw, dy.sum(axis=(0, 2, 3))
