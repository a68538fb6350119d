import numpy as np


def resize_nearest(x, size):
    OH, OW = size if isinstance(size, tuple) else (size, size)
    H, W = x.shape[2:]
    rows = np.minimum(np.rint(np.arange(OH) * H / OH).astype(int), H - 1)
    columns = np.minimum(np.rint(np.arange(OW) * W / OW).astype(int), W - 1)
    return x[:, :, rows[:, None], columns]
