"""Make torch_*.npz: random configurations of every op that PyTorch has, with its outputs and gradients.

Run it as ``python tests/golden/make_torch.py`` with ``torch==2.13.0`` installed. It is seeded, so it makes the
same cases again. All numbers are float64. ``dy`` is a random upstream gradient (``dloss`` for losses).

Left out, because minisegnet differs from PyTorch there by design:

- a mean over nothing (all pixels ignored, or all weights zero), where PyTorch gives NaN and we give 0;
- ``resize_nearest`` at sizes where PyTorch's float32 scale leads to another pixel than ``floor(i*H/OH)`` in
  integers, which is ours;
- ``max_unpool2d`` with repeated indices, whose result PyTorch leaves open;
- a dilated max-pooling window that sees nothing but padding, where PyTorch's index lies outside the map and
  we raise.

``pixel_weight`` and, for ``bce_with_logits``, ``ignore_index`` don't exist in PyTorch: there the loss is put
together from PyTorch's unreduced one.
"""

from itertools import product

import numpy as np
from store import Cases, numbers

VERSION = "2.13.0"

try:
    import torch
    import torch.nn.functional as F
except ImportError as error:
    raise SystemExit(f"make_torch.py needs torch=={VERSION}: pip install torch=={VERSION}") from error
if torch.__version__.split("+")[0] != VERSION:
    raise SystemExit(f"make_torch.py needs torch=={VERSION}, but torch {torch.__version__} is installed")


def leaf(array):
    """Make a tensor that collects a gradient, or None from None."""
    return None if array is None else torch.tensor(array, requires_grad=True)


def gradients(dy, y, **inputs):
    """Give PyTorch's gradient for each input that is there, under the input's name with a d before it."""
    present = {name: tensor for name, tensor in inputs.items() if tensor is not None}
    found = torch.autograd.grad(y, list(present.values()), torch.tensor(dy), allow_unused=True)
    zero = {name: torch.zeros_like(tensor) for name, tensor in present.items()}
    return {"d" + name: array(zero[name] if g is None else g) for name, g in zip(present, found, strict=True)}


def array(tensor):
    """Give a tensor's numbers."""
    return tensor.detach().numpy()


def integer(rng, low, high):
    """Draw a Python integer from low..high, both included."""
    return int(rng.integers(low, high + 1))


def pair(rng, low, high):
    """Draw an (h, w) pair with both from low..high."""
    return integer(rng, low, high), integer(rng, low, high)


def one_or_pair(value):
    """Write a pair of equal numbers as one number, so that both ways of writing are tested."""
    return value[0] if value[0] == value[1] else value


def chance(rng, probability):
    """Be true with this probability."""
    return bool(rng.random() < probability)


# ---------------------------------------------------------------------------------------------------------
# Convolution


def draw_groups(rng):
    """Draw input channels, output channels and groups; every third time depthwise."""
    kind = integer(rng, 0, 2)
    if kind == 0:
        return integer(rng, 1, 3), integer(rng, 1, 3), 1
    if kind == 1:
        return 4, 2 * integer(rng, 1, 2), 2
    C = integer(rng, 2, 3)
    return C, C * integer(rng, 1, 2), C


