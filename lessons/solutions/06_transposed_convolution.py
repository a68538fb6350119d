# %% [markdown]
# # Solutions: transposed convolution

# %%
import numpy as np

from minisegnet import ops, testing

rng = np.random.default_rng(6)

# %% [markdown]
# ## 1. On paper
#
# Input 1 paints 1, 2, 1 at places 0 to 2; input 2 paints 2, 4, 2 at 2 to 4; input 3 paints 3, 6, 3
# at 4 to 6. The sum is 1, 2, 3, 4, 5, 6, 3. Stripped of one at each end: 2, 3, 4, 5, 6. (The
# filter 1, 2, 1 is twice a triangle. It puts the means between the pixels: lesson 7.)
#
# A.T has a column for each input, and the padding takes away its first and its last row.

# %%
x = np.array([[[[1.0, 2, 3]]]])  # (1, 1, 1, 3)
w = np.array([[[[1.0, 2, 1]]]])
y = ops.conv_transpose2d(x, w, stride=(1, 2), padding=(0, 1))[0, 0, 0]  # (5,)
transposed = np.array([[2, 0, 0], [1, 1, 0], [0, 2, 0], [0, 1, 1], [0, 0, 2]])
assert y.tolist() == [2, 3, 4, 5, 6]
assert (transposed @ [1, 2, 3] == y).all()
print("1: the output is", y.tolist())

# %% [markdown]
# ## 2. Both gradients in loops
#
# Forward, output row s i + u, column s j + v gets x[i, j] w[u, v] (s is the stride). So x[i, j]
# collects dy there times w[u, v] (a convolution of dy), and w[u, v] collects dy there times
# x[i, j]. What was stripped off has no dy: a frame of zeros stands for it.


# %%
def paint_backward(dy, x, w, stride, padding):
    """Return dx and dw of a transposed convolution of one map with one filter."""
    dy = np.pad(dy, padding)  # the canvas before the padding was stripped
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i, j in np.ndindex(x.shape):
        for u, v in np.ndindex(w.shape):
            there = dy[i * stride + u, j * stride + v]
            dx[i, j] += there * w[u, v]
            dw[u, v] += there * x[i, j]
    return dx, dw


def forward(x, w):
    """Paint with stride 2 and padding 1."""
    return ops.conv_transpose2d(x[None, None], w[None, None], stride=2, padding=1)[0, 0]


x, w = rng.standard_normal((4, 5)), rng.standard_normal((3, 3))
dy = rng.standard_normal(forward(x, w).shape)
dx, dw = paint_backward(dy, x, w, 2, 1)
options = {"stride": 2, "padding": 1}
batch = dy[None, None], x[None, None], w[None, None]  # (1, 1, H, W) each
fast = ops.conv_transpose2d_backward(*batch, **options)  # dx, dw, db
assert np.allclose(dx, fast[0][0, 0]) and np.allclose(dw, fast[1][0, 0])
testing.check_vjp(forward, lambda dy, x, w: paint_backward(dy, x, w, 2, 1), x, w)
print("2: dx and dw equal ops, and the numerical derivatives")

# %% [markdown]
# ## 3. A cure for checkerboards
#
# Follow one input pixel. Repeating makes a 2 x 2 block of it. The convolution then lets each pixel
# of the block paint a copy of its filter, turned by 180 degrees (a convolution with padding 1 and
# stride 1 is a transposed one with the turned filter). So the pixel paints the sum of four
# turned copies, moved by 0 or 1: a 4 x 4 filter. The even and the odd entries along each axis have
# the same sum, so flat areas stay flat. That is the cure.

# %%
w = rng.standard_normal((3, 3))
filter_4x4 = np.zeros((4, 4))
for u, v in np.ndindex(2, 2):
    filter_4x4[u : u + 3, v : v + 3] += w[::-1, ::-1]
x = rng.standard_normal((1, 1, 5, 6))
larger = ops.resize_nearest(x, (10, 12))  # (1, 1, 10, 12)
repeated = ops.conv2d(larger, w[None, None], padding=1)  # (1, 1, 10, 12)
painted = ops.conv_transpose2d(x, filter_4x4[None, None], stride=2, padding=1)  # (1, 1, 10, 12)
assert np.allclose(repeated, painted), "equal, at the border too"
sums = [filter_4x4[a::2, b::2].sum() for a in (0, 1) for b in (0, 1)]
assert np.allclose(sums, w.sum()), "each of the four kinds of output pixel gets the same sum"
print("3: repeat and convolve is a transposed convolution with a 4 x 4 filter")

# %% [markdown]
# ## 4. Deconvolve for real
#
# Painting is y = A.T x, with more outputs than inputs. That can be undone if no two inputs give
# the same output, that is, if the columns of A.T are independent. Nothing stripped off, this is so
# for any filter but zero: in column j, let w[u] be the filter's first entry that isn't 0. It
# stands in row js + u, where all later columns are 0. So x[0] can be read off first, then x[1],
# and so on. Least squares does it all at once. The convolution, which is A y, gives A A.T x.

# %%
x, w, stride = rng.standard_normal(6), np.array([1.0, -2, 0.5]), 2
transposed = np.zeros((5 * stride + 3, 6))
for j in range(6):
    transposed[j * stride : j * stride + 3, j] = w
row, filters = x[None, None, None], w[None, None, None]  # (1, 1, 1, 6), (1, 1, 1, 3)
y = ops.conv_transpose2d(row, filters, stride=(1, stride))  # (1, 1, 1, 13)
assert np.allclose(y[0, 0, 0], transposed @ x)
found = np.linalg.lstsq(transposed, y[0, 0, 0], rcond=None)[0]  # (6,)
assert abs(found - x).max() < 1e-10, "the deconvolution"
other = ops.conv2d(y, filters, stride=(1, stride))[0, 0, 0]  # (6,)
assert np.allclose(other, transposed.T @ transposed @ x)
assert abs(other - x).max() > 0.1, "the convolution is something else"
print(f"4: undone to {abs(found - x).max():.0e}; conv2d misses by {abs(other - x).max():.1f}")
