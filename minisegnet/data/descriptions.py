"""What lies beside the pictures and says what the masks mean: dataset.toml, classes.txt, lists of colours."""

import csv
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minisegnet.data.colours import NamedColours
from minisegnet.data.pairs import some
from minisegnet.data.palettes import Colour, Palette, as_hex, of_hex
from minisegnet.words import did_you_mean

MOST_BYTES = 2**20  # of such a file
IGNORED = 255  # what most data sets write where nobody knows the class
IGNORED_NAME = "ignored"  # what to write in classes.txt instead of a name, for what doesn't count
VOID_NAMES = ("void", "ignored", "ignore", "__ignore__", "unlabelled", "unlabeled", "unlabelled area")
VALUE = re.compile(r"(\d{1,20})\s*=\s*(\S.*)")
COLOUR = re.compile(r"(#[0-9a-fA-F]{6})\s*=\s*(\S.*)")
HEX = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class Description:
    """What a file says of the classes, by label; None where it doesn't."""

    path: Path
    class_names: tuple[str, ...] | None
    values: tuple[int, ...] | None = None
    merged: dict[int, int] = field(default_factory=dict)  # further values, and their labels
    ignored: tuple[int, ...] | None = None
    colours: NamedColours | None = None
    palette: Palette | None = None

    def as_layout(self) -> dict[str, Any]:
        """Return the parts that a :class:`~minisegnet.data.layouts.Layout` takes over."""
        names = ("class_names", "values", "merged", "ignored", "palette")
        return {name: getattr(self, name) for name in names}


