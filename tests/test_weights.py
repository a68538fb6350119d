"""Weights in: states that PyTorch saved give PyTorch's numbers, and what doesn't fit is explained by name."""

import json

import numpy as np
import pytest
from golden_cases import FOLDER, Case, read
from safetensors.numpy import save_file

from minisegnet import models, no_grad, weights
from minisegnet.cli import main
from minisegnet.predictor import load

IMPORTED = {case.line["name"]: case for case in read("models/imported").values()}  # golden/make_imported.py


def file_of(name):
    return str(FOLDER / "imported" / f"{name}.safetensors")


def words_of(case: Case):
    options = [
        f"{key}={','.join(map(str, v)) if isinstance(v, tuple) else v}" for key, v in case.kwargs.items()
    ]
    return ["--model", case.op, *(word for option in options for word in ("--option", option))]


# ---------------------------------------------------------------------------------------------------------
# PyTorch's numbers


@pytest.mark.parametrize("name", IMPORTED)
def test_an_imported_model_gives_pytorchs_numbers(name, tmp_path, fast, capsys):
    """Float32, float16 and bfloat16 files, one with a wrapper's prefix; sizes are read from the shapes alone."""
    case = IMPORTED[name]
    out = tmp_path / "run"
    assert main(["import", file_of(name), *words_of(case), "--out", str(out)]) == 0
    predictor = load(out)
    with no_grad():
        scores = predictor.model(case.inputs["x"]).data
    expected = case.expected["scores"]
    assert scores.dtype == np.float32 and scores.shape == expected.shape
    assert np.abs(scores - expected).max() < 1e-5
    assert np.ptp(expected) > 1  # there is something to compare
    told = capsys.readouterr().out
    assert "0 missing, 0 left over" in told and "counters ignored" in told
    kind = {"unet": "float32", "fcn8s": "float16", "segnet": "bfloat16"}[name]
    assert ("16-bit floats became float32" in told) == (kind != "float32")
    assert told.count(f"({kind} to float32)") == (
        0 if kind == "float32" else len(weights.read(file_of(name)).arrays)
    )
    for key in predictor.model.state_dict():
        assert f"  {key} (" in told  # each name is listed


def test_bfloat16_is_the_upper_half_of_a_float(tmp_path):
    """Bit patterns from the definition: sign, 8 bits of exponent, 7 of fraction."""
    header = json.dumps({"w": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}).encode()
    patterns = np.array([0x3F80, 0xC049, 0x0001, 0x7F7F], "<u2")
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + patterns.tobytes())
    found = weights.read(path).arrays["w"]
    expected = [1.0, -3.140625, 2.0**-133, (2 - 2**-7) * 2.0**127]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


@pytest.mark.parametrize("name", models.names())
def test_channels_classes_and_width_are_read_from_the_shapes(name):
    state = models.build(name, in_channels=4, classes=7, width=3, initialise=False).state_dict()
    assert weights.size_of_model(name, state) == {"in_channels": 4, "classes": 7, "width": 3}
    assert weights.size_of_model(name, state, width=3) == {"in_channels": 4, "classes": 7}
    assert weights.size_of_model(name, {}) == {}


def test_the_run_has_what_predict_needs(tmp_path):
    (tmp_path / "classes.txt").write_text("sky\nsea\nland\nboat\n")
    words = ["import", file_of("unet"), "--model", "unet", "--option", "depth=2"]
    for names, normalisation, out in (
        ("sky,sea, land,boat", "imagenet", "a"),
        (str(tmp_path / "classes.txt"), "0.5/0.25", "b"),
        ("4", "0.1,0.2,0.3/1,2,3", "c"),
    ):
        flags = ["--classes", names, "--normalisation", normalisation, "--ignore-index", "255"]
        assert main([*words, *flags, "--out", str(tmp_path / out)]) == 0
    a, b, c = (load(tmp_path / out) for out in "abc")
    assert a.class_names == b.class_names == ("sky", "sea", "land", "boat")
    assert c.class_names == ("0", "1", "2", "3")
    assert a.normalisation.mean == (0.485, 0.456, 0.406) and a.ignore_index == 255
    assert b.normalisation == ((0.5,) * 3, (0.25,) * 3) and c.normalisation.std == (1.0, 2.0, 3.0)
    labels = a.predict(np.random.default_rng(0).integers(0, 256, (70, 65, 3), np.uint8))
    assert labels.shape == (70, 65) and len(a.palette) == 4


