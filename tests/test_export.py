"""ONNX files: every model and op, run by ONNX Runtime, which we did not write, against our own numbers."""

import importlib.util
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from training_helpers import TINY

from minisegnet import Tensor, export, functional, models, nn, ops
from minisegnet.cli import main
from minisegnet.data import Synthetic, palettes
from minisegnet.data.statistics import Normalisation
from minisegnet.export import verification
from minisegnet.export.verification import scores_function, verify
from minisegnet.predictor import Predictor, load
from minisegnet.training.settings import as_toml

# Only a Python that is too new for onnxruntime (see pyproject.toml) may go without it.
runs_onnx = pytest.mark.skipif(
    sys.version_info >= (3, 15) and importlib.util.find_spec("onnxruntime") is None,
    reason="onnxruntime does not support this Python yet",
)


@pytest.fixture(autouse=True)
def numpy_backend(monkeypatch):
    monkeypatch.setenv("MINISEGNET_BACKEND", "numpy")


def randomised(model, seed=0):
    """Give every number that starts at 0 or 1 (biases, statistics, score layers) another value, so that it counts."""
    rng = np.random.default_rng(seed)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if name.endswith("running_var"):
            tensor.data = rng.uniform(0.5, 2, tensor.shape).astype(np.float32)
        elif tensor.ndim == 1 or not tensor.data.any():
            centre = 1 if tensor.ndim == 1 and name.endswith("weight") else 0
            tensor.data = rng.normal(centre, 0.2, tensor.shape).astype(np.float32)
    return model.eval()


def random_pictures(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def drawn_pictures(count, size):
    pictures = np.stack([sample.image for sample in Synthetic("shapes", count=count, size=size)])
    return np.ascontiguousarray(np.moveaxis(pictures, 3, 1) / np.float32(255) - np.float32(0.5))


def assert_same_numbers(path, model, cases):
    """Compare, and make sure that there was something to compare."""
    found = verify(path, scores_function(model, None), cases)
    assert len(found) == len(cases)
    for case in found:
        assert case.good, case
        assert case.largest > 0.05, case


# ---------------------------------------------------------------------------------------------------------
# Models

MODELS = {
    "fcn32s": ("fcn32s", {}, 64, "height and width: multiples of 32, at least 32"),
    "fcn16s": ("fcn16s", {}, 64, "height and width: multiples of 32, at least 32"),
    "fcn8s": ("fcn8s", {}, 64, "height and width: multiples of 32, at least 32"),
    "fcn8s paper": (
        "fcn8s",
        {"padding": "paper"},
        70,
        "height and width: 6 more than multiples of 32, at least 6",
    ),
    "segnet": ("segnet", {}, 67, "height and width: any from 16 up"),
    "segnet nearest": ("segnet", {"unpool": "nearest"}, 67, "height and width: any from 16 up"),
    "segnet-basic": ("segnet-basic", {}, 64, "height and width: any from 16 up"),
    "deconvnet": ("deconvnet", {}, 67, "height and width: any from 24 up"),
    "unet": ("unet", {}, 64, "height and width: multiples of 16, at least 16"),
    "unet odd": ("unet", {"depth": 2}, 67, "height and width: 3 more than multiples of 4, at least 3"),
    "unet valid": (
        "unet",
        {"padding": "valid", "depth": 2},
        68,
        "height and width: multiples of 4, at least 44",
    ),
    "patch": ("patch", {}, 66, "height and width: any from 21 up"),
}


def test_every_model_is_in_the_table():
    assert {name for name, *_ in MODELS.values()} == set(models.names())


@runs_onnx
@pytest.mark.parametrize("case", MODELS)
def test_every_model_gives_the_same_numbers_in_onnx_runtime(case, tmp_path):
    name, options, S, sizes = MODELS[case]
    model = randomised(models.build(name, classes=3, width=4, **options))
    path = tmp_path / "model.onnx"
    network = export.to_onnx(model, path, input_shape=(1, 3, S, S))
    assert network.sizes == sizes
    a, b = network.step
    smallest = max(network.smallest[0], 20), max(network.smallest[1], 20)
    smallest = tuple(n + (S - n) % step for n, step in zip(smallest, network.step, strict=True))
    pictures = [random_pictures(2, 3, S, S), random_pictures(3, 3, S + a, S + 3 * b)]
    pictures += [random_pictures(1, 3, *smallest), drawn_pictures(2, (S, S))]
    assert_same_numbers(path, model, [(str(x.shape), {"image": x}) for x in pictures])


@runs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("name", models.names())
def test_onnxs_own_reference_agrees(name, tmp_path):
    """The package onnx has plain Python for every operator: what the standard means, apart from any one program."""
    from onnx.reference import ReferenceEvaluator

    model = randomised(models.build(name, classes=3, width=2))
    path = tmp_path / "model.onnx"
    export.to_onnx(model, path, input_shape=(1, 3, 32, 48))
    x = random_pictures(1, 3, 32, 48)
    [scores] = ReferenceEvaluator(str(path)).run(None, {"image": x})
    expected = model(x).data
    assert np.abs(scores - expected).max() < 1e-4 and np.ptp(expected) > 0.05


@runs_onnx
def test_one_size_only(tmp_path):
    import onnx

    model = randomised(models.build("unet", classes=2, width=2, depth=3))
    path = tmp_path / "model.onnx"
    network = export.to_onnx(model, path, input_shape=(1, 3, 61, 50), any_size=False)
    assert network.sizes == "height and width: 61 and 50 only"
    assert network.inputs["image"] == ("batch", 3, 61, 50) and network.output_shape == ("batch", 2, 61, 50)
    assert_same_numbers(path, model, [("a", {"image": random_pictures(2, 3, 61, 50)})])
    dimensions = onnx.load(path).graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dimensions] == ["batch", 3, 61, 50]


