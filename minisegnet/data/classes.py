"""What the values in a folder's label maps mean: their names, and which label each becomes."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.pairs import some
from minisegnet.sizes import as_int

IGNORED = 255  # what most data sets write where nobody knows the class
VALUES = 65536  # a mask's values are below this
VALUE_AND_NAME = re.compile(r"(\d+)\s*=\s*(\S.*)")


class Classes(NamedTuple):
    """The classes of a data set, by label."""

    names: tuple[str, ...]
    values: tuple[int, ...]  # what stands for each in the files
    ignores: bool  # whether 255 stands for pixels that don't count

    def table(self) -> Array:
        """Return the label of each value, (65536,) int32; -1 where a value is no class."""
        labels = np.full(VALUES, -1, np.int32)
        labels[list(self.values)] = np.arange(len(self.values))
        if self.ignores:
            labels[IGNORED] = IGNORED
        return labels


def find_classes(
    root: Path,
    found: Mapping[Path, tuple[int, ...]],
    class_names: Sequence[str] | None = None,
    label_values: Sequence[int] | None = None,
) -> Classes:
    """Put together what the caller says, what ``root/classes.txt`` says, and which values the masks hold."""
    names, values = _told(root, class_names, label_values)
    present = sorted({value for there in found.values() for value in there})
    if IGNORED in present and len(present) <= 2 and IGNORED not in (values or ()):
        raise ValueError(_refuse_black_and_white(root, present))
    if values is None:
        values = _from_zero(root, present) if names is None else tuple(range(len(names)))
    names = names or tuple(map(str, values))
    ignores = IGNORED in present and IGNORED not in values
    if ignores and len(values) > IGNORED:
        raise ValueError(
            f"{root}: 255 marks pixels that don't count, but there are {len(values)} classes, so that one of them has "
            "label 255, too; name 255 as one of the classes, or make them fewer"
        )
    wrong = {path: [v for v in there if v not in {*values, IGNORED}] for path, there in found.items()}
    if any(wrong.values()):
        told = (f"{path.name}: {some(bad)}" for path, bad in wrong.items() if bad)
        kind = f"0 to {len(values) - 1}" if values == tuple(range(len(values))) else some(values, most=20)
        raise ValueError(
            f"{root}: masks hold values that are no class: {some(told, most=3)}. There are {len(values)} classes "
            f"({some(names)}), with the values {kind}; name the others in classes.txt, or correct the masks"
        )
    return Classes(names, values, ignores)


# ---------------------------------------------------------------------------------------------------------
# What is said


def _told(
    root: Path, class_names: Sequence[str] | None, label_values: Sequence[int] | None
) -> tuple[tuple[str, ...] | None, tuple[int, ...] | None]:
    """Return names and values as far as anybody says them."""
    names, values = read_class_names(root / "classes.txt")
    if class_names is not None:
        if isinstance(class_names, str):
            raise TypeError(f"class_names is {class_names!r}; expected several: ('background', 'cell')")
        names, values = tuple(map(str, class_names)), None
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


def read_class_names(path: Path) -> tuple[tuple[str, ...] | None, tuple[int, ...] | None]:
    """Read a ``classes.txt``: names, and values if its lines say them; None for what isn't there.

    One name a line, in the order of the labels; or ``value = name`` on every line. Empty lines at the end don't count.
    """
    if not path.is_file():
        return None, None
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").rstrip().splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text ({error.reason}); save it as UTF-8") from None
    if not all(lines):
        raise ValueError(
            f"{path} has no name in line {lines.index('') + 1}; expected one in each: the first is that of label 0"
        )
    pairs = [VALUE_AND_NAME.fullmatch(line) for line in lines]
    told = [pair for pair in pairs if pair is not None]
    if not told:
        return tuple(lines), None
    if len(told) < len(lines):
        line = pairs.index(None)
        raise ValueError(
            f"{path} says 'value = name' in some lines and not in line {line + 1} ({lines[line]!r}); expected it in "
            "every line or in none"
        )
    return tuple(pair[2] for pair in told), tuple(int(pair[1]) for pair in told)


# ---------------------------------------------------------------------------------------------------------
# What is found


def _from_zero(root: Path, present: list[int]) -> tuple[int, ...]:
    """Take all values from 0 to the largest as classes."""
    # 255 is a class like others only where 254 is one, too.
    classes = [
        value for value in present if value != IGNORED or IGNORED - 1 in present or present[-1] > IGNORED
    ]
    count = classes[-1] + 1
    if count < 2:
        raise ValueError(
            f"{root}: all masks hold the value {classes[0]} and nothing else; expected two classes or more. If others "
            "exist, name all of them in classes.txt, one a line"
        )
    if 2 * len(classes) < count:
        numbered = "\n".join([f"  {value} = name" for value in classes[:3]] + ["  ..."] * (len(classes) > 3))
        raise ValueError(
            f"{root}: masks hold the values {some(classes, most=8)}, so that {count - len(classes)} of {count} classes "
            f"would never occur. If only these {len(classes)} are meant, say so in classes.txt, one a line:\n"
            f"{numbered}\nor in Python: Folder(..., label_values=({some(classes, most=4)})). If all {count} are, write "
            "their names there, one a line"
        )
    return tuple(range(count))


def _refuse_black_and_white(root: Path, present: list[int]) -> str:
    return (
        f"{root}: masks hold {' and '.join(map(str, present))} and nothing else, and 255 usually marks pixels that "
        "don't count; nothing would be left to learn. If it is a class, as in black and white masks, say so in "
        "classes.txt:\n  0 = background\n  255 = object\n"
        "or in Python: Folder(..., label_values=(0, 255)); or write 1 instead of 255 into the masks"
    )
