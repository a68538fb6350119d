# %% [markdown]
# # Solutions to lesson 4: the tape
#
# A smaller tape than the lesson's, with the operations that are needed here. An operation is a
# function that returns its result, what it returned beside it, and how to go back.

# %%
from itertools import permutations

import numpy as np

from minisegnet import Tensor, functional, ops, testing

rng = np.random.default_rng(44)


class Value:
    """An array that the tape knows."""

    def __init__(self, array, extra=()):
        self.array, self.extra, self.grad = array, extra, None


class Tape:
    """A list of lines: what was made, from what, and how to go back."""

    def __init__(self):
        self.lines = []

    def call(self, operation, *inputs, **options):
        """Run an operation and write a line."""
        arrays = [v.array if isinstance(v, Value) else v for v in inputs]
        result, extra, back = operation(*arrays, **options)
        made = Value(result, extra)
        self.lines.append((made, inputs, back))
        return made

    def backward(self, value, dy):
        """Read the lines backwards."""
        gradients = {value: dy}
        for made, inputs, back in reversed(self.lines):
            if made in gradients:
                for source, gradient in zip(inputs, back(gradients.pop(made)), strict=False):
                    if isinstance(source, Value):
                        before = gradients.get(source)
                        gradients[source] = gradient if before is None else before + gradient
        for leaf, gradient in gradients.items():
            leaf.grad = gradient if leaf.grad is None else leaf.grad + gradient
        self.lines = []


def conv(x, w):
    """Convolve with a 3 x 3 filter; the size stays."""
    y = ops.conv2d(x, w, padding=1)
    return y, (), lambda dy: ops.conv2d_backward(dy, x, w, padding=1)[:2]


def relu(x):
    """Cut off what is negative."""
    y = ops.relu(x)
    return y, (), lambda dy: [ops.relu_backward(dy, y)]


def pool(x):
    """Keep the largest of 2 x 2, and where it was."""
    y, indices = ops.max_pool2d(x, 2)
    return y, (indices,), lambda dy: [ops.max_pool2d_backward(dy, indices, x.shape[2:])]


def unpool(x, indices, size):
    """Put each value where its index says."""
    y = ops.max_unpool2d(x, indices, size)
    return y, (), lambda dy: [ops.max_unpool2d_backward(dy, indices)]


# %% [markdown]
# **1.** a = 2, b = 2 + 1 = 3, c = 6, y = 9. Backwards:
#
# - y = c + b: dc = 1, db = 1 so far
# - c = a·b: da = 1·b = 3 so far, db gets 1·a = 2 more and is 3
# - b = a + x: da gets 3 more and is 6, dx = 3 so far
# - a = 2x: dx gets 6·2 = 12 more and is **15**
#
# Check: y = 2x·3x + 3x = 6x² + 3x, and 12x + 3 = 15. b must wait for y and c, and a for c and b.
# So y, c, b, a is the only order.

# %%
slopes = {"y": {"c": 1, "b": 1}, "c": {"a": 3, "b": 2}, "b": {"a": 1, "x": 1}, "a": {"x": 2}}


def walk(order):
    """Visit the results in this order and return dx."""
    gradients = {"y": 1}
    for name in order:
        for source, slope in slopes[name].items():
            gradients[source] = gradients.get(source, 0) + gradients.get(name, 0) * slope
    return gradients["x"]


assert walk("ycba") == 15
right = [order for order in permutations("ycba") if walk(order) == 15]
assert right == [("y", "c", "b", "a")], "of all 24 orders"

# %% [markdown]
# **2.** The indices aren't Values. They pick places, and have no derivative.

# %%
x_array, w_array = testing.distinct_values((1, 2, 6, 8)), rng.standard_normal((3, 2, 3, 3))
tape, x, w = Tape(), Value(x_array), Value(w_array)
pooled = tape.call(pool, tape.call(conv, x, w))  # (1, 3, 3, 4)
up = tape.call(unpool, pooled, pooled.extra[0], (6, 8))  # (1, 3, 6, 8)
dy = rng.standard_normal(up.array.shape)
tape.backward(up, dy)

tx, tw = Tensor(x_array, requires_grad=True), Tensor(w_array, requires_grad=True)
small, indices = functional.max_pool2d(functional.conv2d(tx, tw, padding=1), 2)
functional.max_unpool2d(small, indices, (6, 8)).backward(dy)
assert np.allclose(x.grad, tx.grad, atol=1e-12) and np.allclose(w.grad, tw.grad, atol=1e-12)
print("pool and unpool: both tapes agree")

# %% [markdown]
# **3.** da = dy·b and db = dy·a. For a·a both go to the same Value, the tape adds them, and
# 2·a·dy comes out without another rule.


# %%
def multiply(a, b):
    """Multiply element by element."""
    return a * b, (), lambda dy: (dy * b, dy * a)


def product_gradients(dy, a, b):
    """Differentiate a·b by the tape."""
    tape, a, b = Tape(), Value(a), Value(b)
    tape.backward(tape.call(multiply, a, b), dy)
    return a.grad, b.grad


def square_gradient(dy, a):
    """Differentiate a·a by the tape."""
    tape, a = Tape(), Value(a)
    tape.backward(tape.call(multiply, a, a), dy)
    return a.grad


a, b = rng.standard_normal((2, 3, 4))
testing.check_vjp(lambda a, b: a * b, product_gradients, a, b)
testing.check_vjp(lambda a: a * a, square_gradient, a)
assert np.allclose(square_gradient(np.ones_like(a), a), 2 * a)
print("a·b and a·a: accepted")

# %% [markdown]
# **4.** The part's own tape is thrown away after the forward, and with it all that its lines
# held. The backward makes it again from x. The price is one more forward of the part. (Weights
# that the part should learn would be inputs of `checkpoint` too, like x.)


# %%
def checkpoint(tape, part, x):
    """Run part(call, x), and remember only x."""

    def operation(array):
        result = part(Tape().call, Value(array)).array  # this tape is gone at the end of the line

        def back(dy):
            again, leaf = Tape(), Value(array)
            again.backward(part(again.call, leaf), dy)
            return [leaf.grad]

        return result, (), back

    return tape.call(operation, x)


filters = [0.3 * rng.standard_normal((2, 2, 3, 3)) for _ in range(4)]
runs = 0


def part(call, x):
    """Four convolutions with relu."""
    global runs
    runs += 1
    for w in filters:
        x = call(relu, call(conv, x, w))
    return x


gradients, lines = [], []
for saving in (False, True):
    tape, x = Tape(), Value(x_array)
    y = checkpoint(tape, part, x) if saving else part(tape.call, x)
    lines.append(len(tape.lines))
    tape.backward(y, np.ones_like(y.array))
    gradients.append(x.grad)
assert np.array_equal(*gradients), "the same arithmetic, so the same bits"
assert lines == [8, 1] and runs == 1 + 2, "less memory for one more forward"
print(f"lines kept: {lines[0]} without and {lines[1]} with the checkpoint, for one more forward")
