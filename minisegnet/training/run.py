"""A whole run: set up, train, evaluate the best model, write the pictures and the report."""

import json
import shlex
import shutil
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from minisegnet import files, ops, viz
from minisegnet.data.sample import Dataset
from minisegnet.data.sources import split_names
from minisegnet.data.statistics import Normalisation
from minisegnet.metrics import Evaluation
from minisegnet.predictor import Predictor, load
from minisegnet.training import checkpoint, run_folder
from minisegnet.training.compiling import compilations
from minisegnet.training.display import Display
from minisegnet.training.evaluate import evaluate, labels_of
from minisegnet.training.history import History
from minisegnet.training.loop import evaluation_row, steps_for, train
from minisegnet.training.session import Session, cost_of_evaluation, open_split, steps_between_evaluations
from minisegnet.training.settings import Settings, as_toml
from minisegnet.training.stopping import StopRequest

SAMPLES = 4  # rows in the picture of sample predictions
WARM, TIMED = 3, 8  # steps that are made to find out how many fit into a time
ROUNDS = 5  # of working out how many steps and evaluations go together


class Result(NamedTuple):
    """What a run came to."""

    run: Path
    settings: Settings
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
    began, normalisation = time.perf_counter(), None
    with using_backend(settings.backend), compilations(display.compiling):
        if settings.seconds is not None:
            settings, normalisation = with_steps_for(settings, display)
        session = Session(settings, normalisation)
        text = as_toml(session.settings.as_dict())
        run = run_folder.new_run(out, name or f"{session.training_set.name}-{settings.model}")
        with run_folder.lock(run):
            files.write_atomically(run / run_folder.SETTINGS, text)
            return _go(session, run, display, began)


def resume(run: Path | str, display: Display, **changes: Any) -> Result:
    """Go on with a run from its last checkpoint, bit for bit as if it had never stopped.

    Parameters
    ----------
    run
        Its folder; or one of its checkpoints, to go on from that.
    display
        Is told what happens.
    **changes
        Settings to change, such as ``steps``. (A longer training has another schedule from here on.)
    """
    began, path = time.perf_counter(), Path(run)
    if not path.is_file():
        path = run_folder.checkpoint_of(path).with_name(run_folder.LAST)
    # The lock before the checkpoint is read: whoever has the lock may be writing it.
    with run_folder.lock(path.parent):
        arrays, facts = checkpoint.load(path)
        settings = _changed(Settings.of(facts["settings"]), facts["step"], changes)
        with using_backend(settings.backend), compilations(display.compiling):
            session = Session.of_checkpoint(arrays, facts, settings)
            if session.pictures != facts["pictures"]:
                display.say(
                    f"the data has changed: {' + '.join(map(str, facts['pictures']))} pictures for training and "
                    f"validation before, {' + '.join(map(str, session.pictures))} now. The run goes on with these"
                )
            files.write_atomically(path.with_name(run_folder.SETTINGS), as_toml(session.settings.as_dict()))
            return _go(session, path.parent, display, began)


def _changed(settings: Settings, step: int, changes: dict[str, Any]) -> Settings:
    """Change settings of a run that has made so many steps."""
    if "epochs" in changes and "steps" not in changes:
        changes["steps"] = None  # the number that the run had
    if (changes.get("steps") or step) < step:
        raise ValueError(
            f"steps is {changes['steps']}, but the run has made {step} already; give a number above, or leave it out"
        )
    return settings.with_changes(**changes)


def using_backend(name: str | None) -> AbstractContextManager[Any]:
    """Use a backend inside a ``with`` block; None: the one that is in use."""
    return nullcontext() if name is None else ops.use_backend(name)


def _go(session: Session, run: Path, display: Display, began: float) -> Result:
    """Train, and where that comes to an end, evaluate and draw."""
    files.sweep(run)  # what a killed process left half-written
    display.say(_headline(session, run))
    for note in session.training_set.notes:
        display.say(f"note: {note}")
    if session.progress.step >= session.steps:
        more = f"{resume_command(run)} --steps {2 * session.steps}"
        display.say(f"finished already, at step {session.progress.step}. To train on: {more}")
    split, evaluation = "", None
    try:
        with StopRequest() as stop:
            outcome = train(session, run, display, stop)
            if outcome != "interrupted":
                split, evaluation = _measure_best(session, run, display)
            draw_curves(run, session.predictor)
    except KeyboardInterrupt:
        display.say(f"Stopped at once. What was saved last is there; go on with:\n  {resume_command(run)}")
        raise
    finally:
        display.clear()
    return Result(run, session.settings, outcome, evaluation, split, time.perf_counter() - began)


