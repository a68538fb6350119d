"""Calibration: how sure the model was, and how often it was right."""

from typing import Any

from minisegnet.report.markup import Html, cell, count, head, number, percent, table, tag

LEFT, TOP, SIDE = 46, 12, 300  # of the square, in the drawing's units
BELOW, DEEP = 30, 64  # the histogram: distance from the square, and height
WIDTH, HEIGHT = LEFT + SIDE + 12, TOP + SIDE + BELOW + DEEP + 42
NEAR = 0.01


def section(numbers: dict[str, Any]) -> Html:
    """Return the diagram, what it says, and its numbers."""
    found = numbers["calibration"]
    parts: list[Html] = [tag("h2", "May it be believed? Calibration", id="calibration")]
    if found["ece"] is None:
        parts.append(tag("p", "No pixel counts, so that there is nothing to say."))
    else:
        words = tag("div", *_words(found, numbers["data"]["counted_pixels"]))
        figure = tag("figure", _diagram(found), tag("figcaption", CAPTION))
        parts += [tag("div", figure, words, class_="beside"), _bins(found)]
    return tag("section", *parts, aria_labelledby="calibration")


CAPTION = (
    "Reliability diagram. The thick mark is how often the model was right where it was so sure; it should lie on the "
    "dotted line. Orange is the distance to how sure it was: above the mark it was too sure, below it too modest. At "
    "the bottom: how the pixels are spread over the confidences."
)


def _words(found: dict[str, Any], pixels: int) -> list[Html]:
    sure, right = found["mean_confidence"], found["mean_accuracy"]
    verdict = "about as sure as it is right"
    if abs(sure - right) > NEAR:
        verdict = (
            "more sure than it is right (over-confident)" if sure > right else "less sure than it is right"
        )
    return [
        tag("p", "For each pixel the model gives each class a probability. The highest one is its ",
            tag("b", "confidence"), ": how sure it is. A model is calibrated if, of all pixels of which it is 80 % "
            "sure, it gets 80 % right."),
        tag("p", f"On average this model is {percent(sure)} % sure and {percent(right)} % right: {verdict}."),
        tag("p", tag("b", f"Expected calibration error (ECE): {number(found['ece'])}."), f" All {count(pixels)} "
            f"counted pixels are sorted into {len(found['bins'])} bins by their confidence. In each bin, take the "
            "distance between the part that is right and the mean confidence; ECE is the mean of these distances, by "
            "the number of pixels. 0 is best."),
        tag("p", "Mind that most pixels lie inside large regions and are easy. So ECE can be small while the model is "
            "far too sure along edges and in rare classes."),
    ]  # fmt: skip


def _bins(found: dict[str, Any]) -> Html:
    heads = [
        head(name) for name in ("Confidence", "Pixels", "Right", "Mean confidence", "Part that is right")
    ]
    rows = [
        tag(
            "tr",
            tag("th", f"{bin_['above']:.3f} to {bin_['up_to']:.3f}", scope="row"),
            cell(count(bin_["pixels"])),
            cell(count(bin_["right"])),
            cell(number(bin_["confidence"])),
            cell(number(bin_["accuracy"])),
        )
        for bin_ in found["bins"]
    ]
    drawn = table(
        "The bins.", heads, rows, note="Each holds the confidences above the first number, up to the second."
    )
    return tag("details", tag("summary", "The numbers of the diagram"), drawn)


# ---------------------------------------------------------------------------------------------------------
# Drawing


def _diagram(found: dict[str, Any]) -> Html:
    told = "; ".join(
        f"{bin_['above']:.2f} to {bin_['up_to']:.2f}: {number(bin_['accuracy'])} right"
        for bin_ in found["bins"]
        if bin_["pixels"]
    )
    return tag(
        "svg",
        tag("title", "Reliability diagram"),
        *_axes(),
        *(mark for bin_ in found["bins"] for mark in _marks(bin_)),
        tag("line", x1=_x(0), y1=_y(0), x2=_x(1), y2=_y(1), class_="ideal"),
        *_histogram(found["bins"]),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        class_="reliability",
        role="img",
        aria_label=f"Reliability diagram. Confidence and part that is right: {told}",
    )


def _x(value: float) -> str:
    return f"{LEFT + SIDE * value:.1f}"


def _y(value: float) -> str:
    return f"{TOP + SIDE * (1 - value):.1f}"


def _axes() -> list[Html]:
    parts = []
    for k in range(6):
        v = k / 5
        parts += [
            tag("line", x1=_x(0), x2=_x(1), y1=_y(v), y2=_y(v), class_="grid"),
            tag("text", f"{v:g}", x=LEFT - 7, y=_y(v), dy="0.35em", text_anchor="end"),
            tag("text", f"{v:g}", x=_x(v), y=HEIGHT - 24, text_anchor="middle"),
        ]
    middle = TOP + SIDE / 2
    turned = f"rotate(-90 12 {middle:g})"
    return [
        *parts,
        tag(
            "text", "part that is right", x=12, y=middle, dy="0.35em", text_anchor="middle", transform=turned
        ),
        tag("text", "confidence: how sure", x=_x(0.5), y=HEIGHT - 6, text_anchor="middle"),
    ]


def _marks(bin_: dict[str, Any]) -> list[Html]:
    """Draw a bar of the part that is right, and the distance from there to the mean confidence."""
    if not bin_["pixels"]:
        return []
    accuracy, confidence = bin_["accuracy"], bin_["confidence"]
    left, wide = bin_["above"], bin_["up_to"] - bin_["above"]
    low, high = sorted((accuracy, confidence))
    place = {"x": f"{LEFT + SIDE * left + 1:.1f}", "width": f"{SIDE * wide - 2:.1f}"}
    told = (
        f"confidence {bin_['above']:.3f} to {bin_['up_to']:.3f}: {count(bin_['pixels'])} pixels, {number(accuracy)} "
        f"right, mean confidence {number(confidence)}"
    )
    return [
        tag("g",
            tag("title", told),
            tag("rect", y=_y(low), height=f"{SIDE * low:.1f}", class_="bar", **place),
            tag("rect", y=_y(high), height=f"{SIDE * (high - low):.1f}", class_="gap", **place),
            tag("rect", y=f"{TOP + SIDE * (1 - accuracy) - 1.5:.1f}", height=3, class_="mark", **place)),
    ]  # fmt: skip


def _histogram(bins: list[dict[str, Any]]) -> list[Html]:
    total = sum(bin_["pixels"] for bin_ in bins)
    most = max(bin_["pixels"] for bin_ in bins) / total
    floor = TOP + SIDE + BELOW + DEEP
    parts = [tag("line", x1=_x(0), x2=_x(1), y1=floor, y2=floor, class_="grid")]
    for bin_ in bins:
        share = bin_["pixels"] / total
        tall = DEEP * share / most
        parts.append(
            tag("rect", x=f"{LEFT + SIDE * bin_['above'] + 1:.1f}", y=f"{floor - tall:.1f}", height=f"{tall:.1f}",
                width=f"{SIDE * (bin_['up_to'] - bin_['above']) - 2:.1f}", class_="count")
        )  # fmt: skip
    return [*parts, tag("text", f"{percent(most)} %", x=LEFT - 7, y=floor - DEEP, dy="0.8em", text_anchor="end"),
            tag("text", "pixels", x=LEFT - 7, y=floor, text_anchor="end")]  # fmt: skip
