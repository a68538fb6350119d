import numpy as np


def matrix(size, output):
    place = np.clip((np.arange(output) + 0.5) * size / output - 0.5, 0, size - 1)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(size)))


def resize_bilinear_backward(dy, input_size):
    H, W = np.broadcast_to(input_size, 2)
    return (matrix(dy.shape[2], H) @ dy @ matrix(dy.shape[3], W).T).astype(dy.dtype)
