"""The table of the classes: all pixels together, and picture by picture."""

from collections.abc import Sequence
from typing import Any

from minisegnet.report.markup import (
    NOTHING,
    Html,
    cell,
    count,
    head,
    number,
    percent,
    plural,
    row_head,
    table,
    tag,
)

NAMES = {
    "iou": "IoU",
    "accuracy": "Accuracy (recall)",
    "precision": "Precision",
    "dice": "Dice",
    "boundary_f1": "Boundary F1",
}
MEANS = {
    "iou": "miou",
    "accuracy": "mean_accuracy",
    "precision": "mean_precision",
    "dice": "mean_dice",
    "boundary_f1": "mean_boundary_f1",
}
WIDTH, HEIGHT = 120, 14  # of the drawing of a spread


def section(numbers: dict[str, Any]) -> Html:
    """Return both tables."""
    return tag(
        "section",
        tag("h2", "Classes", id="classes"),
        _together(numbers),
        _picture_by_picture(numbers),
        aria_labelledby="classes",
    )


def named(entry: dict[str, Any]) -> Html:
    """Return a class's name with its colour, as the head of a row."""
    return row_head(entry["name"], swatch(entry["colour"]))


def swatch(colour: Sequence[int]) -> Html:
    """Return a small square of a colour."""
    red, green, blue = colour
    return tag("span", class_="swatch", style=f"background:rgb({red} {green} {blue})", aria_hidden="true")


def _together(numbers: dict[str, Any]) -> Html:
    heads = [
        head("Class", class_="name"),
        head("Pixels"),
        head("Share"),
        head("Pictures"),
        *map(head, NAMES.values()),
    ]
    rows = []
    for entry in numbers["classes"]:
        share = NOTHING if entry["share"] is None else f"{percent(entry['share'])} %"
        rows.append(
            tag(
                "tr",
                named(entry),
                cell(count(entry["pixels"])),
                cell(share),
                cell(count(entry["pictures"])),
                _bar(entry["iou"]),
                *(cell(number(entry[key])) for key in NAMES if key != "iou"),
            )
        )
    scores = numbers["scores"]
    means = [cell(number(scores[MEANS[key]])) for key in NAMES]
    all_ = tag(
        "tr",
        row_head("Mean over classes"),
        cell(count(numbers["data"]["counted_pixels"])),
        cell(""),
        cell(count(numbers["data"]["pictures"])),
        *means,
    )
    tolerance = numbers["boundary_tolerance"]
    within = f"{tolerance:g} pixels" if tolerance >= 1 else f"{100 * tolerance:g} % of the picture’s diagonal"
    note = (
        "Each class is judged by all its pixels in all pictures; the mean of the IoU column is the mIoU of the data "
        "set. Pixels, share and pictures are those of the true labels. Boundary F1: outline pixels within "
        f"{within}. Frequency-weighted IoU (large classes count more): {number(scores['frequency_weighted_iou'])}."
    )
    return table("All pixels together.", heads, rows, foot=all_, note=note, class_="classes")


def _bar(value: float | None) -> Html:
    """Return a cell with a number and a bar as long as it."""
    style = None if value is None else f"--part:{100 * value:.1f}%"
    return cell(number(value), class_="number bar", style=style)


def _picture_by_picture(numbers: dict[str, Any]) -> Html:
    heads = [
        head("Class", class_="name"),
        head("Pictures"),
        head("IoU, mean ± deviation"),
        head("Spread of IoU, 0 to 1", class_="spread"),
        *(head(name) for key, name in NAMES.items() if key != "iou"),
    ]
    rows = []
    for entry in numbers["classes"]:
        each = entry["of_each_image"]
        rows.append(
            tag(
                "tr",
                named(entry),
                cell(count(each["iou"]["pictures"])),
                cell(_mean(each["iou"])),
                tag("td", spread(each["iou"]), class_="spread"),
                *(cell(_mean(each[key])) for key in NAMES if key != "iou"),
            )
        )
    whole = numbers["scores"]["miou_of_each_image"]
    foot = tag(
        "tr",
        row_head("mIoU of each picture"),
        cell(count(whole["pictures"])),
        cell(_mean(whole)),
        tag("td", spread(whole), class_="spread"),
        *(cell("") for key in NAMES if key != "iou"),
    )
    note = (
        "The same numbers of each picture by itself: mean ± standard deviation over the pictures in whose truth or "
        "prediction the class is. The line goes from the worst picture to the best, the box holds the middle half of "
        "the pictures, the mark is the median."
    )
    return table("Picture by picture.", heads, rows, foot=foot, note=note, class_="classes")


def _mean(each: dict[str, Any]) -> str:
    if each["mean"] is None:
        return NOTHING
    return number(each["mean"]) + (f" ± {number(each['deviation'])}" if each["pictures"] > 1 else "")


def spread(each: dict[str, Any]) -> Html:
    """Draw a line from the lowest to the highest, a box around the middle half, and a mark at the median."""
    if not each["pictures"]:
        return tag("span", NOTHING)
    names = ("lowest", "lower_quartile", "median", "upper_quartile", "highest")
    low, first, middle, third, high = (4 + (WIDTH - 8) * each[name] for name in names)
    y = HEIGHT / 2
    told = (
        f"{plural(each['pictures'], 'picture')}: lowest {number(each['lowest'])}, "
        f"quarter {number(each['lower_quartile'])}, median {number(each['median'])}, "
        f"three quarters {number(each['upper_quartile'])}, highest {number(each['highest'])}"
    )
    box = {"y": 2, "height": HEIGHT - 4, "width": f"{max(third - first, 1):.1f}"}
    return tag(
        "svg",
        tag("title", told),
        tag("line", x1=4, x2=WIDTH - 4, y1=y, y2=y, class_="track"),
        tag("line", x1=f"{low:.1f}", x2=f"{high:.1f}", y1=y, y2=y, class_="range"),
        tag("rect", x=f"{first:.1f}", class_="box", **box),
        tag("line", x1=f"{middle:.1f}", x2=f"{middle:.1f}", y1=1, y2=HEIGHT - 1, class_="median"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        height=HEIGHT,
        role="img",
        aria_label=told,
    )
