"""The claims of the source documents: read them from the files beside this one, and say what is wrong with them.

One file for each document (``S0.toml`` to ``S4.toml``), and ``systems.toml``, the list of all systems that the
documents name. A claim is shown by the tests that are marked ``@pytest.mark.claim("S1-07")``; or its system isn't built
yet; or no test could decide it, and the claim says why.
"""

import re
import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
ID = re.compile(r"\bS\d-\d\d+\b")  # as texts name another claim


@dataclass(frozen=True)
class Claim:
    """One checkable statement of a source document, in our words."""

    id: str  # the document and a number in order of appearance: S1-07
    text: str
    rows: tuple[str, ...]  # the systems that it is about: rows of systems.toml
    heading: str  # the section of the document
    korean: str = ""  # the technical term that the document uses
    correction: str = ""  # where the document errs: what is right, and why
    not_built: str = ""  # what is missing here
    not_checkable: str = ""  # why no test can decide it


@dataclass(frozen=True)
class Document:
    """One source document."""

    id: str
    title: str
    about: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class System:
    """A system or idea that the documents name, and our page and lesson about it."""

    row: str
    name: str
    page: str = ""
    lesson: str = ""
    no_claim: str = ""  # why no claim is about it


def read_documents(folder: Path = FOLDER) -> list[Document]:
    """Read all documents with their claims, in order."""
    return [read_document(path) for path in sorted(folder.glob("S*.toml"))]


def read_document(path: Path) -> Document:
    """Read one document; a key that no claim has is an error."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    claims = []
    for section in data["section"]:
        for entry in section["claim"]:
            try:
                claims.append(Claim(**{**entry, "rows": tuple(entry["rows"])}, heading=section["heading"]))
            except (TypeError, KeyError) as error:
                raise ValueError(f"{path.name}: claim {entry.get('id', entry)}: {error}") from error
    return Document(path.stem, data["title"], data["about"], tuple(claims))


def read_systems(folder: Path = FOLDER) -> list[System]:
    """Read the list of systems."""
    data = tomllib.loads((folder / "systems.toml").read_text(encoding="utf-8"))
    return [System(**entry) for entry in data["system"]]


def known_ids(documents: Iterable[Document]) -> set[str]:
    """Name all claims."""
    return {claim.id for document in documents for claim in document.claims}


def problems(documents: list[Document], systems: list[System], marked: Collection[str]) -> list[str]:
    """Say all that is wrong with the claims, given the ids that tests are marked with."""
    claims = [claim for document in documents for claim in document.claims]
    known = known_ids(documents)
    found = [
        f"{name}: a test is marked with it, but no claim has this id" for name in marked if name not in known
    ]
    for document in documents:
        numbers = [f"{document.id}-{i:02}" for i in range(1, len(document.claims) + 1)]
        if numbers != [claim.id for claim in document.claims]:
            found.append(f"{document.id}: its claims aren't numbered {numbers[0]} to {numbers[-1]} in order")
    found += problems_of_systems(systems, {row for claim in claims for row in claim.rows})
    for claim in claims:
        found += [f"{claim.id}: {problem}" for problem in problems_of_one(claim, claim.id in marked)]
        for other in ID.findall(f"{claim.text} {claim.correction} {claim.not_built} {claim.not_checkable}"):
            found += [] if other in known else [f"{claim.id}: it names {other}, and no claim has this id"]
    return found


def problems_of_systems(systems: list[System], named: set[str]) -> list[str]:
    """Say what is wrong with the list of systems, given the rows that claims name."""
    rows = [system.row for system in systems]
    found = [f"row {row}: it is listed twice" for row in sorted(set(rows)) if rows.count(row) > 1]
    found += [f"row {row}: systems.toml doesn't list it" for row in sorted(named - set(rows))]
    for system in systems:
        if (system.row in named) == bool(system.no_claim):
            found.append(f"row {system.row}: a claim must be about it, or no_claim say why none is; not both")
    return found


def problems_of_one(claim: Claim, marked: bool) -> list[str]:
    """Say what is wrong with one claim: it must be either shown, or not built, or not checkable."""
    found = []
    if not claim.text.strip() or not claim.rows:
        found.append("it needs a text and at least one row of systems.toml")
    ways = [marked, bool(claim.not_built), bool(claim.not_checkable)]
    if sum(ways) == 0:
        found.append("no test is marked with it, and it gives no reason (not_built or not_checkable)")
    if sum(ways) > 1:
        found.append("it is shown by a test, or not built, or not checkable; keep one of them")
    return found
