# %% [markdown]
# # Backpropagation: which way to turn every weight
#
# A network has many thousand weights, and one number, the loss, says how bad its answer is. **How
# does the loss change when I turn one weight a little, like a knob, for all weights at once? And
# how do I know that my formula for it is right?**
#
# A **weight** (가중치) is a number that training may change. The **loss** (손실) is small when the
# answer is good. The derivatives of the loss with respect to all weights together are its
# **gradient** (기울기). Step against the gradient, and the loss goes down: that is training.

# %%
import numpy as np
from matplotlib.figure import Figure

from minisegnet import ops, testing, viz

lesson = viz.Lesson("03_backpropagation")
rng = np.random.default_rng(3)
_, YELLOW, _, _, _, BLUE, ORANGE, _ = np.array(viz.default_palette(8)) / 255

# %% [markdown]
# ## By hand: three pixels, two weights
#
# The row x = 1, 2, 3 is convolved (합성곱: slide, multiply, add) with the filter w = 2, -1, and the
# bias b = 1 is added. The filter fits at two places:
#
# - y0 = 2·1 - 1·2 + 1 = **1**, and y1 = 2·2 - 1·3 + 1 = **2**
# - we wanted 0 and 4; the loss is half the sum of the squares: L = (1² + (-2)²)/2 = **2.5**
#
# We write `dy` for dL/dy, the derivative of the loss with respect to y, and so on for every name.
# Half of (y - wanted)² has the derivative y - wanted, so dy = 1, -2. Now one step back. The
# **chain rule** (연쇄 법칙): if x acts on L through y, then dx = dy · (derivative of y with respect
# to x). If x acts through several y, the contributions **add**. So where was each number used?
#
# - w0 multiplied x0 in y0 and x1 in y1: dw0 = 1·1 + (-2)·2 = **-3**
# - w1 multiplied x1 in y0 and x2 in y1: dw1 = 1·2 + (-2)·3 = **-4**
# - b was added to both: db = 1 + (-2) = **-1**
# - x0 met w0, x2 met w1, x1 met both: dx = 1·2, 1·(-1) + (-2)·2, (-2)·(-1) = **2, -5, 2**
#
# To go from the loss backwards like this, one step after the other, is **backpropagation** (역전파).
# Besides its own x and w, each step needs only the dy that comes back from the step after it.

# %%
x, w, b, wanted = np.array([1.0, 2.0, 3.0]), np.array([2.0, -1.0]), 1.0, np.array([0.0, 4.0])
y = w[0] * x[:2] + w[1] * x[1:] + b
dy = y - wanted
dw, db = np.array([dy @ x[:2], dy @ x[1:]]), dy.sum()  # @ multiplies in pairs and adds
dx = np.array([dy[0] * w[0], dy[0] * w[1] + dy[1] * w[0], dy[1] * w[1]])
assert np.sum(dy**2) / 2 == 2.5 and dy.tolist() == [1, -2]
assert dw.tolist() == [-3, -4] and db == -1 and dx.tolist() == [2, -5, 2]
moved = (w[0] - 0.01 * dw[0]) * x[:2] + (w[1] - 0.01 * dw[1]) * x[1:] + b - 0.01 * db
loss = np.sum((moved - wanted) ** 2) / 2
print(f"the loss was 2.5; a step of 0.01 against the gradient makes it {loss:.3f}")
assert loss < 2.5, "a small step against the gradient lowers the loss"

