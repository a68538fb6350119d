"""The front page's gallery: a picture of each lesson, with the question that it asks, from lessons/README.md."""

import re

from building.lessons import titles
from building.pages import ROOT

MARK = "<!-- here the site has its gallery -->"
ROW = re.compile(r"^\| (\d+) \| \[(.*?)\]\((.*?)\.py\) \| !\[(.*?)\]\((.*?)\) \|$", re.MULTILINE)


def filled(text: str) -> str:
    """Put the gallery where the front page has its mark."""
    if MARK not in text:
        raise ValueError(f"docs/index.md has no line {MARK}")
    return text.replace(MARK, gallery())


def gallery() -> str:
    """Return the gallery as Markdown, with links as seen from docs/."""
    rows = ROW.findall((ROOT / "lessons" / "README.md").read_text(encoding="utf-8"))
    names = titles(ROOT / "lessons")
    if [row[2] for row in rows] != list(names):
        raise ValueError(f"lessons/README.md lists {[row[2] for row in rows]}, but there are {list(names)}")
    tiles = []
    for number, question, name, alt, picture in rows:
        lesson = f"../lessons/{name}.py"
        tiles.append(
            f"- [![{alt}]({picture})]({lesson})\n  [{number}. {names[name]}]({lesson})\n  {question}"
        )
    return ":::{container} gallery\n" + "\n".join(tiles).replace("](../docs/", "](") + "\n:::"
