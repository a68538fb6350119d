# %% [markdown]
# # Convolution
#
# The colour of one pixel doesn't say what it belongs to (lesson 1). How can a function look at a
# pixel's surroundings with only a few numbers to learn? And how far does it look?
#
# A **convolution** (합성곱) slides a small window over the picture. In each place it multiplies
# what it sees by the same few numbers, the **weights** (가중치), and adds up. The weights together
# are called the **kernel** or filter (필터). The picture may have any size: the kernel stays.

# %%
from itertools import product

import numpy as np
from matplotlib.figure import Figure

from minisegnet import data, ops, sizes, viz

lesson = viz.Lesson("02_convolution")

# %% [markdown]
# ## By hand: 3 x 3 pixels, a 2 x 2 kernel
#
# The window fits in four places. At the upper left: 1·1 + 2·0 + 0·(-1) + 1·2 = 3. To the right of
# it: 2·1 + 0·0 + 1·(-1) + 3·2 = 7. Do the two below yourself; the answer is y in the code.
#
# Or write each window as a column, its rows one after the other, and the kernel as a row. Row times
# matrix is all four sums: **im2col** (image to columns). Computers are fast at matrix products.

# %%
x = np.array([[1.0, 2, 0], [0, 1, 3], [2, 1, 0]])  # (H, W)
w = np.array([[1.0, 0], [-1, 2]])  # (KH, KW)
y = np.array([[3.0, 7], [0, 0]])  # (OH, OW)
columns = np.array([x[i : i + 2, j : j + 2].ravel() for i in (0, 1) for j in (0, 1)]).T  # (4, 4)
assert (w.ravel() @ columns == y.ravel()).all(), "four windows, four sums"


def draw_matrix(axes, values, title, marked):
    """Draw a small matrix with its numbers; the marked cells (np.s_[:0]: none) are orange."""
    text = [[f"{value:g}" for value in row] for row in values]
    colours = np.full(values.shape, "#ffffff")
    colours[marked] = "#e69f00"
    axes.table(text, colours, bbox=[0, 0, 1, 1], cellLoc="center").set_fontsize(11)
    axes.set(title=title, box_aspect=values.shape[0] / values.shape[1])
    axes.axis("off")


figure = Figure(figsize=(8, 4.8), dpi=110, layout="constrained")
top, bottom = figure.subplots(2, 3)
draw_matrix(top[0], x, "x: one of four windows", np.s_[0:2, 1:3])
draw_matrix(top[1], w, "w: the kernel", np.s_[:0])
draw_matrix(top[2], y, "y: its sum of products", np.s_[0, 1])
draw_matrix(bottom[0], w.reshape(1, 4), "the kernel as a row", np.s_[:0])
draw_matrix(bottom[1], columns, "the windows as columns", np.s_[:, 1])
draw_matrix(bottom[2], y.reshape(1, 4), "row times matrix", np.s_[:, 1])
lesson.show(figure, "by_hand")

# %% [markdown]
# ## Plain loops, with all options
#
# A picture has C **channels** (채널), such as red, green and blue; the kernel has weights for each
# of them, and one sum runs over all. K kernels give K output channels. Each has a **bias** (편향) b,
# a number that is added. There are three options:
#
# - **padding** (패딩) p: p rows and columns of zeros are put around the picture.
# - **stride** (스트라이드) s: the window moves s pixels at a time.
# - **dilation** (팽창; also *atrous*) d: the weights look at pixels d apart.
#
# A kernel of height k covers d(k - 1) + 1 rows. It fits into H + 2p rows at every s-th place. The
# output's height is OH = floor((H + 2p - d(k - 1) - 1) / s) + 1; floor rounds down. For H = 7,
# k = 3, s = 2, p = 1, d = 1 that is 4. Widths likewise. (In code k is KH, and KW for the width.)


# %%
def conv2d_loops(x, w, b, s, p, d):
    """Convolve one picture (C, H, W) with kernels (K, C, KH, KW)."""
    (C, H, W), (K, _, KH, KW) = x.shape, w.shape
    OH, OW = (H + 2 * p - d * (KH - 1) - 1) // s + 1, (W + 2 * p - d * (KW - 1) - 1) // s + 1
    y = np.zeros((K, OH, OW))  # (K, OH, OW)
    for k, oh, ow in np.ndindex(K, OH, OW):
        y[k, oh, ow] = b[k]
        for c, i, j in np.ndindex(C, KH, KW):
            row, column = oh * s - p + i * d, ow * s - p + j * d
            if 0 <= row < H and 0 <= column < W:  # else it is padding, which is 0
                y[k, oh, ow] += w[k, c, i, j] * x[c, row, column]
    return y


# %% [markdown]
# ## The same, fast
#
# `im2col` fills the matrix by rows: row (c, i, j) holds what weight (c, i, j) meets everywhere.
# It is a slice of the padded picture. `ops.conv2d` is the library's, for batches (N, C, H, W).


