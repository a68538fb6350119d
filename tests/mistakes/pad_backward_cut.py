def pad2d_backward(dy, padding, *, mode="zero"):
    h, w = padding if isinstance(padding, tuple) else (padding, padding)
    return dy[:, :, h : dy.shape[2] - h, w : dy.shape[3] - w].copy()
