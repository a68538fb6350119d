# %% [markdown]
# # Pooling that remembers: max pooling and unpooling
#
# A network makes its maps smaller, so that each number stands for more of the picture. In the end
# we want a label for every pixel, so the maps must grow again. **A small map holds a 7. It was
# made of four pixels. To which of the four does the 7 belong?**

# %%
import numpy as np
from matplotlib.figure import Figure

from minisegnet import data, metrics, ops, testing, viz

lesson = viz.Lesson("05_pool_and_unpool")
rng = np.random.default_rng(5)

# %% [markdown]
# ## By hand: 4 x 4 numbers
#
# **Max pooling** (최대 풀링) cuts a map into windows (윈도우), here of 2 x 2, and keeps the largest
# number of each. The source (named at the end) writes: "Remember which element was max!" So we
# note where each maximum stood, as one number: count the pixels row by row from 0. Row 1, column
# 1 of a map that is 4 wide is place 1 * 4 + 1 = 5, its **index** (인덱스). The maxima 5, 6, 7, 8
# stand at the places 5, 2, 12, 15.
#
# **Max unpooling** (최대 언풀링) goes back: a map of zeros, with values at the noted places. They
# are what the network has computed meanwhile, not the maxima. The source takes 1, 2, 3, 4.

# %%
x = np.array([[1.0, 2, 6, 3], [3, 5, 2, 1], [1, 2, 2, 1], [7, 3, 4, 8]])  # (H, W)
maxima, places = np.array([[5.0, 6], [7, 8]]), np.array([[5, 2], [12, 15]])
values = np.array([[1.0, 2], [3, 4]])
unpooled = np.array([[0.0, 0, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0], [3, 0, 0, 4]])
assert (x.flat[places] == maxima).all(), "flat[5] is the pixel at place 5"
assert (unpooled.flat[places] == values).all(), "unpooling puts values at the same places"

# %% [markdown]
# ## Plain loops
#
# The step from one window to the next is the **stride** (스트라이드). A step shorter than the window
# makes windows overlap. Of equal numbers the first wins, row by row: `>` below, not `>=`.


# %%
def max_pool(x, K, stride):
    """Keep the maximum of each K x K window of a map (H, W), and its flat place."""
    H, W = x.shape
    OH, OW = (H - K) // stride + 1, (W - K) // stride + 1
    y, indices = np.zeros((OH, OW)), np.zeros((OH, OW), int)  # (OH, OW)
    for i, j in np.ndindex(OH, OW):  # all pairs i, j: two loops in one
        best = (i * stride, j * stride)  # the window's first pixel
        for r in range(i * stride, i * stride + K):
            for c in range(j * stride, j * stride + K):
                if x[r, c] > x[best]:
                    best = (r, c)
        y[i, j], indices[i, j] = x[best], best[0] * W + best[1]
    return y, indices


