"""Write docs/claims.md: what the source documents say, and which of our tests shows it, or where they err.

Run it as ``python docs/claims/make.py [RECORD [PAGE]]``. It runs the marked tests first (``pytest -m claim``), unless
RECORD or MINISEGNET_CLAIMS names what ``pytest --claims-record=FILE`` wrote before. A claim whose tests failed or
didn't run is an error, and no page is written.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from claims_data import ID, Claim, Document, System, read_documents, read_systems

from minisegnet.files import write_atomically

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "claims.md"
LESSON_HERE, LESSON_ON_THE_SITE = "../lessons/{}.py", "lessons/{}.ipynb"

Record = Mapping[str, Mapping[str, Mapping[str, Any]]]  # claim, test, {"outcome": ..., "backend": ...}

INTRODUCTION = """# What the sources claim, and what shows it

minisegnet follows five lecture notes and slides on segmentation, written in Korean ([what they are](sources.md)).
This page lists what they state, in our words, in their order. Under each statement stands the test that shows it. The
tests ran before this page was written; it is made from those that passed. Where a source errs, the right statement
stands there, and why. Where a system isn't built here yet, that is said.

A statement is *shown* when a test of ours would fail if it were wrong of our code. That is less than a proof: tests
look at small networks and at chosen numbers. Parts of a system can be shown before the whole is built.

Every statement has a number: its document, and its place in there. To run the tests of one statement yourself, in a
clone of the project:

```text
pytest -m claim -k S2-29
```

and all of them, in about a minute:

```text
pytest -m claim
```

