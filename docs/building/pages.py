"""Which file of the repository is which page of the site, and how their links change on the way.

A link between two files works where the repository is read. On the site files lie elsewhere, so each link is
written anew: to the page of the file that it names or, where that is no page, to a copy of the file.
"""

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

ROOT = Path(__file__).parents[2]

LINK = re.compile(r"(\]\()([^)#\s]+)?(#[^)\s]*)?(\))")
FENCE = re.compile(r"(^ *(```+|~~~+).*?^ *\2 *$)", re.MULTILINE | re.DOTALL)


def pages() -> dict[str, str]:
    """Return the place on the site of each file (both without a leading slash) that is a page of it."""
    found = {
        "CHANGELOG.md": "changelog.md",
        "CONTRIBUTING.md": "contributing.md",
        "README.md": "readme.md",
        "lessons/README.md": "lessons/index.md",
        "docs/models/README.md": "models/index.md",
        "docs/claims.md": "claims.md",  # made at build, for the site; git ignores one that is made by hand
    }
    for path in sorted((ROOT / "docs").rglob("*.md")):
        name = path.relative_to(ROOT).as_posix()
        if "/_build/" not in name:
            found.setdefault(name, name.removeprefix("docs/"))
    scripts = [*(ROOT / "lessons").glob("[0-9]*.py"), *(ROOT / "lessons" / "solutions").glob("[0-9]*.py")]
    for path in sorted(scripts):
        name = path.relative_to(ROOT).as_posix()
        found[name] = name.removesuffix(".py") + ".ipynb"
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.md")):
        found[f"benchmarks/results/{path.name}"] = f"performance/{path.name}"
    return found


# Folders that are linked to as such.
FOLDERS = {"lessons": "lessons/index.md", "lessons/solutions": "lessons/solutions/index.md"}


def relinked(
    text: str, file: str, place: str, known: dict[str, str], copy: Callable[[str, str], None]
) -> str:
    """Return a page's Markdown with its links changed for the site.

    Parameters
    ----------
    text
        The Markdown.
    file
        Its file in the repository, such as ``docs/training.md``: links are relative to it.
    place
        Its file among the site's sources, such as ``training.md``.
    known
        What :func:`pages` returns.
    copy
        Called as ``copy(file, place)`` for each file that is linked to and is no page, such as a picture.
    """

    def changed(match: re.Match[str]) -> str:
        before, target, anchor, after = match.groups()
        if target is None or "://" in target:
            return match[0]
        linked = normpath(str(PurePosixPath(file).parent / target))
        there = known.get(linked) or FOLDERS.get(linked)
        if there is None:
            if not (ROOT / linked).is_file():
                raise ValueError(f"{file} links to {target}: on the site there is no page and no file for it")
            there = linked.removeprefix("docs/") if linked.startswith("docs/") else f"files/{linked}"
            copy(linked, there)
        return f"{before}{relpath(there, PurePosixPath(place).parent)}{anchor or ''}{after}"

    parts = FENCE.split(text)  # a text, a fenced block, what its fence looks like, a text, ...
    return "".join(
        LINK.sub(changed, part) if i % 3 == 0 else part for i, part in enumerate(parts) if i % 3 < 2
    )
