"""``@pytest.mark.claim("S1-07")`` says which claim of the source documents a test shows.

A part of pytest's set-up here (conftest.py loads it). Three things come of a mark: an id that no claim has is an error
at once; ``pytest -m claim -k S1-07`` runs the tests of one claim; and ``--claims-record=FILE`` writes down, for each
claim, which tests ran, on which backend, and how they ended. docs/claims/make.py turns that file into a page.

The "=" matters: without it, pytest takes a FILE that exists for a place of tests, and looks for its settings there.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from claims_data import known_ids, read_documents

from minisegnet.files import write_atomically


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--claims-record",
        metavar="FILE",
        help="write which tests showed which claims of the source documents (docs/claims) to FILE, as JSON",
    )


def pytest_configure(config: pytest.Config) -> None:
    file = config.getoption("--claims-record")
    if file:
        config.pluginmanager.register(Recorder(file))


def claims_of(item: pytest.Item) -> list[str]:
    """Name the claims that a test shows, in the order in which its marks stand."""
    return [str(name) for mark in reversed(list(item.iter_markers("claim"))) for name in mark.args]


def pytest_itemcollected(item: pytest.Item) -> None:
    item.extra_keyword_matches.update(claims_of(item))  # so that -k finds them


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    known = known_ids(read_documents())
    wrong = {}
    for item in items:
        marks = list(item.iter_markers("claim"))
        names = claims_of(item)
        if any(mark.kwargs or not mark.args for mark in marks) or not known.issuperset(names):
            wrong[item.nodeid.split("[")[0]] = ", ".join(name for name in names if name not in known)
    if wrong:
        lines = [f"{test}: claim({names})" for test, names in wrong.items()]
        raise pytest.UsageError("marks name claims that docs/claims/S*.toml don't have:\n" + "\n".join(lines))


class Recorder:
    """Collect how marked tests end, and write it all at the end of the run."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.claims: dict[str, dict[str, dict[str, Any]]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[None]:
        report = yield
        for name in claims_of(item):
            tests = self.claims.setdefault(name, {})
            test = tests.setdefault(item.nodeid, {"outcome": "passed", "backend": backend_of(item)})
            if report.outcome != "passed" and test["outcome"] != "failed":
                test["outcome"] = report.outcome  # set-up, call and teardown: the worst counts
        return report

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        record = {"exit_status": int(exitstatus), "claims": dict(sorted(self.claims.items()))}
        write_atomically(self.file, json.dumps(record, indent=1) + "\n")


def backend_of(item: pytest.Item) -> str | None:
    """Name the backend that a test was given, if it was given one."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return parameters.get("backend") or parameters.get("fast")