def test_backbones_and_dense_layers_go_where_they_are_told(tmp_path, capsys):
    """VGG16's names: its dense layers become the convolutions that compute the same."""
    rng = np.random.default_rng(0)
    model = models.build("fcn32s", classes=2, width=2, norm=None, fc_channels=6)
    own = model.state_dict()
    backbone = {k: rng.normal(size=a.shape) for k, a in own.items() if k.startswith("backbone")}
    file = {k.removeprefix("backbone."): a.astype(np.float32) for k, a in backbone.items()}
    file["classifier.0.weight"] = rng.normal(size=(6, 16 * 49)).astype(np.float32)
    file["classifier.0.bias"] = rng.normal(size=6)  # float64
    file["classifier.6.weight"] = np.ones((1000, 6), np.float32)
    save_file(file, tmp_path / "vgg.safetensors")
    words = ["import", str(tmp_path / "vgg.safetensors"), "--model", "fcn32s", "--out", str(tmp_path / "run")]
    words += ["--option", "norm=none", "--option", "fc_channels=6"]
    words += ["--rename", "features=backbone.features", "--rename", "classifier.0=fc6"]
    assert main([*words, "--partial"]) == 1
    assert "say --classes" in capsys.readouterr().err
    assert main([*words, "--partial", "--classes", "a,b,c"]) == 0
    told = capsys.readouterr().out
    assert "fc6.weight (6, 16, 7, 7) from classifier.0.weight (dense (6, 784) to a convolution)" in told
    assert "fc7.weight: not in the file, keeps its first numbers" in told
    assert (
        "left over: classifier.6.weight" in told and "fc6.bias (6,) from classifier.0.bias (float64" in told
    )
    state = load(tmp_path / "run").model.state_dict()
    np.testing.assert_array_equal(state["fc6.weight"].reshape(6, -1), file["classifier.0.weight"])
    for key, a in backbone.items():
        np.testing.assert_array_equal(state[key], a.astype(np.float32))
    assert state["score_fr.bias"].shape == (3,)


# ---------------------------------------------------------------------------------------------------------
# What doesn't fit


def misfit(change, tmp_path, capsys, *flags):
    """Import a U-Net's state that was changed; return what is said."""
    state = models.build("unet", classes=3, width=2, depth=1).state_dict()
    change(state)
    path = tmp_path / "state.safetensors"
    save_file(state, path)
    out = tmp_path / "run"
    assert (
        main(["import", str(path), "--model", "unet", "--option", "depth=1", "--out", str(out), *flags]) == 1
    )
    assert not out.exists()  # nothing half-made
    return capsys.readouterr().err


def moved(old, new):
    return lambda state: state.update({new: state.pop(old)})


