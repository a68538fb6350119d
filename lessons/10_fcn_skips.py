# %% [markdown]
# # FCN-32s, 16s, 8s: what a skip adds
#
# Lesson 9 gave one score for every few pixels. In the network FCN (완전 합성곱 신경망) it is one for 32 x
# 32 pixels. Enlarged, they label all pixels, but coarsely. **How can a network know that there is a
# shape and also where its outline runs?** It asks its own earlier maps, which are finer, and adds
# their scores. These side paths are called skips (스킵 연결, skip connection).

# %%
import numpy as np
from matplotlib.figure import Figure

from minisegnet import Tensor, data, functional, losses, metrics, models, no_grad, ops, optim, viz
from minisegnet.models.fcn import FCN8s, FCN16s

lesson = viz.Lesson("10_fcn_skips")
rng = np.random.default_rng(10)

# %% [markdown]
# ## By hand: add, don't replace
#
# A row of pixels, two classes, and one number for each place: the score of "shape" minus that of
# "background". Where it is positive, the label is shape. The coarse map has two places, 2 and -2.
# Enlarge it 2 times, by painting triangles 1/4, 3/4, 3/4, 1/4 as in lesson 7. The skip looked at a
# finer map, and is sure of one thing: at its third place there is shape.
#
# | | | | | |
# |---|---|---|---|---|
# | coarse, enlarged | 1.5 | 1 | -1 | -1.5 |
# | skip | 0 | 0 | 3 | 0 |
# | sum | 1.5 | 1 | **2** | -1.5 |
#
# The outline has moved by one *fine* place. A skip only corrects; with nothing to say, it adds 0.

# %%
coarse, skip = np.array([[[[2, -2]]]], np.float32), np.array([0, 0, 3, 0], np.float32)
triangle = np.array([[[[0.25, 0.75, 0.75, 0.25]]]], np.float32)  # (1, 1, 1, 4)
enlarged = ops.conv_transpose2d(coarse, triangle, stride=(1, 2), padding=(0, 1))[0, 0, 0]  # (4,)
assert enlarged.tolist() == [1.5, 1, -1, -1.5]
assert (enlarged + skip).tolist() == [1.5, 1, 2, -1.5], "the third place should have changed sides"

# %% [markdown]
# ## How coarse is 32?
#
# Take the truth of a picture of 64 x 64, and keep of each 32 x 32 pixels only which share of them
# is shape: 2 x 2 numbers. Enlarge again; above 1/2 is shape. No network is involved, and even so
# little is left. With 16 x 16 and 8 x 8 pixels it gets better. We measure by boundary F1 (경계 F1,
# lesson 5): R is the share of the true outline with a drawn one at most 2 pixels away, P the share
# of the drawn one with a true one so near. F1 = 2 P R / (P + R); 1 is best.

# %%
pictures = data.Synthetic("shapes", size=64, count=128)
normalisation = data.measure_normalisation(pictures)  # brings colours to mean 0, deviation 1
held_out = list(data.Synthetic("shapes", split="val", size=64, count=24))  # not trained on
truth = np.stack([sample.labels > 0 for sample in held_out]).astype(np.int64)  # (24, 64, 64)
x = np.stack([normalisation.apply(sample.image).transpose(2, 0, 1) for sample in held_out])


def outlines(labels):
    """Mean boundary F1 over both classes and the held-out pictures (24, 64, 64)."""
    pairs = zip(truth, labels, strict=True)
    return np.mean([metrics.boundary_f1(*pair, 2, tolerance=2).mean() for pair in pairs])


grains = {}
for s in (32, 16, 8):
    share = ops.avg_pool2d(truth[:, None].astype(float), s)  # (24, 1, 64/s, 64/s)
    grains[s] = (ops.resize_bilinear(share, 64)[:, 0] > 0.5).astype(int)  # (24, 64, 64)
    print(f"truth at {s:2} x {s:2} pixels: boundary F1 {outlines(grains[s]):.2f}")
assert outlines(grains[32]) < outlines(grains[16]) < outlines(grains[8])

# %% [markdown]
# ## The network, written out
#
# VGG, the classifier of lesson 9, halves the size five times. `pool3`, `pool4` and `pool5` are its
# maps at 1/8, 1/16 and 1/32. What were dense layers are now convolutions: fc6 (7x7), fc7 and
# `score_fr` (1x1), as in lesson 9. A skip is one 1x1 convolution, from the channels of its map to
# one score for each class:
#
#     pool5 -- fc6, fc7, score_fr -- 2x -- add -- 2x -- add -- 8x --> scores of all pixels
#     pool4 -- score_pool4 ----------------'            |
#     pool3 -- score_pool3 -----------------------------'
#
# That is FCN-8s, named after its last enlargement. FCN-16s has no pool3: it ends in 2x and 16x.
# FCN-32s has no skip at all. Enlarging is a transposed convolution (전치 합성곱). The two 2x have a 4 x
# 4 filter for each pair of classes and no bias; they start as triangles and are learned. The last
# enlarges each class by itself and stays as it is. Here it is in loops, with a model's weights.


