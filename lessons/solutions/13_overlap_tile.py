# %% [markdown]
# # Solutions: a large picture in pieces

# %%
import numpy as np

from minisegnet import models, no_grad, sizes
from minisegnet.inference import overlap_tile

rng = np.random.default_rng(13)
options = dict(in_channels=1, classes=2, width=3, depth=2, dtype="float64", seed=17)

# %% [markdown]
# ## 1. Depth 3
#
# Pixels of levels 0, 1, 2 are 1, 2, 4 of the picture's, at the bottom 8. Two convolutions take 2
# pixels a side, on the way down and on the way up: 2 (1 + 2 + 4 + 8 + 4 + 2 + 1) = 44. The grid is
# 2 * 2 * 2 = 8. A tile of 64 and its halo are 64 + 88 = 152. But sizes that fit are 4 below a
# multiple of 8: 156. So 4 more pixels are read below and to the right, and 4 scores too many come
# out, which are cut off.

# %%
deep = models.build("unet", classes=2, depth=3, padding="valid", initialise=False)
assert deep.halo == 2 * (1 + 2 + 4 + 8 + 4 + 2 + 1) == 44
assert deep.grid == 2**3 == 8
assert deep.input_size_for(64) == (156, 156) and deep.output_size(156) == (68, 68)
print("depth 3: halo 44, grid 8, and 156 x 156 pixels for 64 x 64 scores")

# %% [markdown]
# ## 2. Less than twice the work
#
# With the halo alone: (t + 184)**2 < 2 t**2 from t = 444.2 on, so 448. But 448 + 184 = 632 doesn't
# fit; 636 does (12 more than a multiple of 16), and (636 / 448)**2 = 2.015. The next, 464, reads
# 652, and (652 / 464)**2 = 1.975.

# %%
paper = models.build("unet", in_channels=1, classes=2, width=64, padding="valid", initialise=False)


def work(tile):
    """Pixels that are read for each score."""
    return (paper.input_size_for(tile)[0] / tile) ** 2


smallest = next(tile for tile in range(paper.grid, 2000, paper.grid) if work(tile) < 2)
assert smallest == 464, smallest
assert work(448) > 2 > ((448 + 2 * paper.halo) / 448) ** 2, "the halo alone would say 448"
print(f"tile {smallest}: {work(smallest):.3f} pixels read for each score")

# %% [markdown]
# ## 3. Whole numbers: no rounding anywhere
#
# Convolutions add products of whole numbers, ReLU and max pooling choose among them. All stay far
# below 2**53, so that float64 holds each of them exactly, and the order of additions is of no
# matter.

# %%
whole_numbers = models.build("unet", padding="valid", **options)
for _, parameter in whole_numbers.named_parameters():
    parameter.data[...] = rng.integers(-1, 2, parameter.shape)
picture = rng.integers(-3, 4, (1, 90, 70)).astype(float)
at_once = overlap_tile(whole_numbers, picture, tile=None)
assert 1e3 < abs(at_once).max() < 2**53, "large, and still exact"
assert (at_once == np.rint(at_once)).all()
for tile in (4, 32, (16, 64)):
    assert np.array_equal(overlap_tile(whole_numbers, picture, tile=tile), at_once), tile
print(f"whole scores up to {abs(at_once).max():.0f}: tiles are equal to the last bit")

# %% [markdown]
# ## 4. A same-padded network in tiles
#
# The zeros around the tile spoil scores as far as a score can see, and no further. The halo of 20
# isn't how far it sees: it is what a tile on the grid loses with valid convolutions, the same for
# all its scores. A score also depends on all pixels of the pooling windows that it lies in: it can
# stand in a window of 4 up to 3 pixels from the window's end, so that it may see 23 pixels to one
# side. The next multiple of the grid is 24. (At the picture's own border there is nothing to add:
# there the whole picture has zeros, too, and so the tile must end with it.)

# %%
same = models.build("unet", padding="same", norm=None, **options)
picture = rng.standard_normal((1, 128, 128))
top, tile = 48, 32
errors = {}
with no_grad():
    at_once = same(picture[None]).data[0]  # (2, 128, 128)
    for margin in range(0, 33, same.grid):
        read = np.s_[:, top - margin : top + tile + margin, top - margin : top + tile + margin]
        part = same(picture[read][None]).data[0]  # (2, 32 + 2 margin, 32 + 2 margin)
        part = part[:, margin : margin + tile, margin : margin + tile]  # (2, 32, 32)
        errors[margin] = abs(part - at_once[:, top : top + tile, top : top + tile]).max()
for margin, error in errors.items():
    print(f"margin {margin:2}: largest error {error:.1e}")
smallest = min(margin for margin, error in errors.items() if error < 1e-12)
assert smallest == 24, smallest
assert errors[20] > 1e-4, "the halo of the valid network isn't enough"
reach = 0
for place in range(top, top + same.grid):  # where in its window a score stands makes a difference
    first, last = sizes.input_range(same.layers(), place)  # the pixels that this score sees
    reach = max(reach, place - first, last - place)
assert reach == 20 + same.grid - 1 == 23, "so far a score sees to one side"
