"""The camera of a street, its light and its air: what every object there is painted with."""

from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.synthetic.drawing import Canvas, Colour, mix

SKY, ROAD, PAVEMENT, BUILDING, CAR, TREE, POLE = range(7)
CLEAR = 130.0  # metres through which two thirds of a colour turn into haze


class Camera(NamedTuple):
    """A pinhole camera that looks straight along the street.

    What lies X metres to the right, Y above the ground and z ahead is seen at

        x = middle + focal X / z,    y = horizon + focal (height - Y) / z

    in pixels. So the farther, the smaller, and all parallels meet at (horizon, middle).

    >>> camera = Camera(middle=64.0, horizon=40.0, focal=100.0, height=2.0)
    >>> camera.column(3.0, 10.0), camera.row(0.0, 10.0), camera.row(0.0, 20.0)
    (94.0, 60.0, 50.0)
    """

    middle: float
    horizon: float
    focal: float
    height: float

    def column(self, X: float, z: float) -> float:
        """Return the x of a place, in pixels."""
        return self.middle + self.focal * X / z

    def row(self, Y: float, z: float) -> float:
        """Return the y of a place, in pixels."""
        return self.horizon + self.focal * (self.height - Y) / z


class View(NamedTuple):
    """What is painted on, through which camera, in which light."""

    canvas: Canvas
    camera: Camera
    haze: Colour
    sun: int  # where the light comes from: -1 left, 1 right
    grain: Array  # (2, H, W), rough noise for leaves, plaster and tar

    def far(self, colour: Colour | Array, z: Array | float) -> Array:
        """Mix in the air that lies between."""
        return mix(colour, self.haze, 1 - np.exp(-np.asarray(z, np.float32) / CLEAR))

    def shadow(self, X: float, z: float, half_width: float, half_depth: float, strength: float) -> None:
        """Darken a soft ellipse on the ground."""
        camera = self.camera
        if z - half_depth < 1:
            return
        window = self.canvas.window(
            camera.row(0, z + half_depth),
            camera.column(X - half_width, z - half_depth),
            camera.row(0, z - half_depth),
            camera.column(X + half_width, z - half_depth),
        )
        depth = camera.focal * camera.height / np.maximum(window.y - camera.horizon, 0.5)
        across = (window.x - camera.middle) * depth / camera.focal - X
        away = ((depth - z) / half_depth) ** 2 + (across / half_width) ** 2  # 1 on the ellipse
        self.canvas.shade(window, strength * np.clip(1.3 * (1 - away), 0, 1))


def stripe(value: Array, half_width: float, pixel: Array) -> Array:
    """How much of each pixel a stripe around 0 covers, where a pixel is ``pixel`` wide: thin stripes fade."""
    covered: Array = np.clip((half_width - np.abs(value)) / pixel + 0.5, 0, 1)
    return covered * np.minimum(1, 2 * half_width / pixel)


def repeat(value: Array, period: float) -> Array:
    """Fold a coordinate into one period around 0."""
    folded: Array = value - period * np.rint(value / period)
    return folded


def lighter(colour: Colour, by: float) -> Colour:
    """Multiply all of a colour."""
    r, g, b = colour
    return (r * by, g * by, b * by)
