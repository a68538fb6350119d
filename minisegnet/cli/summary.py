"""What is told at the end of a training or an evaluation."""

import json
import shlex
from typing import TYPE_CHECKING, Any

from minisegnet.data.synthetic import KINDS
from minisegnet.training.run import program as words_of_program

if TYPE_CHECKING:
    from minisegnet.metrics import Evaluation
    from minisegnet.training import Result, Settings

KEPT = (
    "model",
    "width",
    "depth",
    "batch",
    "crop",
    "sampling",
    "optimizer",
    "lr",
    "loss",
    "weights",
    "holdout",
    "seed",
)
SPLITS = {
    "test": "test pictures, which neither training nor the choice of the best model has seen",
    "val": "validation pictures, by which the best model was chosen",
}


def metrics(evaluation: "Evaluation") -> dict[str, Any]:
    """Return the final metrics for a script; what is not a number is null."""
    values = evaluation.report().as_dict()
    return {
        "miou": values["miou"],
        "pixel_accuracy": values["pixel_accuracy"],
        "iou": values["iou"],
        **{name: value for name, value in values.items() if name not in ("miou", "pixel_accuracy", "iou")},
    }


def as_json_line(result: "Result") -> str:
    """Write what a run came to as one line of JSON."""
    assert result.evaluation is not None
    return json.dumps(
        {
            **metrics(result.evaluation),
            "split": result.split,
            "seconds": round(result.seconds, 2),
            "run": str(result.run),
            "outcome": result.outcome,
        }
    )


def next_steps(result: "Result") -> str:
    """Say where things are and what to try next."""
    run, program = shlex.quote(str(result.run)), words_of_program()
    return f"""\
Measured on {SPLITS[result.split]}.
{result.seconds:.0f} seconds. In {result.run}:
  samples.png      picture, truth, prediction and errors
  curves.png       loss and IoU while it learned
  confusion.png    what was taken for what
  metrics.csv      the numbers behind it
Next:
{_report(result.settings, program, run)}  {program} predict {run} PICTURE.png
      label a picture; in place of PICTURE.png, one of yours
{_another(result.settings, program)}"""


def _report(settings: "Settings", program: str, run: str) -> str:
    """Suggest the page on what went wrong where, for pictures of somebody's own."""
    if settings.data in KINDS:
        return ""
    return f"""\
  {program} evaluate {run} --report report
      a page for the browser: how good each class is, the worst pictures, and what to try
"""


def _flags(settings: "Settings") -> list[str]:
    """Write the flags that make a training like this one, without how long and how varied."""
    from minisegnet.training.session import LARGEST_WHOLE
    from minisegnet.training.settings import RATES, Settings

    usual = Settings(lr=RATES[settings.optimizer], crop=(LARGEST_WHOLE, LARGEST_WHOLE))
    told: list[str] = []
    for name in KEPT:
        value = getattr(settings, name)
        if value is not None and value != getattr(usual, name):
            told += [f"--{name}", "x".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    for key, value in settings.options.items():
        told += ["--option", f"{key}={value}"]
    return told


def _another(settings: "Settings", program: str) -> str:
    """Suggest a training after this one."""
    if settings.data not in KINDS:
        again = shlex.join(["train", settings.data, *_flags(settings)])
        return f"""\
  {program} {again} --time 30m --augment flip+rotate+scale+colour
      the same for longer, and in more variants"""
    other = "cells" if settings.data == "streets" else "streets"
    model = "unet" if settings.model == "segnet" else "segnet"
    return f"""\
  {program} train {other} --model {model} --time 5m
      other pictures, another model
  {program} train FOLDER --time 10m
      your own: pictures in FOLDER/images, and in FOLDER/masks the class of each pixel"""
