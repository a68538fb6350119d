"""Cars, trees and poles: all that stands on the ground and isn't a house."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.synthetic.drawing import Colour, Window, as_colour, box_distance, draw_whole, mix
from minisegnet.data.synthetic.street_view import CAR, POLE, TREE, View, lighter

PAINTS: tuple[Colour, ...] = (
    (0.80, 0.16, 0.14),
    (0.13, 0.34, 0.62),
    (0.92, 0.91, 0.88),
    (0.14, 0.15, 0.18),
    (0.93, 0.70, 0.18),
    (0.55, 0.58, 0.61),
    (0.14, 0.46, 0.42),
)
LEAVES: tuple[Colour, ...] = (
    (0.32, 0.52, 0.22),
    (0.24, 0.44, 0.24),
    (0.45, 0.58, 0.22),
    (0.36, 0.50, 0.30),
    (0.80, 0.52, 0.18),  # autumn
)
THINNEST = 1.7  # pixels across: a pole that is farther away is drawn as if it were this thick


# ---------------------------------------------------------------------------------------------------------
# Cars


class Car(NamedTuple):
    """One car; sizes in metres."""

    X: float
    z: float  # of the end that is seen
    length: float
    tall: float
    boxy: float  # 0: the cabin narrows upward, 1: a van
    paint: Colour
    oncoming: bool


def draw_car(X: float, z: float, oncoming: bool, rng: np.random.Generator) -> Car:
    """Draw the rest of a car."""
    boxy = float(rng.random() < 0.25)
    paint = PAINTS[draw_whole(rng, 0, len(PAINTS) - 1)]
    tall = rng.uniform(1.9, 2.15) if boxy else rng.uniform(1.42, 1.6)
    return Car(X, z, rng.uniform(3.9, 4.7), tall, boxy, paint, oncoming)


def paint_car(view: View, car: Car, number: int) -> None:
    """Paint outlines from the far end to the near one: stacked like slices, they make a solid."""
    view.shadow(car.X, car.z + car.length / 2, 1.25, 0.62 * car.length, 0.65)
    slices = int(np.clip(0.6 * view.camera.focal / car.z, 2, 8))
    for k in range(slices, 0, -1):
        behind = k / slices  # 1: the far end
        has_cabin = car.boxy > 0 or 0.1 < behind < 0.72
        window, Y, X, metre = _sprite(view, car.X, car.z + behind * car.length, 1.1, car.tall)
        side = 0.78 if car.X * view.sun < 0 else 0.5
        shape = np.minimum(_body(Y, X), _cabin(Y, X, car)) if has_cabin else _body(Y, X)
        glass = (Y > 0.95) & (Y < car.tall - 0.14) & (0.16 < behind < 0.66)
        colour = mix(lighter(car.paint, side), (0.13, 0.17, 0.22), glass)
        colour = mix(
            colour, lighter(car.paint, 1.08), np.clip((Y - car.tall + 0.16) / 0.08, 0, 1)
        )  # the roof
        view.canvas.paint(window, shape * metre, view.far(colour, car.z), label=CAR, number=number)
    _paint_end(view, car, number)


def _paint_end(view: View, car: Car, number: int) -> None:
    """Paint the end that faces the camera, with wheels, window, lights and number plate."""
    window, Y, X, metre = _sprite(view, car.X, car.z, 1.1, car.tall)
    canvas = view.canvas

    def detail(distance: Array, colour: Colour) -> None:
        canvas.paint(window, distance * metre, view.far(colour, car.z))

    wheels = box_distance(Y - 0.2, np.abs(X) - 0.66, 0.22, 0.13)
    canvas.paint(window, wheels * metre, view.far((0.07, 0.07, 0.08), car.z), label=CAR, number=number)
    end = np.minimum(_body(Y, X), _cabin(Y, X, car)) if car.boxy else _body(Y, X)
    light = 0.74 + 0.34 * np.clip(Y / 1.1, 0, 1)
    canvas.paint(window, end * metre, view.far(as_colour(car.paint) * light, car.z), label=CAR, number=number)
    if car.boxy:
        detail(box_distance(Y - 1.4, X, 0.27, 0.62) - 0.05, (0.16, 0.21, 0.27))
    lamp = (1.0, 0.96, 0.80) if car.oncoming else (0.95, 0.10, 0.08)
    detail(box_distance(Y - 0.68, np.abs(X) - 0.66, 0.08, 0.16) - 0.02, lamp)
    if metre < 5:
        return  # what follows would be smaller than a pixel
    detail(box_distance(Y - 0.36, X, 0.07, 0.84), (0.16, 0.16, 0.17))  # bumper
    if car.oncoming:
        detail(box_distance(Y - 0.62, X, 0.07, 0.36), (0.12, 0.12, 0.13))  # grille
    else:
        detail(box_distance(Y - 0.60, X, 0.07, 0.25), (0.94, 0.92, 0.82))  # plate


def _sprite(
    view: View, X: float, z: float, half_width: float, tall: float
) -> tuple[Window, Array, Array, float]:
    """Return the window of something upright, and metres above its foot and right of its middle."""
    camera = view.camera
    metre = camera.focal / z
    window = view.canvas.window(
        camera.row(tall, z) - 1,
        camera.column(X - half_width, z) - 1,
        camera.row(0, z) + 1,
        camera.column(X + half_width, z) + 1,
    )
    Y = camera.height - (window.y - camera.horizon) / metre  # (h, 1)
    return window, Y, (window.x - camera.middle) / metre - X, metre


def _body(Y: Array, X: Array) -> Array:
    return box_distance(Y - 0.6, X, 0.28, 0.78) - 0.11


def _cabin(Y: Array, X: Array, car: Car) -> Array:
    lean = 0.05 if car.boxy else 0.26
    half = 0.84 - lean * np.clip((Y - 0.9) / (car.tall - 0.9), 0, 1)  # narrower toward the roof
    return (
        np.maximum(np.abs(Y - (car.tall + 0.6) / 2) - (car.tall - 0.6) / 2 + 0.05, np.abs(X) - half + 0.05)
        - 0.05
    )


# ---------------------------------------------------------------------------------------------------------
# Trees


def paint_tree(view: View, X: float, z: float, number: int, rng: np.random.Generator) -> None:
    """Paint a trunk and a crown: a heap of balls with a ragged outline, lit from above and from the sun's side."""
    tall, spread = rng.uniform(5.0, 7.5), rng.uniform(1.5, 2.1)
    leaves = LEAVES[draw_whole(rng, 0, len(LEAVES) - 1)]
    turns = rng.uniform(0, 2 * math.pi, 6)
    balls = [(0.0, 0.0, 0.75)] + [
        (0.62 * math.sin(a), 0.58 * math.cos(a), float(rng.uniform(0.36, 0.52))) for a in turns
    ]
    view.shadow(X - 0.8 * view.sun, z, 1.3 * spread, 0.8 * spread, 0.5)
    window, Y, right, metre = _sprite(view, X, z, 1.4 * spread, tall + 0.6 * spread)
    crown = tall - spread
    thick = np.maximum(0.16 + 0.1 * np.clip(1 - Y / 1.2, 0, 1), 0.9 / metre)
    trunk = np.maximum(np.abs(right) - thick, np.maximum(Y - crown, -Y))
    bark = mix((0.30, 0.22, 0.17), (0.46, 0.36, 0.28), np.clip(0.5 + 2.5 * right * view.sun, 0, 1))
    view.canvas.paint(window, trunk * metre, view.far(bark, z), label=TREE, number=number)
    up, right = (Y - crown) / spread, right / spread
    clumps, fine = view.grain[0][window.place], view.grain[1][window.place]
    distance = np.full(np.broadcast_shapes(up.shape, right.shape), 9.0, np.float32)
    shine = np.zeros_like(distance)
    for cy, cx, r in balls if spread * metre > 5 else balls[:4]:  # far away nobody counts them
        d = np.hypot(up - cy, right - cx) - r
        lit = np.clip(0.55 + (0.6 * (up - cy) + 0.35 * view.sun * (right - cx)) / r, 0, 1.2)
        shine = np.where(d < distance, lit, shine)
        distance = np.minimum(distance, d)
    light = 0.42 + 0.34 * shine + 0.26 * np.clip(0.5 + 0.5 * up + 0.25 * view.sun * right, 0, 1.2)
    colour = as_colour(leaves) * (light + 0.10 * clumps + 0.06 * fine)
    distance = (distance + 0.07 * clumps) * (spread * metre)
    view.canvas.paint(window, distance, view.far(colour, z), label=TREE, number=number)


