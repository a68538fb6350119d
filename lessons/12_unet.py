# %% [markdown]
# # U-Net: 572 pixels in, 388 out
#
# The best known drawing of a segmentation network has 572 x 572 at its input and 388 x 388 at its
# output. **Where do the other 184 pixels go, and why does the same network refuse a picture of
# 570?** Then two tricks of its training: bending pictures, and weighing the gaps between cells.

# %%
import numpy as np
from matplotlib.figure import Figure

from minisegnet import data, models, ops, sizes, viz

lesson = viz.Lesson("12_unet")
rng = np.random.default_rng(12)

# %% [markdown]
# ## By hand: one level
#
# A **valid** 3 x 3 convolution is computed only where its whole window lies on the map; it makes
# the map 2 smaller. A pooling halves it, a 2 x 2 transposed convolution (전치 합성곱) doubles it. The
# way down is called the contracting path (수축경로), the way up the expanding path (확장 경로).
#
# | | sizes | |
# |---|---|---|
# | down | 20 - 18 - 16 | two convolutions; the 16 also goes across |
# | bottom | 8 - 6 - 4 | after pooling |
# | up | 8 - 6 - 4 | after doubling |
#
# At "up", a map of 8 comes from below and one of 16 from across, a **skip connection** (스킵 연결).
# The middle of the 16 is cut out, from 4 to 12, and laid beside the 8: **crop and concatenate**.

