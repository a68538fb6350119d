"""The menu: what stands under which heading, read from the lists of links on the pages themselves."""

import re
from collections.abc import Iterable

# Pages that code makes, under the heading of the front page that they belong to.
MADE = {
    "Teach": [("What the sources claim, and what shows it", "claims.md")],
    "Look up": [("The command line", "commands.md"), ("API reference", "api/index.rst")],
}
ITEM = re.compile(r"^- \[([^\]]*)\]\(([^)#]+)\)", re.MULTILINE)
ROW = re.compile(r"^\|.*?\[[^\]]*\]\(([^)#:]+\.(?:md|ipynb))\)", re.MULTILINE)


def of_front_page(text: str, places: Iterable[str]) -> str:
    """Add a hidden table of contents for each heading of the front page: its list, and what code makes.

    Those of the given places that no list names, such as a new page, stand under the last heading.
    """
    parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)
    unknown = set(MADE) - set(parts[1::2])
    if unknown:
        raise ValueError(f"docs/index.md has no heading {', '.join(sorted(unknown))}")
    lists = {name: ITEM.findall(part) for name, part in zip(parts[1::2], parts[2::2], strict=True)}
    lists = {name: listed + MADE.get(name, []) for name, listed in lists.items()}
    named = {"index.md"} | {page for listed in lists.values() for _, page in listed}
    lists[parts[-2]] += [("", place) for place in places if "/" not in place and place not in named]
    trees = [_tree(listed, name) for name, listed in lists.items()]
    return text + "\n" + "\n".join(trees)


def of_table(text: str) -> str:
    """Add a hidden table of contents for the pages that a page's table links to first in each row."""
    return text + "\n" + _tree([("", page) for page in ROW.findall(text)])


def _tree(pages: list[tuple[str, str]], caption: str = "") -> str:
    names = [page.rpartition(".")[0] for _, page in pages]
    names = [f"{title} <{name}>" if title else name for (title, _), name in zip(pages, names, strict=True)]
    head = [":hidden:"] + ([f":caption: {caption}"] if caption else [])
    return "\n".join(["```{toctree}", *head, "", *names, "```", ""])
