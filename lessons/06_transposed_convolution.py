# %% [markdown]
# # Transposed convolution: painting with a filter
#
# A convolution with a stride makes a map smaller, and its filter is learned. **Which operation
# makes a map larger, with a filter that is learned as well? And does it undo the convolution?**
#
# It is the **transposed convolution** (전치 합성곱). Its other name, deconvolution, promises too much.

# %%
import numpy as np
from matplotlib.figure import Figure

from minisegnet import ops, sizes, viz

lesson = viz.Lesson("06_transposed_convolution")
rng = np.random.default_rng(6)
COLOURS = np.array(viz.default_palette(8))[[2, 1, 3, 7, 4]] / 255

# %% [markdown]
# ## By hand: copy and add
#
# Each input pixel paints a copy of the filter (필터) into the output, multiplied by the pixel's
# value. The next copy starts `stride` (스트라이드) pixels further on. Where copies overlap, they add.
# With the filter 1, 10, 100 one can see who painted what. Input 1, 2, stride 2:
#
# | input | paints | | | | |
# |---|---|---|---|---|---|
# | 1 | 1 | 10 | 100 | | |
# | 2 | | | 2 | 20 | 200 |
# | sum | 1 | 10 | **102** | 20 | 200 |
#
# With H pixels, stride s and a filter of length K, the last copy starts at (H - 1) s, K long.
# `padding` (패딩) p strips p pixels from both ends. So **OH = (H - 1) s + K - 2 p**: here 5 for
# p = 0, and 3 for p = 1, namely 10, 102, 20.
#
# ## Plain loops
#
# The same in two dimensions, for one map and one filter. In a network each input channel (채널) has
# one filter for each output channel, and what all input channels paint is added.


# %%
def paint(x, w, stride, padding):
    """Let each pixel of x (H, W) paint a copy of w (K, K); strip the padding."""
    (H, W), K = x.shape, len(w)
    canvas = np.zeros(((H - 1) * stride + K, (W - 1) * stride + K))
    for i, j in np.ndindex(H, W):  # all pairs i, j: two loops in one
        for u, v in np.ndindex(K, K):
            canvas[i * stride + u, j * stride + v] += x[i, j] * w[u, v]
    return canvas[padding : len(canvas) - padding, padding : len(canvas[0]) - padding]  # (OH, OW)


by_hand, w = [1, 10, 102, 20, 200], np.array([[1.0, 10, 100]] * 3)
x = np.array([[1.0, 2], [3, 4]])
painted = paint(x, np.ones((3, 3)), 2, 0)  # (5, 5)
assert painted[0].tolist() == [1, 1, 3, 2, 2], "in the middle column 1 and 2 meet"
assert painted[2, 2] == 1 + 2 + 3 + 4, "in the centre all four copies overlap"
assert paint(np.array([[1.0, 2]]), w, 2, 0)[0].tolist() == by_hand, "the table"

# %% [markdown]
# ## Another recipe: spread, pad, strip, and an ordinary convolution
#
# A source document says it so: spread the input's pixels `stride` apart with zeros between them,
# add a frame of K - 1 zeros, remove `padding` of it again, and run a convolution with stride 1.
# The numbers are the same **if the filter is turned by 180 degrees**, which the document leaves
# out. Why turned? Painting with stride 1, output o gets w[u] from input o - u: further on in the
# filter, further back in the input. A convolution takes w[u] and input o + u: both go forward.


# %%
def spread(x, w, stride, padding, turn=True):
    """Do the same with a convolution of a map with zeros put in."""
    H, W = x.shape
    apart = np.zeros(((H - 1) * stride + 1, (W - 1) * stride + 1))
    apart[::stride, ::stride] = x
    apart = np.pad(apart, len(w) - 1 - padding)  # pad K - 1 and strip the padding, in one
    turned = w[::-1, ::-1] if turn else w
    return ops.conv2d(apart[None, None], turned[None, None])[0, 0]  # (OH, OW)


# %% [markdown]
# ## The fast version
#
# `ops.conv_transpose2d` takes x (N, C, H, W) and w (C, K, KH, KW), K now being the number of output
# channels: **input channels first**. A convolution has output channels first. The three ways agree.

# %%
x = rng.standard_normal((5, 6))
for K, stride, padding in ((3, 1, 1), (2, 2, 0), (3, 2, 1), (4, 2, 1), (5, 3, 2)):
    w = rng.standard_normal((K, K))
    options = {"stride": stride, "padding": padding}
    fast = ops.conv_transpose2d(x[None, None], w[None, None], **options)[0, 0]  # (OH, OW)
    assert fast.shape == ((5 - 1) * stride + K - 2 * padding, (6 - 1) * stride + K - 2 * padding)
    assert np.allclose(fast, paint(x, w, **options)), "loops and ops should agree"
    assert np.allclose(fast, spread(x, w, **options)), "and so should spread, pad, strip"
    assert not np.allclose(fast, spread(x, w, **options, turn=False)), "turning matters"
print("copy-and-add, spread-pad-strip and ops agree; without turning the filter they don't")

