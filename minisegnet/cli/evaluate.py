"""Measure a trained model on labelled pictures: IoU and more for each class, and pictures of its mistakes.

RUN is the folder of a run (its best checkpoint is taken) or a checkpoint file. DATA is a synthetic set or a folder of
pictures and masks; without it, the held-out pictures of the run's own data are used.

With --report DIR, a page is written that opens in any browser, without a network: report.html, with the worst pictures,
what was taken for what, how far the model may be believed, and what to try; and all its numbers as report.json.
"""

import argparse
import datetime
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minisegnet.cli import options

if TYPE_CHECKING:
    from minisegnet.data.sample import Dataset
    from minisegnet.metrics import Evaluation
    from minisegnet.predictor import Predictor

EXAMPLES = """\
examples:
  minisegnet evaluate runs/demo-unet                       the run's own held-out pictures
  minisegnet evaluate runs/demo-unet shapes --seed 5       others of the same kind
  minisegnet evaluate runs/mine my-folder --split all      every pair in a folder
  minisegnet evaluate runs/mine my-folder --report out     a page to look at, out/report.html
"""

FLAGS = ("batch", "seed", "count", "size", "holdout", "backend", "out", "json")
BESIDE = ("data", "split", "out", "json", "report")  # what isn't a setting of the measurement


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run_or_checkpoint", metavar="RUN", help="folder of a run, or a checkpoint file")
    parser.add_argument("data", nargs="?", metavar="DATA", help="shapes, cells, streets, or a folder")
    parser.add_argument(
        "--split",
        metavar="NAME",
        help="train, val, test or all (default: test where there is one, else val)",
    )
    parser.add_argument(
        "--report",
        metavar="DIR",
        help="write report.html and report.json into this new folder, and no other files (never overwrites: DIR-2)",
    )
    options.add(parser, FLAGS)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate and tell."""
    from minisegnet.cli.summary import metrics
    from minisegnet.predictor import load
    from minisegnet.training.compiling import compilations_on_stderr
    from minisegnet.training.run import using_backend

    began = time.perf_counter()
    told = options.told(arguments, ["data", "split", "report"])
    if "report" in told and "out" in told:
        raise ValueError(
            "--report and --out both say where the results go; give one of them: --report writes a page, --out pictures"
        )
    with using_backend(told.get("backend")), compilations_on_stderr():
        predictor = load(arguments.run_or_checkpoint)
        split, dataset = pictures(predictor, told)
        measured = reported if "report" in told else measured_with_pictures
        folder, written, evaluation = measured(arguments.run_or_checkpoint, predictor, dataset, split, told)
    seconds = time.perf_counter() - began
    print(f"{len(dataset)} pictures of {dataset.name} ({split})\n\n{evaluation.report().table()}\n")
    print(f"{seconds:.0f} seconds. {written} are in {folder}")
    if told.get("json"):
        print(
            json.dumps(
                {**metrics(evaluation), "split": split, "seconds": round(seconds, 2), "run": str(folder)}
            ),
            flush=True,
        )
    return 0


def measured_with_pictures(
    run: str, predictor: "Predictor", dataset: "Dataset", split: str, told: dict[str, Any]
) -> "tuple[Path, str, Evaluation]":
    """Evaluate; write the metrics and two pictures into a folder beside the run's files, or where ``--out`` says."""
    from minisegnet import files
    from minisegnet.training import evaluate, run_folder
    from minisegnet.training.run import draw_mistakes, write_report
    from minisegnet.training.settings import as_toml

    evaluation = evaluate(predictor, dataset, batch=batch_of(told), boundary=True).evaluation
    path = Path(run)
    parent = Path(told["out"]) if "out" in told else path if path.is_dir() else path.parent
    folder = run_folder.new_run(parent, f"evaluation-{dataset.name}")
    used = {"run": str(path), "data": str(told.get("data", dataset.name)), "split": split}
    files.write_atomically(folder / run_folder.SETTINGS, as_toml({**used, **_plain(told)}))
    write_report(folder, evaluation, split)
    draw_mistakes(folder, predictor, dataset, evaluation)
    return folder, "samples.png, confusion.png and report.json", evaluation


