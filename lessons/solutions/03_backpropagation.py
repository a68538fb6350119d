# %% [markdown]
# # Solutions to lesson 3: backpropagation

# %%
import numpy as np

from minisegnet import ops, testing

rng = np.random.default_rng(33)

# %% [markdown]
# **1.** With stride 3 the filter 1, 2 lies on x0, x1 and on x3, x4. So y = 1 + 0, -1 + 6 = 1, 5.
#
# - w0 met x0 and x3: dw0 = 1·1 + (-1)·(-1) = 2
# - w1 met x1 and x4: dw1 = 1·0 + (-1)·3 = -3
# - dx = 1·1, 1·2, 0, (-1)·1, (-1)·2 = 1, 2, 0, -1, -2
#
# No window touches x2: the filter jumps over it. Turn it, and no y moves.

# %%
x = np.array([1.0, 0.0, 2.0, -1.0, 3.0]).reshape(1, 1, 1, 5)
w = np.array([1.0, 2.0]).reshape(1, 1, 1, 2)
dy = np.array([1.0, -1.0]).reshape(1, 1, 1, 2)
assert ops.conv2d(x, w, stride=3).ravel().tolist() == [1, 5]
dx, dw, db = ops.conv2d_backward(dy, x, w, stride=3)
assert dw.ravel().tolist() == [2, -3]
assert dx.ravel().tolist() == [1, 2, 0, -1, -2]

# %% [markdown]
# **2.** Let g = sigmoid(x). It has the derivative g(1 - g). x is used twice, as a factor and
# inside the sigmoid, so two contributions add: dx = dy·(g + x·g·(1 - g)).


# %%
def swish(x):
    """Multiply x by its sigmoid."""
    return x * ops.sigmoid(x)


def swish_backward(dy, x):
    """Add what comes through the factor and what comes through the sigmoid."""
    g = ops.sigmoid(x)
    return dy * (g + x * g * (1 - g))


testing.check_vjp(swish, swish_backward, rng.standard_normal((3, 4)))
try:
    testing.check_vjp(swish, lambda dy, x: dy * ops.sigmoid(x), rng.standard_normal((3, 4)))
except testing.GradientError as error:
    print("one of the two forgotten:", str(error).splitlines()[1].strip())
else:
    raise AssertionError("a forgotten contribution should be noticed")

# %% [markdown]
# **3.** Dilation d leaves d - 1 gaps between the filter's weights. A 1 x 1 filter has no gaps, so
# there the wrong backward is right, whatever the numbers. Any larger filter shows the bug. A
# random check is as good as its shapes.


# %%
def forgets_dilation(dy, x, w, dilation):
    """Compute dw as if the weights stood side by side."""
    dx = ops.conv2d_backward(dy, x, w, dilation=dilation)[0]
    (OH, OW), (KH, KW) = dy.shape[2:], w.shape[2:]
    part = x[:, :, : OH + KH - 1, : OW + KW - 1]  # what a filter without gaps would have seen
    return dx, ops.conv2d_backward(dy, part, w)[1]


def check(KH, KW):
    """Check it with random numbers and this filter size."""
    x, w = rng.standard_normal((2, 2, 6, 7)), rng.standard_normal((3, 2, KH, KW))
    testing.check_vjp(
        lambda x, w: ops.conv2d(x, w, dilation=2),
        lambda dy, x, w: forgets_dilation(dy, x, w, 2),
        *(x, w),
    )


check(1, 1)
for size in ((1, 2), (2, 1), (3, 3)):
    try:
        check(*size)
    except testing.GradientError:
        print(f"filter {size[0]} x {size[1]}: refused")
    else:
        raise AssertionError(f"filter {size}: the bug should show")

# %% [markdown]
# **4.** Every y is a sum of weight times x, and every dx is a sum of the same weights times dy.
# So both sums are the sum over all pairs (x, y) that a weight joins of x·weight·dy, put in
# another order. Nothing is divided by a step, so the check is exact up to rounding.
#
# It can't see dw and db. (For dw hold x fixed: conv is linear in w as well.)

# %%
x, w = rng.standard_normal((2, 2, 6, 7)), rng.standard_normal((3, 2, 3, 2))
y = ops.conv2d(x, w, stride=(2, 1))
dy = rng.standard_normal(y.shape)
dx = ops.conv2d_backward(dy, x, w, stride=(2, 1))[0]
assert np.isclose(np.sum(y * dy), np.sum(x * dx))
testing.check_adjoint(
    lambda x: ops.conv2d(x, w, stride=(2, 1)),
    lambda dy: ops.conv2d_backward(dy, x, w, stride=(2, 1))[0],
    x,
)
testing.check_adjoint(
    lambda w: ops.conv2d(x, w, stride=(2, 1)),
    lambda dy: ops.conv2d_backward(dy, x, w, stride=(2, 1))[1],
    w,
)
print("dx and dw agree with the forward, once for x and once for w, without a step")
