# %% [markdown]
# # Solutions: pooling that remembers

# %%
import numpy as np

from minisegnet import ops, testing

rng = np.random.default_rng(5)

# %% [markdown]
# ## 1. On paper
#
# Window by window: 4, 4, 4, 2 has its first 4 at place 0. 1, 0, 0, 1 has its first 1 at place 2.
# Below on the left all are 0, so the window's first place wins, 8. On the right all are 3, and the
# first place is 10.

# %%
x = np.array([[[[4.0, 4, 1, 0], [4, 2, 0, 1], [0, 0, 3, 3], [0, 0, 3, 3]]]])  # (1, 1, 4, 4)
y, indices = ops.max_pool2d(x, 2)  # (1, 1, 2, 2)
assert indices[0, 0].tolist() == [[0, 2], [8, 10]]
unpooled = ops.max_unpool2d(y, indices, (4, 4))[0, 0]  # (4, 4)
assert unpooled.tolist() == [[4, 0, 1, 0], [0, 0, 0, 0], [0, 0, 3, 0], [0, 0, 0, 0]]
print("1: the indices are", indices[0, 0].tolist())

# %% [markdown]
# ## 2. Unpool, then pool
#
# Each window then holds the value and zeros. The larger of the two comes out: the value if it is 0
# or more, and else 0. So the values come back if none is negative, as after relu (and if no two
# share a place).

# %%
_, indices = ops.max_pool2d(rng.standard_normal((2, 3, 6, 8)), 2)  # (2, 3, 3, 4)
values = rng.standard_normal(indices.shape)
back, _ = ops.max_pool2d(ops.max_unpool2d(values, indices, (6, 8)), 2)  # (2, 3, 3, 4)
assert (back == np.maximum(values, 0)).all(), "every negative value became 0"
assert (back != values).any(), "so they don't all come back"
back, _ = ops.max_pool2d(ops.max_unpool2d(abs(values), indices, (6, 8)), 2)
assert (back == abs(values)).all(), "without negative values they do"
print(f"2: {(values < 0).sum()} of {values.size} values were negative, and came back as 0")

# %% [markdown]
# ## 3. Pooling's backward in loops
#
# Walk over dy. Each adds to the pixel at its index. `+=` is the point: where windows overlap, a
# pixel can be the maximum of several.


# %%
def max_pool_backward(dy, indices, size):
    """Add each dy at the place of its maximum; dy and indices are (N, C, OH, OW)."""
    N, C, OH, OW = dy.shape
    dx = np.zeros((N, C, *size))  # (N, C, H, W)
    for n, c, i, j in np.ndindex(N, C, OH, OW):
        index = indices[n, c, i, j]
        dx[n, c, index // size[1], index % size[1]] += dy[n, c, i, j]
    return dx


x = testing.distinct_values((2, 2, 6, 7))  # without ties
for K, stride in ((2, 2), (3, 2), (3, 1)):
    y, indices = ops.max_pool2d(x, K, stride=stride)  # (2, 2, OH, OW)
    dy = rng.standard_normal(y.shape)
    dx = max_pool_backward(dy, indices, (6, 7))
    assert np.allclose(dx, ops.max_pool2d_backward(dy, indices, (6, 7)))
    testing.check_vjp(
        lambda x, K=K, stride=stride: ops.max_pool2d(x, K, stride=stride)[0],
        lambda dy, x, indices=indices: max_pool_backward(dy, indices, (6, 7)),
        x,
    )
print("3: the loops equal ops, and the numerical derivatives")

# %% [markdown]
# ## 4. Two bits
#
# The window is known from where the index stands. Left to say is the row in it (0 or 1) and the
# column in it: a number from 0 to 3. Four of them fit into a byte, each moved by 2 bits more. To
# unpack, cut them out again, and add the window's first row and column.


# %%
def pack(indices, size):
    """Write the indices of a 2 x 2 pooling into 2 bits each."""
    row, column = indices // size[1] % 2, indices % size[1] % 2
    place = (2 * row + column).astype(np.uint8).ravel()  # 0 to 3
    four = np.pad(place, (0, -len(place) % 4)).reshape(-1, 4)  # full bytes
    return four[:, 0] | four[:, 1] << 2 | four[:, 2] << 4 | four[:, 3] << 6


def unpack(packed, shape, size):
    """Return the indices again, of shape (N, C, H, W)."""
    four = np.stack([packed >> shift & 3 for shift in (0, 2, 4, 6)], axis=1)  # (bytes, 4)
    place = four.ravel()[: np.prod(shape)].reshape(shape).astype(int)
    i, j = np.indices(shape[2:])  # the window's row and column, (H, W) both
    return (2 * i + place // 2) * size[1] + 2 * j + place % 2


for size in ((8, 16), (9, 7)):
    _, indices = ops.max_pool2d(rng.standard_normal((2, 3, *size)), 2)  # (2, 3, H, W)
    packed = pack(indices, size)
    assert (unpack(packed, indices.shape, size) == indices).all(), "there and back"
    assert len(packed) == -(-indices.size // 4), "four to a byte, the last byte perhaps not full"
    print(f"4: {indices.size} indices: {indices.nbytes} bytes as int64, {packed.nbytes} packed")
    if indices.size % 4 == 0:
        assert packed.nbytes * 32 == indices.nbytes
