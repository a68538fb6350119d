def linear_backward(dy, x, w):
    return dy @ w, x.T @ dy, dy.sum(axis=0)