@pytest.mark.parametrize(
    ("change", "flags", "words"),
    [
        (
            moved("head.weight", "heads.weight"),
            [],
            "missing in the file: head.weight (3, 2, 1, 1) (nearest in the file: heads.weight (3, 2, 1, 1))",
        ),
        (
            moved("head.weight", "outc.conv.weight"),
            [],
            "(nearest in the file: outc.conv.weight (3, 2, 1, 1))",
        ),
        (
            moved("head.weight", "heads.weight"),
            [],
            "left over: heads.weight (nearest in the model: head.weight (3, 2, 1, 1))",
        ),
        (lambda state: state.update(extra=np.ones(2, np.float32)), [], "left over: extra"),
        (
            lambda state: state.update({"head.weight": np.ones((3, 2, 3, 3), np.float32)}),
            ["--partial"],
            "head.weight is (3, 2, 3, 3); head.weight of the model is (3, 2, 1, 1)",
        ),
        (lambda state: None, ["--depth", "2"], "missing in the file: encoder.1.0.weight"),
        (lambda state: None, ["--option", "norm=none"], "the file has batch normalisation: --option norm=batch?"),
        (lambda state: None, ["--rename", "encoder=enc"], "left over: encoder.0.0.weight (as enc.0.0.weight)"),
        (
            lambda state: state.update({"x.head.bias": state["head.bias"]}),
            ["--rename", "x=", "--rename", "x.head=head"],
            None,
        ),
        (
            lambda state: state.update({"x.bias": state["head.bias"]}),
            ["--rename", "x=head"],
            "two names become head.bias",
        ),
        (lambda state: state["head.bias"].fill(np.nan), [], "head.bias holds NaN"),
        (lambda state: None, ["--classes", "a,b"], "--classes tells 2 classes; the weights have 3"),
        (lambda state: None, ["--classes", "a,a,b"], "expected different names"),
        (lambda state: None, ["--normalisation", "0.5,0.5/1,1"], "is for 2 channels; the weights are for 3"),
        (lambda state: None, ["--normalisation", "0.5/0"], "deviations above 0"),
        (lambda state: None, ["--normalisation", "image"], "expected none, imagenet"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_explained(change, flags, words, tmp_path, capsys):
    if words is None:
        with pytest.raises(SystemExit):
            misfit(change, tmp_path, capsys, *flags)
        return
    assert words in misfit(change, tmp_path, capsys, *flags)


def test_a_file_without_batch_normalisation_says_so(tmp_path, capsys):
    path = tmp_path / "state.safetensors"
    save_file(models.build("segnet", classes=2, width=2, norm=None).state_dict(), path)
    assert main(["import", str(path), "--model", "segnet", "--out", str(tmp_path / "run")]) == 1
    assert "--option norm=none?" in capsys.readouterr().err
    assert main(["import", str(path), "--model", "patch", "--out", str(tmp_path / "run")]) == 1
    assert "no name fits" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("w.pt", b"anything", "torch.load(\"w.pt\", weights_only=True)"),
        ("w.safetensors", b"PK\x03\x04 a zip, as torch.save makes it", "never opened"),
        ("w.safetensors", b"\x80\x02 an old pickle", "never opened"),
        ("w.safetensors", b"", "can't be read as safetensors"),
        ("w.safetensors", b"\xff" * 100, "can't be read as safetensors"),
        ("w.safetensors", b"\x02\0\0\0\0\0\0\0{}", "holds no weights"),
    ],
)  # fmt: skip
def test_other_files_are_refused(name, content, words, tmp_path, capsys):
    path = tmp_path / name
    path.write_bytes(content)
    assert main(["import", str(path), "--model", "unet", "--out", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err
    assert words in error and name in error
    assert not (tmp_path / "run").exists()


def test_a_header_whose_length_looks_like_a_pickle_is_read(tmp_path):
    """A length of 640 begins with the bytes 80 02, as pickles do."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode().ljust(640)
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + np.float32(3).tobytes())
    assert path.read_bytes().startswith(b"\x80\x02")
    assert weights.read(path).arrays["w"] == 3


def test_kinds_that_numpy_has_not_are_refused(tmp_path):
    header = json.dumps({"w": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"ab")
    with pytest.raises(ValueError, match=r"F8_E4M3\); expected floats of 16, 32 or 64 bits"):
        weights.read(path)


@pytest.mark.parametrize("cut", [1, 100, 5000, 36000])
def test_a_cut_file_is_refused(cut, tmp_path):
    content = (FOLDER / "imported" / "unet.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(content[:-cut])
    with pytest.raises(ValueError, match="can't be read as safetensors"):
        weights.read(tmp_path / "w.safetensors")


def test_a_run_is_never_overwritten(tmp_path, monkeypatch, capsys):
    words = ["import", file_of("unet"), "--model", "unet", "--option", "depth=2"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    before = (tmp_path / "run" / "best.safetensors").read_bytes()
    assert main([*words, "--out", str(tmp_path / "run")]) == 1
    assert "is a run already" in capsys.readouterr().err
    assert (tmp_path / "run" / "best.safetensors").read_bytes() == before
    monkeypatch.chdir(tmp_path)
    assert main(words) == 0 and main(words) == 0
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["unet-unet", "unet-unet-2"]


@pytest.mark.slow
def test_damaged_files_are_read_or_refused_by_name(tmp_path):
    """Bytes changed, cut and doubled, mostly in the header: arrays come out or a ValueError that names the file."""
    rng = np.random.default_rng(0)
    content = (FOLDER / "imported" / "segnet.safetensors").read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    path, refused = tmp_path / "damaged.safetensors", 0
    for _ in range(3000):
        damaged = bytearray(content)
        for place in rng.integers(0, header if rng.random() < 0.9 else len(content), rng.integers(1, 4)):
            kind = rng.integers(3)
            if kind == 0:
                damaged[place] = rng.integers(256)
            elif kind == 1:
                damaged[place] = rng.choice(list(b'0123456789{}[]",:'))
            else:
                damaged = damaged[:place] + damaged[place + 1 :]
        path.write_bytes(damaged)
        try:
            found = weights.read(path)
        except ValueError as error:
            assert "damaged.safetensors" in str(error)
            refused += 1
        else:
            assert all(np.isfinite(a).all() for a in found.arrays.values())
    assert 1000 < refused < 3000