# %%
def paint(x, w, s):
    """Enlarge maps (N, K, h, w) s times: each place paints a copy of the filter."""
    (N, K, h, width), side, cut = x.shape, w.shape[2], s // 2
    canvas = np.zeros((N, K, (h - 1) * s + side, (width - 1) * s + side), x.dtype)
    for i in range(h):
        for j in range(width):
            copies = np.einsum("nk,kcab->ncab", x[:, :, i, j], w)  # (N, K, side, side)
            canvas[:, :, i * s : i * s + side, j * s : j * s + side] += copies
    return canvas[:, :, cut : cut + h * s, cut : cut + width * s]  # (N, K, sh, sw)


def fcn8s(model, x):
    """Give the scores of an FCN-8s, and the three maps of scores that it adds up."""
    _, _, pool3, pool4, pool5 = model.backbone(Tensor(x))  # VGG; (N, C, 8, 8), 4 x 4, 2 x 2
    deep = model.relu7(model.fc7(model.relu6(model.fc6(pool5))))
    scored = model.score_fr(deep), model.score_pool4(pool4), model.score_pool3(pool3)
    parts = [y.data for y in scored]  # (N, classes, 2, 2), 4 x 4, 8 x 8
    scores = paint(parts[0], model.upscore2.weight.data, 2) + parts[1]  # (N, classes, 4, 4)
    scores = paint(scores, model.upscore_pool4.weight.data, 2) + parts[2]  # (N, classes, 8, 8)
    fixed = np.eye(2)[:, :, None, None] * model.upscore.weight.data  # (2, 2, 16, 16), no mixing
    return paint(scores, fixed, 8), parts  # (N, classes, 64, 64)


# %% [markdown]
# ## Staged training
#
# FCN-32s comes first. Then its weights go into FCN-16s, whose new scores start at 0, and training
# goes on; then the same with FCN-8s. With `stepwise=True`, FCN-32s enlarges by 2, 2, 8 as well.
# Then **a new skip changes no bit of the output** when it is put in: it can't start worse.
#
# We ask for "shape or background". A small network learns that in seconds: one convolution a level,
# 6 channels (`width`) on the first. Batch normalisation (배치 정규화) after each brings a channel to
# mean 0 and deviation 1 (the batch's in training; after `eval()`, averages kept from training), then
# scales and shifts it by two learned numbers. To be fair, all three networks get 140 steps.


# %%
def train(model, first, last):
    """Train on batches number first to last - 1."""
    loss = losses.build("ce")  # cross-entropy, lesson 8
    optimizer = optim.Adam(model.parameters(), lr=0.008)  # walks downhill, a step at a time
    model.train()
    for batch in loader.batches(first, last):
        optimizer.zero_grad()
        loss(model(batch.images), (batch.labels > 0).astype(np.int64)).backward()
        optimizer.step()
    model.eval()


def predict(model):
    """Label the held-out pictures: (24, 64, 64)."""
    with no_grad():
        return model(x).data.argmax(1)


loader = data.Loader(pictures, batch=4, normalisation=normalisation, threads=0)
small = {"classes": 2, "width": 6, "convolutions": (1, 1, 1, 1, 1), "dropout": 0}
coarse = models.build("fcn32s", stepwise=True, **small)
train(coarse, 0, 60)
finer = FCN16s.from_fcn32s(coarse)
with no_grad():
    assert (finer(x).data == coarse(x).data).all(), "a new skip should change no bit"
train(finer, 60, 100)
finest = FCN8s.from_fcn16s(finer)
train(finest, 100, 140)
train(coarse, 60, 140)
train(finer, 100, 140)

with no_grad():
    by_loops, parts = fcn8s(finest, x)
    error = abs(by_loops - finest(x).data).max()
assert error < 1e-3, f"the network in loops is off by {error}"
print(f"FCN-8s in loops: off by {error:.0e}, in scores up to {abs(by_loops).max():.0f}")

# %% [markdown]
# ## The claim
#
# Each skip brings the outlines nearer to the true ones. It isn't longer training: all got as much.
# Nor is it luck: with six seeds (`seed=` of `models.build` and `data.Loader`) each skip gained 0.11
# to 0.28, with half or twice the steps or `lr` at least 0.06. FCN-32s only has 2 x 2 numbers.

# %%
labels = {"FCN-32s": predict(coarse), "FCN-16s": predict(finer), "FCN-8s": predict(finest)}
f1 = {name: outlines(predicted) for name, predicted in labels.items()}
for name, predicted in labels.items():
    print(f"{name:7}: boundary F1 {f1[name]:.2f}, right pixels {np.mean(predicted == truth):.0%}")
assert f1["FCN-32s"] + 0.05 < f1["FCN-16s"], "the skip from pool4 should help the outlines"
assert f1["FCN-16s"] + 0.05 < f1["FCN-8s"], "the skip from pool3 should help them, too"