# ---------------------------------------------------------------------------------------------------------
# Poles


def paint_pole(view: View, X: float, z: float, number: int, rng: np.random.Generator) -> None:
    """Paint a street lamp, a traffic light or a road sign."""
    view.shadow(X, z, 0.5, 0.4, 0.45)
    kind = draw_whole(rng, 0, 3)
    painters: dict[int, Callable[..., None]] = {2: _paint_signal, 3: _paint_sign}
    painters.get(kind, _paint_lamp)(view, X, z, number, rng)


def _post(
    view: View, X: float, z: float, tall: float, number: int, arm: float = 0.0
) -> tuple[Window, Array, Array, float]:
    """Paint the post, with an arm toward the street if it has one."""
    window, Y, right, metre = _sprite(view, X, z, abs(arm) + 0.9, tall + 0.4)
    half = max(0.1, THINNEST / 2 / metre)
    shape = np.maximum(np.abs(right) - half, np.maximum(Y - tall, -Y))
    if arm:
        bar = box_distance(Y - tall + half / 2, right - arm / 2, max(0.06, 0.5 / metre), abs(arm) / 2)
        shape = np.minimum(shape, bar)
    metal = mix((0.20, 0.23, 0.25), (0.50, 0.53, 0.55), np.clip(0.5 + 0.5 * view.sun * right / half, 0, 1))
    view.canvas.paint(window, shape * metre, view.far(metal, z), label=POLE, number=number)
    return window, Y, right, metre


