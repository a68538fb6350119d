# %% [markdown]
# # From scores to a loss
#
# For each pixel a network gives one number per class, its score. **Which single number says how
# wrong these scores are, and which way should each of them move?** And how can a network be right
# at 97 of 100 pixels and have missed most of what we look for? The number is the loss (손실). It is
# small where labels are right, and has a derivative, so that one can walk downhill.

# %%
import numpy as np
from matplotlib.figure import Figure

from minisegnet import Tensor, functional, losses, ops, optim, viz

lesson = viz.Lesson("08_softmax_and_losses")
rng = np.random.default_rng(8)
BLACK, ORANGE, _, GREEN, _, BLUE, RED, _ = np.array(viz.default_palette(8)) / 255

# %% [markdown]
# ## By hand, then in loops
#
# A score may be any number. Softmax (소프트맥스) makes probabilities of the scores z of a pixel: raise
# e to each, then divide by the sum, `p[c] = exp(z[c]) / sum(exp(z))`. They are positive and add up
# to 1. Cross-entropy (교차 엔트로피) is minus the natural logarithm of the probability of the true
# class: 0 if that is 1, and without limit as it goes to 0.
#
# | pixel | scores | exp | probabilities | true class | loss |
# |---|---|---|---|---|---|
# | A | log 1, log 3 | 1, 3 | 1/4, 3/4 | 1 | -log 3/4 = 0.288 |
# | B | 0, 0 | 1, 1 | 1/2, 1/2 | 0 | -log 1/2 = 0.693 |
#
# Written out, the loss is `-z[true] + log(sum(exp(z)))`. The derivative of the second part with
# respect to z[c] is exp(z[c]) / sum(exp(z)) = p[c]; that of the first is -1 for the true class. So
# the gradient is **p minus 1 at the true class, p elsewhere**: for A 1/4, -1/4, for B -1/2, 1/2. We
# step against it: the true class's score rises by what p lacks, the others sink by what they have.


# %%
def cross_entropy(z, labels):
    """Losses (H, W), probabilities and gradient (C, H, W) of scores z (C, H, W)."""
    C, H, W = z.shape
    loss, p, dz = np.zeros((H, W)), np.zeros(z.shape), np.zeros(z.shape)
    for i in range(H):
        for j in range(W):
            largest = max(z[c, i, j] for c in range(C))  # why: see below
            total = sum(np.exp(z[c, i, j] - largest) for c in range(C))
            for c in range(C):
                p[c, i, j] = np.exp(z[c, i, j] - largest) / total
                dz[c, i, j] = p[c, i, j] - (c == labels[i, j])
            loss[i, j] = largest + np.log(total) - z[labels[i, j], i, j]
    return loss, p, dz


z = np.array([[[np.log(1), 0.0]], [[np.log(3), 0.0]]])  # (C, H, W) = (2, 1, 2): pixels A and B
labels = np.array([[1, 0]])  # (1, 2)
loss, p, dz = cross_entropy(z, labels)
assert np.allclose(loss, [[-np.log(3 / 4), -np.log(1 / 2)]])
assert np.allclose(dz[:, 0], [[1 / 4, -1 / 2], [-1 / 4, 1 / 2]]), "columns: A and B"

# %% [markdown]
# ## The fast version
#
# `ops.softmax_cross_entropy` takes (N, C, H, W) and returns the mean over all pixels, so that its
# gradient has a factor 1 / pixels. (The backward's first argument is the derivative from above,
# lesson 3; the loss is the end, so it is 1.) Why subtract the largest score? It divides both parts
# of the fraction by exp(largest) and changes nothing. But exp(1000) is too large for a computer.

# %%
with np.errstate(over="ignore", invalid="ignore"):
    naive = np.exp([1000.0, 0.0]) / np.exp([1000.0, 0.0]).sum()
