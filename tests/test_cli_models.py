"""`minisegnet models`, and the layers that every model lists of itself, from which it computes receptive fields."""

import json
import subprocess
import sys
import unicodedata
from typing import Any

import numpy as np
import pytest

from minisegnet import models, no_grad, ops
from minisegnet.cli import main
from minisegnet.cli import models as command
from minisegnet.models.patch import PatchClassifier
from minisegnet.sizes import chain_size, input_range, receptive_field

# ---------------------------------------------------------------------------------------------------------
# Receptive fields, compared with what a forward does


def positive(name: str, **options: Any) -> Any:
    """Build a model of one channel whose parameters are all above 0, so that no ReLU and no sum hides anything."""
    model: Any = models.build(name, in_channels=1, classes=1, width=1, dtype="float64", **options)
    rng = np.random.default_rng(0)
    for parameter in model.parameters():
        taps = parameter.data[0].size if parameter.ndim > 1 else 1
        parameter.data = rng.uniform(0.5, 1.5, parameter.shape) / taps
    return model.eval()


def scores_with_nan_rows(model: Any, size: tuple[int, int], rows: list[int], seed: int = 0) -> np.ndarray:
    """Run a random picture as it is, and again for each of the rows with NaN in it."""
    picture = np.random.default_rng(seed).uniform(1, 2, (1, 1, *size))
    x = np.repeat(picture, len(rows) + 1, axis=0)  # (1 + rows, 1, H, W)
    for n, row in enumerate(rows, start=1):
        x[n, :, row] = np.nan
    with no_grad(), ops.use_backend("numpy"):
        scores: np.ndarray = model(x).data
    return scores


def reached(model: Any, rows: list[int], height: int) -> np.ndarray:
    """Say by the model's layers which rows of the result see which rows of the picture: (rows, height) of bool."""
    ranges = [input_range(model.layers(), i) for i in range(height)]
    return np.array([[first <= row <= last for first, last in ranges] for row in rows])


def largest_extent(seen: np.ndarray, rows: list[int]) -> int:
    """Most rows of the picture that one row of the result sees, of neighbouring rows of the picture."""
    assert rows == list(range(rows[0], rows[-1] + 1))
    return int(seen.sum(0).max())


ONE = (1, 1, 1, 1, 1)  # convolutions of each level: enough, where the larger network would take long
NAN_CASES: list[
    tuple[str, dict[str, Any], int, int, int]
] = [  # name, options, height, width, every so many rows
    ("fcn32s", {}, 960, 32, 3),
    ("fcn16s", {}, 1024, 32, 3),
    ("fcn8s", {}, 1024, 32, 3),
    ("fcn32s", {"padding": "paper", "convolutions": ONE}, 832, 32, 5),
    ("fcn16s", {"padding": "paper", "convolutions": ONE}, 832, 32, 5),
    ("fcn8s", {"padding": "paper", "convolutions": ONE}, 832, 32, 5),
    ("fcn32s", {"padding": "paper", "convolutions": ONE, "stepwise": True}, 832, 32, 5),
    ("segnet", {"unpool": "nearest"}, 352, 16, 1),
    ("segnet-basic", {"unpool": "nearest"}, 480, 16, 1),
    ("unet", {}, 480, 16, 1),
    ("unet", {"depth": 2, "padding": "valid"}, 192, 44, 1),
    ("patch", {}, 128, 25, 1),
]


