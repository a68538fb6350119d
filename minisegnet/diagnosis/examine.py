"""The whole examination: the data, the first step, the layers, the learning rate, one picture by heart."""

from collections.abc import Callable
from typing import Any, NamedTuple

from minisegnet import ops
from minisegnet.autograd import Tensor
from minisegnet.data.loader import Batch
from minisegnet.diagnosis.alignment import Alignment, align
from minisegnet.diagnosis.correspondence import check_correspondence
from minisegnet.diagnosis.data import (
    FLAT,
    check_contrast,
    check_labels,
    check_normalisation,
    check_same_normalisation,
)
from minisegnet.diagnosis.finding import WRONG, Finding, worst_first
from minisegnet.diagnosis.layers import Scale, check_scales, check_start, measure_scales
from minisegnet.diagnosis.learning import (
    BETTER,
    RATES,
    STEPS,
    Sweep,
    Trial,
    after_steps,
    blind_loss,
    check_broken,
    check_overfit,
    check_rate,
    frequency_loss,
    needs_comparison,
    overfit,
    read_sweep,
    richest,
    seconds_of_steps,
    sweep,
)
from minisegnet.diagnosis.meaning import Meaning, meaning
from minisegnet.diagnosis.survey import Picture, survey
from minisegnet.optim import constant
from minisegnet.training.loop import labels_seen
from minisegnet.training.session import Session
from minisegnet.training.settings import RATES as USUAL_RATES

LARGEST_BATCH = 4  # pictures of the batch that the layers and the sweep see
LOOKED_AT = 3  # batches among which the one picture is chosen
WARM = 3  # steps before gradients are compared, where weights start at zero


class Diagnosis(NamedTuple):
    """Everything that was seen; ``findings`` says it in words."""

    findings: list[Finding]
    pictures: list[Picture]
    alignment: Alignment | None
    meaning: Meaning | None
    scales: list[Scale]
    start: float | None  # loss before the first step
    blind: float | None  # that of a model that gives all classes the same score
    rate: float
    sweep: Trial | None
    swept: Sweep | None
    trials: dict[float, Trial]  # on one picture, by learning rate
    picture: Batch | None

    @property
    def healthy(self) -> bool:
        """Whether nothing is likely wrong."""
        return all(finding.severity != WRONG for finding in self.findings)


def examine(
    session: Session, *, steps: int = STEPS, rates: int = RATES, tell: Callable[[str], None] = lambda _: None
) -> Diagnosis:
    """Look for what keeps a model from learning. The session is as it was afterwards.

    Parameters
    ----------
    session
        A training that is set up: data, model, loss, optimiser, learning rate.
    steps, rates
        How long one picture is trained on, and how many learning rates are tried in the sweep, a step each.
    tell
        Is told what is done next.
    """
    return _Examination(session, steps, rates, tell).run()


