"""Fonts that have the letters of a text, and what to write where no font has them.

matplotlib brings a font of its own, DejaVu Sans, which has no Korean, Chinese or Japanese letters. Texts with letters
that it lacks get a second font from those that are installed; matplotlib then takes each letter from the first font
that has it. Nothing is looked for before such a letter occurs.
"""

import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from functools import cache

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.font_manager import FontProperties

from minisegnet.arrays import Array

FIRST = "DejaVu Sans"

# Plain fonts that suit it, asked before all others; these are how names begin, without spaces and capitals.
PREFERRED = (
    "notosanscjkkr",
    "notosanskr",
    "nanumgothic",
    "malgungothic",
    "applesdgothic",
    "applegothic",
    "undotum",
    "notosanscjk",
    "notosans",
    "sourcehansans",
    "hiraginosans",
    "yugothic",
    "pingfang",
    "microsoftyahei",
    "wenquanyi",
    "unifont",
)
# These claim letters that they show as boxes, as nothing, or in colours that matplotlib can't draw.
PRETENDERS = ("lastresort", "bmpfallback", "adobeblank", "adobenotdef", "coloremoji")


def families(text: str) -> list[str]:
    """Return the fonts to draw this text with, the first one first.

    >>> families("sky")
    ['DejaVu Sans']
    """
    return [FIRST, *_further(_unusual([text]))]


def missing(texts: Iterable[str]) -> str:
    """Return the letters, each once and in order, that no font has.

    >>> missing(["sky", "ciel d'été"])
    ''
    """
    letters = _unusual(texts)
    for family in _further(letters):
        letters -= _among(family, letters)
    return "".join(sorted(letters))


def readable_names(names: Sequence[str]) -> tuple[str, ...]:
    """Replace a class's name by its number where no font has the letters, as in "class 3"; this warns once.

    >>> readable_names(["sky", "sea"])
    ('sky', 'sea')
    """
    names = [composed(name) for name in names]
    absent = set(missing(names))
    if not absent:
        return tuple(names)
    _tell(absent)
    return tuple(f"class {c}" if absent & set(name) else name for c, name in enumerate(names))


def readable(texts: Sequence[str]) -> list[str]:
    """Replace the letters that no font has by question marks; this warns once."""
    absent = missing(texts)
    if not absent:
        return list(texts)
    _tell(absent)
    marks = str.maketrans(absent, "?" * len(absent))
    return [text.translate(marks) for text in texts]


def composed(text: str) -> str:
    """Join letters that are stored in parts, as in names of files on a Mac: fonts may lack the parts.

    >>> len("\u1112\u1161\u1102\u1173\u11af"), len(composed("\u1112\u1161\u1102\u1173\u11af"))
    (5, 2)
    """
    return unicodedata.normalize("NFC", text)


# ---------------------------------------------------------------------------------------------------------
# Which font has which letters


def _unusual(texts: Iterable[str]) -> set[str]:
    """Collect the letters that the first font lacks; a line's end is no letter."""
    letters = {letter for text in texts for letter in text if not " " <= letter <= "~" and letter != "\n"}
    return letters - _among(FIRST, letters) if letters else letters


def _further(letters: set[str]) -> list[str]:
    """Choose fonts for these letters: one that has all, else as few as come, the preferred first."""
    if not letters:
        return []
    partly = []
    for family in _ranked(tuple(_plain())):
        has = _among(family, letters)
        if has == letters:
            return [family]
        if has:
            partly.append((family, has))
    chosen, left = [], set(letters)
    for family, has in partly:
        if has & left:
            chosen.append(family)
            left -= has
    return chosen


def _plain() -> list[str]:
    """List the installed fonts that have an upright face of normal weight: matplotlib complains about others."""
    normal = ("normal", "regular", 400)
    faces = font_manager.fontManager.ttflist
    return sorted({face.name for face in faces if face.style == "normal" and face.weight in normal})


@cache
def _ranked(names: tuple[str, ...]) -> list[str]:
    """Sort the names of fonts, the preferred first, and leave out those of no use."""
    ranks = {}
    for name in names:
        plain = name.replace(" ", "").casefold()
        if name != FIRST and not any(part in plain for part in PRETENDERS):
            fitting = (k for k, start in enumerate(PREFERRED) if plain.startswith(start))
            ranks[name] = next(fitting, len(PREFERRED))
    return sorted(ranks, key=lambda name: (ranks[name], name))


def _among(family: str, letters: set[str]) -> set[str]:
    """Return those of the letters that a font has."""
    codes = _codes(family)
    return {letter for letter in letters if _holds(codes, ord(letter))}


def _holds(codes: Array, code: int) -> bool:
    k = int(np.searchsorted(codes, code))
    return k < len(codes) and int(codes[k]) == code


@cache
def _codes(family: str) -> Array:
    """Read a font's own table of characters: a name, such as "Noto Sans", doesn't say what is in the file."""
    try:
        path = font_manager.findfont(FontProperties(family=[family]), fallback_to_default=False)
        table = font_manager.get_font(path).get_charmap()
    except (OSError, RuntimeError, ValueError):  # removed since matplotlib made its list, or damaged
        return np.empty(0, np.int64)
    return np.array(sorted(table), np.int64)


# ---------------------------------------------------------------------------------------------------------
# What the user is told

_told: list[str] = []  # the letters of the one warning of this process


def _tell(absent: Iterable[str]) -> None:
    if _told:
        return
    letters = sorted(absent)
    shown = ", ".join(map(repr, letters[:5])) + (", ..." if len(letters) > 5 else "")
    warnings.warn(
        f"no installed font has the letters {shown}, so pictures say 'class 3' (its number) instead of such a "
        "class's name, and '?' elsewhere. For Korean, Chinese and Japanese install the font Noto Sans CJK "
        "(Debian, Ubuntu: apt install fonts-noto-cjk) or NanumGothic. If that changes nothing, delete "
        f"matplotlib's list of fonts, the files fontlist-*.json in {matplotlib.get_cachedir()}",
        stacklevel=2,
    )
    _told.extend(letters)
