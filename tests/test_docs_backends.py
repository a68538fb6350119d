"""The page on backends shows the sources as they are, and claims of hardware only what a record says."""

import re
from pathlib import Path

from benchmarks.gpu import sources

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "backends.md").read_text(encoding="utf-8")
SHOWN = re.compile(r"<!-- from (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)


def test_what_is_shown_stands_in_the_sources():
    found = SHOWN.findall(PAGE)
    folders = [Path(path).parent.name for path, _ in found]
    assert folders == ["reference", "numpy", "numba", "cupy", "cupy"]
    for path, text in found:
        assert text in (ROOT / path).read_text(encoding="utf-8"), (
            f"{path} has changed; show it in docs/backends.md as it is"
        )


def test_every_kernel_that_is_shown_comes_from_somewhere():
    blocks = re.findall(r"```(?:python|c)\n", PAGE)
    assert len(blocks) == len(SHOWN.findall(PAGE))


def test_the_page_says_that_no_gpu_has_run_it_as_long_as_that_is_so():
    assert ("No GPU has run this backend yet" in PAGE) == (sources.last_record() is None)
