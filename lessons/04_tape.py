# %% [markdown]
# # The tape: gradients of any graph
#
# An operation's forward makes y from x; its backward makes dx from dy (lesson 3). A network has a
# hundred operations, and some results are used twice. **Who calls the backwards, in which order,
# and with which dy?** A list is enough, and one rule about adding.

# %%
from inspect import signature

import numpy as np
from matplotlib.figure import Figure

from minisegnet import Tensor, functional, ops, testing, viz

lesson = viz.Lesson("04_tape")
rng = np.random.default_rng(4)

# %% [markdown]
# ## By hand: one number is used twice
#
# Let x = 2, then a = 3x = **6**, b = a² = **36**, y = a + b = **42**. What is dx = dy/dx?
#
# The number a goes into y twice: directly, and through b. A way around something, like the direct
# one, is a **skip connection** (스킵 연결). From the end:
#
# - y = a + b: da = **1** (so far), db = **1**
# - b = a²: its slope is 2a = 12, so da gets 1·12 more and is **13**
# - a = 3x: dx = 13·3 = **39**. Check: y = 3x + 9x², so the derivative is 3 + 18x = 39.
#
# The order matters. Exchange the last two lines: dx = 1·3 = 3; then da grows to 13, but a has had
# its turn. **A result may have its turn only when all that used it have had theirs.** Backwards in
# the order in which the numbers were made does it: whatever uses a was made after a.
#
# Or multiply the slopes along each path from y to x, and add up: 1·3 + 1·12·3 = 39. Right, and
# useless: where 20 results in a row are each used twice, there are 2^20 paths, over a million.

# %%
slopes = {"y": {"a": 1, "b": 1}, "b": {"a": 12}, "a": {"x": 3}}  # of each result, for its inputs


def walk(order):
    """Visit the results in this order and return dx."""
    gradients = {"y": 1}
    for name in order:
        for source, slope in slopes[name].items():
            gradients[source] = gradients.get(source, 0) + gradients[name] * slope
    return gradients["x"]


assert walk(["y", "b", "a"]) == 39, "youngest first"
assert walk(["y", "a", "b"]) == 3, "a had its turn too early, and 12 were lost"

# %% [markdown]
# ## The fast version: a tape
#
# While the forward runs, write a line for every operation: what it made, from what, and how to go
# back. That list is the **tape** (테이프). To differentiate, read it backwards. Each line is read
# once, however many paths there are, and costs about twice its forward (dx and dw, lesson 3).
#
# How to go back: each operation has a partner, as `conv2d` has `conv2d_backward`. It takes dy, and
# what it needs of the forward: x (what went in), y (what came out; y[1] if that is several arrays),
# or only a size. `needs` says what; its `*_` and `**o` take the inputs and options not needed.

# %%
needs = {  # name: (what came out, what went in) -> what the partner needs beside dy
    "conv2d": lambda y, x, w, *_, **o: (x, w),
    "conv_transpose2d": lambda y, x, w, *_, **o: (x, w),
    "max_pool2d": lambda y, x, *_, **o: (y[1], x.shape[2:]),  # y[1] is where the maxima stood
    "max_unpool2d": lambda y, x, indices, *_, **o: (indices,),
    "relu": lambda y, x: (y,),  # x, or 0 where x is negative
    "add": lambda y, *parts: (),
    "concat": lambda y, *parts, axis=1: ([part.shape[axis] for part in parts],),
}


class Value:
    """An array that the tape knows. `extra` is what the operation returned beside it."""

    def __init__(self, array, extra=()):
        self.array, self.extra, self.grad = array, extra, None


