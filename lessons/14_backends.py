# %% [markdown]
# # The same kernel four times
#
# The loops of lesson 2 are right, but one training step would take minutes. `ops.conv2d` takes
# milliseconds. **What does the fast one do differently, and is it still the same function?** A
# function that does the arithmetic on arrays is called a **kernel** here (커널; not the filter of a
# convolution). A folder of all kernels in one technique is a **backend** (백엔드): plain loops
# (`reference`), NumPy, Numba, CUDA C for graphics processors (GPUs; `cuda-on-cpu` is for machines
# without one). An absent one is never replaced in silence.

# %%
import time
from collections import Counter
from functools import partial
from pathlib import Path
from timeit import repeat

import numpy as np
from matplotlib.figure import Figure

from minisegnet import functional, models, ops, optim, viz

lesson = viz.Lesson("14_backends")
rng = np.random.default_rng(14)

present = [name for name in ops.BACKENDS if ops.why_not(name) is None]
for name in ops.BACKENDS:
    why, message = ops.why_not(name), ""
    print(f"{name:12} {'ABSENT: ' + why if why else 'can run here'}")
    try:
        with ops.use_backend(name):
            pass
    except ValueError as error:
        message = str(error)
    assert why in message if why else not message, "an absent backend says why, a present one nothing"

# %% [markdown]
# ## By hand: count the products. Then loops
#
# A 3 x 3 picture and a 2 x 2 filter: the filter fits in 4 places, with 4 products each, 16 in all.
# In general every output, N K OH OW of them, is a sum of C KH KW products. A layer with 4 channels
# before and after, 3x3 filters and 32 x 32 outputs needs 4 * 32 * 32 * 4 * 9 = 147,456.


# %%
def conv2d_loops(x, w):
    """Valid convolution by its definition; also says how many products it took."""
    (N, C, H, W), (K, _, KH, KW) = x.shape, w.shape
    y, count = np.zeros((N, K, H - KH + 1, W - KW + 1)), 0  # (N, K, OH, OW)
    for n, k, oh, ow in np.ndindex(y.shape):
        for c, i, j in np.ndindex(C, KH, KW):
            y[n, k, oh, ow] += w[k, c, i, j] * x[n, c, oh + i, ow + j]
            count += 1
    return y, count


y, count = conv2d_loops(np.arange(9.0).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2)))
assert y.ravel().tolist() == [8, 12, 20, 24] and count == 4 * 4  # 8 = 0 + 1 + 3 + 4
x = rng.standard_normal((1, 4, 34, 34)).astype(np.float32)  # (N, C, H, W)
w = rng.standard_normal((4, 4, 3, 3)).astype(np.float32)  # (K, C, KH, KW)
start = time.perf_counter()
exact, count = conv2d_loops(x.astype(float), w.astype(float))  # (1, 4, 32, 32)
seconds = {"loops above": time.perf_counter() - start}
assert count == 4 * 32 * 32 * 4 * 9 == 147_456
print(f"loops: {seconds['loops above'] / count * 1e9:.0f} ns for each product")

# %% [markdown]
# ## NumPy: few calls, each on much
#
# A processor multiplies in less than a nanosecond. The rest was Python: names, types, objects. Do
# that work once for a whole array. The filter has only 9 places (i, j), called taps. For one tap,
# all outputs together are a matrix product: w[:, :, i, j] (K x C) times a shifted cut of the picture
# (C x pixels). Nine calls instead of 147,456 steps. (`ops` uses im2col, lesson 2.)


# %%
def conv2d_taps(x, w):
    """Valid convolution of one picture: one matrix product for each tap."""
    (_, C, H, W), (K, _, KH, KW) = x.shape, w.shape
    OH, OW = H - KH + 1, W - KW + 1
    y = np.zeros((K, OH * OW), x.dtype)
    for i, j in np.ndindex(KH, KW):  # (K, C) @ (C, OH OW)
        y += w[:, :, i, j] @ x[0, :, i : i + OH, j : j + OW].reshape(C, OH * OW)
    return y.reshape(1, K, OH, OW)


assert np.allclose(conv2d_taps(x, w), exact, atol=1e-4)

# %% [markdown]
# ## Numba: the loops again, compiled
#
# Numba reads a Python function and makes machine code of it. The loops stay loops; names and types
# are settled once, when it is compiled. So the first call with a new type takes seconds. `prange`
# shares a loop's turns among the cores: right, if no two turns write to one place. Here is the core
# of max pooling's backward, from the files (p: n and c, m: oh and ow). A turn of p has its own map.

