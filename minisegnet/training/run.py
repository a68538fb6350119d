"""A whole run: set up, train, evaluate the best model, write the pictures and the report."""

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

from minisegnet import files, ops, viz
from minisegnet.data.sample import Dataset
from minisegnet.data.sources import split_names
from minisegnet.metrics import Evaluation
from minisegnet.predictor import Predictor, load
from minisegnet.training import checkpoint, run_folder
from minisegnet.training.compiling import compilations
from minisegnet.training.display import Display
from minisegnet.training.evaluate import evaluate, labels_of
from minisegnet.training.history import History
from minisegnet.training.loop import train, train_step
from minisegnet.training.session import Session, open_split
from minisegnet.training.settings import Settings, as_toml
from minisegnet.training.stopping import StopRequest

SAMPLES = 4  # rows in the picture of sample predictions
WARM, TIMED = 3, 5  # steps that are made to find out how many fit into a time


class Result(NamedTuple):
    """What a run came to."""

    run: Path
    outcome: str  # "finished", "no progress" or "interrupted"
    evaluation: Evaluation | None  # of the best model; None for an interrupted run
    split: str  # the pictures that it was evaluated on
    seconds: float  # from start to end, this time


def start(
    settings: Settings, display: Display, *, out: Path | str = "runs", name: str | None = None
) -> Result:
    """Train from the beginning, in a folder of its own.

    Parameters
    ----------
    settings
        What to train.
    display
        Is told what happens.
    out, name
        The folder becomes ``out/name``, or ``out/name-2`` … where that exists. The name is that of data and model
        unless given.
    """
    began = time.perf_counter()
    with compilations(display.compiling):
        if settings.seconds is not None:
            settings = with_steps_for(settings, display)
        session = Session(settings)
    run = run_folder.new_run(out, name or f"{session.training_set.name}-{settings.model}")
    with run_folder.lock(run):
        files.write_atomically(run / run_folder.SETTINGS, as_toml(session.settings.as_dict()))
        return _go(session, run, display, began)


def resume(run: Path | str, display: Display, **changes: Any) -> Result:
    """Go on with a run from its last checkpoint, bit for bit as if it had never stopped.

    Parameters
    ----------
    run
        Its folder.
    display
        Is told what happens.
    **changes
        Settings to change, such as ``steps``. (A longer training has another schedule from here on.)
    """
    began, run = time.perf_counter(), run_folder.checkpoint_of(run).parent
    with run_folder.lock(run):  # before the checkpoint is read: whoever has the lock may be writing it
        arrays, facts = checkpoint.load(run / run_folder.LAST)
        if "epochs" in changes:
            changes["steps"] = None  # the run's own number, which was made of epochs perhaps
        settings = Settings.of(facts["settings"]).with_changes(**changes)
        session = Session(settings, facts)
        session.restore(arrays, facts)
        return _go(session, run, display, began)


def _go(session: Session, run: Path, display: Display, began: float) -> Result:
    """Train, and where that comes to an end, evaluate and draw."""
    files.sweep(run)  # what a killed process left half-written
    display.say(_headline(session, run))
    split, evaluation = "", None
    with StopRequest() as stop, compilations(display.compiling):
        outcome = train(session, run, display, stop)
        if outcome != "interrupted":
            best = load(run)
            split, dataset = held_out(session)
            evaluation = evaluate(best, dataset, batch=session.settings.batch, boundary=True).evaluation
            write_report(run, evaluation, split)
            draw_mistakes(run, best, dataset, evaluation)
        draw_curves(run)
    return Result(run, outcome, evaluation, split, time.perf_counter() - began)


def held_out(session: Session) -> tuple[str, Dataset]:
    """Open the pictures that neither training nor the choice of the best checkpoint has seen, where there are any."""
    if "test" in split_names(session.settings.data):
        return "test", open_split(session.settings, "test")
    return "val", session.validation_set


def with_steps_for(settings: Settings, display: Display) -> Settings:
    """Replace a time by the number of steps that fit into it, measured on this machine.

    A number is fixed before the training begins, so that its schedule has an end and a resumed run has the same one.
    """
    assert settings.seconds is not None
    trial = Session(settings.with_changes(seconds=None, steps=WARM + TIMED))
    display.say(f"measuring how many steps fit into {settings.seconds:g} seconds")
    for step, batch in enumerate(trial.loader.batches(0, WARM + TIMED)):
        if step == WARM:
            began = time.perf_counter()
        train_step(trial, batch)
    pace = (time.perf_counter() - began) / TIMED
    began = time.perf_counter()
    evaluate(trial.predictor, trial.validation_set, batch=settings.batch)
    each_evaluation = time.perf_counter() - began
    evaluate_every = settings.evaluate_every or trial.loader.steps(1)
    steps = settings.seconds / (pace + each_evaluation / evaluate_every)
    return settings.with_changes(seconds=None, steps=max(int(steps), 1))


def _headline(session: Session, run: Path) -> str:
    settings, data = session.settings, session.training_set
    at = f" from step {session.progress.step}" if session.progress.step else ""
    return (
        f"{settings.model} ({session.model.parameter_count():,} parameters) on {data.name}: {len(data)} pictures for "
        f"training, {len(session.validation_set)} for validation, {len(data.class_names)} classes; backend "
        f"{ops.current_backend()}\n{session.steps} steps of {settings.batch} pictures{at}, into {run}"
    )


def write_report(folder: Path, evaluation: Evaluation, split: str) -> None:
    """Write the metrics as ``report.json``."""
    text = json.dumps({"split": split, **evaluation.report().as_dict()}, indent=1)
    files.write_atomically(folder / run_folder.REPORT, text + "\n")


def draw_curves(run: Path) -> None:
    """Draw loss and IoU over the steps so far."""
    history = History(run)
    viz.save(viz.curves(history.read_steps(), history.read_evaluations()), run / run_folder.CURVES)


def draw_mistakes(folder: Path, predictor: Predictor, dataset: Dataset, evaluation: Evaluation) -> None:
    """Draw what was taken for what, and the first pictures with truth, prediction and errors."""
    viz.save(viz.confusion(evaluation.confusion, predictor.class_names), folder / run_folder.CONFUSION)
    samples = [dataset[i] for i in range(min(SAMPLES, len(dataset)))]
    rows = [(sample.image, labels_of(sample), predictor.predict(sample.image)) for sample in samples]
    figure = viz.comparison(
        rows, predictor.class_names, predictor.palette, ignore_index=predictor.ignore_index
    )
    viz.save(figure, folder / run_folder.SAMPLES)
