"""Houses: boxes beside the street, with a wall along it, a wall toward the camera, and windows in both."""

from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.synthetic.drawing import Colour, as_colour, mix
from minisegnet.data.synthetic.street_view import BUILDING, View, repeat

WALLS: tuple[Colour, ...] = (
    (0.80, 0.47, 0.36),  # brick
    (0.90, 0.78, 0.58),  # sandstone
    (0.87, 0.84, 0.78),  # lime plaster
    (0.66, 0.70, 0.74),  # concrete
    (0.88, 0.66, 0.48),  # apricot
    (0.62, 0.72, 0.68),  # sage
    (0.76, 0.58, 0.60),  # old rose
    (0.55, 0.62, 0.74),  # slate blue
)
AWNINGS: tuple[Colour, ...] = ((0.72, 0.24, 0.22), (0.20, 0.45, 0.40), (0.25, 0.38, 0.60), (0.85, 0.62, 0.25))
NEAREST = 2.0  # metres: what is nearer to the camera's plane isn't painted


class House(NamedTuple):
    """One house; sizes in metres."""

    side: int  # -1: left of the street, 1: right
    line: float  # how far the wall stands from the middle of the street
    start: float  # the depth at which the wall along the street begins,
    end: float  # and ends
    height: float
    wide: float  # away from the street
    colour: Colour
    storey: float
    bay: float  # from one window to the next
    window: tuple[float, float]  # width and height of windows, as shares of bay and storey
    shop: bool  # shop windows and an awning on the ground floor
    awning: Colour
    lit: Array  # (8, 8) brightness of window panes
    hidden: (
        bool  # whether a house as high stands right before it, so that only the wall along the street shows
    )


def draw_house(
    side: int,
    line: float,
    start: float,
    end: float,
    height: float,
    before: House | None,
    rng: np.random.Generator,
) -> House:
    """Draw the rest of a house; ``before`` is the one nearer to the camera."""
    base, awning = WALLS[int(rng.integers(len(WALLS)))], AWNINGS[int(rng.integers(len(AWNINGS)))]
    r, g, b = (c + rng.uniform(-0.05, 0.05) for c in base)
    return House(
        side,
        line,
        start,
        end,
        height,
        12.0,
        (r, g, b),
        rng.uniform(2.8, 3.4),
        rng.uniform(2.2, 3.4),
        (rng.uniform(0.42, 0.62), rng.uniform(0.48, 0.62)),
        bool(rng.random() < 0.5),
        awning,
        rng.random((8, 8), dtype=np.float32),
        before is not None and before.end == start and before.height >= height,
    )


def paint_house(view: View, house: House, number: int) -> None:
    """Paint the wall along the street and then the one toward the camera."""
    _paint_along(view, house, number)
    if not house.hidden:
        _paint_front(view, house, number)


def _paint_along(view: View, house: House, number: int) -> None:
    """Paint the wall along the street: each column of pixels sees another depth."""
    camera, X = view.camera, house.side * house.line
    near = max(house.start, NEAREST)
    if near >= house.end:
        return
    left, right = sorted((camera.column(X, near), camera.column(X, house.end)))
    window = view.canvas.window(camera.row(house.height, near), left, camera.row(0, near), right)
    if 0 in (window.y.size, window.x.size):
        return
    z = camera.focal * house.line / np.maximum(np.abs(window.x - camera.middle), 0.5)  # (1, w)
    z = np.clip(z, near, house.end)
    Y = camera.height - (window.y - camera.horizon) * z / camera.focal  # (h, w)
    metre = camera.focal / z  # pixels a metre, up and down
    outside = np.maximum(left - window.x, window.x - right)  # (1, w)
    distance = np.maximum(np.maximum(Y - house.height, -Y) * metre, outside)
    bright = 1.05 if house.side != view.sun else 0.66  # the light falls on the side that faces it
    along = z - house.start
    surface = _wall(house, along, Y, z * z / (camera.focal * house.line), 1 / metre)
    surface *= bright * (1 + 0.03 * view.grain[0][window.place])
    view.canvas.paint(window, distance, view.far(surface, z), label=BUILDING, number=number)


