import numpy as np


def conv_transpose2d(x, w, *, padding=0):
    H, W = x.shape[2:]
    KH, KW = w.shape[2:]
    y = np.zeros((len(x), w.shape[1], H + KH - 1 - 2 * padding, W + KW - 1 - 2 * padding), x.dtype)
    for u, v in np.ndindex(KH, KW):
        painted = np.einsum("nchw,ck->nkhw", x, w[:, :, u, v])
        rows = [r for r in range(u - padding, u - padding + H) if not r >= y.shape[2]]
        columns = [q for q in range(v - padding, v - padding + W) if not q >= y.shape[3]]
        np.add.at(
            y,
            (slice(None), slice(None), np.array(rows, int)[:, None], np.array(columns, int)),
            painted[:, :, : len(rows), : len(columns)],
        )
    return y