assert np.isnan(naive[0]), "without subtracting, large scores should break softmax"
other = 100 * rng.standard_normal((4, 5, 6)), rng.integers(0, 4, (5, 6))
for scores, target in ((z, labels), other):
    by_loops, p, dz = cross_entropy(scores, target)
    fast, probs = ops.softmax_cross_entropy(scores[None], target[None])
    assert np.isclose(fast, by_loops.mean()) and np.allclose(probs[0], p)
    dlogits = ops.softmax_cross_entropy_backward(1.0, probs, target[None])  # (1, C, H, W)
    assert np.allclose(dlogits[0], dz / target.size)
print("loops and ops.softmax_cross_entropy agree, with scores in the hundreds, too")

# %% [markdown]
# ## Why not the squared error?
#
# (1 - p)², with p the true class's probability, is small for good answers, too. But the derivative
# of p is p (1 - p), so its gradient has a factor p: a pixel that is badly wrong (p near 0) hardly
# moves. The dashed curve is the focal loss, cross-entropy times (1 - p)^gamma, here gamma = 2: what
# is right counts less. (The pull is minus the derivative by the true class's score.)

# %%
p = np.linspace(0.005, 0.995, 199)
score, ce = np.log(p / (1 - p)), -np.log(p)  # of the true class; the other class's score is 0
curves = {"cross-entropy": ce, "focal": (1 - p) ** 2 * ce, "squared error": (1 - p) ** 2}
z_true = np.stack([score, 0 * score], axis=1)  # (N, C) = (199, 2)
assert np.isclose(losses.focal(z_true, np.zeros(199, int)).item(), curves["focal"].mean())
figure = Figure(figsize=(9.6, 3.2), layout="constrained")
left, right = figure.subplots(1, 2)
pull = {name: -np.gradient(loss, score) for name, loss in curves.items()}  # numerical derivative
for name, colour, style in zip(curves, (BLUE, ORANGE, RED), ("-", "--", ":"), strict=True):
    left.plot(p, curves[name], style, color=colour, lw=2, label=name)
    right.plot(p, pull[name], style, color=colour, lw=2)
assert pull["squared error"][0] < 0.03 < 0.97 < pull["cross-entropy"][0], "at p = 0.005"
left.set(ylim=(0, 3), title="loss of one pixel", xlabel="probability of the true class")
right.set(title="pull on the true class's score", xlabel="probability of the true class")
left.legend(frameon=False)
lesson.show(figure, "loss_and_pull")

# %% [markdown]
# ## What counts, and how much
#
# Pixels that nobody could label get a label of their own, often 255, and `ignore_index=255` leaves
# them out: no loss, no gradient, not counted in the mean. `weight` makes a class count more; the
# mean then divides by the sum of the weights.

# %%
z = np.log([[1.0, 3.0], [1.0, 1.0]])  # (N, C): A and B once more; with two axes there is no map
mean = ops.softmax_cross_entropy(z, np.array([1, 255]), ignore_index=255)[0]
assert np.isclose(mean, -np.log(3 / 4)), "B is ignored: A's loss, not half of it"
mean = ops.softmax_cross_entropy(z, np.array([1, 0]), weight=np.array([3.0, 1.0]))[0]
assert np.isclose(mean, (1 * -np.log(3 / 4) + 3 * -np.log(1 / 2)) / (1 + 3))

# %% [markdown]
# ## Dice: judge regions, not pixels
#
# The Dice score (다이스 계수) of a class is twice the overlap, divided by the area predicted plus the
# area that is there: 1 if they coincide, 0 if they don't touch. With probabilities as fractions of
# pixels it has a derivative. A and B: class 0 overlaps by 1/2, 3/4 is predicted, 1 is there, score
# 1/(7/4) = 4/7. Class 1: (3/2)/(5/4 + 1) = 2/3. The Dice loss is 1 minus the mean, 8/21. (Ours
# adds `smooth`, 1 by default, to both parts of the fraction, against 0/0.) Add 18 pixels of sure
# background: the mean cross-entropy falls to a tenth, class 1's Dice score doesn't change.