@pytest.mark.parametrize(("name", "options", "H", "W", "step"), NAN_CASES)
def test_nan_reaches_exactly_the_labels_that_the_layers_say(
    name: str, options: dict[str, Any], H: int, W: int, step: int
) -> None:
    """Pooling, convolution and ReLU hand a NaN on: the labels that turn NaN are those that see its row."""
    model = positive(name, **options)
    rows = [0, *range(H // 2, H // 2 + 32, step), H - 1]
    scores = scores_with_nan_rows(model, (H, W), rows)
    assert np.isfinite(scores[0]).all()
    found = np.isnan(scores[1:]).any((1, 3))
    np.testing.assert_array_equal(found, reached(model, rows, scores.shape[2]))
    assert found.any(1)[1:-1].all()


@pytest.mark.parametrize(
    ("name", "options", "H", "W"),
    [
        ("unet", {"depth": 2}, 112, 8),
        ("unet", {"depth": 2, "padding": "valid"}, 132, 44),
        ("patch", {}, 61, 21),
        ("patch", {"patch": 29}, 85, 29),
        ("segnet", {"convolutions": (2, 2), "unpool": "nearest"}, 96, 8),
        ("segnet-basic", {"levels": 2, "unpool": "nearest"}, 128, 8),
    ],
)
def test_the_receptive_field_is_the_most_that_a_label_sees(
    name: str, options: dict[str, Any], H: int, W: int
) -> None:
    model = positive(name, **options)
    rows = list(range(H))
    seen = np.isnan(scores_with_nan_rows(model, (H, W), rows)[1:]).any((1, 3))
    field = receptive_field(model.layers())
    assert field.size[0] == field.size[1] == largest_extent(seen, rows) < H


@pytest.mark.parametrize(
    ("name", "H"), [("segnet", 352), ("segnet-basic", 480), ("deconvnet", 288)], ids=lambda value: str(value)
)
def test_indices_carry_the_whole_window_to_every_place_of_it(name: str, H: int) -> None:
    """With indices, NaN is not enough to find everything that a label sees.

    A window with a NaN is unpooled to a NaN in one place and zeros in the others. The zeros depend on the window,
    too: without the NaN, one of them may have been the place of the value. So what counts is which scores change at
    all, in a few random pictures (in one of them, a place may have held a zero before).
    """
    model = positive(name)
    rows = [0, *range(H // 2, H // 2 + 16), H - 1]
    expected = reached(model, rows, H)
    spoilt, changed = np.zeros_like(expected), np.zeros_like(expected)
    for seed in range(6):
        scores = scores_with_nan_rows(model, (H, 64), rows, seed)
        same = abs(scores[1:] - scores[0]) <= 1e-12 * abs(scores[0])  # never true of a NaN
        changed |= ~same.all((1, 3))
        spoilt |= np.isnan(scores[1:]).any((1, 3))
    np.testing.assert_array_equal(changed, expected)
    assert not (spoilt & ~expected).any()
    if name != "deconvnet":  # whose waist spreads the NaN over the places beside it
        assert (expected & ~spoilt).any()


def test_the_change_test_sees_the_indices_extent() -> None:
    """The largest extent of a small SegNet with indices, all rows tried, is its receptive field."""
    model = positive("segnet", convolutions=(1, 1))
    H = 64
    rows = list(range(H))
    seen = np.zeros((H, H), bool)
    for seed in range(4):
        scores = scores_with_nan_rows(model, (H, 32), rows, seed)
        seen |= ~(abs(scores[1:] - scores[0]) <= 1e-12 * abs(scores[0])).all((1, 3))
    assert receptive_field(model.layers()).size[0] == largest_extent(seen, rows) < H


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in models.names()),
        ("fcn32s", {"padding": "paper"}),
        ("fcn16s", {"padding": "paper"}),
        ("fcn8s", {"padding": "paper"}),
        ("fcn16s", {"padding": "paper", "stepwise": True}),
        ("fcn32s", {"stepwise": True}),
        ("segnet", {"convolutions": (2, 2, 3, 3, 3)}),
        ("segnet-basic", {"levels": 5}),
        ("deconvnet", {"convolutions": (2, 2, 3, 3, 3), "waist": 7}),
        ("patch", {"patch": 33}),
    ],
)
def test_the_layers_give_the_size_of_the_result(name: str, options: dict[str, Any]) -> None:
    model: Any = models.build(name, classes=3, width=1, initialise=False, **options)
    for size in [(64, 64), (96, 160), (224, 256), (512, 1024)]:
        if name == "deconvnet" and min(size) < model.waist * 2 ** len(model.encoder):
            continue
        assert chain_size(model.layers(), size) == model.output_size(size)


def test_the_patch_classifiers_twin_has_the_same_layers() -> None:
    model = PatchClassifier(3, 2, width=1)
    for of_both in (receptive_field, lambda layers: chain_size(layers, 97)):
        assert of_both(model.layers()) == of_both(model.twin().layers())
    assert receptive_field(model.layers()).size == (21, 21)


def test_receptive_fields_that_papers_name() -> None:
    """FCN: 404 pixels at fc7, stride 32 (table 1); SegNet-Basic: 106 below the last pooling (section 3.1)."""
    fcn: Any = models.build("fcn32s", classes=21, initialise=False, norm=None, padding="paper")
    up_to_scores = fcn.layers()[:-2]
    assert receptive_field(up_to_scores).size == (404, 404)
    assert receptive_field(up_to_scores).stride == (32, 32)
    basic: Any = models.build("segnet-basic", classes=11, initialise=False)
    assert receptive_field(basic.layers()[:8]).size == (106, 106)


# ---------------------------------------------------------------------------------------------------------
# The list


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["models", *words]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    text = told(capsys, *words, "--json")
    assert text.count("\n") == 1
    return json.loads(text)


def columns(line: str) -> int:
    return sum(1 + (unicodedata.east_asian_width(letter) == "W") for letter in line)


def test_every_model_has_a_summary() -> None:
    assert list(command.SUMMARIES) == models.names()


def test_the_list_names_every_model_with_its_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys).splitlines()
    rows = {line.split()[0]: line for line in lines if line.split()[:1] and line.split()[0] in models.names()}
    assert list(rows)[: len(models.names())] == models.names()
    table = lines[3 : 3 + len(models.names())]
    for name, line in zip(models.names(), table, strict=True):
        model: Any = models.build(name, classes=21, initialise=False)
        field = receptive_field(model.layers()).size
        H, W = model.output_size(96)
        words = [name, f"{model.parameter_count():,}", f"{field[0]} x {field[1]}", f"{H} x {W}"]
        assert line.split() == " ".join([*words, command.SUMMARIES[name]]).split()
    text = "\n".join(lines)
    assert "patch gives fewer labels than there are pixels: one for every 4 x 4" in text
    assert text.count("gives fewer") == 1


