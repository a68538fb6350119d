"""``python -m benchmarks gpu``: its plumbing, at toy size. What it measures on a stand-in means nothing."""

import argparse
import json

import numpy as np
import pytest

from benchmarks import cases
from benchmarks.gpu import command, limits, ops, results, sources, training
from benchmarks.measure import Disagreement

SIZES = command.Sizes("toy", copied=64, side=4, picture=32, batch=1, steps=5, width=2)


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(limits, "LEAST", 1e-9)  # each call is timed once
    monkeypatch.setattr(limits, "ROUNDS", 1)
    monkeypatch.setattr(training, "MODELS", ("unet",))
    monkeypatch.setattr(command, "TOY", SIZES)


def run(tmp_path, *chosen):
    options = argparse.Namespace(changed=False, toy=True, no_suite=True, ops=list(chosen), out=tmp_path)
    return command.run(options, ["gpu", "--toy"])


@pytest.mark.slow
def test_the_record_holds_what_is_promised(tmp_path, capsys):
    assert run(tmp_path, "relu", "max_pool2d", "softmax_cross_entropy") == 0
    (path,) = tmp_path.glob("gpu-*.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["kernels"] == sources.hashes() and record["wrong"] == []
    assert record["agreement"]["agrees"] and set(record["agreement"]["losses"]) == {
        "numpy",
        "cupy",
        "cupy, CUDA graph",
    }
    assert {row["op"] for row in record["ops"]} == {"relu", "max_pool2d", "softmax_cross_entropy"}
    assert all(row["seconds"]["cupy"] > 0 and row["share_of_copy"] > 0 for row in record["ops"])
    assert set(record["training"][0]["seconds"]) == {"cupy", "cupy, CUDA graph"}
    assert sources.changed(tmp_path) == ({}, path)
    assert "wrote" in capsys.readouterr().out
    # The results on "hardware" are those of the CPU's run, to the last bit here; they would have to be close.
    chosen = cases.select(["relu", "max_pool2d", "softmax_cross_entropy"], "toy")
    assert results.compare(tmp_path / record["results"], chosen) >= 10


def test_a_wrong_kernel_is_told_and_the_rest_goes_on(tmp_path, capsys, monkeypatch):
    def wrong(case, *arguments):
        if case.op == "relu":
            raise Disagreement("relu is wrong")
        return measured(case, *arguments)

    measured = ops.measure
    monkeypatch.setattr(training, "agreement", lambda *_: {"agrees": True, "largest_relative_difference": {}})
    monkeypatch.setattr(
        training, "step_times", lambda model, *_: {"model": model, "size": 1, "batch": 1, "seconds": {}}
    )
    monkeypatch.setattr(ops, "measure", wrong)
    assert run(tmp_path, "relu", "sigmoid") == 1
    (path,) = tmp_path.glob("gpu-*.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    assert set(record["wrong"]) == {"relu is wrong"} and {row["op"] for row in record["ops"]} == {"sigmoid"}
    assert "SOMETHING IS WRONG" in capsys.readouterr().out


def test_another_result_is_noticed(tmp_path):
    chosen = cases.select(["relu"], "toy")
    results.write(tmp_path / "r.npz", chosen, ["float32"])
    with np.load(tmp_path / "r.npz") as kept:
        broken = {name: a + (1e-2 if name.endswith("forward, float32: y") else 0) for name, a in kept.items()}
    np.savez(tmp_path / "r.npz", **broken)
    with pytest.raises(Disagreement, match="the GPU"):
        results.compare(tmp_path / "r.npz", chosen, ["float32"])
