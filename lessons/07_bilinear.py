# %% [markdown]
# # Making maps larger: bilinear interpolation
#
# A network looks at 512 x 512 pixels, and its last map has 16 x 16 places. We want a label for
# every pixel. **What number belongs between two places of the coarse map, and where is
# "between"?** The answer is interpolation (보간): mix the values of the nearest places, the near
# ones more. A transposed convolution, which only paints copies of a filter, can do that, too.

# %%
import numpy as np
from matplotlib.figure import Figure

from minisegnet import ops, viz

lesson = viz.Lesson("07_bilinear")
rng = np.random.default_rng(7)
BLACK, ORANGE, SKY, GREEN, _, BLUE, RED, _ = np.array(viz.default_palette(8)) / 255

# %% [markdown]
# ## By hand, along one axis
#
# A row of two pixels holds 0 and 4. Halfway between them we say 2, a quarter of the way 1. At
# place r + t, with r whole and t from 0 to 1, it is `(1 - t) x[r] + t x[r + 1]`: linear
# interpolation (선형 보간).
#
# Now make four pixels of the two. Which places do they read? There are two ideas of a pixel, and
# so two answers. H is the old length, OH the new; place 0 is the centre of the first old pixel.
#
# - **A pixel is a small square.** The row is two old pixels wide, and four new ones share that
#   width. From the left end it is i + 0.5 new pixels to the centre of output i, and half an old
#   one to place 0. So i reads place `(i + 0.5) H/OH - 0.5`, here -1/4, 1/4, 3/4, 5/4. The first and
#   the last lie beyond the outer centres; there the edge is repeated. Values: 0, 1, 3, 4.
# - **A pixel is a point.** The row goes from the first point to the last. Output i reads place
#   `i (H - 1)/(OH - 1)`: 0, 1/3, 2/3, 1. Values: 0, 4/3, 8/3, 4. This is `align_corners=True`.


# %%
def source_place(i, H, OH, align_corners):
    """Place of the input that output i reads."""
    return i * (H - 1) / (OH - 1) if align_corners else (i + 0.5) * H / OH - 0.5


assert [source_place(i, 2, 4, False) for i in range(4)] == [-0.25, 0.25, 0.75, 1.25]

# %% [markdown]
# ## Loops, and the fast version
#
# Two axes need no new idea: resize every column, then every row. At place (r + t, c + u) the four
# nearest pixels get the weights (1-t)(1-u), (1-t)u, t(1-u), tu, products of two linear terms:
# hence *bi*linear interpolation (쌍선형 보간). The fast version, `ops.resize_bilinear`, takes maps
# (N, C, H, W): N pictures with C channels each.


# %%
def interpolate(x, OH, align_corners=False):
    """Resize one row of numbers."""
    H = len(x)
    y = np.zeros(OH)
    for i in range(OH):
        place = source_place(i, H, OH, align_corners)
        place = min(max(place, 0.0), H - 1.0)  # beyond the border the edge is repeated
        r, t = int(place), place % 1
        y[i] = (1 - t) * x[r] + t * x[min(r + 1, H - 1)]
    return y  # (OH,)


def interpolate_2d(x, size, align_corners=False):
    """Resize one map (H, W)."""
    columns = [interpolate(column, size[0], align_corners) for column in x.T]
    tall = np.stack(columns, axis=1)  # (OH, W)
    return np.stack([interpolate(row, size[1], align_corners) for row in tall])  # (OH, OW)


assert np.allclose(interpolate([0.0, 4.0], 4), [0, 1, 3, 4])
assert np.allclose(interpolate([0.0, 4.0], 4, align_corners=True), [0, 4 / 3, 8 / 3, 4])
middle = interpolate_2d(np.array([[0.0, 4.0], [8.0, 20.0]]), (3, 3), align_corners=True)[1, 1]
assert middle == (0 + 4 + 8 + 20) / 4, "the middle of four pixels is their mean"
x = rng.standard_normal((1, 1, 5, 6))  # (N, C, H, W)
for align_corners in (False, True):
    for size in ((10, 12), (7, 20), (3, 4)):
        fast = ops.resize_bilinear(x, size, align_corners=align_corners)  # (1, 1, OH, OW)
        assert np.allclose(fast[0, 0], interpolate_2d(x[0, 0], size, align_corners))

# %%
H, OH, x = 3, 6, [0.0, 5.0, 10.0]
figure = Figure(figsize=(9.6, 2.9), layout="constrained")
names = {"squares": False, "points": True}
for axes, (name, align_corners) in zip(figure.subplots(1, 2), names.items(), strict=True):
    places = [source_place(i, H, OH, align_corners) for i in range(OH)]
    y = interpolate(x, OH, align_corners)
    for top, at, values, colour in ((1, range(H), x, BLUE), (0, places, y, ORANGE)):
        if not align_corners:
            axes.bar(at, 0.36, at[1] - at[0], top - 0.18, fc="none", ec=colour, lw=1.5)
        axes.plot(at, np.full(len(at), top), "o", color=colour, ms=7)
        for place, value in zip(at, values, strict=True):
            axes.text(place, 1.64 * top - 0.32, f"{value:g}", ha="center", va="center")
    for place in places:
        beyond = place < 0 or place > H - 1
        axes.vlines(place, 0, 1, color=RED if beyond else BLACK, ls=":")
        axes.text(place - 0.06, 0.5, "edge" if beyond else "", color=RED, ha="right")
    axes.set(xlim=(-0.9, H - 0.1), ylim=(-0.5, 1.5), xticks=range(H), xlabel="place in the input")
    axes.set_yticks([0, 1], ["output", "input"])
    axes.set_title(f"pixels are {name}: align_corners={align_corners}")
