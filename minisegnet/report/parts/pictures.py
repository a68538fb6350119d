"""The pictures: the worst with what went wrong, and a list of all."""

from collections.abc import Sequence
from typing import Any

from minisegnet.report.examine import Shown
from minisegnet.report.markup import (
    NOTHING,
    Html,
    cell,
    count,
    head,
    join,
    number,
    percent,
    plural,
    row_head,
    table,
    tag,
    times,
)
from minisegnet.report.panels import LONGEST, data_uri
from minisegnet.report.parts.classes import swatch
from minisegnet.viz.colours import IGNORED
from minisegnet.viz.overlay import WRONG

MOST_ROWS = 2000  # of the list; a browser is slow with more, and so is a reader
MOST_NAMED = 40  # classes in the legend
MOST_IOUS = 8  # of one picture
PANELS = {
    "picture": "Picture",
    "truth": "True labels",
    "predicted": "Prediction",
    "errors": "Mistakes",
}


def worst(numbers: dict[str, Any], shown: Sequence[Shown]) -> Html:
    """Return the pictures with the lowest mIoU."""
    pictures = numbers["pictures"]
    if not shown:
        return Html("")
    few = len(shown) < len(pictures)
    intro = (
        f"The {len(shown)} of {plural(len(pictures), 'picture')} with the lowest mIoU are shown, the worst first; the "
        "others are in the list below."
        if few
        else "All pictures, the worst first by their own mIoU."
    )
    smaller = any(pictures[one.number]["height"] != one.panels.size[0] for one in shown)
    if smaller:
        intro += f" Larger ones are shown at {LONGEST} pixels a side; the numbers are those of the full size."
    articles = [_article(numbers, one, place) for place, one in enumerate(shown, 1)]
    return tag(
        "section",
        tag("h2", "The worst pictures" if few else "The pictures", id="worst"),
        tag("p", intro),
        _legend(numbers, shown),
        *articles,
        aria_labelledby="worst",
    )


def _legend(numbers: dict[str, Any], shown: Sequence[Shown]) -> Html:
    there = {name for one in shown for name in numbers["pictures"][one.number]["iou"]}
    entries = [entry for entry in numbers["classes"] if entry["name"] in there]
    items = [tag("li", swatch(entry["colour"]), entry["name"]) for entry in entries[:MOST_NAMED]]
    if len(entries) > MOST_NAMED:
        items.append(tag("li", f"and {len(entries) - MOST_NAMED} more"))
    items.append(tag("li", swatch(WRONG), tag("em", "a mistake")))
    if any(numbers["pictures"][one.number]["ignored_pixels"] for one in shown):
        items.append(tag("li", swatch(IGNORED), tag("em", "ignored")))
    return tag("ul", *items, class_="legend", aria_label="Colours")


def _article(numbers: dict[str, Any], one: Shown, place: int) -> Html:
    picture = numbers["pictures"][one.number]
    height, width = one.panels.size
    figures = []
    for key, name in PANELS.items():
        image = tag("img", src=data_uri(getattr(one.panels, key)), width=width, height=height,
                    alt=f"{name} of {picture['name']}")  # fmt: skip
        figures.append(tag("figure", image, tag("figcaption", name)))
    wrong = None if picture["pixel_accuracy"] is None else 1 - picture["pixel_accuracy"]
    facts = (
        f"mIoU {number(picture['miou'])}; {percent(wrong)} % of {plural(picture['counted_pixels'], 'pixel')} wrong; "
        f"{times(picture['height'], picture['width'])}"
    )
    ious = sorted(picture["iou"].items(), key=lambda pair: pair[1])
    each = "IoU: " + ", ".join(f"{name} {number(value)}" for name, value in ious[:MOST_IOUS])
    if len(ious) > MOST_IOUS:
        each += f"; the other {len(ious) - MOST_IOUS} are higher"
    return tag(
        "article",
        tag("h3", f"{place}. ", picture["name"], id=f"picture-{one.number}"),
        tag("p", facts),
        tag("div", *figures, class_="panels"),
        tag("p", each, class_="quiet"),
    )


# ---------------------------------------------------------------------------------------------------------
# The list


def listing(numbers: dict[str, Any]) -> Html:
    """Return the numbers of all pictures, the worst first."""
    pictures = numbers["pictures"]
    order = sorted(range(len(pictures)), key=lambda i: (_last_if_none(pictures[i]["miou"]), i))
    columns = ("Size", "Counted pixels", "mIoU", "Pixel accuracy", "Lowest IoU")
    heads = [head("No."), head("Picture", class_="name"), *map(head, columns)]
    rows = [_row(i, pictures[i], i in numbers["shown"]) for i in order[:MOST_ROWS]]
    note = "The worst first, by their own mIoU. No. is the place in the data set."
    if len(pictures) > MOST_ROWS:
        note += f" The {count(MOST_ROWS)} worst of {count(len(pictures))} are listed; all are in report.json."
    drawn = table("Numbers of each picture.", heads, rows, note=note, class_="sortable", box="scroll long")
    return tag("section", tag("h2", "All pictures", id="pictures"), drawn, aria_labelledby="pictures")


def _row(i: int, picture: dict[str, Any], shown: bool) -> Html:
    name: object = tag("a", picture["name"], href=f"#picture-{i}") if shown else picture["name"]
    lowest = min(picture["iou"].items(), key=lambda pair: pair[1], default=None)
    return tag(
        "tr",
        cell(count(i + 1), value=i + 1),
        row_head(name),
        cell(times(picture["height"], picture["width"]), value=picture["height"] * picture["width"]),
        cell(count(picture["counted_pixels"]), value=picture["counted_pixels"]),
        cell(number(picture["miou"]), value=_sortable(picture["miou"])),
        cell(number(picture["pixel_accuracy"]), value=_sortable(picture["pixel_accuracy"])),
        cell(
            NOTHING if lowest is None else join([number(lowest[1]), " ", tag("small", lowest[0])]),
            value="" if lowest is None else lowest[1],
        ),
    )


def _sortable(value: float | None) -> object:
    return "" if value is None else value


def _last_if_none(value: float | None) -> float:
    return 2.0 if value is None else value
