# %% [markdown]
# # Pixels to labels
#
# A program looks at a photo and says "cow". What does an answer look like that also says
# *which pixels* are cow? And what if there are two cows, side by side?
#
# **Segmentation** (분할) gives an answer for every pixel. A **class** (클래스) is a kind, such
# as cow or sky. A **label** (레이블) is the class's number. There are three tasks:
#
# - **semantic** segmentation (의미론적 분할): of which class is this pixel?
# - **instance** segmentation (개체 분할): of which object (instance, 인스턴스) is it a part?
# - **panoptic** segmentation (파놉틱 분할): both, for all pixels. What can be counted (cow, car) is
#   a *thing* and has instances. The rest (sky, road) is *stuff* and has none.

# %%
import numpy as np
from matplotlib.figure import Figure

from minisegnet import data, ops, viz

lesson = viz.Lesson("01_pixels_to_labels")  # lesson.show saves its pictures in lessons/output/

# %% [markdown]
# ## By hand: two cows in 18 pixels
#
# A **label map** is an array of the picture's size (H, W): H rows, W columns, and in each place a
# label. Here 0 is grass, 1 is sky, 2 is cow. Two cows of two pixels stand side by side.
#
# The panoptic map puts both answers into one number. Division by 1000 gives them back: the whole
# part is the class, the remainder the object. From the semantic map there is no way back. In
# `other_scene` cow 1 has three pixels and cow 2 has one, and the semantic map is the same.

