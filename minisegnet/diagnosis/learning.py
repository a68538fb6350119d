"""Short trainings on one batch: whether it can be learned by heart, and at which learning rate.

They are steps of the training itself (``train_step``), with a schedule of their own, and each begins at the same
weights. A model that can't learn one picture by heart won't learn a thousand.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import numpy as np

from minisegnet import nn, ops
from minisegnet.arrays import Array
from minisegnet.autograd import no_grad
from minisegnet.data.loader import Batch
from minisegnet.diagnosis.finding import DOUBTFUL, NOTE, WRONG, Finding, percent
from minisegnet.optim import constant
from minisegnet.training.loop import NotFinite, labels_seen, train_step
from minisegnet.training.session import Progress, Session

STEPS = 60  # of the training on one picture
RATES = 48  # of the sweep, one step each
LOWEST, HIGHEST = 1e-6, 10.0  # rates of the sweep
LEARNED = 0.5  # of a blind guess's loss: who comes below has learned the picture
SLOW = 0.8  # who doesn't come below this is compared with other rates
STUCK = 0.9  # who doesn't come below this has learned nothing
BETTER = 0.6  # of the loss at one rate: that at a better one
LAST = 5  # steps at the end whose median counts
STRAY = 0.05  # share of pixels that aren't said to be of the most frequent class
FOUND = 0.1  # share of the other classes' pixels; whose model finds fewer says one class everywhere
DROWNS = 0.8  # share of one class in a picture that drowns the others
BURST = 1.5  # a loss above so many times the first has blown up


class Trial(NamedTuple):
    """A short training on one batch."""

    rates: list[float]
    losses: list[float]  # before each step; shorter than the rates where it broke off
    broke: str | None  # what first_nonfinite said, where a number wasn't finite
    predicted: Array | None  # (N, OH, OW): the labels at the end

    @property
    def start(self) -> float:
        """Loss before the first step."""
        return self.losses[0] if self.losses else float("inf")

    @property
    def end(self) -> float:
        """Median loss of the last steps; infinite where it broke off."""
        return float("inf") if self.broke or not self.losses else float(np.median(self.losses[-LAST:]))


def train_on(
    session: Session, batch: Batch, schedule: Callable[[int], float], steps: int, *, predict: bool = False
) -> Trial:
    """Train on one batch for some steps; the session is as it was afterwards."""
    rates, losses, broke, predicted = [schedule(step) for step in range(steps)], [], None, None
    with as_it_began(session), np.errstate(all="ignore"):
        session.schedule = schedule
        for _ in range(steps):
            try:
                losses.append(train_step(session, batch).loss)
            except NotFinite as error:
                broke = str(error)
                break
        if predict and not broke:
            predicted = _predict(session, batch)
    return Trial(rates, losses, broke, predicted)


def overfit(session: Session, picture: Batch, rate: float, steps: int = STEPS) -> Trial:
    """Train on one picture at one rate."""
    return train_on(session, picture, constant(rate), steps, predict=True)


def sweep(session: Session, batch: Batch, number: int = RATES) -> Trial:
    """Train with a rate that grows from step to step, from far too low to far too high."""
    rates = np.geomspace(LOWEST, HIGHEST, number).tolist()
    return train_on(session, batch, lambda step: rates[step], number)


def blind_loss(session: Session, batch: Batch) -> float:
    """Return the loss of a model that gives all classes the same score: ln C for cross-entropy."""
    N, H, W = batch.labels.shape
    size = session.model.output_size((H, W))
    scores = np.zeros((N, len(session.training_set.class_names), *size), np.float32)
    labels = labels_seen(ops.to_backend(batch.labels), size)
    loss: float = session.loss_of(ops.to_backend(scores), labels).item()
    return loss


def frequency_loss(session: Session, batch: Batch) -> float:
    """Return the loss of a model that gives each class the probability that it has in the batch, everywhere."""
    C = len(session.training_set.class_names)
    N, H, W = batch.labels.shape
    size = session.model.output_size((H, W))
    labels = labels_seen(batch.labels, size)
    shares = np.array([(labels == c).sum() for c in range(C)], np.float32)
    scores = np.log(np.maximum(shares / max(float(shares.sum()), 1.0), 1e-6), dtype=np.float32)
    maps = np.broadcast_to(scores[None, :, None, None], (N, C, *size))
    loss: float = session.loss_of(ops.to_backend(maps.copy()), ops.to_backend(labels)).item()
    return loss


def seconds_of_steps(session: Session, batch: Batch) -> float:
    """Return how long a step takes on a batch: one to get warm (kernels are compiled), one by the clock."""
    with as_it_began(session), np.errstate(all="ignore"), suppress(NotFinite):
        session.schedule = constant(0.0)
        train_step(session, batch)
        began = time.perf_counter()
        train_step(session, batch)
        return time.perf_counter() - began
    return 0.0


def _predict(session: Session, batch: Batch) -> Array:
    """Label the batch, with its own statistics as in training: after few steps the running ones are far off."""
    with no_grad():
        nn.set_step(session.model, session.progress.step)
        scores = session.model(ops.to_backend(batch.images))
    return np.asarray(ops.to_numpy(scores.data).argmax(axis=1))


@contextmanager
def as_it_began(session: Session) -> Iterator[None]:
    """Put back everything that steps change: weights, buffers, the optimiser's memory, progress, schedule, mode."""
    model, optimizer = session.model.state_dict(), session.optimizer.state_dict()
    progress, schedule, training = session.progress, session.schedule, session.model.training
    session.progress = Progress()
    try:
        yield
    finally:
        session.model.load_state_dict(model)
        session.optimizer.load_state_dict(optimizer)
        session.optimizer.zero_grad()
        session.progress, session.schedule = progress, schedule
        session.model.train(training)