def max_unpool(y, indices, size):
    """Put each value at its place in a map of zeros."""
    x = np.zeros(size)  # (H, W)
    for value, index in zip(y.flat, indices.flat, strict=True):
        x[index // size[1], index % size[1]] = value
    return x


assert (np.array(max_pool(x, 2, 2)) == [maxima, places]).all(), "the source's maxima and places"
assert (max_unpool(values, places, (4, 4)) == unpooled).all(), "and its unpooled map"

# %% [markdown]
# ## The same, fast
#
# `ops.max_pool2d` and `ops.max_unpool2d` take maps (N, C, H, W): N pictures, each with C maps
# (channels, 채널). Every channel has its own maxima, and so its own indices.

# %%
maps = rng.standard_normal((2, 3, 9, 11))  # (N, C, H, W)
for K, stride in ((2, 2), (3, 3), (3, 2), (3, 1)):  # the last two overlap
    y, indices = ops.max_pool2d(maps, K, stride=stride)  # (N, C, OH, OW), twice
    back = ops.max_unpool2d(y, indices, (9, 11))  # (N, C, H, W)
    for n, c in np.ndindex(2, 3):
        slow_y, slow_indices = max_pool(maps[n, c], K, stride)
        assert (y[n, c] == slow_y).all() and (indices[n, c] == slow_indices).all()
        assert (back[n, c] == max_unpool(slow_y, slow_indices, (9, 11))).all()
    assert (back[back != 0] == maps[back != 0]).all(), "what comes back stands where it stood"

# %%
tints = np.array(viz.default_palette(8))[[1, 2, 3, 7]] / 255  # a colour for each window
figure = Figure(figsize=(9.4, 2.8), dpi=110, layout="constrained")
titles = ("1. a map", "2. pooled: maxima", "3. later: other values", "4. unpooled")
four = zip(figure.subplots(1, 4), titles, (x, maxima, values, unpooled), strict=True)
for axes, title, matrix in four:
    H, kept = len(matrix), unpooled > 0 if matrix is x else matrix > 0
    window = np.arange(H)[:, None] * 2 // H * 2 + np.arange(H) * 2 // H  # (H, H), 0 to 3
    axes.imshow(1 - np.where(kept, 0.8, 0.15)[:, :, None] * (1 - tints[window]))
    for (i, j), value in np.ndenumerate(matrix):
        axes.text(j, i, f"{value:g}", ha="center", va="center")
    start = H / 2 - 2.5  # small matrices stand in the middle of the same frame
    axes.set(xlim=(start, start + 4), ylim=(start + 4, start), title=title)
    axes.axis("off")
lesson.show(figure, "matrices")

# %% [markdown]
# ## Going backwards
#
# Given is dy, the derivative of the loss (손실) for every output. Wanted is dx, for every input
# (lesson 3). Move the largest number of a window a little, and the maximum moves with it. Move
# another, and nothing happens. So **pooling's dx is dy at the places of the maxima** and 0
# elsewhere, and **unpooling's dx is what dy holds at the noted places**.

# %%
maps = testing.distinct_values((2, 3, 6, 6))  # no ties: at a tie there is no derivative
_, indices = ops.max_pool2d(maps, 2)  # (2, 3, 3, 3)
dy = rng.standard_normal(indices.shape)
dx = ops.max_pool2d_backward(dy, indices, (6, 6))  # (2, 3, 6, 6)
assert (dx == ops.max_unpool2d(dy, indices, (6, 6))).all(), "without overlap they are the same"
assert (ops.max_unpool2d_backward(dx, indices) == dy).all(), "unpooling reads at the places"
testing.check_vjp(  # the numerical slopes say so, too (lesson 3)
    lambda x: ops.max_pool2d(x, 2)[0], lambda dy, x: ops.max_unpool2d(dy, indices, (6, 6)), maps
)

# %% [markdown]
# ## Are outlines sharper with indices?
#
# We measure it, without training a network. Drawn shapes are 1, the background is 0, and a little
# grain (random numbers) is added. We pool twice, so that one number stands for 4 x 4 pixels, and
# come back in two ways: **repeat** each number 4 x 4 times, or **unpool** twice. Then a 9 x 9
# convolution may mend what it can: it should give 1 on objects, else 0; above 1/2 counts as object.
# Its weights w have the smallest sum of squared errors on six pictures (least squares, 최소제곱법).
# That sum has slope 0 where A.T A w = A.T b: a row of A is what the filter sees at one pixel, b
# holds the wanted 1 or 0. Six other pictures are the test.
#
# What do we pool? First the picture, of which pooling keeps the brightest, and its negative, for
# the darkest. Then also four **edge maps**: by how much a pixel is brighter than its right, left,
# lower, upper neighbour, or 0 if it isn't. They are large only along the outline. **Boundary F1**
# (경계 F1) is 1 if the outline found is the true one, pixel for pixel, and 0 if they share no pixel.


# %%
def shape_maps(picture, edges):
    """Return maps of a picture (H, W): (1, 2, H, W), or with edges (1, 6, H, W)."""
    around = np.pad(picture, 1, mode="edge")
    neighbours = (around[1:-1, 2:], around[1:-1, :-2], around[2:, 1:-1], around[:-2, 1:-1])
    steps = [np.maximum(picture - neighbour, 0) for neighbour in neighbours] if edges else []
    return np.stack([picture, 1 - picture, *steps])[None]


def there_and_back(x, way):
    """Pool twice, and come back to x's size by repeating values or by unpooling."""
    middle, first = ops.max_pool2d(x, 2)  # (N, C, H/2, W/2)
    small, second = ops.max_pool2d(middle, 2)  # (N, C, H/4, W/4)
    if way == "repeat":
        return ops.resize_nearest(small, x.shape[2:])  # (N, C, H, W)
    return ops.max_unpool2d(ops.max_unpool2d(small, second, middle.shape[2:]), first, x.shape[2:])


def patches(maps, K=9):
    """Write what a K x K filter sees at each pixel into a row (im2col, lesson 2), and a 1."""
    padded = np.pad(maps[0], ((0, 0), (K // 2, K // 2), (K // 2, K // 2)))
    views = np.lib.stride_tricks.sliding_window_view(padded, (K, K), axis=(1, 2))
    rows = views.transpose(1, 2, 0, 3, 4).reshape(-1, len(padded) * K * K)  # (H W, C K K)
    return np.hstack([rows, np.ones((len(rows), 1))])


S, shapes = 48, data.Synthetic("shapes", size=(48, 48))  # shapes[n]: a picture and its labels
truths = [(shapes[n][1] > 0).astype(int) for n in range(12)]  # (S, S), 1 is object
pictures = [truth + 0.05 * rng.standard_normal((S, S)) for truth in truths]
results, f1 = {}, {}
for edges, way in ((False, "repeat"), (False, "unpool"), (True, "repeat"), (True, "unpool")):
    rows = [patches(there_and_back(shape_maps(picture, edges), way)) for picture in pictures]
    A, b = np.concatenate(rows[:6]), np.concatenate([truth.ravel() for truth in truths[:6]])
    weights = np.linalg.solve(A.T @ A + 1e-6 * np.eye(A.shape[1]), A.T @ b)  # 1e-6: solvable
    labels = [(row @ weights > 0.5).reshape(S, S).astype(int) for row in rows[6:]]
    pairs = zip(truths[6:], labels, strict=True)
    counts = sum(metrics.boundary_counts(t, label, 2, tolerance=0) for t, label in pairs)
    results[edges, way], f1[edges, way] = labels, metrics.f1_of_counts(counts)[1]  # of label 1
    print(f"edge maps: {edges!s:5}  {way}: boundary F1 {f1[edges, way]:.2f}")

# %%
truth, edge_maps = truths[7], shape_maps(pictures[7], edges=True)  # one of the test pictures
panels, brightest = [], edge_maps[0, 2:].max(axis=0)  # (S, S)
firsts = {"repeat": ("the picture", pictures[7]), "unpool": ("its edge maps, in one", brightest)}
for way, first in firsts.items():
    back = there_and_back(edge_maps, way)[0, 2:].max(axis=0)  # (S, S)
    marked = np.where(results[True, way][1] == truth, truth, 2)  # (S, S), 2 is wrong
    in_colour = viz.colourise(marked, [(0, 0, 0), (255, 255, 255), (230, 159, 0)])
    last = (f"result: {(marked == 2).sum()} wrong pixels (orange)", in_colour)
    panels += [first, (f"edge maps, pooled twice, then {way}", back), last]
figure = Figure(figsize=(8.8, 6.2), dpi=110, layout="constrained")
for axes, (title, panel) in zip(figure.subplots(2, 3).flat, panels, strict=True):
    axes.imshow(panel, cmap="gray", vmin=0, vmax=1)
    axes.set_title(title, fontsize=9)
    axes.axis("off")
lesson.show(figure, "outlines")

# %% [markdown]
# ## The claim
#
# *Unpooling puts a value back to the pixel it came from; repeating spreads it over the window. So
# outlines are sharper with indices, if the maps have their maxima on the outlines.* In the picture
# alone, most windows are flat but for the grain, and their indices point at grain. A network has to
# learn maps whose maxima stand where it counts. (More grain, less gain: 0.2 for the 0.05 above makes
# it 0.70 against 0.52, 0.4 makes it 0.48 against 0.42, and then the first assertion fails.)

# %%
assert f1[True, "unpool"] > f1[True, "repeat"] + 0.2, "with edge maps, indices sharpen outlines"
assert f1[False, "unpool"] < f1[False, "repeat"] + 0.1, "with the picture alone they hardly do"

# %% [markdown]
# ## What people get wrong
#
# **Overlapping windows.** The row 1, 5, 2 with windows of 2 and a stride of 1 has the maxima 5, 5:
# one pixel twice. It moves both, so pooling's backward adds: dy = 10, 1 gives dx = 0, 11, 0.
# Unpooling doesn't add, it writes, and the last value stays: 0, 1, 0, a wrong dx.
#
# **Ties.** Of equal numbers the first wins. A line one pixel thick has two equal maxima in each
# window, so every second pixel of it vanishes: 1 1 1 1 1 1 comes back as 1 0 1 0 1 0.

# %%
row, dy = np.array([[[[1.0, 5, 2]]]]), np.array([[[[10.0, 1]]]])  # (1, 1, 1, 3), (1, 1, 1, 2)
_, indices = ops.max_pool2d(row, (1, 2), stride=1)  # (1, 1, 1, 2)
dx = ops.max_pool2d_backward(dy, indices, (1, 3))[0, 0, 0]  # (3,)
wrong = ops.max_unpool2d(dy, indices, (1, 3))[0, 0, 0]  # (3,)
assert dx.tolist() == [0, 11, 0] and wrong.tolist() == [0, 1, 0]
line = np.array([[[[0.0] * 6, [1] * 6, [0] * 6, [0] * 6]]])  # (1, 1, 4, 6)
back = ops.max_unpool2d(*ops.max_pool2d(line, 2), (4, 6))[0, 0, 1]  # (6,)
assert back.tolist() == [1, 0, 1, 0, 1, 0]

# %% [markdown]
# **Guessing the size.** Maps 5 wide and 4 wide both pool to 2. An index counts pixels row by row,
# so in another width it is another pixel, often without an error. Keep the size with the indices.
#
# ## Exercises (solutions: `lessons/solutions/05_pool_and_unpool.py`)
# 1. On paper: pool the rows 4 4 1 0, 4 2 0 1, 0 0 3 3, 0 0 3 3 with 2 x 2 windows. Which indices?
# 2. Unpool, then pool with the same windows: do the values come back? Not always. Find values for
#    which they don't, and a condition under which they do.
# 3. Write pooling's backward in loops, for windows that may overlap. It is right if it equals
#    `ops.max_pool2d_backward`, and if `testing.check_vjp` accepts it.
# 4. A 2 x 2 window has four places, so an index fits into 2 bits. Pack four to a byte, and unpack
#    them. Right if the int64 indices come back, and the bytes are 1/32 of theirs.
# 5. All of it, marked: `minisegnet start 05` writes a stub, `minisegnet check 05 FILE` marks it.
#
# ## Where it comes from
#
# - V. Badrinarayanan, A. Kendall and R. Cipolla, "SegNet" (2017), section 3: the half that makes
#   maps larger unpools with the indices of the half that made them smaller. Lesson 11 trains it.
# - The matrices: "2021 인공지능 소수전공, 71차시: Segmentation".
# - "Image Segmentation" says that SegNet stores the max pooling *values* (max pooling 값) and so
#   gets sharp boundaries. It stores the *places*: above, 1, 2, 3, 4 are put back, not 5, 6, 7, 8.
