# %% [markdown]
# # Solutions: making maps larger

# %%
import numpy as np

from minisegnet import ops, testing

rng = np.random.default_rng(7)

# %% [markdown]
# ## 1. Six pixels of 2, 6, 4, as squares
#
# Output i reads place (i + 0.5) / 2 - 0.5: -1/4, 1/4, 3/4, 5/4, 7/4, 9/4. The first and the last
# are the edges, 2 and 4. Between: 2 + 4/4 = 3, 2 + 3 (4/4) = 5, 6 - 2/4 = 5.5, 6 - 3 (2/4) = 4.5.
# The 6 doesn't survive: no output lies on its centre.

# %%
y = ops.resize_bilinear(np.array([[[[2.0, 6.0, 4.0]]]]), (1, 6))  # (1, 1, 1, 6)
assert y.ravel().tolist() == [2, 3, 5, 5.5, 4.5, 4]
assert 6 not in y, "the middle pixel is gone"

# %% [markdown]
# ## 2. A transposed convolution without a faded frame
#
# The repeated edge has to paint, too. Repeat it once on each side, enlarge, and cut off what the
# added pixels became: s pixels on each side.


# %%
def enlarge_exactly(x, s):
    """Enlarge maps (N, C, H, W) s times, each channel by itself."""
    C, K = x.shape[1], 2 * s - s % 2
    triangle = 1 - abs(np.arange(K) - (K - 1) / 2) / s
    w = np.stack([np.outer(triangle, triangle)[None]] * C)  # (C, 1, K, K)
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")  # (N, C, H + 2, W + 2)
    y = ops.conv_transpose2d(x, w, stride=s, padding=(K - s) // 2, groups=C)
    return y[:, :, s:-s, s:-s]  # (N, C, sH, sW)


x = rng.standard_normal((2, 3, 4, 5))  # (N, C, H, W)
for s in (2, 3, 8):
    error = abs(enlarge_exactly(x, s) - ops.resize_bilinear(x, (4 * s, 5 * s))).max()
    assert error < 1e-12, f"{s} times: off by {error}"
print("padded with its edge, the transposed convolution interpolates up to the border")

# %% [markdown]
# ## 3. The backward in loops
#
# The forward reads x[r] with weight 1 - t and x[r + 1] with weight t. So dy[i] is added to dx[r]
# with weight 1 - t and to dx[r + 1] with weight t. Added, not assigned: many outputs read one
# input.


# %%
def weights_of(i, H, OH, align_corners):
    """Say which two inputs output i reads, and how much of the second."""
    place = i * (H - 1) / (OH - 1) if align_corners else (i + 0.5) * H / OH - 0.5
    place = min(max(place, 0.0), H - 1.0)
    r = int(place)
    return r, min(r + 1, H - 1), place - r


def interpolate(x, OH, align_corners):
    """Resize one row of numbers."""
    y = np.zeros(OH)
    for i in range(OH):
        r, after, t = weights_of(i, len(x), OH, align_corners)
        y[i] = (1 - t) * x[r] + t * x[after]
    return y  # (OH,)


def interpolate_backward(dy, H, align_corners):
    """Give each dy back to the inputs that it was mixed from."""
    dx = np.zeros(H)
    for i in range(len(dy)):
        r, after, t = weights_of(i, H, len(dy), align_corners)
        dx[r] += (1 - t) * dy[i]
        dx[after] += t * dy[i]
    return dx  # (H,)


for H, OH in ((5, 12), (12, 5)):
    for align_corners in (False, True):
        testing.check_adjoint(
            lambda x, OH=OH, a=align_corners: interpolate(x, OH, a),
            lambda dy, H=H, a=align_corners: interpolate_backward(dy, H, a),
            np.ones(H),
        )
        dy = rng.standard_normal(OH)
        dx = ops.resize_bilinear_backward(
            dy[None, None, None], (1, H), align_corners=align_corners
        )  # (1, 1, 1, H)
        assert np.allclose(dx.ravel(), interpolate_backward(dy, H, align_corners))
print("the backward in loops is the adjoint of the forward, and equals the one in ops")

# %% [markdown]
# ## 4. By 2, by 2 and by 8, or by 32 at once
#
# Interpolation draws straight lines between the pixels of the map that it is given. After the
# first step there are new pixels, and none lies on an old one: the peak at an old pixel is cut
# off, and the next step draws its lines between the new ones. Only where there is no peak, on a
# straight line, does nothing change. (At the border the repeated edge makes a corner even there.)


# %%
def in_steps(x, factors):
    """Enlarge maps several times in turn."""
    for s in factors:
        x = ops.resize_bilinear(x, (x.shape[2] * s, x.shape[3] * s))
    return x


rows, columns = np.mgrid[0:5, 0:5].astype(float)
ramp = (2 * rows - columns)[None, None]  # (1, 1, 5, 5)
peak = (rows == 2)[None, None] * (columns == 2) * 1.0  # (1, 1, 5, 5)
inside = np.s_[:, :, 32:-32, 32:-32]  # without the outer coarse pixels
apart = {}
for name, x in (("ramp", ramp), ("peak", peak)):
    apart[name] = abs(in_steps(x, (2, 2, 8)) - in_steps(x, (32,)))[inside].max()
    print(f"{name}: 2 x 2 x 8 and 32 differ by at most {apart[name]:.3f}")
assert apart["ramp"] < 1e-12
assert apart["peak"] > 0.3