@contextmanager
def after_steps(
    session: Session, batch: Batch, schedule: Callable[[int], float], steps: int
) -> Iterator[None]:
    """Have the session, inside the ``with`` block, as it is after some steps on one batch."""
    with as_it_began(session):
        session.schedule = schedule
        with suppress(NotFinite):
            for _ in range(steps):
                train_step(session, batch)
        yield


def richest(batches: list[Batch], classes: int) -> Batch:
    """Choose, among all pictures of some batches, the one with the most even mixture of classes, as a batch of one."""

    def entropy(labels: Array) -> float:
        counts = np.array([(labels == c).sum() for c in range(classes)], np.float64)
        shares = counts[counts > 0] / max(counts.sum(), 1)
        return float(-(shares * np.log(shares)).sum() * counts.sum() / labels.size)

    pictures = [(batch, n) for batch in batches for n in range(len(batch.labels))]
    batch, n = max(pictures, key=lambda one: entropy(one[0].labels[one[1]]))
    return Batch(batch.images[n : n + 1], batch.labels[n : n + 1])


# ---------------------------------------------------------------------------------------------------------
# Reading the sweep


class Sweep(NamedTuple):
    """What a sweep says of rates; None: there is no such rate in it."""

    fastest: float | None  # the loss falls fastest here
    bursts: float | None  # from here on it rises again, or isn't finite
    falls: float | None  # from here on it falls noticeably


