# %% [markdown]
# # From patches to a fully convolutional network
#
# A classifier looks at a small picture and says one thing about it. We want a label for every
# pixel. The plain way: cut a patch (패치) around a pixel, classify it, move on. That is a sliding
# window (슬라이딩 윈도우). **Must one really run the network thousands of times over nearly the same
# pixels?** No. The same weights, run once as convolutions, give the same numbers.

# %%
import numpy as np
from matplotlib.figure import Figure

from minisegnet import models, no_grad, ops, viz

lesson = viz.Lesson("09_patches_to_fcn")
rng = np.random.default_rng(9)
BLACK, ORANGE, _, GREEN, _, BLUE, _, _ = np.array(viz.default_palette(8)) / 255

# %% [markdown]
# ## By hand
#
# A dense layer (완전 연결 층, fully connected layer) takes a list of numbers and gives weighted sums of
# them. To feed it a map, one writes the rows one after the other: that is to flatten it. Take one
# sum, with weights 1, 2, 3, 4 and bias 5 (added at the end), and slide it over 3 x 3 pixels:
#
# | picture | | | patch | flattened | sum |
# |---|---|---|---|---|---|
# | 1 | 0 | 2 | above left | 1 0 0 3 | 1 + 0 + 0 + 12 + 5 = 18 |
# | 0 | 3 | 1 | above right | 0 2 3 1 | 0 + 4 + 9 + 4 + 5 = 22 |
# | 4 | 1 | 0 | below left | 0 3 4 1 | 0 + 6 + 12 + 4 + 5 = 27 |
# | | | | below right | 3 1 1 0 | 3 + 2 + 3 + 0 + 5 = 13 |
#
# Write the weights as a square, 1 2 above 3 4, and this is what lesson 2 called a convolution (합성곱)
# with a 2 x 2 kernel. No number has changed, only the shape of the weights.

# %%
picture = np.array([[1.0, 0, 2], [0, 3, 1], [4, 1, 0]])
W, b = np.array([[1.0, 2, 3, 4]]), np.array([5.0])  # (outputs, inputs), (outputs,)
patches = [picture[i : i + 2, j : j + 2].ravel() for i in range(2) for j in range(2)]
by_hand = np.array([ops.linear(patch[None], W, b)[0, 0] for patch in patches]).reshape(2, 2)
assert by_hand.tolist() == [[18, 22], [27, 13]]
as_convolution = ops.conv2d(picture[None, None], W.reshape(1, 1, 2, 2), b)  # (1, 1, 2, 2)
assert (as_convolution[0, 0] == by_hand).all(), "same weights, other shape, other numbers"
print("a dense layer slid over 3 x 3 pixels:", by_hand.tolist(), "and as a convolution: the same")

# %% [markdown]
# ## A small network, in loops
#
# Our classifier sees patches of 13 x 13 pixels. Each arrow is a layer, each number the map's side:
#
#     13 -- conv 3x3 --> 11 -- max 3x3, step 2 --> 5 -- conv 3x3 --> 3 -- max 3x3, step 2 --> 1
#
# "max" keeps the largest number of each window (lesson 5). Both convolutions are followed by ReLU
# (negative numbers become 0). Then come two dense layers, the first with ReLU. No layer pads, so
# every number is computed from pixels of the patch. One place on in the last map is two places on
# in the map before it and four pixels on in the picture. So we cut patches 4 pixels apart. Output
# (i, j) speaks of the patch that starts at pixel (4i, 4j), whose centre is (4i+6, 4j+6).

# %%
PATCH, STEP, C, K, HIDDEN, CLASSES = 13, 4, 1, 4, 6, 2
w1, b1 = rng.standard_normal((K, C, 3, 3)), rng.standard_normal(K)
w2, b2 = rng.standard_normal((2 * K, K, 3, 3)), rng.standard_normal(2 * K)
W3, b3 = rng.standard_normal((HIDDEN, 2 * K)), rng.standard_normal(HIDDEN)
W4, b4 = rng.standard_normal((CLASSES, HIDDEN)), rng.standard_normal(CLASSES)