# %%
kernels = {"reference": ("max_pool2d_backward", "for n in", 6), "numba": ("_add_at", "for p", 4)}
for backend, (function, first, count) in kernels.items():
    path = Path(ops.__file__).parents[1] / "backends" / backend / "pool.py"
    text = path.read_text(encoding="utf-8").split(f"def {function}(")[1]
    lines = text[text.index(first) :].splitlines()[:count]
    print(f"{backend}/pool.py, {function}:", *lines, sep="\n    ")
    assert "dx[" in lines[-1] and "+= dy[" in lines[-1], "the same last line"

# %% [markdown]
# ## CUDA C: what one thread computes
#
# A GPU runs thousands of threads at a time, all with the same text (`__global__` marks it). No loop
# goes over the outputs: each thread learns its number t (it knows its block of `blockDim.x` threads
# and its place there), finds out which output that is, and computes it alone. In memory all is one
# row, y[n, k, oh, ow] at ((n K + k) OH + oh) OW + ow; divisions and remainders go the way back.
#
# ```c
# __global__ void conv2d(float *y, const float *x, const float *w,
#                        int N, int C, int H, int W, int K, int KH, int KW) {
#     int OH = H - KH + 1, OW = W - KW + 1, t = blockIdx.x * blockDim.x + threadIdx.x;
#     if (t >= N * K * OH * OW) return;            /* the last block may be too large */
#     int ow = t % OW, oh = t / OW % OH, k = t / OW / OH % K, n = t / OW / OH / K;
#     float sum = 0;
#     for (int c = 0; c < C; c++)
#         for (int i = 0; i < KH; i++)
#             for (int j = 0; j < KW; j++)
#                 sum += w[((k*C + c)*KH + i)*KW + j] * x[((n*C + c)*H + oh + i)*W + ow + j];
#     y[t] = sum;
# }
# ```
#
# Threads run in no fixed order. In any order y is the same, since each writes its own y[t] and
# reads no other. Here is our layer's thread in Python:


# %%
def thread(t, y):
    if t < y.size:
        ow, oh, k = t % 32, t // 32 % 32, t // 32 // 32
        y[t] = (w[k] * x[0, :, oh : oh + 3, ow : ow + 3].astype(float)).sum()


flat = np.full(4 * 32 * 32, np.nan)  # (K OH OW,)
for t in rng.permutation(4 * 32 * 32 + 100):  # 100 threads too many, as in a last block
    thread(t, flat)
assert np.allclose(flat.reshape(exact.shape), exact, atol=1e-12), "threads in any order"

# %% [markdown]
# ## The claim, asserted: one function, whoever computes it
#
# All backends that are here agree up to float32's rounding, forward with our loops and backward
# with one another. Times, the best of several, are printed, not asserted: they are this machine's.

# %%
dy, gradients = rng.standard_normal(exact.shape).astype(np.float32), {}
for name in ["numpy", *sorted(set(present) - {"numpy", "cupy"})]:  # cupy's arrays are on the GPU
    with ops.use_backend(name):
        error = abs(ops.conv2d(x, w) - exact).max()
        gradients[name] = ops.conv2d_backward(dy, x, w)  # dx, dw, db
        times = 2 if name == "reference" else 20
        seconds[name] = min(repeat(lambda: ops.conv2d(x, w), number=1, repeat=times))
    assert error < 1e-4, f"{name} is off by {error}"
    print(f"{name:9} {seconds[name] * 1e3:9.3f} ms, largest error {error:.1e}")
    for ours, first in zip(gradients[name], gradients["numpy"], strict=True):
        assert np.allclose(ours, first, rtol=1e-4, atol=1e-3), f"{name}'s backward differs"
seconds["taps above"] = min(repeat(lambda: conv2d_taps(x, w), number=1, repeat=20))

# %% [markdown]
# ## Where the time goes
#
# `use_backend` takes a module of kernels, too. Ours has a stopwatch around each op, and lets a true
# backend work: NumPy's, which has nothing to compile. (Try yours, by its name in place of "numpy".)
# We time one training step of a small U-Net.


# %%
def timed(name, *arrays, **options):
    with ops.use_backend(used):
        start = time.perf_counter()
        result = getattr(ops, name)(*arrays, **options)
        spent[name] += time.perf_counter() - start
    return result


