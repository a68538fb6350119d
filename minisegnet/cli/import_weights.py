"""Make a run of weights that were trained in PyTorch, for predict, evaluate and export.

FILE is a state_dict that was saved as safetensors. Its names must be those of our model (minisegnet's models have
PyTorch's names, such as encoder.0.0.weight), or become so by --rename. Channels, classes and width are read from the
shapes. A PyTorch file (.pt, .pth) is never opened; the message says how to convert it.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minisegnet.cli import options

if TYPE_CHECKING:
    from minisegnet.data.statistics import Normalisation
    from minisegnet.nn import Module
    from minisegnet.weights import Fit, Weights

EXAMPLES = """\
examples:
  minisegnet import weights.safetensors --model unet --classes background,cell --out runs/cells
  minisegnet import weights.safetensors --model fcn8s --option norm=none --normalisation imagenet
  minisegnet import vgg16.safetensors --model fcn32s --option norm=none --partial \\
      --rename features=backbone.features --rename classifier.0=fc6 --rename classifier.3=fc7 --classes 21
"""

KINDS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # as torchvision's models have it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", metavar="FILE", type=Path, help="weights, saved as safetensors")
    parser.add_argument("--model", required=True, metavar="NAME", help=options.OPTIONS["model"].help)
    parser.add_argument("--width", type=options.whole, metavar="N", help="channels of its first level")
    parser.add_argument("--depth", type=options.whole, metavar="N", help=options.OPTIONS["depth"].help)
    parser.add_argument(
        "--option",
        type=options.key_value,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=options.OPTIONS["option"].help,
    )
    parser.add_argument(
        "--classes",
        metavar="NAMES",
        help="such as background,cat,dog, or a number, or a file with a name a line",
    )
    parser.add_argument(
        "--normalisation",
        default="none",
        metavar="KIND",
        help="how pictures from 0 to 1 were prepared: none, imagenet, or MEAN/STD such as 0.5,0.5,0.5/0.2,0.2,0.2 "
        "(default: none)",
    )
    parser.add_argument(
        "--ignore-index", type=options.whole, metavar="N", help="the label that doesn't count (default: none)"
    )
    parser.add_argument(
        "--rename",
        type=renaming,
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="rewrite the beginning of names; may come again",
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help="take what fits; what is missing keeps its first, untrained numbers",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run to make (default: runs/FILE-MODEL)")


def run(arguments: argparse.Namespace) -> int:
    """Read, fit, tell each name, and write the run."""
    from minisegnet import weights
    from minisegnet.training import checkpoint, run_folder

    found = weights.read(arguments.file)
    told = _model(arguments, found)
    facts = _facts(arguments, told)
    model = _built(told)
    try:
        fit = weights.fit(model, found.arrays, rename=arguments.rename, partial=arguments.partial)
    except ValueError as error:
        raise ValueError(f"{arguments.file}: {error}") from None
    model.load_state_dict(fit.state, strict=not arguments.partial)
    folder = _folder(arguments)
    arrays = {f"model.{name}": array for name, array in model.state_dict().items()}
    checkpoint.save(folder / run_folder.BEST, arrays, facts)
    print("\n".join(_account(found, fit)))
    mean, std = (", ".join(f"{v:g}" for v in facts["normalisation"][key]) for key in ("mean", "std"))
    print(
        f"{told['name']}: channels {told['in_channels']}, classes {told['classes']}: "
        f"{', '.join(facts['class_names'])}\n"
        f"pictures: floats from 0 to 1, minus {mean}, divided by {std}\n"
        f"{folder} is a run now. To label pictures: minisegnet predict {folder} PICTURE"
    )
    return 0


def renaming(text: str) -> tuple[str, str]:
    """Read ``old=new``.

    >>> renaming("features=backbone.features")
    ('features', 'backbone.features')
    """
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no renaming; expected OLD=NEW, such as features=encoder"
        )
    return old.rstrip("."), new.rstrip(".")


def _model(arguments: argparse.Namespace, found: "Weights") -> dict[str, Any]:
    """Say which model it is, in the words of a checkpoint; what isn't told is read from the shapes."""
    from minisegnet import weights

    names = weights.renamed(found.arrays, arguments.rename)
    by_new_name = {new: found.arrays[old] for old, new in names.items()}
    extra = dict(arguments.option)
    if arguments.depth is not None:
        extra["depth"] = arguments.depth
    given = {} if arguments.width is None else {"width": arguments.width}
    if arguments.classes is not None and arguments.partial:  # the score layers may be new ones
        given["classes"] = len(class_names(arguments.classes))
    sizes = given | weights.size_of_model(arguments.model, by_new_name, **given, **extra)
    if arguments.partial and "classes" not in sizes:
        raise ValueError(
            f"{arguments.file} has no score layers, so that it doesn't say how many classes there are; say --classes"
        )
    width = {"width": sizes["width"]} if "width" in sizes else {}
    return {
        "name": arguments.model,
        "in_channels": sizes.get("in_channels", 3),  # where nothing fits, the next step says so
        "classes": sizes.get("classes", 1),
        "options": {**width, **extra},
    }


