"""List the models: what each is, its parameters, its receptive field and the size of its result.

With NAME, show that model: its figure, its options and what every layer does to a picture. Nothing is computed but
shapes, so that it takes no time at any size.
"""

import argparse
import importlib
import inspect
import json
import re
import textwrap
import unicodedata
from collections.abc import Iterable
from typing import Any

from minisegnet.cli.options import pair, whole

EXAMPLES = """\
examples:
  minisegnet models                             all of them, for pictures of 96 x 96
  minisegnet models --size 360x480 --classes 12
  minisegnet models unet                        one of them, layer by layer
  minisegnet models unet --width 64 --depth 4   as large as the paper's
  minisegnet models --json                      a list of objects on one line, for scripts
"""

SUMMARIES = {
    "fcn32s": "scores every 32 pixels, made 32 times larger",
    "fcn16s": "FCN-32s, made finer by the scores of pool4",
    "fcn8s": "FCN-16s, made finer by the scores of pool3",
    "segnet": "puts values back where the maxima stood",
    "segnet-basic": "SegNet with one 7x7 convolution a level",
    "deconvnet": "SegNet's idea, through a narrow waist",
    "unet": "hands the whole map across at each level",
    "patch": "labels the centre pixel of one window",
}
COLUMNS = 100  # as wide as the text gets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="show this model in detail")
    parser.add_argument(
        "--size", type=pair, default=(96, 96), help="of the picture, such as 96 or 96x128 (default: 96)"
    )
    parser.add_argument(
        "--classes", type=whole, default=21, metavar="N", help="number of classes (default: 21)"
    )
    parser.add_argument(
        "--in-channels", type=whole, default=3, metavar="N", help="channels of the picture (default: 3)"
    )
    parser.add_argument(
        "--width", type=whole, metavar="N", help="channels of the first level (default: the model's own)"
    )
    parser.add_argument(
        "--depth", type=whole, metavar="N", help="levels, for models that take it (default: the model's own)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print a list of objects on one line instead of the text"
    )


def run(arguments: argparse.Namespace) -> int:
    """Describe one model or all, print it and return the exit code."""
    from minisegnet import ops
    from minisegnet.sizes import as_pair

    as_pair(arguments.size, "size", 1)
    with ops.use_backend(
        "numpy"
    ):  # whatever is in use: for weights that nobody fills, no other need be loaded
        found = describe_all(arguments) if arguments.name is None else [describe_one(arguments)]
    if arguments.json:
        text = json.dumps(found)
    else:
        text = as_table(found, arguments) if arguments.name is None else as_page(found[0], arguments)
    print(text)
    return 0


# ---------------------------------------------------------------------------------------------------------
# What is there


