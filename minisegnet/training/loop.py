"""The training loop: one step, and the loop around it.

A step: scores, loss, gradients, update. The loop: steps, now and then an evaluation and a checkpoint.

On a GPU the loop doesn't look at each step's loss, because the device would stand still meanwhile; see
``device_steps.py``.
"""

import math
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from minisegnet import nn, ops
from minisegnet.arrays import Array
from minisegnet.data.loader import Batch
from minisegnet.ops.dispatch import selected_backend
from minisegnet.optim import clip_gradients
from minisegnet.sizes import Pair, crop2d_start
from minisegnet.training import checkpoint
from minisegnet.training.anomaly import first_nonfinite
from minisegnet.training.display import Display
from minisegnet.training.evaluate import evaluate
from minisegnet.training.history import History
from minisegnet.training.run_folder import BEST, LAST
from minisegnet.training.session import Session
from minisegnet.training.stopping import StopRequest


class Measured(NamedTuple):
    """What one step tells."""

    loss: float
    lr: float
    gradient_norm: float


class NotFinite(FloatingPointError):
    """The loss or a gradient became NaN or infinite; the step was not made."""


def train(session: Session, run: Path, display: Display, stop: StopRequest) -> str:
    """Train until the last step, until nothing gets better, or until somebody asks to stop.

    Parameters
    ----------
    session
        What is trained. It may have been restored from a checkpoint, and then goes on from there.
    run
        The folder of the run. ``last.safetensors`` in it is all that is needed to go on.
    display
        Is told what happens.
    stop
        Is asked after each step whether to stop.

    Returns
    -------
    str
        ``"finished"``, ``"no progress"`` (patience is at its end) or ``"interrupted"``.
    """
    settings, progress, history = session.settings, session.progress, History(run)
    history.rewind(progress.step)  # rows that were written after the checkpoint come again
    losses = deque([row["loss"] for row in history.read_steps()], maxlen=settings.evaluate_every)
    save(session, history, run / LAST)  # so that there is something to go on from, from the first step on
    if out_of_patience(session):
        return "no progress"

    def note(everything: bool) -> None:
        """Write down what steps have measured."""
        for step, measured in steps.told(everything):
            history.step(step, *measured)
            losses.append(measured.loss)
            display.step(step, session.steps, measured)

    steps = steps_for(session)
    try:
        with closing(session.loader.batches(progress.step, session.steps)) as batches:
            for batch in batches:
                steps.make(batch)
                note(everything=due(session, settings.evaluate_every) or due(session, settings.save_every))
                if due(session, settings.evaluate_every):
                    row = evaluation_row(session, fmean(losses))
                    history.evaluation(row)
                    display.evaluated(row, session.steps)
                    if improved(session, float(row["miou"])):
                        save(session, history, run / BEST)
                # What ends a training between two evaluations or saves: it is saved, and can go on from here.
                ends = out_of_patience(session) or stop.requested
                if ends or due(session, settings.save_every):
                    note(everything=True)
                    save(session, history, run / LAST)
                if ends and progress.step < session.steps:
                    return "interrupted" if stop.requested else "no progress"
    except NotFinite:
        save(session, history, run / LAST)  # as it was before this step
        raise
    return "finished"


class Steps:
    """Makes steps and tells what they measured: here at once."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._waiting: list[tuple[int, Measured]] = []

    def make(self, batch: Batch) -> None:
        """Make a step on a batch."""
        measured = train_step(self.session, batch)
        self._waiting.append((self.session.progress.step, measured))

    def told(self, everything: bool) -> Iterator[tuple[int, Measured]]:
        """Yield the number of each step that hasn't been told yet and what it measured.

        Parameters
        ----------
        everything
            Whether all steps must be told now. Otherwise those that would have to be waited for may come later.
        """
        while self._waiting:
            yield self._waiting.pop(0)


def steps_for(session: Session) -> Steps:
    """Choose how steps are made: on a GPU the host doesn't wait for each."""
    if selected_backend() != "cupy":
        return Steps(session)
    from minisegnet.training.device_steps import DeviceSteps, GraphSteps

    return GraphSteps(session) if session.settings.cuda_graph else DeviceSteps(session)


