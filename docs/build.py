"""Build the site into ``docs/_build/html``: ``python docs/build.py``.

Needs the ``docs`` extra and no network. The lessons, their solutions and the pages with examples are run, on Numba;
a cell that fails, or a warning of Sphinx's, fails the build. What was run is kept (``building/notebooks.py``), so
that a second build takes seconds.

The site's sources are gathered in ``docs/_build/source``: copies of the Markdown pages with their links changed,
lessons as notebooks, and pages that are made by code. Sphinx (``docs/conf.py``) reads that folder and nothing else.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
from building import commands, contents, gallery, lessons, notebooks, pages, reference
from building.pages import ROOT
from sphinx.cmd.build import build_main

BUILD = ROOT / "docs" / "_build"
SOURCE = BUILD / "source"
KEPT = BUILD / "notebooks"
DOCTREES = BUILD / "doctrees"  # what Sphinx has read
CLAIMS = "MINISEGNET_CLAIMS"  # the environment variable that names a record of the claims' tests

# Pages whose blocks of Python are run, with the files that they find beside them.
EXECUTED = {
    "docs/export.md": {"weights.safetensors": ROOT / "tests" / "golden" / "imported" / "unet.safetensors"},
    "docs/which-iou.md": {},
}
SLOW = 20  # seconds that a lesson may take


class Sources:
    """The folder of the site's sources. Only what changes is written, so that Sphinx sees what is new."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: set[Path] = set()

    def write(self, place: str, content: str | bytes) -> None:
        """Write a file if it isn't there with this content."""
        path = self.folder / place
        data = content.encode() if isinstance(content, str) else content
        self.written.add(path)
        if not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def copy(self, file: str, place: str) -> None:
        """Copy a file of the repository."""
        self.write(place, (ROOT / file).read_bytes())

    def remove_the_rest(self) -> None:
        """Delete what an earlier build wrote and this one didn't."""
        for path in self.folder.rglob("*"):
            if path.is_file() and path not in self.written:
                path.unlink()


def main() -> int:
    """Gather the sources, run what is to be run, and let Sphinx make the pages."""
    os.environ.setdefault("MINISEGNET_BACKEND", "numba")
    sources = Sources(SOURCE)
    gather_pages(sources)
    sources.write("claims.md", page_of_claims())
    sources.write("commands.md", commands.page())
    for name, text in reference.pages().items():
        sources.write(f"api/{name}.rst", text)
    sources.remove_the_rest()
    forget_what_is_outdated()
    words = ["-b", "html", "-W", "-n", "-q", "-j", "auto", "-c", ROOT / "docs", "-d", DOCTREES]
    code = build_main([*map(str, words), str(SOURCE), str(BUILD / "html")])
    if code:
        shutil.rmtree(DOCTREES)  # a page that was read is not read again, and would not be complained of
    else:
        print(f"open {BUILD / 'html' / 'index.html'}")
    return code


def forget_what_is_outdated() -> None:
    """Let Sphinx read all pages anew if its extensions, which it doesn't look at, have changed."""
    mark, now = DOCTREES / "read-by", notebooks.fingerprint("docs/building")
    if not mark.exists() or mark.read_text() != now:
        shutil.rmtree(DOCTREES, ignore_errors=True)
        DOCTREES.mkdir(parents=True)
        mark.write_text(now)


def page_of_claims() -> str:
    """Return the page of claims, made from what their tests wrote down: now, at an earlier build, or elsewhere."""
    kept = BUILD / "claims" / f"{notebooks.fingerprint('minisegnet', 'tests')}.json"
    record = Path(os.environ.get(CLAIMS) or kept)
    if not record.exists() and CLAIMS not in os.environ:
        record.parent.mkdir(parents=True, exist_ok=True)
        words = ["-m", "pytest", "-p", "no:cacheprovider", "-m", "claim", f"--claims-record={record}"]
        settings = {name: value for name, value in os.environ.items() if name != "MINISEGNET_BACKEND"}
        subprocess.run([sys.executable, *words], cwd=ROOT, check=True, env=settings)
    page = BUILD / "claims" / "claims.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, ROOT / "docs" / "claims" / "make.py", record, page], cwd=ROOT, check=True)
    return page.read_text(encoding="utf-8")


def gather_pages(sources: Sources) -> None:
    """Write each page of the repository into the sources; run those with examples."""
    known = pages.pages()
    known |= {file: known[file].removesuffix(".md") + ".ipynb" for file in EXECUTED}
    package = notebooks.fingerprint("minisegnet")
    slow = []
    for file, place in known.items():
        if place == "claims.md":
            continue
        text = (ROOT / file).read_text(encoding="utf-8")
        if file.endswith(".py"):
            notebook, took = notebooks.executed(file, notebooks.from_script(text), KEPT, package)
            print(f"{file}: {took:.1f} s" if took else f"{file}: as it was", flush=True)
            if took > SLOW:
                slow.append(f"{file}: {took:.0f} s instead of {SLOW} s")
            sources.copy(file, file)
            sources.write(place, as_text(lessons.on_the_site(notebook, Path(file))))
            continue
        text = gallery.filled(text) if file == "docs/index.md" else text
        text = pages.relinked(text, file, place, known, sources.copy)
        if place == "index.md":
            text = contents.of_front_page(text, known.values())
        elif place in ("lessons/index.md", "models/index.md"):
            text = contents.of_table(text)
        if file in EXECUTED:
            notebook, took = notebooks.executed(
                file, notebooks.from_page(text), KEPT, package, EXECUTED[file]
            )
            print(f"{file}: {took:.1f} s" if took else f"{file}: as it was", flush=True)
            sources.write(place, as_text(notebook))
        else:
            sources.write(place, text)
    sources.write("lessons/solutions/index.md", lessons.index_of_solutions())
    for line in slow:
        print(f"OVER BUDGET: {line}")


def as_text(notebook: Any) -> str:
    """Return what is written of a notebook."""
    text: str = nbformat.writes(notebook)
    return text


if __name__ == "__main__":
    sys.exit(main())