def _paint_front(view: View, house: House, number: int) -> None:
    """Paint the wall toward the camera: all of it at one depth."""
    camera, z = view.camera, house.start
    if z < NEAREST:
        return
    metre = camera.focal / z
    ends = (camera.column(house.side * far, z) for far in (house.line, house.line + house.wide))
    left, right = sorted(ends)
    top, bottom = camera.row(house.height, z), camera.row(0, z)
    window = view.canvas.window(top - 1, left - 1, bottom + 1, right + 1)
    if 0 in (window.y.size, window.x.size):
        return
    distance = np.maximum(
        np.maximum(top - window.y, window.y - bottom), np.maximum(left - window.x, window.x - right)
    )
    Y = camera.height - (window.y - camera.horizon) / metre  # (h, 1)
    along = np.abs(window.x - camera.middle) / metre - house.line  # (1, w)
    pixel = np.full((1, 1), 1 / metre, np.float32)
    surface = _wall(house, along, Y, pixel, pixel) * (0.84 * (1 + 0.03 * view.grain[0][window.place]))
    view.canvas.paint(window, distance, view.far(surface, z), label=BUILDING, number=number)


def _wall(house: House, along: Array, Y: Array, pixel_along: Array, pixel_up: Array) -> Array:  # (3, h, w)
    """Colour of a wall at a place on it: plaster, rows of windows, a shop below, a ledge on top."""
    half_width, half_height = house.window[0] * house.bay / 2, house.window[1] * house.storey / 2
    floor = np.clip(np.floor(Y / house.storey), 0, 63).astype(np.intp)
    column = np.floor(along / house.bay).astype(np.intp)
    up, across = Y - (floor + 0.55) * house.storey, repeat(along - house.bay / 2, house.bay)
    here = (Y < house.height - 0.7) & (Y > (house.storey if house.shop else 0))  # where windows are
    ledge = np.clip((Y - house.height + 0.6) / pixel_up + 0.5, 0, 1)
    frame = _pane(across, up, half_width + 0.16, half_height + 0.16, pixel_along, pixel_up)
    light = (0.87 + 0.012 * np.minimum(Y, 20)) * (1 + 0.15 * frame * here)  # the street is darker below
    surface = as_colour(house.colour) * (light * (1 - 0.28 * ledge))
    bright = house.lit[floor % 8, column % 8]  # (h, w)
    glass = mix((0.20, 0.27, 0.36), (0.52, 0.63, 0.72), 0.8 * bright + 0.2 * up / house.storey)
    glass = np.where(bright > 0.93, as_colour((0.93, 0.75, 0.46)), glass)  # somebody is at home
    surface = mix(surface, glass, here * _pane(across, up, half_width, half_height, pixel_along, pixel_up))
    return _shop(surface, house, along, Y, pixel_along, pixel_up) if house.shop else surface


def _shop(surface: Array, house: House, along: Array, Y: Array, pixel_along: Array, pixel_up: Array) -> Array:
    """Put wide windows and a striped awning on the ground floor."""
    wide = 1.6 * house.bay
    across = repeat(along - wide / 2, wide)
    pane = _pane(across, Y - 1.25, 0.42 * wide, 0.95, pixel_along, pixel_up)
    surface = mix(surface, mix((0.16, 0.20, 0.26), (0.66, 0.66, 0.60), np.clip(Y / 3.2, 0, 1)), pane)
    awning = np.clip((0.35 - np.abs(Y - 2.6)) / pixel_up + 0.5, 0, 1)
    white = 0.75 * (np.sin(along * (2 * np.pi / 0.9)) > 0) * np.clip(1.5 - 2 * pixel_along / 0.9, 0, 1)
    return mix(surface, mix(house.awning, (0.95, 0.93, 0.88), white), awning)


def _pane(
    across: Array, up: Array, half_width: float, half_height: float, pixel_along: Array, pixel_up: Array
) -> Array:
    """How much of each pixel a rectangle around 0 covers."""
    covered: Array = np.clip((half_width - np.abs(across)) / pixel_along + 0.5, 0, 1) * np.clip(
        (half_height - np.abs(up)) / pixel_up + 0.5, 0, 1
    )
    return covered