# %%
down = 20 - 2 - 2
up = 2 * (down // 2 - 2 - 2)
assert (down, up, up - 2 - 2) == (16, 8, 4), "20 pixels in, 4 out"
assert (down - up) // 2 == 4 and 4 + up == 12, "the crop goes from 4 to 12"

# %% [markdown]
# ## Plain loops: all sizes, and which of them fit
#
# A map is only pooled if its size is even. If it were odd, the last row would be in no window, and
# the crop could not be in the middle: 21 pixels give 17 and 8, and half of 17 - 8 isn't whole.


# %%
def walk(n, depth):
    """Sizes of the maps, three a level: down, bottom, up. [] if n doesn't fit."""
    rows = []
    for step in range(2 * depth + 1):
        rows.append([n, n - 2, n - 4])  # two convolutions
        n = n - 4
        if n < 1 or (step < depth and n % 2):
            return []  # nothing is left, or a map is odd and can't be halved
        n = n // 2 if step < depth else 2 * n
    return rows


rows = walk(572, 4)
for name, row in zip(["down"] * 4 + ["bottom"] + ["up"] * 4, rows, strict=True):
    print(f"{name:6}", " -> ".join(map(str, row)))

fits = [n for n in range(1, 700) if walk(n, 4)]
paper = models.build("unet", in_channels=1, classes=2, width=64, padding="valid", initialise=False)
assert not walk(21, 1) and (17 - 8) % 2 == 1, "21 doesn't fit"
assert fits == [n for n in range(188, 700) if n % 16 == 12], "12 more than a multiple of 16"
for n in fits:
    assert walk(n, 4)[-1][-1] == n - 184 == paper.output_size(n)[0], "92 are lost on each side"

# %% [markdown]
# Why 92? Two convolutions take 2 pixels a side, and a pixel of level k is 2^k of the picture's.
# Levels 0 to 3 are passed twice, the bottom once: 2 * 2 * (1 + 2 + 4 + 8) + 2 * 16 = 92. This lost
# rim, the **halo**, is where a window would have read outside: nothing is made up at the border.

# %%
assert 2 * 2 * (1 + 2 + 4 + 8) + 2 * 16 == 92 == paper.halo
GREEN, RED = np.array(viz.default_palette(8))[[3, 6]] / 255
axes = (figure := Figure(figsize=(9.4, 3.4), dpi=110, layout="constrained")).subplots()
for step, row in enumerate(rows):
    depth, down = -min(step, 8 - step), -1 if step < 4 else 1
    axes.text(step, depth, " - ".join(map(str, row)), ha="center", va="center", fontsize=9)
    ends = (step + 0.25, depth + 0.2 * down), (step + 0.75, depth + 0.8 * down)
    if step < 8:
        axes.annotate("", ends[1], ends[0], arrowprops={"arrowstyle": "->", "color": RED})
    if step < 4:  # the skip
        look = {"arrowstyle": "->", "color": GREEN, "linestyle": "--"}
        axes.annotate("", (7.48 - step, depth), (step + 0.52, depth), arrowprops=look)
        text = f"the middle {rows[8 - step][0]}"
        axes.text(4, depth + 0.1, text, ha="center", fontsize=9, color=GREEN)
axes.set(xlim=(-0.6, 8.6), ylim=(-4.3, 0.4))
axes.set_title("dashes: 3 x 3 convolutions; red: halve, double; green: crop, go across", fontsize=9)
axes.axis("off")
lesson.show(figure, "sizes")

# %% [markdown]
# ## The network, with our ops
#
# One level, as in the table: crop, concatenate, convolve. Each level down has twice the channels
# (`width` on the first), each doubling on the way up halves them. `models.build` agrees.


# %%
def twice(x, p, name):
    """Two valid 3 x 3 convolutions with ReLU; p: parameters by name."""
    for k in (0, 2):
        x = ops.relu(ops.conv2d(x, p[f"{name}.{k}.weight"], p[f"{name}.{k}.bias"]))
    return x


def unet(x, p):
    """Scores of a U-Net of depth 1."""
    skip = twice(x, p, "encoder.0")  # (N, C, H - 4, W - 4)
    x = twice(ops.max_pool2d(skip, 2)[0], p, "bottom")  # (N, 2C, OH / 2, OW / 2)
    x = ops.conv_transpose2d(x, p["decoder.0.up.weight"], p["decoder.0.up.bias"], stride=2)
    top, left = (skip.shape[2] - x.shape[2]) // 2, (skip.shape[3] - x.shape[3]) // 2
    middle = skip[:, :, top : top + x.shape[2], left : left + x.shape[3]]  # (N, C, OH, OW)
    x = np.concatenate([middle, x], axis=1)  # (N, 2C, OH, OW)
    return ops.conv2d(twice(x, p, "decoder.0.convolutions"), p["head.weight"], p["head.bias"])


small = models.build("unet", in_channels=1, classes=2, width=4, depth=1, padding="valid")
picture = rng.standard_normal((1, 1, 20, 26)).astype(np.float32)
scores = unet(picture, small.state_dict())
assert scores.shape == (1, 2, 4, 10) and np.allclose(scores, small(picture).data, atol=1e-5)

# %% [markdown]
# ## Elastic deformation
#
# The paper had 30 pictures. It made more of them by bending (**elastic deformation**, 탄성 변형): a
# random shift (deviation `sigma` pixels) for each point of a 3 x 3 grid, spread smoothly over all
# pixels. Picture and labels follow the same field: output (i, j) reads at (i + field[0], j +
# field[1]). The picture is interpolated. Labels take the nearest pixel: a class has no halves.

# %%
cells = data.Synthetic("cells", size=96)
image, labels = cells[0].image[:, :, 0], cells[0].labels  # (H, W), twice
field = data.elastic_field((96, 96), sigma=6.0, rng=3)  # (2, H, W)
bent, bent_labels = data.elastic_deform(image, labels, sigma=6.0, rng=3)
looped = np.zeros_like(labels)
for i, j in np.ndindex(96, 96):
    r, c = int(np.floor(i + field[0, i, j] + 0.5)), int(np.floor(j + field[1, i, j] + 0.5))
    r, c = (95 - abs(95 - abs(place)) for place in (r, c))  # mirrored at the border
    looped[i, j] = labels[r, c]
assert (looped == bent_labels).all(), "loops and elastic_deform agree"
assert set(np.unique(bent_labels)) <= set(np.unique(labels)), "no label appears"

# %% [markdown]
# ## The border weight
#
# Cells that nearly touch must not grow together, but the gap between them is a few pixels and
# hardly counts in the mean loss. So the loss of each background pixel gets a **border weight**
# (경계 가중치), `1 + 10 exp(-(d1 + d2)^2 / 50)`, d1 and d2 its distances to the nearest and second
# nearest cell. By hand: cell 1, background 0, cell 2: d1 = d2 = 1, 1 + 10 exp(-4/50) = 10.23.

# %%
row = data.border_weight(np.array([[1, 0, 2]]))
assert row.round(2).tolist() == [[1, np.float32(10.23), 1]], "the case by hand"
instances, (rows, columns) = np.zeros((24, 40), int), np.ogrid[:24, :40]
for number, (y, x, radius) in enumerate([(12, 9, 8.4), (12, 28, 8.4), (4, 37, 3.4)], start=1):
    instances[np.hypot(rows - y, columns - x) < radius] = number
looped = np.ones(instances.shape)
for i, j in np.argwhere(instances == 0):
    d = sorted(np.hypot(*(np.argwhere(instances == n) - (i, j)).T).min() for n in (1, 2, 3))
    looped[i, j] += 10 * np.exp(-((d[0] + d[1]) ** 2) / 50)
weight = data.border_weight(instances)
assert np.allclose(weight, looped, atol=1e-5), "loops and border_weight agree"

figure = Figure(figsize=(9.4, 5.4), dpi=110, layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=(1, 0.85))
grid = np.where((np.indices((96, 96)) % 12 == 0).any(axis=0), 0, 255).astype(np.uint8)
parts = [image, bent, viz.colourise(bent_labels, cells.palette), data.warp(grid, field)]
titles = ["picture", "bent", "its labels, bent alike", "the same field on a grid"]
for axes, part, title in zip(above.subplots(1, 4), parts, titles, strict=True):
    axes.imshow(part, cmap="gray")
    axes.set_title(title, fontsize=9)
left, right = below.subplots(1, 2)
left.imshow(viz.colourise(instances, viz.default_palette(4)))
left.set_title("three cells", fontsize=9)
shown = right.imshow(weight, cmap="cividis", vmin=1)
right.set_title("weight of each pixel in the loss", fontsize=9)
for axes in figure.axes:
    axes.axis("off")
below.colorbar(shown, ax=right)
lesson.show(figure, "training")

# %% [markdown]
# ## The claim
#
# *The crop from the middle lays those numbers side by side that speak of the same pixels.* Which
# input pixels does a number see (lesson 2), and what is their middle? From below, numbers 0 and 1
# both see pixels 0 to 13. Their partners across, 4 and 5, see 4 to 8 and 5 to 9: 6.5, all in all.

# %%
twice_3 = [sizes.Layer(3), sizes.Layer(3)]
around = [*twice_3, sizes.Layer(2, stride=2), *twice_3, sizes.Layer(2, stride=2, transposed=True)]


def middles(layers, first, count=8):
    """Middle of the input pixels that outputs first, first + 1, ... see, averaged over pairs."""
    seen = [np.mean(sizes.input_range(layers, first + i)) for i in range(count)]
    return np.reshape(seen, (-1, 2)).mean(axis=1)  # doubling makes a pair of one number


assert (middles(twice_3, first=4) == middles(around, first=0)).all(), "the middle crop fits"

# %% [markdown]
# ## What people get wrong
#
# **Cropping a corner.** `skip[:, :, :8, :8]` has the right shape, too: no error, but 4 pixels off.

# %%
assert (middles(around, first=0) - middles(twice_3, first=0) == 4).all(), "off by 4 pixels"

# %% [markdown]
# **Odd sizes.** A size that doesn't fit is refused, and the message names sizes that do.

# %%
try:
    message = f"accepted: {paper.output_size(570)}"
except ValueError as error:
    message = str(error)
assert "the nearest that fit: 556 or 572" in message, "570 is refused"

# %% [markdown]
# **Interpolating labels.** Halfway between background (0) and membrane (2) `data.warp`, which
# interpolates, finds cell (1).

# %%
half_a_column = np.full((2, 1, 3), [[[0.0]], [[-0.5]]])  # (2, H, W)
assert data.warp(np.array([[0, 2, 2]]), half_a_column)[0, 1] == 1, "a class that wasn't there"

# %% [markdown]
# ## Exercises (solutions: `lessons/solutions/12_unet.py`)
# 1. On paper: all sizes for 44 pixels at depth 2. Right if `output_size` agrees.
# 2. Write the halo, what is lost on each side, as a formula of the depth, and the rule for sizes
#    that fit. Right if both agree with `walk` for depths 1 to 5.
# 3. A straight gap: from the last pixel of one cell to the first of the next it is g. From which
#    whole g on is less than 1 added to the weight of its pixels? Check with `data.border_weight`.
# 4. A bent sheet may fold over itself. Does that of `data.elastic_field(96, sigma=s, rng=key)`?
#    Hint: where a pixel's little square is read, it has a signed area (determinant). Right if none
#    of 40 keys folds with sigma 2, and most do with sigma 25.
# 5. All of it, marked: `minisegnet start 12` writes a stub, `minisegnet check 12 FILE` marks it.
#
# ## Where it comes from
#
# - O. Ronneberger, P. Fischer, T. Brox, "U-Net" (2015): section 2 and figure 1 (sizes), section 3
#   and equation 2 (weights), section 3.1 (bending).
# - "[Computer Vision] 06. Segmentation" gives 572 x 572 x 3; the paper's pictures have one channel.
# - "Image Segmentation": "over-tile" (overlap-tile, lesson 13), "data augmentation (morphological
#   operation)". The paper bends; morphology only finds the borders between cells.