# %%
def dice(p, labels):
    """Dice loss of probabilities p (pixels, C)."""
    truth = labels[:, None] == np.arange(p.shape[1])  # (pixels, C)
    scores = 2 * (p * truth).sum(0) / (p.sum(0) + truth.sum(0))  # (C,)
    return 1 - scores.mean()


labels = np.array([1, 0])
assert np.isclose(dice(ops.softmax(z), labels), 8 / 21)
assert np.isclose(losses.dice(z, labels, smooth=0.0).item(), 8 / 21)
more, many = np.concatenate([z, 18 * [[50.0, 0.0]]]), np.append(labels, 18 * [0])  # (20, 2), (20,)
mean, drowned = losses.cross_entropy(z, labels), losses.cross_entropy(more, many)
assert np.isclose(mean.item(), 10 * drowned.item()), "twenty pixels, and only two have a loss"
of_class_1 = losses.build("dice", weight=np.array([0.0, 1.0]))  # class 0 counts nothing
assert np.isclose(of_class_1(z, labels).item(), of_class_1(more, many).item())

# %% [markdown]
# ## The claim: a loss chooses what to miss
#
# Three small bright discs in strong noise; 4 of 100 pixels belong to them. Our network is as small
# as can be: score = w times brightness + b, for each of two classes. All that it can learn is a
# threshold: brighter is disc. We train it with four losses. (`Tensor` is lesson 4's; Adam is a way
# of walking downhill.) Recall (재현율) is the part of the discs that was found, precision (정밀도) the
# part of what was found that is disc, IoU (intersection over union) the overlap / their joint area.