figure = Figure(figsize=(9.6, 3.7), layout="constrained")
lines = [(0, 2, 1.5), (1, 1, 1.5), (0, 1, 0.5), (1, 0, 0.5)]  # weight, height of its x, of its y
for axes, back in zip(figure.subplots(1, 2), (False, True), strict=True):
    for k, left, right in lines:
        colour, value = (BLUE, ORANGE)[k], dy[int(right < 1)]
        tail, head = ((1.8, right), (0.2, left)) if back else ((0.2, left), (1.8, right))
        axes.annotate("", head, tail, arrowprops={"arrowstyle": "->", "color": colour, "lw": 1.8})
        text = f"{value:g} · {w[k]:g} = {value * w[k]:g}" if back else f"times {w[k]:g}"
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        axes.text(1, (left + right) / 2, text, color=colour, ha="center", va="center", bbox=box)
    circles = [(f"x{i}", v, 0, 2 - i) for i, v in enumerate(dx if back else x)]
    circles += [(f"y{i}", v, 2, 1.5 - i) for i, v in enumerate(dy if back else y)]
    for name, value, across, up in circles:
        axes.plot(across, up, "o", ms=27, mfc="white", mec="black")
        axes.text(across, up, f"{value:g}", ha="center", va="center", fontsize=12)
        axes.text(across, up + 0.25, "d" * back + name, ha="center", fontsize=9)
    axes.set(xlim=(-0.4, 2.4), ylim=(-0.75, 2.4))
    axes.set_title("backward: dx adds what arrives" if back else "forward: y adds all, and b (1)")
    axes.axis("off")
axes.text(1, -0.45, "dw0: dy·x of the blue lines, 1·1 + (-2)·2 = -3", color=BLUE, ha="center")
axes.text(1, -0.7, "dw1: dy·x of the orange lines, 1·2 + (-2)·3 = -4", color=ORANGE, ha="center")
lesson.show(figure, "by_hand")

# %% [markdown]
# ## Plain loops, and the fast version
#
# Two dimensions bring nothing new. N pictures, C channels in, K out; `s` is the stride and `p` the
# padding (lesson 2), each a pair: down, across. The forward's loops have one line inside, y += w·x.
# The backward runs through the **same loops**, and the line becomes two: dy times x goes to the w
# that was used, dy times w to the x. `ops.conv2d_backward` is the library's.


# %%
def backward_loops(dy, x, w, s, p):
    """Return dx, dw, db."""
    (C, H, W), (KH, KW) = x.shape[1:], w.shape[2:]
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros(len(w))
    for n, k, i, j in np.ndindex(dy.shape):
        db[k] += dy[n, k, i, j]
        for c, u, v in np.ndindex(C, KH, KW):
            r, q = i * s[0] - p[0] + u, j * s[1] - p[1] + v  # row and column of x
            if 0 <= r < H and 0 <= q < W:  # forward: y[n, k, i, j] += w * x
                dw[k, c, u, v] += dy[n, k, i, j] * x[n, c, r, q]
                dx[n, c, r, q] += dy[n, k, i, j] * w[k, c, u, v]
    return dx, dw, db


x, w, b = (rng.standard_normal(shape) for shape in ((2, 2, 5, 7), (3, 2, 3, 2), 3))
s, p, dy = (2, 1), (1, 0), rng.standard_normal((2, 3, 3, 6))  # dy: (N, K, OH, OW)
fast = ops.conv2d_backward(dy, x, w, stride=s, padding=p)  # dx, dw, db
for mine, ours in zip(backward_loops(dy, x, w, s, p), fast, strict=True):
    assert np.allclose(mine, ours), "loops and ops.conv2d_backward differ"

# %% [markdown]
# ## Is it right? The numerical gradient
#
# A derivative is a slope: move one number a small `step` to both sides, and divide the change of
# the loss by 2·step. That needs only the forward. It is too slow to train with (two forwards for
# each number), but it can judge a backward. Which loss? Choose **any** dy and take the sum of dy·y
# as loss: its derivative with respect to y is that dy, and backward(dy) must be its gradient.


# %%
def numerical_gradient(f, x, dy, step=1e-5):
    """Gradient of sum(dy * f(x)), one element of x after the other."""
    dx = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        change = np.zeros_like(x)
        change[place] = step
        dx[place] = np.sum(dy * (f(x + change) - f(x - change))) / (2 * step)
    return dx


