"""The claims of the source documents: read them from the files beside this one, and say what is wrong with them.

One file for each document (``S0.toml`` to ``S4.toml``), and ``systems.toml``, the list of all systems that the
documents name. A claim is shown by the tests that are marked ``@pytest.mark.claim("S1-07")``; or its system isn't built
yet; or no test could decide it, and the claim says why.
"""

import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


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
    """A system or idea that the documents name, and the page of ours about it."""

    row: str
    name: str
    page: str = ""
    lesson: str = ""


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
    found = [f"{name}: a test is marked with it, but no claim has this id" for name in marked]
    found = [problem for problem in found if problem.split(":")[0] not in known_ids(documents)]
    for document in documents:
        numbers = [f"{document.id}-{i:02}" for i in range(1, len(document.claims) + 1)]
        if numbers != [claim.id for claim in document.claims]:
            found.append(f"{document.id}: its claims aren't numbered {numbers[0]} to {numbers[-1]} in order")
    rows = [system.row for system in systems]
    found += [f"row {row}: it is listed twice" for row in set(rows) if rows.count(row) > 1]
    named = {row for claim in claims for row in claim.rows}
    found += [f"row {row}: no claim is about it" for row in rows if row not in named]
    found += [f"row {row}: systems.toml doesn't list it" for row in sorted(named - set(rows))]
    for claim in claims:
        found += [f"{claim.id}: {problem}" for problem in problems_of_one(claim, claim.id in marked)]
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
        found.append("it is both shown by a test and said to be not built or not checkable; keep one")
    return found
