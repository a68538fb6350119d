"""What the values in a folder's label maps mean: their names, and which label each becomes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.descriptions import IGNORED
from minisegnet.data.finding import Finding, Refused, some
from minisegnet.data.layouts.layout import Layout
from minisegnet.data.palettes import Palette
from minisegnet.sizes import as_int

VALUES = 65536  # a mask's values are below this


class Classes(NamedTuple):
    """The classes of a data set, by label."""

    names: tuple[str, ...]
    values: tuple[int, ...]  # what stands for each in the files
    merged: dict[int, int]  # further values, and their labels
    ignored: tuple[int, ...]  # values, of those that occur, which stand for pixels that don't count
    palette: Palette | None = None  # a colour for each, if somebody says so
    notes: tuple[str, ...] = ()  # what a user should be told

    def table(self) -> Array:
        """Return the label of each value, (65536,) int32; -1 where a value is no class, 255 where it doesn't count."""
        labels = np.full(VALUES, -1, np.int32)
        labels[list(self.values)] = np.arange(len(self.values))
        for value, label in self.merged.items():
            labels[value] = label
        labels[list(self.ignored)] = IGNORED
        return labels


def find_classes(
    layout: Layout,
    found: Sequence[tuple[str, tuple[int, ...]]],
    class_names: Sequence[str] | None = None,
    label_values: Sequence[int] | None = None,
) -> Classes:
    """Put together what the caller says, what the data set says, and which values its masks hold.

    Parameters
    ----------
    layout
        What the data set says: its ``classes.txt``, its annotations, or the custom of its kind.
    found
        Of each mask what to call it in errors, and its values.
    class_names, label_values
        What the caller says.
    """
    root = layout.root
    present = sorted({value for _, there in found for value in there})
    notes: tuple[str, ...] = ()
    if layout.only_if_fits and _fits(layout, present):
        custom = some(layout.class_names or (), most=4)
        notes = (
            f"nobody names the classes, so they are those that {layout.kind} has by custom: {custom}. "
            "If yours are others, write their names into classes.txt, one a line",
        )
    elif layout.only_if_fits:
        layout = replace(layout, class_names=None, values=None, merged={}, ignored=None, palette=None)
    names, values = _told(layout, class_names, label_values)
    palette = layout.palette if values == layout.values and class_names is None else None
    merged = layout.merged if values == layout.values else {}
    told_ignored = () if layout.only_if_fits else layout.ignored or ()
    if IGNORED in present and len(present) <= 2 and IGNORED not in (*(values or ()), *merged, *told_ignored):
        raise Refused(root, [_black_and_white(present)])
    if values is None:
        values = _found_values(root, present, told_ignored) if names is None else tuple(range(len(names)))
        notes += _without_zero(present, told_ignored) if names is None else ()
    names = names or tuple(map(str, values))
    classes = {*values, *merged}
    ignored = tuple(v for v in (*(layout.ignored or ()), IGNORED) if v in present and v not in classes)
    if ignored and len(values) > IGNORED:
        raise ValueError(
            f"{root}: 255 marks pixels that don't count, but there are {len(values)} classes, so that one of them has "
            "label 255, too; name 255 as one of the classes, or make them fewer"
        )
    wrong = [(name, [v for v in there if v not in classes and v not in ignored]) for name, there in found]
    if any(bad for _, bad in wrong):
        raise Refused(root, [_no_class(wrong, names, values, present)])
    return Classes(names, values, merged, ignored, palette, notes)


def _fits(layout: Layout, present: list[int]) -> bool:
    """Say whether the masks hold what a custom says, and nothing else."""
    known = {*(layout.values or ()), *layout.merged, *(layout.ignored or ()), IGNORED}
    return {*present} <= known and layout.needs <= {*present}


def _no_class(
    wrong: Sequence[tuple[str, list[int]]],
    names: tuple[str, ...],
    values: tuple[int, ...],
    present: list[int],
) -> Finding:
    kind = f"0 to {len(values) - 1}" if values == tuple(range(len(values))) else some(values, most=20)
    from_one = present[0] == 1 and values[0] == 0 and max(v for v in present if v != IGNORED) == len(names)
    hint = f" They seem to be numbered from 1: then write '1 = {names[0]}' and so on there." * from_one
    return Finding(
        "no-class",
        "error",
        "masks hold values that are no class",
        f"There are {len(values)} classes ({some(names)}), with the values {kind}.",
        f"Name the others in classes.txt, or correct the masks.{hint}",
        tuple(f"{name}: {some(bad)}" for name, bad in wrong if bad),
    )


# ---------------------------------------------------------------------------------------------------------
# What is said


