# %% [markdown]
# # Solutions: convolution

# %%
import numpy as np

from minisegnet import ops, sizes

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. Sizes on paper
#
# - s = 2, p = 0: the kernel covers 3, floor((7 - 3) / 2) + 1 = 3.
# - s = 1, d = 2, p = 2: it covers 2·2 + 1 = 5, and 7 + 4 - 5 + 1 = 7. The size stays.
# - k = 5, s = 1: H + 2p - 5 + 1 = H gives p = 2. In general p = d(k - 1) / 2, so k must be odd
#   (or d even).

# %%
assert sizes.conv2d_size(7, 3, stride=2) == (3, 3)
assert sizes.conv2d_size(7, 3, padding=2, dilation=2) == (7, 7)
assert all(sizes.conv2d_size(H, 5, padding=2) == (H, H) for H in range(1, 50))
print("1. sizes: 3, 7, and p = 2")

# %% [markdown]
# ## 2. Shift and add
#
# Weight (i, j) meets pixel (oh + i, ow + j) for every output (oh, ow). All these pixels together
# are the picture, shifted up by i and left by j. `einsum` sums over the channels c.


# %%
def conv2d_shifts(x, w):
    """Convolve a batch (N, C, H, W) with kernels (K, C, KH, KW)."""
    KH, KW = w.shape[2:]
    OH, OW = x.shape[2] - KH + 1, x.shape[3] - KW + 1
    y = np.zeros((x.shape[0], w.shape[0], OH, OW))  # (N, K, OH, OW)
    for i, j in np.ndindex(KH, KW):
        y += np.einsum("kc,nchw->nkhw", w[:, :, i, j], x[:, :, i : i + OH, j : j + OW])
    return y


x, w = rng.standard_normal((2, 3, 8, 9)), rng.standard_normal((4, 3, 3, 2))
assert np.allclose(conv2d_shifts(x, w), ops.conv2d(x, w))
print("2. shift and add equals ops.conv2d")

# %% [markdown]
# ## 3. Two thin kernels
#
# A k x k kernel that is a column times a row costs 2k multiplications a pixel instead of k². All
# its rows are multiples of one row (its rank is 1; `np.linalg.matrix_rank` tells). The lesson's
# edge kernel can be split. "The middle pixel minus its four neighbours" can't, and a random kernel
# nearly never can.

# %%
x = rng.standard_normal((1, 1, 9, 9))
column, row = np.full((1, 1, 3, 1), 1 / 3), np.full((1, 1, 1, 3), 1 / 3)
mean = np.full((1, 1, 3, 3), 1 / 9)
assert np.allclose(ops.conv2d(ops.conv2d(x, column), row), ops.conv2d(x, mean))

edge = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
middle = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])
assert np.linalg.matrix_rank(edge) == 1 and (np.outer([1, 2, 1], [-1, 0, 1]) == edge).all()
assert np.linalg.matrix_rank(middle) == 2, "a column times a row has rank 1"
print("3. two thin kernels: 6 multiplications a pixel instead of 9")

# %% [markdown]
# ## 4. VGG16
#
# By the rule, block after block: 5, 6 | 10, 14, 16 | and so on, with jumps 1, 2, 4, 8, 16 and 32.
# To measure on one axis, pictures are H x 1: each of the H pictures in the batch has one pixel
# raised. There is no padding, so every output sees its whole field; H = 600 leaves a few outputs.

# %%
vgg = [
    layer
    for count in (2, 2, 3, 3, 3)
    for layer in [sizes.Layer((3, 1))] * count + [sizes.Layer((2, 1), stride=(2, 1))]
]
for name, layers, expected in (
    ("VGG16", vgg, 212),
    ("with 7x7", [*vgg, sizes.Layer((7, 1))], 404),
):
    size, jump = 1, 1
    for layer in layers:
        k, s = layer.kernel_size[0], 2 if layer.kernel_size[0] == 2 else 1
        size, jump = size + (k - 1) * jump, jump * s

    H = 600
    y = np.eye(H).reshape(H, 1, H, 1)  # (N, 1, H, 1)
    for layer in layers:
        kernel = np.full((1, 1, *layer.kernel_size), 1 / layer.kernel_size[0])
        y = ops.conv2d(y, kernel, stride=layer.stride)
    seen = np.flatnonzero(y[:, 0, y.shape[2] // 2, 0])  # the input rows that matter
    print(f"4. {name}: computed {size}, measured {seen[-1] - seen[0] + 1}")
    assert size == seen[-1] - seen[0] + 1 == expected
    assert size == sizes.receptive_field(layers).size[0]
