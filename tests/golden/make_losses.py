"""Make composed/losses.npz: the losses of ``minisegnet.losses``, put together from PyTorch's functions.

Run it as ``python tests/golden/make_losses.py`` with ``torch==2.13.0`` installed. It is seeded, so it makes the
same cases again. All numbers are float64; gradients are autograd's. ``dloss`` is a random upstream gradient.

PyTorch has no Dice, focal, Tversky or Lovász loss: each is written here from its formula, class by class and
pixel by pixel where that is clearer, in another way than in the library. Pixels that don't count are cut out before
anything is computed. The Lovász extension is taken literally: it sets up the set of wrong pixels one by one and
asks for the Jaccard loss of each set.
"""

import numpy as np
from store import FOLDER, Cases, numbers

VERSION = "2.13.0"

try:
    import torch
    import torch.nn.functional as F
except ImportError as error:
    raise SystemExit(f"make_losses.py needs torch=={VERSION}: pip install torch=={VERSION}") from error
if torch.__version__.split("+")[0] != VERSION:
    raise SystemExit(f"make_losses.py needs torch=={VERSION}, but torch {torch.__version__} is installed")


# ---------------------------------------------------------------------------------------------------------
# The formulas, on the pixels that count: scores z (P, C), labels t (P,), areas q (P,), class weights w (C,)


def mean_over_classes(class_losses, t, q, w, classes):
    """Average over all classes, or over those that the target has."""
    there = torch.tensor([classes == "all" or bool((q[t == c] > 0).any()) for c in range(len(w))])
    return (class_losses * w)[there].sum() / w[there].sum()


def tversky(z, t, q, w, alpha=0.3, beta=0.7, smooth=1.0, classes="all"):
    """One minus the Tversky index of each class."""
    p, losses = torch.softmax(z, 1), []
    for c in range(z.shape[1]):
        mine, pc = (t == c).double(), p[:, c]
        found, wrong, missed = (q * mine * pc).sum(), (q * (1 - mine) * pc).sum(), (q * mine * (1 - pc)).sum()
        losses.append(1 - (found + smooth / 2) / (found + alpha * wrong + beta * missed + smooth / 2))
    return mean_over_classes(torch.stack(losses), t, q, w, classes)


def dice(z, t, q, w, smooth=1.0, classes="all"):
    """One minus twice the overlap over the sum of both."""
    p, y = torch.softmax(z, 1), F.one_hot(t, z.shape[1]).double()
    overlap, both = torch.einsum("p,pc,pc->c", q, p, y), torch.einsum("p,pc->c", q, p + y)
    return mean_over_classes(1 - (2 * overlap + smooth) / (both + smooth), t, q, w, classes)


def focal(z, t, q, w, gamma=2.0, reduction="mean"):
    """Cross-entropy, each pixel times (1 - p)**gamma, by logarithms: autograd's power gives NaN at 1 - p = 0."""
    log_p, mine = torch.log_softmax(z, 1), F.one_hot(t, z.shape[1]).bool()
    log_other = torch.logsumexp(log_p.masked_fill(mine, -torch.inf), 1)
    total = (w[t] * q * torch.exp(gamma * log_other) * -log_p[mine]).sum()
    return total / (w[t] * q).sum() if reduction == "mean" else total


def cross_entropy(z, t, q, w):
    """Cross-entropy, divided by the sum of the weights."""
    return (F.cross_entropy(z, t, reduction="none") * w[t] * q).sum() / (w[t] * q).sum()


def bce(z, t, q, w):
    """Cross-entropy of a yes or no for each class, divided by their number."""
    y = (t[:, None] if z.shape[1] == 1 else F.one_hot(t, z.shape[1])).double()
    return (F.binary_cross_entropy_with_logits(z, y, reduction="none") * q[:, None] * w).mean()


def jaccard_loss(mine, wrong, q):
    """One minus the area of what is right of the class over the area of the union, for one set of wrong pixels."""
    right, union = q[mine & ~wrong].sum(), q[mine | wrong].sum()
    return 1 - right / union if union > 0 else torch.zeros((), dtype=torch.float64)


