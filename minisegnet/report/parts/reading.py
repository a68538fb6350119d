"""How to read the page: which number is which, in plain words."""

from typing import Any

from minisegnet.report.markup import NOTHING, Html, percent, tag


def section(numbers: dict[str, Any]) -> Html:
    """Return the explanations."""
    data = numbers["data"]
    ignored = (
        f"{percent(data['ignored_pixels'] / data['pixels'])} % of the pixels here"
        if data["ignored_pixels"]
        else "none here"
    )
    terms = [
        (
            "IoU",
            "Of a class: pixels that are of it both in the truth and in the prediction, divided by those that are in "
            "at least one of them. 1 is perfect, 0 is no overlap. Half of a region found and nothing else: 0.5.",
        ),
        (
            "Two kinds of mIoU",
            "The mIoU of the data set puts all pixels of all pictures in one table, takes the IoU of each class, and "
            "then the mean over classes: this is what benchmarks and papers report. The mIoU per image is the mean of "
            "each picture’s own mIoU, over the classes that occur in that picture: a small picture counts as much as a "
            "large one, and some stray pixels of a class that isn’t in a picture give that class IoU 0 there, so that "
            "this one is often lower. They are different numbers; say which one you quote.",
        ),
        (
            f"{NOTHING} (nothing to measure)",
            "A class that is neither in the truth nor in the prediction has no IoU. It enters no mean, neither as 0 "
            "nor as 1. A class that is predicted but not there has IoU 0, and that counts.",
        ),
        (
            "Ignored pixels",
            f"Pixels that the masks mark as “doesn’t count” ({ignored}) enter no number on this page.",
        ),
        (
            "Accuracy (recall), precision, Dice",
            "Accuracy of a class: which part of its true pixels was found. Precision: which part of the pixels that "
            "were called so really are. Dice: both in one number, 2 × common / (true + predicted); never below IoU.",
        ),
        (
            "Boundary F1",
            "The same for outlines alone: of the predicted and of the true outline pixels, how many have the other "
            "outline near. Sensitive to shape where IoU only counts area.",
        ),
    ]
    rows = [tag("div", tag("dt", term), tag("dd", words)) for term, words in terms]
    return tag(
        "section",
        tag("h2", "How to read this page", id="reading"),
        tag("dl", *rows, class_="terms"),
        aria_labelledby="reading",
    )