def train_step(session: Session, batch: Batch) -> Measured:
    """Make one step: scores, loss, gradients, update. Nothing is changed where the result isn't finite.

    On a GPU this waits for the loss.
    """
    model, optimizer, progress = session.model, session.optimizer, session.progress
    images, labels = ops.to_backend(batch.images), ops.to_backend(batch.labels)
    # A step puts new arrays into the buffers and leaves the old ones as they are.
    buffers = [(buffer, buffer.data) for _, buffer in model.named_buffers()]
    model.train()
    nn.set_step(model, progress.step)  # dropout's random bits depend on nothing else
    optimizer.lr = session.schedule(progress.step)
    optimizer.zero_grad()

    scores = model(images)  # (N, classes, OH, OW)
    labels = labels_seen(labels, scores.shape[2:])  # (N, OH, OW)
    loss = session.loss_of(scores, labels)
    loss.backward()
    norm = clip_gradients(model.parameters(), session.settings.clip or math.inf)

    if not (math.isfinite(loss.item()) and math.isfinite(norm)):
        for buffer, data in buffers:
            buffer.data = data
        optimizer.zero_grad()
        raise NotFinite(explain(session, images, labels, loss.item(), norm))
    optimizer.step()
    progress.step += 1
    return Measured(loss.item(), optimizer.lr, norm)


def labels_seen(labels: Array, size: Pair) -> Array:
    """Cut out the middle of the labels (N, H, W) that a model's scores of this size belong to.

    Scores of valid convolutions are smaller than the picture by the same margin all around.
    """
    top, left = crop2d_start(labels.shape[1:], size)
    return labels[:, top : top + size[0], left : left + size[1]]  # (N, OH, OW)


def due(session: Session, every: int | None) -> bool:
    """Say whether something that happens every so many steps happens now; it does after the last step."""
    step = session.progress.step
    return step == session.steps or (every is not None and step % every == 0)


def evaluation_row(session: Session, loss: float) -> dict[str, float]:
    """Evaluate on the validation pictures; return a row for the table, with the mean training loss of late."""
    progress = session.progress
    evaluated = evaluate(
        session.predictor, session.validation_set, loss_of=session.loss_of, batch=session.settings.batch
    )
    report = evaluated.evaluation.report()
    return {
        "step": progress.step,
        "epoch": round(progress.step * session.settings.batch / len(session.training_set), 3),
        "loss": loss,
        "val_loss": evaluated.loss,
        "miou": report.miou,
        "pixel_accuracy": report.pixel_accuracy,
        "mean_accuracy": report.mean_accuracy,
        **{
            f"iou_{name}": float(iou)
            for name, iou in zip(session.training_set.class_names, report.iou, strict=True)
        },
    }


def improved(session: Session, miou: float) -> bool:
    """Note the result of an evaluation; say whether it is the best so far. NaN never is, except as the first."""
    progress = session.progress
    best = -math.inf if progress.best_miou is None else progress.best_miou
    if progress.best_step == 0 or miou > best:
        progress.best_miou = miou if math.isfinite(miou) else None
        progress.best_step, progress.evaluations_since_best = progress.step, 0
        return True
    progress.evaluations_since_best += 1
    return False


def out_of_patience(session: Session) -> bool:
    """Say whether so many evaluations brought nothing better that the settings want an end."""
    patience = session.settings.patience
    return patience is not None and session.progress.evaluations_since_best >= patience


def save(session: Session, history: History, path: Path) -> None:
    """Write a checkpoint. The tables are written first: a checkpoint never knows more steps than they do."""
    history.flush()
    checkpoint.save(path, *session.state())


def explain(session: Session, images: Array, labels: Array, loss: float, norm: float) -> str:
    """Repeat the step layer by layer and say where the first number that isn't finite came from."""
    nn.set_step(session.model, session.progress.step)  # so that dropout drops what it dropped
    found = first_nonfinite(session.model, session.loss_of, images, labels)
    return (
        f"step {session.progress.step + 1}: the loss is {loss} and the length of the gradients {norm}. "
        + (found or "On repeating the step everything was finite; is the memory of this machine sound?")
        + " The step was not made; the checkpoint holds the state before it."
    )
