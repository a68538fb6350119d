"""Mistakes planted in the CUDA sources are noticed by the checks that should (see cuda_mutants.py)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cuda_cases import OF_NO_OP
from cuda_mutants import MUTANTS, Mutant

from minisegnet import ops
from minisegnet.backends.cupy import manifest

reason = ops.why_not("cuda-on-cpu")
pytestmark = pytest.mark.skipif(reason is not None, reason=str(reason))

TESTS = Path(__file__).parent
SIGNS = {  # how each check says that something is wrong
    "values": ("AssertionError", "RuntimeError", "ended by"),
    "order": ("AssertionError", "RuntimeError"),
    "before": ("ended by SIGSEGV", "ended by SIGBUS"),
    "behind": ("ended by SIGSEGV", "ended by SIGBUS"),
    "wide": ("AssertionError", "ended by"),
}
NUMBERED = list(enumerate(MUTANTS))
SAMPLE = [next(pair for pair in reversed(NUMBERED) if pair[1].noticed == check) for check in SIGNS]


def name(pair: tuple[int, Mutant]) -> str:
    return f"{pair[1].source}: {pair[1].what}"


def check(pair: tuple[int, Mutant]) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    command = [sys.executable, "cuda_mutants.py", str(pair[0])]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600, cwd=TESTS)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said.startswith(SIGNS[pair[1].noticed]), f"{pair[1]} was not noticed; its check says {said!r}"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.source}: {m.what}")
def test_the_text_to_replace_is_there(mutant: Mutant) -> None:
    text = (manifest.FOLDER / f"{mutant.source}.cu").read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1, f"{mutant.source}.cu must have {mutant.old!r} once"


def test_no_mutant_is_listed_twice() -> None:
    assert len(set(MUTANTS)) == len(MUTANTS)


def test_every_source_has_mutants() -> None:
    assert {m.source for m in MUTANTS} == {*manifest.sources(), manifest.PRELUDE} - OF_NO_OP
    assert len(MUTANTS) >= 12


@pytest.mark.parametrize("pair", SAMPLE, ids=name)
def test_a_mistake_is_noticed(pair: tuple[int, Mutant]) -> None:
    check(pair)


@pytest.mark.slow
@pytest.mark.parametrize("pair", [p for p in NUMBERED if p not in SAMPLE], ids=name)
def test_other_mistakes_are_noticed(pair: tuple[int, Mutant]) -> None:
    check(pair)
