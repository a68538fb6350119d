# %% [markdown]
# # A large picture in pieces
#
# A microscope's picture has 20,000 x 20,000 pixels. The maps of a U-Net (lesson 12) on it would
# need hundreds of gigabytes. **May we cut the picture into tiles (타일), predict each, and put the
# scores together, so that nobody can tell?** Yes, exactly, if each tile sees enough around it and
# starts in the right places. This is the **overlap-tile strategy** (중첩 타일 전략).

# %%
import numpy as np
from matplotlib.figure import Figure

from minisegnet import data, models, no_grad, ops, viz
from minisegnet.inference import overlap_tile, tile_bytes

lesson = viz.Lesson("13_overlap_tile")
BLACK, ORANGE, SKY, GREEN, _, BLUE, _, _ = np.array(viz.default_palette(8)) / 255

# %% [markdown]
# ## By hand: what a tile must see
#
# A row holds 1 to 8. A convolution adds three neighbours, only where all three exist (valid): six
# sums. Cut the row in two, and each half gives two sums. The two at the cut are lost, since their
# three pixels lie on both sides. Zeros around each half bring two numbers back, but wrong ones. What
# helps is the true neighbours: for three sums, each half reads one pixel more on each side of them.
# This border is called the **halo**.
#
# ## By hand: where a tile may start
#
# Max pooling (lesson 5) takes the larger of pixels 0 and 1, of 2 and 3, and so on. Then each
# result is written twice, to get the old length. Row 3 1 4 1 5 9 2 6 becomes 3 3 4 4 9 9 6 6. A
# tile that starts at pixel 2 meets the same pairs, one that starts at pixel 1 others. No halo
# repairs that: the start must be a multiple of 2, of the **grid** (격자). U-Net pools `depth` times,
# and its grid is `2**depth`.


# %%
def sums(row):
    return np.convolve(row, [1, 1, 1], mode="valid")


def pooled_and_repeated(row):
    return np.repeat(np.reshape(row, (-1, 2)).max(axis=1), 2)


row = np.arange(1, 9)
assert sums(row).tolist() == [6, 9, 12, 15, 18, 21]
assert sums(row[:4]).tolist() + sums(row[4:]).tolist() == [6, 9, 18, 21], "12 and 15 are lost"
assert sums(np.pad(row[:4], 1)).tolist() == [3, 6, 9, 7], "with zeros, 7 stands for 12"
assert sums(row[:5]).tolist() + sums(row[3:]).tolist() == sums(row).tolist(), "with true neighbours"

row = np.array([3, 1, 4, 1, 5, 9, 2, 6])
whole = pooled_and_repeated(row)
assert whole.tolist() == [3, 3, 4, 4, 9, 9, 6, 6] and whole[1:5].tolist() == [3, 4, 4, 9]
assert (pooled_and_repeated(row[2:6]) == whole[2:6]).all(), "on the grid: the same"
assert pooled_and_repeated(row[1:5]).tolist() == [4, 4, 5, 5], "off it: other pairs"

# %% [markdown]
# ## Loops
#
# Our U-Net has depth 2, `padding="valid"` and random weights: that tiles are exact has nothing to
# do with training. Its halo: two 3x3 convolutions take 2 pixels off each side. They stand on the
# way down, where a pixel is 1, then 2 pixels of the picture; at the bottom, where it is 4; and on
# the way up, 2, then 1. Together 2 (1 + 2 + 4 + 2 + 1) = 20; pooling and up-convolution take none.
# A tile of 32 x 32 scores is computed from 72 x 72 pixels. Beyond its end the picture goes on
# mirrored, without repeating the edge: 1 2 3 goes on to the left as 3 2 | 1 2 3.


# %%
def predict_in_tiles(model, image, tile):
    """Scores (classes, H, W) of a picture (C, H, W) whose sides are multiples of the tile."""
    H, W = image.shape[1:]
    around = model.halo
    mirrored = np.pad(image, ((0, 0), (around, around), (around, around)), mode="reflect")
    scores = np.zeros((model.classes, H, W))
    for top in range(0, H, tile):
        for left in range(0, W, tile):
            bottom, right = top + tile + 2 * around, left + tile + 2 * around
            with no_grad():
                part = model(mirrored[None, :, top:bottom, left:right])  # (1, classes, h, w)
            scores[:, top : top + tile, left : left + tile] = part.data[0]
    return scores


sample = data.Synthetic("cells", size=(96, 128), seed=13)[0]
image = np.moveaxis(sample.image, 2, 0) / 64.0 - 2.0  # (1, 96, 128), about -2 to 2
options = dict(in_channels=1, classes=2, width=3, depth=2, dtype="float64", seed=17)
model = models.build("unet", padding="valid", **options)
assert model.halo == 2 * (1 + 2 + 4 + 2 + 1) == 20 and model.grid == 2**2

