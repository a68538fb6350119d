"""What flags and a TOML file can say of a training, in one table: ``demo``, ``train`` and ``evaluate`` share it.

A value is looked for among the flags, then in the TOML file (``--config``), then in the command's own defaults.
"""

import argparse
import contextlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from minisegnet.words import nearest


class Option(NamedTuple):
    """One flag, which is also a name in a TOML file (with - or _)."""

    kind: str  # "text", "whole", "number", "pair", "time", "flag", "pairs"
    metavar: str
    help: str


OPTIONS = {
    "model": Option("text", "NAME", "the model; `minisegnet models` lists them"),
    "width": Option("whole", "N", "channels of its first level (default: the model's own)"),
    "depth": Option("whole", "N", "levels of a U-Net (default: the model's own)"),
    "option": Option(
        "pairs", "KEY=VALUE", "another option of the model, such as padding=valid; may come again"
    ),
    "epochs": Option("number", "N", "train so many epochs: times through all pictures (default: 20)"),
    "steps": Option("whole", "N", "train so many steps: one batch each"),
    "time": Option(
        "time", "TIME", "train about so long, such as 90s, 5m or 1h; measured first, then fixed as steps"
    ),
    "batch": Option("whole", "N", "pictures in a batch (default: 8)"),
    "crop": Option("pair", "SIZE", "cut pieces of this size out of the pictures, such as 128 or 96x128"),
    "augment": Option("text", "NAMES", "such as flip+rotate+scale+colour+elastic, or none (default: flip)"),
    "sampling": Option(
        "text",
        "KIND",
        "where pieces are cut out: anywhere; or classes, every second one where a class is that is drawn first, so "
        "that rare ones are seen (default: anywhere)",
    ),
    "optimizer": Option("text", "NAME", "adam, adamw or sgd (default: adam)"),
    "lr": Option("number", "RATE", "highest learning rate (default: 0.003; sgd: 0.05)"),
    "schedule": Option("text", "NAME", "constant, cosine, poly or step (default: cosine)"),
    "warmup": Option("whole", "N", "steps over which the learning rate rises at first (default: 0)"),
    "clip": Option("number", "LENGTH", "cut the gradients down to this length; 0: don't (default: 5)"),
    "loss": Option("text", "NAMES", "such as ce, dice, focal or ce+0.5*dice (default: ce)"),
    "weights": Option("text", "KIND", "weight the classes: median-frequency or inverse (default: all alike)"),
    "seed": Option("whole", "N", "of weights, order, augmentation and synthetic pictures (default: 0)"),
    "evaluate-every": Option(
        "whole",
        "N",
        "steps between evaluations (default: an epoch, with 20 of them at most; fewer of large pictures)",
    ),
    "save-every": Option("whole", "N", "steps between checkpoints (default: at each evaluation)"),
    "patience": Option("whole", "N", "stop after so many evaluations without a better mIoU (default: never)"),
    "count": Option(
        "whole", "N", "training pictures of a synthetic set (default: 256; sample-data writes 40)"
    ),
    "size": Option("pair", "SIZE", "size of the pictures of a synthetic set, such as 96 or 96x128"),
    "holdout": Option("number", "SHARE", "share of a folder's pictures kept for validation (default: 0.2)"),
    "threads": Option("whole", "N", "threads that prepare pictures (default: 2)"),
    "backend": Option("text", "NAME", "numba, numpy, reference or cupy (default: the best there is)"),
    "cuda-graph": Option(
        "flag", "", "on a GPU: record a training step once and repeat it (no GPU has tried this yet)"
    ),
    "out": Option("text", "DIR", "where runs go (default: runs)"),
    "name": Option("text", "NAME", "name of the run (default: data-model; never overwrites: name-2)"),
    "json": Option("flag", "", "print the final metrics as one JSON object on the last line"),
}

NOT_SETTINGS = ("out", "name", "json")
LONG = ("steps", "epochs", "time")  # three ways to say the same: one of them counts


def add(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Declare some of the flags, and ``--config``; a flag that isn't given leaves no trace."""
    for name in names:
        option = OPTIONS[name]
        if option.kind == "flag":
            parser.add_argument(f"--{name}", action="store_true", default=argparse.SUPPRESS, help=option.help)
            continue
        parser.add_argument(
            f"--{name}",
            type=READERS[option.kind],
            action="append" if option.kind == "pairs" else "store",
            metavar=option.metavar,
            default=argparse.SUPPRESS,
            help=option.help.replace("%", "%%"),
        )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="a TOML file that says what the flags can; flags come first",
    )
    parser.set_defaults(option_names=list(names))


