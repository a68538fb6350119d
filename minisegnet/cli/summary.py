"""What is told at the end of a training or an evaluation."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minisegnet.metrics import Evaluation
    from minisegnet.training import Result

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
    run = result.run
    return f"""\
Measured on {SPLITS[result.split]}.
{result.seconds:.0f} seconds. In {run}:
  samples.png      picture, truth, prediction and errors
  curves.png       loss and IoU while it learned
  confusion.png    what was taken for what
  metrics.csv      the numbers behind it
Next:
  minisegnet predict {run} PICTURE.png             label a picture of yours
  minisegnet train streets --model segnet          other pictures, another model
  minisegnet train FOLDER                          your own: FOLDER/images and FOLDER/masks"""
