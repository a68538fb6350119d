# %% [markdown]
# # Solutions: indices as memory

# %%
import numpy as np

from minisegnet import data, functional, metrics, models, nn, no_grad, ops, optim
from minisegnet.models.segnet import pack_indices

rng = np.random.default_rng(11)

# %% [markdown]
# ## 1. Bytes of a 9 x 9 map with 3 channels
#
# Pooled it is 4 x 4, because the last row and column are in no window. 3 * 16 = 48 indices, four to
# a byte: 12 bytes. The map: 3 * 81 * 4 = 972 bytes. That is 81 times as much, and not 64: the odd
# row and column cost something in the map and nothing in the indices.

# %%
x = rng.standard_normal((1, 3, 9, 9)).astype(np.float32)  # (N, C, H, W)
y, indices = ops.max_pool2d(x, 2)  # (1, 3, 4, 4)
assert pack_indices(indices, (9, 9)).nbytes == 12
assert x.nbytes == 972 == 81 * 12

# %% [markdown]
# ## 2. SegNet's parameters
#
# A convolution from A to B channels has 9 A B weights, BatchNorm behind it 2 B numbers. On the way
# up each level ends with the channels of the level above. The head: 64 * 11 weights, 11 biases.

# %%
down = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256)]
down += [(256, 512), (512, 512), (512, 512)] + [(512, 512)] * 3
up = [(512, 512)] * 5 + [(512, 256), (256, 256), (256, 256), (256, 128)]
up += [(128, 128), (128, 64), (64, 64), (64, 64)]
total = sum(9 * A * B + 2 * B for A, B in down + up) + 64 * 11 + 11
assert len(down) == len(up) == 13
model = models.build("segnet", classes=11, width=64, convolutions=(2, 2, 3, 3, 3), initialise=False)
assert total == 29_472_779 == model.parameter_count()
print(f"SegNet for 11 classes: {total:,} parameters")

# %% [markdown]
# ## 3. A transposed convolution of stride 1 is a convolution
#
# The transposed one adds x[i] w[r] to the output i - 1 + r (padding 1). So output o gets x[i] times
# w[o - i + 1]. A convolution reads the other way: x[o - 1 + r] times v[r], that is x[i] times
# v[i - o + 1]. They agree if v[r] = w[2 - r]: the kernel turned round. The weights are stored as
# (C, K, 3, 3) and as (K, C, 3, 3), so the two channel axes change places, too.

# %%
w, x = rng.standard_normal((2, 5, 3, 3)), rng.standard_normal((1, 2, 6, 7))
turned = w.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]  # (K, C, 3, 3)
difference = ops.conv_transpose2d(x, w, padding=1) - ops.conv2d(x, turned, padding=1)
assert abs(difference).max() < 1e-12

# %% [markdown]
# ## 4. Always to the upper left
#
# The index of a window's first pixel is known from where the window is: row 2 i, column 2 j. So
# nothing has to be remembered. The values stand apart as after unpooling, but not where the maxima
# were, and the outlines are worse.


# %%
class Corner(nn.Module):
    """Unpool to the upper left place of each window."""

    def forward(self, x, indices, output_size):
        rows, columns = np.ogrid[: x.shape[2], : x.shape[3]]
        corners = 2 * rows * output_size[1] + 2 * columns  # (H, W)
        fixed = np.ascontiguousarray(np.broadcast_to(corners, x.shape)).astype(indices.dtype)
        return functional.max_unpool2d(x, fixed, output_size)


def drawn(split, count):
    """Pictures (N, 3, H, W) around 0 and labels (N, H, W), 1 for objects."""
    samples = list(data.Synthetic("shapes", split=split, count=count, size=64))
    images = np.stack([s.image for s in samples]).transpose(0, 3, 1, 2)  # (N, 3, H, W)
    labels = np.stack([s.labels > 0 for s in samples]).astype(np.int64)  # (N, H, W)
    return np.ascontiguousarray(images / np.float32(255) - np.float32(0.5)), labels


def boundary_f1(corner, images, labels, test_images, truth):
    """Train as the lesson does, and measure the outlines on the test pictures."""
    model = models.build("segnet", classes=2, width=8, convolutions=(1, 1, 1, 1))
    if corner:
        model.unpool = Corner()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for n in range(0, len(images), 2):
        optimizer.lr = 0.01 * (1 - n / len(images))
        optimizer.zero_grad()
        loss = functional.softmax_cross_entropy(model(images[n : n + 2]), labels[n : n + 2])
        loss.backward()
        optimizer.step()
    with no_grad():
        found = model.eval()(test_images).data.argmax(axis=1)  # (N, H, W)
    pairs = zip(truth, found, strict=True)
    counts = sum(metrics.boundary_counts(t, label, 2, tolerance=1) for t, label in pairs)
    return metrics.f1_of_counts(counts)[1]


pictures = (*drawn("train", 300), *drawn("test", 16))
corner, remembered = boundary_f1(True, *pictures), boundary_f1(False, *pictures)
print(f"boundary F1: upper left {corner:.2f}, remembered places {remembered:.2f}")
assert remembered > corner + 0.03, "the places are worth something, the zeros between aren't"