# %% [markdown]
# ## The fast version
#
# `overlap_tile` does the same for any size of picture, and refuses what can't be exact. On the
# Numba backend each score is computed by the same additions in the same order, whatever the size
# of the tile: the bits are the same. NumPy's matrix products add in another order when a matrix
# has another size, so that there the last digits differ (lesson 14). We allow for 1e-12.

# %%
slack = 0.0 if ops.current_backend() == "numba" else 1e-12
whole = overlap_tile(model, image, tile=None)  # (2, 96, 128), in one piece
in_loops = predict_in_tiles(model, image, 32)
in_tiles = overlap_tile(model, image, tile=32)
assert np.array_equal(in_loops, in_tiles), "our loops and overlap_tile feed the same tiles"
print(f"scores to {whole.max():.1f}; tiles differ by {abs(whole - in_tiles).max():.1e}")
assert abs(whole - in_tiles).max() <= slack

# %%
around, tile, top, left = model.halo, 32, 0, 32  # the tile that is drawn
mirrored = np.pad(image[0], around, mode="reflect")  # (136, 168)
before, after = (figure := Figure(figsize=(9.6, 4.2), layout="constrained")).subplots(1, 2)
extent = (-around - 0.5, 127.5 + around, 95.5 + around, -around - 0.5)
before.imshow(mirrored, cmap="gray", vmin=-3, vmax=2, extent=extent)
after.imshow(whole[1] - whole[0], cmap="gray")
for axes, start, (h, w), colour, style in (
    (before, (0, 0), (96, 128), "white", "--"),
    (before, (top - around, left - around), (72, 72), ORANGE, "-"),
    (before, (top, left), (tile, tile), SKY, "-"),
    (after, (top, left), (tile, tile), SKY, "-"),
):
    y, x = start[0] - 0.5, start[1] - 0.5
    axes.plot([x, x + w, x + w, x, x], [y, y, y + h, y + h, y], style, color=colour, lw=2.5)
before.set_title("read: 72 x 72 pixels (orange)\nbeyond the white dashes: mirrored", fontsize=10)
after.set_title("computed: 32 x 32 scores (blue)\nclass 1 minus class 0", fontsize=10)
for axes in (before, after):
    axes.set(xticks=range(0, 129, 32), yticks=range(0, 97, 32))
lesson.show(figure, "halo")

# %% [markdown]
# ## The claim, asserted: exact on the grid, wrong by whole units off it
#
# Compute one tile of 32 x 32 scores at (start, start), with its full halo, and compare with the
# same part of the whole. Only the start changes. (The scores' own standard deviation is about 2.)


# %%
def error_at(start):
    """Largest difference between the scores of a tile and the same part of the whole."""
    stop = start + tile + 2 * around
    with no_grad():
        part = model(mirrored[None, None, start:stop, start:stop]).data[0]  # (2, 32, 32)
    return abs(part - whole[:, start : start + tile, start : start + tile]).max()


errors = [error_at(start) for start in range(17)]
for start, error in enumerate(errors):
    right = error <= slack if start % model.grid == 0 else error > whole.std() > 1
    assert right, f"start {start}: the scores differ by {error}"
print("largest error for starts 0 to 8:", " ".join(f"{error:.1f}" for error in errors[:9]))

# %% [markdown]
# The second claim: the memory is bounded. `model.peak_bytes(size)` adds up the maps that are alive
# at a time, and grows with the picture's area. `tile_bytes(model, tile)` does it for one tile with
# its halo, and doesn't know the picture. (Picture and scores come on top.) The price is work: each
# neighbour computes the halo again. In the paper's network it is 92. A tile of 64 reads 64 + 184 =
# 248 pixels a side, but every pooling must meet an even size, and the next that fits is 252. So
# each pixel is read (252 / 64)**2 = 15.5 times.

# %%
paper = models.build("unet", in_channels=1, classes=2, width=64, padding="valid", initialise=False)
assert (paper.halo, paper.grid, paper.output_size(572)) == (92, 16, (388, 388))
sides = [256 * 2**k for k in range(7)]  # 256 to 16384
at_once = [paper.peak_bytes(paper.input_size_for(side)) / 2**30 for side in sides]  # GiB
tiles = (64, 256, 512)
bounds = {t: tile_bytes(paper, t) / 2**30 for t in tiles}
work = {t: (paper.input_size_for(t)[0] / t) ** 2 for t in tiles}
assert paper.input_size_for(64) == (252, 252)
print(f"side {sides[-1]}: {at_once[-1]:.0f} GiB at once, {bounds[512]:.2f} GiB in tiles of 512")
assert at_once[-1] > 100 > 1 > bounds[512], "GiB: whole picture, and in tiles"