def _built(told: dict[str, Any]) -> "Module":
    from minisegnet import models

    return models.build(
        told["name"], in_channels=told["in_channels"], classes=told["classes"], **told["options"]
    )


def _folder(arguments: argparse.Namespace) -> Path:
    """Make the run's folder; one that holds a run already is left alone."""
    from minisegnet.training import run_folder

    out: Path | None = arguments.out
    if out is None:
        return run_folder.new_run("runs", f"{arguments.file.stem}-{arguments.model}")
    if any((out / name).exists() for name in (run_folder.BEST, run_folder.LAST)):
        raise ValueError(f"{out} is a run already, and is never overwritten; name another folder by --out")
    out.mkdir(parents=True, exist_ok=True)
    return out


def _account(found: "Weights", fit: "Fit") -> list[str]:
    """Say of each array where it went and what was done to it."""
    lines = []
    for name, source in fit.sources.items():
        kind, array = found.kinds[source], fit.state[name]
        done = f"{KINDS[kind]} to float32" if kind != "F32" else ""
        if name in fit.reshaped:
            done = f"{done}, " * bool(done) + f"dense {fit.reshaped[name][0]} to a convolution"
        origin = f" from {source}" if source != name else ""
        lines.append(f"  {name} {array.shape}{origin}{f' ({done})' if done else ''}")
    lines += [f"  {name}: not in the file, keeps its first numbers" for name in fit.missing]
    lines += [f"  left over: {name}" for name in fit.left_over]
    kinds = sorted({found.kinds[source] for source in fit.sources.values()} - {"F32"})
    counts = [
        f"{len(fit.sources)} arrays taken",
        f"{len(fit.missing)} missing",
        f"{len(fit.left_over)} left over",
    ]
    if found.left_out:
        counts.append(f"{len(found.left_out)} counters ignored")
    lines.append(", ".join(counts))
    if {"F16", "BF16"} & set(kinds):
        lines.append("16-bit floats became float32: exactly, but what they had lost before stays lost")
    return lines


def _facts(arguments: argparse.Namespace, told: dict[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint tells beside the weights."""
    from minisegnet import __version__
    from minisegnet.data.palettes import default_palette

    normalisation = normalisation_of(arguments.normalisation, told["in_channels"])
    return {
        "version": __version__,
        "model": told,
        "class_names": class_names(arguments.classes, told["classes"]),
        "palette": [list(colour) for colour in default_palette(told["classes"])],
        "ignore_index": arguments.ignore_index,
        "normalisation": {"mean": list(normalisation.mean), "std": list(normalisation.std)},
        "settings": {"data": f"(what {arguments.file.name} was trained on)"},
        "imported": arguments.file.name,
        "step": 0,
    }


def class_names(text: str | None, count: int = 0) -> list[str]:
    """Read class names: separated by commas, one a line of a file, or a number of classes without names.

    >>> class_names("sky,sea", 2), class_names("2"), class_names(None, 2)
    (['sky', 'sea'], ['0', '1'], ['0', '1'])
    """
    if text is None or text.isdecimal():
        names = list(map(str, range(count if text is None else int(text))))  # as of folders that name none
    elif Path(text).is_file():
        from minisegnet.data.descriptions import read_classes, read_text

        names = list(read_classes(Path(text), read_text(Path(text))).class_names or ())
    else:
        names = [name.strip() for name in text.split(",")]
    if count and len(names) != count:
        raise ValueError(f"--classes tells {len(names)} classes; the weights have {count}")
    if not names or not all(names) or len(set(names)) != len(names):
        raise ValueError(f"--classes is {text!r}; expected different names, such as background,cat,dog")
    return names


def normalisation_of(text: str, channels: int) -> "Normalisation":
    """Read a normalisation; one number stands for all channels.

    >>> normalisation_of("0.5/0.25", 2)
    Normalisation(mean=(0.5, 0.5), std=(0.25, 0.25))
    """
    from minisegnet.data.statistics import Normalisation

    mean, std = (
        IMAGENET if text == "imagenet" else ((0.0,), (1.0,)) if text == "none" else _mean_and_std(text)
    )
    if len(mean) == len(std) == 1:
        mean, std = mean * channels, std * channels
    if not len(mean) == len(std) == channels:
        raise ValueError(
            f"--normalisation {text} is for {len(mean)} channels; the weights are for {channels}. Give as many "
            "means and deviations: MEAN,MEAN.../STD,STD..."
        )
    return Normalisation(mean, std)


def _mean_and_std(text: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean, slash, std = text.partition("/")
    try:
        means, deviations = (tuple(options.number(n) for n in part.split(",")) for part in (mean, std))
    except argparse.ArgumentTypeError:
        slash = ""
    if not slash or len(means) != len(deviations) or min(deviations) <= 0:
        raise ValueError(
            f"--normalisation is {text!r}; expected none, imagenet, or as many means as deviations above 0, such as "
            "0.5,0.5,0.5/0.2,0.2,0.2"
        )
    return means, deviations
