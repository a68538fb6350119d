"""The command for machines with a GPU, where there is none: what has changed, and our models by PyTorch."""

import json

import numpy as np
import pytest

from benchmarks import cases
from benchmarks.gpu import results, sources
from minisegnet import Tensor, functional, models, nn, ops


def test_without_a_record_no_gpu_has_run_anything(tmp_path):
    found, path = sources.changed(tmp_path)
    assert path is None and set(found.values()) == {"never"} and "pool" in found
    assert "no GPU has run the CUDA kernels yet: activation" in sources.report(tmp_path)


def test_what_has_changed_since_the_newest_record_is_named(tmp_path):
    now = sources.hashes()
    (tmp_path / "gpu-2026-01-01.json").write_text(json.dumps({"kernels": {}}))
    (tmp_path / "gpu-2026-02-01.json").write_text(json.dumps({"kernels": now}))
    assert sources.report(tmp_path) == "the CUDA kernels are those that a GPU ran last (gpu-2026-02-01.json)"
    ran = {name: "0" * 64 if name == "pool" else hash_ for name, hash_ in now.items() if name != "loss"}
    (tmp_path / "gpu-2026-03-01.json").write_text(json.dumps({"kernels": ran}))
    assert sources.changed(tmp_path)[0] == {"loss": "never", "pool": "changed since"}
    assert sources.report(tmp_path).splitlines()[1:] == ["  loss.cu: new", "  pool.cu: changed since"]


def test_results_of_a_gpu_are_those_of_the_cpus_run():
    """Compares the CUDA sources' run on the CPU with each record of a GPU that is kept; there may be none yet."""
    for path in sources.RESULTS.glob("gpu-*-results.npz"):
        assert results.compare(path, cases.select(None, "toy")) > 0


@pytest.mark.skipif(ops.why_not("cupy") is None, reason="there is a GPU")
def test_without_a_gpu_the_command_says_so(capsys):

    from benchmarks.gpu import command

    arguments = type("Options", (), {"changed": False})()
    assert command.run(arguments, []) == 2
    assert "needs an NVIDIA GPU: CuPy is not installed" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["unet", "segnet", "fcn8s"])
def test_a_model_by_pytorch_is_the_same_model(name):
    torch = pytest.importorskip("torch")
    from benchmarks.gpu.as_torch import AsTorch

    model = models.build(name, classes=3, width=4, dtype="float64").train()
    for _, layer in model.named_modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0  # PyTorch would drop others
    generator = np.random.default_rng(0)
    images, labels = generator.normal(size=(2, 3, 64, 64)), generator.integers(0, 3, (2, 64, 64))
    theirs = AsTorch(torch, model, "cpu")
    loss = torch.nn.functional.cross_entropy(theirs(theirs.tensor(images)), torch.from_numpy(labels))
    loss.backward()
    ours = functional.softmax_cross_entropy(model(Tensor(images)), labels)
    ours.backward()
    assert loss.item() == pytest.approx(ours.item(), rel=1e-10)
    for (what, parameter), tensor in zip(model.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(tensor.grad.numpy(), parameter.grad, rtol=1e-6, atol=1e-10, err_msg=what)