left_axes, right_axes = (figure := Figure(figsize=(9.6, 3.3), layout="constrained")).subplots(1, 2)
left_axes.bar(range(17), errors, color=ORANGE)
left_axes.set(xlabel="first pixel of the tile", xticks=range(0, 17, 4), ylabel="largest error")
left_axes.set_title("depth 2: exact on multiples of 4 only", fontsize=10)
right_axes.loglog(sides, at_once, "o-", color=BLACK)
right_axes.set_xscale("log", base=2)  # ticks at powers of 2
right_axes.text(sides[3], at_once[3] * 2.2, "at once", ha="right")
for t, colour in zip(tiles, (SKY, BLUE, GREEN), strict=True):
    right_axes.axhline(bounds[t], color=colour)
    note = f"tiles of {t}: each pixel read {work[t]:.1f} times"
    right_axes.text(sides[-1], bounds[t] * 1.15, note, ha="right", color=colour, fontsize=9)
right_axes.set(xlabel="side of the picture", ylabel="maps in memory, GiB")
right_axes.set_title("the paper's U-Net, float32", fontsize=10)
lesson.show(figure, "grid_and_memory")

# %% [markdown]
# ## What people get wrong
#
# **Pushing the last tile back.** If the sides are no multiples of the tile, much code moves the
# last tile back until it fits. A picture 90 pixels high with tiles of 32 ends with a tile from 58:
# off the grid. Start it at 64 and let the mirror fill up. **Scaling each tile by itself.** Subtract
# the mean of the *tile*, not of the picture, and the same pixel is another number in each tile.
#
# **Tiles without halo.** `padding="same"` puts zeros around every map. Tiles then have the size
# of their scores, it looks right, and there are seams along every cut. `overlap_tile` refuses.

# %%
assert 90 - 32 == 58 and error_at(58) > 1, "start 58 is two pixels off the grid"
assert error_at(64) <= slack
own_scale, no_halo = np.zeros_like(whole), np.zeros_like(whole)
same = models.build("unet", padding="same", norm=None, **options)  # no batch normalisation
with no_grad():
    same_whole = same(image[None]).data[0]
    for top in range(0, 96, tile):
        for left in range(0, 128, tile):
            place = np.s_[:, top : top + tile, left : left + tile]
            read = mirrored[None, None, top : top + 72, left : left + 72]
            own_scale[place] = model(read - read.mean() + image.mean()).data[0]
            no_halo[place] = same(image[place][None]).data[0]
mistakes = {
    "scaled tile by tile": abs(own_scale - whole).max(axis=0),  # (96, 128)
    "zeros around each tile": abs(no_halo - same_whole).max(axis=0),  # (96, 128)
}
assert min(error.max() for error in mistakes.values()) > 0.5, "both mistakes should show"
try:
    message = f"accepted: {overlap_tile(same, image, tile=32)}"
except ValueError as error:
    message = str(error)
assert "has padding='same'" in message, "a same-padded model should be refused"

figure = Figure(figsize=(9.6, 2.9), layout="constrained")
shown = {"tiles on the grid, with halo": abs(in_tiles - whole).max(axis=0), **mistakes}
for axes, (title, error) in zip(figure.subplots(1, 3), shown.items(), strict=True):
    drawn = axes.imshow(error, cmap="gray_r", vmin=0, vmax=3)
    axes.set(xticks=range(0, 129, 32), yticks=range(0, 97, 32))
    axes.set_title(f"{title}\nlargest error {error.max():.2g}", fontsize=10)
figure.colorbar(drawn, shrink=0.8, label="error (3 or more: black)")
lesson.show(figure, "mistakes")

# %% [markdown]
# ## Exercises (solutions: `lessons/solutions/13_overlap_tile.py`)
#
# 1. On paper: halo and grid at depth 3, and how many pixels a tile of 64 x 64 scores needs. (Sizes
#    that fit are 4 below a multiple of the grid.) Compare with `halo`, `grid`, `input_size_for`.
# 2. For the paper's network, find the smallest tile for which the pixels that are read are fewer
#    than twice the scores. Count what the network really reads, by `input_size_for`.
# 3. Sums of whole numbers have no rounding as long as they stay below 2**53. Give the model whole
#    weights from -1 to 1 (`for name, p in model.named_parameters()`, fill `p.data[...]`) and a
#    whole picture. It is right when tiles and whole are equal to the last bit on NumPy, too.
# 4. Tile the same-padded network after all: read more around the tile, drop that margin's scores.
#    What smallest margin on the grid is exact, amid a picture? Why is it more than the halo, 20?
#
# ## Where it comes from
#
# - O. Ronneberger, P. Fischer, T. Brox, "U-Net: convolutional networks for biomedical image
#   segmentation" (2015), section 1 and figure 2. Section 2 adds that every max pooling must meet an
#   even size; that tiles must also *start* on the grid isn't said.
# - The Korean notes "Image Segmentation" only name it, "Over-tile strategy". It is *overlap*-tile:
#   the inputs overlap, the scores don't, so nothing is averaged.