def features(x):
    """Run the layers that keep a map: (N, C, H, W) to (N, 2K, h, w)."""
    x, _ = ops.max_pool2d(ops.relu(ops.conv2d(x, w1, b1)), 3, stride=2)
    x, _ = ops.max_pool2d(ops.relu(ops.conv2d(x, w2, b2)), 3, stride=2)
    return x


def slide(x):
    """Classify patch after patch of one picture (1, C, H, W)."""
    OH, OW = ((side - PATCH) // STEP + 1 for side in x.shape[2:])
    y = np.zeros((1, CLASSES, OH, OW))
    for i in range(OH):
        for j in range(OW):
            top, left = STEP * i, STEP * j
            patch = x[:, :, top : top + PATCH, left : left + PATCH]  # (1, C, 13, 13)
            flat = features(patch).reshape(1, -1)  # (1, 2K)
            y[0, :, i, j] = ops.linear(ops.relu(ops.linear(flat, W3, b3)), W4, b4)[0]
    return y


def run_once(x):
    """Run the same network on the whole picture; the dense layers are 1x1 convolutions here."""
    hidden = ops.relu(ops.conv2d(features(x), W3.reshape(HIDDEN, 2 * K, 1, 1), b3))
    return ops.conv2d(hidden, W4.reshape(CLASSES, HIDDEN, 1, 1), b4)  # (1, CLASSES, OH, OW)


x = rng.standard_normal((1, C, 33, 41))  # (33 - 13) / 4 + 1 = 6 patches down, 8 across
error = abs(slide(x) - run_once(x)).max()
assert error < 1e-10, f"patches and one run differ by {error}"
print(f"{slide(x)[0, 0].size} patches, and one run: the scores differ by at most {error:.0e}")

# %% [markdown]
# In the second version nothing has been approximated. A convolution does the same thing everywhere,
# so a patch's first map is a piece of the picture's first map. The maxima have steps of 2, but as
# patches start at multiples of 4, their windows are among the picture's, too, and so on to the last
# layer. A network without dense layers is called fully convolutional (완전 합성곱 신경망, FCN).
#
# ## Dense layers: 7x7, then 1x1
#
# Here the first dense layer saw a map of 1 x 1, so it became a 1x1 convolution. That is a special
# case. In VGG16, a classifier of 224 x 224 pictures, the first dense layer (fc6) sees 512 channels
# of 7 x 7, and has 4096 outputs. It becomes a **7x7** convolution. Only what comes after it, fc7
# and the scores, sees 1 x 1. With the map (C, H, W), the weight of channel c at place (i, j) stands
# in column `(c H + i) W + j`: exactly the order in which `reshape` counts.
#
# `models.build("patch")` is our larger classifier: patches of 21, whose dense layer sees 3 x 3. Its
# `twin()` has the same weights as convolutions. `width`: how many channels the first makes.

# %%
model = models.build("patch", in_channels=1, classes=2, width=8, dtype="float64")
twin = model.twin()
dense, kernel = model.fc1.weight.data, twin.fc1.weight.data  # (64, 144) and (64, 16, 3, 3)
assert (dense[:, (5 * 3 + 2) * 3 + 1] == kernel[:, 5, 2, 1]).all(), "c = 5, i = 2, j = 1"
assert (dense.reshape(kernel.shape) == kernel).all(), "the twin's weights are a reshape"
x = rng.standard_normal((1, 1, 64, 64))
with no_grad():  # we won't ask for gradients
    patchwise, at_once = model(x).data, twin(x).data  # (1, 2, 11, 11)
assert abs(patchwise - at_once).max() < 1e-12, "the model and its twin differ"
assert np.ptp(at_once[0, 0]) > 1e-3, "the scores should differ from place to place"
print(f"VGG16's fc6 has {4096 * 512 * 7 * 7:,} weights, dense or 7x7; as 1x1 only {4096 * 512:,}")

# %% [markdown]
# ## What it saves, counted
#
# We count multiplications. A convolution uses each weight once for each place of its output. For
# one patch of 21 (width 8, one channel, two classes; maps of 19, 9, 7, 3, 1):
#
# | layer | weights | places | multiplications |
# |---|---|---|---|
# | conv 3x3, 1 to 8 | 72 | 19 x 19 | 25,992 |
# | conv 3x3, 8 to 16 | 1152 | 7 x 7 | 56,448 |
# | dense, 16 x 3 x 3 to 64 | 9216 | 1 | 9,216 |
# | dense, 64 to 2 | 128 | 1 | 128 |
#
# Together 91,784, and on 64 x 64 pixels there are 11 x 11 patches. The twin's maps have sides 62,
# 30, 28, 13, 11: the same weights, other numbers of places.


# %%
def count(first, second, last):
    """Multiplications, from the sides of the two convolutions' maps and of the scores."""
    return 72 * first**2 + 1152 * second**2 + (9216 + 128) * last**2


assert model.multiply_adds(64) == 11 * 11 * count(19, 7, 1) == 11 * 11 * 91_784
assert twin.multiply_adds(64) == count(62, 28, 11)
ratio = {}
for H in (21, 25, 29, 37, 45, 64, 96, 128, 256, 512, 1024):
    ratio[H] = model.multiply_adds(H) / twin.multiply_adds(H)  # the models count themselves, too
    if H in (21, 64, 1024):
        cost = f"{twin.multiply_adds(H):,} multiplications at once"
        print(f"{H} x {H}: {cost}, {ratio[H]:.2f} times as many by patches")
assert ratio[21] == 1, "a single patch saves nothing"
assert sorted(ratio.values()) == list(ratio.values()), "a larger picture saves more"
# In the limit each patch has 4 x 4 pixels to itself: 16 and 4 places of the convolutions.
limit = 91_784 / (72 * 16 + 1152 * 4 + 9216 + 128)
assert 0.98 < ratio[1024] / limit < 1, "the ratio should come near its limit"

# %% [markdown]
# Why so much? Count how often the patches compute each place of the first convolution's map. In
# the middle up to 25 patches lie over one place, and each computes the same number there.

# %%
H, seen = 45, np.zeros((45 - 2, 45 - 2), int)  # the picture's side; its first map
for top in range(0, H - 21 + 1, STEP):
    for left in range(0, H - 21 + 1, STEP):
        seen[top : top + 19, left : left + 19] += 1
assert seen.max() == 25 and seen.sum() == 7 * 7 * 19 * 19

figure = Figure(figsize=(9.6, 3.5), layout="constrained")
left, middle, right = figure.subplots(1, 3)
for i, j, colour in ((0, 0, BLUE), (0, 4, ORANGE), (4, 4, GREEN)):
    box = np.array([0, 21, 21, 0]) + j, np.array([0, 0, 21, 21]) + i
    left.fill(*box, fc=(*colour, 0.25), ec=colour, lw=1.5)
    left.plot(j + 10.5, i + 10.5, "o", color=colour)
left.text(23, 36, "neighbours share\n17 x 21 of 21 x 21 pixels", ha="center", fontsize=9)
left.set(xlim=(0, H), ylim=(H, 0), aspect="equal", title=f"3 of the 49 patches of {H} x {H}")
middle.imshow(seen, cmap="cividis", vmin=0)
for i, j in ((1, 1), (1, 21), (21, 1), (21, 21), (12, 12)):
    middle.text(j, i, seen[i, j], ha="center", va="center", color="k" if seen[i, j] > 12 else "w")
middle.set(title="times each place is computed", xticks=[], yticks=[])
right.plot(list(ratio), list(ratio.values()), ".-", color=BLUE)
right.axhline(limit, color=BLACK, ls=":")
right.text(25, limit + 0.1, f"limit {limit:.2f}", fontsize=9)
right.set(xscale="log", ylim=(0, 7), xlabel="side of the picture (log scale)")
right.set_title("multiplications: patches / one run")
right.set_xticks([21, 64, 256, 1024], [21, 64, 256, 1024])
right.minorticks_off()
lesson.show(figure, "overlap")

# %% [markdown]
# ## What people get wrong
#
# **"All dense layers become 1x1 convolutions."** Only those that see a 1 x 1 map. Ours sees 16
# channels of 3 x 3: 144 weights for each output. A 1x1 kernel has room for 16.
#
# **Flattening in another order.** Some libraries keep channels last and flatten (H, W, C). Their
# weights reshape to (K, H, W, C), and the axes must then be moved. Take one order for the other:
# the shape is right, the numbers are wrong, and no error message comes.

# %%
assert dense.size == 9 * 64 * 16 * 1 * 1, "the first dense layer doesn't fit into a 1x1 kernel"
mixed = dense.reshape(64, 3, 3, 16).transpose(0, 3, 1, 2)  # (64, 16, 3, 3)
assert mixed.shape == kernel.shape, "the shape gives no hint"
maps = rng.standard_normal((1, 16, 3, 3))
assert np.allclose(ops.conv2d(maps, kernel)[0, :, 0, 0], dense @ maps.ravel())
assert not np.allclose(ops.conv2d(maps, mixed)[0, :, 0, 0], dense @ maps.ravel())

# %% [markdown]
# **Padding.** With it, a patch sees zeros where the picture goes on. A patch of 9 x 9, convolved by
# itself: 32 of 81 outputs differ from those of the whole picture.

# %%
x, w = rng.standard_normal((1, 1, 27, 27)), rng.standard_normal((1, 1, 3, 3))
whole = ops.conv2d(x, w, padding=1)[0, 0, 9:18, 9:18]  # (9, 9), the same pixels
alone = ops.conv2d(x[:, :, 9:18, 9:18], w, padding=1)[0, 0]  # (9, 9)
wrong = abs(alone - whole) > 1e-9
assert not wrong[1:-1, 1:-1].any(), "inside, both see the same pixels"
assert wrong.sum() == 9 * 9 - 7 * 7, "the whole frame should be wrong"

# %% [markdown]
# ## Exercises (solutions: `lessons/solutions/09_patches_to_fcn.py`)
#
# 1. On paper: follow a patch of 25 through the table's layers. How many weights has the first dense
#    layer? Check it with `models.build("patch", classes=2, patch=25).fc1.weight.shape`.
# 2. A classifier ends in a map of 3 channels and size (2, 4), flattened, then dense layers to 5 and
#    to 2 numbers, with ReLU between. Write them as convolutions. They are right when on a map of
#    size (6, 9) every output equals the dense layers on the window that it stands for.
# 3. The twin speaks of every fourth pixel. Get a score for every one, by running it on the picture
#    with 0 to 3 first rows and columns cut off. Right if each score is that of its own patch.
# 4. Choose a label for each patch. Compare the gradients (lesson 4) of the mean loss over all
#    patches with the twin's. Why must they be equal?
#
# ## Where it comes from
#
# - D. Ciresan et al., "Deep neural networks segment neuronal membranes in electron microscopy images"
#   (2012), section 2: a classifier of the centre pixel, patch by patch. J. Long et al., "Fully
#   convolutional networks for semantic segmentation" (2015), section 3.1: dense layers.
# - The Korean notes "Segmentation" (on patches) and "03. CS231N 요약" (on windows that slide) say
#   that a run for each costs too much. "[Computer Vision] 06. Segmentation" and "71차시: Segmentation"
#   say that VGG16's dense layers become 1x1 convolutions: true of the last two; the first becomes
#   7x7. They also say that flattening forgets where things are. It doesn't: each place has a weight
#   of its own. But the *output* has no places, and the picture's size is fixed. Our scores lie 4
#   pixels apart, VGG16's 32. Lesson 10 makes labels for all pixels of such a map.