lesson.show(figure, "align_corners")

# %% [markdown]
# Three pixels become six. As squares, both rows are equally long, and neighbours are exactly 1/2
# apart. As points, the ends coincide, and neighbours are 2/5 apart, which is why we use squares
# wherever sizes are doubled and halved.
#
# ## A transposed convolution that interpolates
#
# In lesson 6 a transposed convolution (전치 합성곱) let every input pixel paint a copy of a filter,
# scaled by its value and moved on by the `stride`; overlaps were summed. Interpolation can be seen
# like that, too: don't ask what an output reads, ask where an input goes. It goes to all outputs
# less than one input pixel away, with weight 1 minus the distance. That is a triangle, the same
# for all. To enlarge s = 2 times, the outputs near an input lie 3/4, 1/4, 1/4, 3/4 away from it. So
# the filter is 1/4, 3/4, 3/4, 1/4, and the stride is 2, as an input pixel is two outputs wide:
#
# | input | paints | | | | | |
# |---|---|---|---|---|---|---|
# | 0 | 0 | 0 | 0 | 0 | | |
# | 4 | | | 1 | 3 | 3 | 1 |
# | sum | 0 | **0** | **1** | **3** | **3** | 1 |
#
# Cut one pixel off each end (`padding=1`): 0, 1, 3, 3. Interpolation gave 0, 1, 3, 4. The last
# output is 3/4 of 4 plus 1/4 of what comes next. Interpolation repeats the 4; here nobody paints.


# %%
def triangle(s):
    """Filter that enlarges s times: 1 minus the distance to its centre, in input pixels."""
    K = 2 * s - s % 2  # with an odd s, an output lies on the centre, and K is odd as well
    return 1 - abs(np.arange(K) - (K - 1) / 2) / s


def paint(x, s):
    """Enlarge one row s times: each input paints a triangle."""
    w = triangle(s)
    canvas = np.zeros((len(x) - 1) * s + len(w))
    for j, value in enumerate(x):
        canvas[j * s : j * s + len(w)] += value * w
    padding = (len(w) - s) // 2
    return canvas[padding : padding + len(x) * s]


def enlarge(x, s):
    """Enlarge maps (N, C, H, W), each channel by itself (groups=C), by products of triangles."""
    C, square = x.shape[1], np.outer(triangle(s), triangle(s))  # (K, K)
    w, padding = np.stack([square[None]] * C), (len(square) - s) // 2  # (C, 1, K, K)
    return ops.conv_transpose2d(x, w, stride=s, padding=padding, groups=C)  # (N, C, sH, sW)


assert paint([0.0, 4.0], 2).tolist() == [0.0, 1.0, 3.0, 3.0]

# The picture: enlarge ones, and the answer should be ones. Where two triangles overlap, it is.
figure = Figure(figsize=(9.6, 3.6), layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=(1.45, 1))
for j, colour in enumerate((BLUE, ORANGE, GREEN, RED, SKY)):
    left.fill([j - 1, j, j + 1], [0, 1, 0], fc=(*colour, 0.15), ec=colour, lw=1.2)
left.plot((np.arange(40) + 0.5) / 8 - 0.5, paint(np.ones(5), 8), ".-", color=BLACK, lw=1, ms=5)
left.text(2, 1.06, "sum of all triangles (dots: the output pixels)", ha="center", fontsize=9)
for start in (-1, 4.5):
    left.axvspan(start, start + 0.5, color="0.9", lw=0)
    left.text(start + 0.25, 1.1, "cut off", ha="center", fontsize=8)
left.set(xlim=(-1, 5), ylim=(0, 1.2), xlabel="place in the input: five ones, enlarged 8 times")
ones = enlarge(np.ones((1, 1, 3, 3)), 2)[0, 0]  # (6, 6)
right.imshow(ones, cmap="gray", vmin=-0.5, vmax=1.1)
for (i, j), value in np.ndenumerate(ones):
    right.text(j, i, f"{value:.4g}", ha="center", va="center", fontsize=8)
right.set(xticks=[], yticks=[], title="3 x 3 ones, enlarged 2 times")
lesson.show(figure, "triangles")

# %% [markdown]
# ## The claim, asserted
#
# With triangle weights, kernel `K = 2s - s % 2`, stride s and padding `(K - s) / 2`, a transposed
# convolution **is** bilinear interpolation, but for a frame of s // 2 pixels, half an input pixel,
# that fades. With one channel of scores for each class (lesson 1), all scores of a pixel fade by
# the same factor: the largest stays. Losses and sums with other scores do notice (lessons 8, 10).