@runs_onnx
@pytest.mark.parametrize("size", [(65, 64), (64, 80), (96, 48)])
def test_the_file_refuses_a_size_that_would_be_shifted(size, tmp_path):
    import onnxruntime

    path = tmp_path / "model.onnx"
    export.to_onnx(models.build("fcn8s", classes=2, width=2), path, input_shape=(1, 3, 64, 64))
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), settings)
    with pytest.raises(Exception, match="height_must_be_a_multiple_of_32_and_width_a_multiple_of_32"):
        session.run(None, {"image": random_pictures(1, 3, *size)})


@runs_onnx
@pytest.mark.slow
def test_models_of_the_default_width_give_the_same_numbers(tmp_path):
    for name in models.names():
        model = randomised(models.build(name, classes=5))
        path = tmp_path / f"{name}.onnx"
        export.to_onnx(model, path, input_shape=(1, 3, 96, 128))
        assert_same_numbers(path, model, [("drawn", {"image": drawn_pictures(2, (96, 128))})])


@runs_onnx
def test_what_stands_around_the_model(tmp_path):
    """Normalisation and argmax inside; names, colours and the rest in the metadata, readable with onnx alone."""
    import onnx

    normalisation = Normalisation((0.4, 0.5, 0.6), (0.2, 0.3, 0.25))
    model = randomised(models.build("unet", classes=3, width=4, depth=2))
    predictor = Predictor(
        model, class_names=("a", "b", "c"), palette=palettes.OKABE_ITO[:3], normalisation=normalisation
    )
    sample = Synthetic("shapes", count=1, size=(64, 80))[0]
    x = np.ascontiguousarray(np.moveaxis(sample.image, 2, 0)[None] / np.float32(255))
    about = {"normalisation": normalisation, "class_names": ("a", "b", "바다"), "palette": predictor.palette}
    for argmax, expected in (
        (False, predictor.scores(sample.image)),
        (True, predictor.predict(sample.image)),
    ):
        path = tmp_path / f"{argmax}.onnx"
        export.to_onnx(
            model, path, input_shape=(1, 3, 64, 64), argmax=argmax, facts={"note": "mine"}, **about
        )
        import onnxruntime

        result = onnxruntime.InferenceSession(str(path)).run(
            ["labels" if argmax else "scores"], {"image": x}
        )[0]
        np.testing.assert_allclose(result[0], expected, atol=1e-4)
        assert len(np.unique(predictor.predict(sample.image))) > 1
    proto = onnx.load(path)
    found = {entry.key: entry.value for entry in proto.metadata_props}
    assert json.loads(found["class_names"]) == ["a", "b", "바다"]
    assert json.loads(found["palette"]) == [list(colour) for colour in palettes.OKABE_ITO[:3]]
    assert json.loads(found["normalisation"]) == {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25]}
    assert found["note"] == "mine" and found["sizes"] == "height and width: multiples of 4, at least 4"
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", export.OPSET)]


