"""The command line, files and other libraries, with the arrays on the device."""

import json

import cupy
import numpy as np
import pytest

from minisegnet import Tensor, functional, losses, metrics, models, nn, ops
from minisegnet.cli import main

TRAIN = "--crop 16 --batch 2 --width 2 --depth 1 --threads 0 --loss ce+dice --seed 3 --steps 6".split()


def report_of(run):
    return json.loads((run / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same training by the command line on NumPy and on the device, and there as a CUDA graph."""
    folder = tmp_path_factory.mktemp("runs")
    data = str(folder / "data")
    assert main(["sample-data", "shapes", data, "--count", "5", "--size", "32"]) == 0
    for name, flags in {"numpy": [], "cupy": [], "graph": ["--cuda-graph"]}.items():
        backend = "numpy" if name == "numpy" else "cupy"
        where = ["--backend", backend, "--out", str(folder), "--name", name]
        assert main(["train", data, *TRAIN, *where, *flags]) == 0
    return folder


def test_train_gives_the_same_report(runs):
    expected, found, graph = (report_of(runs / name) for name in ("numpy", "cupy", "graph"))
    assert found == graph
    assert found["pixel_accuracy"] == pytest.approx(expected["pixel_accuracy"], abs=0.01)
    assert (runs / "cupy" / "samples.png").exists() and (runs / "cupy" / "curves.png").exists()


def test_what_is_saved_can_be_used_anywhere(runs, monkeypatch, capsys):
    out = runs / "evaluations"
    assert (
        main(["evaluate", str(runs / "numpy"), "--backend", "cupy", "--out", str(out / "a"), "--json"]) == 0
    )
    monkeypatch.setenv("MINISEGNET_BACKEND", "cupy")
    assert main(["evaluate", str(runs / "cupy"), "--out", str(out / "b"), "--json"]) == 0
    monkeypatch.setenv("MINISEGNET_BACKEND", "numpy")
    assert main(["evaluate", str(runs / "cupy"), "--out", str(out / "c"), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert lines[1]["miou"] == pytest.approx(lines[2]["miou"], abs=0.01)


def test_predict_writes_the_same_masks(runs, tmp_path):
    from minisegnet.data import read_image

    masks = {}
    for backend in ("numpy", "cupy"):
        out = tmp_path / backend
        command = ["predict", str(runs / "cupy"), str(runs / "data" / "images"), "--backend", backend]
        assert main([*command, "--no-overlay", "--probs", "--out", str(out)]) == 0
        masks[backend] = np.stack([read_image(path) for path in sorted(out.glob("*.png"))])
    assert (masks["numpy"] == masks["cupy"]).mean() > 0.99


def test_resume_goes_on_on_the_device(runs):
    assert (
        main(["train", "--resume", str(runs / "numpy"), "--steps", "8", "--backend", "cupy", "--cuda-graph"])
        == 0
    )
    assert main(["train", "--resume", str(runs / "graph"), "--steps", "8", "--backend", "cupy"]) == 0


def test_a_graph_on_another_backend_is_refused(runs, capsys, tmp_path):
    assert (
        main(
            [
                "train",
                str(runs / "data"),
                *TRAIN,
                "--backend",
                "numpy",
                "--cuda-graph",
                "--out",
                str(tmp_path),
            ]
        )
        != 0
    )
    assert "the backend is numpy; add --backend cupy" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------------------
# Arrays


def test_models_are_made_on_the_device(on_device):
    model = models.build("unet", classes=2, width=2, depth=1)
    for tensor in (*model.parameters(), *(buffer for _, buffer in model.named_buffers())):
        assert type(tensor.data) is cupy.ndarray
    scores = model(ops.to_backend(np.zeros((1, 3, 16, 16), np.float32)))
    assert type(scores.data) is cupy.ndarray
    with pytest.raises(ValueError, match="to_backend"):
        model(np.zeros((1, 3, 16, 16), np.float32))
    state = {name: ops.to_numpy(array) for name, array in model.state_dict().items()}
    model.load_state_dict(state)
    assert all(type(parameter.data) is cupy.ndarray for parameter in model.parameters())


def test_a_numpy_model_under_cupy_is_told_what_to_do(on_device):
    with ops.use_backend("numpy"):
        model = nn.Conv2d(1, 1, 1)
    with pytest.raises(ValueError, match="NumPy and CuPy arrays in one call"):
        model(ops.to_backend(np.zeros((1, 1, 2, 2), np.float32)))


@pytest.mark.parametrize("name", ["bce", "ce", "dice", "focal", "lovasz", "tversky"])
def test_losses_and_their_gradients_are_those_of_numpy(name, on_device):
    generator = np.random.default_rng(0)
    scores, labels = generator.normal(size=(2, 3, 4, 5)), generator.integers(0, 3, (2, 4, 5))
    labels[0, 0, :2] = 255
    weight, pixels = np.array([1.0, 2.0, 0.5]), generator.uniform(size=(2, 4, 5))
    found = []
    for move in (lambda a: a, ops.to_backend):
        logits = Tensor(move(scores), requires_grad=True)
        with ops.use_backend("numpy" if not found else "cupy"):
            loss = losses.build(name, ignore_index=255, weight=move(weight))(
                logits, move(labels), pixel_weight=move(pixels)
            )
            loss.backward()
        found.append((loss.item(), ops.to_numpy(logits.grad)))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-12)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-9, atol=1e-14)


def test_the_confusion_matrix_is_counted_on_the_device(on_device):
    generator = np.random.default_rng(1)
    target, predicted = generator.integers(0, 4, (2, 6, 6)), generator.integers(0, 4, (2, 6, 6))
    found = metrics.confusion_matrix(ops.to_backend(target), ops.to_backend(predicted), 4, ignore_index=3)
    assert type(found) is cupy.ndarray
    np.testing.assert_array_equal(
        ops.to_numpy(found), metrics.confusion_matrix(target, predicted, 4, ignore_index=3)
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda at: ops.softmax_cross_entropy(at(np.zeros((1, 2))), at(np.array([2]))), "entropy: .*a label"),
        (
            lambda at: ops.bce_with_logits(at(np.zeros(2)), at(np.array([0.0, 255.0]))),
            "logits: .*outside 0..1",
        ),
        (
            lambda at: ops.max_unpool2d(at(np.ones((1, 1, 1, 1))), at(np.full((1, 1, 1, 1), 4)), (2, 2)),
            "max_unpool2d: .*index outside the plane",
        ),
        (
            lambda at: ops.max_pool2d_backward(
                at(np.ones((1, 1, 1, 1))), at(np.full((1, 1, 1, 1), -1)), (2, 2)
            ),
            "max_pool2d_backward: .*index outside the plane",
        ),
        (
            lambda at: ops.roi_align(at(np.ones((1, 1, 2, 2))), at(np.array([[1.0, 0, 0, 1, 1]])), (1, 1)),
            "roi_align: .*batch index",
        ),
        (
            lambda at: ops.roi_pool(
                at(np.ones((1, 1, 2, 2))), at(np.array([[0.0, 0, np.nan, 1, 1]])), (1, 1)
            ),
            "roi_pool: .*corner",
        ),
    ],
)
def test_bad_values_are_told_where_the_host_waits(call, words, on_device):
    result = call(ops.to_backend)
    with pytest.raises(ValueError, match=words):
        ops.to_numpy(result[0] if isinstance(result, tuple) else result)
    assert ops.to_numpy(ops.to_backend(np.ones(2))).tolist() == [1, 1], "told once, then forgotten"
    with ops.use_backend("numpy"), pytest.raises(ValueError):
        call(np.asarray)  # NumPy's check refuses the same


def test_a_tensors_number_is_told_with_what_went_wrong(on_device):
    loss = functional.softmax_cross_entropy(ops.to_backend(np.zeros((1, 2))), ops.to_backend(np.array([7])))
    with pytest.raises(ValueError, match="a label outside the classes"):
        loss.item()


# ---------------------------------------------------------------------------------------------------------
# Other libraries


def test_tensors_on_the_device_are_given_and_taken_by_dlpack(on_device):
    x = ops.to_backend(np.arange(4.0))
    assert Tensor(x).__dlpack_device__()[0] == 2
    taken = Tensor.from_dlpack(Tensor(x))
    taken.data[0] = 5
    assert ops.to_numpy(x)[0] == 5, "they share memory"
    with pytest.raises(TypeError, match="lies on the GPU; copy it to NumPy"):
        np.asarray(Tensor(x))
    with ops.use_backend("numpy"), pytest.raises(ValueError, match="lies on an NVIDIA GPU"):
        Tensor.from_dlpack(Tensor(x))