# %%
def im2col(x, KH, KW, s, p, d):
    """Return what each weight meets in each window."""
    padded = np.pad(x, ((0, 0), (p, p), (p, p)))  # (C, H + 2p, W + 2p)
    OH, OW = sizes.conv2d_size(x.shape[1:], (KH, KW), stride=s, padding=p, dilation=d)  # as above
    meets = np.empty((x.shape[0], KH, KW, OH, OW))  # (C, KH, KW, OH, OW)
    for i, j in np.ndindex(KH, KW):
        meets[:, i, j] = padded[:, i * d : i * d + s * OH : s, j * d : j * d + s * OW : s]
    return meets.reshape(-1, OH * OW)  # (C*KH*KW, OH*OW)


rng = np.random.default_rng(0)
x = rng.standard_normal((2, 7, 8))  # (C, H, W)
w, b = rng.standard_normal((3, 2, 3, 2)), rng.standard_normal(3)  # (K, C, KH, KW), (K,)
for s, p, d in product((1, 2, 3), (0, 1, 2), (1, 2)):
    slow = conv2d_loops(x, w, b, s, p, d)  # (K, OH, OW)
    fast = w.reshape(3, -1) @ im2col(x, 3, 2, s, p, d) + b[:, None]  # (K, OH*OW)
    ours = ops.conv2d(x[None], w, b, stride=s, padding=p, dilation=d)[0]  # (K, OH, OW)
    assert slow.shape == ours.shape and np.allclose(slow, ours), "loops and ops.conv2d agree"
    assert np.allclose(slow.reshape(3, -1), fast), "im2col, too"
assert sizes.conv2d_size(7, 3, stride=2, padding=1) == (4, 4), "as on paper"
print("loops, im2col and ops.conv2d agree for 18 combinations of stride, padding and dilation")

# %% [markdown]
# ## What kernels see
#
# Four kernels of 9 weights, made by hand; training finds such numbers by itself. An output channel
# is called a **feature map** (특징 맵). Where the brightness is the same all around, the last two
# kernels give 0, here grey. They see edges: bright where it gets brighter, dark where darker.

# %%
edge = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
kernels = {"the middle: a copy": np.pad([[1.0]], 1), "mean of nine": np.full((3, 3), 1 / 9)}
kernels |= {"right minus left": edge, "below minus above": edge.T}
w = np.stack(list(kernels.values()))[:, None]  # (K, C, KH, KW) = (4, 1, 3, 3)
grey = data.Synthetic("shapes")[5].image.mean(axis=2)[None, None] / 255  # (N, C, H, W)
maps = ops.conv2d(grey, w)  # (N, K, OH, OW)
figure = Figure(figsize=(9, 2.5), dpi=110, layout="constrained")
for axes, title, values in zip(figure.subplots(1, 4), kernels, maps[0], strict=True):
    axes.imshow(values, cmap="gray")
    axes.set_title(title, fontsize=9)
    axes.axis("off")
lesson.show(figure, "kernels")
assert np.allclose(ops.conv2d(np.ones((1, 1, 5, 5)), w)[0, 2:], 0), "one brightness, no edge"

# %% [markdown]
# ## How far an output pixel looks
#
# Put convolutions one after the other, as *layers* (층). The **receptive field** (수용 영역) of an
# output pixel is the part of the input that can change it. On paper, from first to last layer:
#
# - Start with size 1 and jump 1. The jump says how far apart in the input two neighbours are.
# - A layer reaches d(k - 1) neighbours further: size grows by d(k - 1) * jump.
# - With stride s, its outputs lie s times as far apart: jump is multiplied by s.
#
# Two 3x3 layers: 1 + 2 + 2 = 5. With stride 2 in the first: 1 + 2 + 2·2 = 7.
#
# Or measure it: raise each input pixel by 1 in turn, and see how the output pixel changes. If all
# weights are 1, it changes by the number of ways between the two, layer by layer (dark: many).


# %%
def field(layers):
    """Return the receptive field's size by the rule above."""
    size, jump = 1, 1
    for a in layers:
        size, jump = size + a.dilation * (a.kernel_size - 1) * jump, jump * a.stride
    return size


def measure(layers, H, at):
    """Return how much output pixel (at, at) changes for each pixel of an H x H input."""
    y = np.eye(H * H).reshape(-1, 1, H, H)  # (N, 1, H, H): in picture n, pixel n is raised
    for a in layers:
        ones = np.ones((1, 1, a.kernel_size, a.kernel_size))
        y = ops.conv2d(y, ones, stride=a.stride, padding=a.padding, dilation=a.dilation)
    return y[:, 0, at, at].reshape(H, H)  # (H, H)


