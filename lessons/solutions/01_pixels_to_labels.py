# %% [markdown]
# # Solutions: pixels to labels

# %%
import numpy as np

from minisegnet import data, viz

streets = data.Synthetic("streets", size=(96, 128))
image, semantic, instances, _ = streets[1]  # (H, W, 3), (H, W), (H, W)

# %% [markdown]
# ## 1. Back from colours
#
# Compare the picture with each class's colour. A pixel that equals none is an error: a guess would
# hide that somebody saved the labels as JPEG, which changes colours a little.


# %%
def labels_of(picture, palette):
    """Return the label of each pixel's colour."""
    labels = np.full(picture.shape[:2], -1)  # (H, W)
    for label, colour in enumerate(palette):
        labels[(picture == colour).all(axis=2)] = label
    if (labels < 0).any():
        i, j = np.argwhere(labels < 0)[0]
        raise ValueError(f"pixel ({i}, {j}): no class has colour {picture[i, j].tolist()}")
    return labels


by_class = viz.colourise(semantic, streets.palette)  # (H, W, 3)
assert (labels_of(by_class, streets.palette) == semantic).all(), "there and back"

spoilt = by_class.copy()
spoilt[3, 4, 0] ^= 1  # one colour value, changed by 1
try:
    labels_of(spoilt, streets.palette)
except ValueError as error:
    print("1. as it should be:", error)
else:
    raise AssertionError("an unknown colour must raise")

# %% [markdown]
# ## 2. Straight lines
#
# -|x - m|² = -|x|² + 2 m·x - |m|². The first part is the same for all classes, so it never decides
# which is the largest. What is left is w·x + b with w = 2 m and b = -|m|². It needs one
# multiplication for each channel and class, and no square of a pixel.

# %%
colour = image / 255  # (H, W, 3)
means = np.array([colour[semantic == c].mean(axis=0) for c in range(7)])  # (C, 3)
predicted = (-((colour - means[:, None, None, :]) ** 2).sum(axis=3)).argmax(axis=0)  # (H, W)

w, b = 2 * means, -(means**2).sum(axis=1)  # (C, 3), (C,)
lines = colour @ w.T + b  # (H, W, C)
assert (lines.argmax(axis=2) == predicted).all(), "the same labels"
print("2. weights and biases give the same label at every pixel")

# %% [markdown]
# ## 3. Count blobs
#
# Keep a list of pixels whose neighbours are still to be looked at. Each pixel is crossed out when
# it enters the list, so none enters twice.


# %%
def count_blobs(mask):
    """Count the connected regions of a mask (H, W) of bool; neighbours share an edge."""
    left, blobs = mask.copy(), 0
    H, W = mask.shape
    for start in zip(*np.nonzero(mask), strict=True):
        if not left[start]:
            continue  # it belongs to a blob that was counted
        blobs += 1
        left[start] = False
        waiting = [start]
        while waiting:
            i, j = waiting.pop()
            for row, column in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
                if 0 <= row < H and 0 <= column < W and left[row, column]:
                    left[row, column] = False
                    waiting.append((row, column))
    return blobs


meadow = np.array([[1, 1, 1, 1, 1, 1], [0, 2, 2, 2, 2, 0], [0, 0, 0, 0, 0, 0]])
assert count_blobs(meadow == 2) == 1, "two cows, one blob"
assert count_blobs(np.eye(3, dtype=bool)) == 3, "pixels that share a corner only aren't neighbours"

for name, blobs_expected, objects_expected in (("car", 2, 4), ("pole", 6, 5)):
    mask = semantic == streets.class_names.index(name)
    blobs, objects = count_blobs(mask), len(np.unique(instances[mask]))
    print(f"3. {name}: {objects} objects, {blobs} blobs")
    assert (blobs, objects) == (blobs_expected, objects_expected)

# %% [markdown]
# Cars that touch run together: fewer blobs than cars. The lamp at the right leaves the picture at
# the top, and its arm comes back: two blobs, one pole. (A pole behind a car falls apart, too.) So
# blobs don't count objects, neither way.

# %%
poles = np.unique(instances[semantic == streets.class_names.index("pole")])
pieces = [count_blobs(instances == pole) for pole in poles]
print("3. pieces of each pole:", pieces)
assert max(pieces) == 2
