# %% [markdown]
# # Solutions: from scores to a loss

# %%
import numpy as np

from minisegnet import losses, ops, testing

rng = np.random.default_rng(8)

# %% [markdown]
# ## 1. Scores log 2, 0, 0, true class 0
#
# exp gives 2, 1, 1, their sum is 4: probabilities 1/2, 1/4, 1/4. The loss is -log 1/2 = 0.693. The
# gradient is p minus 1 at the true class: -1/2, 1/4, 1/4. It adds up to 0, as it always does:
# adding a number to all scores changes no probability, so along that direction the loss is flat.

# %%
z, labels = np.array([[np.log(2), 0.0, 0.0]]), np.array([0])  # (N, C), (N,)
loss, probs = ops.softmax_cross_entropy(z, labels)
dz = ops.softmax_cross_entropy_backward(1.0, probs, labels)
assert np.allclose(probs, [[1 / 2, 1 / 4, 1 / 4]])
assert np.isclose(loss, np.log(2))
assert np.allclose(dz, [[-1 / 2, 1 / 4, 1 / 4]])

# %% [markdown]
# ## 2. log_softmax in float32
#
# log(exp(z[c]) / sum) is z[c] - log(sum). Subtract the largest score first, and every exp is at
# most 1; one of them is 1, so the sum is at least 1 and its logarithm is finite.
#
# The logarithm of softmax isn't: float32 has nothing between 0 and about 1e-45, so exp(-1e4) is 0,
# and log 0 is minus infinity. The answer, -1e4, is an ordinary number; the way over p loses it.
# This is why losses take scores and not probabilities.


# %%
def log_softmax(z):
    """Logarithms of the probabilities of scores z (N, C)."""
    shifted = z - z.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


z = rng.standard_normal((5, 4)).astype(np.float32)
assert np.allclose(log_softmax(z), ops.log_softmax(z), atol=1e-6)
assert log_softmax(z).dtype == np.float32
large = np.array([[1e4, 0.0, -1e4]], np.float32)
assert np.isfinite(log_softmax(large)).all()
assert np.allclose(log_softmax(large), ops.log_softmax(large))
with np.errstate(divide="ignore"):
    over_p = np.log(ops.softmax(large))
assert np.isneginf(over_p[0, 1]), "the logarithm of a probability that became 0"
print("log softmax of 1e4, 0, -1e4:", log_softmax(large)[0], "and by way of p:", over_p[0])

# %% [markdown]
# ## 3. Who makes the loss
#
# Cross-entropy: 9,900 times -log 0.99 is 99.5, 100 times -log 0.3 is 120.4. Nearly half of the
# loss comes from pixels that are right and sure. The focal loss multiplies the first by 0.01² and
# the second by 0.7²: 0.01 and 59. The easy ones are gone.

# %%
p = np.repeat([0.99, 0.3], [9900, 100])
z = np.stack([np.log(p / (1 - p)), 0 * p], axis=1)  # (10000, 2): class 0 has probability p
labels = np.zeros(10000, int)
part = {}
for name, each in (
    ("cross-entropy", ops.softmax_cross_entropy(z, labels, reduction="none")[0]),
    ("focal loss", losses.focal_loss(z, labels, reduction="none")[0]),
):
    part[name] = each[:9900].sum() / each.sum()
    print(f"{name}: {part[name]:.2%} of it is due to the easy pixels")
assert 0.4 < part["cross-entropy"] < 0.5
assert part["focal loss"] < 0.001

# %% [markdown]
# ## 4. The gradient of the focal loss
#
# Let p be the probability of the true class, l = -log p; onehot[c] is 1 for the true class, else
# 0. With g for gamma, the loss is (1 - p)^g l. In steps:
#
# - dp/dz[c] = p (1 - p) for the true class and -p p[c] for another: p (onehot[c] - p[c]).
# - dl/dz[c] = -1/p times that, which is p[c] - onehot[c], the gradient of cross-entropy.
# - Product rule: (1 - p)^g (p[c] - onehot[c]) - g (1 - p)^(g - 1) l p (onehot[c] - p[c]).
# - Both terms hold p[c] - onehot[c]; what is left is one number for each pixel: (1 - p)^g + g (1 -
#   p)^(g - 1) p l.


# %%
def focal(z, labels, gamma):
    """Sum of the focal losses of scores z (N, C)."""
    log_p = ops.log_softmax(z)[np.arange(len(z)), labels]  # (N,)
    return ((1 - np.exp(log_p)) ** gamma * -log_p).sum()


def focal_backward(dloss, z, labels, gamma):
    """Gradient with respect to z."""
    probs = ops.softmax(z)  # (N, C)
    onehot = np.eye(z.shape[1])[labels]  # (N, C)
    p = probs[np.arange(len(z)), labels]  # (N,)
    factor = (1 - p) ** gamma
    if gamma > 0:
        factor = factor - gamma * (1 - p) ** (gamma - 1) * p * np.log(p)
    return dloss * factor[:, None] * (probs - onehot)  # (N, C)


z, labels = rng.standard_normal((6, 4)), rng.integers(0, 4, 6)
for gamma in (0, 1, 2):
    ours = losses.focal_loss(z, labels, gamma=gamma, reduction="sum")[0]
    assert np.isclose(focal(z, labels, gamma), ours)
    testing.check_vjp(
        lambda z, g=gamma: np.asarray(focal(z, labels, g)),
        lambda dy, z, g=gamma: focal_backward(dy, z, labels, g),
        z,
    )
print("the gradient of the focal loss passes check_vjp for gamma 0, 1 and 2")
