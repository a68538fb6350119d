import numpy as np


def pad2d(x, padding, *, mode="zero"):
    h, w = np.broadcast_to(padding, 2)
    how = "symmetric" if mode == "reflect" else "constant"
    return np.pad(x, ((0, 0), (0, 0), (h, h), (w, w)), mode=how)