off = abs(numerical_gradient(lambda w: ops.conv2d(x, w, b, stride=s, padding=p), w, dy) - fast[1])
print(f"dw, numerical and by formula, differ by at most {off.max():.1e}")
assert off.max() < 1e-8

# The library does the same with a random dy. (A vjp, vector-Jacobian product: dy times all slopes.)
testing.check_vjp(
    lambda x, w, b: ops.conv2d(x, w, b, stride=s, padding=p),
    lambda dy, x, w, b: ops.conv2d_backward(dy, x, w, stride=s, padding=p),
    *(x, w, b),
)

# %% [markdown]
# ## The claim: weak checks let bugs through
#
# Below are seven wrong backwards, slips that people make, and five checks that look sensible. Each
# compares with numerical gradients, and each makes one convenient choice: dy all ones, one picture,
# a filter of ones, a stride as large as the filter, equal strides. **Each of them accepts a wrong
# backward. Random numbers and uncomfortable shapes accept none.** Why must dy be random? With ones,
# a backward may ignore dy, divide by it or shuffle it, and nobody sees. And so on: of one picture,
# sum and average are the same, a filter of ones looks the same turned round, without overlap = is
# as good as +=, and equal strides can be exchanged.


# %%
def wrong(bug, dy, x, w, s):
    """Return dx, dw, db as somebody with this bug would (None: the right ones)."""
    bad_dy = {"ignores dy": np.ones_like(dy), "divides by dy": 1 / dy}
    bad_dy["reads dy from its end"] = dy[:, :, ::-1, ::-1]
    dy = bad_dy.get(bug, dy)
    if bug == "exchanges the strides":
        return backward_loops(dy, x, w, s[::-1], (0, 0))
    dx, dw, db = ops.conv2d_backward(dy, x, w, stride=s)
    if bug == "averages dw over pictures":
        dw = dw / len(x)
    elif bug == "turns the filter for dx":
        dx = ops.conv2d_backward(dy, x, w[:, :, ::-1, ::-1], stride=s)[0]
    elif bug == "= instead of +=":  # where windows overlap, the last one wins
        for i, j in np.ndindex(dy.shape[2:]):
            rows, columns = slice(i * s[0], i * s[0] + 3), slice(j * s[1], j * s[1] + 2)
            dx[:, :, rows, columns] = np.tensordot(dy[:, :, i, j], w, 1)  # (N, C, 3, 2)
    return dx, dw, db


bugs = ["ignores dy", "divides by dy", "reads dy from its end", "averages dw over pictures"]
bugs += ["turns the filter for dx", "= instead of +=", "exchanges the strides"]
checks = {"dy all ones": {"ones": True}, "one picture": {"x": x[:1]}}
checks |= {"filter of ones": {"w": np.ones_like(w)}, "stride = filter": {"s": (3, 2)}}
checks |= {"equal strides": {"s": (2, 2)}, "nothing convenient": {}}


def accepted(bug, x=x, w=w, s=(2, 1), ones=False):
    """Compare dx, dw, db with numerical gradients."""
    y = ops.conv2d(x, w, b, stride=s)
    dy = np.ones_like(y) if ones else np.random.default_rng(0).standard_normal(y.shape)
    slopes = [
        numerical_gradient(lambda x: ops.conv2d(x, w, b, stride=s), x, dy),
        numerical_gradient(lambda w: ops.conv2d(x, w, b, stride=s), w, dy),
        numerical_gradient(lambda b: ops.conv2d(x, w, b, stride=s), b, dy),
    ]
    found = wrong(bug, dy, x, w, s)
    return all(np.allclose(g, slope, atol=1e-6) for g, slope in zip(found, slopes, strict=True))


table = np.array([[accepted(bug, **check) for check in checks.values()] for bug in bugs])
for name, check, column in zip(checks, checks.values(), table.T, strict=True):
    assert accepted(None, **check), f"{name}: refuses the right backward"
    print(f"check with {name:19} accepts {column.sum()} of {len(bugs)} wrong backwards")
