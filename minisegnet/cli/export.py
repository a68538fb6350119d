"""Write a trained model as an ONNX file, which many other programs can run.

RUN is the folder of a run (its best checkpoint is taken) or a checkpoint file. The file takes pictures as floats from 0
to 1, of shape (batch, channels, height, width), and returns a score for each class and pixel. Normalisation is
part of it; names and colours of the classes are in its metadata. Where the model allows it, any height and width fit
that are so many steps from --size; the last lines say which.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minisegnet.cli import options

if TYPE_CHECKING:
    from minisegnet.arrays import Array
    from minisegnet.export import Network
    from minisegnet.predictor import Predictor

EXAMPLES = """\
examples:
  minisegnet export runs/demo-unet unet.onnx --verify          write it, run it, compare the numbers
  minisegnet export runs/mine model.onnx --argmax              labels in place of scores
  minisegnet export runs/mine model.onnx --size 480x640 --one-size
"""

SIZE = (256, 256)  # unless told: most steps divide it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run_or_checkpoint", metavar="RUN", help="folder of a run, or a checkpoint file")
    parser.add_argument("file", metavar="FILE", type=Path, help="the file to write, such as model.onnx")
    parser.add_argument(
        "--size", type=options.pair, metavar="SIZE", help="a picture's size (default: 256x256)"
    )
    parser.add_argument("--one-size", action="store_true", help="that size and no other")
    parser.add_argument("--argmax", action="store_true", help="return labels in place of scores")
    parser.add_argument(
        "--no-normalisation", action="store_true", help="leave it out: pictures then come normalised"
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="run the file in ONNX Runtime and compare; the exit code is 1 where it differs by more than 0.0001",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there already")


def run(arguments: argparse.Namespace) -> int:
    """Export, tell what was written, and verify."""
    from minisegnet import export
    from minisegnet.predictor import load

    file: Path = arguments.file
    if file.exists() and not arguments.overwrite:
        raise ValueError(f"{file} is there already; name another file, or say --overwrite")
    if not file.parent.is_dir():
        raise ValueError(f"{file} can't be written: there is no folder {file.parent}; make it first")
    predictor = load(arguments.run_or_checkpoint)
    told = dict(predictor.facts["model"])
    network = export.to_onnx(
        predictor.model,
        file,
        input_shape=(1, predictor.channels, *(arguments.size or _default_size(predictor.model))),
        normalisation=None if arguments.no_normalisation else predictor.normalisation,
        argmax=arguments.argmax,
        class_names=predictor.class_names,
        palette=predictor.palette,
        facts=_facts(predictor),
        any_size=not arguments.one_size,
    )
    kind = "already normalised" if arguments.no_normalisation else "from 0 to 1"
    print(
        f"{file}: {told['name']}, opset {export.OPSET}, {len(network.graph.nodes)} nodes, "
        f"{file.stat().st_size / 1e6:.1f} MB\n"
        f"image {_shape(network.inputs['image'])}: float32, {kind}\n"
        f"{'labels' if arguments.argmax else 'scores'} {_shape(network.output_shape)}\n{network.sizes}"
    )
    return _verify(arguments, predictor, network) if arguments.verify else 0


def _default_size(model: Any) -> tuple[int, int]:
    if getattr(model, "padding", "same") == "valid":  # only some sizes fit
        size: tuple[int, int] = model.input_size_for(SIZE)
        return size
    return SIZE


def _facts(predictor: "Predictor") -> dict[str, str]:
    import json

    facts = {"model": json.dumps(predictor.facts["model"])}
    if predictor.ignore_index is not None:
        facts["ignore_index"] = str(predictor.ignore_index)
    return facts


def _shape(shape: tuple[int | str, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"


# ---------------------------------------------------------------------------------------------------------
# Verifying


def _verify(arguments: argparse.Namespace, predictor: "Predictor", network: "Network") -> int:
    from minisegnet.export.verification import LIMIT, scores_function, verify

    bare = arguments.no_normalisation
    scores_of = scores_function(predictor.model, None if bare else lambda x: _normalised(predictor, x))
    found = verify(arguments.file, scores_of, _cases(predictor, network, normalised=bare))
    for case in found:
        size = " x ".join(map(str, case.shape))
        print(
            f"{case.name}, {size}: largest difference {case.difference:.1e} (scores up to {case.largest:.3g})"
            + (
                f"; {case.ties} pooling windows with equal values, of which it took another"
                if case.ties
                else ""
            )
        )
    if all(case.good for case in found):
        print(
            f"verified in ONNX Runtime: no difference above {LIMIT:g} (for scores beyond 1: times the largest)"
        )
        return 0
    raise ValueError(
        f"{arguments.file} is written, but gives other numbers than the model: see above; expected at most {LIMIT:g}"
    )


def _cases(
    predictor: "Predictor", network: "Network", *, normalised: bool
) -> "Iterator[tuple[str, dict[str, Array]]]":
    """Yield random numbers and drawn pictures, of two sizes where more than one fits."""
    import numpy as np

    from minisegnet.data import Synthetic

    rng = np.random.default_rng(0)
    (H, W), (a, b) = network.size, network.step or (0, 0)
    sizes = [(2, H, W)] + ([(1, H + a, W + 2 * b)] if network.step else [])
    for N, h, w in sizes:
        x = rng.random((N, predictor.channels, h, w), np.float32)
        yield "random numbers", {"image": _normalised(predictor, x) if normalised else x}
    for N, h, w in sizes:
        drawn = Synthetic("shapes", count=N, size=(max(h, 32), max(w, 32)))
        pictures = np.stack([sample.image for sample in drawn])[:, :h, :w]  # (N, h, w, 3)
        channels = np.arange(predictor.channels) % 3
        x = np.ascontiguousarray(np.moveaxis(pictures[..., channels], 3, 1) / np.float32(255))
        yield "drawn pictures", {"image": _normalised(predictor, x) if normalised else x}


def _normalised(predictor: "Predictor", x: "Array") -> "Array":
    import numpy as np

    mean, std = (np.array(values, np.float32)[:, None, None] for values in predictor.normalisation)
    result: Array = (x - mean) / std
    return result