# ---------------------------------------------------------------------------------------------------------
# Ops


class Computes(nn.Module):
    """A module around one function, with fixed arrays."""

    def __init__(self, function, **arrays):
        self.function, self.names = function, list(arrays)
        for name, array in arrays.items():
            setattr(self, name, nn.Buffer(array))

    def forward(self, *inputs):
        return self.function(*inputs, *(getattr(self, name) for name in self.names))


def unpooled(x):
    y, indices = functional.max_pool2d(
        x, 3, stride=2, padding=1
    )  # windows overlap: the same index comes twice
    return functional.max_unpool2d(functional.leaky_relu(y, 0.1), indices, x.shape[2:])


def joined(x):
    first = functional.concat([x, functional.sigmoid(x), functional.softmax(x, axis=1)], axis=3)
    return first + functional.concat([x, functional.log_softmax(x, axis=-1), functional.relu(x)], axis=-1)


f = functional
W, WT, B = random_pictures(4, 2, 3, 2), random_pictures(4, 3, 3, 4), random_pictures(6)
OPS = {
    "conv2d": Computes(
        lambda x, w: f.conv2d(x, w, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2), w=W
    ),
    "conv_transpose2d": Computes(
        lambda x, w, b: f.conv_transpose2d(
            x, w, b, stride=(3, 2), padding=(1, 0), output_padding=(2, 1), dilation=(1, 2), groups=2
        ),
        w=WT,
        b=B,
    ),
    "linear": Computes(
        lambda x, w: f.linear(models.patch.flatten(f.global_avg_pool2d(x)), w), w=random_pictures(5, 4)
    ),
    "max_pool2d": Computes(lambda x: f.max_pool2d(x, (3, 2), stride=2, padding=1, dilation=(1, 2))[0]),
    "max_pool2d ceil": Computes(lambda x: f.max_pool2d(x, 3, stride=2, padding=1, ceil_mode=True)[0]),
    "max_pool2d dropped window": Computes(
        lambda x: f.max_pool2d(x, 2, stride=3, padding=1, ceil_mode=True)[0]
    ),
    "max_unpool2d": Computes(unpooled),
    "avg_pool2d": Computes(lambda x: f.avg_pool2d(x, (3, 2), stride=2, padding=1, count_include_pad=False)),
    "avg_pool2d padding counts": Computes(lambda x: f.avg_pool2d(x, 3, stride=1, padding=1)),
    "global_avg_pool2d": Computes(f.global_avg_pool2d),
    "adaptive_avg_pool2d": Computes(lambda x: f.adaptive_avg_pool2d(x, (3, 5))),
    "resize_bilinear times": Computes(
        lambda x: f.resize_bilinear(x, (2 * x.shape[2], 3 * x.shape[3]), align_corners=True)
    ),
    "resize_bilinear fixed": Computes(lambda x: f.resize_bilinear(x, (7, 31))),
    "resize_bilinear back": Computes(
        lambda x: f.resize_bilinear(f.max_pool2d(x, 3)[0], x.shape[2:], align_corners=False)
    ),
    "resize_nearest back": Computes(lambda x: f.resize_nearest(f.max_pool2d(x, 3)[0], x.shape[2:])),
    "resize_nearest fixed": Computes(lambda x: f.resize_nearest(x, (49, 47))),  # rounds wrongly in float32
    "pad2d": Computes(lambda x: f.pad2d(f.pad2d(x, (1, 2), mode="reflect"), (3, 0))),
    "crop2d": Computes(lambda x: f.crop2d(x, (x.shape[2] - 3, x.shape[3] - 4))),
    "batch_norm": Computes(
        lambda x, m, v: f.batch_norm(x, None, None, m, v, training=False, eps=0.1)[0],
        m=random_pictures(4),
        v=random_pictures(4) ** 2,
    ),
    "batch_norm_relu": Computes(
        lambda x, m, v: f.batch_norm_relu(x, None, None, m, v, training=False)[0],
        m=random_pictures(4),
        v=random_pictures(4) ** 2 + 0.1,
    ),
    "conv2d_relu": Computes(lambda x, w: f.conv2d_relu(x, w, padding=1), w=random_pictures(3, 4, 3, 3)),
    "concat, add, activations": Computes(joined),
}


