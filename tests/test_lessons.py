"""The lessons' form. That they run, and that what they assert holds, CI shows by running each (.ci/run)."""

import ast
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "lessons"
LESSONS = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
FILES = [*LESSONS, *sorted((FOLDER / "solutions").glob("*.py"))]
PUBLIC = set(
    "minisegnet numpy matplotlib inspect math time os pathlib itertools functools collections difflib".split()
)


def test_lessons_are_numbered_without_gaps_and_each_has_solutions():
    assert [path.name[:2] for path in LESSONS] == [f"{n:02}" for n in range(1, len(LESSONS) + 1)]
    assert {path.name for path in LESSONS} == {path.name for path in (FOLDER / "solutions").glob("*.py")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_lesson_is_a_percent_script_that_uses_public_names_only(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# %% [markdown]\n# # ")
    assert all(len(line) <= 110 for line in text.splitlines())
    imported = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    assert {name.split(".")[0] for name in imported} <= PUBLIC
    assert "matplotlib.pyplot" not in imported
    assert not [name for name in imported if "._" in name or ".backends" in name]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_all_its_parts(path):
    text = path.read_text(encoding="utf-8")
    assert 100 <= len(text.splitlines()) <= 300
    for part in ("people get wrong", "Exercises", "Where it comes from"):
        assert re.search(part, text, flags=re.IGNORECASE), f"{path.name} has no part {part!r}"
    assert "assert" in text and ".show(" in text
    assert re.search(r"[가-힣]", text), "a Korean term where it is introduced"