# %%
(rows, columns), truth = np.mgrid[:64, :64], np.zeros((64, 64), int)
for row, column, radius in ((16, 18, 4), (40, 46, 4.5), (50, 14, 3)):
    truth[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = 1
brightness = truth + 0.4 * rng.standard_normal(truth.shape)  # (64, 64)
x, target, share = brightness.reshape(-1, 1), truth.ravel(), truth.mean()  # (4096, 1), (4096,)


def train(loss, **options):
    """Return the threshold that the loss leads to, and the labels."""
    w = Tensor(np.zeros((2, 1)), requires_grad=True)
    b = Tensor(np.zeros(2), requires_grad=True)
    optimizer = optim.Adam([w, b], lr=0.1)  # lr: how far a step goes
    for _ in range(300):
        optimizer.zero_grad()
        loss(functional.linear(x, w, b), target, **options).backward()
        optimizer.step()
    threshold = (b.data[0] - b.data[1]) / (w.data[1] - w.data[0]).item()  # equal scores
    return threshold, (brightness > threshold).astype(int)


balanced = np.array([0.5 / (1 - share), 0.5 / share])  # each class weighs the same in all
found = {"cross-entropy": train(losses.cross_entropy), "focal": train(losses.focal)}
found |= {"Dice": train(losses.dice), "weighted": train(losses.cross_entropy, weight=balanced)}
recall, precision, iou = {}, {}, {}
print(f"background everywhere: {1 - share:.1%} of the pixels are right")
for name, (_, predicted) in found.items():
    overlap = (predicted & truth).sum()
    recall[name], precision[name] = overlap / truth.sum(), overlap / predicted.sum()
    iou[name] = overlap / (predicted | truth).sum()
    numbers = f"recall {recall[name]:.2f}, precision {precision[name]:.2f}, IoU {iou[name]:.2f}"
    print(f"{name}: {(predicted == truth).mean():.1%} of the pixels are right, {numbers}")
assert recall["cross-entropy"] < 0.5, "cross-entropy should miss most of the discs"
assert recall["weighted"] > 0.85 and precision["weighted"] < 0.3, "weights find too much"
assert iou["Dice"] > max(iou["cross-entropy"], iou["weighted"]) + 0.05, "Dice should overlap best"
assert abs(found["focal"][0] - found["cross-entropy"][0]) < 0.05, "focal keeps the threshold"

figure = Figure(figsize=(9.6, 4.6), layout="constrained")
images = {"picture": brightness, "truth": truth} | {name: found[name][1] for name in found}
axes = figure.subplot_mosaic([list(images), 6 * ["below"]], height_ratios=(1, 1.3))
for name, image in images.items():
    axes[name].imshow(image, cmap="gray")
    axes[name].set(xticks=[], yticks=[], title=name)
below, bins = axes["below"], np.linspace(-1.5, 2.5, 41)
below.hist(brightness[truth == 0], bins, color="0.75", label="background")
below.hist(brightness[truth == 1], bins, color=BLACK, histtype="step", lw=1.5, label="disc")
for (name, (threshold, _)), colour in zip(found.items(), (BLUE, ORANGE, GREEN, RED), strict=True):
    style = "--" if name == "focal" else "-"  # it lies on another
    below.axvline(threshold, c=colour, ls=style, lw=2, label=f"{name}: from {threshold:.2f}")
below.set(yscale="log", xlabel="brightness", ylabel="pixels (log scale)")
below.legend(frameon=False, fontsize=8, loc="upper left")
lesson.show(figure, "thresholds")

# %% [markdown]
# Cross-entropy says disc where disc is the likelier answer: from where the histograms cross.
# Below, background is right more often, though most of the disc lies there. Weights count a missed
# disc pixel as 27 false ones (96.4 / 3.6). Dice lies between: it looks at the overlap. Focal hardly
# moves the threshold; it is for a mass of easy pixels that drowns a few hard ones (exercise 3).
#
# ## What people get wrong
#
# **Softmax twice.** The loss has softmax inside. Given probabilities, which lie between 0 and 1,
# it makes flat ones of them: a perfect answer still costs 0.313, and the network can't be sure.
#
# **Masking by multiplication.** 0 times NaN is NaN. Leave out what doesn't count, don't zero it.

# %%
twice = ops.softmax_cross_entropy(np.array([[1.0, 0.0]]), np.array([0]))[0]
assert np.isclose(twice, np.log(1 + np.exp(-1))), "a perfect answer should cost 0.313"
each, counted = np.array([np.log(2), np.nan]), np.array([True, False])
assert np.isnan((each * counted).sum()) and np.isclose(each[counted].sum(), np.log(2))

# %% [markdown]
# ## Exercises (solutions: `lessons/solutions/08_softmax_and_losses.py`)
#
# 1. On paper: scores log 2, 0, 0, true class 0. Probabilities, loss, gradient? Check with `ops`.
# 2. Write `log_softmax(z)` for z (N, C) in float32. It is right when it equals `ops.log_softmax`,
#    is finite for scores of 1e4, and isn't the logarithm of `ops.softmax` there. Why not?
# 3. 9,900 easy pixels (p = 0.99) and 100 hard ones (p = 0.3): how much of cross-entropy, and how
#    much of the focal loss, is due to the easy ones? Guess first.
# 4. Write the gradient of the focal loss with respect to the scores. It is right when
#    `testing.check_vjp` accepts it for gamma 0, 1 and 2.
# 5. All of it, marked: `minisegnet start 08` writes a stub, `minisegnet check 08 FILE` marks it.
#
# ## Where it comes from
#
# - Per-pixel cross-entropy: Long et al., FCN (2015), section 4. Class weights: Eigen and Fergus
#   (2015), section 6.3.2; SegNet (2017), section 3.2 (both as we recall them). Dice: Milletari et al.,
#   V-Net (2016), section 3; theirs has squares in the divisor. Focal: Lin et al. (2017), section 3.
# - The Korean notes "71차시: Segmentation" give a pixel the probabilities dog .45, cat .94, tree .02,
#   computer .05, tiger .21. They add up to 1.67, so they are scores. (The largest wins either way:
#   softmax keeps the order.) "03. CS231N 요약" says "Loss : Softmax". Softmax makes the probabilities;
#   the loss is their cross-entropy, "pixel-wise cross-entropy" in "Image Segmentation".
