"""What can be seen before anything is trained: contrast, brightness, classes, what is ignored."""

from collections.abc import Sequence

import numpy as np

from minisegnet.data.sample import Dataset
from minisegnet.data.statistics import Normalisation
from minisegnet.diagnosis.finding import DOUBTFUL, NOTE, WRONG, Finding, percent
from minisegnet.diagnosis.survey import Picture

FLAT = 0.5 / 255  # a deviation below this is no contrast: half a step of 8 bits
FAR_MEAN, FAR_LOW, FAR_HIGH = 3.0, 0.1, 10.0  # of normalised pictures: this far off does harm
NEAR_MEAN, NEAR_LOW, NEAR_HIGH = 0.5, 0.5, 2.0  # so far is usual
MUCH_IGNORED = 0.5
LIKE_BACKGROUND = 0.6  # share of the pixels that a background usually has
LIKE_OBJECTS = 0.8  # share of the pictures in which objects of one class are
LARGE = 0.9  # a class with such a share of the pixels can drown the others
BACKGROUNDS = ("background", "backgr", "bg", "배경", "hintergrund", "none", "nothing")


def check_contrast(pictures: Sequence[Picture]) -> list[Finding]:
    """Find pictures that are the same everywhere."""
    flat = [picture.name for picture in pictures if picture.deviation.max() < FLAT]
    share = len(flat) / len(pictures)
    if not flat:
        return []
    every = len(flat) == len(pictures)
    return [
        Finding(
            "constant-pictures",
            WRONG if share >= 0.5 else DOUBTFUL,
            f"{'all' if every else len(flat)} of {len(pictures)} pictures have no contrast: every pixel has the same "
            f"value (such as {flat[0]})",
            "nothing in such a picture tells one class from another, so that only the most frequent can be said",
            "open one of the files: was it exported empty, saved with a wrong range (a float picture from 0 to 1 "
            "written as 8 bit), or is it a mask in the folder of the pictures?",
        )
    ]


def check_normalisation(pictures: Sequence[Picture], normalisation: Normalisation) -> list[Finding]:
    """Compare what the model will see with mean 0 and deviation 1."""
    channels = len(normalisation.mean)
    weights = np.array([picture.pixels for picture in pictures], np.float64)
    weights /= weights.sum()
    means = np.array([picture.mean for picture in pictures])  # (pictures, channels)
    squares = np.array([picture.deviation for picture in pictures]) ** 2 + means**2
    mean = weights @ means
    deviation = np.sqrt(np.maximum(weights @ squares - mean**2, 0))
    seen_mean = (mean - np.array(normalisation.mean)) / np.array(normalisation.std)
    seen_deviation = deviation / np.array(normalisation.std)
    alive = [c for c in range(channels) if deviation[c] >= FLAT]
    if not alive:  # constant pictures have a finding of their own
        return []
    c = max(alive, key=lambda c: abs(np.log(seen_deviation[c])) + abs(seen_mean[c]))
    m, d = float(seen_mean[c]), float(seen_deviation[c])
    if abs(m) <= NEAR_MEAN and NEAR_LOW <= d <= NEAR_HIGH:
        return []
    far = abs(m) > FAR_MEAN or not FAR_LOW <= d <= FAR_HIGH
    return [
        Finding(
            "not-normalised",
            WRONG if far else DOUBTFUL,
            f"the pictures go into the model with mean {m:.3g} and deviation {d:.3g} (channel {c}); expected about "
            "0 and 1",
            "first weights and learning rates are made for numbers about 1 large; with others the first layer's "
            "output, and with it the loss and the gradients, are too large or too small",
            "measure the normalisation on these pictures (measure_normalisation; `minisegnet train` does it), and "
            "give the loader what it returns",
        )
    ]


def check_same_normalisation(trained: Normalisation, predicted: Normalisation) -> list[Finding]:
    """See that new pictures will be treated as those of the training."""
    if np.allclose(trained.mean, predicted.mean, atol=0.02) and np.allclose(
        trained.std, predicted.std, rtol=0.05
    ):
        return []
    return [
        Finding(
            "normalisation-differs",
            WRONG,
            f"pictures are normalised by mean {_shown(trained.mean)} and deviation {_shown(trained.std)} for the "
            f"training, but by {_shown(predicted.mean)} and {_shown(predicted.std)} for predictions",
            "the model sees other numbers when it is used than when it learned",
            "give the loader and the predictor the same normalisation",
        )
    ]


def _shown(values: Sequence[float]) -> str:
    return "/".join(f"{value:.3g}" for value in values)


def check_labels(
    pictures: Sequence[Picture], dataset: Dataset, *, loss: str, weighted: bool
) -> list[Finding]:
    """Look at which classes there are, how much of each, and what is ignored."""
    counts = np.sum([picture.counts for picture in pictures], axis=0)
    pixels = sum(picture.pixels for picture in pictures)
    ignored = sum(picture.ignored for picture in pictures)
    findings = [*_unknown(pictures, dataset), *_ignored(pictures, ignored / pixels, dataset)]
    if not counts.any():
        return findings
    shares = counts / counts.sum()
    there = np.flatnonzero(counts)
    names = dataset.class_names
    if len(there) == 1:
        return [*findings, _one_class(names[there[0]], len(names), len(pictures))]
    return [
        *findings,
        *_missing([name for name, n in zip(names, counts, strict=True) if n == 0], len(pictures)),
        *_background(names, shares, pictures),
        *_balance(names, shares, loss=loss, weighted=weighted),
    ]