assert table[:, :-1].any(axis=0).all(), "every convenient check should accept a bug"
assert not table[:, -1].any(), "the inconvenient check should refuse every bug"

axes = (figure := Figure(figsize=(8.2, 4.0), layout="constrained")).subplots()
axes.pcolormesh(np.where(table[..., None], YELLOW, 0.93), edgecolors="white", lw=2)
for (row, column), passed in np.ndenumerate(table):
    word, colour = ("accepted", "black") if passed else ("refused", "0.45")
    axes.text(column + 0.5, row + 0.5, word, ha="center", va="center", color=colour)
axes.set_xticks(np.arange(len(checks)) + 0.5, [c.replace(" ", "\n", 1) for c in checks])
axes.set_yticks(np.arange(len(bugs)) + 0.5, bugs)
axes.invert_yaxis()
axes.tick_params(length=0, labeltop=True, labelbottom=False)
axes.spines[:].set_visible(False)
lesson.show(figure, "bugs_and_checks")

# %% [markdown]
# ## What people get wrong
#
# **A check in float32.** Computers round: float64 keeps 16 digits, float32 seven. The two losses
# of a slope differ in their last digits only, and the division by 2·step blows the rounding up.
#
# **A check on a kink.** relu(x) is x where x > 0, else 0. At 0 it has no derivative: the formula
# says 0, the numerical slope 1/2. Max pooling (lesson 5) has such places where two pixels tie. The
# formula is fine, the place isn't. `testing.distinct_values` makes inputs without zeros and ties.

# %%
one, small = np.float32(1), np.float32(1e-5)  # exp is its own derivative: the slope at 1 is e
rough = (np.exp(one + small) - np.exp(one - small)) / (2 * small)
assert abs(rough - np.e) > 1e-3, "float32 should have too few digits"
slope = numerical_gradient(ops.relu, np.zeros(1), np.ones(1))[0]
print(f"the slope of relu at 0: by formula 0, numerical {slope}")
assert slope == 0.5, "there the two disagree, and neither is wrong"
testing.check_vjp(ops.relu, lambda dy, x: dy * (x > 0), testing.distinct_values((3, 4)))

# %% [markdown]
# ## Exercises (solutions: `lessons/solutions/03_backpropagation.py`)
# 1. On paper: x = 1, 0, 2, -1, 3, filter 1, 2, no bias, stride 3, and dy = 1, -1. What are dw and
#    dx, and why is one dx 0 whatever dy is? Check with `ops.conv2d_backward`, on (1, 1, 1, W).
# 2. Write forward and backward of y = x·g, where g = 1/(1 + exp(-x)) is the sigmoid of x
#    (`ops.sigmoid`) with derivative g(1 - g). It is right when `check_vjp` accepts it.
# 3. A backward forgets the dilation (lesson 2): its dw is that of a filter without gaps, on the
#    upper left part of x. With which shapes do even random numbers accept it, and with which not?
# 4. A convolution without bias is linear in x. So for every x and dy the sum of conv(x)·dy is the
#    sum of x·dx. Why? Check dx by it, without any step (`testing.check_adjoint`). What stays unseen?
# 5. All of it, marked: `minisegnet start 03` writes a stub, `minisegnet check 03 FILE` marks it.
#
# ## Where it comes from
#
# - D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating
#   errors" (Nature 323, 1986). For dx of a convolution: V. Dumoulin, F. Visin, "A guide to
#   convolution arithmetic for deep learning" (2016), chapter 4.
# - The Korean notes "03. CS231N 요약" say that max pooling has no problem with backpropagation: true
#   but for ties, where one pixel must be chosen. And that forward and backward of "deconvolution"
#   are a convolution's backward and forward: true for x (lesson 6), not for dw.
