"""Small arrays drawn as text: one block for each map, columns aligned, wrong entries between stars."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

ROWS, COLUMNS, PLANES = 8, 10, 4
WIDTH = 100


def number(value: Any) -> str:
    """Write a number as short as it can be told.

    >>> number(np.float64(2)), number(np.float64(0.123456)), number(np.int64(7)), number(np.float64("nan"))
    ('2', '0.1235', '7', 'nan')
    """
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if not np.isfinite(value):
        return str(float(value))
    if float(value).is_integer() and abs(float(value)) < 1e7:
        return str(int(value))
    return f"{float(value):.4g}"


def title(name: str, array: Any) -> str:
    """Name an array with its shape and, where it isn't float64, its dtype."""
    dtype = "" if array.dtype == np.float64 else f" {array.dtype}"
    return f"{name} {tuple(array.shape)}{dtype}"


def blocks(name: str, array: Any, wrong: Any = None) -> list[list[str]]:
    """Draw an array; one block of lines for each of its maps."""
    if array.size == 0:
        return [[title(name, array), "  (empty)"]]
    planes = array.reshape((-1, *array.shape[-2:])) if array.ndim >= 2 else array.reshape(1, 1, -1)
    marks = np.zeros(array.shape, bool) if wrong is None else np.asarray(wrong)
    marks = marks.reshape(planes.shape)
    chosen = _chosen(marks)
    drawn = [_plane(planes[p], marks[p]) for p in chosen]
    labels = _labels(array, chosen)
    found = []
    for i, (label, lines) in enumerate(zip(labels, drawn, strict=True)):
        head = title(name, array) if i == 0 else ""
        found.append([head or " " * min(len(name), 4), *([f"  {label}"] if label else []), *lines])
    if len(planes) > len(chosen):
        found[-1].append(f"  … {len(planes) - len(chosen)} more maps")
    return found


def _chosen(marks: Any) -> list[int]:
    """Choose the maps to draw: all where they are few, else those with wrong entries first."""
    if len(marks) <= PLANES:
        return list(range(len(marks)))
    wrong = [p for p in range(len(marks)) if marks[p].any()]
    return sorted([*wrong, *(p for p in range(len(marks)) if p not in wrong)][:PLANES])


def _labels(array: Any, chosen: Sequence[int]) -> list[str]:
    if array.ndim <= 2 or array.size == np.prod(array.shape[-2:]):
        return [""] * len(chosen)
    places = [np.unravel_index(p, array.shape[:-2]) for p in chosen]
    return [f"[{', '.join(str(int(i)) for i in place)}]" for place in places]


def _plane(plane: Any, marks: Any) -> list[str]:
    rows, columns = plane.shape
    cut = plane[:ROWS, :COLUMNS]
    any_mark = bool(marks.any())
    cells = [
        [_cell(value, bool(mark), any_mark) for value, mark in zip(row, mark_row, strict=False)]
        for row, mark_row in zip(cut, marks, strict=False)
    ]
    width = max((len(cell) for row in cells for cell in row), default=1)
    more = " …" if columns > COLUMNS else ""
    lines = ["  " + " ".join(cell.rjust(width) for cell in row) + more for row in cells]
    return [*lines, "  …"] if rows > ROWS else lines


def _cell(value: Any, wrong: bool, any_mark: bool) -> str:
    if not any_mark:
        return number(value)
    return f"*{number(value)}*" if wrong else f"{number(value)} "


def side_by_side(drawn: Sequence[list[str]], gap: int = 4) -> list[str]:
    """Put blocks beside each other as long as they fit, then begin a new row."""
    lines: list[str] = []
    row: list[list[str]] = []
    used = 0
    for block in drawn:
        width = max(len(line) for line in block)
        if row and used + gap + width > WIDTH:
            lines += [*_joined(row, gap), ""]
            row, used = [], 0
        row.append(block)
        used += width + (gap if used else 0)
    return [*lines, *_joined(row, gap)]


def _joined(row: Sequence[list[str]], gap: int) -> list[str]:
    widths = [max(len(line) for line in block) for block in row]
    return [
        (" " * gap).join(line.ljust(width) for line, width in zip(lines, widths, strict=True)).rstrip()
        for lines in zip_longest(*row, fillvalue="")
    ]