def read_sweep(trial: Trial) -> Sweep:
    """Find the rates that matter in the losses of a sweep.

    Losses are smoothed a little. The fastest fall is that between one rate and the next few; rising again means that
    half of what was won (in logarithms) is lost.

    Examples
    --------
    >>> rates = [10.0**k for k in range(-6, 2)]
    >>> read_sweep(Trial(rates, [1.0, 1.0, 0.99, 0.9, 0.3, 0.2, 1.5, 9.0], None, None))
    Sweep(fastest=0.01, bursts=1.0, falls=0.001)
    """
    losses = np.array(trial.losses)
    if len(losses) < 3:
        return Sweep(None, trial.rates[len(losses)] if trial.broke else None, None)
    width = max(1, len(losses) // 16)
    smoothed = _smoothed(losses, width)
    smooth = np.log(np.maximum(smoothed, 1e-12))
    lowest = int(np.argmin(smooth))
    gain = smooth[0] - smooth[lowest]
    bursts = None
    if gain < 0.05:  # it never falls
        above = np.flatnonzero(smooth > smooth[0] + np.log(BURST))
        burst = int(above[0]) if len(above) else None
        if burst is None and trial.broke:
            burst = len(losses)
        return Sweep(None, None if burst is None else trial.rates[burst], None)
    after = np.flatnonzero(smooth[lowest:] > smooth[lowest] + max(gain / 2, np.log(BURST)))
    if len(after):
        bursts = trial.rates[lowest + int(after[0])]
    elif trial.broke:
        bursts = trial.rates[len(losses)]
    step = max(1, len(losses) // 16)
    slopes = smoothed[step : lowest + 1] - smoothed[: max(lowest + 1 - step, 0)]
    fastest = int(np.argmin(slopes)) + (step + 1) // 2 if len(slopes) else lowest
    falls = int(np.flatnonzero(smooth < smooth[0] - max(0.05, 0.05 * gain))[0])
    return Sweep(trial.rates[fastest], bursts, trial.rates[falls])


def _smoothed(values: Array, width: int) -> Array:
    """Mean of a window of ``2 * (width // 2) + 1`` values; at the ends it is shorter."""
    half = width // 2
    return np.array([values[max(k - half, 0) : k + half + 1].mean() for k in range(len(values))])


# ---------------------------------------------------------------------------------------------------------
# In words


def check_broken(trial: Trial) -> list[Finding]:
    """Say what wasn't finite, where a training broke off at its very beginning."""
    if trial.broke is None or len(trial.losses) > 0:
        return []
    why = "with NaN or infinity in it a step can't be made"
    return [Finding("not-finite", WRONG, trial.broke, why, "see what is said there; the first cause counts")]


def needs_comparison(rate: float, blind: float, own: Trial, swept: Sweep) -> bool:
    """Say whether a training on one picture went so badly that other rates should be tried."""
    above = swept.bursts is not None and rate >= swept.bursts
    return own.end >= (LEARNED if above else SLOW) * min(blind, own.start)


def check_rate(
    rate: float, blind: float, own: Trial, swept: Sweep, others: dict[float, Trial]
) -> list[Finding]:
    """Judge the learning rate by trainings at it and at others.

    Of these the first that is nearly as good as the best is recommended: they come in the order of how well they are
    known. (A single picture often takes a far higher rate than a training does.)
    """
    if any(trial.end < min(BETTER * own.end, SLOW * blind) for trial in others.values()):
        best = next(r for r, t in others.items() if t.end < SLOW * min(own.end, blind))
        low = best > rate
        seen = f"in {len(own.rates)} steps on one picture the loss came to {_told(own)} at the learning rate {rate:g}"
        seen += f", and to {others[best].end:.3g} at {best:.2g} (a blind guess: {blind:.3g})"
        if swept.bursts is not None and rate >= swept.bursts:
            seen += f"; in the sweep it rises from {swept.bursts:.2g} on"
        why = (
            "the weights hardly move, and training takes for ever"
            if low
            else "every step overshoots, so that the loss jumps about instead of falling"
        )
        advice = f"try --lr {_round(best)}"
        if low and own.end < STUCK * min(blind, own.start):  # it does learn, if slowly
            return [Finding("rate-low", NOTE, seen, "a higher rate may need fewer steps", advice)]
        return [Finding(f"rate-too-{'low' if low else 'high'}", WRONG, seen, why, advice)]
    if swept.bursts is None or rate < swept.bursts:
        return []
    return [
        Finding(
            "rate-high",
            DOUBTFUL,
            f"the learning rate {rate:g} lies where the loss rises again in the sweep (from {swept.bursts:.2g} on)",
            "it may learn one picture, but on changing batches such a rate may blow up",
            f"try --lr {_round(swept.bursts / 10)}, or a warm-up (--warmup 100)",
        )
    ]


def check_overfit(
    trial: Trial, blind: float, picture: Batch, names: tuple[str, ...], frequencies: float
) -> list[Finding]:
    """Say whether one picture was learned by heart, and if not, what the model says instead.

    Parameters
    ----------
    trial
        The training on it.
    blind, frequencies
        Losses of two models that don't look at the picture: all classes the same, and each as often as it is there.
    picture, names
        What it was trained on, and the classes.
    """
    findings = []
    if trial.predicted is not None and trial.end > SLOW * frequencies:
        _, OH, OW = trial.predicted.shape
        truth = labels_seen(picture.labels, (OH, OW))
        counts = (truth >= 0) & (truth < len(names))
        truth, said = truth[counts], trial.predicted[counts]
        c = int(np.bincount(said, minlength=1).argmax())
        others = truth != c
        if others.any() and (said != c).mean() < STRAY and (said[others] != c).mean() < FOUND:
            findings.append(_says_one(names[c], float((truth == c).mean()), len(trial.rates)))
    steps = f"in {len(trial.rates)} steps on a single picture the loss came to {_told(trial)}"
    if trial.end >= STUCK * min(blind, trial.start):
        seen = f"{steps}; it began at {trial.start:.3g}, and a blind guess has {blind:.3g}"
        why = "what can't be learned by heart can't be learned from many pictures either"
        advice = "see the other findings first; else try another learning rate (--lr), or a wider model"
        findings.append(Finding("not-learned", WRONG, seen, why, advice))
    elif trial.end >= LEARNED * blind:
        seen = f"{steps}: it falls, but isn't half of a blind guess's ({blind:.3g}) yet"
        why = "so it can learn; small, deep or coarse models take more steps, and some can't draw fine detail at all"
        findings.append(
            Finding("slow", NOTE, seen, why, "look again with more steps (--steps 300), or a wider model")
        )
    return findings


def _says_one(name: str, share: float, steps: int) -> Finding:
    return Finding(
        "everything-one-class",
        WRONG if share >= DROWNS else NOTE,
        f"after {steps} steps on a single picture nearly everything is predicted as {name!r}, which "
        f"{percent(share)} of its pixels are",
        f"{percent(share)} right is what saying {name!r} everywhere brings"
        + (", and a small loss" if share >= DROWNS else ""),
        "try --weights median-frequency or --loss ce+dice"
        if share >= DROWNS
        else "more steps; frequencies are learned first",
    )


def _told(trial: Trial) -> str:
    return "NaN or infinity" if trial.broke else f"{trial.end:.3g}"


def _round(rate: float) -> str:
    return f"{float(f'{rate:.1g}'):g}"