def _told(
    layout: Layout, class_names: Sequence[str] | None, label_values: Sequence[int] | None
) -> tuple[tuple[str, ...] | None, tuple[int, ...] | None]:
    """Return names and values as far as anybody says them."""
    root, names, values = layout.root, layout.class_names, layout.values
    if class_names is not None:
        if isinstance(class_names, str):
            raise TypeError(f"class_names is {class_names!r}; expected several: ('background', 'cell')")
        names = tuple(map(str, class_names))
        values = (
            values if values is not None and len(values) == len(names) and layout.kind != "pairs" else None
        )
    if label_values is not None:
        values = tuple(as_int(value, "label_values", 0) for value in label_values)
    if names is not None and values is not None and len(names) != len(values):
        raise ValueError(
            f"there are {len(names)} class names and {len(values)} label values; expected as many"
        )
    for what, told in (("class names", names), ("label values", values)):
        if told is not None and (len(told) < 2 or len(set(told)) < len(told)):
            raise ValueError(
                f"{root}: the {what} are {some(told, most=20) or 'none'}; expected two or more, all different"
            )
    if values is not None and max(values) >= VALUES:
        raise ValueError(f"label_values holds {max(values)}; expected 0 to {VALUES - 1}")
    return names, values


# ---------------------------------------------------------------------------------------------------------
# What is found


def _found_values(root: Path, present: list[int], told_ignored: tuple[int, ...]) -> tuple[int, ...]:
    """Take all values from 0 to the largest as classes, but those that don't count."""
    values = _from_zero(root, [value for value in present if value not in told_ignored])
    return tuple(value for value in values if value not in told_ignored)


def _from_zero(root: Path, present: list[int]) -> tuple[int, ...]:
    """Take all values from 0 to the largest as classes."""
    # 255 is a class like others only where 254 is one, too.
    classes = [
        value for value in present if value != IGNORED or IGNORED - 1 in present or present[-1] > IGNORED
    ]
    count = classes[-1] + 1 if classes else 0
    if count < 2:
        raise Refused(root, [_one_value(classes[0] if classes else IGNORED)])
    if 2 * len(classes) < count:
        raise Refused(root, [_gaps(classes, count)])
    return tuple(range(count))


def _without_zero(present: list[int], told_ignored: tuple[int, ...]) -> tuple[str, ...]:
    """Say aloud that class 0 is empty; the labels stay as they are, so that predictions have the masks' numbers."""
    if 0 in (*present, *told_ignored):
        return ()
    return (
        f"no mask holds the value 0, so class '0' never occurs (the smallest is {present[0]}). If the classes are "
        f"numbered from {present[0]}, write '{present[0]} = name' and so on into classes.txt",
    )


def propose(values: Sequence[int]) -> tuple[str, ...]:
    """Return lines for a ``classes.txt`` that make a class of each of these values; the names are to be changed.

    >>> propose([0, 255]), propose([0, 38, 75])
    (('0 = background', '255 = object'), ('0 = background', '38 = class 38', '75 = class 75'))
    """
    names = {v: "background" if v == 0 else f"class {v}" for v in values}
    if len(values) == 2 and values[0] == 0:
        names[values[1]] = "object"
    return tuple(f"{value} = {name}" for value, name in names.items())


def _to_paste(values: Sequence[int]) -> str:
    return "\n".join(f"  {line}" for line in propose(values))


def _one_value(value: int) -> Finding:
    return Finding(
        "one-value",
        "error",
        f"all masks hold the value {value} and nothing else",
        "Expected two classes or more.",
        "If others exist, name all of them in classes.txt, one a line.",
    )


def _gaps(classes: list[int], count: int) -> Finding:
    return Finding(
        "gaps",
        "error",
        f"masks hold the values {some(classes, most=8)}, so that {count - len(classes)} of {count} classes would never "
        "occur",
        "A network learns one output for each class from 0 to the largest value.",
        f"If only these {len(classes)} are meant, say so in classes.txt, one a line:\n{_to_paste(classes)}\n"
        f"or in Python: Folder(..., label_values=({some(classes, most=4)})). If all {count} are, write their names "
        "there, one a line.",
    )


def _black_and_white(present: list[int]) -> Finding:
    return Finding(
        "black-and-white",
        "error",
        f"masks hold {' and '.join(map(str, present))} and nothing else",
        "255 usually marks pixels that don't count; nothing would be left to learn.",
        f"If it is a class, as in black and white masks, say so in classes.txt:\n{_to_paste((0, IGNORED))}\n"
        "or in Python: Folder(..., label_values=(0, 255)); or write 1 instead of 255 into the masks.",
    )