@runs_onnx
@pytest.mark.parametrize("size", [(12, 16), (13, 17)])
@pytest.mark.parametrize("op", OPS)
def test_every_op(op, size, tmp_path):
    module, path = OPS[op], tmp_path / "op.onnx"
    network = export.to_onnx(module, path, input_shape=(1, 4, *size))
    cases = [("same", {"image": random_pictures(2, 4, *size)})]
    if op == "adaptive_avg_pool2d":
        assert network.step is None
    else:
        cases.append(("larger", {"image": random_pictures(3, 4, size[0] + 1, size[1] + 2)}))
        assert network.step == (1, 1)
    assert_same_numbers(path, module, cases)


ROIS = np.array(
    [
        [0, 1, 2, 9, 13],
        [1, 0, 0, 15, 11],
        [1, 3.3, 4.4, 5.1, 6.2],
        [0, -3, -2, 30, 30],
        [0, 5, 5, 5, 5],
        [0, 20, 20, 30, 30],
    ],
    np.float32,
)
ROI_OPS = {
    "roi_pool": lambda x, rois: f.roi_pool(x, rois, (3, 2), spatial_scale=0.5)[0],
    "roi_pool 7": lambda x, rois: f.roi_pool(x, rois, 7)[0],
    "roi_align": lambda x, rois: f.roi_align(x, rois, (3, 2), spatial_scale=0.7),
    "roi_align sampled": lambda x, rois: f.roi_align(x, rois, 3, spatial_scale=0.5, sampling_ratio=2),
    "roi_align aligned": lambda x, rois: f.roi_align(x, rois, (3, 2), spatial_scale=0.5, aligned=True),
}


@runs_onnx
@pytest.mark.parametrize("op", ROI_OPS)
def test_regions_of_interest(op, tmp_path):
    """Regions that are empty, inverted by rounding, or partly outside; any number of them."""
    path, function = tmp_path / "rois.onnx", ROI_OPS[op]
    network = export.to_onnx(function, path, input_shape=(2, 4, 12, 16), others={"rois": ROIS[:2]})
    assert network.inputs["rois"] == ("rois_count", 5)
    assert network.output_shape[:2] == ("rois_count", 4)
    assert all(isinstance(length, int) for length in network.output_shape[2:])
    x = random_pictures(2, 4, 14, 15)
    assert_same_numbers(path, function, [("a", {"image": x, "rois": ROIS})])


def test_every_op_can_be_exported_or_says_why_not():
    forward = {name for name in dir(functional) if hasattr(ops, name) and callable(getattr(functional, name))}
    from minisegnet.export.operators import WHY_NOT, WRITERS

    assert forward <= WRITERS.keys() | WHY_NOT.keys()
    assert not WRITERS.keys() & WHY_NOT.keys()


# ---------------------------------------------------------------------------------------------------------
# Ties