def conv2d(cases, rng):
    """Convolution: a kernel at, below and above the map's size, strides past the kernel, big paddings."""
    wanted = len(cases.lines) + 100
    while len(cases.lines) < wanted:
        C, K, groups = draw_groups(rng)
        H, k, d = pair(rng, 1, 6), pair(rng, 1, 4), pair(rng, 1, 3)
        s, p = pair(rng, 1, 4), pair(rng, 0, 4 if chance(rng, 0.2) else 2)
        out = [(H[a] + 2 * p[a] - d[a] * (k[a] - 1) - 1) // s[a] + 1 for a in range(2)]
        if min(out) < 1 or out[0] * out[1] > 30:
            continue
        N = 0 if chance(rng, 0.06) else integer(rng, 1, 2)
        x, w = numbers(rng, N, C, *H), numbers(rng, K, C // groups, *k)
        b = numbers(rng, K) if chance(rng, 0.7) else None
        kwargs = {"stride": one_or_pair(s), "padding": one_or_pair(p), "dilation": d, "groups": groups}
        tx, tw, tb = leaf(x), leaf(w), leaf(b)
        y = F.conv2d(tx, tw, tb, s, p, d, groups)
        dy = numbers(rng, *y.shape)
        expected = {"y": array(y)} | gradients(dy, y, x=tx, w=tw, b=tb)
        cases.add("conv2d", kwargs, {"x": x, "w": w, "b": b, "dy": dy}, expected)


def conv_transpose2d(cases, rng):
    """Transposed convolution, with output paddings up to their limit."""
    wanted = len(cases.lines) + 100
    while len(cases.lines) < wanted:
        C, K, groups = draw_groups(rng)
        H, k, d = pair(rng, 1, 4), pair(rng, 1, 4), pair(rng, 1, 2)
        s, p = pair(rng, 1, 3), pair(rng, 0, 2)
        extra = tuple(integer(rng, 0, max(s[a], d[a]) - 1) for a in range(2))
        out = [(H[a] - 1) * s[a] - 2 * p[a] + d[a] * (k[a] - 1) + extra[a] + 1 for a in range(2)]
        if min(out) < 1 or out[0] * out[1] > 42:
            continue
        N = 0 if chance(rng, 0.06) else integer(rng, 1, 2)
        x, w = numbers(rng, N, C, *H), numbers(rng, C, K // groups, *k)
        b = numbers(rng, K) if chance(rng, 0.7) else None
        kwargs = {"stride": one_or_pair(s), "padding": one_or_pair(p), "output_padding": one_or_pair(extra)}
        kwargs |= {"dilation": one_or_pair(d), "groups": groups}
        tx, tw, tb = leaf(x), leaf(w), leaf(b)
        y = F.conv_transpose2d(tx, tw, tb, s, p, extra, groups, d)
        dy = numbers(rng, *y.shape)
        expected = {"y": array(y)} | gradients(dy, y, x=tx, w=tw, b=tb)
        cases.add("conv_transpose2d", kwargs, {"x": x, "w": w, "b": b, "dy": dy}, expected)


# ---------------------------------------------------------------------------------------------------------
# Pooling


def maps_for_max(rng, *shape):
    """Draw maps in the ways that are hard for a maximum: ties, minus infinity, one NaN, many NaN."""
    kind = integer(rng, 0, 5)
    x = numbers(rng, *shape)
    if kind == 1:
        x = rng.integers(-1, 2, shape).astype(float)  # nothing but ties
    if kind == 2:
        x[rng.random(shape) < 0.7] = -np.inf
    if kind == 3:
        x[:] = -np.inf
    if kind == 4:
        x[rng.random(shape) < 0.1] = np.nan
    if kind == 5:  # often two in a window
        x[rng.random(shape) < 0.5] = np.nan
        x[rng.random(shape) < 0.2] = -np.inf
    return x


def draw_window(rng, dilated):
    """Draw size, kernel, stride, padding, dilation and ceil_mode of a pooling that PyTorch takes."""
    while True:
        H, k = pair(rng, 1, 7), pair(rng, 1, 4)
        s = k if chance(rng, 0.3) else pair(rng, 1, 5)
        p = (integer(rng, 0, k[0] // 2), integer(rng, 0, k[1] // 2))
        d = pair(rng, 1, 3) if dilated and chance(rng, 0.4) else (1, 1)
        ceil_mode = chance(rng, 0.5)
        room = [H[a] + 2 * p[a] - d[a] * (k[a] - 1) - 1 for a in range(2)]
        if min(room) < 0:
            continue
        if all(every_window_sees_the_map(H[a], k[a], s[a], p[a], d[a]) for a in range(2)):
            return H, k, s, p, d, ceil_mode


def every_window_sees_the_map(H, k, s, p, d):
    """Say whether every window covers at least one position that is not padding."""
    return all(any(0 <= start + t * d < H for t in range(k)) for start in range(-p, H, s))


def max_pool2d(cases, rng):
    """Max pooling with indices."""
    for _ in range(130):
        H, k, s, p, d, ceil_mode = draw_window(rng, dilated=True)
        x = maps_for_max(rng, 0 if chance(rng, 0.05) else integer(rng, 1, 2), integer(rng, 1, 3), *H)
        tx = leaf(x)
        y, indices = F.max_pool2d(tx, k, s, p, d, ceil_mode, return_indices=True)
        kwargs = {"kernel_size": one_or_pair(k), "stride": None if s == k else one_or_pair(s)}
        kwargs |= {"padding": one_or_pair(p), "dilation": one_or_pair(d), "ceil_mode": ceil_mode}
        dy = numbers(rng, *y.shape)
        expected = {"y": array(y), "indices": array(indices)} | gradients(dy, y, x=tx)
        cases.add("max_pool2d", kwargs, {"x": x, "dy": dy}, expected)


def avg_pool2d(cases, rng):
    """Average pooling, with both ways of counting the padding."""
    for i in range(100):
        H, k, s, p, _, ceil_mode = draw_window(rng, dilated=False)
        x = numbers(rng, 0 if chance(rng, 0.05) else integer(rng, 1, 2), integer(rng, 1, 3), *H)
        kwargs = {"kernel_size": one_or_pair(k), "stride": None if s == k else one_or_pair(s)}
        kwargs |= {"padding": one_or_pair(p), "ceil_mode": ceil_mode, "count_include_pad": i % 2 == 0}
        tx = leaf(x)
        y = F.avg_pool2d(tx, k, s, p, ceil_mode, i % 2 == 0)
        dy = numbers(rng, *y.shape)
        cases.add("avg_pool2d", kwargs, {"x": x, "dy": dy}, {"y": array(y)} | gradients(dy, y, x=tx))


def adaptive(cases, rng):
    """Adaptive poolings, also to more outputs than inputs, and global average pooling."""
    for i in range(140):
        H, out = pair(rng, 1, 7), pair(rng, 1, 8 if chance(rng, 0.3) else 4)
        N, C = 0 if chance(rng, 0.05) else integer(rng, 1, 2), integer(rng, 1, 2)
        x = maps_for_max(rng, N, C, *H) if i % 2 else numbers(rng, N, C, *H)
        tx = leaf(x)
        kwargs = {"output_size": one_or_pair(out)}
        if i % 2:
            y, indices = F.adaptive_max_pool2d(tx, out, return_indices=True)
            expected = {"y": array(y), "indices": array(indices)}
        else:
            y = F.adaptive_avg_pool2d(tx, out)
            expected = {"y": array(y)}
        dy = numbers(rng, *y.shape)
        expected |= gradients(dy, y, x=tx)
        cases.add(f"adaptive_{'max' if i % 2 else 'avg'}_pool2d", kwargs, {"x": x, "dy": dy}, expected)
    for N in (0, 1, 1, 2, 2, 3, 3, 3):
        x = numbers(rng, N, integer(rng, 1, 4), *pair(rng, 1, 7))
        tx = leaf(x)
        y = tx.mean((2, 3), keepdim=True)
        dy = numbers(rng, *y.shape)
        expected = {"y": array(y)} | gradients(dy, y, x=tx)
        cases.add("global_avg_pool2d", {}, {"x": x, "dy": dy}, expected)


def max_unpool2d(cases, rng):
    """Unpooling: the places of a real pooling, and any different places of a map."""
    for i in range(60):
        N, C, h = 0 if chance(rng, 0.05) else integer(rng, 1, 2), integer(rng, 1, 3), pair(rng, 1, 4)
        if i % 2:
            H = (2 * h[0] + integer(rng, 0, 1), 2 * h[1] + integer(rng, 0, 1))
            x, indices = F.max_pool2d(torch.tensor(numbers(rng, N, C, *H)), 2, return_indices=True)
            x, indices = array(x), array(indices)
        else:
            H = (h[0] + integer(rng, 0, 3), h[1] + integer(rng, 0, 3))
            places = [rng.permutation(H[0] * H[1])[: h[0] * h[1]] for _ in range(N * C)]
            x, indices = numbers(rng, N, C, *h), np.array(places, dtype=np.int64).reshape(N, C, *h)
        tx = leaf(x)
        y = torch.ops.aten.max_unpool2d(tx, torch.tensor(indices), H)
        dy = numbers(rng, *y.shape)
        expected = {"y": array(y)} | gradients(dy, y, x=tx)
        cases.add("max_unpool2d", {"output_size": H}, {"x": x, "indices": indices, "dy": dy}, expected)


# ---------------------------------------------------------------------------------------------------------
# Resizing


def resize_bilinear(cases, rng):
    """Bilinear, up, down, to the same size, to and from one pixel."""
    for i in range(100):
        H = pair(rng, 1, 6)
        out = H if i % 12 == 0 else pair(rng, 1, 8 if chance(rng, 0.5) else 4)
        x = numbers(rng, 0 if chance(rng, 0.05) else integer(rng, 1, 2), integer(rng, 1, 2), *H)
        tx = leaf(x)
        y = F.interpolate(tx, out, mode="bilinear", align_corners=i % 2 == 0)
        dy = numbers(rng, *y.shape)
        kwargs = {"size": one_or_pair(out), "align_corners": i % 2 == 0}
        cases.add("resize_bilinear", kwargs, {"x": x, "dy": dy}, {"y": array(y)} | gradients(dy, y, x=tx))


def same_pixels(H, out):
    """Say whether PyTorch's float32 scale finds the pixels of floor(i*H/OH)."""
    return all(int(np.float32(i) * (np.float32(H) / np.float32(out))) == i * H // out for i in range(out))


def resize_nearest(cases, rng):
    """Nearest, at the sizes where floats and integers agree."""
    wanted = len(cases.lines) + 70
    while len(cases.lines) < wanted:
        H, out = pair(rng, 1, 6), pair(rng, 1, 9)
        if not (same_pixels(H[0], out[0]) and same_pixels(H[1], out[1])):
            continue
        x = numbers(rng, 0 if chance(rng, 0.05) else integer(rng, 1, 2), integer(rng, 1, 2), *H)
        tx = leaf(x)
        y = F.interpolate(tx, out, mode="nearest")
        dy = numbers(rng, *y.shape)
        expected = {"y": array(y)} | gradients(dy, y, x=tx)
        cases.add("resize_nearest", {"size": one_or_pair(out)}, {"x": x, "dy": dy}, expected)


# ---------------------------------------------------------------------------------------------------------
# Batch normalisation


def batch_norm(cases, rng):
    """Training and evaluation, with and without scale and shift and running statistics, rank 2 to 4."""
    for i in range(100):
        training, affine, running = i % 2 == 0, i % 3 != 0, i % 5 != 0 or i % 2 == 1
        N = 0 if not training and chance(rng, 0.1) else integer(rng, 1, 3)
        C, rest = integer(rng, 1, 4), [(), (integer(rng, 1, 5),), pair(rng, 1, 4), pair(rng, 1, 4)][i % 4]
        if training and N * int(np.prod(rest)) < 2:
            N = 2
        x = numbers(rng, N, C, *rest)
        more = {}
        if i % 10 == 4:  # a mean far from zero; eighths are exact in float32 too, but the mean is not
            x, more = np.round(x * 8) / 8 + 10000.0, {"float32": 1e-3}
        if i % 10 == 6:
            x[:, 0] = 0.5  # a channel without variance
        gamma, beta = (numbers(rng, C), numbers(rng, C)) if affine else (None, None)
        mean, var = (numbers(rng, C), np.abs(numbers(rng, C)) + 0.1) if running else (None, None)
        momentum, eps = ((0.1, 1e-5), (0.25, 1e-3), (1.0, 1e-5), (0.0, 1e-2))[integer(rng, 0, 3)]
        kwargs = {"training": training, "momentum": momentum, "eps": eps}
        tx, tg, tb = leaf(x), leaf(gamma), leaf(beta)
        tm, tv = (None, None) if mean is None else (torch.tensor(mean), torch.tensor(var))
        y = F.batch_norm(tx, tm, tv, tg, tb, training, momentum, eps)
        dy = numbers(rng, *y.shape)
        expected = {"y": array(y)} | gradients(dy, y, x=tx, gamma=tg, beta=tb)
        if running:  # PyTorch updated them in place
            expected |= {"running_mean": array(tm), "running_var": array(tv)}
        if training:
            _, saved_mean, saved_inv_std = torch.native_batch_norm(
                tx, tg, tb, None, None, True, momentum, eps
            )
            expected |= {"mean": array(saved_mean), "inv_std": array(saved_inv_std)}
        inputs = {"x": x, "gamma": gamma, "beta": beta, "running_mean": mean, "running_var": var, "dy": dy}
        cases.add("batch_norm", kwargs, inputs, expected, **more)


# ---------------------------------------------------------------------------------------------------------
# Losses


def hard_logits(rng, kind, *shape):
    """Draw logits: ordinary, huge, or with minus infinity in one class."""
    z = numbers(rng, *shape)
    if kind == 1:
        z = np.round(z * 4) / 4 + rng.choice([-1e4, 0.0, 1e4], shape)  # exact in float32 too
    if kind == 2:
        z[:, 0] = -np.inf
    return z


def softmax_cross_entropy(cases, rng):
    """Cross-entropy over one to three pixel axes, with class weights, pixel weights and ignored pixels."""
    shapes = [(), (4,), (3, 2), (2, 4), (1, 1)]
    wanted, i = len(cases.lines) + 120, 0
    while len(cases.lines) < wanted:
        i += 1
        reduction = ("mean", "sum", "none")[i % 3]
        N, C, rest = integer(rng, 1, 3), integer(rng, 2, 4), shapes[integer(rng, 0, 4)]
        if chance(rng, 0.06) and reduction != "mean":
            N = 0
        logits = hard_logits(rng, integer(rng, 0, 2), N, C, *rest)
        target = rng.integers(0, C, (N, *rest))
        ignore = (None, 255, -1, 0, C - 1)[integer(rng, 0, 4)]
        if ignore in (255, -1):
            target[rng.random(target.shape) < 0.3] = ignore
        weight = np.abs(numbers(rng, C)) + 0.05 if chance(rng, 0.5) else None
        pixel_weight = np.abs(numbers(rng, N, *rest)) + 0.05 if i % 4 == 0 else None
        if reduction == "mean" and (target == ignore).all():
            continue
        tz, tt = leaf(logits), torch.tensor(target)
        tw = None if weight is None else torch.tensor(weight)
        settings = {"weight": tw, "ignore_index": -100 if ignore is None else ignore}
        if pixel_weight is None:
            loss = F.cross_entropy(tz, tt, reduction=reduction, **settings)
        else:
            each = F.cross_entropy(tz, tt, reduction="none", **settings) * torch.tensor(pixel_weight)
            counts = torch.tensor(pixel_weight) * (tt != settings["ignore_index"])
            if weight is not None:
                counts = counts * tw[tt.clamp(0, C - 1)]
            loss = {"none": each, "sum": each.sum(), "mean": each.sum() / counts.sum()}[reduction]
        dloss = numbers(rng, *loss.shape)
        expected = {"loss": array(loss), "probs": array(torch.softmax(tz, 1))}
        expected |= gradients(dloss, loss, logits=tz)
        inputs = {"logits": logits, "target": target, "weight": weight, "pixel_weight": pixel_weight}
        kwargs = {"ignore_index": ignore, "reduction": reduction}
        cases.add("softmax_cross_entropy", kwargs, inputs | {"dloss": dloss}, expected)


def bce_with_logits(cases, rng):
    """Binary cross-entropy, with hard and soft targets, weights that broadcast, and ignored elements."""
    for i in range(100):
        reduction = ("mean", "sum", "none")[i % 3]
        shape = [(integer(rng, 1, 6),), (2, 3), (2, 1, 3, 2), (1, 2, 2, 4)][i % 4]
        if reduction != "mean" and chance(rng, 0.08):
            shape = (0, *shape[1:])
        z = numbers(rng, *shape)
        if i % 5 == 0:
            z = np.round(z * 4) / 4 + rng.choice([-1e4, 0.0, 1e4, 88.0, -710.0], shape)
        target = rng.integers(0, 2, shape).astype(float) if i % 2 else np.round(rng.random(shape), 2)
        full = [1 if chance(rng, 0.3) else n for n in shape]
        weight = np.abs(numbers(rng, *full)) if chance(rng, 0.5) else None
        pixel_weight = np.abs(numbers(rng, *shape)) if i % 7 == 0 else None
        ignore = 255 if i % 6 == 0 and len(shape) > 1 else None
        tz, used = leaf(z), torch.ones(shape, dtype=torch.bool)
        if ignore is not None:
            target[rng.random(shape) < 0.3] = ignore
            target.ravel()[:1] = 1.0  # one counts at least
            used = torch.tensor(target != ignore)
        tt = torch.where(used, torch.tensor(target), 0.0)
        tw = None if weight is None else torch.tensor(weight)
        if ignore is None and pixel_weight is None:
            loss = F.binary_cross_entropy_with_logits(tz, tt, tw, reduction=reduction)
        else:
            each = F.binary_cross_entropy_with_logits(tz, tt, tw, reduction="none") * used
            each = each if pixel_weight is None else each * torch.tensor(pixel_weight)
            loss = {"none": each, "sum": each.sum(), "mean": each.sum() / used.sum()}[reduction]
        dloss = numbers(rng, *loss.shape)
        expected = {"loss": array(loss)} | gradients(dloss, loss, logits=tz)
        inputs = {"logits": z, "target": target, "weight": weight, "pixel_weight": pixel_weight}
        kwargs = {"ignore_index": ignore, "reduction": reduction}
        cases.add("bce_with_logits", kwargs, inputs | {"dloss": dloss}, expected)


# ---------------------------------------------------------------------------------------------------------
# Activations


def softmaxes(cases, rng):
    """Softmax and its logarithm over any axis, with huge numbers, infinities and NaN."""
    for i in range(90):
        name = ("softmax", "log_softmax")[i % 2]
        shape = tuple(integer(rng, 1, 4) for _ in range(integer(rng, 1, 5)))
        axis = integer(rng, -len(shape), len(shape) - 1)
        if chance(rng, 0.1) and axis % len(shape) > 0:
            shape = (0, *shape[1:])  # an empty batch
        x = numbers(rng, *shape)
        kind = (i // 2) % 9
        if kind == 1:
            x = np.round(x * 4) / 4 + rng.choice([-1e4, 0.0, 1e4], shape)
        if kind == 2:
            x[rng.random(shape) < 0.4] = -np.inf
        if kind == 3:
            x[rng.random(shape) < 0.2] = np.nan
        if kind == 4:
            x[rng.random(shape) < 0.1] = np.inf
        tx = leaf(x)
        y = getattr(F, name)(tx, axis)
        dy = numbers(rng, *shape)
        cases.add(name, {"axis": axis}, {"x": x, "dy": dy}, {"y": array(y)} | gradients(dy, y, x=tx))


def elementwise(cases, rng):
    """Relu, leaky relu and sigmoid on any rank, at zero, at infinity and at NaN."""
    edges = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e4, -1e4, 40.0, -40.0, 710.0, -710.0, 1e-3])
    for i, name in product(range(20), ("relu", "leaky_relu", "sigmoid")):
        shape = tuple(integer(rng, 1, 4) for _ in range(i % 6))
        x = edges.reshape([(12,), (3, 4), (2, 1, 2, 3)][i % 3]) if i < 3 else numbers(rng, *shape)
        if i == 7:
            x = x[:0]
        kwargs = {"slope": (0.1, 0.01, 0.5, 1.5)[i % 4]} if name == "leaky_relu" else {}
        tx = leaf(x)
        y = F.leaky_relu(tx, kwargs["slope"]) if kwargs else getattr(torch, name)(tx)
        dy = numbers(rng, *x.shape)
        cases.add(name, kwargs, {"x": x, "dy": dy}, {"y": array(y)} | gradients(dy, y, x=tx))


# ---------------------------------------------------------------------------------------------------------
# Linear, and moving numbers about


def linear(cases, rng):
    """The fully connected layer."""
    for _ in range(40):
        M, n, m = 0 if chance(rng, 0.06) else integer(rng, 1, 5), integer(rng, 1, 7), integer(rng, 1, 5)
        x, w = numbers(rng, M, n), numbers(rng, m, n)
        b = numbers(rng, m) if chance(rng, 0.6) else None
        tx, tw, tb = leaf(x), leaf(w), leaf(b)
        y = F.linear(tx, tw, tb)
        dy = numbers(rng, *y.shape)
        expected = {"y": array(y)} | gradients(dy, y, x=tx, w=tw, b=tb)
        cases.add("linear", {}, {"x": x, "w": w, "b": b, "dy": dy}, expected)


def concat(cases, rng):
    """Joining one to four arrays along any axis."""
    for _ in range(40):
        shape = [integer(rng, 1, 4) for _ in range(integer(rng, 1, 4))]
        axis = integer(rng, -len(shape), len(shape) - 1)
        arrays = {}
        for j in range(integer(rng, 1, 4)):
            shape[axis] = integer(rng, 1, 3)
            arrays[f"x{j}"] = numbers(rng, *shape)
        leaves = {name: leaf(a) for name, a in arrays.items()}
        y = torch.cat(list(leaves.values()), axis)
        dy = numbers(rng, *y.shape)
        expected = {"y": array(y)} | gradients(dy, y, **leaves)
        cases.add("concat", {"axis": axis}, arrays | {"dy": dy}, expected)


def pad_crop_add(cases, rng):
    """Padding with zeros and by reflection, centred crops, sums."""
    for i in range(56):
        H, mode = pair(rng, 1, 6), ("zero", "reflect")[i % 2]
        p = tuple(integer(rng, 0, n - 1) for n in H) if i % 2 else pair(rng, 0, 4)
        x = numbers(rng, 0 if chance(rng, 0.05) else integer(rng, 1, 2), integer(rng, 1, 2), *H)
        tx = leaf(x)
        y = F.pad(tx, (p[1], p[1], p[0], p[0]), "reflect" if i % 2 else "constant")
        dy = numbers(rng, *y.shape)
        kwargs = {"padding": one_or_pair(p), "mode": mode}
        cases.add("pad2d", kwargs, {"x": x, "dy": dy}, {"y": array(y)} | gradients(dy, y, x=tx))
    for _ in range(24):
        H = pair(rng, 1, 7)
        h = integer(rng, 1, H[0]), integer(rng, 1, H[1])
        top, left = (H[0] - h[0]) // 2, (H[1] - h[1]) // 2
        x = numbers(rng, integer(rng, 0, 2), integer(rng, 1, 2), *H)
        tx = leaf(x)
        y = tx[:, :, top : top + h[0], left : left + h[1]]
        dy = numbers(rng, *y.shape)
        expected = {"y": array(y)} | gradients(dy, y, x=tx)
        cases.add("crop2d", {"size": one_or_pair(h)}, {"x": x, "dy": dy}, expected)
    for rank in (0, 1, 2, 3, 4, 4, 5):
        shape = [integer(rng, 1, 3) for _ in range(rank)]
        a, b = numbers(rng, *shape), numbers(rng, *shape)
        ta, tb = leaf(a), leaf(b)
        y, dy = ta + tb, numbers(rng, *shape)
        expected = {"y": array(y)} | gradients(dy, y, a=ta, b=tb)
        cases.add("add", {}, {"a": a, "b": b, "dy": dy}, expected)


# ---------------------------------------------------------------------------------------------------------
# Fused ops, which PyTorch runs one after the other


def conv2d_relu(cases, rng):
    """Convolution and ReLU; a quarter of the biases cut off, or let through, a whole channel."""
    for i in range(40):
        C, K, groups = draw_groups(rng)
        k, d, s, p = pair(rng, 1, 3), pair(rng, 1, 2), pair(rng, 1, 2), pair(rng, 0, 2)
        H = tuple(d[a] * (k[a] - 1) + integer(rng, 1, 4) for a in range(2))
        x, w = numbers(rng, 0 if i == 7 else integer(rng, 1, 2), C, *H), numbers(rng, K, C // groups, *k)
        b = numbers(rng, K) * (40 if i % 4 == 0 else 1) if i % 3 else None
        kwargs = {"stride": one_or_pair(s), "padding": one_or_pair(p), "dilation": d, "groups": groups}
        tx, tw, tb = leaf(x), leaf(w), leaf(b)
        y = F.relu(F.conv2d(tx, tw, tb, s, p, d, groups))
        dy = numbers(rng, *y.shape)
        expected = {"y": array(y)} | gradients(dy, y, x=tx, w=tw, b=tb)
        cases.add("conv2d_relu", kwargs, {"x": x, "w": w, "b": b, "dy": dy}, expected)


def batch_norm_relu(cases, rng):
    """Batch normalisation and ReLU, training and evaluation, with and without scale and shift.

    Left out are cases with a number that only rounding puts on one side of 0, such as that of a value that is the mean.
    """
    wanted = len(cases.lines) + 40
    i = 0
    while len(cases.lines) < wanted:
        i += 1
        training, affine = i % 2 == 0, i % 3 != 0
        N, C = integer(rng, 2, 3), integer(rng, 1, 4)
        rest = [(), (integer(rng, 1, 40),), pair(rng, 1, 4), pair(rng, 3, 9)][i % 4]
        x, mean, var = numbers(rng, N, C, *rest), numbers(rng, C), np.abs(numbers(rng, C)) + 0.1
        gamma, beta = (numbers(rng, C), numbers(rng, C)) if affine else (None, None)
        kwargs = {"training": training, "momentum": 0.1, "eps": 1e-5}
        tx, tg, tb, tm, tv = leaf(x), leaf(gamma), leaf(beta), torch.tensor(mean), torch.tensor(var)
        normalised = F.batch_norm(tx, tm, tv, tg, tb, training, 0.1, 1e-5)
        if normalised.abs().min() < 1e-4:
            continue
        y = F.relu(normalised)
        dy = numbers(rng, *y.shape)
        expected = {"y": array(y), "running_mean": array(tm), "running_var": array(tv)}
        expected |= gradients(dy, y, x=tx, gamma=tg, beta=tb)
        inputs = {"x": x, "gamma": gamma, "beta": beta, "running_mean": mean, "running_var": var, "dy": dy}
        cases.add("batch_norm_relu", kwargs, inputs, expected)


# ---------------------------------------------------------------------------------------------------------

FILES = {
    "conv": (conv2d, conv_transpose2d),
    "pool": (max_pool2d, avg_pool2d, adaptive, max_unpool2d),
    "resize": (resize_bilinear, resize_nearest),
    "norm": (batch_norm,),
    "loss": (softmax_cross_entropy, bce_with_logits),
    "activation": (softmaxes, elementwise),
    "linear": (linear,),
    "arrange": (concat, pad_crop_add),
    "fused": (conv2d_relu, batch_norm_relu),
}


def main():
    """Make all files."""
    torch.set_num_threads(1)
    for seed, (name, makers) in enumerate(FILES.items()):
        cases = Cases()
        for part, make in enumerate(makers):
            make(cases, np.random.default_rng((seed, part)))
        about = {"made_by": "make_torch.py", "torch": torch.__version__, "numpy": np.__version__}
        cases.write(f"torch_{name}.npz", about)


if __name__ == "__main__":
    main()