def lovasz_softmax(z, t, q, w, classes="present"):
    """Lovász extension of the Jaccard loss at the errors of each class."""
    p, losses = torch.softmax(z, 1), []
    for c in range(z.shape[1]):
        mine, loss = t == c, torch.zeros((), dtype=torch.float64)
        errors = torch.where(mine, 1 - p[:, c], p[:, c])
        wrong = torch.zeros(len(t), dtype=torch.bool)
        for pixel in torch.argsort(errors, descending=True, stable=True):
            before = jaccard_loss(mine, wrong, q)
            wrong[pixel] = True
            loss = loss + errors[pixel] * (jaccard_loss(mine, wrong, q) - before)
        losses.append(loss)
    return mean_over_classes(torch.stack(losses), t, q, w, classes)


FORMULAS = {
    "dice": dice,
    "tversky": tversky,
    "focal": focal,
    "lovasz_softmax": lovasz_softmax,
    "cross_entropy": cross_entropy,
    "bce": bce,
}


# ---------------------------------------------------------------------------------------------------------
# The cases


def options_of(name, rng):
    """Draw keyword arguments; those left out are the library's defaults."""
    options = {
        "dice": {"smooth": [1.0, 0.0, 1e-3, 10.0], "classes": ["all", "present"]},
        "tversky": {
            "alpha": [0.3, 0.5, 1.0, 0.0],
            "beta": [0.7, 0.5, 1.0],
            "smooth": [1.0, 0.25],
            "classes": ["all", "present"],
        },
        "focal": {"gamma": [2.0, 0.0, 0.5, 1.0, 5.0], "reduction": ["mean", "sum"]},
        "lovasz_softmax": {"classes": ["present", "all"]},
    }.get(name, {})
    return {key: values[rng.integers(len(values))] for key, values in options.items() if rng.random() < 0.7}


def add(cases, name, rng):
    """Draw one case: (N, C) or maps, ignored pixels (by a label of their own or a class), weights."""
    N, rest = int(rng.integers(1, 4)), [(), (3,), (3, 2), (4, 4)][rng.integers(4)]
    C = int(rng.integers(2, 5)) if name != "bce" or rng.random() < 0.6 else 1
    z = numbers(rng, N, C, *rest) * (1 if rng.random() < 0.8 else 20)
    t = rng.integers(0, max(C, 2), (N, *rest))
    ignore = [None, 255, -1, C - 1][rng.integers(4 if C > 1 else 3)]
    if ignore in (255, -1):
        t[rng.random(t.shape) < 0.3] = ignore
    if (t == ignore).all():
        return
    weight = np.abs(numbers(rng, C)) + 0.05 if rng.random() < 0.5 else None
    pixel_weight = np.abs(numbers(rng, N, *rest)) + 0.05 if rng.random() < 0.5 else None
    options = options_of(name, rng)

    logits = torch.tensor(z, requires_grad=True)
    counts = torch.tensor(t != ignore if ignore is not None else np.ones(t.shape, bool))
    pixels = logits.movedim(1, -1)[counts]  # (P, C)
    areas = torch.tensor(np.ones(t.shape) if pixel_weight is None else pixel_weight)[counts]
    weights = torch.tensor(np.ones(C) if weight is None else weight)
    loss = FORMULAS[name](pixels, torch.tensor(t)[counts], areas, weights, **options)
    dloss = numbers(rng)
    (dlogits,) = torch.autograd.grad(loss, logits, torch.tensor(dloss))
    inputs = {"logits": z, "target": t, "weight": weight, "pixel_weight": pixel_weight, "dloss": dloss}
    expected = {"loss": loss.detach().numpy(), "dlogits": dlogits.numpy()}
    cases.add(name, options | {"ignore_index": ignore}, inputs, expected)


def main():
    """Make the file. It lies in a folder of its own: test_golden.py runs the ops' files, test_losses.py this."""
    torch.set_num_threads(1)
    (FOLDER / "composed").mkdir(exist_ok=True)
    cases = Cases()
    for part, name in enumerate(FORMULAS):
        rng = np.random.default_rng((8, part))
        for _ in range(22):
            add(cases, name, rng)
    about = {"made_by": "make_losses.py", "torch": torch.__version__, "numpy": np.__version__}
    cases.write("composed/losses.npz", about)


if __name__ == "__main__":
    main()