class PoolsAndUnpools(nn.Module):
    """Adds a little of the second channel to the first; where that is flat, it decides on the places."""

    def __init__(self, little):
        self.weight = nn.Buffer(np.array([1, little], np.float32).reshape(1, 2, 1, 1))

    def forward(self, x):
        x = functional.conv2d(x, self.weight)
        y, indices = functional.max_pool2d(x, 2)
        return functional.max_unpool2d(y, indices, x.shape[2:])


@runs_onnx
@pytest.mark.parametrize(("little", "good"), [(1e-7, True), (1e-6, True), (1e-3, False)])
def test_a_tie_that_rounding_decides_is_no_difference_and_a_clear_one_is(little, good, tmp_path):
    """The file adds the little, the model takes it away: in two windows they find another of four values largest."""
    path = tmp_path / "model.onnx"
    module = PoolsAndUnpools(little)
    export.to_onnx(module, path, input_shape=(1, 2, 4, 4))
    module.weight.data = module.weight.data * np.array([1, -1], np.float32).reshape(1, 2, 1, 1)
    x = np.zeros((1, 2, 4, 4), np.float32)
    x[0, 0], x[0, 1, 0, 0], x[0, 1, 3, 3] = 0.5, 1, -1
    [found] = verify(path, scores_function(module, None), [("", {"image": x})])
    assert found.good == good
    assert found.ties == (2 if good else 0)
    assert (found.difference < 1e-5) == good


@runs_onnx
def test_another_error_is_not_taken_for_a_tie(tmp_path):
    module = randomised(models.build("segnet", classes=3, width=4))
    path = tmp_path / "model.onnx"
    export.to_onnx(module, path, input_shape=(1, 3, 32, 32))
    weight = next(iter(module.parameters()))
    weight.data = weight.data * np.float32(1.01)  # before the first pooling
    [found] = verify(path, scores_function(module, None), [("", {"image": random_pictures(1, 3, 32, 32)})])
    assert not found.good


# ---------------------------------------------------------------------------------------------------------
# What is refused, and that a difference would be noticed


@runs_onnx
def test_a_wrong_file_is_noticed(tmp_path):
    """One weight that is a thousandth off, and another order of two layers, are found."""
    model = randomised(models.build("segnet", classes=3, width=4))
    path = tmp_path / "model.onnx"
    export.to_onnx(model, path, input_shape=(1, 3, 64, 64))
    cases = [("", {"image": random_pictures(1, 3, 64, 64)})]
    weight = model.head.weight
    weight.data = weight.data * np.float32(1.001)
    [found] = verify(path, scores_function(model, None), cases)
    assert not found.good and found.difference > 1e-4
    assert not verification.Verification("", (), float("nan"), 1.0).good


@runs_onnx
def test_wrong_labels_are_measured_in_scores(tmp_path):
    model = randomised(models.build("patch", classes=3, width=2))
    path = tmp_path / "model.onnx"
    export.to_onnx(model, path, input_shape=(1, 3, 32, 32), argmax=True)
    x = {"image": random_pictures(2, 3, 40, 37)}
    scores = scores_function(model, None)
    [found] = verify(path, scores, [("", x)])
    assert found.difference == 0
    [found] = verify(path, lambda image: -scores(image), [("", x)])
    assert found.difference > 0.01


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: f.dropout(x, 0.5, key=(0, 0, 0))[0], "dropout can't be exported: it is random"),
        (lambda x: Tensor(x.data * 2) + x, "from elsewhere"),
        (lambda x: x + np.ones(x.shape, np.float32), "from elsewhere"),
        (lambda x: 2 * x, "from elsewhere"),
        (lambda x: f.adaptive_max_pool2d(x, 2)[0], "adaptive_max_pool2d can't be exported"),
        (lambda x: f.avg_pool2d(x, 2, ceil_mode=True), "ceil_mode can't be exported"),
        (lambda x: f.max_unpool2d(*f.max_pool2d(x, 2), 20), "the shape from before that pooling"),
        (lambda x: (x, x), "returned a tuple"),
    ],
)
@runs_onnx
def test_what_cannot_be_exported_is_named_and_nothing_is_written(function, words, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    with pytest.raises((ValueError, TypeError), match=words):
        export.to_onnx(function, path, input_shape=(1, 2, 16, 16))
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("shape", [(3, 64, 64), 64, (1, 3, 0, 64), (1, 3, 64.0, 64)])
def test_a_wrong_shape_is_refused(shape):
    with pytest.raises((ValueError, TypeError), match="input_shape"):
        export.rebuild(models.build("patch", classes=2), shape)


def test_normalisation_must_fit_the_channels():
    with pytest.raises(ValueError, match="1 means; expected one for each of the 3 channels"):
        export.rebuild(
            models.build("patch", classes=2), (1, 3, 64, 64), normalisation=Normalisation((0.5,), (1.0,))
        )


def test_without_the_package_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"onnx is not installed; .*pip install 'minisegnet\[onnx\]'"):
        export.to_onnx(models.build("patch", classes=2), tmp_path / "model.onnx", input_shape=(1, 3, 64, 64))
    with pytest.raises(ValueError, match="onnxruntime is not installed"):
        verify(tmp_path / "model.onnx", lambda x: x, [])