# %%
x = rng.standard_normal((2, 3, 5, 6))  # (N, C, H, W)
for s in (2, 3, 8, 32):
    painted, f = enlarge(x, s), s // 2  # (2, 3, 5s, 6s)
    resized = ops.resize_bilinear(x, (5 * s, 6 * s))  # (2, 3, 5s, 6s)
    error = abs(painted - resized)
    assert error[:, :, f:-f, f:-f].max() < 1e-12, f"{s} times: not equal inside"
    assert error.max() > 0.1, f"{s} times: equal at the border, too"
    assert (painted.argmax(1) == resized.argmax(1)).all(), f"{s} times: fading changed a label"
    corner = enlarge(np.ones((1, 1, 2, 2)), s)[0, 0, 0, 0]
    print(f"{s:2} times: equal inside; the corner of a map of ones sinks to {corner:.4f}")
assert np.isclose(corner, (0.5 + 0.5 / 32) ** 2), "its centre is 0.5 - 0.5/s away on each axis"

# %% [markdown]
# ## What people get wrong
#
# **Interpolating labels.** Labels are names. Between class 0 (road) and class 2 (sky) there is no
# class 1 (person). Enlarge *scores* and take the argmax, or repeat labels by `resize_nearest`.

# %%
labels = np.pad(np.full((4, 5), 2), ((2, 2), (2, 1)))  # (8, 8)
as_map = labels[None, None].astype(float)  # (1, 1, 8, 8)
nearest = ops.resize_nearest(as_map, 64)[0, 0].astype(int)  # (64, 64)
scores = (labels == np.arange(3)[:, None, None]).astype(float)[None]  # (1, 3, 8, 8)
right = ops.resize_bilinear(scores, 64)[0].argmax(0)  # (64, 64)
wrong = np.rint(ops.resize_bilinear(as_map, 64)[0, 0]).astype(int)  # (64, 64)
assert set(nearest.flat) == set(right.flat) == {0, 2}
assert set(wrong.flat) == {0, 1, 2}, "the mistake should have invented class 1"
print(f"interpolated labels: {np.mean(wrong == 1):.0%} of the pixels get a class that isn't there")

figure = Figure(figsize=(9.6, 3.8), layout="constrained")
titles = ("labels nearest", "scores bilinear, then argmax", "labels bilinear: invents orange")
for axes, title, shown in zip(figure.subplots(1, 3), titles, (nearest, right, wrong), strict=True):
    axes.imshow(viz.colourise(shown, viz.default_palette(3)))
    axes.set(xticks=[], yticks=[], title=title)
lesson.show(figure, "labels")

# %% [markdown]
# **Shrinking with it.** It reads two pixels along each axis, though an output may stand for more
# (below: for four). Average. **Training with squares, using points**: a ramp shows the shift.

# %%
stripes = np.tile([1.0, 0.0, 0.0, 1.0], 4)[None, None, None]  # (1, 1, 1, 16), half of it is 1
assert (ops.resize_bilinear(stripes, (1, 4)) == 0).all(), "half of the picture should be gone"
assert (ops.avg_pool2d(stripes, (1, 4)) == 0.5).all()
apart = interpolate(np.arange(8.0), 64, align_corners=True) - interpolate(np.arange(8.0), 64)
assert abs(apart).max() > 3 / 8, "8 pixels made 64: off by more than 3 of the new pixels"

# %% [markdown]
# ## Exercises (solutions: `lessons/solutions/07_bilinear.py`)
# 1. On paper: make six pixels of 2, 6, 4, as squares. Which input values survive? Check it.
# 2. Write `enlarge_exactly(x, s)` with `conv_transpose2d` and without a faded frame. (What should
#    have been there to paint?) It is right when it equals `resize_bilinear` for s = 2, 3, 8.
# 3. An output is a sum of inputs times weights, so a dy (lesson 3) goes back to the inputs it was
#    mixed from, times the same weights. Write this backward of `interpolate` in loops. Right if
#    `testing.check_adjoint(forward, backward, x)` accepts both conventions, larger and smaller.
# 4. FCN-8s (lesson 10) enlarges by 2, by 2, by 8. For which maps is that 32 at once, away from the
#    border? Show one for which it is and one for which it isn't, and say why.
# 5. All of it, marked: `minisegnet start 07` writes a stub, `minisegnet check 07 FILE` marks it.
#
# ## Where it comes from
#
# J. Long, E. Shelhamer and T. Darrell, "Fully convolutional networks for semantic segmentation"
# (2015), section 3.3: upsampling is a convolution run backwards, and its filter may be bilinear.
#
# The Korean notes "[Computer Vision] 06. Segmentation" list bilinear interpolation and transposed
# convolution as two ways to enlarge; but for the border, the first is a case of the second. They
# also say that a formula fills the gaps that open between pixels. That is true of points: five
# outputs of three keep all three. It isn't of squares: 0, 5, 10 made six, and the 5 is gone.