"""


def write_page(record: Path | str | None = None, page: Path | str = PAGE) -> Path:
    """Write the page from a record, running the tests for one where none is given; return its path.

    The links of docs/claims.md are those of the repository, as on all pages. A page that is written elsewhere is taken
    for one among the site's sources, where the lessons are notebooks in a folder beside it.
    """
    record = record or os.environ.get("MINISEGNET_CLAIMS")
    if record:
        text = Path(record).read_text(encoding="utf-8")
    else:
        with tempfile.TemporaryDirectory() as folder:
            text = run_tests(Path(folder, "record.json")).read_text(encoding="utf-8")
    documents, page = read_documents(), Path(page)
    results = check_record(json.loads(text), documents)
    lesson_link = LESSON_HERE if page.resolve() == PAGE else LESSON_ON_THE_SITE
    pages = links_to(read_systems(), lesson_link)
    write_atomically(page, page_of(documents, read_systems(), results, pages))
    return page


def links_to(systems: list[System], lesson_link: str) -> dict[str, list[str]]:
    """Link to our page and our lesson about each system, by its row; their names are their first headings."""
    links: dict[str, list[str]] = {}
    for system in systems:
        links[system.row] = []
        if system.page:
            links[system.row].append(f"[{title_of(ROOT / 'docs' / system.page)}]({system.page})")
        if system.lesson:
            title = title_of(ROOT / "lessons" / f"{system.lesson}.py")
            number = int(system.lesson.split("_")[0])
            links[system.row].append(f"[lesson {number}: {title}]({lesson_link.format(system.lesson)})")
    return links


def title_of(file: Path) -> str:
    """Read the first heading of a page, or of a lesson, whose text stands in comments."""
    mark = "# # " if file.suffix == ".py" else "# "
    lines = file.read_text(encoding="utf-8").splitlines()
    return next(line.removeprefix(mark) for line in lines if line.startswith(mark))


def run_tests(record: Path) -> Path:
    """Run all marked tests, slow ones too, and let them write a record."""
    command = [sys.executable, "-m", "pytest", "-m", "claim", f"--claims-record={record}", "tests"]
    finished = subprocess.run(command, cwd=ROOT, check=False)
    if not record.exists():
        raise RuntimeError(f"{' '.join(command)} ended with {finished.returncode} and wrote no record")
    return record


def check_record(record: dict[str, Any], documents: list[Document]) -> Record:
    """Return the results of all claims that have tests; raise where one failed or none ran."""
    found = []
    if record["exit_status"] not in (0, 1):  # 1: some test failed; which one, is for the claims to say
        found.append(f"the test run was broken off (pytest ended with {record['exit_status']})")
    results: Record = record["claims"]
    for claim in (claim for document in documents for claim in document.claims):
        tests = results.get(claim.id, {})
        outcomes = [test["outcome"] for test in tests.values()]
        found += [f"{claim.id}: {name} failed" for name, test in tests.items() if test["outcome"] == "failed"]
        if is_tested(claim) and "passed" not in outcomes:
            found.append(f"{claim.id}: none of its tests ran and passed ({len(outcomes)} are in the record)")
    if found:
        raise ValueError("the claims page isn't written:\n  " + "\n  ".join(found))
    return results


def is_tested(claim: Claim) -> bool:
    """Tell whether a test must show this claim."""
    return not claim.not_built and not claim.not_checkable


# ---------------------------------------------------------------------------------------------------------
# The page


Links = Mapping[str, list[str]]


def page_of(documents: list[Document], systems: list[System], results: Record, pages: Links) -> str:
    """Put the page together."""
    parts = [INTRODUCTION, summary(documents)]
    for document in documents:
        name = document.id.lower()
        parts.append(f"\n(document-{name})=\n## {document.id}: {document.title}\n\n{document.about}\n")
        heading = said = ""
        for claim in document.claims:
            if claim.heading != heading:
                heading, said = claim.heading, ""
                parts.append(f"\n### {heading}\n")
            parts.append(entry(claim, results, pages, claim.not_built == said))
            said = claim.not_built or said
    parts.append(by_system(documents, systems))
    return "".join(parts)


def summary(documents: list[Document]) -> str:
    """Count the claims of each document, by what became of them."""
    kinds = ("shown", "corrected", "not built", "no test")
    lines = [f"| | claims | {' | '.join(kinds)} |", "|---" * (2 + len(kinds)) + "|"]
    rows = [(f"[{document.id}](#document-{document.id.lower()})", document.claims) for document in documents]
    rows.append(("all", tuple(claim for document in documents for claim in document.claims)))
    for name, claims in rows:
        counts = [sum(kind_of(claim) == kind for claim in claims) for kind in kinds]
        lines.append(f"| {name} | {len(claims)} | {' | '.join(map(str, counts))} |")
    corrected = [claim for claim in rows[-1][1] if claim.correction]
    tested = sum(is_tested(claim) for claim in corrected)
    lines.append(
        f"\nCorrected: {', '.join(link(claim.id) for claim in corrected)}. Of these, tests show {tested}; the other "
        f"{len(corrected) - tested} are about names, about history, or about systems that aren't built yet."
    )
    return "\n".join(lines) + "\n"


def kind_of(claim: Claim) -> str:
    """Say what became of a claim, for the counts."""
    if claim.correction:
        return "corrected"
    if claim.not_built:
        return "not built"
    return "no test" if claim.not_checkable else "shown"


def entry(claim: Claim, results: Record, pages: Links, said_before: bool) -> str:
    """Write one claim: its statement, and what became of it. A reason that was just given isn't repeated."""
    korean = f" ({claim.korean})" if claim.korean else ""
    lines = [f"\n({claim.id.lower()})=\n**{claim.id}** {claim.text}{korean}\n"]
    if claim.correction:
        lines.append(f"- **Correction:** {claim.correction}")
    if claim.not_built:
        lines.append("- *Not built yet.*" + ("" if said_before else f" {claim.not_built}"))
    if claim.not_checkable:
        lines.append(f"- *No test can decide this.* {claim.not_checkable}")
    if is_tested(claim):
        lines += shown_by(results[claim.id])
    if more := dict.fromkeys(page for row in claim.rows for page in pages[row]):
        lines.append(f"- Read more: {', '.join(more)}")
    return with_links("\n".join(lines), claim.id) + "\n"


def with_links(text: str, own: str) -> str:
    """Make links of all ids of claims in a text but its own."""
    return ID.sub(lambda match: match[0] if match[0] == own else link(match[0]), text)


def link(name: str) -> str:
    """Link to a claim on this page."""
    return f"[{name}](#{name.lower()})"


def shown_by(tests: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """List the tests of one claim, each function once, with its cases and the backends that it ran on."""
    functions: dict[str, list[Mapping[str, Any]]] = {}
    for name, test in tests.items():
        if test["outcome"] == "passed":
            functions.setdefault(name.split("[")[0], []).append(test)
    lines = []
    for function, cases in functions.items():
        path, name = function.split("::")[0], function.split("::")[-1]
        details = [f"{len(cases)} cases"] if len(cases) > 1 else []
        backends = sorted({case["backend"] for case in cases if case["backend"]})
        details += ["on " + ", ".join(backends)] if backends else []
        more = f" ({'; '.join(details)})" if details else ""
        lines.append(f"- Shown by `{name}` in `{path}`{more}")
    return lines


def by_system(documents: list[Document], systems: list[System]) -> str:
    """List for each system the claims about it."""
    lines = ["\n## By system\n", "Which statements are about what; corrections have their own lines.\n"]
    for system in systems:
        claims = [claim for document in documents for claim in document.claims if system.row in claim.rows]
        lines.append(f"- {system.name}: {system.no_claim or ', '.join(link(claim.id) for claim in claims)}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(write_page(*sys.argv[1:3]))
