# %% [markdown]
# # Indices as memory: SegNet and DeconvNet
#
# A network shrinks a picture to a sixteenth of its size, and must then draw outlines in full size.
# **What does it have to remember from the way down, and how many bytes does that take?** Nothing;
# or where each maximum stood; or everything. We train the first two, and count the last.

# %%
import numpy as np
from matplotlib.figure import Figure

from minisegnet import data, functional, metrics, models, nn, no_grad, ops, optim, viz
from minisegnet.models.segnet import pack_indices, unpack_indices

lesson = viz.Lesson("11_segnet_deconvnet")
rng = np.random.default_rng(11)

# %% [markdown]
# ## By hand: one byte for sixteen numbers
#
# Lesson 5 pooled a 4 x 4 map and kept the place of each maximum, its **index** (풀링 인덱스):
# 5, 2, 12, 15 for `x` below, counted row by row from 0. But we know each index's window. It is
# enough to keep which of the window's four places it is: `2 * (row odd) + (column odd)`.
#
# | index | row, column | place in its window | in 2 bits |
# |---|---|---|---|
# | 5 | 1, 1 | 2 * 1 + 1 = 3 | 11 |
# | 2 | 0, 2 | 2 * 0 + 0 = 0 | 00 |
# | 12 | 3, 0 | 2 * 1 + 0 = 2 | 10 |
# | 15 | 3, 3 | 2 * 1 + 1 = 3 | 11 |
#
# Four times 2 bits are one byte. The first window takes the lowest, rightmost bits: 11 10 00 11, or
# 3 + 4 * 0 + 16 * 2 + 64 * 3 = 227. To keep the whole map, as float32, takes 16 * 4 = 64 bytes.

# %%
x = np.array([[1.0, 2, 6, 3], [3, 5, 2, 1], [1, 2, 2, 1], [7, 3, 4, 8]])  # (H, W)
assert 3 + 4 * 0 + 16 * 2 + 64 * 3 == 0b11_10_00_11 and x.astype(np.float32).nbytes == 64

# %% [markdown]
# ## Plain loops, then the fast version
#
# The loops write down the codes. `ops.max_pool2d` gives flat indices, `pack_indices` packs four
# codes into a byte. Unpooling puts new values there: between down and up the network computes.


