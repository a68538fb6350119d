"""The lessons' form. That they run, and that what they assert holds, CI shows by running each (.ci/run)."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from minisegnet import viz
from minisegnet.cli import main
from minisegnet.marking import contract, stubs

FOLDER = Path(__file__).parent.parent / "lessons"
LESSONS = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
FILES = [*LESSONS, *sorted((FOLDER / "solutions").glob("*.py"))]
MARKED = sorted((FOLDER / "solutions" / "marked").glob("*.py"))  # plain modules, as a learner writes them
PUBLIC = set(
    "minisegnet numpy matplotlib inspect math time os pathlib itertools functools collections difflib timeit".split()
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
    assert 100 <= len(text.splitlines()) <= 250
    for part in ("people get wrong", "Exercises", "Where it comes from"):
        assert re.search(part, text, flags=re.IGNORECASE), f"{path.name} has no part {part!r}"
    assert "assert" in text and ".show(" in text
    assert re.search(r"[가-힣]", text), "a Korean term where it is introduced"


# ---------------------------------------------------------------------------------------------------------
# As a notebook. (jupytext makes one of each lesson; that isn't among the dependencies, so we check what it relies on.)


def cells(path):
    """Split a percent script: pairs of a cell's marker and its lines."""
    parts = re.split(r"^(# %%.*)\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert parts[0] == "", "something stands before the first cell"
    return [(marker, body.splitlines()) for marker, body in zip(parts[1::2], parts[2::2], strict=True)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_cell_is_either_text_or_code_that_runs_by_itself(path):
    for marker, lines in cells(path):
        assert marker in ("# %%", "# %% [markdown]"), f"{path.name}: {marker!r}"
        filled = [line for line in lines if line.strip()]
        if marker == "# %%":
            assert ast.parse("\n".join(lines)).body, f"{path.name}: a code cell without code"
        else:
            assert filled, f"{path.name}: an empty text cell"
            code = [line for line in filled if line != "#" and not line.startswith("# ")]
            assert not code, f"{path.name}: code in a text cell, or no space after #: {code[0]!r}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_tables_and_fences_in_the_text_are_whole(path):
    for marker, lines in cells(path):
        if marker == "# %%":
            continue
        text = "\n".join(line[2:] for line in lines)
        assert text.count("```") % 2 == 0, f"{path.name}: a fence is left open"
        bold = re.sub(r"`[^`]*`|[\w)]\*\*\d", "", text).count("**")  # without code and powers
        assert bold % 2 == 0, f"{path.name}: something bold has no end:\n{text}"
        for table in re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE):
            rows = table.splitlines()
            assert re.fullmatch(r"\|(---\|)+", rows[1]), f"{path.name}: no line below the head of {rows[0]}"
            assert len({row.count("|") for row in rows}) == 1, f"{path.name}: the rows differ:\n{table}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_product_in_the_text_is_taken_for_emphasis(path):
    """As Markdown, 2*3 and 4*5 in one paragraph is 2, then "3 and 4" slanted, then 5; 2·3 and `2*3` are safe."""
    for marker, lines in cells(path):
        text = re.sub(r"`[^`]*`", "", "\n".join(lines))
        assert marker == "# %%" or not re.search(r"[\d)]\*[\d(]", text), f"{path.name}:\n{text}"


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_each_picture_of_a_lesson_has_a_name_of_its_own(path):
    text = path.read_text(encoding="utf-8")
    names = re.findall(r'lesson\.show\(.*"(\w+)"\)', text)
    assert len(names) == len(set(names)) == text.count("lesson.show(")
    assert f'viz.Lesson("{path.stem}")' in text


@pytest.mark.parametrize("picture", [Figure(figsize=(1, 1), dpi=50), np.zeros((50, 50, 3), np.uint8)])
def test_in_a_notebook_the_saved_picture_is_shown(picture, monkeypatch, tmp_path, capsys):
    shown = []
    ipython, display = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.version_info = (9, 0)  # matplotlib asks for it
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())
    display.Image, display.display = lambda filename: Path(filename), shown.append
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setenv("MINISEGNET_OUTPUT", str(tmp_path))
    assert viz.Lesson("99_none").show(picture, "black") is None, "a notebook would write it below the picture"
    assert shown == [tmp_path / "99_none" / "black.png"]
    with Image.open(shown[0]) as image:
        assert image.size == (50, 50)
    assert capsys.readouterr().out == "", "the picture is there, its path needn't be"


# ---------------------------------------------------------------------------------------------------------
# Functions to write: `minisegnet start`, `minisegnet check`


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_with_functions_says_how_to_start_and_how_they_are_marked(path):
    text, number = path.read_text(encoding="utf-8"), path.name[:2]
    exercises = text.split("## Exercises")[1].split("## Where it comes from")[0]
    told = f"`minisegnet start {number}`" in exercises and f"`minisegnet check {number} FILE`" in exercises
    assert told == (int(number) in contract.LESSONS)


def test_each_lesson_with_functions_has_a_solution_of_all_of_them():
    names = {f"{number:02}_{stubs.NAMES[number]}.py" for number in contract.LESSONS}
    assert names == {path.name for path in MARKED}


@pytest.mark.parametrize("path", MARKED, ids=lambda path: path.stem)
def test_a_solution_needs_numpy_alone_and_keeps_the_contract(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imported] == ["import numpy as np"]
    found = {node.name: ast.unparse(node.args) for node in tree.body if isinstance(node, ast.FunctionDef)}
    for op in contract.LESSONS[int(path.name[:2])]:
        wanted = contract.contract(op).signature().split("(", 1)[1].rpartition(") -> ")[0]
        assert found[op] == wanted


@pytest.mark.slow  # CI marks each by the command itself
@pytest.mark.parametrize("path", MARKED, ids=lambda path: path.stem)
def test_a_solution_passes_the_marking_and_its_examples(path, capsys):
    assert main(["check", path.name[:2], str(path)]) == 0
    told = capsys.readouterr().out
    assert "Advice" not in told and "Not there yet" not in told
    ran = subprocess.run(
        [sys.executable, "-m", "doctest", path.name],
        cwd=path.parent, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (0, "")