# %%
semantic = np.array([[1, 1, 1, 1, 1, 1], [0, 2, 2, 2, 2, 0], [0, 0, 0, 0, 0, 0]])  # (H, W)
instances = np.array([[0, 0, 0, 0, 0, 0], [0, 1, 1, 2, 2, 0], [0, 0, 0, 0, 0, 0]])  # 0: no object
panoptic = 1000 * semantic + instances
assert panoptic[1].tolist() == [0, 2001, 2001, 2002, 2002, 0], "cow 1 and cow 2"
assert (panoptic // 1000 == semantic).all() and (panoptic % 1000 == instances).all()

other_scene = panoptic.copy()
other_scene[1, 3] = 2001
assert (other_scene // 1000 == semantic).all(), "with the same semantic map"

# %% [markdown]
# ## One pixel: scores, and the largest wins
#
# A neural network (신경망) is a function from pictures to numbers. For each pixel it gives one
# number for each class, a **score** (점수): the larger, the more this class. The label is the
# **argmax**: the position, counted from 0, of the largest score.
#
# One of our sources (Korean lecture notes, named at the end) has the example below for pixel
# (1, 1), and calls the numbers probabilities (확률 값). Those add up to 1; these add up to 1.67.
# They are scores, and may be any numbers, also negative ones. **Softmax** (소프트맥스) makes
# probabilities of them: e to the power of each, divided by the sum of all these powers.
#
# | | dog | cat | tree | computer | tiger | sum |
# |---|---|---|---|---|---|---|
# | score s | 0.45 | 0.94 | 0.02 | 0.05 | 0.21 | 1.67 |
# | e to the power s | 1.568 | 2.560 | 1.020 | 1.051 | 1.234 | 7.433 |
# | divided by 7.433 | 0.211 | 0.344 | 0.137 | 0.141 | 0.166 | 1 |
#
# The order stays: e to a larger power is larger, and all are divided by the same number. So for
# the label we don't need softmax. (Training, fitting a network to examples, does: lesson 8.)

# %%
names = ["dog", "cat", "tree", "computer", "tiger"]
pixel = np.array([0.45, 0.94, 0.02, 0.05, 0.21])  # (C,): C classes
print(f"the label is {names[pixel.argmax()]}; the scores add up to {pixel.sum():.2f}")
assert names[pixel.argmax()] == "cat", "position 1"
assert np.isclose(pixel.sum(), 1.67), "probabilities would add up to 1"
probabilities = np.exp(pixel) / np.exp(pixel).sum()
assert np.allclose(probabilities, [0.211, 0.344, 0.137, 0.141, 0.166], atol=0.0005)
assert probabilities.argmax() == pixel.argmax(), "the label is the same"

# %% [markdown]
# ## All pixels: plain loops
#
# A network for C classes puts out C **score maps** (the source says 특성 맵, heatmap): an array
# (C, H, W). `label_map` makes labels of it. `one_hot` (원-핫) goes the other way: it makes C
# maps of a label map, with a 1 in the map of the pixel's class and 0 in all others.


# %%
def label_map(scores):
    """Return the class with the largest score for each pixel; of equal ones the first."""
    C, H, W = scores.shape
    labels = np.zeros((H, W), int)  # (H, W)
    for i, j in np.ndindex(H, W):  # row i, column j
        for c in range(1, C):
            if scores[c, i, j] > scores[labels[i, j], i, j]:
                labels[i, j] = c
    return labels


def one_hot(labels, C):
    """Return C maps: map c is 1 where the label is c."""
    H, W = labels.shape
    maps = np.zeros((C, H, W))  # (C, H, W)
    for i, j in np.ndindex(H, W):
        maps[labels[i, j], i, j] = 1
    return maps


assert one_hot(semantic, 3)[2].tolist() == [[0] * 6, [0, 1, 1, 1, 1, 0], [0] * 6], "the cows' map"
assert (label_map(one_hot(semantic, 3)) == semantic).all(), "there and back"

# %% [markdown]
# ## The same, fast
#
# NumPy has these loops built in. `ops.softmax` is this library's own. Like all its functions for
# maps it takes a *batch* (배치), N pictures at once: (N, C, H, W). `[None]` makes a batch of one.

# %%
rng = np.random.default_rng(0)
scores = rng.standard_normal((5, 6, 7))  # (C, H, W)
labels = scores.argmax(axis=0)  # (H, W)
assert (labels == label_map(scores)).all(), "fast and slow label maps agree"
assert ((labels == np.arange(5)[:, None, None]) == one_hot(labels, 5)).all(), "one-hot, too"
y = ops.softmax(scores[None], axis=1)  # (N, C, H, W), N = 1
assert np.allclose(y[0], np.exp(scores) / np.exp(scores).sum(axis=0)), "softmax, pixel by pixel"

# %% [markdown]
# ## One picture, three answers
#
# A street drawn by the library, so that we know the truth. `image` is (H, W, 3): red, green and
# blue, 0 to 255. A label map shown as it is looks black: it holds 0 (sky) to 6 (pole), and white
# would be 255. A **palette** (팔레트) gives each class a colour. Objects get colours that differ.

# %%
streets = data.Synthetic("streets", size=(96, 128))
image, semantic, instances, _ = streets[1]  # (H, W, 3), (H, W), (H, W)
CAR = streets.class_names.index("car")
panoptic = 1000 * semantic.astype(int) + instances  # astype: uint8 ends at 255
segments = np.unique(panoptic)  # the regions that the picture is made of, each once
cars = segments[segments // 1000 == CAR]
print(f"{len(np.unique(semantic))} classes, {len(segments)} segments, {len(cars)} of them cars")


def draw(panels, rows, columns):
    """Draw pictures with titles; scores from -0.5 (dark) to 0 (bright)."""
    figure = Figure(figsize=(8.4, 6.9), dpi=110, layout="constrained")
    all_axes = list(figure.subplots(rows, columns).flat)
    for axes, (title, picture) in zip(all_axes, panels.items(), strict=True):
        axes.imshow(picture, cmap="cividis", vmin=-0.5, vmax=0, interpolation="nearest")
        axes.set_title(title, fontsize=9)
        axes.axis("off")
    for name, colour in zip(streets.class_names, np.array(streets.palette) / 255, strict=True):
        all_axes[0].scatter([], [], color=colour, marker="s", label=name)
    figure.legend(loc="outside lower center", ncols=7, frameon=False, fontsize=8)
    return figure, all_axes


different = np.array(viz.default_palette(instances.max() + 1))  # (objects + 1, 3)
by_object = np.where(instances[:, :, None] > 0, different[instances], 225)  # (H, W, 3)
by_class = viz.colourise(semantic, streets.palette)  # (H, W, 3)
shade = np.where(instances > 0, 0.55 + 0.15 * (instances % 4), 1)  # darker and lighter objects
panels = {
    "image": image,
    "semantic: a class for every pixel; the cars run together": by_class,
    "instance: a number for every object; grey is none": by_object,
    "panoptic: class (colour) and object (shade)": (by_class * shade[:, :, None]).astype(np.uint8),
}
figure, axes = draw(panels, 2, 2)
style = {"fontsize": 8, "ha": "center", "va": "center", "bbox": {"fc": "white", "pad": 1, "lw": 0}}
for number, car in enumerate(cars, start=1):
    row, column = np.argwhere(panoptic == car).mean(axis=0)
    axes[2].text(column, row, number, **style)
    axes[3].text(column, row, number, **style)
lesson.show(figure, "three_answers")

# %% [markdown]
# ## Score maps of a real, bad method
#
# This method learns nothing. A class's score is minus the squared distance from the pixel's colour
# to the class's mean colour (the three differences, squared and added): the nearest mean wins. The
# means are taken from the truth. That is cheating, and bad all the same. Bright is a high score.

# %%
colour = image / 255  # (H, W, 3), 0 to 1
means = np.array([colour[semantic == c].mean(axis=0) for c in range(7)])  # (C, 3)
scores = -((colour - means[:, None, None, :]) ** 2).sum(axis=3)  # (C, H, W)
predicted = scores.argmax(axis=0)  # (H, W)
right = (predicted == semantic).mean()
print(f"by colour alone, {100 * right:.0f} % of the pixels get the right label")
assert 0.3 < right < 0.7, "better than a guess among 7, and far from good"
panels = {f"score of {streets.class_names[c]}": scores[c] for c in range(7)}
panels |= {"the class with the largest score": viz.colourise(predicted, streets.palette)}
panels |= {"the truth": by_class}
lesson.show(draw(panels, 3, 3)[0], "score_maps")

# %% [markdown]
# The red van is found, because most car pixels here are the van's. The white car isn't. A pixel's
# colour doesn't say what it is part of. One has to look at its neighbours: lesson 2.
#
# ## The claim
#
# *A panoptic map contains the semantic map. A semantic map doesn't say how many objects there are:
# where two of a class touch, nothing in it marks the line between them.*

# %%
assert (panoptic // 1000 == semantic).all(), "the panoptic map contains the semantic map"
left, right = panoptic[:, :-1], panoptic[:, 1:]  # a pixel, and the one to its right
touching = (left // 1000 == CAR) & (right // 1000 == CAR) & (left != right)
print(f"in {touching.sum()} places a car touches another car on its right")
assert touching.any(), "this street has cars that touch"
assert (semantic[:, :-1] == semantic[:, 1:])[touching].all(), "the semantic map sees no line there"

# %% [markdown]
# ## What people get wrong
#
# **Labels are names, not amounts.** Class 3 isn't three times class 1. Enlarge a label map as one
# enlarges photos, by mixing neighbours, and classes appear that weren't there. Labels are
# enlarged by copying the nearest pixel.
#
# **`reshape` isn't `transpose`.** `np.eye(C)[labels]` (row c of `np.eye` has its 1 at c) is one-hot
# with the classes last: (H, W, C). Reshaping it to (C, H, W) raises no error, and is wrong.

# %%
two = np.array([[1.0, 5.0]])[None, None]  # (N, C, H, W): a road pixel beside a tree pixel
mixed = ops.resize_bilinear(two, (1, 4))[0, 0, 0]  # (OW,)
copied = ops.resize_nearest(two, (1, 4))[0, 0, 0]  # (OW,)
print("road beside tree, mixed:", mixed.tolist(), " copied:", copied.tolist())
assert mixed.tolist() == [1, 2, 4, 5], "2 is pavement and 4 is car: neither was there"
assert copied.tolist() == [1, 1, 5, 5], "only what was there"
last = np.eye(7)[semantic]  # (H, W, C)
assert (last.transpose(2, 0, 1).sum(axis=0) == 1).all(), "(C, H, W): each pixel has one class"
share = (last.reshape(7, 96, 128).sum(axis=0) != 1).mean()
print(f"after reshape, {100 * share:.0f} % of the pixels have no class, or several")
assert share > 0.5, "wrong, and no error was raised"

# %% [markdown]
# ## Exercises
#
# 1. **Back from colours.** Write `labels_of(picture, palette)`, the way back from `by_class` to
#    `semantic`. Right if that comes out, and an unknown colour is an error.
# 2. **Straight lines.** For pixel x and mean m multiply out -(x - m)·(x - m), drop what all classes
#    share. w·x + b is left, a 1x1 convolution (lesson 2). Right if w, b give `predicted` again.
# 3. **Count blobs.** Start at a pixel of a class and walk to neighbours of that class (up, down,
#    left, right) until none is left: a blob. Right if the meadow by hand has one blob of cow. The
#    street has 4 cars and 5 poles. How many blobs of each? Why fewer here and more there?
#
# ## Where it comes from
#
# - J. Long, E. Shelhamer, T. Darrell, "Fully convolutional networks for semantic segmentation"
#   (2015), section 4.1: a score map for each class. A. Kirillov et al., "Panoptic segmentation"
#   (2019), section 3: things, stuff, and a class and an object for each pixel.
# - Dog and cat: "2021 인공지능 소수전공, 71차시: Segmentation". It says probability, we say score.
# - The three tasks: "[Computer Vision] 06. Segmentation". Four cows that become one:
#   "Segmentation". It says that semantic segmentation is older than deep learning (large
#   networks). The task is; the networks that it describes aren't.
