"""Say what is likely wrong with a training that doesn't learn, and what to try.

Looks at the pictures and labels (contrast, normalisation, classes, what is ignored, whether masks lie on their
pictures), at the first step (the loss against that of a blind guess, the scale of numbers and gradients in each layer),
tries learning rates from far too low to far too high, and learns one picture by heart. DATA and the flags are those of
`minisegnet train`; --config takes the settings.toml of a run.

The exit code is 1 where something is likely wrong; things to look at and notes don't count.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minisegnet.cli import options

if TYPE_CHECKING:
    from minisegnet.diagnosis import Diagnosis
    from minisegnet.training import Session

EXAMPLES = """\
examples:
  minisegnet diagnose my-folder                       with the model and the rate that train would take
  minisegnet diagnose my-folder --lr 0.1 --out look   and pictures of what was seen
  minisegnet diagnose --config runs/mine/settings.toml
"""

FLAGS = (
    "model",
    "width",
    "depth",
    "option",
    "batch",
    "crop",
    "augment",
    "sampling",
    "optimizer",
    "lr",
    "clip",
    "loss",
    "weights",
    "seed",
    "count",
    "size",
    "holdout",
    "backend",
    "json",
)
OF_A_RUN = ("epochs", "steps", "time", "seconds", "out", "name", "json", "picture_steps")
TITLES = {"wrong": "Likely wrong", "doubtful": "Worth a look", "note": "Good to know"}
COLUMNS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "data", nargs="?", metavar="DATA", help="shapes, cells, streets, or a folder (default: shapes)"
    )
    options.add(parser, FLAGS)
    parser.add_argument(
        "--steps",
        dest="picture_steps",
        type=options.whole,
        default=60,
        metavar="N",
        help="steps in which one picture is learned by heart (default: 60)",
    )
    parser.add_argument(
        "--out",
        dest="folder",
        type=Path,
        metavar="DIR",
        help="write pictures of what was seen into this folder",
    )


def run(arguments: argparse.Namespace) -> int:
    """Examine, tell, draw."""
    from minisegnet.diagnosis import examine
    from minisegnet.training import Display, Session
    from minisegnet.training.compiling import compilations
    from minisegnet.training.run import using_backend

    began = time.perf_counter()
    told = options.told(arguments, ["data", *(name.replace("-", "_") for name in options.OPTIONS), "options"])
    as_json = told.get("json", False)
    display = Display(quiet=as_json)
    told = {name: value for name, value in told.items() if name not in OF_A_RUN}
    settings = options.settings_of(told, {"data": "shapes"}).with_changes(steps=1)
    if arguments.picture_steps < 2:
        raise ValueError(f"--steps is {arguments.picture_steps}; expected at least 2")
    with using_backend(settings.backend), compilations(display.compiling):
        session = Session(settings)
        display.say(headline(session))
        diagnosis = examine(session, steps=arguments.picture_steps, tell=display.say)
    files = draw(diagnosis, session, arguments.folder) if arguments.folder else []
    seconds = time.perf_counter() - began
    if as_json:
        print(json.dumps(as_dict(diagnosis, files, seconds)), flush=True)
    else:
        display.say(as_text(diagnosis, files, seconds))
    return 0 if diagnosis.healthy else 1


def headline(session: "Session") -> str:
    """Say what is examined."""
    from minisegnet import ops

    data, settings = session.training_set, session.settings
    return (
        f"{settings.model} ({session.model.parameter_count():,} parameters) on {data.name}: {len(data)} pictures, "
        f"{len(data.class_names)} classes; {settings.optimizer}, learning rate {settings.lr:g}, loss {settings.loss}; "
        f"backend {ops.current_backend()}"
    )


def draw(diagnosis: "Diagnosis", session: "Session", folder: Path) -> list[str]:
    """Write the pictures; return their paths."""
    from minisegnet import viz
    from minisegnet.diagnosis.drawing import pictures

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in pictures(diagnosis, session.training_set).items():
        viz.save(figure, folder / name)
        paths.append(str(folder / name))
    return paths


# ---------------------------------------------------------------------------------------------------------
# Telling


def as_text(diagnosis: "Diagnosis", files: list[str], seconds: float) -> str:
    """Lay the findings out for reading, worst first, and what was measured below them."""
    lines = [""]
    for severity, title in TITLES.items():
        for finding in diagnosis.findings:
            if finding.severity == severity:
                lines.append(f"{title}: {finding.name}")
                for word, text in (("seen", finding.seen), ("why", finding.why), ("do", finding.advice)):
                    lines += _wrapped(word, text)
                lines.append("")
    if diagnosis.healthy:
        lines += ["Nothing is likely wrong.", ""]
    lines += ["Measured", *measured(diagnosis), ""]
    lines.append(f"{seconds:.0f} seconds." + (f" Pictures: {', '.join(files)}" if files else ""))
    return "\n".join(lines)


def _wrapped(word: str, text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, COLUMNS, initial_indent=f"  {word + ':':<6}", subsequent_indent=" " * 8)


def measured(diagnosis: "Diagnosis") -> list[str]:
    """Say the numbers behind the findings, one line each."""
    lines = []
    if diagnosis.start is not None:
        lines.append(
            f"  loss at the start     {diagnosis.start:.4g}; a blind guess has {diagnosis.blind:.4g}"
        )
    if diagnosis.swept is not None:
        swept = diagnosis.swept
        lines.append(
            f"  learning rates        the loss falls from {_rate(swept.falls)} on, fastest at {_rate(swept.fastest)}, "
            f"and rises again from {_rate(swept.bursts)}"
        )
    for rate, trial in diagnosis.trials.items():
        end = "NaN or infinity" if trial.broke else f"{trial.end:.3g}"
        lines.append(f"  one picture by heart  loss {trial.start:.3g} to {end} at {rate:.2g}")
    if diagnosis.alignment is not None:
        found = diagnosis.alignment
        others = "" if found.others is None else f"; masks of other pictures {found.others:.2f}"
        lines.append(f"  masks on pictures     agreement {found.own:.2f}{others}; chance is 0.50")
    return lines


def _rate(rate: float | None) -> str:
    return "none" if rate is None else f"{rate:.2g}"


def as_dict(diagnosis: "Diagnosis", files: list[str], seconds: float) -> dict[str, Any]:
    """Return everything as plain data; what is not a number is null."""
    found = diagnosis.alignment
    plain: dict[str, Any] = {
        "healthy": diagnosis.healthy,
        "findings": [finding.as_dict() for finding in diagnosis.findings],
        "start": diagnosis.start,
        "blind": diagnosis.blind,
        "learning_rate": diagnosis.rate,
        "sweep": None if diagnosis.swept is None else diagnosis.swept._asdict(),
        "sweep_losses": [] if diagnosis.sweep is None else diagnosis.sweep.losses,
        "one_picture": [
            {"rate": r, "losses": t.losses, "broke": t.broke} for r, t in diagnosis.trials.items()
        ],
        "alignment": found
        and {name: v for name, v in found._asdict().items() if name not in ("shifts", "turns")},
        "layers": [scale._asdict() for scale in diagnosis.scales],
        "files": files,
        "seconds": round(seconds, 2),
    }
    result: dict[str, Any] = _finite(plain)
    return result


def _finite(value: Any) -> Any:
    """Replace what JSON has no word for: NaN and infinity become null."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
