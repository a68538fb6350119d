# %% [markdown]
# # Solutions: from patches to a fully convolutional network

# %%
import numpy as np

from minisegnet import functional, models, no_grad, ops

rng = np.random.default_rng(9)

# %% [markdown]
# ## 1. A patch of 25
#
# 25, convolution 3x3: 23, maximum 3x3 with step 2: (23 - 3) / 2 + 1 = 11, convolution: 9, maximum:
# 4. With width 8 the second convolution has 16 channels. So the dense layer sees 16 x 4 x 4 = 256
# numbers, has 64 outputs, and 256 x 64 = 16,384 weights. In the twin it is a 4x4 convolution.

# %%
model = models.build("patch", classes=2, patch=25)
assert model.fc1.weight.shape == (64, 256) and model.fc1.weight.data.size == 16_384
assert model.twin().fc1.weight.shape == (64, 16, 4, 4)
print("patch 25: the first dense layer has", model.fc1.weight.data.size, "weights")

# %% [markdown]
# ## 2. Two dense layers as convolutions
#
# The first sees 3 channels of size (2, 4), so its kernel is 2x4. It leaves a map of 1 x 1, so the
# second is 1x1. On (6, 9) the 2x4 kernel fits at 5 x 6 places.


# %%
def to_conv(weight, channels, size):
    """Reshape a dense layer's weight (K, channels H W) into a kernel (K, channels, H, W)."""
    return weight.reshape(len(weight), channels, *size)


W1, b1 = rng.standard_normal((5, 3 * 2 * 4)), rng.standard_normal(5)
W2, b2 = rng.standard_normal((2, 5)), rng.standard_normal(2)
x = rng.standard_normal((1, 3, 6, 9))  # (N, C, H, W)
hidden = ops.relu(ops.conv2d(x, to_conv(W1, 3, (2, 4)), b1))  # (1, 5, 5, 6)
y = ops.conv2d(hidden, to_conv(W2, 5, (1, 1)), b2)  # (1, 2, 5, 6)
assert y.shape == (1, 2, 5, 6)
for i in range(5):
    for j in range(6):
        flat = x[:, :, i : i + 2, j : j + 4].reshape(1, -1)  # (1, 24)
        scores = ops.linear(ops.relu(ops.linear(flat, W1, b1)), W2, b2)  # (1, 2)
        assert np.allclose(y[0, :, i, j], scores[0]), f"window ({i}, {j}) differs"
print("30 windows through dense layers: equal to two convolutions")

# %% [markdown]
# ## 3. A score for every pixel
#
# The twin's output (i, j) stands for the patch at (4i, 4j). Cut off a rows and b columns, and it
# stands for the patch at (4i + a, 4j + b). Sixteen runs give all places; weave them together.

# %%
model = models.build("patch", in_channels=1, classes=2, dtype="float64")
twin = model.twin()
H = 32
x = rng.standard_normal((1, 1, H, H))
places = H - 21 + 1  # a patch of 21 fits at so many places along an axis
woven = np.full((2, places, places), np.nan)
with no_grad():
    for a in range(4):
        for b in range(4):
            woven[:, a::4, b::4] = twin(x[:, :, a:, b:]).data[0]
    assert not np.isnan(woven).any(), "a place was left out"
    for i in range(places):
        for j in range(places):
            alone = model(x[:, :, i : i + 21, j : j + 21]).data[0, :, 0, 0]  # (2,)
            assert np.allclose(alone, woven[:, i, j], atol=1e-12), f"pixel ({i}, {j}) differs"
print(f"16 runs give {places} x {places} scores, each that of its own patch")

# %% [markdown]
# ## 4. The gradients
#
# Both compute the same function of the same weights, and the loss is the same function of the
# scores. A gradient depends on the function alone, not on the way in which it was computed. So to
# train on all patches of a picture is to train the twin on the picture. The first dense layer's
# gradient has the shape of its weight: reshape it to compare.

# %%
labels = rng.integers(0, 2, (1, 3, 3))  # 32 x 32 pixels have 3 x 3 patches
for network in (model, twin):
    functional.softmax_cross_entropy(network(x), labels).backward()
gradients = dict(model.named_parameters()), dict(twin.named_parameters())
assert gradients[0].keys() == gradients[1].keys()
for name, parameter in gradients[0].items():
    other = gradients[1][name].grad
    assert np.allclose(parameter.grad.reshape(other.shape), other, atol=1e-12), f"{name} differs"
    assert abs(other).max() > 0, f"{name} has no gradient, so the comparison says nothing"
print(f"all {len(gradients[0])} gradients are equal")
