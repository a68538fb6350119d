def linear_backward(dy, x, w):
    return dy.T @ x, dy.sum(axis=0)
