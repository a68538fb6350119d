"""What the numbers of a report hint at, and what to try.

Each rule is a function of the numbers, which yields hints: a kind (for scripts), the class it is about (or None) and a
sentence or two. A rule says something only where the numbers leave little doubt.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from minisegnet.report.markup import number, percent, plural

Numbers: TypeAlias = dict[str, Any]
Hint: TypeAlias = dict[str, str | None]

FEW_PICTURES = 10  # below this the numbers may change much with other pictures
FEW_OF_A_CLASS = 3
RARE, WEAK = 0.02, 0.5  # a class of less than this share; an IoU below this
GAP = 0.2  # between recall and precision
MIX_UP = 0.15  # of a class's pixels that are taken for one other class
MISCALIBRATED = 0.05
MUCH_IGNORED = 0.25
MEANS_APART = 0.1
BLURRED = 0.6  # a boundary F1 below this, where the IoU is above 0.8


def hints(numbers: Numbers) -> list[Hint]:
    """Return what is worth saying of the numbers, the gravest first."""
    return [hint for rule in RULES for hint in rule(numbers)]


def hint(kind: str, text: str, of: str | None = None) -> Hint:
    """Make one."""
    return {"kind": kind, "class": of, "text": text}


# ---------------------------------------------------------------------------------------------------------
# What was measured


def nothing_counts(numbers: Numbers) -> Iterator[Hint]:
    """Say so where no pixel has a class."""
    if not numbers["data"]["counted_pixels"]:
        yield hint(
            "nothing-counts",
            "No pixel of these pictures counts: all are marked as ignored. There is nothing to measure; look at the "
            "masks.",
        )


def too_good(numbers: Numbers) -> Iterator[Hint]:
    """Say so where the pictures were seen before."""
    seen = numbers["data"]["seen"]
    if seen in ("trained-on", "partly"):
        which = "These are" if seen == "trained-on" else "Among these are"
        yield hint(
            "seen-in-training",
            f"{which} pictures that the model may have been trained on. What it reaches on them says little of new "
            "pictures; measure on pictures that were held out (--split val or test).",
        )
    elif seen == "chosen-by":
        yield hint(
            "chosen-by",
            "The best checkpoint was chosen by its score on these pictures, so the numbers are a little too good. "
            "Pictures set aside in test/ give honest ones.",
        )


def few_pictures(numbers: Numbers) -> Iterator[Hint]:
    """Warn of chance."""
    pictures = numbers["data"]["pictures"]
    if 0 < pictures < FEW_PICTURES:
        spread = numbers["scores"]["miou_of_each_image"]
        range_ = f" (here from {number(spread['lowest'])} to {number(spread['highest'])} a picture)"
        yield hint(
            "few-pictures",
            f"{plural(pictures, 'picture')} {'is' if pictures == 1 else 'are'} few. Other pictures could give quite "
            f"other numbers{range_ if spread['pictures'] > 1 else ''}; don't decide by small differences.",
        )


def much_ignored(numbers: Numbers) -> Iterator[Hint]:
    """Ask about many pixels that count nowhere."""
    data = numbers["data"]
    share = data["ignored_pixels"] / data["pixels"] if data["pixels"] else 0
    if share > MUCH_IGNORED and data["counted_pixels"]:
        yield hint(
            "much-ignored",
            f"{percent(share)} % of the pixels are marked as ignored and count nowhere. Is that meant? A mask whose "
            "object is 255 looks like this.",
        )


# ---------------------------------------------------------------------------------------------------------
# Classes


def one_class_only(numbers: Numbers) -> Iterator[Hint]:
    """Find a model that says the same of every pixel."""
    predicted = [entry for entry in numbers["classes"] if entry["predicted_pixels"]]
    there = [entry for entry in numbers["classes"] if entry["pixels"]]
    if len(predicted) == 1 and len(there) > 1:
        yield hint(
            "one-class-only",
            f"The model calls every pixel “{predicted[0]['name']}”. Mostly it was trained too briefly, or the other "
            "classes are so rare that this is an easy way to be right: train longer, try --loss ce+dice or --weights "
            "median-frequency, and check that the masks hold what you expect.",
            predicted[0]["name"],
        )


def never_predicted(numbers: Numbers) -> Iterator[Hint]:
    """Find classes that are there and never found."""
    predicted = sum(1 for entry in numbers["classes"] if entry["predicted_pixels"])
    for entry in numbers["classes"]:
        if entry["pixels"] and not entry["predicted_pixels"] and predicted > 1:
            yield hint(
                "never-predicted",
                f"“{entry['name']}” was never predicted, though {percent(entry['share'])} % of the pixels are of it. "
                "Train longer, weight it higher (--weights median-frequency), try --loss ce+dice, or annotate more "
                "pictures of it.",
                entry["name"],
            )


def only_predicted(numbers: Numbers) -> Iterator[Hint]:
    """Find classes that aren't there and pull the mean down."""
    for entry in numbers["classes"]:
        if not entry["pixels"] and entry["predicted_pixels"]:
            yield hint(
                "only-predicted",
                f"“{entry['name']}” is in none of the true labels, but was predicted at "
                f"{plural(entry['predicted_pixels'], 'pixel')}. Its IoU is 0, and that counts in the mIoU.",
                entry["name"],
            )