def resume_command(run: Path) -> str:
    """Return the words that go on with a run, for a shell."""
    return f"{program()} train --resume {shlex.quote(str(run))}"


def program() -> str:
    """Return how this program was called, so that what is printed can be pasted: ``.venv/bin/minisegnet``, say."""
    called = sys.argv[0]
    if Path(called).name != "minisegnet" or shutil.which("minisegnet") == called:
        return "minisegnet"
    return shlex.quote(called)


def _measure_best(session: Session, run: Path, display: Display) -> tuple[str, Evaluation]:
    """Evaluate the best model on pictures that were held out; write the report and the pictures."""
    if not (run / run_folder.BEST).exists():
        display.say(f"there is no {run_folder.BEST} in {run}; the last model is measured instead")
    best = load(run)
    split, dataset = held_out(session)
    evaluation = evaluate(best, dataset, batch=session.settings.batch, boundary=True).evaluation
    write_report(run, evaluation, split)
    draw_mistakes(run, best, dataset, evaluation)
    return split, evaluation


def held_out(session: Session) -> tuple[str, Dataset]:
    """Open the pictures that neither training nor the choice of the best checkpoint has seen, where there are any."""
    if "test" in split_names(session.settings.data):
        return "test", open_split(session.settings, "test")
    return "val", session.validation_set


def with_steps_for(settings: Settings, display: Display) -> tuple[Settings, Normalisation]:
    """Replace a time by the number of steps that fit into it, measured on this machine.

    A number is fixed before the training begins, so that its schedule has an end and a resumed run has the same one.
    The normalisation, which was measured on the way, comes with it.
    """
    assert settings.seconds is not None
    trial = Session(settings.with_changes(seconds=None, steps=WARM + TIMED))
    display.say(f"measuring how many steps fit into {settings.seconds:g} seconds")
    steps_made = steps_for(trial)
    for step, batch in enumerate(trial.loader.batches(0, WARM + TIMED)):
        if step == WARM:
            list(steps_made.told(everything=True))
            began = time.perf_counter()
        steps_made.make(batch)
    list(steps_made.told(everything=True))  # a GPU may have some of them before it still
    pace = (time.perf_counter() - began) / TIMED
    evaluation_row(trial, 0.0)  # the first reads or draws the pictures
    began = time.perf_counter()
    evaluation_row(trial, 0.0)
    each_evaluation = time.perf_counter() - began

    cost = cost_of_evaluation(trial.validation_set, trial.settings.crop, settings.batch)
    steps = max(int(settings.seconds / pace), 1)
    for _ in range(ROUNDS):  # fewer steps have fewer evaluations, which leaves time for more steps ...
        every = settings.evaluate_every or steps_between_evaluations(
            steps, trial.pictures[0], settings.batch, cost
        )
        steps = max(int(settings.seconds / (pace + each_evaluation / every)), 1)
    return settings.with_changes(seconds=None, steps=steps), trial.normalisation


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


def draw_curves(run: Path, predictor: Predictor) -> None:
    """Draw loss and IoU over the steps so far, in the classes' colours."""
    history = History(run)
    figure = viz.curves(history.read_steps(), history.read_evaluations(), palette=predictor.palette)
    viz.save(figure, run / run_folder.CURVES)


def draw_mistakes(folder: Path, predictor: Predictor, dataset: Dataset, evaluation: Evaluation) -> None:
    """Draw what was taken for what, and the first pictures with truth, prediction and errors."""
    viz.save(viz.confusion(evaluation.confusion, predictor.class_names), folder / run_folder.CONFUSION)
    samples = [dataset[i] for i in range(min(SAMPLES, len(dataset)))]
    rows = [(sample.image, labels_of(sample), predictor.predict(sample.image)) for sample in samples]
    figure = viz.comparison(
        rows, predictor.class_names, predictor.palette, ignore_index=predictor.ignore_index
    )
    viz.save(figure, folder / run_folder.SAMPLES)