def describe_all(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Collect what the list says of each model; options that a model doesn't have are left out."""
    from minisegnet import models

    found = []
    for name in models.names():
        known = options_of(model_class(name))
        given = {option: value for option, value in _given(arguments).items() if option in known}
        found.append(_facts(name, _build(name, arguments, given), given, arguments))
    return found


def describe_one(arguments: argparse.Namespace) -> dict[str, Any]:
    """Collect what the page of one model says: the facts of the list, its options and its layers."""
    name, given = arguments.name, _given(arguments)
    known = options_of(model_class(name))
    for option in given:
        if option not in known:
            raise ValueError(f"{name} has no option {option}; its options: {', '.join(known)}")
    model = _build(name, arguments, given)
    model.output_size(arguments.size)  # where the picture doesn't fit, it says why
    facts = _facts(name, model, given, arguments)
    return facts | {"options": {**known, **given}, "layers": _layers(model, arguments)}


def model_class(name: str) -> type:
    """Find the class of a model, or raise what ``models.build`` says of an unknown name."""
    from minisegnet import models

    if name not in models.MODELS:
        models.build(name, classes=1)  # raises, with the name that may have been meant
    file, class_name = models.MODELS[name]
    found: type = getattr(importlib.import_module(f"minisegnet.models.{file}"), class_name)
    return found


def options_of(kind: type) -> dict[str, Any]:
    """Return the options that a model takes, with their defaults."""
    parameters = inspect.signature(kind).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def _given(arguments: argparse.Namespace) -> dict[str, int]:
    return {name: value for name in ("width", "depth") if (value := getattr(arguments, name)) is not None}


def _build(name: str, arguments: argparse.Namespace, options: dict[str, int]) -> Any:
    """Build a model whose weights nobody fills."""
    from minisegnet import models

    try:
        return models.build(
            name, in_channels=arguments.in_channels, classes=arguments.classes, initialise=False, **options
        )
    except MemoryError:
        raise ValueError(
            f"{name} would need more memory than there is; ask for less width or depth"
        ) from None


def _facts(name: str, model: Any, given: dict[str, int], arguments: argparse.Namespace) -> dict[str, Any]:
    from minisegnet.sizes import receptive_field

    field = receptive_field(model.layers())
    try:
        result, problem = list(model.output_size(arguments.size)), None
    except ValueError as error:
        result, problem = None, str(error)
    return {
        "name": name,
        "summary": SUMMARIES[name],
        "parameters": model.parameter_count(),
        "receptive_field": list(field.size),
        "stride": [float(step) for step in field.stride],
        "size": list(arguments.size),
        "result": result,
        "problem": problem,
        "given": given,
    }


def _layers(model: Any, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Trace the model; of the patch classifier, one patch, which is all that its layers ever see."""
    from minisegnet.models.draw import trace

    try:
        blocks = trace(model, getattr(model, "patch", arguments.size))
    except MemoryError:
        size = _size(arguments.size)
        raise ValueError(
            f"maps for a picture of {size} need more memory than there is; ask for less"
        ) from None
    return [
        {
            "name": block.name,
            "kind": block.kind,
            "channels": block.channels,
            "size": list(block.size),
            "parameters": block.parameters,
        }
        for block in blocks
    ]


# ---------------------------------------------------------------------------------------------------------
# The list as text


def as_table(found: list[dict[str, Any]], arguments: argparse.Namespace) -> str:
    """Lay the list out for reading."""
    rows = [("model", "parameters", "receptive field", "labels", "what it is")]
    for facts in found:
        labels = _size(facts["result"]) if facts["result"] else "doesn't fit"
        field = _size(facts["receptive_field"])
        rows.append((facts["name"], f"{facts['parameters']:,}", field, labels, facts["summary"]))
    notes = [
        "Receptive field: the pixels of the picture that one label depends on, at most (height x width)."
    ]
    notes += [note for facts in found for note in _notes(facts)]
    for option, value in _given(arguments).items():
        takers = [facts["name"] for facts in found if option in facts["given"]]
        if len(takers) < len(found):
            notes.append(f"--{option} {value} is for {', '.join(takers)}; the others don't take it.")
    notes.append("minisegnet models NAME shows one of them, layer by layer.")
    heading = f"For a {_picture(arguments)}:"
    return "\n".join([heading, "", *_aligned(rows, "lrrrl"), "", *_wrapped(notes)])


def _notes(facts: dict[str, Any]) -> list[str]:
    """Say what is unusual about the size of the result."""
    if facts["problem"]:
        return [f"{facts['name']}: {facts['problem']}."]
    if facts["result"] == facts["size"]:
        return []
    step = _size([int(step) for step in facts["stride"]])
    every = "" if step == "1 x 1" else f" one for every {step}, and"
    return [f"{facts['name']} gives fewer labels than there are pixels:{every} none along the border."]


def _picture(arguments: argparse.Namespace) -> str:
    channels, classes = arguments.in_channels, arguments.classes
    return (
        f"picture of {_size(arguments.size)} with {channels} channel{'s' * (channels != 1)}, "
        f"and {classes} class{'es' * (classes != 1)}"
    )


# ---------------------------------------------------------------------------------------------------------
# The page of one model


def as_page(facts: dict[str, Any], arguments: argparse.Namespace) -> str:
    """Lay out one model for reading: figure, options, layers."""
    kind = model_class(facts["name"])
    title = f"{facts['name']}: {facts['summary']}"
    one_patch = "patch" in facts["options"]
    subject = f"patch of the {_picture(arguments)}" if one_patch else _picture(arguments)
    lines = [title, "=" * len(title), "", *figure_of(kind), "", "Options", *_option_lines(kind, facts), ""]
    lines += [f"Layers, for a {subject}", *_layer_lines(facts), ""]
    result = f"{_size(facts['result'])} labels for {_size(facts['size'])} pixels."
    lines += [f"Receptive field: {_size(facts['receptive_field'])} pixels, at most, for one label.", result]
    more = f"The whole text: python -m pydoc {kind.__module__}.{kind.__qualname__}"
    return "\n".join([*lines, *_wrapped(_notes(facts)), more])


def figure_of(kind: type) -> list[str]:
    """Cut the figure, and the words that introduce it, out of the docstring of a class or of its base."""
    for base in kind.__mro__:
        before, mark, after = _docstring(base).partition("::\n")
        if mark:
            words = _plain(before.rpartition("\n\n")[2]) + ":"
            lines = after.strip("\n").split("\n")
            end = next((i for i, line in enumerate(lines) if line and not line.startswith(" ")), len(lines))
            figure = textwrap.dedent("\n".join(lines[:end])).rstrip()
            return [*_wrapped([words]), "", *figure.split("\n")]
    return []


def meanings_of(kind: type) -> dict[str, str]:
    """Read from the docstrings what each option means; a class that says "as in" its base leaves it to the base."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        section = re.search(r"^Parameters\n-+\n(.*?)(?=\n\n|\Z)", _docstring(base), re.DOTALL | re.MULTILINE)
        for entry in re.split(r"\n(?=\S)", section[1]) if section else []:
            names, _, words = entry.partition("\n")
            words = _plain(" ".join(words.split()))
            if not words.startswith("As in "):
                found |= dict.fromkeys(names.split(", "), words)
    return found


def _docstring(kind: type) -> str:
    return inspect.cleandoc(vars(kind).get("__doc__") or "")


def _plain(words: str) -> str:
    """Take the markup away."""
    return re.sub(
        r":\w+:`([^`]*)`|``(.*?)``|\*(\w+)\*", lambda match: next(filter(None, match.groups())), words
    )


def _option_lines(kind: type, facts: dict[str, Any]) -> list[str]:
    """Tell every option, its default or what was given instead, and its meaning."""
    defaults, meanings = options_of(kind), meanings_of(kind)
    rows = []
    for name, default in defaults.items():
        value = f"{facts['given'][name]} (default {default})" if name in facts["given"] else str(default)
        rows.append((name, value))
    lines = []
    for (name, _), start in zip(rows, _aligned(rows, "ll", keep=True), strict=True):
        meaning = textwrap.wrap(meanings.get(name, ""), COLUMNS - len(start) - 4) or [""]
        lines += [f"  {start}  {meaning[0]}".rstrip()]
        lines += [" " * (len(start) + 4) + more for more in meaning[1:]]
    return lines


def _layer_lines(facts: dict[str, Any]) -> list[str]:
    """Make the table of layers; what changes neither shape nor parameters joins the row before."""
    rows = [["layer", "kind", "channels", "size", "parameters"]]
    for layer in facts["layers"]:
        if layer["kind"] in ("activation", "dropout") and len(rows) > 1:
            rows[-1][1] += f", {layer['kind']}"
            continue
        parameters = f"{layer['parameters']:,}" if layer["parameters"] else "-"
        rows.append(
            [layer["name"], layer["kind"], f"{layer['channels']:,}", _size(layer["size"]), parameters]
        )
    rows.append(["total", "", "", "", f"{facts['parameters']:,}"])
    return ["  " + line for line in _aligned(rows, "llrrr")]


# ---------------------------------------------------------------------------------------------------------
# Text


def _size(size: Iterable[int]) -> str:
    return " x ".join(str(length) for length in size)


def _aligned(rows: Iterable[Iterable[str]], sides: str, *, keep: bool = False) -> list[str]:
    """Bring columns into line, each to the left (l) or to the right (r); ``keep`` the spaces at the end."""
    cells = [list(row) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(sides))]
    lines = []
    for row in cells:
        placed = [
            cell.ljust(width) if side == "l" else cell.rjust(width)
            for cell, width, side in zip(row, widths, sides, strict=True)
        ]
        lines.append("  ".join(placed))
    return lines if keep else [line.rstrip() for line in lines]


def _wrapped(paragraphs: Iterable[str]) -> list[str]:
    """Break paragraphs into lines; a Korean letter is two columns wide, so that lines with some are kept shorter."""
    lines = []
    for words in paragraphs:
        wide = sum(unicodedata.east_asian_width(letter) == "W" for letter in words)
        lines += textwrap.wrap(words, COLUMNS - wide)
    return lines
