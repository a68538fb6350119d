"""What the site is made of: pages and their links, the menu, formulas, the commands' page and the reference.

That the site builds, and what a browser makes of it, is shown by docs/build.py and tests/test_site.py.
"""

import re
import sys
from pathlib import Path
from posixpath import dirname, normpath

import pytest

from minisegnet import use_backend
from minisegnet.cli import COMMANDS

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from building import commands, contents, gallery, lessons, pages, reference  # noqa: E402

LESSONS = sorted(path.stem for path in (ROOT / "lessons").glob("[0-9][0-9]_*.py"))
KNOWN = {
    "docs/a.md": "a.md",
    "docs/models/b.md": "models/b.md",
    "lessons/02_convolution.py": "lessons/02.ipynb",
}


@pytest.mark.parametrize(
    ("text", "expected", "copied"),
    [
        ("see [b](models/b.md)", "see [b](models/b.md)", []),
        ("[b](models/b.md#tiles)", "[b](models/b.md#tiles)", []),
        ("[two](../lessons/02_convolution.py)", "[two](lessons/02.ipynb)", []),
        ("[them](../lessons/solutions)", "[them](lessons/solutions/index.md)", []),
        ("![x](images/demo.png)", "![x](images/demo.png)", [("docs/images/demo.png", "images/demo.png")]),
        ("[MIT](../LICENSE)", "[MIT](files/LICENSE)", [("LICENSE", "files/LICENSE")]),
        ("[here](#below), [there](https://example.org/a.md)", None, []),
        ("```\n[b](nowhere.md)\n```\n", None, []),
    ],
)
def test_links_lead_to_pages_of_the_site(text, expected, copied):
    copies = []
    found = pages.relinked(text, "docs/a.md", "a.md", KNOWN, lambda *both: copies.append(both))
    assert found == (text if expected is None else expected) and copies == copied


def test_links_from_below_and_to_nowhere():
    found = pages.relinked(
        "[a](../a.md)\n```\nx\n```\n[a](../a.md#b)", "docs/models/b.md", "models/b.md", KNOWN, print
    )
    assert found == "[a](../a.md)\n```\nx\n```\n[a](../a.md#b)"
    found = pages.relinked("[a](docs/a.md)", "README.md", "start/readme.md", KNOWN, print)
    assert found == "[a](../a.md)"
    with pytest.raises(ValueError, match=r"README\.md links to docs/none\.md"):
        pages.relinked("[a](docs/none.md)", "README.md", "readme.md", KNOWN, print)


def test_every_link_of_every_page_has_a_place_on_the_site():
    known = pages.pages()
    assert len(set(known.values())) == len(known), "two pages in one place"
    checked = 0
    for file, place in known.items():
        if file.endswith(".py") or file == "docs/claims.md":
            continue
        copied = set()
        text = (ROOT / file).read_text(encoding="utf-8")
        changed = pages.relinked(text, file, place, known, lambda _, to, copied=copied: copied.add(to))
        prose = re.sub(r"^ *```.*?^ *``` *$", "", changed, flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)", prose):
            if "://" not in target:
                there = normpath(f"{dirname(place)}/{target}".lstrip("/"))
                assert there in {*known.values(), *pages.FOLDERS.values(), *copied}, f"{file}: {target}"
                checked += 1
    assert checked > 80


def test_the_menu_is_what_the_front_page_lists():
    text = "# X\n\n## Teach\n\n- [A page](a.md): of something\n\nand [no item](c.md)\n\n"
    text += "## Look up\n\n- [B](b/x.ipynb)\n"
    found = contents.of_front_page(
        text, ["index.md", "a.md", "c.md", "b/x.ipynb", "claims.md", "commands.md"]
    )
    first, second = re.findall(r"```\{toctree\}\n(.*?)```", found, flags=re.DOTALL)
    assert first.splitlines()[:4] == [":hidden:", ":caption: Teach", "", "A page <a>"]
    assert "claims>" in first and "c" not in first.splitlines()
    assert second.splitlines()[3] == "B <b/x>" and second.splitlines()[-1] == "c", "unlisted pages come last"
    with pytest.raises(ValueError, match="no heading Look up, Teach"):
        contents.of_front_page("# X\n\n## Learn\n", [])


def test_every_lesson_has_its_formulas_and_its_tile():
    text = lessons.FORMULAS.read_text(encoding="utf-8")
    headings = re.findall(r"^## (\d\d) \[.*\]\(\.\./lessons/(.*)\.py\)$", text, flags=re.MULTILINE)
    assert [name for _, name in headings] == LESSONS and all(name[:2] == number for number, name in headings)
    found = lessons.formulas()
    assert [name[:2] for name in LESSONS] == list(found)
    for number, part in found.items():
        assert part.count("$$") >= 2 and part.count("$$") % 2 == 0 and "## " not in part, number
    tiles = gallery.gallery()
    assert re.findall(r"^- \[!\[.+\]\(images/lessons/(\d\d)\.png\)\]", tiles, re.MULTILINE) == list(found)
    assert [f"{int(name[:2])}. " in tiles and f"(../lessons/{name}.py)" in tiles for name in LESSONS] == [
        True
    ] * 14
    assert gallery.MARK not in gallery.filled((ROOT / "docs" / "index.md").read_text(encoding="utf-8"))
    with pytest.raises(ValueError, match="has no line"):
        gallery.filled("# X")


def test_the_page_of_commands_has_every_command():
    page = commands.page()
    for name, what in COMMANDS.items():
        assert f"| [{name}](#minisegnet-{name}) | {what} |" in page
        section = page.split(f"\n## minisegnet {name}\n")[1].split("\n## ")[0]
        assert section.strip().startswith(f"```text\nusage: minisegnet {name} ") and "--help" in section
    assert page == commands.page() and "\x1b" not in page


def test_the_reference_has_every_public_name_once():
    found = reference.pages()
    names = [name for listed in reference.MODULES.values() for name in listed]
    assert set(found) == {*names, "index"}
    entries = {}
    for name in names:
        assert f"   {name}\n" in found["index"] + "\n"
        entries[name] = re.findall(r"^\.\. auto(?:class|function):: (\w+)$", found[name], flags=re.MULTILINE)
        assert len(entries[name]) == len(set(entries[name]))
    values = [getattr(sys.modules[name], entry) for name, listed in entries.items() for entry in listed]
    assert len({id(value) for value in values}) == len(values), "documented twice"
    everything = {getattr(sys.modules[m], n) for m in names for n in reference.public_names(sys.modules[m])}
    assert everything == set(values)
    assert {"conv2d", "conv2d_backward", "use_backend", "nms"} <= set(entries["minisegnet.ops"])
    assert "Tensor" in entries["minisegnet.autograd"] and "UNet" in entries["minisegnet.models.unet"]


def test_the_examples_of_ious_are_right():
    text = (ROOT / "docs" / "which-iou.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    examples = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert sum(example.count("assert") for example in examples) >= 9
    with use_backend("numpy"):
        for example in examples:
            exec(compile(example, "which-iou.md", "exec"), names)