class Tape:
    def __init__(self):
        self.lines = []  # each: the operation, what it made, from what, and how to go back

    def call(self, name, *inputs, **options):
        """Run an operation and write a line."""
        arrays = [v.array if isinstance(v, Value) else v for v in inputs]
        forward, partner = getattr(ops, name), getattr(ops, f"{name}_backward")
        result = forward(arrays, **options) if name == "concat" else forward(*arrays, **options)
        made = Value(result[0], result[1:]) if isinstance(result, tuple) else Value(result)
        more = needs[name](result, *arrays, **options)  # and options that the partner knows:
        known = {o: v for o, v in options.items() if o in signature(partner).parameters}
        self.lines.append((name, made, inputs, lambda dy: partner(dy, *more, **known)))
        return made

    def backward(self, value, dy=None, keep=False):
        """Read the lines backwards. What no line has made (a leaf) gets its `.grad`."""
        gradients = {value: np.ones_like(value.array) if dy is None else dy}
        for _, made, inputs, back in reversed(self.lines):
            if made not in gradients:
                continue  # what we differentiate hasn't used it
            found = back(gradients.pop(made))  # all that used it have had their turn
            found = found if isinstance(found, (tuple, list)) else [found]
            for source, gradient in zip(inputs, found, strict=False):  # a size gets no gradient
                if isinstance(source, Value) and gradient is not None:
                    before = gradients.get(source)
                    gradients[source] = gradient if before is None else before + gradient
        for leaf, gradient in gradients.items():
            leaf.grad = gradient if leaf.grad is None else leaf.grad + gradient
        self.lines = self.lines if keep else []  # let go of all arrays


tape, x = Tape(), Value(np.array([1.0]))
y = x
for _ in range(20):
    y = tape.call("add", y, y)  # each result is used twice
assert len(tape.lines) == 20
tape.backward(y)
assert x.grad[0] == 2**20, "one for each path"
print(f"20 lines, each read once, did the work of {int(x.grad[0])} paths")

# %% [markdown]
# ## The claim: it differentiates a U-Net
#
# U-Net (lesson 12) halves a map (`max_pool2d`), works on it, enlarges it (`conv_transpose2d`),
# and lays its channels beside those of the large map from before (`concat`). So that map is used
# twice, as a was. This is one level of it, numbered in the order of the tape:
#
# ```text
# image → 1 conv2d → 2 relu ─────────────────── skip ────────────────────→ 7 concat → 8 conv2d
#                      └─→ 3 max_pool2d → 4 conv2d → 5 relu → 6 conv_transpose2d ─┘
# ```
#
# On the way back, 2 waits for 7 and for 3. `call` runs one operation, on our tape or the library's
# (`functional`, `Tensor`). Gradients for a random dy must agree, with numerical slopes as well.

# %%
shapes = {"image": (1, 1, 12, 16), "w1": (4, 1, 3, 3), "b1": (4,)}
shapes |= {"w2": (8, 4, 3, 3), "w3": (8, 4, 2, 2), "w4": (2, 8, 1, 1)}
arrays = {n: rng.standard_normal(s) / max(np.prod(s[1:]), 1) ** 0.5 for n, s in shapes.items()}


def network(call, p, cut=list):
    """Compute scores (N, 2, H, W). `cut` may change what goes into the concat; `list` doesn't."""
    skip = call("relu", call("conv2d", p["image"], p["w1"], p["b1"], padding=1))  # (N, 4, H, W)
    low = call("conv2d", call("max_pool2d", skip, 2), p["w2"], padding=1)  # (N, 8, H/2, W/2)
    up = call("conv_transpose2d", call("relu", low), p["w3"], stride=2)  # (N, 4, H, W)
    return call("conv2d", call("concat", *cut([skip, up])), p["w4"])  # (N, 2, H, W)


def on_our_tape(*values, dy=None, cut=list):
    """Return the scores; with dy, the gradients."""
    tape, leaves = Tape(), [Value(value) for value in values]
    scores = network(tape.call, dict(zip(shapes, leaves, strict=True)), cut)
    if dy is None:
        return scores.array
    tape.backward(scores, dy)
    return [leaf.grad for leaf in leaves]


def library(name, *inputs, **options):
    """Call the library's function of this name, and drop the indices."""
    function = getattr(functional, name)
    result = function(inputs, **options) if name == "concat" else function(*inputs, **options)
    return result[0] if isinstance(result, tuple) else result


dy = rng.standard_normal((1, 2, 12, 16))
tensors = {name: Tensor(array, requires_grad=True) for name, array in arrays.items()}
network(library, tensors).backward(dy)
for name, gradient in zip(arrays, on_our_tape(*arrays.values(), dy=dy), strict=True):
    assert abs(gradient - tensors[name].grad).max() <= 1e-12, f"{name}: the two tapes differ"
testing.check_vjp(on_our_tape, lambda dy, *v: on_our_tape(*v, dy=dy), *arrays.values())
print(f"{len(arrays)} gradients: our tape, the library's tape and numerical slopes agree")