def absent(numbers: Numbers) -> Iterator[Hint]:
    """Name the classes of which nothing is known."""
    missing = [c["name"] for c in numbers["classes"] if not c["pixels"] and not c["predicted_pixels"]]
    if missing and numbers["data"]["counted_pixels"]:
        names = ", ".join(f"“{name}”" for name in missing[:8]) + ("…" if len(missing) > 8 else "")
        yield hint(
            "absent",
            f"{names}: neither in the true labels nor in the predictions. Nothing is known of "
            f"{'them' if len(missing) > 1 else 'it'}; measure on pictures that have "
            f"{'them' if len(missing) > 1 else 'it'}.",
            missing[0] if len(missing) == 1 else None,
        )


def few_of_a_class(numbers: Numbers) -> Iterator[Hint]:
    """Find classes whose numbers rest on one or two pictures."""
    if numbers["data"]["pictures"] < FEW_PICTURES:
        return  # that is said of all classes already
    for entry in numbers["classes"]:
        if 0 < entry["pictures"] < FEW_OF_A_CLASS:
            yield hint(
                "few-of-a-class",
                f"“{entry['name']}” is in {plural(entry['pictures'], 'picture')} only: its numbers rest on "
                f"{'that one' if entry['pictures'] == 1 else 'those'}.",
                entry["name"],
            )


def rare_and_weak(numbers: Numbers) -> Iterator[Hint]:
    """Find rare classes that are predicted badly."""
    for entry in numbers["classes"]:
        if entry["pixels"] and entry["predicted_pixels"] and entry["share"] < RARE and entry["iou"] < WEAK:
            yield hint(
                "rare-and-weak",
                f"“{entry['name']}” is rare ({percent(entry['share'])} % of the pixels) and its IoU is "
                f"{number(entry['iou'])}. Weight it higher (--weights median-frequency), try --loss ce+dice, or "
                "annotate more pictures of it.",
                entry["name"],
            )


def found_too_much_or_too_little(numbers: Numbers) -> Iterator[Hint]:
    """Find classes whose recall and precision are far apart."""
    for entry in numbers["classes"]:
        recall, precision = entry["accuracy"], entry["precision"]
        if recall is None or precision is None or abs(recall - precision) <= GAP:
            continue
        if recall < precision:
            text = (
                f"“{entry['name']}” is found too rarely: {percent(recall)} % of its pixels are, while "
                f"{percent(precision)} % of what is called so is right. A higher weight for it helps."
            )
        else:
            text = (
                f"“{entry['name']}” is called too often: only {percent(precision)} % of what is called so is right. "
                "If it was weighted high, weight it less; if not, show the model more of what it is taken for."
            )
        yield hint("missed" if recall < precision else "over-predicted", text, entry["name"])