def _unknown(pictures: Sequence[Picture], dataset: Dataset) -> list[Finding]:
    found: dict[int, int] = {}
    for picture in pictures:
        for value, number in picture.unknown.items():
            found[value] = found.get(value, 0) + number
    if not found:
        return []
    shown = ", ".join(f"{value} ({found[value]:,} pixels)" for value in sorted(found)[:5])
    return [
        Finding(
            "unknown-labels",
            WRONG,
            f"there are labels that are no class: {shown}; classes are 0 to {len(dataset.class_names) - 1}",
            "the loss refuses labels that it has no score for",
            "name all values in classes.txt (`value = name`), or correct the masks",
        )
    ]


def _ignored(pictures: Sequence[Picture], share: float, dataset: Dataset) -> list[Finding]:
    if share == 0:
        return []
    label = dataset.ignore_index
    advice = (
        f"look at which value the masks hold: {label} means `doesn't count`. If it is a class (masks of 0 and 255, "
        "say), write it into classes.txt: `255 = name`"
    )
    if share == 1:
        seen = f"all pixels of {len(pictures)} pictures are labelled {label}, which the loss ignores"
        why = "the loss is 0 whatever the model says, its gradient is 0 too, and nothing is learned"
        return [Finding("all-ignored", WRONG, seen, why, advice)]
    whole = sum(picture.ignored == picture.pixels for picture in pictures)
    seen = f"{percent(share)} of the pixels are labelled {label}, which the loss ignores"
    seen += f"; in {whole} of {len(pictures)} pictures all are" if whole else ""
    if share >= MUCH_IGNORED or whole:
        why = "what is ignored teaches nothing, and how well it is predicted is not measured"
        return [Finding("much-ignored", DOUBTFUL, seen, why, advice)]
    why = "it has no part in the loss and in the metrics"
    return [Finding("ignored", NOTE, seen, why, "nothing, if that is meant so")]


def _one_class(name: str, C: int, number: int) -> Finding:
    return Finding(
        "one-class",
        WRONG,
        f"all labels of {number} pictures are the same class, {name!r}, of {C} classes",
        "a model that always says this is right everywhere; there is nothing to learn",
        "see how the values of the masks become classes (classes.txt), and whether the masks are the right ones: a "
        "mask that looks black often holds 0, 1, 2, one that looks white and black 0 and 255",
    )


def _missing(names: Sequence[str], number: int) -> list[Finding]:
    if not names:
        return []
    return [
        Finding(
            "class-missing",
            DOUBTFUL,
            f"in {number} pictures these classes never occur: {', '.join(names)}",
            "they can't be learned; or the numbers in the masks are not those in the list of classes (off by one, "
            "say)",
            "compare classes.txt with the values in the masks; leave out classes that you don't have",
        )
    ]


def _background(names: Sequence[str], shares: np.ndarray, pictures: Sequence[Picture]) -> list[Finding]:
    """See whether the class that is called background looks like an object, and another looks like the background."""
    called = [c for c, name in enumerate(names) if name.lower() in BACKGROUNDS]
    if len(called) != 1:
        return []
    b, other = called[0], int(np.argmax(shares))
    occurs = float(np.mean([picture.counts[b] > 0 for picture in pictures]))
    always = all(picture.counts[other] > 0 for picture in pictures)
    if other == b or not always or shares[other] < LIKE_BACKGROUND or occurs > LIKE_OBJECTS:
        return []
    return [
        Finding(
            "label-map",
            DOUBTFUL,
            f"the class called {names[b]!r} has {percent(float(shares[b]))} of the pixels, and in "
            f"{percent(1 - occurs)} of the pictures there is none, while {names[other]!r} is in all of them and has "
            f"{percent(float(shares[other]))}",
            "the label map (which number means which class) looks mixed up: names, colours and metrics would be those "
            "of other classes",
            "compare a mask with its picture, and correct the order in classes.txt (`value = name` leaves no doubt)",
        )
    ]


def _balance(names: Sequence[str], shares: np.ndarray, *, loss: str, weighted: bool) -> list[Finding]:
    c = int(np.argmax(shares))
    share = float(shares[c])
    if share < LARGE:
        return []
    helped = weighted or loss.replace(" ", "") not in ("ce", "cross_entropy")
    rare = ", ".join(
        f"{name} {percent(float(s))}"
        for k, (name, s) in enumerate(zip(names, shares, strict=True))
        if k != c and s > 0
    )
    return [
        Finding(
            "imbalance",
            NOTE if helped else DOUBTFUL,
            f"{percent(share)} of the pixels are {names[c]!r}; the others: {rare}",
            f"a model that says {names[c]!r} everywhere is right at {percent(share)} of the pixels, and its loss is "
            "small: that is where a training easily stops",
            "weights or the loss are set for that already; look at the IoU of each class, not at the accuracy"
            if helped
            else "try --weights median-frequency or --loss ce+dice; with --crop also --sampling classes",
        )
    ]
