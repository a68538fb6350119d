# %% [markdown]
# # Solutions: what a skip adds

# %%
import numpy as np

from minisegnet import models, ops

rng = np.random.default_rng(10)

# %% [markdown]
# ## 1. Sizes for 96 x 160 pixels
#
# Five halvings: 48 x 80, 24 x 40, 12 x 20 (pool3), 6 x 10 (pool4), 3 x 5 (pool5). fc6 pads its map
# by 3 and keeps its size, so the deep scores are 3 x 5. The two 2x make 6 x 10 and 12 x 20, which
# are the sizes of the scores of pool4 and pool3, and the 8x makes 96 x 160.

# %%
model = models.build("fcn8s", classes=3, initialise=False)
halved = [(96, 160), (48, 80), (24, 40), (12, 20), (6, 10), (3, 5)]
assert model.level_sizes((96, 160)) == [*halved, (3, 5), (6, 10), (12, 20), (96, 160)]
print("96 x 160 pixels: the deep scores are 3 x 5; added at 6 x 10 and 12 x 20")

# %% [markdown]
# ## 2. What a skip costs
#
# A 1x1 convolution from 512 channels to 21 classes has 512 x 21 weights and 21 biases: 10,773. A 2x
# layer has a 4 x 4 filter for each pair of classes and no bias: 21 x 21 x 16 = 7,056. So the skip
# from pool4 costs 17,829, and the one from pool3 256 x 21 + 21 + 7,056 = 12,453. The last
# enlargement is fixed: it has no parameters.

# %%
paper = {"classes": 21, "width": 64, "fc_channels": 4096, "norm": None, "initialise": False}
names = ("fcn32s", "fcn16s", "fcn8s")
n32, n16, n8 = (models.build(name, **paper).parameter_count() for name in names)
assert n16 - n32 == 512 * 21 + 21 + 21 * 21 * 16 == 17_829
assert n8 - n16 == 256 * 21 + 21 + 21 * 21 * 16 == 12_453
print(f"FCN-32s has {n32:,} parameters; the skips add {n16 - n32:,} and {n8 - n16:,}")

# %% [markdown]
# ## 3. 32 at once, or 2 and then 16
#
# Along one axis, enlarging draws straight lines between the places. 2x puts two new places between
# old ones, at 1/4 and 3/4. Then 16x joins those by straight lines, and so cuts the corners that the
# old places had. On a ramp there are no corners. Elsewhere scores differ near the old places, and
# where two classes are nearly equal there, the label does.


# %%
def enlarge(x, s):
    """Enlarge maps (N, C, h, w) s times with triangles, each class by itself."""
    triangle = 1 - abs(np.arange(2 * s) - s + 0.5) / s
    w = np.stack([np.outer(triangle, triangle)[None]] * x.shape[1])  # (C, 1, 2s, 2s)
    return ops.conv_transpose2d(x, w, stride=s, padding=s // 2, groups=x.shape[1])


scores = rng.standard_normal((20, 3, 4, 4))  # 20 maps, to have a steady mean
at_once, stepwise = enlarge(scores, 32), enlarge(enlarge(scores, 2), 16)  # (20, 3, 128, 128)
changed = np.mean(at_once.argmax(1) != stepwise.argmax(1))
assert 0.01 < changed < 0.15, f"{changed:.1%} of the labels changed"
print(f"32x, or 2x and 16x: {changed:.1%} of the labels differ on random scores")

ramp = np.tile(np.arange(4.0), (1, 1, 4, 1))  # (1, 1, 4, 4), rises from left to right
inside = (slice(None), slice(None), slice(32, -32), slice(32, -32))
apart = abs(enlarge(ramp, 32) - enlarge(enlarge(ramp, 2), 16))[inside].max()
assert apart < 1e-12, f"on a ramp they differ by {apart}"
assert abs(at_once - stepwise)[inside].max() > 0.1, "random scores should differ inside, too"
