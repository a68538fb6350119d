"""The files that ``minisegnet start`` writes: a lesson's functions, each with what it must do, but not how.

The first line of each function comes from the ops themselves (``contract``); what stands below it, from the files
beside this one.
"""

from textwrap import indent

from minisegnet.marking.contract import LESSONS, PAIRS, contract
from minisegnet.marking.stubs import arranging, convolution, layers, losses, pooling, resizing
from minisegnet.words import did_you_mean

# The lessons' files. An installed package has no folder of lessons to look into.
NAMES = {
    1: "pixels_to_labels",
    2: "convolution",
    3: "backpropagation",
    4: "tape",
    5: "pool_and_unpool",
    6: "transposed_convolution",
    7: "bilinear",
    8: "softmax_and_losses",
    9: "patches_to_fcn",
    10: "fcn_skips",
    11: "segnet_deconvnet",
    12: "unet",
    13: "overlap_tile",
    14: "backends",
}

LONGEST = 100  # characters of a first line; a longer one is broken

TEXTS = {
    op: text
    for family in (arranging, convolution, layers, losses, pooling, resizing)
    for op, text in family.TEXTS.items()
}

HEAD = '''\
"""Lesson {number}, {title}: my own functions.

Each says what it must do. How is for you to write, in place of the line that begins with `raise`. Loops are welcome:
first right, then fast. Options that you don't do yet you may delete from the first line; what is left is marked.
Capital letters are sizes; dx is the derivative of the loss with respect to x. The functions don't change their
arguments, and return the dtype that they were given: float64, or float32.
"""

import numpy as np
'''

PAIR = '''

def pair(value):
    """Write an option as (down, across): 2 is (2, 2), and (2, 1) stays as it is."""
    return (value, value) if isinstance(value, int) else tuple(value)
'''

TAIL = """

# Try the examples:   python -m doctest {file}        (says nothing if all is well)
# Have it marked:     minisegnet check {number:02} {file}
"""


def number_of(lesson: str) -> int:
    """Read which lesson is meant: its number or its name.

    >>> number_of("02"), number_of("2"), number_of("convolution"), number_of("lessons/02_convolution.py")
    (2, 2, 2, 2)
    """
    word = lesson.replace("\\", "/").rpartition("/")[2].removesuffix(".py").strip().lower()
    digits, _, name = word.partition("_") if word[:1].isdigit() else ("", "", word)
    if digits.isascii() and digits.isdecimal() and int(digits) in NAMES and name in ("", NAMES[int(digits)]):
        return int(digits)
    named = {title: number for number, title in NAMES.items()}
    written = name.replace("-", "_").replace(" ", "_")
    if not digits and written in named:
        return named[written]
    raise ValueError(
        f"there is no lesson {lesson!r}{did_you_mean(written, named)}; expected a number from 1 to {max(NAMES)}, or "
        f"a name such as {NAMES[2]}. Lessons with functions to write: {having()}"
    )


def title(number: int) -> str:
    """Name a lesson in words.

    >>> title(6)
    'transposed convolution'
    """
    return NAMES[number].replace("_", " ")


def having() -> str:
    """List the lessons with functions to write."""
    return ", ".join(f"{number} ({title(number)})" for number in LESSONS)


def stub(number: int, file: str) -> str:
    """Write the Python file of a lesson: all its functions, empty.

    Parameters
    ----------
    number
        The lesson's number.
    file
        The file's name, for the last lines, which say what to do with it.

    Raises
    ------
    ValueError
        The lesson has no functions to write.

    Examples
    --------
    >>> text = stub(3, "mine.py")
    >>> text.count("raise NotImplementedError"), text.splitlines()[-1]
    (5, '# Have it marked:     minisegnet check 03 mine.py')
    """
    if number not in LESSONS:
        raise ValueError(
            f"lesson {number} ({title(number)}) has no functions that can be marked. These have: {having()}"
        )
    ops = LESSONS[number]
    parts = [HEAD.format(number=number, title=title(number))]
    if any(PAIRS & {*contract(op).positional, *contract(op).options} for op in ops):
        parts.append(PAIR)
    parts += [f"\n\n{function(op)}\n" for op in ops]
    parts.append(TAIL.format(number=number, file=file))
    return "".join(parts)


def function(op: str) -> str:
    """Write one function: its first line, what it must do, and that it isn't written yet.

    >>> print(function("add_backward").splitlines()[-1])
        raise NotImplementedError("add_backward isn't written yet")
    """
    first = contract(op).signature().partition(" -> ")[0].replace("'", '"')
    if len(first) > LONGEST:
        name, _, parameters = first.removesuffix(")").partition("(")
        first = f"{name}(\n    {parameters}\n)"
    text = indent(f'"""{TEXTS[op]}"""', "    ")
    return f'def {first}:\n{text}\n    raise NotImplementedError("{op} isn\'t written yet")'
