"""The claims of the source documents, the marks that name them, the record of a run, and the page made from it."""

import ast
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import make
import pytest
from claims_data import Claim, Document, System, problems, read_documents, read_systems

TESTS = Path(__file__).parent
DOCUMENTS, SYSTEMS = read_documents(), read_systems()
CLAIMS = [claim for document in DOCUMENTS for claim in document.claims]


def marked_ids() -> dict[str, list[str]]:
    """Read from the tests' sources which claims are marked, and in which files."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.claim":
                for argument in node.args:
                    found.setdefault(ast.literal_eval(argument), []).append(path.name)
    return found


# ---------------------------------------------------------------------------------------------------------
# The claims


def test_every_claim_is_shown_or_says_why_not() -> None:
    """Ids are unique and in order; marks name claims that exist; every row of the systems list is there."""
    assert problems(DOCUMENTS, SYSTEMS, marked_ids()) == []


def test_all_documents_and_systems_are_there() -> None:
    assert [document.id for document in DOCUMENTS] == ["S0", "S1", "S2", "S3", "S4"]
    numbers = [str(number) for number in range(1, 46)]
    assert [system.row for system in SYSTEMS] == [
        *numbers,
        *(f"c{i}" for i in range(1, 10)),
        *(f"d{i}" for i in range(1, 13)),
    ]


def test_corrections_are_corrected() -> None:
    """Each of the twelve corrections of the systems list stands in a claim that it belongs to."""
    for system in SYSTEMS:
        if system.row.startswith("d"):
            assert [claim for claim in CLAIMS if system.row in claim.rows and claim.correction], system.name


def test_links_of_the_list_of_systems_lead_somewhere() -> None:
    for system in SYSTEMS:
        assert not system.page or (TESTS.parent / "docs" / system.page).exists()
        assert not system.lesson or (TESTS.parent / "lessons" / f"{system.lesson}.py").exists()


def small() -> tuple[list[Document], list[System]]:
    claims = (
        Claim("S9-01", "Water is wet.", ("1",), "Water"),
        Claim("S9-02", "Fire is cold.", ("2",), "Fire", correction="It is hot; see S9-01."),
        Claim("S9-03", "Air is thin.", ("2",), "Fire", korean="공기", not_built="No air yet."),
        Claim("S9-04", "Air is thick.", ("2",), "Fire", not_built="No air yet."),
    )
    systems = [System("1", "Water"), System("2", "Fire")]
    return [Document("S9", "Elements", "By nobody.", claims)], systems


def changed(place: int, **changes: Any) -> tuple[list[Document], list[System]]:
    (document,), systems = small()
    claims = list(document.claims)
    claims[place] = dataclasses.replace(claims[place], **changes)
    return [dataclasses.replace(document, claims=tuple(claims))], systems


@pytest.mark.parametrize(
    ("place", "changes", "marked", "told"),
    [
        (0, {}, ["S9-01", "S9-02"], None),
        (0, {}, ["S9-01"], "S9-02: no test is marked with it"),
        (0, {}, ["S9-01", "S9-02", "S9-03"], "S9-03: it is shown by a test, or not built"),
        (0, {}, ["S9-01", "S9-02", "S9-05"], "S9-05: a test is marked with it, but no claim"),
        (0, {"id": "S9-02"}, ["S9-01", "S9-02"], "aren't numbered S9-01 to S9-04"),
        (0, {"rows": ("2",)}, ["S9-01", "S9-02"], "row 1: a claim must be about it"),
        (0, {"rows": ("1", "3")}, ["S9-01", "S9-02"], "row 3: systems.toml doesn't list it"),
        (0, {"text": " "}, ["S9-01", "S9-02"], "S9-01: it needs a text"),
        (1, {"correction": "As S9-07."}, ["S9-01", "S9-02"], "S9-02: it names S9-07"),
    ],
)
def test_problems_are_found(place: int, changes: dict[str, Any], marked: list[str], told: str | None) -> None:
    found = problems(*changed(place, **changes), marked)
    assert (found == []) if told is None else any(told in problem for problem in found)


def test_a_key_that_no_claim_has_is_an_error(tmp_path: Path) -> None:
    text = 'title = "a"\nabout = "b"\n[[section]]\nheading = "c"\n[[section.claim]]\nid = "S9-01"\nrows = ["1"]\n'
    (tmp_path / "S9.toml").write_text(text + 'txt = "d"\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"S9.toml: claim S9-01: .*'txt'"):
        read_documents(tmp_path)


# ---------------------------------------------------------------------------------------------------------
# The record


def run_pytest(folder: Path, test: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run pytest with the plugin on one file in a folder of its own."""
    (folder / "conftest.py").write_text('pytest_plugins = ["claims_plugin"]\n', encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = claim\n", encoding="utf-8")
    (folder / "test_it.py").write_text(test, encoding="utf-8")
    paths = os.pathsep.join(map(str, (TESTS.parent, TESTS, TESTS.parent / "docs" / "claims")))
    command = [sys.executable, "-m", "pytest", "--strict-markers", *options]
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False)


EXAMPLE = """
import pytest

@pytest.mark.claim("S1-01", "S1-03")
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_two(backend):
    assert backend == "numpy"

@pytest.mark.claim("S1-03")
def test_skipped():
    pytest.skip("not here")

@pytest.fixture
def broken():
    yield
    raise RuntimeError("in the end")

@pytest.mark.claim("S1-04")
def test_broken_at_the_end(broken):
    pass

def test_without_a_mark():
    pass
"""