# %% [markdown]
# ## Why "transposed": the convolution as a matrix
#
# A convolution of a row of 5 with the filter 1, 10, 100 and stride 2 gives 2 numbers. Each is a
# sum of inputs times weights, so it is a matrix with 2 rows and 5 columns: y = A x. Each row of A
# holds the weights of one window. Swap rows and columns (transpose, 전치): A.T takes 2 numbers and
# gives 5. Its columns are copies of the filter, each two further down: the table above.

# %%
A = np.array([[1.0, 10, 100, 0, 0], [0, 0, 1, 10, 100]])
row = np.array([3.0, 1, 4, 1, 5])
w = np.array([[[[1.0, 10, 100]]]])  # (1, 1, 1, 3)
strided = {"stride": (1, 2)}
assert (A @ row == ops.conv2d(row[None, None, None], w, **strided)[0, 0, 0]).all()
assert (A.T @ [1, 2] == by_hand).all(), "transposed, it paints"
assert (ops.conv_transpose2d(np.array([[[[1.0, 2]]]]), w, **strided)[0, 0, 0] == by_hand).all()

figure = Figure(figsize=(8.4, 3.2), dpi=110, layout="constrained")
cases = (("convolution: A times 5 numbers", A, row), ("A.T times 2 numbers", A.T, [1, 2]))
for axes, (title, matrix, vector) in zip(figure.subplots(1, 2), cases, strict=True):
    copy = np.indices(matrix.shape)[0 if matrix is A else 1]  # which copy of the filter
    axes.imshow(np.where(matrix[:, :, None] > 0, COLOURS[copy], 1))
    (h, w), start = matrix.shape, (len(matrix) - len(vector)) / 2
    cells = [(i, j, f"{value:g}") for (i, j), value in np.ndenumerate(matrix)]
    cells += [(start + i, w + 0.3, f"{value:g}") for i, value in enumerate(vector)]
    cells += [(i, w + 2, f"{value:g}") for i, value in enumerate(matrix @ vector)]
    for i, j, text in [*cells, ((h - 1) / 2, w + 1, "=")]:
        axes.text(j, i, text, ha="center", va="center")
    axes.set(xlim=(-0.6, w + 2.6), ylim=(h / 2 + 2.1, h / 2 - 3.1))
    axes.set_title(title, fontsize=10)
    axes.axis("off")
lesson.show(figure, "matrix")

# %% [markdown]
# ## The backward of a convolution
#
# Let dy be the derivative of some number with respect to each output y = A x, and dx the same for
# each input (lesson 3). Input i goes into every y with the weights of column i, so dx[i] is
# A[0, i] dy[0] + A[1, i] dy[1]: **dx = A.T dy**. A convolution's dx is a transposed convolution of
# dy, with the same array w: its first axis, the convolution's output channels, is what comes in
# now. And a transposed convolution's dx is a convolution of dy, since A.T transposed is A.

# %%
x = rng.standard_normal((2, 3, 7, 9))  # (N, C, H, W)
w = rng.standard_normal((4, 3, 3, 3))  # (K, C, KH, KW) for conv2d
y = ops.conv2d(x, w, stride=2, padding=1)  # (2, 4, 4, 5)
dy = rng.standard_normal(y.shape)
dx, _, _ = ops.conv2d_backward(dy, x, w, stride=2, padding=1)  # (2, 3, 7, 9)
back = ops.conv_transpose2d(dy, w, stride=2, padding=1)  # (2, 3, 7, 9)
assert np.allclose(back, dx), "a convolution's backward is the transposed convolution"
other_dx, _, _ = ops.conv_transpose2d_backward(x, dy, w, stride=2, padding=1)  # (2, 4, 4, 5)
assert np.allclose(other_dx, y), "and the other way (x plays dy here)"

# %% [markdown]
# ## The claim: it restores the size, not the values
#
# Smallest case: filter 1, 1, stride 2. The rows 1, 3 and 2, 2 both give 4. Whoever is handed the 4
# can't know which it was. The transposed convolution paints 4, 4, and was never asked to guess.
# In signal processing, deconvolution means to undo a convolution: to find 1, 3 again. Here nobody
# can, and so the word is wrong.

# %%
for start in ([1.0, 3], [2.0, 2]):
    small = ops.conv2d(np.array([[[start]]]), np.ones((1, 1, 1, 2)), **strided)  # (1, 1, 1, 1)
    assert small.item() == 4, "two inputs, one output"
    painted = ops.conv_transpose2d(small, np.ones((1, 1, 1, 2)), **strided)  # (1, 1, 1, 2)
    assert painted[0, 0, 0].tolist() == [4, 4]
again = ops.conv_transpose2d(y, w, stride=2, padding=1)  # (2, 3, 7, 9)
assert again.shape == x.shape, "the size comes back"
change = abs(again - x).max()
assert change > 1, "the values don't"
print(f"there and back: size {again.shape[2:]}, as before; values off by up to {change:.0f}")