def _paint_lamp(view: View, X: float, z: float, number: int, rng: np.random.Generator) -> None:
    tall, arm = rng.uniform(5.5, 7.0), -math.copysign(rng.uniform(1.2, 1.8), X)
    window, Y, right, metre = _post(view, X, z, tall, number, arm)
    head = box_distance(Y - tall + 0.05, right - arm, 0.14, 0.42) - 0.05
    view.canvas.paint(window, head * metre, view.far((0.24, 0.26, 0.28), z), label=POLE, number=number)
    glow = box_distance(Y - tall + 0.2, right - arm, 0.04, 0.32)
    view.canvas.paint(window, glow * metre, view.far((1.0, 0.95, 0.75), z))


def _paint_signal(view: View, X: float, z: float, number: int, rng: np.random.Generator) -> None:
    tall, on = rng.uniform(3.4, 4.0), draw_whole(rng, 0, 2)
    window, Y, right, metre = _post(view, X, z, tall, number)
    box = box_distance(Y - tall + 0.1, right, 0.6, 0.24) - 0.05
    view.canvas.paint(window, box * metre, view.far((0.10, 0.11, 0.12), z), label=POLE, number=number)
    for k, colour in enumerate(((0.95, 0.20, 0.15), (0.98, 0.75, 0.15), (0.20, 0.85, 0.45))):
        lamp = np.hypot(Y - tall - 0.3 + 0.4 * k, right) - 0.16
        view.canvas.paint(window, lamp * metre, view.far(lighter(colour, 1.0 if k == on else 0.3), z))


def _paint_sign(view: View, X: float, z: float, number: int, rng: np.random.Generator) -> None:
    tall, kind = rng.uniform(2.8, 3.3), draw_whole(rng, 0, 2)
    window, Y, right, metre = _post(view, X, z, tall, number)
    up = Y - tall + 0.1
    if kind == 0:  # a disc
        board = np.hypot(up, right) - 0.5
    elif kind == 1:  # a square
        board = box_distance(up, right, 0.42, 0.42) - 0.04
    else:  # a triangle: warning
        board = np.maximum(-up - 0.35, 0.87 * np.abs(right) + 0.5 * up - 0.33) - 0.04
    rim, face = ((0.80, 0.13, 0.13), (0.12, 0.32, 0.66), (0.80, 0.13, 0.13))[kind], (0.95, 0.94, 0.91)
    view.canvas.paint(window, board * metre, view.far(rim, z), label=POLE, number=number)
    view.canvas.paint(window, (board + 0.13) * metre, view.far(face, z))