L = sizes.Layer  # kernel_size, stride, padding, dilation
chains = {
    "3x3, 3x3": [L(3), L(3)],
    "3x3 stride 2, 3x3": [L(3, stride=2), L(3)],
    "3x3, 3x3 dilation 2": [L(3), L(3, dilation=2)],
    "3x3 stride 2, 3x3, 3x3": [L(3, stride=2), L(3), L(3)],
}
figure = Figure(figsize=(9, 2.7), dpi=110, layout="constrained")
for axes, (title, layers) in zip(figure.subplots(1, 4), chains.items(), strict=True):
    at = (sizes.chain_size(layers, 17)[0] - 1) // 2  # the middle of the output
    ways, size, first = measure(layers, 17, at), field(layers), sizes.input_range(layers, at)[0]
    axes.imshow(np.where(ways > 0, ways, np.nan), cmap="cividis_r", vmin=0)
    x = np.array([0, size, size, 0, 0]) + first - 0.5  # the computed field, as a frame
    axes.plot(x, np.roll(x[:4], 1)[[0, 1, 2, 3, 0]], color="#d55e00", linewidth=2)
    axes.set_title(f"{title}\n{size} x {size}, up to {ways.max():.0f} ways", fontsize=8)
    axes.set(xticks=[], yticks=[])
lesson.show(figure, "receptive_fields")
assert measure([L(3), L(3)], 9, 2)[4, 2:7].tolist() == [3, 6, 9, 6, 3], "the middle counts most"

# %% [markdown]
# ## The claim
#
# *What is measured is what the rule says.* For 20 random chains, and for where the field begins.

# %%
for _ in range(20):  # kernel 1 to 3, stride 1 or 2, padding 0 or 1, dilation 1 or 2
    layers = [L(*rng.integers([1, 1, 0, 1], [4, 3, 2, 3]).tolist()) for _ in range(3)]
    at = (sizes.chain_size(layers, 37)[0] - 1) // 2
    rows = np.flatnonzero(measure(layers, 37, at).any(axis=1))  # those that matter
    assert (rows[0], rows[-1]) == sizes.input_range(layers, at), "begins and ends as computed"
    assert rows[-1] - rows[0] + 1 == field(layers) == sizes.receptive_field(layers).size[0]
print("20 random chains: the measured receptive field is the computed one")

# %% [markdown]
# ## What people get wrong
#
# **"It is the convolution of mathematics."** That one turns the kernel around first. Ours doesn't;
# its exact name is cross-correlation. Training would just find the turned weights.
#
# **Two orders.** Kernel row ordered (KH, KW, C), columns (C, KH, KW): no error, wrong sums.
#
# **Forgetting the floor.** For H = 6, k = 3, s = 2 the windows have rows 0-2 and 2-4, none has 5.

# %%
line, kernel = np.array([1.0, 2, 4, 8]), np.array([1.0, 0, -1])
ours = ops.conv2d(line[None, None, None], kernel[None, None, None])[0, 0, 0]  # (OW,)
print("ours:", ours.tolist(), " mathematics:", np.convolve(line, kernel, "valid").tolist())
assert (ours == np.convolve(line, kernel[::-1], "valid")).all(), "turned around twice: the same"

x, w = rng.standard_normal((1, 2, 6, 6)), rng.standard_normal((3, 2, 3, 3))
wrong = w.transpose(0, 2, 3, 1).reshape(3, -1) @ im2col(x[0], 3, 3, 1, 0, 1)  # (K, OH*OW)
assert not np.allclose(wrong.reshape(1, 3, 4, 4), ops.conv2d(x, w)), "wrong, without an error"
other = x.copy()
other[:, :, 5] += 100
assert (ops.conv2d(x, w, stride=2) == ops.conv2d(other, w, stride=2)).all(), "row 5 has no say"

# %% [markdown]
# ## Exercises
# 1. **Sizes on paper.** H = 7, k = 3: what is OH for s = 2, p = 0? For s = 1, d = 2, p = 2? Which
#    p keeps the size for k = 5, s = 1? Right if `sizes.conv2d_size` agrees.
# 2. **Shift and add.** Write a convolution (s = 1, p = 0) with a loop over the weights only, which
#    adds whole shifted pictures. Right if it equals `ops.conv2d`.
# 3. **Two thin kernels.** The mean of nine is a column of 3 times a row of 3. Do it as two
#    convolutions. Right if the map is the same. Which 3x3 kernels can't be split like this?
# 4. **VGG16** is 13 layers of 3x3, with 2x2 of stride 2 after the 2nd, 4th, 7th, 10th and 13th.
#    How large is the receptive field? And after one more of 7x7? Right if a measurement agrees.
#    (Measure on 600 x 1 pixels, kernels k x 1. Its 2x2 are poolings, lesson 5: they reach as far.)
# 5. All of it, marked: `minisegnet start 02` writes a stub, `minisegnet check 02 FILE` marks it.
#
# ## Where it comes from
#
# - V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning" (2016), chapter 2.
#   im2col: K. Chellapilla, S. Puri, P. Simard, "High performance convolutional neural networks for
#   document processing" (2006). Receptive fields: A. Araujo, W. Norris, J. Sim (Distill, 2019).
# - "Segmentation": earlier layers have smaller receptive fields and keep finer detail (lesson 10).
#   "Image Segmentation": atrous convolution. Both take the convolution itself as known.