def describe(root: Path) -> Description | None:
    """Return what the first of dataset.toml, classes.txt and the lists of colours in a folder says, if one is there.

    Lists of colours are what CamVid (``label_colors.txt``: ``128 64 128 Road``), its copies (``class_dict.csv``:
    ``name,r,g,b``) and CVAT (``labelmap.txt``: ``road:128,64,128::``) bring along.
    """
    for name, read in READERS.items():
        path = root / name
        if path.is_file():
            return read(path, read_text(path))
    return None


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Read a text file of at most so many bytes; one that says something of the classes has no reason to be larger."""
    size = path.stat().st_size
    if size > most:
        raise ValueError(f"{path} has {size:,} bytes; expected at most {most:,} of a list of names")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text ({error.reason}); save it as UTF-8") from None


# ---------------------------------------------------------------------------------------------------------
# classes.txt


def read_classes(path: Path, text: str) -> Description:
    r"""Read a ``classes.txt``: one name a line, in the order of the labels; or ``value = name`` or ``#rrggbb = name``.

    Empty lines at the end don't count. A name that comes again takes further values or colours into the same class; the
    name ``ignored`` stands for pixels that don't count.

    >>> told = read_classes(Path("classes.txt"), "0 = ground\n3 = tree\n4 = tree\n9 = ignored")
    >>> told.class_names, told.values, told.merged, told.ignored
    (('ground', 'tree'), (0, 3), {4: 1}, (9,))
    """
    lines = [line.strip() for line in text.rstrip().splitlines()]
    if not all(lines):
        raise ValueError(
            f"{path} has no name in line {lines.index('') + 1}; expected one in each: the first is that of label 0"
        )
    for pattern, kind, of_text in ((VALUE, "value", int), (COLOUR, "#rrggbb", of_hex)):
        pairs = [pattern.fullmatch(line) for line in lines]
        told = [(of_text(pair[1]), pair[2]) for pair in pairs if pair is not None]
        if told and len(told) < len(lines):
            line = pairs.index(None)
            raise ValueError(
                f"{path} says '{kind} = name' in some lines and not in line {line + 1} ({lines[line]!r}); expected it "
                "in every line or in none"
            )
        if told:
            voids = (IGNORED_NAME,)
            return _of_values(path, told, voids) if pattern is VALUE else _of_colours(path, told, voids)
    return Description(path, tuple(lines))


def _of_values(path: Path, told: Iterable[tuple[Any, str]], voids: tuple[str, ...]) -> Description:
    names: list[str] = []
    values: list[int] = []
    merged: dict[int, int] = {}
    ignored: list[int] = []
    listed = list(told)
    if len({value for value, _ in listed}) < len(listed):
        raise ValueError(
            f"{path}: the label values are {some((value for value, _ in listed), most=20)}; expected all different"
        )
    for value, name in listed:
        if name in voids:
            ignored.append(value)
        elif name in names:
            merged[value] = names.index(name)
        else:
            names.append(name)
            values.append(value)
    return Description(path, tuple(names), tuple(values), merged, tuple(ignored) or None)


def _of_colours(path: Path, told: Iterable[tuple[Any, str]], voids: tuple[str, ...]) -> Description:
    """Take the classes in the order in which they are first named; what has a void's name doesn't count."""
    listed = list(told)
    colours = [colour for colour, _ in listed]
    twice = sorted({as_hex(colour) for colour in colours if colours.count(colour) > 1})
    if twice:
        raise ValueError(f"{path} names the colour {some(twice)} more than once; expected one class for each")
    names = tuple(dict.fromkeys(name for _, name in listed if not _is_void(name, voids)))
    values = tuple(IGNORED if _is_void(name, voids) else names.index(name) for _, name in listed)
    if len(names) > IGNORED:
        raise ValueError(f"{path} names {len(names)} classes by colour; expected at most {IGNORED}")
    palette = {name: colour for colour, name in reversed(listed)}
    return Description(
        path,
        names,
        tuple(range(len(names))),
        ignored=(IGNORED,) if IGNORED in values else None,
        colours=NamedColours(tuple(colours), values),
        palette=tuple(palette[name] for name in names),
    )


def _is_void(name: str, voids: tuple[str, ...]) -> bool:
    return name.lower() in voids


# ---------------------------------------------------------------------------------------------------------
# Lists of colours


def _label_colours(path: Path, text: str) -> Description:
    return _of_colours(path, list(_each_line(path, text, r"(\d+)\s+(\d+)\s+(\d+)\s+(\S.*)")), VOID_NAMES)


def _label_map(path: Path, text: str) -> Description:
    pattern = r"(?P<name>[^:]+):(\d+),(\d+),(\d+)(?::.*)?"
    return _of_colours(path, list(_each_line(path, text, pattern)), VOID_NAMES)


def _class_table(path: Path, text: str) -> Description:
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if row]
    except csv.Error as error:
        raise ValueError(f"{path} is no table ({error}); expected lines such as Road,128,64,128") from None
    lines = "\n".join(":".join((row[0], ",".join(row[1:4]))) for row in rows[1:])
    return _label_map(path, lines)


def _each_line(path: Path, text: str, pattern: str) -> Iterable[tuple[Colour, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(pattern, line)
        named = match is not None and "name" in match.re.groupindex
        parts = match.groups() if match else ()
        name, colour = (parts[0], parts[1:]) if named else (parts[3:4] or ("",), parts[:3])
        if not match or any(len(part) > 3 or int(part) > 255 for part in colour):
            raise ValueError(
                f"{path}: line {number} is {line[:60]!r}; expected a name and red, green, blue from 0 to 255"
            )
        yield (int(colour[0]), int(colour[1]), int(colour[2])), str(name if named else name[0]).strip()


# ---------------------------------------------------------------------------------------------------------
# dataset.toml

TOP = ("classes", "ignored")
OF_A_CLASS = ("name", "value", "values", "colour", "colours")


def _dataset(path: Path, text: str) -> Description:
    """Read a ``dataset.toml``; docs/layouts.md says what may stand in it."""
    try:
        told = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise ValueError(f"{path} can't be read: {error or 'too deeply nested'}") from None
    _known(path, told, TOP)
    tables = told.get("classes", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError(f"{path}: classes is {_short(tables)}; expected a table [[classes]] for each class")
    ignored = _several(path, told, "ignored", "ignored")
    classes = [_class(path, table, number) for number, table in enumerate(tables)]
    voids = tuple(value for value in ignored if isinstance(value, int))
    void_colours = [of_hex(value) for value in ignored if isinstance(value, str)]
    if not classes:
        if void_colours:
            raise ValueError(f"{path} ignores colours, but names no class; expected a [[classes]] for each")
        return Description(path, None, ignored=voids or None)
    return _put_together(path, classes, voids, void_colours)


@dataclass(frozen=True)
class _Class:
    name: str
    values: tuple[int, ...]
    colours: tuple[Colour, ...]


def _class(path: Path, table: Mapping[str, Any], number: int) -> _Class:
    where = f"classes[{number}]"
    _known(path, table, OF_A_CLASS, where)
    name = table.get("name")
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"{path}: {where} has the name {_short(name)}; expected one such as 'road'")
    for one in ("value", "colour"):
        if one in table and f"{one}s" in table:
            raise ValueError(f"{path}: {where} has both {one} and {one}s; expected one of the two")
    values = _several(path, table, "value", where) + _several(path, table, "values", where)
    colours = _several(path, table, "colour", where) + _several(path, table, "colours", where)
    if any(isinstance(value, str) for value in values) or any(isinstance(value, int) for value in colours):
        raise ValueError(f"{path}: {where}: expected whole numbers as values, and colours such as '#804080'")
    return _Class(name.strip(), tuple(map(int, values)), tuple(of_hex(str(colour)) for colour in colours))


def _put_together(
    path: Path, classes: list[_Class], voids: tuple[int, ...], void_colours: list[Colour]
) -> Description:
    for what, has in (("values", [c.values for c in classes]), ("colours", [c.colours for c in classes])):
        if any(has) and not all(has):
            without = some(c.name for c, its in zip(classes, has, strict=True) if not its)
            raise ValueError(
                f"{path} gives some classes {what} and others ({without}) none; expected all or none"
            )
        told: list[Any] = [value for its in has for value in its]
        told += voids if what == "values" else void_colours
        if len(set(told)) < len(told):
            twice = sorted({_word(value) for value in told if told.count(value) > 1})
            raise ValueError(
                f"{path} has some {what} twice: {some(twice)}; expected each in one class, or ignored"
            )
    numbered = bool(classes[0].values)
    values = tuple(c.values[0] for c in classes) if numbered else tuple(range(len(classes)))
    merged = {value: label for label, c in enumerate(classes) for value in c.values[1:]}
    colours = None
    if classes[0].colours:
        pairs = [(colour, values[label]) for label, c in enumerate(classes) for colour in c.colours]
        void = IGNORED if IGNORED not in values else 65535
        pairs += [(colour, void) for colour in void_colours]
        if void_colours and void not in voids:
            voids = (*voids, void)
        colours = NamedColours(tuple(c for c, _ in pairs), tuple(v for _, v in pairs), numbered)
    elif void_colours:
        raise ValueError(f"{path} ignores colours, but its classes have none; expected colour = in each")
    palette = tuple(c.colours[0] for c in classes) if colours else None
    return Description(path, tuple(c.name for c in classes), values, merged, voids or None, colours, palette)


def _several(path: Path, table: Mapping[str, Any], key: str, where: str) -> list[int | str]:
    """Return what stands under a key, one or a list: whole numbers and colours."""
    told = table.get(key, [])
    listed = told if isinstance(told, list) else [told]
    for value in listed:
        number = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 65536
        if not number and not (isinstance(value, str) and HEX.fullmatch(value)):
            raise ValueError(
                f"{path}: {where}: {key} holds {_short(value)}; expected whole numbers from 0 to 65535, or colours "
                "such as '#804080'"
            )
    return listed


def _known(path: Path, table: Mapping[str, Any], known: tuple[str, ...], where: str = "") -> None:
    for key in table:
        if key not in known:
            hint = did_you_mean(key, known)
            raise ValueError(
                f"{path}: {f'{where} has' if where else 'it has'} an unknown key {_short(key)}{hint}; expected "
                f"{', '.join(known)}"
            )


def _word(value: int | Colour) -> str:
    return as_hex(value) if isinstance(value, tuple) else str(value)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


READERS: dict[str, Callable[[Path, str], Description]] = {
    "dataset.toml": _dataset,
    "classes.txt": read_classes,
    "label_colors.txt": _label_colours,
    "label_colours.txt": _label_colours,
    "class_dict.csv": _class_table,
    "labelmap.txt": _label_map,
}