def told(arguments: argparse.Namespace, extra: Iterable[str] = ()) -> dict[str, Any]:
    """Return what flags and TOML file say, by name with ``_``; flags win.

    Parameters
    ----------
    arguments
        What was parsed.
    extra
        Names that may stand in the file beside the flags', such as ``data``.
    """
    names = [name.replace("-", "_") for name in arguments.option_names]
    given = {
        name: getattr(arguments, name)
        for name in [*names, *extra]
        if getattr(arguments, name, None) is not None
    }
    if "option" in given:
        given["options"] = dict(given.pop("option"))
    file = _of_file(arguments.config, [*names, *extra]) if arguments.config else {}
    return {**_unless_told(file, given), **given}


def settings_of(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> Any:
    """Make :class:`Settings` of what was told and of a command's defaults."""
    from minisegnet.training.settings import Settings

    merged = {**_unless_told(defaults, values), **values}
    if "time" in merged:
        merged["seconds"] = merged.pop("time")
    return Settings.of({name: value for name, value in merged.items() if name not in NOT_SETTINGS})


def _unless_told(weaker: Mapping[str, Any], stronger: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out how long to train where something stronger says it in another way."""
    leave = LONG if any(name in stronger for name in LONG) else ()
    return {name: value for name, value in weaker.items() if name not in leave}


def _of_file(path: Path, names: list[str]) -> dict[str, Any]:
    """Read the TOML file; every name in it must be that of a flag."""
    from minisegnet.training.settings import read_toml

    values = {}
    known = [*("options" if name == "option" else name for name in names)]
    for key, value in read_toml(path).items():
        name = key.replace("-", "_")
        if name not in known:
            near = nearest(name, known)
            hint = f"; did you mean {near!r}?" if near else ""
            raise ValueError(f"{path}: there is no option {key!r} here{hint} Known: {', '.join(known)}")
        values[name] = _checked(
            path, key, value, "table" if name == "options" else OPTIONS_BY_NAME.get(name, "text")
        )
    return values


def _checked(path: Path, key: str, value: Any, kind: str) -> Any:
    """Return a value of the right kind; a text is read as the flag would be read where the file has no such kind."""
    right, expected = {
        "text": (isinstance(value, str), "a text"),
        "flag": (isinstance(value, bool), "true or false"),
        "whole": (type(value) is int and value >= 0, "a whole number of at least 0"),
        "number": (type(value) in (int, float), "a number"),
        "table": (isinstance(value, dict), "a table"),
        "pair": (type(value) is int or isinstance(value, str | list), "a size such as 96 or [96, 128]"),
        "time": (isinstance(value, str), 'a time such as "5m"'),
    }[kind]
    if not right:
        raise ValueError(f"{path}: {key} is {value!r}; expected {expected}")
    if isinstance(value, str) and kind in ("time", "pair"):
        try:
            return READERS[kind](value)
        except argparse.ArgumentTypeError as error:
            raise ValueError(f"{path}: {key}: {error}") from None
    return value


# ---------------------------------------------------------------------------------------------------------
# Reading words


def whole(text: str) -> int:
    """Read a whole number of at least 0."""
    if not re.fullmatch(r"\d{1,20}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def number(text: str) -> float:
    """Read a number."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def pair(text: str) -> tuple[int, int]:
    """Read a size: ``96`` or ``96x128``, height first.

    >>> pair("96"), pair("96x128")
    ((96, 96), (96, 128))
    """
    match = re.fullmatch(r"(\d{1,6})(?:x(\d{1,6}))?", text)
    if not match:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a size; expected one such as 96, or 96x128 (height x width)"
        )
    return int(match[1]), int(match[2] or match[1])


def duration(text: str) -> float:
    """Read a time in seconds.

    >>> duration("90"), duration("1.5m"), duration("1h")
    (90.0, 90.0, 3600.0)
    """
    match = re.fullmatch(r"(\d+\.?\d*)([smh]?)", text)
    if not match or float(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; expected one such as 90s, 5m or 1h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def key_value(text: str) -> tuple[str, Any]:
    """Read ``key=value``; the value becomes a number, true, false, none or whole numbers where it looks like that.

    >>> key_value("dropout=0.5"), key_value("padding=valid"), key_value("norm=none"), key_value("convolutions=2,1")
    (('dropout', 0.5), ('padding', 'valid'), ('norm', None), ('convolutions', (2, 1)))
    """
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an option; expected KEY=VALUE, such as padding=valid"
        )
    if value.lower() in ("true", "false", "none"):
        return key, {"true": True, "false": False, "none": None}[value.lower()]
    if re.fullmatch(r"\d{1,9}(,\d{1,9})+", value):
        return key, tuple(map(int, value.split(",")))
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return key, kind(value)
    return key, value


READERS: dict[str, Any] = {
    "text": str,
    "whole": whole,
    "number": number,
    "pair": pair,
    "time": duration,
    "pairs": key_value,
}
OPTIONS_BY_NAME = {name.replace("-", "_"): option.kind for name, option in OPTIONS.items()}
