"""The built site in a real browser: it is all there, fits a telephone, finds what it has, and asks nobody else.

``docs/build.py`` builds it. Without a built site the tests say so and are skipped. ``MINISEGNET_SITE`` names another
folder; then it must be there.
"""

import importlib
import inspect
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browser_helpers import browse
from site_server import served, walked

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
LESSONS = sorted(path.stem for path in (ROOT / "lessons").glob("[0-9][0-9]_*.py"))
PHONE, SCREEN = 390, 1280


@pytest.fixture(scope="module")
def site():
    """The folder of the built site."""
    named = os.environ.get("MINISEGNET_SITE")
    folder = Path(named or ROOT / "docs" / "_build" / "html")
    if (folder / "index.html").exists():
        return folder
    told = f"no site in {folder}: build it by `python docs/build.py`, or name its folder in MINISEGNET_SITE"
    if named:
        pytest.fail(told)
    pytest.skip(told)


# ---------------------------------------------------------------------------------------------------------
# What the pages say, without a browser


class Page(HTMLParser):
    """A page's links, what it loads, and the names of its places."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.places, self.pictures = [], [], {"", "top"}, []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.places |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href") is not None:
            self.links.append(given["href"])
        if tag == "img":
            self.pictures.append(given)
        if tag == "link" and given.get("rel") in (
            "stylesheet",
            "preload",
            "icon",
            "preconnect",
            "dns-prefetch",
        ):
            self.loaded.append(given["href"])
        if tag in ("script", "img", "iframe", "source", "video", "object", "embed") and given.get("src"):
            self.loaded.append(given["src"])


@pytest.fixture(scope="module")
def pages(site):
    return {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}


def test_all_pages_are_there(pages):
    expected = {
        "index.html",
        "commands.html",
        "which-iou.html",
        "formulas.html",
        "conventions.html",
        "search.html",
    }
    expected |= {f"lessons/{name}.html" for name in LESSONS}
    expected |= {f"lessons/solutions/{name}.html" for name in LESSONS}
    expected |= {f"models/{name}.html" for name in ("index", "fcn", "segnet", "deconvnet", "unet", "patch")}
    expected |= {
        f"api/minisegnet.{name}.html" for name in ("ops", "functional", "backends.reference", "testing")
    }
    assert expected <= set(pages)


def test_every_link_leads_somewhere(site, pages):
    """To a file of the site, and to a place in it; other hosts are only ever linked to."""
    broken = []
    for name, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https", "mailto") and link in page.links and link not in page.loaded:
                continue
            target = (site / name).parent / unquote(parts.path) if parts.path else site / name
            known = pages.get(os.path.relpath(target, site).replace(os.sep, "/"))
            missing = parts.scheme or parts.netloc or not target.is_file()
            if missing or (parts.fragment and known and unquote(parts.fragment) not in known.places):
                broken.append(f"{name}: {link}")
    assert not broken


def test_every_picture_says_what_it_shows(pages):
    assert not [
        (name, given) for name, page in pages.items() for given in page.pictures if not given.get("alt")
    ]


def test_the_licence_of_what_is_bundled_lies_beside_it(site):
    assert (site / "_static" / "mathjax" / "tex-svg.js").is_file()
    assert "Apache License" in (site / "_static" / "mathjax" / "MathJax.txt").read_text("utf-8")


# ---------------------------------------------------------------------------------------------------------
# What the browser makes of them

MEASURE = """
  const within = page.document.querySelector("article"), rest = [...page.document.querySelectorAll("article *")];
  const scrolls = e => { for (; e && e !== within; e = e.parentElement)
    if (["auto", "scroll", "hidden"].includes(page.window.getComputedStyle(e).overflowX)) return true; };
  const fits = async width => {
    page.frame.width = width;
    await new Promise(done => page.window.requestAnimationFrame(() => page.window.requestAnimationFrame(done)));
    return {page: page.document.documentElement.scrollWidth, window: page.window.innerWidth,
      wide: rest.filter(e => e.getBoundingClientRect().right > page.window.innerWidth + 1 && !scrolls(e)
        && !e.closest("mjx-container") && e.getClientRects().length && getComputedStyle(e).position !== "absolute")
        .map(e => e.outerHTML.slice(0, 120))};
  };
  const formulas = [...page.document.querySelectorAll("article .math")];
  const text = within ? within.cloneNode(true) : page.document.body;
  text.querySelectorAll("pre, code, script, mjx-assistive-mml").forEach(e => e.remove());
  return {
    phone: await fits(390), screen: await fits(1280), title: page.document.title,
    pictures: [...page.document.querySelectorAll("article img")].map(i => [i.complete, i.naturalWidth, i.naturalHeight,
      i.getBoundingClientRect().width]),
    formulas: formulas.length, typeset: formulas.filter(e => e.querySelector("mjx-container svg")).length,
    wrong: page.document.querySelectorAll("mjx-merror, [data-mjx-error]").length,
    raw: (text.textContent.match(/\\\\\\\\[a-zA-Z]+|\\\\$\\\\$/g) || []),
    hosts: page.window.performance.getEntriesByType("resource").map(e => new URL(e.name).host),
    colours: [page.window.getComputedStyle(page.document.body).color,
      page.window.getComputedStyle(page.document.body).backgroundColor],
  };
