"""The menu: what stands under which heading, read from the lists of links on the pages themselves."""

import re

# Pages that code makes, under the heading of the front page that they belong to.
MADE = {"Look up": [("The command line", "commands.md"), ("API reference", "api/index.rst")]}
ITEM = re.compile(r"^- \[([^\]]*)\]\(([^)#]+)\)", re.MULTILINE)
ROW = re.compile(r"^\|.*?\[[^\]]*\]\(([^)#:]+\.(?:md|ipynb))\)", re.MULTILINE)


def of_front_page(text: str) -> str:
    """Add a hidden table of contents for each heading of the front page: its list, and what code makes."""
    parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)
    unknown = set(MADE) - set(parts[1::2])
    if unknown:
        raise ValueError(f"docs/index.md has no heading {', '.join(sorted(unknown))}")
    trees = [_tree(ITEM.findall(part) + MADE.get(name, []), name) for name, part in zip(parts[1::2], parts[2::2], strict=True)]
    return text + "\n" + "\n".join(trees)


def of_table(text: str) -> str:
    """Add a hidden table of contents for the pages that a page's table links to first in each row."""
    return text + "\n" + _tree([("", page) for page in ROW.findall(text)])


def _tree(pages: list[tuple[str, str]], caption: str = "") -> str:
    names = [page.rpartition(".")[0] for _, page in pages]
    names = [f"{title} <{name}>" if title else name for (title, _), name in zip(pages, names, strict=True)]
    head = [":hidden:"] + ([f":caption: {caption}"] if caption else [])
    return "\n".join(["```{toctree}", *head, "", *names, "```", ""])
