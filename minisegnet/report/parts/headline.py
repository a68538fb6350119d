"""What was measured, the numbers that one looks for first, and what they hint at."""

import re
from typing import Any

from minisegnet.report.markup import Html, count, join, number, percent, plural, tag

FLAG = re.compile(r"(--[a-z][a-z-]+)")

SEEN = {
    "no": "pictures that the model has not seen before, as far as is known",
    "chosen-by": "validation pictures, by which the checkpoint was chosen",
    "partly": "some of these pictures may be those of the training",
    "trained-on": "pictures that the model was trained on",
}


def header(numbers: dict[str, Any]) -> Html:
    """Return the title and what was measured."""
    data, model = numbers["data"], numbers["model"]
    step = "" if model["step"] is None else f", checkpoint of step {count(model['step'])}"
    ignored = data["ignored_pixels"]
    pixels = f"{plural(data['pixels'], 'pixel')}" + (
        f", of which {count(ignored)} ({percent(ignored / data['pixels'])} %) are ignored"
        if ignored
        else ", all of them counted"
    )
    facts = [
        ("Data", data["name"]),
        ("Split", join([data["split"], SEEN[data["seen"]]] if data["split"] else [SEEN[data["seen"]]], ": ")),
        ("Pictures", f"{plural(data['pictures'], 'picture')}: {pixels}"),
        ("Model", f"{model['name']}, {plural(model['parameters'], 'parameter')}{step}"),
        ("Run", model["run"]),
        ("Measured", numbers["date"] or ""),
    ]
    rows = [tag("div", tag("dt", term), tag("dd", fact)) for term, fact in facts if fact]
    return tag(
        "header",
        tag("p", "minisegnet evaluation report", class_="kind"),
        tag("h1", f"{model['name']} on {data['name']}"),
        tag("dl", *rows, class_="facts"),
    )


def section(numbers: dict[str, Any]) -> Html:
    """Return the first numbers."""
    scores, tolerance = numbers["scores"], numbers["boundary_tolerance"]
    each, ece = scores["miou_of_each_image"], numbers["calibration"]["ece"]
    within = f"{tolerance:g} pixels" if tolerance >= 1 else f"{100 * tolerance:g} % of the diagonal"
    tiles = [
        ("mIoU, data set", scores["miou"], "all pixels of all pictures in one table, then the mean over classes"),
        (
            "mIoU, per image",
            scores["miou_per_image"],
            "the mIoU of each picture by itself, then the mean over pictures"
            + (f" (deviation {number(each['deviation'])})" if each["pictures"] > 1 else ""),
        ),
        ("Pixel accuracy", scores["pixel_accuracy"], "part of all pixels that is right; large classes rule it"),
        ("Boundary F1", scores["mean_boundary_f1"], f"outlines within {within} of the truth, mean over classes"),
        ("Calibration error", ece, "how far “how sure” is from “how often right”; 0 is best"),
    ]  # fmt: skip
    boxes = [
        tag(
            "div", tag("dt", name), tag("dd", number(value), class_="value"), tag("dd", words, class_="words")
        )
        for name, value, words in tiles
    ]
    return tag(
        "section",
        tag("h2", "At a glance", id="glance"),
        tag("dl", *boxes, class_="tiles"),
        _hints(numbers["hints"]),
        aria_labelledby="glance",
    )


def _with_flags(text: str) -> list[object]:
    """Set flags as code, so that no line ends within one."""
    return [tag("code", part) if part.startswith("--") else part for part in re.split(FLAG, text)]


def _hints(hints: list[dict[str, str | None]]) -> Html:
    if not hints:
        return tag(
            "p", "The numbers hint at nothing in particular: no class is missed, no mix-up stands out."
        )
    items = [tag("li", *_with_flags(str(hint["text"]))) for hint in hints]
    return join([tag("h3", "What the numbers hint at"), tag("ul", *items, class_="hints")])
