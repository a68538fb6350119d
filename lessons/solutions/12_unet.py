# %% [markdown]
# # Solutions: U-Net

# %%
import numpy as np

from minisegnet import data, models


def walk(n, depth):
    """Sizes of the maps, three a level: down, bottom, up. [] if n doesn't fit."""
    rows = []
    for step in range(2 * depth + 1):
        rows.append([n, n - 2, n - 4])
        n = n - 4
        if n < 1 or (step < depth and n % 2):
            return []
        n = n // 2 if step < depth else 2 * n
    return rows


# %% [markdown]
# ## 1. 44 pixels at depth 2
#
# Down 44 - 42 - 40 and 20 - 18 - 16, bottom 8 - 6 - 4, up 8 - 6 - 4 and 8 - 6 - 4: 4 pixels come
# out. The skips: the middle 8 of the 16, and the middle 8 of the 40.

# %%
rows = [[44, 42, 40], [20, 18, 16], [8, 6, 4], [8, 6, 4], [8, 6, 4]]
assert walk(44, 2) == rows
model = models.build("unet", in_channels=1, classes=2, width=4, depth=2, padding="valid")
assert model.output_size(44) == (4, 4)

# %% [markdown]
# ## 2. The halo and the rule
#
# Each pair of convolutions takes 2 pixels a side, of 2^k pixels of the picture each. Levels 0 to
# d - 1 are passed twice, the bottom once: 4 (1 + 2 + ... + 2^(d-1)) + 2 * 2^d. The sum in brackets
# is 2^d - 1, so the halo is **6 * 2^d - 4**.
#
# Which sizes fit? Say that the bottom starts from b pixels. Before that pooling there were 2 b, and
# before the two convolutions 2 b + 4. One level higher 4 b + 12, then 8 b + 28: at depth d
# **2^d b + 4 (2^d - 1)**. So n + 4 must be a multiple of 2^d. And something must be left: n must be
# more than twice the halo.

# %%
for depth in range(1, 6):
    grid = 2**depth
    halo = 6 * grid - 4
    fits = [n for n in range(1, 900) if walk(n, depth)]
    assert fits == [n for n in range(1, 900) if (n + 4) % grid == 0 and n > 2 * halo]
    assert all(walk(n, depth)[-1][-1] == n - 2 * halo for n in fits)
print("depths 1 to 5: sizes are 4 less than a multiple of 2^d, and lose 6 * 2^d - 4 on each side")

# %% [markdown]
# ## 3. Where the weight fades
#
# In a straight gap, d1 + d2 = g at each of its pixels. 10 exp(-g^2 / 50) = 1 at g = 5 sqrt(2 ln 10)
# = 10.73. So from g = 11 on, which is 10 background pixels, less than 1 is added.

# %%
assert 10 < 5 * np.sqrt(2 * np.log(10)) < 11
for g in range(2, 21):
    row = np.zeros((1, g + 1), int)  # two cells of one pixel, g apart
    row[0, 0], row[0, -1] = 1, 2
    added = data.border_weight(row)[0, 1:-1] - 1
    assert np.allclose(added, 10 * np.exp(-(g**2) / 50), atol=1e-5), "the same at all its pixels"
    assert (added < 1).all() == (g >= 11)

# %% [markdown]
# ## 4. Where the sheet folds
#
# Pixel (i, j) reads at (i + f0, j + f1). Going one row down, the reading place moves by
# (1 + df0/di, df1/di); going one column to the right, by (df0/dj, 1 + df1/dj). These two span a
# little parallelogram. Its signed area is the determinant below. It is 1 without bending; where it
# is negative, the parallelogram has been turned over: the sheet is folded there.


# %%
def folds(sigma, key):
    """Say whether the sheet of 96 x 96 folds anywhere."""
    f0, f1 = data.elastic_field(96, sigma=sigma, rng=key)  # (H, W), twice
    (f0_down, f0_right), (f1_down, f1_right) = np.gradient(f0), np.gradient(f1)
    area = (1 + f0_down) * (1 + f1_right) - f0_right * f1_down  # (H, W)
    return bool((area < 0).any())


folded = {sigma: sum(folds(sigma, key) for key in range(40)) for sigma in (2, 6, 15, 25)}
print("of 40 sheets, folded for each sigma:", folded)
assert folded[2] == 0 and folded[25] > 20