figure, palette = Figure(figsize=(9.6, 5.9), layout="constrained"), viz.default_palette(2)
for row, n in zip(figure.subplots(3, 5), (1, 4, 9), strict=True):
    row[0].imshow(held_out[n].image)
    for axes, drawn in zip(row[1:], (truth, *labels.values()), strict=True):
        axes.imshow(viz.colourise(drawn[n], palette))
        axes.contour(truth[n], [0.5], colors="white", linewidths=0.8)
    titles = ["picture", "truth", *(f"{name}: {value:.2f}" for name, value in f1.items())]
    for axes, title in zip(row, titles, strict=True):
        axes.set(xticks=[], yticks=[], title=title if n == 1 else "")
figure.supxlabel("numbers: boundary F1 of 24 held-out pictures; white: outline", fontsize=10)
lesson.show(figure, "skips")

# %% [markdown]
# Now one picture. Upper row: its truth at each grain. Lower row: what each path of FCN-8s says, as
# the score of shape minus that of background. At 32 x 32 nothing is left: no quarter is more than
# half shape. The deep path has four numbers to speak with. Places come from pool3.

# %%
top, bottom = (figure := Figure(figsize=(9.6, 5.3), layout="constrained")).subplots(2, 4)
drawn = {f"truth, {s} x {s} pixels": grain[4] for s, grain in grains.items()} | {"truth": truth[4]}
for axes, (title, shown) in zip(top, drawn.items(), strict=True):
    axes.imshow(viz.colourise(shown, palette))
    axes.set(xticks=[], yticks=[], title=title)
names = ("deep: score_fr", "score_pool4", "score_pool3", "scores of FCN-8s")
for axes, title, shown in zip(bottom, names, [*parts, by_loops], strict=True):
    limit = abs(margin := shown[4, 1] - shown[4, 0]).max()
    axes.imshow(margin, cmap="PuOr_r", vmin=-limit, vmax=limit, extent=(0, 64, 64, 0))
    axes.contour(np.arange(64) + 0.5, np.arange(64) + 0.5, truth[4], [0.5], colors="black")
    axes.set(xticks=[], yticks=[], title=title)
figure.supxlabel("orange: shape, purple: background, white: undecided; own ranges", fontsize=10)
lesson.show(figure, "what_each_path_says")

# %% [markdown]
# ## What people get wrong
#
# **Starting a new skip at random.** It spoils scores that were good. Zero is no dead end: the
# gradient of a skip's weight is dy times the map it reads, and neither is 0. **Keeping the old
# optimiser.** The new model has arrays of its own. An optimiser that was made for the old one moves
# the old one, and the new skip never learns. No error is raised.

# %%
careless = FCN8s.from_fcn16s(finer)
skip = careless.score_pool3.weight
functional.softmax_cross_entropy(careless(x[:4]), truth[:4]).backward()
assert not skip.data.any() and abs(skip.grad).max() > 0, "a skip of zeros should get a gradient"
optim.Adam(finer.parameters(), lr=0.01).step()  # the old model's optimiser
assert not skip.data.any(), "the old model's optimiser should not move the new skip"
skip.data[...] = rng.normal(size=skip.shape)
before, after = (np.mean(p == truth) for p in (labels["FCN-16s"], predict(careless)))
print(f"FCN-16s: {before:.0%} of the pixels right; with a random new skip {after:.0%}")
assert after < before - 0.05, "a random skip should have done harm"

# %% [markdown]
# ## Exercises (solutions: `lessons/solutions/10_fcn_skips.py`)
# 1. A picture has 96 x 160 pixels. On paper: the sizes of pool3, pool4, pool5 and of all score
#    maps. Check them with `finest.level_sizes((96, 160))`.
# 2. How many parameters does each skip add, with its 2x layer, for 21 classes at the paper's size
#    (pool4 has 512 channels, pool3 256)? Right if `.parameter_count()` differs by that between
#    `models.build(name, classes=21, width=64, initialise=False)` of two names ("fcn32s", ...).
# 3. Without `stepwise`, as in the paper, FCN-32s enlarges by 32 at once, FCN-16s by 2 and then 16.
#    Take random scores of 3 classes on 4 x 4 places and enlarge them both ways, with triangles. How
#    many labels differ? Right if on a ramp, which rises evenly, nothing does away from the border.
# 4. All of it, marked: `minisegnet start 10` writes a stub, `minisegnet check 10 FILE` marks it.
#
# ## Where it comes from
#
# - J. Long, E. Shelhamer, T. Darrell, "Fully convolutional networks for semantic segmentation"
#   (2015), section 4.2: skips, their zeros, stages. Theirs start from VGG16's trained weights.
# - The Korean notes "Segmentation" enlarge each path by itself and then put all three together. In
#   the paper the sums come one after the other: 2x, add, 2x, add, 8x. "[Computer Vision] 06.
#   Segmentation" puts *feature maps* together. FCN adds *scores*; maps side by side: U-Net's way.