# %% [markdown]
# ## Checkerboards
#
# How many copies does an output pixel get? Paint ones with a filter of ones and count. With a
# filter of 3 and stride 2 it is 1, 2, 1, 2: every second pixel is twice as bright, in two
# dimensions up to four times. Pictures made by networks often show this checkerboard (체커보드).
# **Away from the ends, all get equally many if, and only if, the stride divides the length.**


# %%
def copies(K, stride, H=8):
    """Count the copies that each output pixel of a row gets."""
    options = {"stride": (1, stride)}
    return ops.conv_transpose2d(np.ones((1, 1, 1, H)), np.ones((1, 1, 1, K)), **options)[0, 0, 0]


assert copies(3, 2)[2:-2].tolist() == [2, 1] * 6 + [2], "by turns two copies and one"
assert (copies(4, 2)[3:-3] == 2).all(), "two everywhere, apart from the ends"
for K in range(1, 9):
    for stride in range(1, 5):
        count = copies(K, stride)
        inside = count[K - 1 : len(count) - (K - 1)]  # near the ends fewer copies meet
        assert (inside.min() == inside.max()) == (K % stride == 0), f"filter {K}, stride {stride}"

figure = Figure(figsize=(9.4, 4.6), dpi=110, layout="constrained")
for (left, right), K in zip(figure.subplots(2, 2, width_ratios=(3, 1)), (3, 4), strict=True):
    height = np.zeros(8 + K)
    for j in range(5):
        at = np.arange(2 * j, 2 * j + K)
        left.bar(at, 1, 0.94, height[at], color=COLOURS[j])
        height[at] += 1
    left.set(xlim=(-0.6, 11.6), xticks=range(12), yticks=(0, 1, 2), ylabel="copies")
    left.set_title(f"five pixels paint: filter {K}, stride 2", fontsize=10)
    square = ops.conv_transpose2d(np.ones((1, 1, 5, 5)), np.ones((1, 1, K, K)), stride=2)[0, 0]
    right.imshow(square, cmap="gray", vmin=0, vmax=4)
    right.set(xticks=[], yticks=[], title="two dimensions (white: 4)")
lesson.show(figure, "checkerboard")

# %% [markdown]
# ## What people get wrong
#
# **"The stride divides the length, so there is no checkerboard."** The *number* of copies is then
# the same for all, but the weights differ. With K = 4 and stride 2, outputs 0, 2, 4 … get w[0] and
# w[2], the others w[1] and w[3]. Ones in give a flat map out only if the two sums are equal.
#
# **One size for all.** A convolution with K = 3, stride 2, padding 1 maps 5 pixels to 3, and 6 as
# well. On the way back somebody must say which: `output_padding=1` adds a row and a column.

# %%
w = np.array([[[[1.0, 0, 1, 0]]]])
stripes = ops.conv_transpose2d(np.ones((1, 1, 1, 6)), w, stride=(1, 2))[0, 0, 0, 3:-3].tolist()
print("ones, painted with 1 0 1 0 and stride 2:", stripes)
assert stripes == [0, 2] * 4, "a checkerboard, though 2 divides 4"
geometry = {"stride": 2, "padding": 1}
assert sizes.conv2d_size(5, 3, **geometry) == sizes.conv2d_size(6, 3, **geometry) == (3, 3)
assert sizes.conv_transpose2d_size(3, 3, **geometry) == (5, 5)
assert sizes.conv_transpose2d_size(3, 3, **geometry, output_padding=1) == (6, 6)

# %% [markdown]
# ## Exercises (solutions: `lessons/solutions/06_transposed_convolution.py`)
# 1. On paper: input 1, 2, 3, filter 1, 2, 1, stride 2, padding 1. Then the same with an A.T.
# 2. Write both gradients, dx and dw, of `conv_transpose2d` for one map and one filter, in loops.
#    Right if they equal `ops` and `testing.check_vjp` accepts them.
# 3. A cure: repeat each pixel 2 x 2 times (`ops.resize_nearest`), then convolve (3 x 3, padding 1).
#    It is a transposed convolution, too. Find its filter (4 x 4, stride 2, padding 1): same result.
# 4. Deconvolve for real: paint a row with a known filter, and get the row back from the result, to
#    10 digits (`np.linalg.lstsq`). When is that possible? Does `conv2d` of the result do it?
# 5. All of it, marked: `minisegnet start 06` writes a stub, `minisegnet check 06 FILE` marks it.
#
# ## Where it comes from
#
# - J. Long, E. Shelhamer and T. Darrell, "Fully convolutional networks for semantic segmentation"
#   (2015), section 3.3: upsampling is a convolution whose forward and backward are exchanged.
#   A. Odena, V. Dumoulin and C. Olah, "Deconvolution and checkerboard artifacts" (Distill, 2016).
# - "Segmentation" has copy, stride and sum, and says that the word deconvolution is wrong.
# - "[Computer Vision] 06. Segmentation" has spread, pad, strip, and that the size is restored and
#   not the values (값을 복원하는 것이 아니라 size를 복원한다). It leaves out that the filter is turned.
# - "03. CS231N 요약 (Localizaton, Detection, Segmentation)": forward and backward are convolution's
#   backward and forward. That is so for the inputs; both have a gradient for w as well.
