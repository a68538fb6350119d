# %% [markdown]
# # Solutions: the same kernel four times

# %%
import numpy as np

from minisegnet import models, ops, sizes

rng = np.random.default_rng(14)

# %% [markdown]
# ## 1. Products of one layer
#
# 568 * 568 outputs in each of 64 channels, each a sum of 64 * 3 * 3 products:
# 568 * 568 * 64 * 576 = 11,893,211,136. At a microsecond each 11,893 seconds, more than three
# hours, for one layer, forward only, one picture.

# %%
paper = models.build("unet", in_channels=1, classes=2, width=64, padding="valid", initialise=False)
weights = [p for name, p in paper.named_parameters() if name.endswith("weight")]
side = sizes.conv2d_size(sizes.conv2d_size(572, 3), 3)[0]
products = side * side * weights[1].data.size  # each weight is used once at each place
assert side == 568 and weights[1].shape == (64, 64, 3, 3)
assert products == 568 * 568 * 64 * 64 * 9 == 11_893_211_136
print(f"{products:,} products: {products / 1e6 / 3600:.1f} hours in loops")

# %% [markdown]
# ## 2. A backend of your own
#
# `ops` checks the arguments and hands pairs to the kernel. Padding first; then for each tap the
# pixels that it meets: from (i, j) on in steps of the stride. What a module lacks, raises.


# %%
def conv2d_taps(x, w, b, *, stride, padding, dilation, groups):
    """Convolution by taps, for dilation 1 and one group."""
    if dilation != (1, 1) or groups != 1:
        raise ValueError(f"dilation {dilation} and groups {groups}; this kernel knows 1 only")
    (ph, pw), (sh, sw) = padding, stride
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))  # (N, C, H + 2 ph, W + 2 pw)
    (N, C, H, W), (K, _, KH, KW) = x.shape, w.shape
    OH, OW = (H - KH) // sh + 1, (W - KW) // sw + 1
    y = np.zeros((N, K, OH * OW), x.dtype)
    for i, j in np.ndindex(KH, KW):
        cut = x[:, :, i : i + (OH - 1) * sh + 1 : sh, j : j + (OW - 1) * sw + 1 : sw]
        y += w[:, :, i, j] @ cut.reshape(N, C, OH * OW)  # (N, K, OH OW)
    if b is not None:
        y += b[:, None]
    return y.reshape(N, K, OH, OW)


mine = type(np)("mine")  # in a file of your own: import it, and hand the module over
mine.conv2d = conv2d_taps
x = rng.standard_normal((2, 3, 9, 8))  # (N, C, H, W)
w, b = rng.standard_normal((4, 3, 3, 2)), rng.standard_normal(4)  # (K, C, KH, KW), (K,)
for options in ({}, {"stride": 2}, {"stride": (1, 3), "padding": (2, 1)}):
    with ops.use_backend("numpy"):
        expected = ops.conv2d(x, w, b, **options)
    with ops.use_backend(mine):
        assert ops.current_backend() == "mine"
        assert np.allclose(ops.conv2d(x, w, b, **options), expected, atol=1e-12), options
message = ""
with ops.use_backend(mine):
    try:
        ops.relu(x)
    except ValueError as error:
        message = str(error)
assert "no kernel named 'relu'" in message, "a kernel that is missing should raise"
print("own backend: equal;", message)

# %% [markdown]
# ## 3. The backward of max pooling as a gather
#
# One thread for each input pixel. It looks at all windows of its map, keeps those whose index is
# its own place, and writes the sum once. No two threads write one place. The price: it looks at
# windows in vain. (A good kernel looks only at windows that can contain the pixel.)


# %%
def thread(t, dx, dy, indices):
    """Compute dx[t]; dx is (N, C, H, W) made flat, dy and indices are (N, C, OH, OW)."""
    plane = dx.size // (dy.shape[0] * dy.shape[1])
    map_number, place = t // plane, t % plane
    dy = dy.reshape(-1, dy.shape[2] * dy.shape[3])  # (N C, OH OW)
    indices = indices.reshape(dy.shape)  # (N C, OH OW)
    total = 0.0
    for m in range(dy.shape[1]):
        if indices[map_number, m] == place:
            total += dy[map_number, m]
    dx[t] = total


x = rng.standard_normal((2, 3, 6, 5))  # (N, C, H, W)
y, indices = ops.max_pool2d(x, 3, stride=1)  # (2, 3, 4, 3)
dy = rng.standard_normal(y.shape)
expected = ops.max_pool2d_backward(dy, indices, (6, 5))  # (2, 3, 6, 5)
for _ in range(3):
    dx = np.full(x.size, np.nan)
    for t in rng.permutation(x.size):
        thread(t, dx, dy, indices)
    assert np.allclose(dx.reshape(x.shape), expected, atol=1e-12), "in any order"
won = np.bincount(indices[0, 0].ravel(), minlength=30)
assert won.max() > 1, "some pixel should win several windows"
print(f"gather: equal in any order; one pixel won {won.max()} windows")
