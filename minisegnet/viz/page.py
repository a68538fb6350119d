"""A sheet to draw on: a matplotlib figure on which everything has its place in pixels, from the upper left corner.

Pictures then land on whole pixels, and nothing moves when a label gets longer.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from minisegnet.arrays import Array
from minisegnet.viz.fonts import composed, families, readable

DPI = 110
INK, QUIET, LINES, PALE = "#222222", "#5f5f5f", "#cfcfcf", "#ececec"
BLUE, VERMILION = "#0072b2", "#d55e00"  # Okabe and Ito's: told apart with any kind of colour vision
SMALL, NORMAL, TITLE = 7.0, 8.0, 9.5  # points
WIDE = 1.75  # Korean, Chinese and Japanese letters are so many Latin ones wide


def page(width: float, height: float) -> Figure:
    """Make an empty white sheet; the size is in pixels."""
    return Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")


def axes_at(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Make axes at this place, in pixels from the upper left corner."""
    W, H = _size(figure)
    return figure.add_axes((left / W, 1 - (top + height) / H, width / W, height / H))


def write(figure: Figure, left: float, top: float, text: str, size: float = NORMAL, **options: Any) -> Text:
    """Write text so that it begins here and stands on this height's middle; options are matplotlib's."""
    W, H = _size(figure)
    options = {"color": INK, "ha": "left", "va": "center", **options}
    return figure.text(left / W, 1 - top / H, text, fontsize=size, **options)


def line(figure: Figure, xs: Sequence[float], ys: Sequence[float], **options: Any) -> None:
    """Draw a line through these places."""
    W, H = _size(figure)
    figure.add_artist(Line2D([x / W for x in xs], [1 - y / H for y in ys], **options))


def box(figure: Figure, left: float, top: float, width: float, height: float, **options: Any) -> None:
    """Draw a rectangle."""
    W, H = _size(figure)
    figure.add_artist(Rectangle((left / W, 1 - (top + height) / H), width / W, height / H, **options))


def show(axes: Axes, picture: Array, width: float, **options: Any) -> None:
    """Put a picture on axes of this width; enlarged pixels stay sharp squares."""
    # A picture that is made much smaller would lose lines if pixels were left out, so then they are mixed.
    interpolation = "nearest" if picture.shape[1] <= width else "auto"
    options = {"interpolation": interpolation, "interpolation_stage": "rgba", **options}
    axes.imshow(picture, **options)
    frame(axes)


def shown_size(size: Sequence[int], wanted: int, tallest: int) -> tuple[int, int]:
    """Return the width and height at which to show a picture (H, W): about as wide as wanted, but not too tall.

    A small one is enlarged a whole number of times, so that its pixels are all alike.

    >>> shown_size((64, 64), 200, 300), shown_size((500, 1000), 200, 300), shown_size((900, 10), 200, 300)
    ((192, 192), (200, 100), (3, 300))
    """
    H, W = size[:2]
    scale = min(wanted / W, tallest / H)
    if scale >= 1:
        times = round(scale) if round(scale) * H <= 1.1 * tallest else int(scale)
        return times * W, times * H
    return max(1, round(scale * W)), max(1, round(scale * H))


def frame(axes: Axes) -> None:
    """Leave of axes only a thin frame."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=LINES, linewidth=0.6)


def finish(figure: Figure) -> Figure:
    """Set fonts that have the letters, and take every text literally: a dollar sign in a name is no formula."""
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    written = [text.get_text() for text in texts]
    for text, before, after in zip(texts, written, readable(written), strict=True):
        if after != before:
            text.set_text(after)
        text.set_fontfamily(families(after))
        text.set_parse_math(False)
    return figure


# ---------------------------------------------------------------------------------------------------------
# Words


def shorten(name: str, most: int = 24) -> str:
    """Cut a long name in the middle, where names differ least; one line, at most so many (Latin) letters wide.

    >>> shorten("a background that goes on and on", 17)
    'a backgr…n and on'
    """
    name = composed(" ".join(name.split()))
    if _letters(name) <= most:
        return name
    half = most // 2
    head, tail = _fitting(name, half), _fitting(name[::-1], most - 1 - half)
    return f"{name[:head]}…{name[len(name) - tail :]}"


def text_width(text: str, size: float = NORMAL) -> float:
    """Estimate how many pixels wide a text is: letters differ, so it is rather too wide."""
    return _letters(text) * size * 0.62 * DPI / 72


def _letters(text: str) -> float:
    """Count letters, wide ones as more than one."""
    return sum(WIDE if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _fitting(text: str, most: float) -> int:
    """Return how many letters, from the first on, are at most so wide."""
    return next((k for k in range(len(text)) if _letters(text[: k + 1]) > most), len(text))


def hex_colour(colour: Sequence[int]) -> str:
    """Write a colour as matplotlib takes it.

    >>> hex_colour((230, 159, 0))
    '#e69f00'
    """
    return "#" + "".join(f"{int(part):02x}" for part in colour)


def _size(figure: Figure) -> tuple[float, float]:
    width, height = figure.get_size_inches()
    return float(width) * DPI, float(height) * DPI