def reported(
    run: str, predictor: "Predictor", dataset: "Dataset", split: str, told: dict[str, Any]
) -> "tuple[Path, str, Evaluation]":
    """Evaluate, and write the page."""
    from minisegnet import report

    today = datetime.date.today().isoformat()
    if not told["report"]:
        raise ValueError("--report is empty; expected the name of a new folder")
    findings = report.examine(
        predictor,
        dataset,
        split=split,
        seen=seen_before(predictor.facts["settings"], told, split),
        batch=batch_of(told),
        run=run,
        told=_plain(told),
        date=today,
    )
    folder = report.write(findings, told["report"])
    return folder, f"{report.PAGE} and {report.NUMBERS}", findings.evaluation


def seen_before(trained: dict[str, Any], told: dict[str, Any], split: str) -> str:
    """Say what a model has seen of the pictures, as ``report.examine`` wants it.

    >>> trained = {"data": "shapes", "seed": 0}
    >>> [seen_before(trained, {}, split) for split in ("train", "val", "test")]
    ['trained-on', 'chosen-by', 'no']
    >>> seen_before(trained, {"seed": 1}, "train"), seen_before(trained, {"data": "streets"}, "val")  # others
    ('no', 'no')
    >>> from minisegnet.data.sources import full_name
    >>> seen_before({"data": full_name("my"), "seed": 0}, {"data": "my", "seed": 1}, "val")  # dealt out anew
    'partly'
    """
    from minisegnet.data.sources import full_name
    from minisegnet.data.synthetic import KINDS

    source = full_name(told.get("data", trained["data"]))
    if source != trained["data"] or split == "test":
        return "no"
    named = [name for name in ("seed", "size", "holdout") if name in told]
    again = all(
        json.dumps(told[name]) == json.dumps(trained.get(name)) for name in named
    )  # a list is as good as a tuple
    if not again:
        return "no" if source in KINDS else "partly"
    return {"train": "trained-on", "val": "chosen-by"}.get(split, "partly")


def batch_of(told: dict[str, Any]) -> int:
    """Return how many pictures are predicted at a time."""
    return max(int(told.get("batch", 8)), 1)


def _plain(told: dict[str, Any]) -> dict[str, Any]:
    """Return what was told, without what is written beside it."""
    return {name: value for name, value in told.items() if name not in BESIDE}


def pictures(predictor: "Predictor", told: dict[str, Any]) -> "tuple[str, Dataset]":
    """Open the pictures to measure on, and say which split they are."""
    from minisegnet.data.sources import full_name, open_dataset, split_names

    trained: dict[str, Any] = predictor.facts["settings"]
    source = full_name(told.get("data", trained["data"]))
    own = source == trained["data"]  # then the split is that of the training, so that its pictures stay out
    split = told.get("split") or ("test" if "test" in split_names(source) else "val" if own else "all")
    given: dict[str, Any] = {
        name: told[name] for name in ("seed", "count", "size", "holdout") if name in told
    }
    inherited: dict[str, Any] = {
        name: trained[name] for name in ("seed", "size", "holdout") if own and name in trained
    }
    dataset = open_dataset(source, split, **(inherited | given))
    unnamed = tuple(str(c) for c in range(len(predictor.class_names)))  # labels without names fit any
    fits = dataset.class_names == predictor.class_names or unnamed in (
        dataset.class_names,
        predictor.class_names,
    )
    if not fits or dataset.channels != predictor.channels:
        raise ValueError(
            f"{source} has the classes {', '.join(dataset.class_names)} and {dataset.channels} channels; the model was "
            f"trained on {', '.join(predictor.class_names)} and {predictor.channels}"
        )
    return split, dataset