# %% [markdown]
# What does each path bring? Which input pixels move one score in the middle? dy is 1 there, else 0.
# To close a path, hand the concat a bare array, not a Value: the tape sends nothing back to it.

# %%
dy = np.zeros((1, 2, 12, 16))
dy[0, 0, 5, 7] = 1
cuts = (lambda v: [v[0], v[1].array], lambda v: [v[0].array, v[1]], list)
gradients = [on_our_tape(*arrays.values(), dy=dy, cut=cut)[0][0, 0] for cut in cuts]
through_skip, through_low, whole = gradients  # (H, W) each
assert np.allclose(through_skip + through_low, whole), "where paths join, gradients add"
assert np.count_nonzero(through_skip) <= 9, "one 3 x 3 filter lies on this path"
titles = ("through the skip", "+  through the small map", "=  dx")
panels = (figure := Figure(figsize=(9.6, 2.9), layout="constrained")).subplots(1, 3)
for axes, title, shown in zip(panels, titles, gradients, strict=True):
    picture = axes.imshow(shown, cmap="PuOr", vmin=-abs(whole).max(), vmax=abs(whole).max())
    axes.plot([5.5, 8.5, 8.5, 5.5, 5.5], [3.5, 3.5, 6.5, 6.5, 3.5], color="black", lw=1)
    axes.set(xticks=[], yticks=[], title=title)
figure.colorbar(picture, ax=panels, shrink=0.8)
lesson.show(figure, "paths_add")

# %% [markdown]
# The colour is the derivative of the score. The skip sees only the 3 x 3 pixels around it (the
# box). The small map sees further. U-Net uses both. (White gaps: relu or max pooling passed on 0.)
#
# ## What people get wrong
#
# **A second backward.** Gradients are *added* to `.grad`, so that the parts of a large batch can be
# run one after the other. Run backward twice on one forward, and all gradients are twice too large.
# If weights were changed in place in between, it is worse: the tape holds the same arrays, and new
# weights mix with old results. The library's tape lets go of what it has used, and says so.

# %%
tape, x, w = Tape(), arrays["image"], Value(arrays["w1"].copy())
y = tape.call("relu", tape.call("conv2d", x, w))
tape.backward(y, keep=True)
once = w.grad
tape.backward(y, keep=True)
assert np.allclose(w.grad, 2 * once), "added once more: twice too large"

y, said = functional.relu(Tensor(np.array([1.0]), requires_grad=True)), ""
y.backward()
try:
    y.backward()
except RuntimeError as error:
    said = str(error)
assert "second time" in said, "a second backward should raise"

# %% [markdown]
# **Adding in place.** `y = a + b` gives dy to both inputs. If both get the *same* array, and what
# arrives later at a is added by `+=`, then db changes as well. Our tape always makes a new array.
#
# ## Exercises (solutions: `lessons/solutions/04_tape.py`)
#
# 1. On paper: x = 1, a = 2x, b = a + x, c = a·b, y = c + b. Find dx. Which orders are allowed?
# 2. Let the tape run `max_pool2d(x, 2)`, then `max_unpool2d(y, indices, size)`, which puts each
#    number back where it stood. The indices are `.extra[0]`. Right if `functional` agrees.
# 3. Add your own operation, y = a·b for arrays of equal shape, to the tape: make a Value, and write
#    the line yourself (`tape.lines.append`; back(dy) returns a gradient for each input). Feed it
#    the same Value twice. It is right when `check_vjp` accepts both uses.
# 4. Memory. Write `checkpoint(tape, part, x)`: run `part(call, x)` on a tape that is thrown away,
#    keep only x, and run it again in the backward. Right if gradients stay the same and the tape
#    has fewer lines. What does it cost?
#
# ## Where it comes from
#
# - S. Linnainmaa, "Taylor expansion of the accumulated rounding error" (1976); A. G. Baydin et al.,
#   "Automatic differentiation in machine learning: a survey" (2018), section 3.2, as we recall it.
#   The U-Net: O. Ronneberger, P. Fischer, T. Brox (2015), section 2.
# - The Korean notes "Image Segmentation" say that ResUNet's residual connections, y = x + f(x),
#   improve "backward propagation", and leave open how. An addition hands dy to both inputs
#   unchanged. So whatever f does to its gradient, the other path brings dy back whole.
