"""Annotation files (JSON), which anybody may have written: read within limits, and checked word by word.

Nothing that stands in such a file is believed: numbers may be huge or no numbers, lists nested a million deep, and a
path may lead anywhere. Paths are only ever looked up inside the data set's folder.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minisegnet.sizes import Pair

MOST_BYTES = 2**29  # COCO's own largest file has 470 million
LONGEST_NAME = 200


def read_json(path: Path, *, most: int = MOST_BYTES) -> Any:
    """Read a JSON file.

    Raises
    ------
    ValueError
        It is too large, no JSON, or too deeply nested; the error names the file.
    """
    size = path.stat().st_size
    if size > most:
        raise ValueError(
            f"{path} has {size:,} bytes; expected at most {most:,}. Divide it into several files"
        )
    try:
        return json.loads(path.read_bytes())
    except RecursionError:
        raise ValueError(f"{path} can't be read: it is nested too deeply; expected annotations") from None
    except ValueError as error:  # among them: no UTF-8, and numbers of thousands of digits
        raise ValueError(
            f"{path} can't be read: it is damaged, incomplete or no JSON ({type(error).__name__}: {error})"
        ) from None


def short(value: object) -> str:
    """Show a value in an error; only its beginning.

    >>> short([1, 2]), short("x" * 100)
    ('[1, 2]', "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...")
    """
    if isinstance(value, dict):
        return f"a table of {', '.join(short(key) for key in list(value)[:5]) or 'nothing'}"
    long = isinstance(value, str | list) and len(value) > 60
    text = repr(value[:60] if isinstance(value, str | list) else value)
    return f"{text[:59]}..." if long or len(text) > 62 else text


def whole(value: object, what: str, least: int = 0) -> int:
    """Return a whole number; some exporters write 3.0 for 3.

    >>> whole(3.0, "the width")
    3
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**63:
        raise ValueError(f"{what} is {short(value)}; expected a whole number of at least {least}")
    return value


def checked_name(value: object, what: str) -> str:
    """Return the name of a class: some letters that can be printed and written into files."""
    text = value.strip() if isinstance(value, str) else ""
    if not text or len(text) > LONGEST_NAME or not text.isprintable():
        raise ValueError(f"{what} is {short(value)}; expected a name of at most {LONGEST_NAME} letters")
    return text


def checked_size(height: object, width: object, what: str, max_pixels: int) -> Pair:
    """Return (H, W) as a file declares it."""
    H, W = whole(height, f"the height of {what}", 1), whole(width, f"the width of {what}", 1)
    if H * W > max_pixels:
        raise ValueError(
            f"{what} is {H:,} x {W:,} pixels large (height x width); expected at most {max_pixels:,} in all"
        )
    return H, W


# ---------------------------------------------------------------------------------------------------------
# Paths


def parts_inside(told: str) -> list[str]:
    r"""Return the parts of a path that can be looked up inside a folder.

    What leads elsewhere is left out with all before it: roots, drive letters, ``..``.

    >>> parts_inside("train/a.jpg"), parts_inside("../../images/a.jpg"), parts_inside("C:\\Users\\me\\a.jpg")
    (['train', 'a.jpg'], ['images', 'a.jpg'], ['Users', 'me', 'a.jpg'])
    """
    parts: list[str] = []
    for part in told.replace("\\", "/").split("/"):
        if part == ".." or part.endswith(":") or "\0" in part:
            parts = []
        elif part not in ("", "."):
            parts.append(part)
    return parts


def find_inside(root: Path, folders: Sequence[Path], told: object, what: str) -> Path | None:
    """Find a file that an annotation names, in the first of some folders that has it; None: none has.

    In each folder the whole path is tried, then without its first part, and so on, down to the file's name alone.
    Nothing outside root is ever returned, neither by ``..`` nor by a link: that raises.
    """
    if not isinstance(told, str) or not told.strip():
        raise ValueError(f"{what} is {short(told)}; expected the name of a file")
    parts = parts_inside(told)
    if len(parts) > 32:
        raise ValueError(
            f"{what} has {len(parts)} parts; expected the name of a file, perhaps with some folders"
        )
    for start in range(len(parts)):
        for folder in folders:
            path = folder.joinpath(*parts[start:])
            if _is_file(path):
                if not path.resolve().is_relative_to(root.resolve()):
                    raise ValueError(
                        f"{what} is {short(told)}, which leads out of {root} through a link; put the file itself there"
                    )
                return path
    return None


def _is_file(path: Path) -> bool:
    """Say whether a file is there; a name that no system could have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
