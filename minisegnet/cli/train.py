"""Train a model on a synthetic set or on a folder of pictures and masks.

DATA is shapes, cells or streets, or a folder with images/ and masks/ in it: pairs by the name of the file, each pixel
of a mask the number of its class. Folders of PASCAL VOC, CamVid, Oxford-IIIT Pet, COCO and labelme are taken as they
come (docs/layouts.md). Everything goes into a folder of its own, runs/DATA-MODEL: the checkpoints
best.safetensors and last.safetensors, the settings, the metrics as tables, and pictures of the curves, of sample
predictions and of what was taken for what.

Ctrl-C finishes the step and saves; --resume goes on from there, bit for bit as if it had never stopped.
"""

import argparse
from pathlib import Path
from typing import Any

from minisegnet.cli import options

EXAMPLES = """\
examples:
  minisegnet train shapes                            a U-Net, 20 epochs: some minutes
  minisegnet train my-folder --time 10m --crop 128   as much as fits into ten minutes
  minisegnet train streets --model segnet --augment flip+scale+colour --loss ce+dice
  minisegnet train --resume runs/shapes-unet         go on where it stopped
  minisegnet train --config runs/shapes-unet/settings.toml --seed 1
"""

ON_RESUME = (
    "data",
    "steps",
    "epochs",
    "patience",
    "save_every",
    "threads",
    "backend",
    "cuda_graph",
    "json",
)  # all that may change


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "data", nargs="?", metavar="DATA", help="shapes, cells, streets, or a folder (default: shapes)"
    )
    parser.add_argument(
        "--resume",
        metavar="RUN",
        help="go on with this run; of the rest only DATA (where it was moved to), --steps, --epochs, --patience, "
        "--save-every, --threads, --backend and --cuda-graph may change",
    )
    options.add(parser, options.OPTIONS)


def run(arguments: argparse.Namespace) -> int:
    """Train, evaluate, tell."""
    from minisegnet.training import Display, resume, start

    told = options.told(arguments, ["data"])
    display = Display()
    if arguments.resume is not None:
        result = resume(arguments.resume, display, **_changes(told))
    else:
        settings = options.settings_of(told, {"data": "shapes"})
        _check(settings.data)
        result = start(settings, display, out=told.get("out", "runs"), name=told.get("name"))
    return report(result, display, as_json=told.get("json", False))


def _check(data: str) -> None:
    """Look through a folder first, so that all that is wrong with it is told at once, and before it takes time."""
    from minisegnet.data.checking.check import refuse_broken
    from minisegnet.data.synthetic import KINDS

    if data not in KINDS and Path(data).is_dir():
        refuse_broken(data)


def report(result: Any, display: Any, *, as_json: bool) -> int:
    """Tell what a run came to; return the exit code."""
    from minisegnet.cli.summary import as_json_line, next_steps
    from minisegnet.training.run import resume_command

    if result.evaluation is None:
        display.say(f"Stopped and saved. Go on with:\n  {resume_command(result.run)}")
        return 130
    if result.outcome == "no progress":
        display.say("Stopped early: nothing got better for as many evaluations as --patience allows.")
    display.say(f"\n{result.evaluation.report().table()}\n")
    display.say(next_steps(result))
    if as_json:
        print(as_json_line(result), flush=True)
    return 0


def _changes(told: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that a resumed run may change, or say which may not."""
    fixed = [name for name in told if name not in ON_RESUME]
    if fixed:
        raise ValueError(
            f"--resume goes on with the run's own settings: {', '.join(fixed)} can't be changed, only "
            f"{', '.join(ON_RESUME)}. For another training leave --resume out"
        )
    return {name: value for name, value in told.items() if name != "json"}
