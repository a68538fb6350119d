"""The report in a real browser: how wide it is, whether its pictures and its script work, and that it asks nobody.

Chromium runs without a window. What is measured in the page is written into the page by a script that is added to a
copy of it, and read from the document that the browser prints.
"""

import base64
import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from browser_helpers import FLAGS, asked_by_the_page, browse
from report_helpers import Known, oracle, random_known, read_page

from minisegnet import report

pytestmark = pytest.mark.slow

NASTY = (
    "<script>document.title='taken'</script>",
    "<img src=http://127.0.0.1:9/name.png>",
    "&\"'</style></script>",
    "a_name_without_any_space_that_is_much_longer_than_a_telephone_is_wide_and_goes_on_and_on",
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report with nasty names, ignored pixels, a class that is never predicted, and more pictures than are shown."""
    dataset = random_known(count=14, C=4, size=(40, 52), seed=4, class_names=NASTY)
    dataset.names = [f"{i} {NASTY[i % 4]}.png" for i in range(14)]
    for guess in dataset.predictions:
        guess[guess == 2] = 1
    large = np.zeros((700, 1500), int)
    dataset.truths[0], dataset.predictions[0] = large, 1 - large
    dataset.levels[0] = np.full(large.shape, 200)
    folder = tmp_path_factory.mktemp("report") / "out"
    return report.write(report.examine(oracle(dataset), dataset, split="val"), folder) / "report.html"


def measured(chromium, tmp_path, page, script, *, width=1280, flags=()):
    """Show a copy of the page in a frame of this width; run a script in it, and return what that returned.

    A window can't be narrower than 500 pixels, a frame can.
    """
    text = page.read_text("utf-8")
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', text)
    added = f"<script>addEventListener('load', () => parent.postMessage((() => {{{script}}})(), '*'));</script></body>"
    (tmp_path / "copy.html").write_text(text.replace(policy[0], "").replace("</body>", added), "utf-8")
    outer = tmp_path / "outer.html"
    outer.write_text(
        """<!DOCTYPE html><body><script>
        addEventListener("message", event => {
          const place = document.createElement("pre");
          place.id = "found";
          place.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(event.data))));
          document.body.append(place);
        });</script>"""
        f'<iframe src="copy.html" width="{width}" height="900" style="border:0"></iframe></body>',
        "utf-8",
    )
    dom = browse(chromium, tmp_path / "profile", outer, "--virtual-time-budget=10000", *flags)
    return json.loads(base64.b64decode(re.search(r'<pre id="found">([^<]*)</pre>', dom)[1]))


MEASURE = """
  const wide = [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll") || e.matches(".scroll"))
    .filter(e => !e.closest("svg")).filter(e => e.getBoundingClientRect().right > innerWidth + 0.5);
  return {
    window: innerWidth,
    page: document.documentElement.scrollWidth,
    wide: wide.map(e => e.outerHTML.slice(0, 80)),
    pictures: [...document.images].map(i => [i.complete, i.naturalWidth, i.naturalHeight, i.getAttribute("width")]),
    boxes: [...document.querySelectorAll(".scroll")].map(b => b.scrollWidth > b.clientWidth + 1),
    title: document.title,
    text: getComputedStyle(document.body).color, ground: getComputedStyle(document.body).backgroundColor,
    smallest: Math.min(...[...document.querySelectorAll("main p, main td, main dd")]
      .map(e => parseFloat(getComputedStyle(e).fontSize))),
  };
"""


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_its_pictures_are_there(chromium, page, tmp_path, width):
    found = measured(chromium, tmp_path, page, MEASURE, width=width)
    assert found["window"] == width
    assert found["page"] == width and found["wide"] == []  # nothing scrolls sideways but boxes of their own
    assert len(found["pictures"]) == 8 * 4
    for complete, natural_width, natural_height, told in found["pictures"]:
        assert complete and natural_width == int(told) and natural_height > 0
    assert max(natural_width for _, natural_width, _, _ in found["pictures"]) == 320
    assert found["title"] == "Conv2d on known: evaluation"  # and no name has run as a script
    assert found["smallest"] >= 11
    if width == 390:
        assert any(found["boxes"])  # tables are wider, and scroll


def test_it_is_dark_where_the_reader_wants_that(chromium, page, tmp_path):
    found = []
    for scheme in (0, 1):  # dark, light
        folder = tmp_path / str(scheme)
        folder.mkdir()
        flag = f"--blink-settings=preferredColorScheme={scheme}"
        found.append(measured(chromium, folder, page, MEASURE, flags=[flag]))
    brightness = [
        [sum(map(int, re.findall(r"\d+", f[name])[:3])) for name in ("text", "ground")] for f in found
    ]
    (dark_text, dark_ground), (light_text, light_ground) = brightness
    assert dark_text > 600 > 150 > dark_ground and light_text < 150 < 600 < light_ground


SORT = """
  const table = document.querySelector("table.sortable"), buttons = [...table.querySelectorAll("thead button")];
  const rows = () => [...table.tBodies[0].rows].map(row => [...row.cells].map(cell => cell.textContent));
  const found = {names: buttons.map(b => b.textContent), start: rows()};
  buttons[2].click(); found.size = rows(); found.sort = table.tHead.rows[0].cells[2].getAttribute("aria-sort");
  buttons[0].click(); buttons[0].click(); found.last_first = rows();
  buttons[1].click(); found.by_name = rows();
  buttons[4].click(); found.by_miou = rows();
  return found;
"""


def test_the_list_can_be_sorted(chromium, tmp_path):
    truths = [np.zeros(size, int) for size in ((4, 20), (9, 5), (10, 10), (3, 3))]
    guesses = [np.zeros_like(truth) for truth in truths]
    for k in range(3):
        guesses[k].flat[: 5 * k + 1] = 1
    truths[3][:] = 255  # nothing counts: it has no mIoU
    dataset = Known(truths, guesses, class_names="ab", ignore_index=255, names=["p10", "p9", "p2", "p1"])
    folder = report.write(report.examine(oracle(dataset), dataset), tmp_path / "out")
    found = measured(chromium, tmp_path, folder / "report.html", SORT)
    numbers = json.loads((folder / "report.json").read_text("utf-8"))
    miou = [picture["miou"] for picture in numbers["pictures"]]
    best_last = [dataset.names[i] for i in sorted(range(3), key=lambda i: miou[i])]
    assert [row[1] for row in found["start"]] == [*best_last, "p1"]
    assert found["names"][0] == "No." and found["sort"] == "ascending"
    assert [row[2] for row in found["size"]] == ["3 × 3", "9 × 5", "4 × 20", "10 × 10"]
    assert [row[0] for row in found["last_first"]] == ["4", "3", "2", "1"]
    assert [row[1] for row in found["by_name"]] == ["p1", "p2", "p9", "p10"]
    assert [row[1] for row in found["by_miou"]] == [*best_last, "p1"]


def test_its_own_script_runs_and_no_other(chromium, page, tmp_path):
    dom = browse(chromium, tmp_path / "a", page)
    assert dom.count('<button type="button">') == 7  # the page as it is: its rule lets its own script through
    foreign = tmp_path / "foreign.html"
    text = page.read_text("utf-8")
    foreign.write_text(text.replace("</body>", "<script>document.title = 'taken'</script></body>"), "utf-8")
    dom = browse(chromium, tmp_path / "b", foreign)
    assert "<title>Conv2d on known: evaluation</title>" in dom and dom.count('<button type="button">') == 7


def test_it_asks_the_network_for_nothing(chromium, page, tmp_path):
    (tmp_path / "asks").mkdir()
    asks = tmp_path / "asks" / "asks.html"
    there = "http://127.0.0.1:9"
    asks.write_text(
        f"<img src='{there}/picture.png'><style>@import '{there}/style.css';</style><script>fetch('{there}/data')"
        "</script><link rel=preconnect href='http://127.0.0.1:10'>",
        "utf-8",
    )
    found = asked_by_the_page(chromium, tmp_path / "asks", asks)  # the log tells of a page that does ask
    assert {f"{there}/picture.png", f"{there}/style.css", f"{there}/data", "http://127.0.0.1:10/"} <= found
    assert asked_by_the_page(chromium, tmp_path, page) == set()


def test_it_is_what_was_written(chromium, page, tmp_path):
    """The browser repairs broken HTML; of this page it leaves everything where it was."""
    written = read_page(page.read_text("utf-8"))
    (tmp_path / "x").mkdir()
    found = measured(
        chromium,
        tmp_path / "x",
        page,
        """return {tags: [...document.querySelectorAll("header *, main *, footer *")].map(e => e.tagName.toLowerCase()),
          caption: document.querySelector("caption").textContent,
          names: [...document.querySelectorAll("table.classes")][0].querySelectorAll("tbody th").length};""",
    )
    parts = [part for tag in ("header", "main", "footer") for part in written.all(tag)]
    expected = [element.tag for part in parts for element in part.all()]
    without_script = [tag for tag in found["tags"] if tag != "button"]
    assert without_script == expected and found["names"] == 4


def test_pictures_of_the_page(chromium, page, tmp_path):
    """It can be drawn: a screen's worth of it is not empty."""
    from PIL import Image

    shot = tmp_path / "shot.png"
    root = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
    words = [chromium, *FLAGS, *root, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=390,800"]
    subprocess.run(
        [*words, f"--screenshot={shot}", Path(page).as_uri()], capture_output=True, timeout=120, check=True
    )
    with Image.open(shot) as picture:
        assert picture.size == (390, 800)
        assert len(picture.convert("RGB").getcolors(2**20)) > 20
