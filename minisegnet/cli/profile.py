"""Show where the time and the memory of a training step go, layer by layer, forward and backward.

Times are medians after a warm-up in which kernels are compiled. Beside them stands what the machine could do at
best (the roofline): the speed of a matrix product and of a copy is measured, operations and bytes of each layer are
counted. The pictures are noise, so no data is needed.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minisegnet.cli.options import key_value, pair, whole

if TYPE_CHECKING:
    from minisegnet.profiling import Part, Profile

EXAMPLES = """\
examples:
  minisegnet profile --model unet --backend numba
  minisegnet profile --model segnet --width 32 --size 256 --batch 4 --out segnet.png
  minisegnet profile --json                    everything as one JSON object, for scripts
"""

COLUMNS = (
    f"{'layer':<38} {'forward':>8} {'backward':>8} {'share':>6} {'Mop':>8} {'MB':>7} {'op/byte':>7} {'of roof':>7} "
    f"{'limit':>8} {'keeps':>8} {'extra':>8}"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--model", default="unet", metavar="NAME", help="the model (default: unet)")
    parser.add_argument("--width", type=whole, metavar="N", help="channels of its first level")
    parser.add_argument("--depth", type=whole, metavar="N", help="levels of a U-Net")
    parser.add_argument(
        "--option",
        type=key_value,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another option of the model",
    )
    parser.add_argument("--classes", type=whole, default=4, metavar="N", help="classes (default: 4)")
    parser.add_argument(
        "--in-channels", type=whole, default=3, metavar="N", help="channels of the pictures (default: 3)"
    )
    parser.add_argument("--size", type=pair, default=(128, 128), help="of the pictures (default: 128)")
    parser.add_argument(
        "--batch", type=whole, default=8, metavar="N", help="pictures in a batch (default: 8)"
    )
    parser.add_argument(
        "--repeats", type=whole, default=7, metavar="N", help="steps that are timed (default: 7)"
    )
    parser.add_argument(
        "--backend", metavar="NAME", help="numba, numpy or reference (default: the best there is)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="draw a picture")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def run(arguments: argparse.Namespace) -> int:
    """Measure, tell, draw."""
    from minisegnet import viz
    from minisegnet.profiling import profile
    from minisegnet.profiling.drawing import draw_profile
    from minisegnet.training import Display
    from minisegnet.training.compiling import compilations
    from minisegnet.training.run import using_backend

    if arguments.out is not None and arguments.out.suffix.lower() != ".png":
        raise ValueError(f"--out is {str(arguments.out)!r}; expected a name that ends in .png")
    display = Display(quiet=arguments.json)
    with using_backend(arguments.backend), compilations(display.compiling):
        model = _model(arguments)
        found = profile(
            model, size=arguments.size, batch=arguments.batch, repeats=arguments.repeats, tell=display.say
        )
    H, W = arguments.size
    title = f"{arguments.model}, {arguments.batch} pictures of {H} x {W}, {found.backend}"
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        viz.save(draw_profile(found, title), arguments.out)
    print(json.dumps(as_dict(found)) if arguments.json else f"\n{title}\n\n{as_table(found)}")
    return 0


def _model(arguments: argparse.Namespace) -> Any:
    from minisegnet import models

    options = dict(arguments.option)
    if arguments.depth is not None:
        options["depth"] = arguments.depth
    try:
        return models.build(
            arguments.model,
            in_channels=arguments.in_channels,
            classes=arguments.classes,
            width=arguments.width,
            **options,
        )
    except TypeError as error:  # an option that it doesn't have is a wrong call, not a bug
        raise ValueError(str(error)) from None


# ---------------------------------------------------------------------------------------------------------
# The table


def as_table(found: "Profile") -> str:
    """Lay the profile out: a row for each part, then the sums."""
    lines = [COLUMNS, *(_row(part, found) for part in found.parts), ""]
    forward, backward = (sum(part.seconds[d] for part in found.parts) for d in ("forward", "backward"))
    machine = found.machine
    lines += [
        f"all parts {1e3 * (forward + backward):.1f} ms: forward {1e3 * forward:.1f}, backward {1e3 * backward:.1f}",
        f"a whole step {1e3 * found.step:.1f} ms (watched: {1e3 * found.watched:.1f}); in no part "
        f"{1e3 * found.rest:.1f} ms: the tape, sums of gradients, Python between the layers",
        f"memory: parameters {_megabytes(found.parameter_bytes)} MB; kept for the backward "
        f"{_megabytes(found.kept_bytes)} MB; most during a step {_megabytes(found.peak_bytes)} MB",
        f"machine: {machine.flops / 1e9:.1f} billion operations a second (matrix product), "
        f"{machine.bandwidth / 1e9:.1f} GB a second (copy); they meet at {machine.ridge:.1f} operations a byte",
        "",
        "forward, backward: ms. Mop, MB: million operations, and bytes that must move, both ways. of roof: the",
        "shortest time that the machine allows, as a share of that which it took (above 100 %: data was in a cache).",
        "limit: what the roof is made of. keeps: MB for the backward. extra: most MB beyond what there was before.",
    ]
    return "\n".join(lines)


def _row(part: "Part", found: "Profile") -> str:
    from minisegnet.viz.page import shorten

    work = part.work["forward"].plus(part.work["backward"])
    counted = bool(work.flops or work.bytes)
    roof = f"{100 * share_of_roof(part, found):.0f} %" if counted and part.total > 0 else "-"
    limit = ("memory" if work.intensity < found.machine.ridge else "sums") if counted else "-"
    name = f"{shorten(part.owner.title, 24)} {shorten(part.owner.kind, 13)}"
    whole = sum(p.total for p in found.parts)
    return (
        f"{name:<38} {1e3 * part.seconds['forward']:>8.2f} {1e3 * part.seconds['backward']:>8.2f} "
        f"{100 * part.total / whole:>4.0f} % {work.flops / 1e6:>8.1f} {work.bytes / 1e6:>7.1f} {work.intensity:>7.2f} "
        f"{roof:>7} {limit:>8} {_megabytes(part.kept_bytes):>8} {_megabytes(max(part.peak_bytes.values())):>8}"
    )


def share_of_roof(part: "Part", found: "Profile") -> float:
    """Return the shortest possible time of a part, as a share of the time that it took."""
    shortest = sum(found.machine.shortest(*work) for work in part.work.values())
    return shortest / part.total


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f}"


def as_dict(found: "Profile") -> dict[str, Any]:
    """Return everything as plain data."""
    return {
        "backend": found.backend,
        "step_s": found.step,
        "watched_step_s": found.watched,
        "parts_s": sum(part.total for part in found.parts),
        "rest_s": found.rest,
        "parameter_bytes": found.parameter_bytes,
        "kept_bytes": found.kept_bytes,
        "peak_bytes": found.peak_bytes,
        "machine": found.machine._asdict(),
        "parts": [_part_as_dict(part) for part in found.parts],
    }


def _part_as_dict(part: "Part") -> dict[str, Any]:
    return {
        "name": part.owner.name,
        "kind": part.owner.kind,
        "call": part.owner.call,
        "output": list(part.output),
        "output_bytes": part.output_bytes,
        "kept_bytes": part.kept_bytes,
        **{
            direction: {
                "s": part.seconds[direction],
                **part.work[direction]._asdict(),
                "peak_bytes": part.peak_bytes[direction],
            }
            for direction in part.seconds
        },
    }