class _Examination:
    def __init__(self, session: Session, steps: int, rates: int, tell: Callable[[str], None]) -> None:
        self.session, self.steps, self.rates, self.tell = session, steps, rates, tell
        self.findings: list[Finding] = []
        rate = session.settings.lr
        assert rate is not None
        self.rate = rate
        self.seen: dict[str, Any] = {"scales": [], "start": None, "blind": None, "sweep": None, "swept": None}
        self.trials: dict[float, Trial] = {}
        self.picture: Batch | None = None

    def run(self) -> Diagnosis:
        pictures = self._data()
        if not any(f.name in ("all-ignored", "unknown-labels") for f in self.findings):
            self._model()
        return Diagnosis(
            findings=worst_first(_without_consequences(self.findings)),
            pictures=pictures,
            rate=self.rate,
            trials=self.trials,
            picture=self.picture,
            **self.seen,
        )

    # The data

    def _data(self) -> list[Picture]:
        session, settings = self.session, self.session.settings
        data = session.training_set
        self.tell(f"looking at {min(len(data), 64)} of {len(data)} pictures and their labels")
        pictures = survey(data)
        self.flat = all(picture.deviation.max() < FLAT for picture in pictures)
        self.seen["alignment"], self.seen["meaning"] = align(pictures), meaning(pictures)
        self.findings += check_contrast(pictures)
        self.findings += check_normalisation(pictures, session.loader.normalisation)
        self.findings += check_same_normalisation(
            session.loader.normalisation, session.predictor.normalisation
        )
        self.findings += check_labels(
            pictures, data, loss=settings.loss, weighted=settings.weights is not None
        )
        self.findings += check_correspondence(self.seen["alignment"], self.seen["meaning"])
        return pictures

    # The model

    def _model(self) -> None:
        session = self.session
        classes = len(session.training_set.class_names)
        batches = [session.loader.batch(step) for step in range(LOOKED_AT)]
        self.picture = richest(batches, classes)
        batch = Batch(batches[0].images[:LARGEST_BATCH], batches[0].labels[:LARGEST_BATCH])
        self._plan(batch)
        self.tell("measuring every layer, forward and backward")
        self._start(batch, classes)
        self.tell(f"trying {self.rates} learning rates")
        trial = sweep(session, batch, self.rates)
        self.seen["sweep"], self.seen["swept"] = trial, read_sweep(trial)
        self.findings += check_broken(trial)
        if trial.losses:
            self._by_heart(self.seen["swept"])

    def _plan(self, batch: Batch) -> None:
        """Say how long the rest will take; a step of each kind is made to know it."""
        assert self.picture is not None
        each, one = (seconds_of_steps(self.session, b) for b in (batch, self.picture))
        sweeping, learning = self.rates * each, self.steps * one
        self.tell(
            f"plan: {self.rates} learning rates on {len(batch.labels)} pictures, about {sweeping:.0f} s; "
            f"{self.steps} steps on one picture, about {learning:.0f} s (up to three times that, where it doesn't "
            "learn)"
        )

    def _start(self, batch: Batch, classes: int) -> None:
        session, images = self.session, ops.to_backend(batch.images)

        def loss_of(scores: Tensor) -> Tensor:
            _, _, OH, OW = scores.shape
            return session.loss_of(scores, labels_seen(ops.to_backend(batch.labels), (OH, OW)))

        session.model.train()
        scales, start, scores = measure_scales(session.model, loss_of, images)
        if any(scale.weight == 0 for scale in scales):  # no gradient passes a weight that starts at zero
            rate = USUAL_RATES[session.settings.optimizer]
            with after_steps(session, batch, constant(rate), WARM):
                scales, _, _ = measure_scales(session.model, loss_of, images)
        blind = blind_loss(session, batch)
        self.seen |= {"scales": scales, "start": start, "blind": blind}
        self.findings += check_scales(scales, flat_pictures=self.flat)
        self.findings += check_start(start, blind, scores, classes, session.settings.loss)

    def _by_heart(self, swept: Sweep) -> None:
        assert self.picture is not None
        session, picture, optimizer = self.session, self.picture, self.session.settings.optimizer
        blind = blind_loss(session, picture)
        if blind == 0:  # nothing in it counts
            return
        self.tell(f"learning one picture by heart: {self.steps} steps at the learning rate {self.rate:g}")
        own = self.trials[self.rate] = overfit(session, picture, self.rate, self.steps)
        others: dict[float, Trial] = {}
        if needs_comparison(self.rate, blind, own, swept):
            for rate in _other_rates(self.rate, swept, optimizer):
                self.tell(f"the same at {rate:.2g}")
                others[rate] = overfit(session, picture, rate, self.steps)
                if others[rate].end < BETTER * min(own.end, blind):
                    break
        self.trials |= others
        found = check_rate(self.rate, blind, own, swept, others)
        if not found:
            names, frequencies = session.training_set.class_names, frequency_loss(session, picture)
            found = check_overfit(own, blind, picture, names, frequencies)
        self.findings += found


def _other_rates(rate: float, swept: Sweep, optimizer: str) -> list[float]:
    """Choose rates to compare with: what small models usually take, and where the sweep falls fastest."""
    found: list[float] = []
    for other in (USUAL_RATES[optimizer], swept.fastest):
        if other is not None and all(not 0.5 < other / known < 2 for known in (rate, *found)):
            found.append(other)
    return found


# What follows from what: a finding is left out where one of its causes was found.
CONSEQUENCES = {
    "vanishing": ("dead-layers",),
    "start-loss": ("exploding", "not-normalised", "dead-layers"),
    "rate-too-low": ("exploding", "vanishing", "dead-layers", "start-loss", "constant-pictures"),
    "rate-too-high": ("exploding", "vanishing", "dead-layers", "start-loss", "constant-pictures"),
    "vanishing-gradients": ("dead-layers", "exploding", "vanishing", "constant-pictures"),
    "everything-one-class": ("constant-pictures", "dead-layers", "vanishing", "exploding", "one-class"),
}
SYMPTOMS = {"not-learned", "slow"}  # of anything that is wrong


def _without_consequences(findings: list[Finding]) -> list[Finding]:
    wrong = {finding.name for finding in findings if finding.severity == WRONG}
    kept = [f for f in findings if not wrong.intersection(CONSEQUENCES.get(f.name, ()))]
    return [f for f in kept if f.name not in SYMPTOMS or wrong <= SYMPTOMS]
