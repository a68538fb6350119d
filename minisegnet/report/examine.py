"""Measure a model for a report: one pass over the pictures, keeping little of each."""

import bisect
from collections.abc import Mapping
from typing import Any, NamedTuple

from minisegnet import __version__, ops
from minisegnet.arrays import Array
from minisegnet.data.sample import Dataset, Sample
from minisegnet.metrics import Calibration, Evaluation, Picture, confidence_of
from minisegnet.ops import checks
from minisegnet.predictor import Predictor
from minisegnet.report.hints import hints
from minisegnet.report.numbers import numbers_of
from minisegnet.report.panels import Panels, panels
from minisegnet.sizes import as_int
from minisegnet.training.evaluate import evaluate, labels_of

WORST = 8  # pictures that are shown
SEEN = ("no", "chosen-by", "partly", "trained-on")
SEEN_BY_SPLIT = {"train": "trained-on", "val": "chosen-by", "all": "partly"}


class Shown(NamedTuple):
    """A picture that is shown on the page."""

    number: int  # of the picture among all, in the order of the data set
    panels: Panels


class Findings(NamedTuple):
    """All that a report tells: its numbers (``report.json`` holds them) and the pictures that it shows, worst first."""

    numbers: dict[str, Any]
    shown: list[Shown]
    evaluation: Evaluation


def examine(
    predictor: Predictor,
    dataset: Dataset,
    *,
    split: str = "",
    seen: str | None = None,
    batch: int = 8,
    worst: int = WORST,
    run: str = "",
    told: Mapping[str, Any] | None = None,
    date: str | None = None,
) -> Findings:
    """Measure a model on labelled pictures, for :func:`write`.

    Memory doesn't grow with the pictures but for a kilobyte or two of counts for each.

    Parameters
    ----------
    predictor
        The model, such as ``minisegnet.load(run)``.
    dataset
        Pictures with labels.
    split
        What to call the choice of pictures: ``"test"``, ``"val"``, ``"train"``, ``"all"``. Empty: nothing is said.
    seen
        What the model has seen of them, so that the report can warn of numbers that are too good: ``"no"``: nothing;
        ``"chosen-by"``: its checkpoint was chosen by them; ``"partly"``: it may have been trained on some;
        ``"trained-on"``: on all. None: as the split's name says, ``"no"`` for the test pictures and others.
    batch
        So many pictures of one size are predicted at a time.
    worst
        How many pictures are shown: those with the lowest mIoU.
    run
        Where the model came from, to be named in the report.
    told
        What else was set for this evaluation, such as ``{"seed": 5}``.
    date
        To be named in the report; None: no date.
    """
    collector = _Collector(predictor, dataset, as_int(worst, "worst", 0))
    evaluation = evaluate(predictor, dataset, batch=batch, boundary=True, seen=collector.seen).evaluation
    numbers = numbers_of(
        evaluation,
        collector.names,
        predictor.palette,
        collector.calibration.reliability(),
        data={
            "name": dataset.name,
            "split": split,
            "seen": checks.choice(seen or SEEN_BY_SPLIT.get(split, "no"), SEEN, "seen", "examine"),
            "channels": dataset.channels,
            "ignore_index": dataset.ignore_index,
            "told": dict(told or {}),
        },
        model=_model(predictor, run),
        date=date,
    )
    numbers["hints"] = hints(numbers)
    numbers["shown"] = [shown.number for shown in collector.shown]
    return Findings(numbers, collector.shown, evaluation)


class _Collector:
    """Sees each picture once: counts its confidences, and keeps small pictures of it while it is among the worst."""

    def __init__(self, predictor: Predictor, dataset: Dataset, worst: int) -> None:
        self.palette, self.ignore_index, self.worst = predictor.palette, dataset.ignore_index, worst
        self.names: list[str] = []
        self.calibration = Calibration(ignore_index=dataset.ignore_index)
        self._worst: list[tuple[float, int, Panels]] = []  # sorted; no two have the same number

    def seen(self, sample: Sample, picture: Picture, predicted: Array, scores: Array) -> None:
        truth, number = labels_of(sample), len(self.names)
        self.names.append(sample.name)
        try:
            self.calibration.add(truth, predicted, confidence_of(scores))
        except ValueError as error:
            raise ValueError(f"picture {sample.name}: {error}") from None
        place = (picture.miou, number)
        if picture.support.sum() and (len(self._worst) < self.worst or place < self._last()):
            drawn = panels(sample.image, truth, predicted, self.palette, self.ignore_index)
            bisect.insort(self._worst, (*place, drawn))
            del self._worst[self.worst :]

    def _last(self) -> tuple[float, int]:
        return self._worst[-1][:2] if self._worst else (-1.0, -1)

    @property
    def shown(self) -> list[Shown]:
        return [Shown(number, drawn) for _, number, drawn in self._worst]


def _model(predictor: Predictor, run: str) -> dict[str, Any]:
    """Say what is known of a model; one that was never saved knows little of itself."""
    facts = predictor.facts
    told = dict(facts.get("model", {}))
    mean, std = predictor.normalisation
    return {
        "run": run,
        "name": told.pop("name", type(predictor.model).__name__),
        "parameters": predictor.model.parameter_count(),
        "channels": predictor.channels,
        "options": told,
        "step": facts.get("step"),
        "normalisation": {"mean": list(mean), "std": list(std)},
        "settings": dict(facts.get("settings", {})),
        "backend": ops.current_backend(),
        "version": __version__,
    }
