"""The confusion matrix: what was taken for what."""

from typing import Any

from minisegnet.report.hints import mix_ups
from minisegnet.report.markup import Html, captioned, cell, count, head, join, percent, plural, scrolling, tag
from minisegnet.report.parts.classes import named, swatch

MOST_CLASSES = 60  # of more classes, only the largest mix-ups are shown
SMALL = 12  # from so many classes on, numbers are small and names of columns stand upright
LISTED = 5


def section(numbers: dict[str, Any]) -> Html:
    """Return the matrix and the largest mix-ups."""
    C = len(numbers["classes"])
    shown: Html | str = _matrix(numbers)
    if C > MOST_CLASSES:
        shown = tag(
            "p", f"The matrix of {C} classes is too large for a page; it is in report.json (“confusion”)."
        )
    return tag(
        "section",
        tag("h2", "What was taken for what", id="confusion"),
        _largest(numbers, 20 if C > MOST_CLASSES else LISTED),
        shown,
        aria_labelledby="confusion",
    )


def _largest(numbers: dict[str, Any], most: int) -> Html:
    found = mix_ups(numbers, most)
    if not found:
        return tag("p", "No pixel was taken for another class.")
    items = [
        tag(
            "li",
            tag("b", f"{percent(share)} %"),
            f" of “{true}” was called “{guessed}” ({plural(pixels, 'pixel')})",
        )
        for true, guessed, pixels, share in found
    ]
    return join(
        [tag("p", "The largest mix-ups, by share of the true class:"), tag("ol", *items, class_="plain")]
    )


def _matrix(numbers: dict[str, Any]) -> Html:
    classes, confusion = numbers["classes"], numbers["confusion"]
    small = len(classes) > SMALL
    across = [
        tag("th", swatch(entry["colour"]), tag("span", entry["name"]), scope="col", class_="across")
        for entry in classes
    ]
    heads = tag("tr", head("truth ↓   predicted →", class_="name corner"), *across, head("pixels"))
    rows = []
    for i, entry in enumerate(classes):
        total = sum(confusion[i])
        cells = [_cell(numbers, i, j, total) for j in range(len(classes))]
        rows.append(tag("tr", named(entry), *cells, cell(count(total))))
    caption = captioned(
        "Confusion matrix, in % of each true class.",
        "A row is a true class and says where its pixels went; it adds up to 100 %. The diagonal (blue) is right, the "
        "rest (orange) is wrong; empty cells hold no pixel. Point at a cell for its pixels.",
    )
    drawn = tag(
        "table",
        caption,
        tag("thead", heads),
        tag("tbody", join(rows, "\n")),
        class_="confusion small" if small else "confusion",
    )
    return scrolling(drawn, "Confusion matrix")


def _cell(numbers: dict[str, Any], i: int, j: int, total: int) -> Html:
    pixels, names = numbers["confusion"][i][j], [entry["name"] for entry in numbers["classes"]]
    if not pixels:
        return cell("", class_="none" if total else "unknown")
    share = pixels / total
    strength = share if i == j else share**0.5  # so that a few per cent can be seen
    strong = " strong" if strength > 0.86 else ""  # from here on white is easier to read than black
    return cell(
        percent(share),
        class_=("right" if i == j else "wrong") + strong,
        style=f"--a:{0.08 + 0.92 * strength:.3f}",
        title=f"“{names[i]}” called “{names[j]}”: {plural(pixels, 'pixel')}",
    )