def test_the_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = listed(capsys, "--size", "96x128", "--classes", "2", "--in-channels", "1", "--width", "3")
    assert [facts["name"] for facts in found] == models.names()
    for facts in found:
        model: Any = models.build(facts["name"], in_channels=1, classes=2, width=3, initialise=False)
        assert facts["parameters"] == model.parameter_count()
        assert facts["result"] == list(model.output_size((96, 128)))
        assert facts["size"] == [96, 128] and facts["problem"] is None
        assert facts["given"] == {"width": 3}


def test_depth_is_for_those_that_take_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--depth 2 is for unet; the others don't take it." in told(capsys, "--depth", "2")
    found = {facts["name"]: facts for facts in listed(capsys, "--depth", "2")}
    assert found["unet"]["receptive_field"] == [44, 44] and found["unet"]["given"] == {"depth": 2}
    assert found["segnet"]["given"] == {}
    assert "don't take it" not in told(capsys, "--width", "2")


def test_a_model_that_a_picture_does_not_fit_stays_in_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "--size", "20x300")
    assert "doesn't fit" in text
    assert "patch: the input is 20 x 300, smaller than a patch" in text
    found = {facts["name"]: facts for facts in listed(capsys, "--size", "20x300")}
    assert found["patch"]["result"] is None and "every size from 21 x 21" in found["patch"]["problem"]
    assert found["unet"]["result"] == [20, 300]


# ---------------------------------------------------------------------------------------------------------
# One model


@pytest.mark.parametrize("name", models.names())
def test_the_page_of_a_model(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, name, "--size", "64x80")
    kind = command.model_class(name)
    model: Any = models.build(name, classes=21, initialise=False)
    lines = text.splitlines()
    assert lines[0] == f"{name}: {command.SUMMARIES[name]}"
    assert max(columns(line) for line in lines) <= command.COLUMNS
    assert all(line in text for line in command.figure_of(kind)) and len(command.figure_of(kind)) > 3
    meanings = command.meanings_of(kind)
    for option, default in command.options_of(kind).items():
        assert meanings[option] and "`" not in meanings[option]
        assert any(line.split()[:1] == [option] and str(default) in line for line in lines)
    [total] = [line for line in lines if line.split()[:1] == ["total"]]
    assert total.split()[1] == f"{model.parameter_count():,}"
    H, W = model.output_size((64, 80))
    assert f"{H} x {W} labels for 64 x 80 pixels." in text


@pytest.mark.parametrize("name", models.names())
def test_the_layers_of_a_model_add_up(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    [facts] = listed(capsys, name, "--width", "2")
    once = {layer["name"]: layer["parameters"] for layer in facts["layers"]}
    assert sum(once.values()) == facts["parameters"]
    assert facts["options"]["width"] == 2
    text = told(capsys, name, "--width", "2")
    rows = [
        line.split()[0] for line in text.partition("\nLayers")[2].splitlines()[2:] if line.startswith("  ")
    ]
    with_parameters = [layer["name"] for layer in facts["layers"] if layer["parameters"]]
    assert [row for row in rows if row in with_parameters] == with_parameters


def test_what_was_given_stands_beside_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "unet", "--depth", "2", "--width", "64")
    assert "64 (default 16)" in text and "2 (default 4)" in text


def test_options_that_a_base_explains_are_explained() -> None:
    meanings = command.meanings_of(command.model_class("segnet-basic"))
    assert meanings["unpool"].startswith('"indices", or "nearest"')
    assert meanings["width"] == "Channels of every level."
    assert command.figure_of(command.model_class("fcn8s")) == command.figure_of(command.model_class("fcn32s"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["unte"], "there is no model named 'unte' (did you mean 'unet'?)"),
        (["segnet", "--depth", "2"], "segnet has no option depth; its options: width, convolutions, norm, unpool"),
        (["unet", "--size", "5"], "too small: at depth 4 both sides must be at least 6"),
        (["--size", "0"], "size[0] is 0"),
        (["--classes", "0"], "classes is 0; expected an integer of at least 1"),
        (["unet", "--width", "0"], "width is 0"),
        (["unet", "--depth", "0"], "depth is 0"),
    ],
)  # fmt: skip
def test_errors_are_told(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", *words]) == 1
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and captured.out == ""


def test_a_model_larger_than_the_memory_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(models, "build", refuse)
        assert main(["models", "unet"]) == 1
    assert "unet would need more memory than there is" in capsys.readouterr().err
    monkeypatch.setattr("minisegnet.models.draw.trace", refuse)
    assert main(["models", "unet"]) == 1
    assert "maps for a picture of 96 x 96 need more memory than there is" in capsys.readouterr().err


def test_nothing_is_computed_and_nothing_heavy_imported() -> None:
    code = (
        "import sys\n"
        "from minisegnet.cli import main\n"
        "from minisegnet.nn import init\n"
        "init.he_normal = None\n"
        "main(['models', 'fcn8s', '--width', '64', '--size', '2000'])\n"
        "main(['models', '--width', '64'])\n"
        "print([name for name in ('numba', 'matplotlib', 'cupy', 'PIL') if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "[]"