def mixed_up(numbers: Numbers) -> Iterator[Hint]:
    """Name the largest mix-ups of two classes."""
    large = [(true, guessed, share) for true, guessed, _, share in mix_ups(numbers) if share > MIX_UP]
    if large:
        told = "; ".join(
            f"{percent(share)} % of “{true}” is called “{guessed}”" for true, guessed, share in large
        )
        yield hint(
            "mixed-up",
            f"Mixed up most: {told}. If you can't tell them apart in the pictures below either, the labels may be at "
            "fault, or the model sees too little around a pixel (more --depth).",
            large[0][0] if len(large) == 1 else None,
        )


def mix_ups(numbers: Numbers, most: int = 3) -> list[tuple[str, str, int, float]]:
    """List the largest shares of a class that went to another: true class, predicted class, pixels, share."""
    names = [entry["name"] for entry in numbers["classes"]]
    found = []
    for i, row in enumerate(numbers["confusion"]):
        total = sum(row)
        found += [(-pixels / total, i, j, pixels) for j, pixels in enumerate(row) if i != j and pixels]
    return [(names[i], names[j], pixels, -share) for share, i, j, pixels in sorted(found)[:most]]


# ---------------------------------------------------------------------------------------------------------
# All together


def blurred_outlines(numbers: Numbers) -> Iterator[Hint]:
    """Say so where areas are right and outlines are not."""
    score, miou = numbers["scores"]["mean_boundary_f1"], numbers["scores"]["miou"]
    if score is not None and miou > 0.8 and score < BLURRED:
        yield hint(
            "outlines",
            f"Areas are right (mIoU {number(miou)}), outlines less so (boundary F1 {number(score)}): shapes are there, "
            "but their edges are off by more than the tolerance. Larger crops, a model with skips (unet), and exact "
            "masks help.",
        )


def two_means(numbers: Numbers) -> Iterator[Hint]:
    """Explain two kinds of mIoU that are far apart."""
    whole, each = numbers["scores"]["miou"], numbers["scores"]["miou_per_image"]
    if whole is None or each is None or abs(whole - each) <= MEANS_APART:
        return
    why = (
        "some pictures do much worse than all pixels together, or have stray pixels of classes that aren't in them: "
        "look at the worst ones"
        if each < whole
        else "a few hard pictures, or a class that is in few of them, pull the first one down"
    )
    yield hint(
        "means-apart",
        f"The two means differ: mIoU {number(whole)} over all pixels, {number(each)} a picture. So {why}.",
    )


def miscalibrated(numbers: Numbers) -> Iterator[Hint]:
    """Say so where the model is sure at the wrong places."""
    found = numbers["calibration"]
    if found["ece"] is None or found["ece"] <= MISCALIBRATED:
        return
    sure, right = found["mean_confidence"], found["mean_accuracy"]
    where = f"it is {percent(sure)} % sure on average and right at {percent(right)} % of the pixels"
    text = (
        f"The model is too sure of itself: {where}. Don't read its probabilities as chances. More pictures, more "
        "--augment and a shorter training make it more modest."
        if sure > right
        else f"The model is less sure than it could be: {where}. Losses such as focal, or class weights, do that; so "
        "does a short training."
    )
    yield hint("over-confident" if sure > right else "under-confident", text)


RULES: tuple[Callable[[Numbers], Iterator[Hint]], ...] = (
    nothing_counts,
    too_good,
    one_class_only,
    never_predicted,
    only_predicted,
    much_ignored,
    few_pictures,
    few_of_a_class,
    rare_and_weak,
    found_too_much_or_too_little,
    mixed_up,
    blurred_outlines,
    two_means,
    miscalibrated,
    absent,
)
