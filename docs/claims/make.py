"""Write docs/claims.md: what the source documents say, and which of our tests shows it, or where they err.

Run it as ``python docs/claims/make.py``. It runs the marked tests first (``pytest -m claim``), unless MINISEGNET_CLAIMS
names a record that ``pytest --claims-record FILE`` wrote before. A claim whose tests failed or didn't run is an
error, and no page is written.
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
LESSONS = "lessons"  # their folder on the site, beside this page

Record = Mapping[str, Mapping[str, Mapping[str, Any]]]  # claim, test, {"outcome": ..., "backend": ...}

INTRODUCTION = """# What the sources claim, and what shows it

minisegnet follows five lecture notes and slides on segmentation, written in Korean ([what they are](sources.md)).
This page lists what they state, in our words, in their order. Under each statement stands the test that shows it. The
tests ran before this page was written; it is made from those that passed. Where a source errs, the right statement
stands there, and why. Where a system isn't built here yet, that is said.

A statement is called *shown* when a test of ours would fail if it were wrong for our code. That is less than a proof: a
test looks at small networks and at chosen numbers.

Every statement has a number: the document, then its place in it. To run the tests of one statement yourself, in a clone
of the project:

```
pytest -m claim -k S2-29
```

and of all of them (about a minute):

```
pytest -m claim
```

"""


def write_page(record: Path | str | None = None, page: Path | str = PAGE) -> Path:
    """Write the page from a record, running the tests for one where none is given; return its path."""
    record = record or os.environ.get("MINISEGNET_CLAIMS")
    if record:
        text = Path(record).read_text(encoding="utf-8")
    else:
        with tempfile.TemporaryDirectory() as folder:
            text = run_tests(Path(folder, "record.json")).read_text(encoding="utf-8")
    documents, systems = read_documents(), read_systems()
    results = check_record(json.loads(text), documents)
    write_atomically(page, page_of(documents, systems, results))
    return Path(page)


def run_tests(record: Path) -> Path:
    """Run all marked tests, slow ones too, and let them write a record."""
    command = [sys.executable, "-m", "pytest", "-m", "claim", "--claims-record", str(record), "tests"]
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


def page_of(documents: list[Document], systems: list[System], results: Record) -> str:
    """Put the page together."""
    parts = [INTRODUCTION, summary(documents)]
    for document in documents:
        parts.append(f"\n## {document.id}: {document.title}\n\n{document.about}\n")
        heading = ""
        for claim in document.claims:
            if claim.heading != heading:
                heading = claim.heading
                parts.append(f"\n### {heading}\n")
            parts.append(entry(claim, results, systems))
    parts.append(by_system(documents, systems))
    return "".join(parts)


def summary(documents: list[Document]) -> str:
    """Count the claims of each document, by what became of them."""
    kinds = ("shown", "corrected", "not built yet", "no test can decide")
    lines = [f"| document | claims | {' | '.join(kinds)} |", "|---" * (2 + len(kinds)) + "|"]
    rows = [(f"{document.id}: {document.title}", document.claims) for document in documents]
    rows.append(("all", tuple(claim for document in documents for claim in document.claims)))
    for name, claims in rows:
        counts = [sum(kind_of(claim) == kind for claim in claims) for kind in kinds]
        lines.append(f"| {name} | {len(claims)} | {' | '.join(map(str, counts))} |")
    corrected = [claim for _, claims in rows[:-1] for claim in claims if claim.correction]
    tested = sum(is_tested(claim) for claim in corrected)
    lines.append(
        f"\nOf the {len(corrected)} corrections, {tested} are shown by a test. The others are about names, about "
        "history, or about systems that aren't built yet."
    )
    return "\n".join(lines) + "\n"


def kind_of(claim: Claim) -> str:
    """Say what became of a claim, for the counts."""
    if claim.correction:
        return "corrected"
    if claim.not_built:
        return "not built yet"
    return "no test can decide" if claim.not_checkable else "shown"


def entry(claim: Claim, results: Record, systems: list[System]) -> str:
    """Write one claim: its statement, and what became of it."""
    korean = f" ({claim.korean})" if claim.korean else ""
    lines = [f"\n({claim.id.lower()})=\n**{claim.id}**{korean} {claim.text}\n"]
    if claim.correction:
        lines.append(f"- **Correction:** {claim.correction}")
    if claim.not_built:
        lines.append(f"- *Not built yet.* {claim.not_built}")
    if claim.not_checkable:
        lines.append(f"- *No test can decide this.* {claim.not_checkable}")
    if is_tested(claim):
        lines += shown_by(results[claim.id])
    if more := read_more(claim, systems):
        lines.append(f"- More: {more}")
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


def read_more(claim: Claim, systems: list[System]) -> str:
    """Link to our pages about what the claim is about."""
    links = []
    for system in systems:
        if system.row in claim.rows:
            links += [f"[the page of {system.name}]({system.page})"] if system.page else []
            links += [lesson_link(system.lesson)] if system.lesson else []
    return ", ".join(dict.fromkeys(links))


def lesson_link(lesson: str) -> str:
    """Link to a lesson: "06_transposed_convolution" is lesson 6."""
    return f"[lesson {int(lesson.split('_')[0])}]({LESSONS}/{lesson}.md)"


def by_system(documents: list[Document], systems: list[System]) -> str:
    """List for each system the claims about it."""
    lines = ["\n## By system\n", "Which statements are about what; corrections have their own lines.\n"]
    for system in systems:
        claims = [claim for document in documents for claim in document.claims if system.row in claim.rows]
        lines.append(f"- {system.name}: {system.no_claim or ', '.join(link(claim.id) for claim in claims)}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(write_page())