def test_the_record_says_which_test_ran_where_and_how_it_ended(tmp_path: Path) -> None:
    finished = run_pytest(tmp_path, EXAMPLE, "--claims-record", "record.json")
    assert finished.returncode == 1, finished.stdout
    record = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))
    two = {
        "test_it.py::test_two[numpy]": {"outcome": "passed", "backend": "numpy"},
        "test_it.py::test_two[numba]": {"outcome": "failed", "backend": "numba"},
    }
    skipped = {"test_it.py::test_skipped": {"outcome": "skipped", "backend": None}}
    broken = {"test_it.py::test_broken_at_the_end": {"outcome": "failed", "backend": None}}
    assert record == {"exit_status": 1, "claims": {"S1-01": two, "S1-03": two | skipped, "S1-04": broken}}


def test_the_tests_of_one_claim_can_be_chosen(tmp_path: Path) -> None:
    finished = run_pytest(tmp_path, EXAMPLE, "--collect-only", "-q", "-m", "claim", "-k", "S1-01")
    assert finished.stdout.splitlines()[:2] == ["test_it.py::test_two[numpy]", "test_it.py::test_two[numba]"]
    assert "2/5 tests collected" in finished.stdout


def test_a_mark_that_names_no_claim_is_an_error(tmp_path: Path) -> None:
    marks = ['claim("S1-01", "S1-99")', "claim", "claim()", 'claim(id="S1-01")', 'claim("S1-01")']
    tests = [f"@pytest.mark.{mark}\ndef test_{i}():\n    pass\n" for i, mark in enumerate(marks)]
    finished = run_pytest(tmp_path, "\n".join(["import pytest\n", *tests]))
    assert finished.returncode == pytest.ExitCode.USAGE_ERROR
    assert "marks name claims that docs/claims/S*.toml don't have" in finished.stderr
    told = [f"test_it.py::test_{i}: claim(" in finished.stderr for i in range(5)]
    assert told == [True, True, True, True, False]


# ---------------------------------------------------------------------------------------------------------
# The page


def passed(*backends: str | None) -> dict[str, dict[str, Any]]:
    return {
        f"tests/test_a.py::test_b[{i}]": {"outcome": "passed", "backend": name}
        for i, name in enumerate(backends)
    }


def record_of(**changes: Any) -> dict[str, Any]:
    claims = {"S9-01": passed("numpy", "numba"), "S9-02": passed(None)}
    return {"exit_status": 0, "claims": {**claims, **changes.pop("claims", {})}, **changes}


def test_the_page_says_what_became_of_each_claim() -> None:
    documents, systems = small()
    pages = {"1": ["[Water](water.md)"], "2": []}
    page = make.page_of(documents, systems, make.check_record(record_of(), documents), pages)
    assert "| [S9](#document-s9) | 4 | 1 | 1 | 2 | 0 |\n| all | 4 | 1 | 1 | 2 | 0 |" in page
    assert "Corrected: [S9-02](#s9-02). Of these, tests show 1; the other 0" in page
    assert "- Shown by `test_b` in `tests/test_a.py` (2 cases; on numba, numpy)" in page
    assert "- **Correction:** It is hot; see [S9-01](#s9-01)." in page
    assert "(s9-03)=\n**S9-03** Air is thin. (공기)\n\n- *Not built yet.* No air yet.\n" in page
    assert "**S9-04** Air is thick.\n\n- *Not built yet.*\n" in page  # for the same reason
    assert "- Read more: [Water](water.md)\n" in page
    assert "- Fire: [S9-02](#s9-02), [S9-03](#s9-03), [S9-04](#s9-04)" in page
    assert page.count("### Fire") == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"claims": {"S9-02": {}}}, r"S9-02: none of its tests ran and passed \(0 are"),
        (
            {"claims": {"S9-02": {"tests/t.py::t": {"outcome": "skipped", "backend": None}}}},
            r"S9-02: none of its tests ran and passed \(1 are",
        ),
        (
            {"claims": {"S9-01": passed(None) | {"tests/t.py::t": {"outcome": "failed", "backend": None}}}},
            "S9-01: tests/t.py::t failed",
        ),
        ({"exit_status": 2}, "the test run was broken off"),
    ],
)
def test_no_page_without_proof(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        make.check_record(record_of(**changes), small()[0])


def test_a_record_can_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real page, from a record in which every test passed; and no page from one in which a claim is missing."""
    claims = {claim.id: passed("numpy") for claim in CLAIMS if make.is_tested(claim)}
    record = tmp_path / "record.json"
    record.write_text(json.dumps({"exit_status": 0, "claims": claims}), encoding="utf-8")
    monkeypatch.setenv("MINISEGNET_CLAIMS", str(record))
    page = make.write_page(page=tmp_path / "claims.md")
    text = page.read_text(encoding="utf-8")
    for claim in CLAIMS:
        assert text.count(f"({claim.id.lower()})=\n**{claim.id}**") == 1
    assert (
        "[lesson 9: From patches to a fully convolutional network](lessons/09_patches_to_fcn.ipynb)" in text
    )
    claims.popitem()
    record.write_text(json.dumps({"exit_status": 0, "claims": claims}), encoding="utf-8")
    with pytest.raises(ValueError, match="none of its tests ran"):
        make.write_page(page=tmp_path / "other.md")
    assert not (tmp_path / "other.md").exists()


def test_all_documents_are_among_the_sources() -> None:
    """docs/sources.md has a row for each document."""
    sources = (TESTS.parent / "docs" / "sources.md").read_text(encoding="utf-8")
    for document in DOCUMENTS:
        assert f"\n| {document.id} | " in sources
