"""The page: one HTML file that needs nothing else."""

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

from minisegnet.report.examine import Shown
from minisegnet.report.markup import Html, join, raw, tag
from minisegnet.report.parts import calibration, classes, confusion, headline, pictures, reading, settings
from minisegnet.report.style import SCRIPT, STYLE

CONTENTS = {
    "glance": "At a glance",
    "reading": "How to read",
    "classes": "Classes",
    "confusion": "Confusion",
    "calibration": "Calibration",
    "worst": "Worst pictures",
    "pictures": "All pictures",
    "settings": "Settings",
}


def page(numbers: dict[str, Any], shown: Sequence[Shown]) -> str:
    """Return the page as text.

    Parameters
    ----------
    numbers
        What ``numbers_of`` (``numbers.py``) puts together, with hints: all numbers on the page are these.
    shown
        The pictures to show, the worst first.
    """
    title = f"{numbers['model']['name']} on {numbers['data']['name']}: evaluation"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy()),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", raw(STYLE)),
    )
    body = tag("body", headline.header(numbers), _contents(bool(shown)), _main(numbers, shown), FOOTER,
               tag("script", raw(SCRIPT)))  # fmt: skip
    return "<!DOCTYPE html>\n" + tag("html", "\n", head, "\n", body, "\n", lang="en") + "\n"


FOOTER = tag(
    "footer",
    "Made by minisegnet. All numbers of this page, unrounded and with the IoU of each class in each picture, are in ",
    tag("b", "report.json"),
    " beside it. The page needs no network and loads nothing.",
)


def _main(numbers: dict[str, Any], shown: Sequence[Shown]) -> Html:
    parts = [
        headline.section(numbers),
        reading.section(numbers),
        classes.section(numbers),
        confusion.section(numbers),
        calibration.section(numbers),
        pictures.worst(numbers, shown),
        pictures.listing(numbers),
        settings.section(numbers),
    ]
    return tag("main", join(parts, "\n"))


def _contents(shown: bool) -> Html:
    items = [
        tag("li", tag("a", name, href=f"#{place}"))
        for place, name in CONTENTS.items()
        if shown or place != "worst"
    ]
    return tag("nav", tag("ul", *items), aria_label="Contents")


def _policy() -> str:
    """Return the rule by which browsers refuse whatever isn't in the page: requests, frames, foreign scripts."""
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode("utf-8")).digest()).decode("ascii")
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