"""
MEASURE = MEASURE.replace("\\\\", "\\")


@pytest.fixture(scope="module")
def found(chromium, site, pages, tmp_path_factory):
    """What the browser found on every page but those of plain source code, and what it asked for on the way."""
    names = [name for name in pages if not name.startswith("_modules/") and name != "genindex.html"]
    with served(site) as server:
        tasks = [[f"/{name}", PHONE] for name in names]
        measured, requests, console = walked(
            chromium, tmp_path_factory.mktemp("walk") / "all", server, tasks, MEASURE
        )
        assert isinstance(measured, list), measured
        return {
            "pages": dict(zip(names, measured, strict=True)),
            "requests": requests,
            "console": console,
            "answers": list(server.answers),
            "address": server.address,
        }


def test_nothing_is_asked_of_another_host(found):
    assert found["requests"], "the log has the site's own requests"
    assert {url for url in found["requests"] if not url.startswith(found["address"] + "/")} == set()
    host = urlsplit(found["address"]).netloc
    assert {h for page in found["pages"].values() for h in page["hosts"]} <= {host, ""}


def test_no_page_complains(found):
    assert not found["console"]
    wrong = {(path, status) for path, status in found["answers"] if status not in (200, 204, 304)}
    assert wrong <= {("/favicon.ico", 404)}, wrong  # a browser asks for that by itself


def test_figures_are_there(found):
    for name, page in found["pages"].items():
        for complete, width, height, shown in page["pictures"]:
            assert complete and width > 0 and height > 0 and shown > 0, name
    for lesson in LESSONS:
        shows = (ROOT / "lessons" / f"{lesson}.py").read_text("utf-8").count("lesson.show(")
        assert len(found["pages"][f"lessons/{lesson}.html"]["pictures"]) == shows > 0, lesson
    assert len(found["pages"]["index.html"]["pictures"]) == len(LESSONS) + 1


def test_formulas_are_typeset(found):
    """As many as are written, each drawn, none as raw TeX."""
    text = (ROOT / "docs" / "formulas.md").read_text(encoding="utf-8")
    sections = re.split(r"^## (\d\d) ", text, flags=re.MULTILINE)
    written = {
        number: part.count("$$") // 2 for number, part in zip(sections[1::2], sections[2::2], strict=True)
    }
    for lesson in LESSONS:
        assert found["pages"][f"lessons/{lesson}.html"]["formulas"] == written[lesson[:2]] > 0, lesson
    assert found["pages"]["formulas.html"]["formulas"] == sum(written.values())
    for module in ("ops", "optim", "losses"):
        package = importlib.import_module(f"minisegnet.{module}")
        docs = [inspect.getdoc(getattr(package, name)) or "" for name in package.__all__ if name[0] != "_"]
        least = sum(doc.count(".. math::") for doc in set(docs))
        assert found["pages"][f"api/minisegnet.{module}.html"]["formulas"] >= least > 0, module
    for name, page in found["pages"].items():
        assert page["typeset"] == page["formulas"] and page["wrong"] == 0 and page["raw"] == [], name


@pytest.mark.parametrize("width", ["phone", "screen"])
def test_no_page_scrolls_sideways(found, width):
    wide = {}
    for name, page in found["pages"].items():
        fit = page[width]
        assert fit["window"] == {"phone": PHONE, "screen": SCREEN}[width]
        if fit["page"] > fit["window"] or fit["wide"]:
            wide[name] = (fit["page"], fit["wide"][:3])
    assert not wide


SEARCH = """
  for (let tries = 0; tries < 100; tries++) {
    await new Promise(done => setTimeout(done, 100));
    const links = [...page.document.querySelectorAll("#search-results ul.search li a")];
    if (links.length && page.document.querySelector("#search-results p.search-summary")) break;
  }
  await new Promise(done => setTimeout(done, 500));
  return [...page.document.querySelectorAll("#search-results ul.search li a")].map(a => a.getAttribute("href"));
"""


def test_the_search_finds_lessons(chromium, site, tmp_path):
    words = ["unpooling", "합성곱", "checkerboard"]
    with served(site) as server:
        tasks = [[f"/search.html?q={word}", SCREEN] for word in words]
        lists, requests, console = walked(chromium, tmp_path, server, tasks, SEARCH)
    assert not console and all(url.startswith(server.address) for url in requests)
    unpooling, convolution, checkerboard = (" ".join(links) for links in lists)
    assert "lessons/05_pool_and_unpool.html" in unpooling
    assert "lessons/02_convolution.html" in convolution
    assert "lessons/06_transposed_convolution.html" in checkerboard


def test_from_the_disk_formulas_and_search_work_too(chromium, site, tmp_path):
    page = (site / "formulas.html").as_uri()
    assert browse(chromium, tmp_path / "a", page, "--virtual-time-budget=20000").count("<mjx-container") > 14
    dom = browse(
        chromium,
        tmp_path / "b",
        f"{(site / 'search.html').as_uri()}?q=unpooling",
        "--virtual-time-budget=20000",
    )
    assert "lessons/05_pool_and_unpool.html" in dom.split('id="search-results"')[1]


@pytest.mark.parametrize(("scheme", "dark"), [(0, True), (1, False)])
def test_it_is_dark_where_the_reader_wants_that(chromium, site, tmp_path, scheme, dark):
    with served(site) as server:
        flag = f"--blink-settings=preferredColorScheme={scheme}"
        tasks = [["/lessons/02_convolution.html", SCREEN]]
        [page], _, _ = walked(chromium, tmp_path, server, tasks, MEASURE, flags=[flag])
    text, ground = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in page["colours"])
    assert (text > 600 > 150 > ground) if dark else (text < 150 < 600 < ground)
