"""``minisegnet warmup``: what it compiled ahead isn't compiled again, and what it says."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from minisegnet import models, ops
from minisegnet.cli import main

needs_numba = pytest.mark.skipif(ops.why_not("numba") is not None, reason=str(ops.why_not("numba")))
COMPILED = os.environ.get("NUMBA_DISABLE_JIT") != "1"

ROOT = Path(__file__).parent.parent

# A training and a prediction, in another process and at other sizes than warmup's. Prints what is compiled.
AFTERWARDS = """
import sys
from pathlib import Path
from training_helpers import TINY
from minisegnet import ops
from minisegnet.training import Display, Session, StopRequest, train
from minisegnet.training.compiling import compilations

compiled = []
for name, number in (("unet", 1), ("segnet", 2), ("fcn8s", 3), ("deconvnet", 4)):
    settings = TINY.with_changes(
        model=name, depth=None, options={}, width=8, size=(80, 96), steps=1, evaluate_every=1, batch=3
    )
    with ops.use_backend("numba"), compilations(compiled.append):
        folder = Path(sys.argv[1], str(number))
        folder.mkdir()
        train(Session(settings), folder, Display(quiet=True), StopRequest())
print(compiled)
"""


def python(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    env = {**os.environ, "PYTHONPATH": path, **environment}
    return subprocess.run([sys.executable, *words], env=env, capture_output=True, text=True, timeout=900)


@needs_numba
@pytest.mark.slow
@pytest.mark.skipif(not COMPILED, reason="compilation is off")
def test_after_warmup_no_training_compiles_anything(tmp_path):
    cache = str(tmp_path / "cache")
    first = python("-m", "minisegnet", "warmup", NUMBA_CACHE_DIR=cache)
    assert first.returncode == 0, first.stderr
    assert "kernels compiled" in first.stdout and cache in first.stdout
    again = python("-m", "minisegnet", "warmup", NUMBA_CACHE_DIR=cache)
    assert "nothing was left to compile" in again.stdout
    after = python("-c", AFTERWARDS, str(tmp_path), NUMBA_CACHE_DIR=cache)
    assert after.returncode == 0, after.stderr[-3000:]
    assert after.stdout.strip() == "[]"


@needs_numba
@pytest.mark.skipif(not COMPILED, reason="plain Python takes minutes for it")
def test_every_text_of_the_convolution_is_reached(monkeypatch):
    from minisegnet.backends.numba import conv
    from minisegnet.warmup import _convolutions

    chosen, choose = set(), conv.text_for

    def noting(*arguments):
        chosen.add(choose(*arguments))
        return choose(*arguments)

    monkeypatch.setattr(conv, "text_for", noting)
    with ops.use_backend("numba"):
        list(_convolutions("float32"))
        list(_convolutions("float64"))
    table = set(re.findall(r"^ *\| (\w+) \|", choose.__doc__, re.MULTILINE)) - {"text"}
    assert chosen == table and len(table) > 8


def kernels_called(steps, monkeypatch):
    """Return the names of the kernels that ops asked a backend for, while ``steps`` are made on NumPy."""
    called = set()
    backend = importlib.import_module("minisegnet.backends.numpy")

    def noting(name, kernel):
        def call(*arguments, **options):
            called.add(name)
            return kernel(*arguments, **options)

        return call

    for name in ops.__all__:
        if hasattr(backend, name):
            monkeypatch.setattr(backend, name, noting(name, getattr(backend, name)))
    with ops.use_backend("numpy"):
        told = list(steps)
    return called, told


def test_all_calls_every_kernel(monkeypatch):
    from minisegnet.warmup import everything_ahead

    called, _ = kernels_called(everything_ahead(), monkeypatch)
    backend = importlib.import_module("minisegnet.backends.numpy")
    assert called == {name for name in ops.__all__ if hasattr(backend, name)}


def test_every_model_is_trained_and_predicts(monkeypatch):
    from minisegnet.warmup import models_ahead

    called, told = kernels_called(models_ahead(), monkeypatch)
    assert set(models.names()) <= set(told)
    assert {"conv2d_backward", "max_unpool2d_backward", "softmax_cross_entropy_backward", "softmax"} <= called


@needs_numba
@pytest.mark.skipif(not COMPILED, reason="compilation is off")
def test_a_cache_that_cannot_be_written_is_an_error(monkeypatch, capsys):
    monkeypatch.setattr(
        "minisegnet.cli.doctor.numba_cache", lambda: {"folder": "/nowhere", "writable": False}
    )
    assert main(["warmup"]) == 1
    assert "can't write to /nowhere" in capsys.readouterr().err


def test_without_numba_it_says_why(monkeypatch, capsys):
    monkeypatch.setattr("minisegnet.ops.why_not", lambda name: "it is not installed")
    assert main(["warmup"]) == 1
    assert "it is not installed" in capsys.readouterr().err


@needs_numba
def test_compilations_tells_our_kernels_only():
    from numba import njit

    from minisegnet.training.compiling import compilations

    def theirs(x):
        return x + 1

    ours = dict(theirs.__globals__, __name__="minisegnet.backends.numba.toy")
    exec("def _toy(x):\n    return x - 1", ours)
    told = []
    with ops.use_backend("numba"), compilations(told.append):
        njit(theirs)(1)
        njit(ours["_toy"])(1)
    assert told == (["toy"] if COMPILED else [])
