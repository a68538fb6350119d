def softmax_backward(dy, y):
    return dy * y * (1 - y)
