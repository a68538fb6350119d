"""What a newcomer's first tries are answered: the plainest failing case, and a word that leads on."""

import importlib.util
import warnings
from pathlib import Path

import pytest

from minisegnet.marking.calling import Direct
from minisegnet.marking.judge import judge
from minisegnet.marking.report import Report
from minisegnet.marking.text import as_text

FOLDER = Path(__file__).parent / "mistakes_newcomer"

# The file, its function, and what the answer must say.
FILES = {
    "pool_ties_before_ceil_mode": ("max_pool2d", "Is there a `>=` where `>` should be?"),
    "conv_dtype_before_groups": ("conv2d", "float32 goes in and float64 comes out"),
    "conv_groups_not_done": ("conv2d", "Not done yet? Delete `groups` from the function's first line"),
}


def verdict_of(name):
    """Mark a learner's file in this process, for speed."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    op = FILES[name][0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # learners' files overflow and divide by zero
        verdict = judge(Direct({op: getattr(module, op)}), op)
    assert verdict.status == "fail"
    return verdict


@pytest.mark.parametrize("name", FILES)
def test_the_answer_leads_on(name):
    text = " ".join(as_text(Report(name, verdicts=(verdict_of(name),))).split())
    assert FILES[name][1] in text


def test_every_file_is_marked():
    assert sorted(FILES) == sorted(path.stem for path in FOLDER.glob("*.py"))