used, spent, stopwatch = "numpy", Counter(), type(np)("stopwatch")  # an empty module
vars(stopwatch).update((name, partial(timed, name)) for name in ops.__all__)
model = models.build("unet", in_channels=1, classes=3, width=3, depth=1, norm=None)
optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
images = rng.standard_normal((4, 1, 128, 128)).astype(np.float32)  # (N, C, H, W)
labels = rng.integers(0, 3, (4, 128, 128))  # (N, H, W)
for backend in (used, stopwatch):  # the first step fills caches (and compiles, if that is needed)
    with ops.use_backend(backend):
        start = time.perf_counter()
        optimizer.zero_grad()
        functional.softmax_cross_entropy(model(images), labels).backward()
        optimizer.step()
total = time.perf_counter() - start
spent["all else (tape, SGD)"] = total - sum(spent.values())
share = sum(spent[name] for name in spent if name.startswith("conv")) / total
print(f"{used}: {spent.most_common(1)[0][0]} takes longest; convolutions {share:.0%} of a step")

left, right = (figure := Figure(figsize=(9.6, 3.4), layout="constrained")).subplots(1, 2)
for name in sorted(seconds, key=seconds.get):
    left.barh(name, seconds[name] * 1e3, color="#56b4e9")
    left.text(seconds[name] * 1.2e3, name, f"{seconds[name] * 1e3:.3g} ms", va="center", fontsize=9)
left.set(xscale="log", xlim=(0.01, 3e4 * max(seconds.values())), xlabel="milliseconds (log)")
left.set_title("one convolution, 147,456 products")
for name, time_of_op in spent.most_common(7)[::-1]:
    right.barh(name, 100 * time_of_op / total, color="#e69f00")
right.set(xlabel="percent of the time", title=f"one training step, {used}")
lesson.show(figure, "times")

# %% [markdown]
# Left: it matters how often Python takes a step. (On so small a layer nine taps can beat both fast
# ops.) Right: work pays where the time goes. An op that takes 5 percent of it gains 5 at most.
#
# ## What people get wrong
#
# **Two threads add to one place.** Overlapping windows send gradients to the same pixel. A thread
# reads the old value, adds, writes; if two read before either writes, one gradient is lost. NumPy's
# `dx[indices] += dy` makes the same mistake. Give each *output* one thread that gathers what
# belongs to it, or use additions that can't be interrupted (atomic). **Expecting equal bits.** Sums
# are rounded, so they depend on their order, and fast kernels choose another: compare with a
# tolerance. **Timing the first call**, which compiles; or, on a GPU, a call that returns before the
# work is done: wait for the device before you stop the watch.

# %%
indices = np.array([[[[1, 1]]]])  # in the row 1, 9, 2 the 9, at place 1, wins both windows of 2
dy, lost = np.array([[[[10, 5]]]], np.float32), np.zeros(3)
lost[indices.ravel()] += dy.ravel()
assert lost.tolist() == [0, 5, 0], "the first gradient should be lost"
assert ops.max_pool2d_backward(dy, indices, (1, 3)).ravel().tolist() == [0, 15, 0]
a, b = np.float32(1e8), np.float32(1)  # float32 keeps about 7 digits
assert (a + b) - a == 0 and (a - a) + b == 1, "the same three numbers, another order"

# %% [markdown]
# ## Exercises (solutions: `lessons/solutions/14_backends.py`)
#
# 1. On paper: the products of the second convolution of the paper's U-Net (64 channels to 64, 3x3,
#    568 x 568 outputs). How long would loops take, at 1 microsecond for each?
# 2. Make a module `mine` with `conv2d(x, w, b, *, stride, padding, dilation, groups)` by taps (the
#    first three options are pairs; b may be None). Right if `ops.use_backend(mine)` changes nothing.
# 3. Write the backward of max pooling as a gather: one thread for each *input* pixel, which looks
#    for windows that it won (`indices`: row * W + column). It is right when it equals `ops`.
#
# ## Where it comes from
#
# - S. K. Lam et al., "Numba: a LLVM-based Python JIT compiler" (2015). J. Nickolls et al., "Scalable
#   parallel programming with CUDA" (2008). D. Goldberg, "What every computer scientist should know
#   about floating-point arithmetic" (1991), on rounding.
# - The Korean notes "03. CS231N 요약" show why to profile: Fast R-CNN, a finder of objects, needs
#   0.32 s a picture, and 2 s with the search for places to look at. That part wasn't made fast.