# %%
def codes_of(x):
    """Code 0 to 3 of the maximum in each 2 x 2 window of a map (H, W)."""
    codes = np.zeros((x.shape[0] // 2, x.shape[1] // 2), int)  # (H // 2, W // 2)
    for i, j in np.ndindex(codes.shape):
        window = [x[2 * i + code // 2, 2 * j + code % 2] for code in range(4)]
        codes[i, j] = window.index(max(window))
    return codes


assert codes_of(x).ravel().tolist() == [3, 0, 2, 3], "the codes of the table"
y, indices = ops.max_pool2d(x[None, None], 2)  # (1, 1, 2, 2), twice
packed = pack_indices(indices, (4, 4))  # (1,), bytes
back = ops.max_unpool2d(np.array([[[[1.0, 2], [3, 4]]]]), indices, (4, 4))[0, 0]  # (4, 4)
assert packed.tolist() == [227], "one byte, as by hand"
assert (unpack_indices(packed, indices.shape, (4, 4)) == indices).all(), "nothing is lost"
assert (codes_of(back) == codes_of(x)).all(), "each value stands where the maximum stood"
print(f"indices packed: {packed[0]:08b}; 1 2 3 4 unpooled: {back.astype(int).tolist()}")

# %% [markdown]
# ## The whole network is a stack of remembered places
#
# SegNet's **encoder** (인코더) goes down: convolutions (3 x 3, ReLU), then a pooling. Its
# **decoder** (디코더) goes up: an unpooling, then convolutions. The last pooling is undone first: a
# stack. Nothing else goes across, and the upsampling itself has no weights. Two levels by hand give
# the same scores as `models.build("segnet", ...)` with the same weights.


# %%
def segnet(x, p):
    """Scores of a SegNet of two levels, one convolution each; p: its parameters by name."""
    remembered = []
    for name in ("encoder.0", "encoder.1"):
        w, b = p[f"{name}.0.weight"], p[f"{name}.0.bias"]
        x = ops.relu(ops.conv2d(x, w, b, padding=1))  # (N, C, H, W)
        size = x.shape[2:]
        x, indices = ops.max_pool2d(x, 2)  # (N, C, H // 2, W // 2)
        remembered.append((indices, size))
    for name in ("decoder.0", "decoder.1"):
        w, b = p[f"{name}.0.weight"], p[f"{name}.0.bias"]
        x = ops.max_unpool2d(x, *remembered.pop())  # (N, C, H, W)
        x = ops.relu(ops.conv2d(x, w, b, padding=1))
    return ops.conv2d(x, p["head.weight"], p["head.bias"])  # (N, classes, H, W)


small = models.build("segnet", in_channels=1, classes=2, width=4, convolutions=(1, 1), norm=None)
picture = rng.standard_normal((1, 1, 13, 18)).astype(np.float32)  # an odd size: the size is kept
assert np.allclose(segnet(picture, small.state_dict()), small(picture).data, atol=1e-5)

# %% [markdown]
# ## The same network with and without indices
#
# `unpool="nearest"` builds the same network, but it repeats each value over its window and looks at
# no indices. Both have as many parameters (매개 변수), start from the same weights and see the same
# 300 drawn pictures, two a step, with batch normalisation (lesson 10). Task: object or background.


# %%
def drawn(split, count):
    """Pictures (N, 3, H, W) around 0 and labels (N, H, W), 1 for objects."""
    samples = list(data.Synthetic("shapes", split=split, count=count, size=64))
    images = np.stack([s.image for s in samples]).transpose(0, 3, 1, 2)  # (N, 3, H, W)
    labels = np.stack([s.labels > 0 for s in samples]).astype(np.int64)  # (N, H, W)
    return np.ascontiguousarray(images / np.float32(255) - np.float32(0.5)), labels


def train(unpool, count=300):
    """Train a SegNet of four levels, one convolution each, two pictures a step."""
    model = models.build("segnet", classes=2, width=8, convolutions=(1, 1, 1, 1), unpool=unpool)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for n in range(0, count, 2):
        optimizer.lr = 0.01 * (1 - n / count)  # smaller and smaller steps
        optimizer.zero_grad()
        functional.softmax_cross_entropy(model(images[n : n + 2]), labels[n : n + 2]).backward()
        optimizer.step()
    return model.eval()


def predict(model):
    """Labels of the test pictures, and the boundary F1 of the objects, all pictures together."""
    with no_grad():
        found = model(test_images).data.argmax(axis=1)  # (N, H, W)
    pairs = zip(truth, found, strict=True)
    counts = sum(metrics.boundary_counts(t, label, 2, tolerance=1) for t, label in pairs)
    return found, metrics.f1_of_counts(counts)[1]


images, labels = drawn("train", 300)
test_images, truth = drawn("test", 16)
with_indices, without = train("indices"), train("nearest")
assert with_indices.parameter_count() == without.parameter_count(), "indices have no weights"

# %% [markdown]
# **Boundary F1** (경계 F1, lesson 10) is 1 if every pixel of the outline found lies within 1 pixel of
# the true one, and the other way round. One more test, without training: the network with indices
# gets those of **another** picture. Its values are right, their places are a stranger's.


# %%
class ForeignUnpool(nn.Module):
    def forward(self, x, indices, output_size):  # picture n gets the indices of picture n - 1
        return functional.max_unpool2d(x, np.roll(indices, 1, axis=0), output_size)


found, f1 = {}, {}
found["values repeated"], f1["values repeated"] = predict(without)
found["with indices"], f1["with indices"] = predict(with_indices)
with_indices.unpool = ForeignUnpool()
found["foreign indices"], f1["foreign indices"] = predict(with_indices)
for way, value in f1.items():
    print(f"{way:15} boundary F1 {value:.2f}, right pixels {(found[way] == truth).mean():.1%}")

heads = [f"{way}\nboundary F1 {value:.2f}" for way, value in f1.items()]
figure = Figure(figsize=(8.2, 5.3), dpi=110, layout="constrained")
for n, row in enumerate(figure.subplots(3, 5)):
    image = ((test_images[n] + 0.5) * 255).round().astype(np.uint8).transpose(1, 2, 0)  # (H, W, 3)
    errors = [viz.error_map(truth[n], found[way][n], image=image) for way in f1]
    shown = [image, viz.colourise(truth[n], ((0, 0, 0), (255, 255, 255))), *errors]
    for axes, part, head in zip(row, shown, ["picture", "truth", *heads], strict=True):
        axes.imshow(part)
        axes.set_axis_off()
        axes.set_title(head if n == 0 else "", fontsize=9)
figure.supxlabel("crimson: wrong pixels", fontsize=9)
lesson.show(figure, "outlines")

# %% [markdown]
# ## What it costs: against U-Net, and DeconvNet's waist
#
# U-Net (lesson 12) remembers everything: its maps go across, by skips. We count what waits, at 352
# x 480, in the papers' widths. SegNet, packed: 1/4 byte for each pooled value. U-Net: 4 bytes for
# each value before pooling, on each level 64 times as much. But it pools 4 times, SegNet 5 times.
#
# DeconvNet has SegNet's indices, and between down and up a **waist**: VGG16's dense layers, kept as
# convolutions. `fc6` is 7 x 7 on a map of 7 x 7: the picture becomes one point of 4096 numbers. A
# transposed convolution (전치 합성곱) of 7 x 7 opens it again. Further up it has transposed
# convolutions of stride 1, where SegNet has convolutions; these can do the same (exercise 3).

# %%
build = {"initialise": False, "width": 64}  # allocate and count; fill nothing
vgg = {"convolutions": (2, 2, 3, 3, 3)}  # how many on each level, as in VGG16
nets = {
    "SegNet": models.build("segnet", classes=21, **vgg, **build),
    "U-Net": models.build("unet", classes=21, **build),
    "DeconvNet": models.build("deconvnet", classes=21, waist=7, waist_width=4096, **vgg, **build),
}
sizes = nets["SegNet"].level_sizes((352, 480))
C = (64, 128, 256, 512, 512)  # channels of the levels
index_bytes = sum(C[k] * H * W // 4 for k, (H, W) in enumerate(sizes[1:]))  # SegNet pools 5 times
skip_bytes = sum(C[k] * H * W * 4 for k, (H, W) in enumerate(sizes[:4]))  # U-Net 4 times
count = {name: net.parameter_count() for name, net in nets.items()}
big = nets["DeconvNet"]
waist = sum(part.parameter_count() for part in (big.fc6, big.fc7, big.fc6_transposed))
assert [H for H, W in big.level_sizes(224)][4:9] == [14, 7, 1, 7, 14], "in and out of the waist"
print(f"bytes that wait: SegNet {index_bytes:,}, U-Net {skip_bytes:,}")
print("parameters:", *(f"{name} {n:,}" for name, n in count.items()), f"(waist {waist:,})")

# %% [markdown]
# ## The claim
#
# *With the places of its maxima a network draws sharper outlines than without. These places take
# about a 63rd of what U-Net keeps, and SegNet and U-Net have nearly as many parameters.* With seven
# seeds F1 was higher by 0.16 to 0.26; with one level less, which loses less, by 0.02 to 0.13.

# %%
assert f1["with indices"] > f1["values repeated"] + 0.1, "indices sharpen the outlines"
assert 62.9 < skip_bytes / index_bytes < 63, "U-Net keeps about 63 times as much"
assert 1 < count["U-Net"] / count["SegNet"] < 1.1, "U-Net is larger by a few per cent only"
assert waist > 0.88 * count["DeconvNet"], "most of DeconvNet is its waist"

# %% [markdown]
# ## What people get wrong
#
# **Indices of something else.** Indices of the right shape are accepted, whatever picture, level or
# channel they come from. No error is raised, but the outlines fray: the last column of the picture.
# **Storing the values.** A decoder that puts the encoder's maxima back throws its own computation
# away: above, 5 6 7 8 would come out, and not 1 2 3 4. **Judging too early.** After 20 steps neither
# network is any good, and chance decides which is ahead: in 7 of 18 tries the one with indices.

# %%
assert f1["foreign indices"] < f1["values repeated"] - 0.05, "wrong places are worse than none"
early = [predict(train(unpool, count=40))[1] for unpool in ("indices", "nearest")]
print(f"after 20 steps: boundary F1 {early[0]:.2f} with indices, {early[1]:.2f} without")
assert max(early) < 0.4 < 0.5 < f1["with indices"], "20 steps should say little"

# %% [markdown]
# ## Exercises (solutions: `lessons/solutions/11_segnet_deconvnet.py`)
# 1. On paper: a map of 9 x 9 with 3 channels is pooled 2 x 2. How many bytes do its packed indices
#    take, how many the float32 map? Right if `pack_indices` agrees.
# 2. Count SegNet's parameters: 3 x 3 kernels without bias, two numbers a channel for batch
#    normalisation, a 1 x 1 head with bias. Down: `vgg` and `C` above. Up: in reverse, a level's
#    last convolution gives the channels of the level above. Right if 11 classes give 29,472,779.
# 3. Show that a 3 x 3 transposed convolution of stride 1 and padding 1 is a convolution with
#    another kernel. Right if `ops.conv_transpose2d` and `ops.conv2d` agree on random maps.
# 4. Unpool always to the upper left place of the window: write a module like `ForeignUnpool`, put
#    it into `model.unpool`, train. Right if the outlines are worse than with indices.
# 5. All of it, marked: `minisegnet start 11` writes a stub, `minisegnet check 11 FILE` marks it.
#
# ## Where it comes from
#
# - V. Badrinarayanan, A. Kendall, R. Cipolla, "SegNet" (2017), section 3. H. Noh, S. Hong, B. Han,
#   "Learning deconvolution network for semantic segmentation" (2015), section 3.
# - "2021 인공지능 소수전공, 71차시: Segmentation": the matrices; no skips, no weights in upsampling.
# - "Image Segmentation": SegNet stores the max pooling values (it stores places); DeconvNet leaves
#   out the dense layers (FCN층을 제외한; it keeps them, as convolutions, and SegNet leaves them out);
#   U-Net is larger and takes more memory (memory: much; parameters: 5 per cent).
