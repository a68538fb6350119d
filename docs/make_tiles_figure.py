"""Draw docs/images/tiles.png: the weights of tiles, and what is left of their seams.

Run it as ``python docs/make_tiles_figure.py``. It trains a small U-Net for a minute or two, then predicts one large
picture at once, in tiles that only meet, and in tiles that are blended. ``python docs/make_tiles_figure.py RUN`` takes
a run on synthetic streets that is there already.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from minisegnet import viz
from minisegnet.arrays import Array
from minisegnet.blending import Axis
from minisegnet.data import Synthetic
from minisegnet.predictor import Predictor, load
from minisegnet.training import Display, Settings, start

SIDE, TILE = 640, 128
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#888888"


def trained(runs: str) -> Path:
    """Train on synthetic streets of 96 x 96 pixels."""
    settings = Settings(data="streets", size=(96, 96), count=128, model="unet", width=8, depth=4, steps=200)
    return start(settings, Display(), out=runs).run


def meeting(predictor: Predictor, image: Array) -> Array:
    """Predict tiles that only meet, each as if it were a picture of its own."""
    rows = [
        np.concatenate(
            [predictor.scores(image[top : top + TILE, left : left + TILE]) for left in range(0, SIDE, TILE)],
            axis=2,
        )
        for top in range(0, SIDE, TILE)
    ]
    return np.concatenate(rows, axis=1)


def draw_weights(figure: Figure, place: int, axis: Axis, title: str) -> None:
    """Draw the weights of all tiles along one axis."""
    axes = figure.add_subplot(2, 3, place)
    for number in range(axis.number_of_tiles):
        first, last = axis.used(number)
        start = axis.start(number)
        colour = (BLUE, ORANGE, GREEN)[number % 3]
        axes.plot(np.arange(first, last) + 0.5, axis.weights(number), color=colour, drawstyle="steps-mid")
        axes.plot([start, start + axis.tile], [-0.08 - 0.06 * (number % 3)] * 2, color=colour, linewidth=3)
    axes.set(xlim=(0, axis.length), ylim=(-0.28, 1.08), yticks=(0, 0.5, 1), xlabel="column of the picture")
    axes.set_title(title, fontsize=9)


def main(words: list[str]) -> None:
    """Train, predict, draw."""
    with tempfile.TemporaryDirectory() as folder:
        predictor = load(words[0] if words else trained(folder))
    image = Synthetic("streets", count=1, size=(SIDE, SIDE), seed=11)[0].image
    whole = predictor.scores(image)
    found = {
        f"tiles of {TILE} that only meet": meeting(predictor, image),
        f"tiles of {TILE}, blended": predictor.scores(image, tile=TILE),
    }
    figure = Figure(figsize=(9.6, 6.2), layout="constrained", dpi=110)
    draw_weights(figure, 1, Axis(512, 128, 64, 0), "blended: weights of tiles of 128, overlap 64")
    draw_weights(figure, 2, Axis(1120, 448, 224, 112), "a margin of 112 thrown away: tiles of 448")
    axes = figure.add_subplot(2, 3, 3)
    axes.imshow(viz.overlay(image, whole.argmax(axis=0), predictor.palette))
    axes.set(xticks=range(0, SIDE + 1, TILE), yticks=range(0, SIDE + 1, TILE))
    axes.tick_params(labelsize=6)
    axes.set_title("the picture, predicted at once", fontsize=9)
    for place, (title, scores) in enumerate(found.items(), 4):
        error, changed = abs(scores - whole).max(axis=0), scores.argmax(axis=0) != whole.argmax(axis=0)
        axes = figure.add_subplot(2, 3, place)
        drawn = axes.imshow(error, cmap="gray_r", vmin=0, vmax=3)
        axes.set(xticks=range(0, SIDE + 1, TILE), yticks=range(0, SIDE + 1, TILE))
        axes.tick_params(labelsize=6)
        axes.set_title(f"{title}\n{100 * changed.mean():.2f} % of the labels change", fontsize=9)
        print(title, f"{100 * changed.mean():.2f} %, mean error {error.mean():.3f}")
    figure.colorbar(drawn, ax=axes, shrink=0.8, label="error of a score")
    axes = figure.add_subplot(2, 3, 6)
    for (title, scores), colour in zip(found.items(), (ORANGE, BLUE), strict=True):
        jumps = abs(np.diff(scores - whole, axis=2)).max(axis=0).mean(axis=0)
        axes.plot(np.arange(1, SIDE), jumps, color=colour, linewidth=1, label=title)
    axes.set(xticks=range(0, SIDE + 1, TILE), xlabel="column of the picture", xlim=(0, SIDE))
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7)
    axes.set_title("jump of the error to the next column", fontsize=9)
    viz.save(figure, Path(__file__).parent / "images" / "tiles.png")


if __name__ == "__main__":
    main(sys.argv[1:])