@runs_onnx
def test_the_same_model_gives_the_same_bytes_and_stays_as_it_is(tmp_path):
    model = models.build("deconvnet", classes=2, width=2)
    before = model.state_dict()
    for name in ("a.onnx", "b.onnx"):
        export.to_onnx(model, tmp_path / name, input_shape=(1, 3, 64, 64))
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert model.training and all(np.array_equal(a, before[name]) for name, a in model.state_dict().items())


@runs_onnx
def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    root = Path(__file__).parent.parent
    shutil.copy(root / "tests" / "golden" / "imported" / "unet.safetensors", tmp_path / "weights.safetensors")
    monkeypatch.chdir(tmp_path)
    page = (root / "docs" / "export.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len(examples) >= 5
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, "export.md", "exec"), names)


# ---------------------------------------------------------------------------------------------------------
# The command


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.toml").write_text(as_toml(TINY.as_dict()))
    with ops.use_backend("numpy"):
        assert main(["train", "--config", str(folder / "tiny.toml"), "--out", str(folder)]) == 0
    return folder / "shapes-unet"


@runs_onnx
@pytest.mark.parametrize("flags", [[], ["--argmax"], ["--no-normalisation"], ["--one-size"]])
def test_the_command_exports_and_verifies(flags, run, tmp_path, capsys):
    import onnxruntime

    path = tmp_path / "model.onnx"
    assert main(["export", str(run), str(path), "--size", "48x34", "--verify", *flags]) == 0
    out = capsys.readouterr().out
    assert out.count("largest difference") == (2 if "--one-size" in flags else 4)
    assert "verified in ONNX Runtime" in out and "opset 17" in out
    session = onnxruntime.InferenceSession(str(path))
    about = session.get_modelmeta().custom_metadata_map
    predictor = load(run)
    assert tuple(json.loads(about["class_names"])) == predictor.class_names
    assert json.loads(about["model"])["name"] == "unet"
    assert ("normalisation" in about) == ("--no-normalisation" not in flags)
    assert session.get_outputs()[0].name == ("labels" if "--argmax" in flags else "scores")


@runs_onnx
def test_the_command_overwrites_only_when_told(run, tmp_path, capsys):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"precious")
    assert main(["export", str(run), str(path), "--size", "32"]) == 1
    assert "--overwrite" in capsys.readouterr().err and path.read_bytes() == b"precious"
    assert main(["export", str(run), str(path), "--size", "32", "--overwrite"]) == 0
    assert main(["export", str(run), str(tmp_path / "nowhere" / "model.onnx")]) == 1
    assert "there is no folder" in capsys.readouterr().err


@runs_onnx
def test_a_difference_makes_the_exit_code_1(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(verification, "LIMIT", 1e-9)
    assert main(["export", str(run), str(tmp_path / "model.onnx"), "--size", "32", "--verify"]) == 1
    assert "gives other numbers than the model" in capsys.readouterr().err
